"""Observations: what the codes of n utterances disclose together about who said them.

observation_table    codes, speakers -> for each n, the disclosure from below and from above, identification rates
attack               held utterances, sequences -> what an attacker learns about each speaker
disclosure_bound     counts -> what one code discloses, from above

S is one of M speakers, all equally likely; C_1 … C_n are codes of n utterances, independent given the speaker. What
they disclose, I(S; C_1 … C_n) in bits, lies between two figures that can be measured without bias in one's own favour:

- From below, by an attacker (variational bound: Barber & Agakov, NIPS 2003). He counts the codes of the utterances that
  he holds, and takes those of a speaker for draws from a Dirichlet distribution (a Pólya urn) around the population's
  or, where he knows the codebook, around codes near those held; how near, and how concentrated, is what suits the held
  utterances best when each is left out. How far he trusts n codes, an exponent of their likelihood, he learns from half
  of the speakers for the other half. What his log2 posterior gains over the prior, on other utterances, is on average
  at most the disclosure.
- From above, by I(S; C_1 … C_n) <= min(log2 M, n I(S; C)) and I(S; C) = H(C) - H(C|S). H(C) is at most log2 K, and at
  most the cross-entropy to the codes of all other speakers. H(C|S) is the mean of -ln p = sum_k X^k / k, in nats, where
  X = 1 - p is the chance that another utterance of the speaker gets another code. With U utterances of each speaker,
  the first m = U - 1 moments of X have unbiased estimates (Zhang, Neural Computation 2012), and the others are at least
  E[X^m]^(k/m) by Jensen:

      H(C|S) >= -ln(1 - x) + sum_(k<m) (E[X^k] - x^k) / k,    x^m = E[X^m]

  For two utterances a speaker this is the collision entropy, -ln of the chance that they share a code.

A speaker who keeps one code for all utterances discloses that code and no more, at most its entropy, whatever n; an
attacker who meets it again knows it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from porcupine.errors import InputError
from porcupine.privacy.attackers import enrol, identification, top_n_rate
from porcupine.privacy.occupancy import count_codes

CONCENTRATIONS = np.geomspace(1e-2, 1e4, 13)  # of a speaker's codes, in utterances
NEAR = (0.5, 1, 2, 4, 8)  # variances of a speaker's codes, in squared distances between nearest codewords
FAR = 0.01  # share of a speaker's codes that may be any of the population's
TRUST = 2 ** np.array([np.arange(-6, 1), np.arange(-5.5, 1)])  # exponents of the likelihood, beside 0, doubling
EXPOSED = 0.01  # share of the speakers
CONFIDENCE = 0.95  # of the bound from above, one-sided
BLOCK = 2**22  # entries of a block of posteriors: 32 MiB


@dataclass(frozen=True)
class Attack:
    """What an attacker learns about each of M speakers, mean of float [M] over the sequences.

    bits : log2 of the posterior of the true speaker over the prior 1/M; top1, top5 : identification rates.
    expected : the bits that the held utterances promise, one at a time and each left out.
    """

    bits: np.ndarray
    top1: np.ndarray
    top5: np.ndarray
    expected: np.ndarray


def observation_table(
    codes: np.ndarray,
    speakers: np.ndarray,
    n_codewords: int,
    *,
    held: int,
    sequences: int,
    bootstrap: int,
    rng: np.random.Generator,
    observed: Sequence[int] = (1, 2, 5, 10, 20),
    one_code: np.ndarray | None = None,
    codebook: np.ndarray | None = None,
) -> pd.DataFrame:
    """Disclosure and identification by n observed utterances, one row for each n.

    codes : int [N], one an utterance; speakers : [N].
    held : utterances of each speaker that the attacker holds, at least 2; the others are attacked.
    sequences : how often n utterances are drawn from each speaker's.
    one_code : int [N], the code that the speaker of each utterance keeps, such as that of the mean embedding; None for
        that of the speaker's first utterance.
    codebook : float [K, D], which the attacker then knows; it helps him where codes are many and utterances few.
    Columns:
        `n`; `n_speakers`, M, those with n utterances beside the held ones; `n_left_out`, the others;
        `lower`, the attacker's bits, with 95 % interval over speakers `lower_low`, `lower_high`;
        `upper`, the bound from above, at 95 % confidence;
        `exposed`, the attacker's bits on the 1 % of speakers who look most exposed in the utterances that he holds, and
        `exposed_high`, on the 1 % who turn out to be (too high, by selection);
        `top1`, `top5`, how often the true speaker is among the first, `top1_low`, `top1_high`, 95 % over speakers;
        `chance`, `chance5`, by guessing;
        `one_code_…`, the same for a speaker who keeps one code, which the attacker has met.
    Raises InputError where the codes do not fit, or fewer than two speakers have utterances enough.
    """
    codes, speakers = np.asarray(codes), np.asarray(speakers)
    if codes.ndim != 1 or codes.shape != speakers.shape:
        raise InputError(f"codes {codes.shape} and speakers {speakers.shape} should be vectors of one length")
    if held < 2:
        raise InputError(
            f"held={held}, should be >= 2: the attacker leaves one out to learn how far to trust the others"
        )
    if min(observed) < 1 or sequences < 1:
        raise InputError(f"observed={list(observed)} utterances and sequences={sequences} should be >= 1")
    count_codes(codes, n_codewords)
    names, first, speaker = np.unique(speakers.astype(str), return_index=True, return_inverse=True)
    kept = codes[first][speaker] if one_code is None else np.asarray(one_code)
    if kept.shape != codes.shape or (kept != kept[first][speaker]).any():
        raise InputError(f"one_code of shape {kept.shape} should repeat one code for all utterances of a speaker")
    enrolment = enrol(speakers, held, rng)
    n_attacked = np.bincount(enrolment.probe_speaker, minlength=len(names))
    drawn = [_shuffle(enrolment.probes, enrolment.probe_speaker, rng) for _ in range(sequences)]
    counts, kept_counts = (_count(values, speaker, len(names), n_codewords) for values in (codes, kept))
    held_counts = _count(codes[enrolment.held], enrolment.held_speaker, len(names), n_codewords)
    kept_held_counts = _count(kept[enrolment.held], enrolment.held_speaker, len(names), n_codewords)
    shared: dict[int, tuple[float, dict[str, float]]] = {}  # by M, since rows of one M have the same speakers
    rows = []
    for n in observed:
        chosen = np.flatnonzero(n_attacked >= n)
        n_speakers = len(chosen)
        if n_speakers < 2:
            raise InputError(f"{n_speakers} speaker(s) have n={n} utterances beside held={held}: observe or hold fewer")
        if n_speakers not in shared:
            bound = disclosure_bound(counts[chosen], draws=bootstrap, rng=rng)
            kept_bound = disclosure_bound(kept_counts[chosen], draws=bootstrap, rng=rng)
            learnt = attack(kept_held_counts[chosen], kept[first][None, chosen, None], codebook)
            figures = _summary(learnt, kept_bound, draws=bootstrap, rng=rng)
            shared[n_speakers] = bound, {f"one_code_{name}": value for name, value in figures.items()}
        bound, one_code_figures = shared[n_speakers]
        starts = (np.cumsum(n_attacked) - n_attacked)[chosen, None]
        different = comb(int(n_attacked.max()), n)  # sequences, but for their order, which does not matter
        seen = np.stack([codes[order[starts + np.arange(n)]] for order in drawn[:different]])
        learnt = attack(held_counts[chosen], seen, codebook)
        rows.append(
            {"n": n, "n_speakers": n_speakers, "n_left_out": len(names) - n_speakers}
            | _summary(learnt, min(n * bound, float(np.log2(n_speakers))), draws=bootstrap, rng=rng)
            | {"chance": 1 / n_speakers, "chance5": min(5 / n_speakers, 1.0)}
            | one_code_figures
        )
    return pd.DataFrame(rows)


def attack(held: np.ndarray, sequences: np.ndarray, codebook: np.ndarray | None = None) -> Attack:
    """Find the speaker of each sequence, from the codes of the utterances held.

    held : int [M, K], codes of the utterances that the attacker holds. sequences : int [S, M, n], codes of n other
    utterances of each speaker, S times. codebook : float [K, D], where he knows it.
    """
    n_sequences, n_speakers, _ = sequences.shape
    prior, expected = code_prior(held, codebook)
    weights, total = np.ascontiguousarray((held + prior).T), held.sum(axis=1) + prior.sum(axis=1)
    logs = np.log(weights)
    trusted = np.zeros((*TRUST.shape, n_speakers))
    top1, top5, chances = np.zeros(n_speakers), np.zeros(n_speakers), np.empty(0)
    for sequence in sequences:
        for rows in np.array_split(np.arange(n_speakers), -(-(n_speakers**2) // BLOCK)):
            score = np.zeros((len(rows), n_speakers))
            for i, code in enumerate(sequence[rows].T):
                score += logs[code] - np.log(total + i)
                before = (sequence[rows, :i] == code[:, None]).sum(axis=1)
                again = np.flatnonzero(before)
                score[again] += np.log1p(before[again, None] / weights[code[again]])
            ranks = identification(score, rows)
            score -= score.max(axis=1, keepdims=True)
            own = score[np.arange(len(rows)), rows]
            for place, trust in np.ndenumerate(TRUST):
                chances = np.square(chances, out=chances) if place[1] else np.exp(trust * score)
                trusted[place][rows] += np.log2(n_speakers) + (trust * own - np.log(chances.sum(axis=1))) / np.log(2)
            top1[rows] += top_n_rate(ranks, 1)
            top5[rows] += top_n_rate(ranks, 5)
    bits = np.vstack([np.zeros(n_speakers), trusted.reshape(-1, n_speakers)])
    best = bits[:, 1::2].sum(axis=1).argmax(), bits[:, ::2].sum(axis=1).argmax()
    learnt = bits[np.resize(best, n_speakers), np.arange(n_speakers)]
    return Attack(learnt / n_sequences, top1 / n_sequences, top5 / n_sequences, expected)


def disclosure_bound(counts: np.ndarray, *, draws: int, rng: np.random.Generator) -> float:
    """Upper bound, at 95 % confidence, on the bits that one code discloses about which of M speakers it comes from.

    counts : int [M, K], codes of the utterances of each speaker, at least two of each. More utterances make it tighter.
    Confidence by the Bayesian bootstrap over the speakers and one more, who always gives one code (Gaffke, Mathematical
    Methods of Statistics 2005): without him, speakers of whom no two utterances share a code would seem to disclose
    nothing for certain.
    """
    n_speakers, n_codewords = counts.shape
    n_utterances = counts.sum(axis=1)
    if n_speakers < 2 or n_utterances.min() < 2:
        raise InputError(f"{n_speakers} speaker(s) with {n_utterances.min()} utterance(s): need at least two of each")
    moments = _moments(counts, int(n_utterances.min()) - 1)
    weights = rng.dirichlet(np.ones(n_speakers + 1), size=draws)[:, :-1]
    entropy = np.minimum(weights @ _cross_entropy(counts) / weights.sum(axis=1), np.log2(n_codewords))
    bound = np.quantile(entropy - _entropy_bound(weights @ moments), CONFIDENCE)
    return float(np.clip(bound, 0, np.log2(n_speakers)))


def _summary(learnt: Attack, upper: float, *, draws: int, rng: np.random.Generator) -> dict[str, float]:
    n_speakers = len(learnt.bits)
    n_exposed = int(np.ceil(EXPOSED * n_speakers))
    weights = rng.multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=draws) / n_speakers
    low, high = np.quantile(weights @ learnt.bits, [0.025, 0.975])
    top1_low, top1_high = np.quantile(weights @ learnt.top1, [0.025, 0.975])
    return {
        "lower": float(learnt.bits.mean()),
        "lower_low": float(low),
        "lower_high": float(high),
        "upper": upper,
        "exposed": float(learnt.bits[np.argsort(learnt.expected)[-n_exposed:]].mean()),
        "exposed_high": float(np.sort(learnt.bits)[-n_exposed:].mean()),
        "top1": float(learnt.top1.mean()),
        "top1_low": float(top1_low),
        "top1_high": float(top1_high),
        "top5": float(learnt.top5.mean()),
    }


def _count(codes: np.ndarray, speaker: np.ndarray, n_speakers: int, n_codewords: int) -> np.ndarray:
    size = n_speakers * n_codewords
    return np.bincount(speaker * n_codewords + codes, minlength=size).reshape(n_speakers, n_codewords)


def _shuffle(rows: np.ndarray, speaker: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows grouped by speaker, in random order within each."""
    order = rng.permutation(len(rows))
    return rows[order[np.argsort(speaker[order], kind="stable")]]


