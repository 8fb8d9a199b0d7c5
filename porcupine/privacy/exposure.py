"""Exposure: who is least protected? What an attacker learns about each speaker, and about groups of them.

exposure_table   trials of R repeats, groups of speakers -> bits, bits of the most exposed, identification rate
believe          trials -> how far the attacker trusts his scores, and what he believes that each speaker shows
learn            trials, belief -> what he learns about each speaker, and what he expects to

Scores become a posterior, p(s|c) ∝ exp(trust · score of speaker s given release c), among M speakers equally likely
before. The trust suits one half of the attacked speakers best and is used for the other half: so scores of any scale
will do, and the bits of the true speaker, log2 M p(s|c), are on average no more than the disclosure, without optimism
(variational bound: Barber & Agakov, NIPS 2003).

Who is most exposed is told before any probe of theirs is seen: by the bits that the attacker expects of each speaker,
Σ_c p(c|s) log2 M p(s|c), where p(c|s) ∝ share(c) p(s|c), and share(c) is how often the probes of the other half show
the release, one more than seen. Where the releases are the probes themselves, as embeddings are, they do not tell what
else a speaker might show: nothing is expected then (NaN).

All figures are means over speakers, of the means over the probes of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from porcupine.errors import InputError
from porcupine.privacy.attackers import Trials, _estimate, _with_ones, top_n_rate

EXPOSED = 0.01  # share of the speakers
DOUBLINGS = (-10, 20)  # of the trust, from 1 / mean lead of the best score over all: less is worth 0.002 bits at most

FIGURES = {"bits": "bits_learnt", "exposed": "exposed", "top1": "top1"}
"""Figure -> column of its value; those of its interval are named after the figure."""
COLUMNS = ["attribute", "group", "among", "n_speakers", "n_attacked"]
COLUMNS += [name for figure, value in FIGURES.items() for name in (value, f"{figure}_low", f"{figure}_high")]
COLUMNS += ["chance"]


@dataclass(frozen=True)
class Belief:
    """What an attacker believes about each of M speakers.

    trust : float [M], factor of the scores where the speaker is attacked.
    shows : float [Q, M], probability of each release; NaN where each is shown by one probe.
    """

    trust: np.ndarray
    shows: np.ndarray

    def among(self, columns: np.ndarray) -> Belief:
        """Restrict the speakers. columns : bool [M], those that stay."""
        return Belief(self.trust[columns], self.shows[:, columns])


def exposure_table(trials: Sequence[Trials], groups: pd.DataFrame, weights: np.ndarray) -> pd.DataFrame:
    """What an attacker learns about all speakers and about those of each group, over R repeats.

    trials : one for each repeat, of the same probes.
    groups : M rows, the enrolled speakers in order, a column for each attribute; None, NaN and "" are missing.
    weights : float [S, M] of `attackers.bootstrap_weights`, the same for all systems so that they compare pair by pair.
    Returns a row for all speakers (attribute and group ""), and two for each group: `among` "everyone", where all M are
    candidates, and "group", where the attacker knows the group. Columns: attribute, group, among, n_speakers
    (candidates), n_attacked (of the group); bits_learnt, the mean; exposed, the bits of the 1 % of the attacked, one at
    least, of whom the attacker expects most; top1; their 95 % intervals over resampled speakers and repeats together,
    bits_low, bits_high, exposed_low, …; chance, of top1. Groups with fewer than two attacked have the counts only.
    Raises InputError where groups or weights do not fit.
    """
    weights = _with_ones(trials, weights)
    n_speakers = weights.shape[1]
    if len(groups) != n_speakers:
        raise InputError(f"groups have {len(groups)} rows, should be one for each of {n_speakers} enrolled speakers")
    attacked = trials[0].n_probes > 0
    beliefs = [believe(one) for one in trials]
    everyone = [learn(one, belief) for one, belief in zip(trials, beliefs, strict=True)]
    rows: list[dict[str, object]] = []
    for attribute, group, inside in _parts(groups):
        n_attacked = int((inside & attacked).sum())
        for among in ("everyone", "group") if attribute else ("everyone",):
            n_candidates = n_speakers if among == "everyone" else int(inside.sum())
            row: dict[str, object] = {"attribute": attribute, "group": group, "among": among}
            row |= {"n_speakers": n_candidates, "n_attacked": n_attacked}
            if n_attacked >= 2:
                learnt = [one[inside] for one in everyone]
                if among == "group":
                    known = zip(trials, beliefs, strict=True)
                    learnt = [learn(one.among(inside), belief.among(inside)) for one, belief in known]
                row |= _figures(learnt, weights[:, inside]) | {"chance": 1 / n_candidates}
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def believe(trials: Trials) -> Belief:
    """What the attacker believes about one half of the attacked speakers after he has seen the probes of the other."""
    half = np.cumsum(trials.n_probes > 0) % 2
    once_each = (np.bincount(trials.row, minlength=len(trials.values)) == 1).all()
    leads = trials.values - trials.rising[:, -1:]
    trust, shows = np.zeros(len(half)), np.full_like(leads, np.nan)
    for some in (half == 0, half == 1):
        seen = ~some[trials.target]
        trust[some] = far = _best_trust(leads, trials.row[seen], trials.target[seen])
        if not once_each:
            share = np.bincount(trials.row[seen], minlength=len(leads)) + 1
            shows[:, some] = softmax(_gains(leads, far)[:, some] + np.log(share, dtype=leads.dtype)[:, None], axis=0)
    return Belief(trust, shows)


def learn(trials: Trials, belief: Belief) -> pd.DataFrame:
    """What the attacker learns about each speaker, M rows; NaN for those who are not attacked.

    Columns: bits, log2 of the posterior of the true speaker over the prior 1/M; expected, the bits that he expects, NaN
    where releases do not repeat; top1, how often the true speaker is the first.
    """
    n_probes = trials.n_probes
    leads = trials.values - trials.rising[:, -1:]
    own, expected = np.zeros(len(trials.row)), np.zeros(len(n_probes))
    for far in np.unique(belief.trust):
        gains, some = _gains(leads, far), belief.trust == far
        mine = some[trials.target]
        own[mine] = gains[trials.row[mine], trials.target[mine]]
        expected[some] = np.einsum("qm,qm->m", belief.shows[:, some], gains[:, some])
    top1 = top_n_rate(trials.identification(), 1)
    with np.errstate(invalid="ignore"):
        bits, first = (np.bincount(trials.target, one, len(n_probes)) / n_probes for one in (own / np.log(2), top1))
    expected = np.where(n_probes > 0, expected / np.log(2), np.nan)
    return pd.DataFrame({"bits": bits, "expected": expected, "top1": first})


def _best_trust(leads: np.ndarray, row: np.ndarray, target: np.ndarray) -> float:
    """Trust, 0 or more, that gains most on average over the speakers. leads : float [Q, M]; row, target : int [P]."""
    each = 1 / np.bincount(target)[target]
    releases, place = np.unique(row, return_inverse=True)
    leads = leads[releases]
    scale = -float(leads.mean(dtype=np.float64)) if len(row) else 0.0
    if scale == 0:
        return 0.0

    def loss(doublings: float) -> float:
        return -float(each @ _gains(leads, 2 ** float(doublings) / scale)[place, target])

    best = minimize_scalar(loss, bounds=DOUBLINGS, method="bounded", options={"xatol": 0.05})
    return 2 ** float(best.x) / scale if best.fun < 0 else 0.0


def _gains(leads: np.ndarray, trust: float) -> np.ndarray:
    """Logarithm of the posterior over the prior 1/M, in nats. leads : float [Q, M], scores less the best of the row."""
    gains = float(trust) * leads
    gains -= np.log(np.exp(gains).mean(axis=1, keepdims=True, dtype=np.float64))
    return gains


def _parts(groups: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray]]:
    """Attribute, group and which speakers it holds: bool [M]."""
    yield "", "", np.full(len(groups), True)
    for attribute in groups:
        labels = groups[attribute].astype(object)
        names = labels.where(labels.notna(), "").astype(str).to_numpy()
        for name in sorted(set(names) - {""}):
            yield str(attribute), name, names == name


def _figures(learnt: Sequence[pd.DataFrame], weights: np.ndarray) -> dict[str, float]:
    """Estimates over R repeats. weights : float [1 + S, M]."""
    found = []
    for one in learnt:
        attacked = one["bits"].notna().to_numpy()
        bits, expected, top1 = one.loc[attacked, ["bits", "expected", "top1"]].to_numpy().T
        counted = weights[:, attacked]
        n_drawn = counted.sum(axis=1)
        n_exposed = np.ceil(EXPOSED * n_drawn)
        order = np.argsort(-expected, kind="stable")
        first = np.minimum(np.cumsum(counted[:, order], axis=1), n_exposed[:, None])
        most = np.diff(first, prepend=0, axis=1) @ bits[order] if not np.isnan(expected).any() else np.nan
        with np.errstate(invalid="ignore"):  # nobody of the group drawn
            found.append(
                {"bits": counted @ bits / n_drawn, "exposed": most / n_exposed, "top1": counted @ top1 / n_drawn}
            )
    figures: dict[str, float] = {}
    for figure, name in FIGURES.items():
        value, low, high = _estimate([one[figure] for one in found])
        figures |= {name: value, f"{figure}_low": low, f"{figure}_high": high}
    return figures
