"""Attackers: who is it? From the scores that any attacker gives the enrolled speakers for what he sees.

enrol              utterances -> which the attacker holds, which are attacked
Trials             scores of the enrolled speakers given each distinct release, and which release each probe shows
identification     scores -> where the true speaker ranks, ties counted
top_n_rate         ranks -> probability that the true speaker is among the first n
bootstrap_weights  trials -> how often each speaker counts when speakers are drawn again
equal_error_rates  trials -> equal error rate, for any weights of the speakers
rate_table         trials of R repeats -> rates with intervals over speakers and repeats, chance beside them
randomised_rates   the same where the code passes randomised response, exactly
strongest          rates of several attackers -> those of the one who identifies most often

A release is what the attacker sees of an utterance: its embedding, of which there are as many as probes, or its code,
of which there are K, shown or not. Scores are higher for likelier speakers: cosines, log-likelihood ratios, whatever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from porcupine.errors import InputError
from porcupine.privacy.randomised_response import keep_probability
from porcupine.privacy.verification import Estimate, eer_from_histograms

TOPS = (1, 5, 10)
THRESHOLDS = 4000  # of the scores, at most, for the equal error rate
BLOCK = 2**22  # counts of a block of releases: 32 MiB


@dataclass(frozen=True)
class Ranks:
    """Rank of the true speaker for each probe: how many enrolled speakers score above, and how many others tie."""

    above: np.ndarray  # int [P]
    tied: np.ndarray  # int [P]


@dataclass(frozen=True)
class Enrolment:
    """Which utterances the attacker holds (``held``) and which are attacked (``probes``): int, rows of a table.

    speakers : str [M], all enrolled; held_speaker int [H] and probe_speaker int [P] index it.
    """

    speakers: np.ndarray
    held: np.ndarray
    held_speaker: np.ndarray
    probes: np.ndarray
    probe_speaker: np.ndarray

    def mean_embeddings(self, embeddings: np.ndarray) -> np.ndarray:
        """Mean of the held embeddings of each speaker. float [N, D] -> float64 [M, D]."""
        total = np.zeros((len(self.speakers), embeddings.shape[1]))
        np.add.at(total, self.held_speaker, embeddings[self.held])
        return total / np.bincount(self.held_speaker)[:, None]

    def only(self, probes: np.ndarray) -> Enrolment:
        """Attack some of the probes alone, bool or int [P]; all speakers stay enrolled."""
        return replace(self, probes=self.probes[probes], probe_speaker=self.probe_speaker[probes])


def enrol(speakers: np.ndarray, per_speaker: int, rng: np.random.Generator) -> Enrolment:
    """Draw the utterances of each speaker that the attacker holds; the others are probes.

    speakers : str [N], speaker of each utterance. A speaker with too few keeps one probe; one with a single utterance
        is enrolled and never attacked.
    per_speaker : utterances held of each speaker, at least 1.
    Raises InputError with fewer than two speakers, or where no speaker has two utterances.
    """
    if per_speaker < 1:
        raise InputError(f"per_speaker={per_speaker}, should be >= 1: the attacker needs an utterance of each speaker")
    names, speaker = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"{len(names)} test speaker(s): an attack needs at least two to tell apart")
    n_utterances = np.bincount(speaker)
    shuffled = rng.permutation(len(speaker))
    shuffled = shuffled[np.argsort(speaker[shuffled], kind="stable")]
    place = np.arange(len(speaker)) - np.repeat(np.cumsum(n_utterances) - n_utterances, n_utterances)
    quota = np.clip(n_utterances - 1, 1, per_speaker)[speaker[shuffled]]
    held, probes = np.sort(shuffled[place < quota]), np.sort(shuffled[place >= quota])
    if not len(probes):
        raise InputError(f"each of {len(names)} test speakers has one utterance: an attack needs a second one to probe")
    return Enrolment(names, held, speaker[held], probes, speaker[probes])


@dataclass(frozen=True)
class Trials:
    """Scores of M enrolled speakers given each of Q releases, and the P probes that show these.

    values : float [Q, M], finite.
    row : int [P], the release that each probe shows; target : int [P], column of its true speaker.
    Raises InputError on other scores, fewer than two speakers, no probe, or probes that point beyond the scores.
    """

    values: np.ndarray
    row: np.ndarray
    target: np.ndarray

    def __post_init__(self) -> None:
        _check(self.values, self.target, len(self.row))
        if not np.isfinite(self.values).all():
            n_bad = self.values.size - np.isfinite(self.values).sum()
            raise InputError(f"{n_bad} of {self.values.size} scores are not finite: check the attacker")
        if not len(self.row) or self.row.min() < 0 or self.row.max() >= len(self.values):
            raise InputError(
                f"row of shape {self.row.shape} should give each probe, one at least, a row of {self.values.shape}"
            )

    @property
    def own(self) -> np.ndarray:
        """Score of each probe's true speaker, float [P]."""
        return self.values[self.row, self.target]

    @property
    def n_probes(self) -> np.ndarray:
        """Probes of each speaker, int [M]: 0 for those who are enrolled and not attacked."""
        return np.bincount(self.target, minlength=self.values.shape[1])

    @cached_property
    def rising(self) -> np.ndarray:
        """Scores given each release, sorted. Float [Q, M]."""
        return np.sort(self.values, axis=1)

    def identification(self) -> Ranks:
        """Rank the true speaker of each probe among all enrolled ones, as `identification` does."""
        own, below, up_to = self.own, np.empty_like(self.row), np.empty_like(self.row)
        order = np.argsort(self.row, kind="stable")
        releases, starts = np.unique(self.row[order], return_index=True)
        for release, probes in zip(releases, np.split(order, starts[1:]), strict=True):
            below[probes] = np.searchsorted(self.rising[release], own[probes])
            up_to[probes] = np.searchsorted(self.rising[release], own[probes], side="right")
        return Ranks(above=self.values.shape[1] - up_to, tied=up_to - below - 1)

    def among(self, columns: np.ndarray) -> Trials:
        """Restrict the enrolled speakers, and the probes to theirs. columns : bool [M], those that stay, two at least.

        The releases remain the same.
        """
        stays = columns[self.target]
        return Trials(self.values[:, columns], self.row[stays], (np.cumsum(columns) - 1)[self.target[stays]])


