"""Sampling floors: what perfectly uniform codes would show in a sample of this size.

A histogram is never flat, even of uniform codes. Each function draws S histograms int [S, K] of uniform codes, to be
put through the same metrics as the measured one:

    binomial     M independent samples over K equally likely codes
    calibrated   the code's thresholds were set on N_train samples, so its cells are as equal as that sample allows:
                 p ~ Dirichlet(N_train/K, …), counts ~ Multinomial(M, p), hence E[chi2 / (K-1)] ≈ 1 + M/N_train (Pólya)
    clustered    both, for samples that come several from one speaker and fall together, which raises the floors

For `clustered`, `codes` and `speakers` of the measured sample tell how much: each speaker's codes are shifted by a
random amount (modulo K), which makes every code equally likely and leaves each speaker's samples together as they are.
`design_effect` is what that does to the variance of the counts.
"""

from __future__ import annotations

import numpy as np

from porcupine.errors import InputError


def binomial(n_samples: int, n_codewords: int, *, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Histograms of M independent samples of K equally likely codes. Returns int [S, K]."""
    return rng.multinomial(n_samples, np.full(n_codewords, 1 / n_codewords), size=draws)


def calibrated(n_samples: int, n_codewords: int, n_train: float, *, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Histograms of M independent samples of a code calibrated on N_train independent others. Returns int [S, K]."""
    return rng.multinomial(n_samples, _cells(n_codewords, n_train, draws, rng))


def clustered(
    codes: np.ndarray,
    speakers: np.ndarray,
    n_codewords: int,
    *,
    draws: int,
    rng: np.random.Generator,
    n_train: float | None = None,
) -> np.ndarray:
    """Histograms of uniform codes whose samples keep together by speaker as the given ones do.

    codes : int [M], speakers : int or str [M].
    n_train : samples behind the calibration, in independent equivalents (over `design_effect`); None for exact cells.
    Returns int [S, K].
    """
    codes, speakers = np.asarray(codes), np.asarray(speakers)
    if codes.shape != speakers.shape or codes.ndim != 1:
        raise InputError(f"codes {codes.shape} and speakers {speakers.shape} should be vectors of one length")
    _, speaker = np.unique(speakers, return_inverse=True)
    edges = None if n_train is None else np.cumsum(_cells(n_codewords, n_train, draws, rng), axis=1)
    counts = np.empty((draws, n_codewords), dtype=np.int64)
    for draw in range(draws):
        shift = rng.random(speaker.max() + 1)[speaker] * n_codewords
        place = (codes + shift) % n_codewords
        if edges is None:
            moved = place.astype(np.int64)
        else:
            moved = np.searchsorted(edges[draw], place / n_codewords, side="right")
        counts[draw] = np.bincount(np.minimum(moved, n_codewords - 1), minlength=n_codewords)
    return counts


def design_effect(histograms: np.ndarray) -> float:
    """By how much clustering raises the variance of the counts over independent sampling; 1 where it does not.

    histograms : int [S, K], as `clustered` draws them with exact cells.
    """
    n_samples, n_codewords = int(histograms[0].sum()), histograms.shape[1]
    independent = n_samples / n_codewords * (1 - 1 / n_codewords)
    return float(np.mean((histograms - n_samples / n_codewords) ** 2) / independent)


def _cells(n_codewords: int, n_train: float, draws: int, rng: np.random.Generator) -> np.ndarray:
    return rng.dirichlet(np.full(n_codewords, n_train / n_codewords), size=draws)
