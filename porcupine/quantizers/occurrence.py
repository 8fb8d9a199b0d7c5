"""Occurrence normalisation: make every codeword equally likely.

A codeword used by one speaker in a thousand says more about them than one used by half. On a curve, cutting it where
equal shares of the samples fall gives codes that all disclose the same.

    resample_curve        each codeword the mean of N/K consecutive samples along the curve
    equal_shares          the weights of those means
    interval_thresholds   where along the curve one code ends and the next begins
    interval_codes        position along the curve -> code

Vali & Bäckström, "Privacy PORCUPINE", Interspeech 2024, section 3. Encoding by the nearest resampled codeword, as
published, does not keep the equal shares that the cut had; encoding by interval does.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from porcupine.errors import InputError


def resample_curve(rank: np.ndarray, projected: np.ndarray, n_codewords: int) -> np.ndarray:
    """Make each codeword the mean of N/K consecutive samples along the curve; boundary samples are shared by weight.

    rank : [N], rises along the curve; samples of equal rank keep their order (pass segments for the paper's
        result, which does not sort within one, and `Projection.rank` for the exact one).
    projected : float [N, D], the samples projected on the curve, in embedding units.
    n_codewords : int, K, 1 <= K <= N.
    Returns float32 [K, D], ordered along the curve.
    Raises InputError where K is outside 1 … N.
    """
    rank = _check(rank, n_codewords)
    if projected.ndim != 2 or len(projected) != len(rank):
        raise InputError(f"projected has shape {projected.shape}, should be [N={len(rank)}, D]")
    return (equal_shares(rank, n_codewords) @ projected).astype(np.float32)


def equal_shares(rank: np.ndarray, n_codewords: int) -> csr_matrix:
    """Return the weights of those means: sparse float64 [K, N], of which each row sums to 1; see `resample_curve`."""
    rank = _check(rank, n_codewords)
    order, place = np.argsort(rank, kind="stable"), np.arange(len(rank))
    ends = np.arange(1, n_codewords + 1) * (len(rank) / n_codewords)
    code = np.minimum(np.searchsorted(ends, place, side="right"), n_codewords - 1)
    inside = np.clip(ends[code] - place, 0, 1)  # goes to the code it begins in; the rest to the next
    inside[code == n_codewords - 1] = 1
    cut = np.flatnonzero(inside < 1)
    rows, columns = np.append(code, code[cut] + 1), np.append(order, order[cut])
    weights = np.append(inside, 1 - inside[cut]) * (n_codewords / len(rank))
    return csr_matrix((weights, (rows, columns)), shape=(n_codewords, len(rank)))


def interval_thresholds(rank: np.ndarray, n_codewords: int, wanted: np.ndarray | None = None) -> np.ndarray:
    """Cut the curve so that each interval holds N/K samples, give or take one: at order statistics of ``rank``.

    rank : float [N].
    wanted : [K-1], rising; ranks where cuts would be best, which is where they are made as far as sizes allow, also
        between samples.
    Returns float64 [K-1], not falling: code j starts at threshold j-1.
    Raises InputError where K is outside 1 … N.
    """
    rank = np.sort(_check(rank, n_codewords))
    if wanted is None:
        return rank[np.rint(np.arange(1, n_codewords) * (len(rank) / n_codewords)).astype(np.int64)]
    cuts = _cuts(np.searchsorted(rank, wanted), len(rank))
    return np.clip(wanted, np.nextafter(rank[cuts - 1], np.inf), rank[cuts])


def _cuts(wanted: np.ndarray, n_samples: int) -> np.ndarray:
    """The cuts nearest to the wanted ones, int [K-1], between which lie floor or ceil of N/K samples."""
    n_left = len(wanted)
    low, high = n_samples // (n_left + 1), -(-n_samples // (n_left + 1))
    cuts = np.empty(n_left, dtype=np.int64)
    before = 0
    for j, cut in enumerate(wanted):
        after = n_left - j
        least, most = max(before + low, n_samples - after * high), min(before + high, n_samples - after * low)
        before = cuts[j] = min(max(int(cut), least), most)
    return cuts


def interval_codes(rank: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Code of each rank: how many thresholds it has reached. float [N], float [K-1] -> int32 [N]."""
    return np.searchsorted(thresholds, rank, side="right").astype(np.int32)


def _check(rank: np.ndarray, n_codewords: int) -> np.ndarray:
    rank = np.asarray(rank)
    if rank.ndim != 1 or np.isnan(rank).any():
        raise InputError(f"rank has shape {rank.shape}, should be [N] without NaN")
    if not 1 <= n_codewords <= len(rank):
        raise InputError(
            f"n_codewords={n_codewords}, must be between 1 and N={len(rank)} samples: "
            "train on more speakers or ask for fewer bits"
        )
    return rank
