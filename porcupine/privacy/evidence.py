"""Evidence: what verification scores say for and against "same speaker", beyond where they cross.

cllr                  cost of scores that claim to be log-likelihood ratios, in bits
min_cllr              the same after the best monotone calibration
linkability           D_sys: how far scores of one speaker's pairs favour "same speaker", 0 … 1
expected_disclosure   ZEBRA, population: D_ECE, in bits
worst_case_log10      ZEBRA, individual: the strongest evidence, as the power of ten of its likelihood ratio
evidence_category     ZEBRA: its letter, 0 and A … F

The measures take scores float [N], higher for more alike, same_speaker bool [N], and weights float [N], how often each
pair counts (once by default); they raise InputError as `verification.equal_error_rate` does, and can be given to
`verification.bootstrap`. The two kinds of pairs weigh the same, however many there are of each. All but `cllr` depend
on the order of the scores alone.

Calibration is by isotonic regression (pool adjacent violators, PAV): p(s), the probability of "same speaker" at even
prior odds, and the likelihood ratio LR(s) = p / (1 - p). It is fitted to the scores that it is measured on, which
favours the attacker a little, the more so the fewer pairs there are.

References: Brümmer & du Preez, "Application-independent evaluation of speaker detection", Computer Speech & Language
20, 2006 (Cllr). Maouche et al., "A comparative study of speech anonymization metrics", Interspeech 2020, after
Gomez-Barrero et al., IEEE TIFS 13, 2018 (D_sys). Nautsch et al., "The privacy ZEBRA", Interspeech 2020.
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy
from sklearn.isotonic import isotonic_regression

from porcupine.errors import InputError
from porcupine.privacy.verification import score_histograms

CATEGORIES = {"0": 0, "A": 1, "B": 2, "C": 4, "D": 5, "E": 6, "F": np.inf}
"""Letter -> greatest power of ten of the likelihood ratio."""


def cllr(scores: np.ndarray, same_speaker: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean of log2(1 + 1/LR) over same-speaker pairs and of log2(1 + LR) over the others, halved: bits a decision.

    scores : float [N], natural logarithms of likelihood ratios LR.
    0 for certainty that is right, 1 for scores of 0, without limit for certainty that is wrong.
    """
    values, same, different = score_histograms(scores, same_speaker, weights)
    kinds = [
        np.average(np.logaddexp(0, sign * values[kind > 0]), weights=kind[kind > 0])
        for sign, kind in ((-1, same), (1, different))
    ]
    return float(np.mean(kinds) / np.log(2))