def identification(scores: np.ndarray, target: np.ndarray) -> Ranks:
    """Rank the true speaker of each probe among all enrolled ones.

    scores : float [P, M]; target : int [P], column of the true speaker.
    Raises InputError on NaN scores, fewer than two enrolled speakers, or targets that are not columns of the scores.
    """
    target = np.asarray(target)
    _check(scores, target, len(scores))
    if np.isnan(scores).any():
        raise InputError(f"{np.isnan(scores).sum()} of {scores.size} scores are NaN: check the embeddings")
    own = np.take_along_axis(scores, target[:, None], axis=1)
    return Ranks(above=(scores > own).sum(axis=1), tied=(scores == own).sum(axis=1) - 1)


def top_n_rate(ranks: Ranks, n: int) -> np.ndarray:
    """Probability, for each probe, that its speaker is among the first n, ties broken at random. Float [P]."""
    return np.clip((n - ranks.above) / (ranks.tied + 1), 0, 1)


def bootstrap_weights(trials: Trials, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the attacked speakers with replacement. Returns float [S, M]; all that are enrolled stay enrolled."""
    attacked = trials.n_probes > 0
    weights = np.zeros((draws, len(attacked)))
    weights[:, attacked] = rng.multinomial(attacked.sum(), np.full(attacked.sum(), 1 / attacked.sum()), size=draws)
    return weights


def equal_error_rates(trials: Trials, weights: np.ndarray) -> np.ndarray:
    """Equal error rate over all pairs of a probe and an enrolled speaker, float [S].

    weights : float [S, M], how often the probes of each speaker count.
    Misses change only where a probe scores its own speaker, so these scores are the thresholds, and the rate is exact.
    Of more than `THRESHOLDS` probes some are passed over: the rate is then within 1 / THRESHOLDS for equal weights.
    """
    thresholds = np.unique(np.sort(trials.own)[:: -(-len(trials.row) // THRESHOLDS)])
    step = math.isqrt(len(thresholds))
    same, different = _histograms(trials, thresholds[::step], weights)
    misses, passes = (np.cumsum(kind, axis=1) / kind.sum(axis=1, keepdims=True) for kind in (same, different))
    crossing = np.argmax(misses + passes >= 1, axis=1)
    first, last = (crossing.min() - 1) // 2, crossing.max() // 2
    return eer_from_histograms(*_histograms(trials, thresholds[max(first, 0) * step : last * step + 1], weights))


def rate_table(trials: Sequence[Trials], weights: np.ndarray) -> pd.DataFrame:
    """Rates over R repeats: mean, and 95 % interval over resampled speakers and repeats together.

    trials : one for each repeat, of the same probes.
    weights : float [S, M] of `bootstrap_weights`, the same for all systems so that they compare pair by pair.
    Returns one row each for top1, top5, top10 and eer: figure, value, low, high, chance, n_speakers (enrolled),
    n_attacked (of them, those with probes: the intervals are as good as these are many), n_probes, n_repeats.
    """
    weights = _with_ones(trials, weights)
    found = []
    for one in trials:
        ranks = one.identification()
        found.append(_means(one, {f"top{n}": top_n_rate(ranks, n) for n in TOPS}, weights))
        found[-1]["eer"] = equal_error_rates(one, weights)
    return _table(trials, found)


def randomised_rates(trials: Sequence[Trials], weights: np.ndarray, epsilon: float, n_codewords: int) -> pd.DataFrame:
    """Identification rates where the code passes `randomised_response.randomise`, expected over its noise, exactly.

    trials : of codes. Scores have to rise with the likelihood of the code among the speakers of a row; they then do so
        with that of the report, and the attacker ranks the speakers by the report as by a code.
    epsilon : of the randomised response, in nats; inf for the code itself.
    Returns the rows of `rate_table` but for eer. Raises InputError where there is not one release for each code.
    """
    weights = _with_ones(trials, weights)
    keep = keep_probability(n_codewords, epsilon)
    other = (1 - keep) / (n_codewords - 1)
    found = []
    for one in trials:
        if len(one.values) != n_codewords:
            raise InputError(f"{len(one.values)} releases should be the n_codewords={n_codewords} codes, each once")
        ranks = one.identification()
        noisy = {f"top{n}": (keep - other) * top_n_rate(ranks, n) + other * _all_hits(one, n)[one.target] for n in TOPS}
        found.append(_means(one, noisy, weights))
    return _table(trials, found)


def strongest(rates: pd.DataFrame) -> pd.DataFrame:
    """For each variant, bits, epsilon and figure, the row of the attacker who is worst for privacy; ties: the first.

    rates : rows of `rate_table`, with columns variant, bits, threat, attacker and epsilon. Their order is kept.
    The attacker is chosen by the rates that are then reported, which flatters them a little: the safe side.
    """
    rates = rates.reset_index(drop=True)
    harm = rates["value"].where(rates["figure"] != "eer", -rates["value"])
    worst_first = rates.assign(_harm=harm).sort_values("_harm", ascending=False, kind="stable")
    return rates.loc[worst_first.drop_duplicates(["variant", "bits", "epsilon", "figure"]).index.sort_values()]


def _check(scores: np.ndarray, target: np.ndarray, n_probes: int) -> None:
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise InputError(f"scores have shape {scores.shape}: identification needs at least two enrolled speakers")
    if target.shape != (n_probes,) or ((target < 0) | (target >= scores.shape[1])).any():
        raise InputError(f"target of shape {target.shape} should give one column of the scores {scores.shape} a probe")


def _histograms(trials: Trials, thresholds: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the pairs of one and of different speakers below, at and between the thresholds: float [S, 2 V + 1].

    thresholds : float [V], rising.
    """
    own = trials.own
    place = np.searchsorted(thresholds, own) + np.searchsorted(thresholds, own, side="right")
    same = _add(place, 2 * len(thresholds) + 1, trials.target, weights)
    shown = _add(trials.row, len(trials.values), trials.target, weights)
    everyone = np.zeros_like(same)
    everyone[:, -1] = shown.sum(axis=1) * trials.values.shape[1]
    releases = np.unique(trials.row)
    for some in np.array_split(releases, -(-len(releases) * same.shape[1] // BLOCK)):
        below = np.empty((len(some), len(thresholds), 2))
        for counts, release in zip(below, some, strict=True):
            counts[:, 0] = np.searchsorted(trials.rising[release], thresholds)
            counts[:, 1] = np.searchsorted(trials.rising[release], thresholds, side="right")
        everyone[:, :-1] += shown[:, some] @ below.reshape(len(some), -1)
    return same, np.diff(everyone, prepend=0) - same


def _add(place: np.ndarray, n_places: int, speaker: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum the weights of the speakers at each place. place, speaker : int [P]; weights : [S, M]. Returns [S, V]."""
    ones = np.ones(len(place))
    return (csr_matrix((ones, (place, speaker)), shape=(n_places, weights.shape[1])) @ weights.T).T


def _all_hits(trials: Trials, n: int) -> np.ndarray:
    """Probability that each speaker is among the first n given a release, summed over all releases. Float [M]."""
    n_releases, n_speakers = trials.values.shape
    n = min(n, n_speakers)
    last = trials.rising[:, -n]
    release, speaker = np.nonzero(trials.values >= last[:, None])
    above = trials.values[release, speaker] > last[release]
    n_above, n_tied = (np.bincount(release[kind], minlength=n_releases) for kind in (above, ~above))
    hit = np.where(above, 1, (n - n_above[release]) / n_tied[release])
    return np.bincount(speaker, weights=hit, minlength=n_speakers)


def _with_ones(trials: Sequence[Trials], weights: np.ndarray) -> np.ndarray:
    """The weights, after one row where each speaker counts once: float [1 + S, M]."""
    shapes = {one.values.shape[1] for one in trials}
    if weights.ndim != 2 or shapes != {weights.shape[1]}:
        raise InputError(f"weights have shape {weights.shape}, should be [S, M], M of {sorted(shapes)} speakers")
    return np.vstack([np.ones(weights.shape[1]), weights])


def _means(trials: Trials, hits: dict[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Weighted means over the probes, float [P] -> float [S]."""
    n_probes = weights @ trials.n_probes
    return {
        name: weights @ np.bincount(trials.target, weights=hit, minlength=weights.shape[1]) / n_probes
        for name, hit in hits.items()
    }


def _estimate(found: Sequence[np.ndarray]) -> Estimate:
    """Mean and 95 % interval over R repeats of float [1 + S]: a value, then its draws, of which NaN are left out."""
    draws = np.concatenate([one[1:] for one in found])
    draws = draws[~np.isnan(draws)]
    low, high = np.quantile(draws, [0.025, 0.975]) if len(draws) else (np.nan, np.nan)
    return Estimate(float(np.mean([one[0] for one in found])), float(low), float(high))


def _table(trials: Sequence[Trials], found: Sequence[dict[str, np.ndarray]]) -> pd.DataFrame:
    n_probes = trials[0].n_probes
    chance = {f"top{n}": min(n / len(n_probes), 1.0) for n in TOPS} | {"eer": 0.5}
    rows = [
        {"figure": figure} | _estimate([one[figure] for one in found])._asdict() | {"chance": chance[figure]}
        for figure in found[0]
    ]
    return pd.DataFrame(rows).assign(
        n_speakers=len(n_probes),
        n_attacked=int((n_probes > 0).sum()),
        n_probes=int(n_probes.sum()),
        n_repeats=len(trials),
    )
