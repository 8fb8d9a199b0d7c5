"""Randomised response: report the code with noise, so that even a code that one speaker has alone says little.

    randomise            codes -> reports: the true code with probability e^ε / (e^ε + K - 1), else any other one
    keep_probability     that probability, which is also the accuracy kept
    disclosure           shares of the codes -> bits that a report discloses, average and worst case, exactly
    true_counts          counts of reports -> unbiased counts of the true codes, with their variance
    added_distortion     shares, codebook -> distortion that the noise adds, exactly

A report changes the odds between any two codes by at most e^ε (local differential privacy; ε in nats): nobody discloses
more than ε log2 e bits, whatever the shares of the codes. ε = 0 reports noise, ε = inf the code itself.

Report once and keep the report: n fresh ones of the same code change the odds by up to e^(n ε).

Warner, "Randomized response", JASA 1965; Kairouz, Bonawitz & Ramage, "Discrete distribution estimation under local
privacy", ICML 2016 (K-ary). Shares are probabilities [K]: counts over their sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from porcupine.errors import InputError
from porcupine.privacy.occupancy import count_codes


@dataclass(frozen=True)
class Disclosure:
    """What a report says about the code, in bits.

    average : mutual information. worst : the most that any report raises the log2 probability of any code, and so of a
    speaker; `inf` for ε = inf where a code is empty, as without noise.
    """

    average: float
    worst: float


def keep_probability(n_codewords: int, epsilon: float) -> float:
    """Probability that the report is the true code: 1/K for ε = 0, 1 for ε = inf."""
    return _chances(n_codewords, epsilon)[0]


def randomise(codes: np.ndarray, n_codewords: int, epsilon: float, rng: np.random.Generator) -> np.ndarray:
    """Report codes with noise. int [N] in 0 … K-1 -> int [N] in 0 … K-1.

    Raises InputError where a code is outside 0 … K-1, on fewer than two codewords, or a negative ε.
    """
    keep, _ = _chances(n_codewords, epsilon)
    codes = np.asarray(codes)
    count_codes(codes, n_codewords)
    step = rng.integers(1, n_codewords, codes.shape)
    return np.where(rng.random(codes.shape) < keep, codes, (codes + step) % n_codewords)


def disclosure(shares: np.ndarray, epsilon: float) -> Disclosure:
    """Bits that one report discloses about the code, hence about the speaker. shares : float [K], sum 1."""
    shares = _check(shares)
    keep, other = _chances(len(shares), epsilon)
    reported = other + (keep - other) * shares
    noise = _entropy(np.append(np.full(len(shares) - 1, other), keep))
    with np.errstate(divide="ignore"):
        worst = np.log2(keep / reported.min())
    return Disclosure(average=max(_entropy(reported) - noise, 0.0), worst=float(worst))


def true_counts(reported: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Estimate how many samples have each code from the counts of their reports.

    reported : int [K]. Returns the estimate, float [K], unbiased (so it may be below 0) and of the same sum, and its
    variance, float [K], unbiased too: that of the noise, the samples being given.
    Raises InputError for ε = 0, where reports say nothing.
    """
    reported = np.asarray(reported)
    keep, other = _chances(len(reported), epsilon)
    if not keep > other:
        raise InputError(
            f"epsilon={epsilon}: the reports are noise, nothing can be estimated from them; take more than 0"
        )
    n_samples = reported.sum()
    estimate = (reported - n_samples * other) / (keep - other)
    variance = (reported * (1 - keep - other) + n_samples * keep * other) / (keep - other) ** 2
    return estimate, variance


def added_distortion(shares: np.ndarray, codebook: np.ndarray, epsilon: float) -> float:
    """Mean squared distance between the codewords of code and report, a dimension, in squared embedding units.

    shares : float [K], sum 1; codebook : float [K, D]. The distortion grows by exactly this where each codeword is the
    mean of the samples with its code.
    """
    shares = _check(shares)
    codebook = np.asarray(codebook, dtype=np.float64)
    if codebook.ndim != 2 or len(codebook) != len(shares):
        raise InputError(f"codebook has shape {codebook.shape}, should be [K={len(shares)}, D]")
    _, other = _chances(len(shares), epsilon)
    centered = codebook - codebook.mean(axis=0)
    squares = (centered**2).mean(axis=1)
    return float(other * (len(shares) * shares @ squares + squares.sum()))


def _chances(n_codewords: int, epsilon: float) -> tuple[float, float]:
    """Probabilities of reporting the true code, and each other one."""
    if n_codewords < 2:
        raise InputError(f"n_codewords={n_codewords}, should be >= 2: a single code says nothing")
    if not epsilon >= 0:
        raise InputError(f"epsilon={epsilon}, should be >= 0: 0 reports noise, inf the code itself")
    odds = float(np.exp(-epsilon))
    keep = 1 / (1 + (n_codewords - 1) * odds)
    return keep, keep * odds


def _check(shares: np.ndarray) -> np.ndarray:
    shares = np.asarray(shares, dtype=np.float64)
    if shares.ndim != 1 or not (shares >= 0).all() or not np.isclose(shares.sum(), 1):
        raise InputError(f"shares of shape {shares.shape} sum to {shares.sum()}, should be [K], >= 0 and sum to 1")
    return shares


def _entropy(shares: np.ndarray) -> float:
    return float(-np.sum(shares * np.log2(shares, where=shares > 0, out=np.zeros_like(shares))))