def min_cllr(scores: np.ndarray, same_speaker: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Cllr of the scores calibrated by PAV, in bits: 0 where they separate the kinds, 1 where they say nothing."""
    same, different = _shares(*score_histograms(scores, same_speaker, weights)[1:])
    p = _posterior(same, different)
    return float(-np.sum(xlogy(same, p) + xlogy(different, 1 - p)) / (2 * np.log(2)))


def linkability(
    scores: np.ndarray, same_speaker: np.ndarray, weights: np.ndarray | None = None, *, prior_ratio: float = 1.0
) -> float:
    """D_sys, the mean over same-speaker pairs of D(s) = max(0, 2 w LR(s) / (1 + w LR(s)) - 1), from histograms.

    prior_ratio : w, prior odds of "same speaker".
    Bins hold equal parts of both kinds together, each kind counted as half; there are 2 n^(1/3) of them, for n pairs of
    the rarer kind. Chance differences within a bin count as evidence, which lifts low values: where nothing is linked,
    to 0.08 for n = 100, 0.03 for 1000 and 0.014 for 10 000 independent pairs. Width of the bins lowers high values, of
    Gaussian scores by less than 0.01. LR need not rise with the score.
    """
    if not prior_ratio > 0:
        raise InputError(f"prior_ratio={prior_ratio}, should be > 0")
    _, same, different = score_histograms(scores, same_speaker, weights)
    n_bins = 2 * int(np.ceil(np.cbrt(min(same.sum(), different.sum()))))
    same, different = _shares(same, different)
    share = (same + different) / 2
    place = np.minimum((np.cumsum(share) - share / 2) * n_bins, n_bins - 1).astype(int)
    same, different = (np.bincount(place, weights=kind, minlength=n_bins) for kind in (prior_ratio * same, different))
    both = same + different
    gain = np.divide(same - different, both, where=both > 0, out=np.zeros(n_bins))
    return float(np.sum(same * np.maximum(gain, 0)) / prior_ratio)


def expected_disclosure(scores: np.ndarray, same_speaker: np.ndarray, weights: np.ndarray | None = None) -> float:
    """ZEBRA's D_ECE: by how many bits calibrated scores lower the cross-entropy, averaged over all priors π in 0 … 1.

    D_ECE = ∫ (H(π) - ECE(π)) dπ, where H(π) = -π log2 π - (1-π) log2(1-π) and, with prior odds o = π / (1-π),
    ECE(π) = π mean_same log2(1 + 1/(o LR)) + (1-π) mean_different log2(1 + o LR).
    The integral is solved: 1/2 - mean_same A(LR) - mean_different A(1/LR) nats, A(x) = (x - 1 - ln x) / (2 (x-1)^2).
    0 where scores say nothing, 1 / ln 4 = 0.721 bits where they separate the kinds.
    """
    same, different = _shares(*score_histograms(scores, same_speaker, weights)[1:])
    p = _posterior(same, different)
    cost = sum(kind[kind > 0] @ _cost(q[kind > 0]) for kind, q in ((same, p), (different, 1 - p)))
    return float((0.5 - cost) / np.log(2))


def worst_case_log10(scores: np.ndarray, same_speaker: np.ndarray, weights: np.ndarray | None = None) -> float:
    """ZEBRA's strength of evidence: the greatest |log10 LR(s)| of calibrated scores.

    The highest score is nearly always of the same speaker, which would make its ratio infinite. As in the rule of
    succession, a score above all others is added with the weight of one different-speaker pair for either kind, and one
    below with that of one same-speaker pair, so that n pairs cannot show more than a ratio of n + 1. The authors' code
    adds one pair of each kind at both ends: nearly the same, but constant scores pass for evidence where there are more
    pairs of one kind. The value belongs to these pairs; it grows with their number, so no interval makes it general.
    """
    _, same, different = score_histograms(scores, same_speaker, weights)
    low, high = 1 / same.sum(), 1 / different.sum()
    same, different = (np.concatenate([[low], kind, [high]]) for kind in _shares(same, different))
    p = _posterior(same, different)
    return float(np.abs(np.log10(p / (1 - p))).max())


def evidence_category(log10_ratio: float) -> str:
    """Letter of a strength of evidence: 0 for none, A up to a ratio of 10, B 100, C 10^4, D 10^5, E 10^6, F beyond."""
    if not log10_ratio >= 0:
        raise InputError(f"log10_ratio={log10_ratio}, should be >= 0, as worst_case_log10 gives it")
    return next(letter for letter, greatest in CATEGORIES.items() if log10_ratio <= greatest + 1e-9)


def _shares(same: np.ndarray, different: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return same / same.sum(), different / different.sum()


def _posterior(same: np.ndarray, different: np.ndarray) -> np.ndarray:
    """PAV: p [V], rising, of weights [V] of equal sums."""
    both = same + different
    return isotonic_regression(same / both, sample_weight=both, y_min=0, y_max=1)


def _cost(p: np.ndarray) -> np.ndarray:
    """A(x) at x = p / (1 - p): the integral over π of π ln(1 + (1-π) / (π x)), for p > 0."""
    t = 2 * p - 1
    near = np.abs(t) < 1e-4
    far = np.where(near, 1.0, t)
    exact = (1 - p) * (far - xlogy(1 - p, p) + xlogy(1 - p, 1 - p)) / (2 * far**2)
    return np.where(near, (1 - t) * (1 - t / 3 + t**2 / 3) / 4, exact)
