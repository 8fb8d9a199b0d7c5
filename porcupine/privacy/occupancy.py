"""Occupancy: how evenly codes are used, and what a rare code discloses.

With g(k) of M samples on code k of K, and everything in bits:

    kl_bits              KL divergence of the histogram of the counts from Binomial(M, 1/K)
    worst_case_bits      -log2(min g / M); infinite where a code is empty
    worst_case_plus_one_bits  the published variant -log2((min g + 1) / M), which hides empty codes
    average_bits         entropy of g / M
    sparseness           ||g||_2 / ||g||_1
    std                  sqrt(mean (g - M/K)^2)
    excess_variance      squared relative spread of the cell probabilities, sampling noise removed

All take counts int [..., K] and return float [...]. Notation: Vali & Bäckström, "Privacy PORCUPINE", Interspeech 2024,
section 3; `porcupine.privacy.floors` tells what perfectly uniform codes would give.

The KL is *not* smallest for a flat histogram: a sample of uniform codes is binomial, not flat. Read it beside its
floor.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from porcupine.errors import InputError


def count_codes(codes: np.ndarray, n_codewords: int) -> np.ndarray:
    """Histogram of codes over 0 … K-1, end codes that are unused included.

    codes : int [..., N]. Returns int64 [..., K].
    Raises InputError where a code is outside 0 … K-1.
    """
    codes = np.asarray(codes)
    if codes.size == 0:
        raise InputError(f"codes of shape {codes.shape} hold nothing to count")
    if not np.issubdtype(codes.dtype, np.integer):
        raise InputError(f"codes have dtype {codes.dtype}, should be integers")
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or high >= n_codewords:
        raise InputError(f"codes run from {low} to {high}, should lie in 0 … K-1={n_codewords - 1}")
    rows = codes.reshape(-1, codes.shape[-1]).astype(np.int64)
    shifted = rows + n_codewords * np.arange(len(rows))[:, None]
    counts = np.bincount(shifted.ravel(), minlength=n_codewords * len(rows))
    return counts.reshape(*codes.shape[:-1], n_codewords)


def kl_bits(counts: np.ndarray) -> np.ndarray:
    """KL divergence, in bits, of the histogram of the counts from Binomial(M, 1/K). Always finite."""
    counts, n_samples = _check(counts)
    n_codewords = counts.shape[-1]
    rows = counts.reshape(-1, n_codewords)
    keys = rows + (rows.max() + 1) * np.arange(len(rows))[:, None]
    _, index, multiplicity = np.unique(keys, return_inverse=True, return_counts=True)
    observed_log2 = np.log2(multiplicity[index.reshape(rows.shape)] / n_codewords)
    expected_log2 = binom.logpmf(rows, n_samples.reshape(-1, 1), 1 / n_codewords) / np.log(2)
    return (observed_log2 - expected_log2).mean(axis=-1).reshape(counts.shape[:-1])


def worst_case_bits(counts: np.ndarray) -> np.ndarray:
    """Disclosure of the rarest code, -log2(min g / M), in bits; infinite where a code is empty."""
    counts, n_samples = _check(counts)
    with np.errstate(divide="ignore"):
        return -np.log2(counts.min(axis=-1) / n_samples)


def worst_case_plus_one_bits(counts: np.ndarray) -> np.ndarray:
    """The published worst case, -log2((min g + 1) / M), in bits: finite even where a code is empty."""
    counts, n_samples = _check(counts)
    return -np.log2((counts.min(axis=-1) + 1) / n_samples)


def average_bits(counts: np.ndarray) -> np.ndarray:
    """Average disclosure: the entropy of g / M, in bits, at most log2 K."""
    counts, n_samples = _check(counts)
    share = counts / n_samples[..., None]
    return -np.sum(share * np.log2(share, where=share > 0, out=np.zeros_like(share)), axis=-1)


def sparseness(counts: np.ndarray) -> np.ndarray:
    """||g||_2 / ||g||_1: 1/sqrt(K) where flat, 1 where one code takes all."""
    counts, n_samples = _check(counts)
    return np.sqrt(np.sum(counts.astype(np.float64) ** 2, axis=-1)) / n_samples


def std(counts: np.ndarray) -> np.ndarray:
    """Root mean square deviation of the counts from M/K, in samples (the paper prints 1/M; its numbers need 1/K)."""
    counts, n_samples = _check(counts)
    return np.sqrt(np.mean((counts - n_samples[..., None] / counts.shape[-1]) ** 2, axis=-1))


def excess_variance(counts: np.ndarray, *, design_effect: float = 1.0) -> np.ndarray:
    """Squared relative spread of the K cell probabilities: sampling noise is subtracted, so it may be below 0.

    design_effect : how much wider the counts scatter than those of independent samples (`floors.design_effect`).
    Unbiased for independent samples.
    """
    counts, n_samples = _check(counts)
    n_codewords = counts.shape[-1]
    noise = design_effect * n_samples / n_codewords * (1 - 1 / n_codewords)
    return n_codewords**2 * (std(counts) ** 2 - noise) / (n_samples * (n_samples - 1.0))


def sampling_limit_cv(n_codewords: int, n_train: int) -> float:
    """The cv that a code calibrated on N_train independent samples cannot beat: sqrt((K-1) / N_train)."""
    return float(np.sqrt((n_codewords - 1) / n_train))


def n_empty(counts: np.ndarray) -> np.ndarray:
    """How many codes nobody has."""
    counts, _ = _check(counts)
    return (counts == 0).sum(axis=-1)


METRICS = {
    "kl_bits": kl_bits,
    "worst_case_bits": worst_case_bits,
    "worst_case_plus_one_bits": worst_case_plus_one_bits,
    "average_bits": average_bits,
    "sparseness": sparseness,
    "std": std,
    "n_empty": n_empty,
}


def _check(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    counts = np.asarray(counts)
    if counts.ndim < 1 or counts.shape[-1] < 2:
        raise InputError(f"counts have shape {counts.shape}, should be [..., K] with K >= 2 codewords")
    if not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise InputError(f"counts of dtype {counts.dtype} should be integers >= 0: pass them through count_codes")
    counts = counts.astype(np.int64)
    n_samples = counts.sum(axis=-1)
    if (n_samples < 2).any():
        raise InputError(f"counts sum to {n_samples.min()}, need at least 2 samples")
    return counts, n_samples