def code_prior(held: np.ndarray, codebook: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Dirichlet prior of the codes of each speaker, float [M, K], and the bits expected of it, float [M]."""
    population = (held.sum(axis=0) + 1) / (held.sum() + held.shape[1])
    prior, best = np.empty(0), np.full(len(held), -np.inf)
    for alike in _alike(population, codebook):
        around = held @ alike / held.sum(axis=1, keepdims=True)
        for concentration in CONCENTRATIONS:
            expected = _left_out(held, around, alike, concentration)
            if expected.mean() > best.mean():
                prior, best = concentration * around, expected
    return prior, best


def _alike(population: np.ndarray, codebook: np.ndarray | None) -> list[np.ndarray]:
    """Chances of a speaker's codes, given one of them, for one variance after the other: float [K, K] each.

    population : float [K]. The last ones are those of the population, whatever the code.
    """
    n_codewords = len(population)
    logs = [np.zeros((n_codewords, n_codewords))]
    if codebook is not None:
        if codebook.ndim != 2 or len(codebook) != n_codewords:
            raise InputError(f"codebook has shape {codebook.shape}, should be [K={n_codewords}, D]")
        squares = cdist(codebook, codebook, "sqeuclidean")
        nearest = np.sort(squares, axis=1)[:, :2].max(axis=1).mean()  # of one codeword, itself
        logs = [-squares / max(2 * variance * nearest, np.finfo(float).tiny) for variance in NEAR] + logs
    near = (population * np.exp(log) for log in logs)
    return [FAR * population + (1 - FAR) * chances / chances.sum(axis=1, keepdims=True) for chances in near]


def _left_out(held: np.ndarray, around: np.ndarray, alike: np.ndarray, concentration: float) -> np.ndarray:
    """Bits that one code discloses of each speaker to an attacker who holds all utterances but that one: float [M].

    held : int [M, K]; around : float [M, K], means of ``alike`` [K, K] over the codes held.
    """
    n_speakers = len(held)
    n_held = held.sum(axis=1)
    weights = 1 / (n_held + concentration)
    speaker, code = held.nonzero()
    count, n_others = held[speaker, code], n_held[speaker] - 1
    others = (around[speaker, code] * n_held[speaker] - alike[code, code]) / np.maximum(n_others, 1)
    others = np.where(n_others > 0, others, alike.mean(axis=0)[code])
    own = (count - 1 + concentration * others) / (n_others + concentration)
    everyone = weights @ held + concentration * weights @ around
    with_own = everyone[code] - (count + concentration * around[speaker, code]) * weights[speaker] + own
    return np.bincount(speaker, weights=count * np.log2(n_speakers * own / with_own), minlength=n_speakers) / n_held


def _cross_entropy(counts: np.ndarray) -> np.ndarray:
    """Cross-entropy of each speaker's codes to those of all others and of one who gives any code, in bits: float [M].

    counts : int [M, K]. Its mean is at least the entropy of the codes of all speakers, on average over samples.
    """
    n_speakers, n_codewords = counts.shape
    shares = counts / counts.sum(axis=1, keepdims=True)
    others = (shares.sum(axis=0) - shares + 1 / n_codewords) / n_speakers
    return -(shares * np.log2(others)).sum(axis=1)


def _moments(counts: np.ndarray, order: int) -> np.ndarray:
    """Unbiased E[X^k], k = 1 … order, for each speaker: the share of draws of k other utterances that miss a code.

    counts : int [M, K]. Returns float [M, order].
    """
    speaker, code = counts.nonzero()
    count, n_utterances = counts[speaker, code], counts.sum(axis=1)[speaker]
    moments = np.empty((len(counts), order))
    missed = count / n_utterances
    for k in range(1, order + 1):
        missed = missed * np.maximum(1 - (count - 1) / (n_utterances - k), 0)
        moments[:, k - 1] = np.bincount(speaker, weights=missed, minlength=len(counts))
    return moments


def _entropy_bound(moments: np.ndarray) -> np.ndarray:
    """Least mean entropy of a speaker's codes, in bits, given E[X^k] < 1, k = 1 … m. float [..., m] -> [...]."""
    order = moments.shape[-1]
    k = np.arange(1, order)
    x = moments[..., -1] ** (1 / order)
    return (-np.log1p(-x) + ((moments[..., :-1] - x[..., None] ** k) / k).sum(axis=-1)) / np.log(2)
