"""Similarity-rank disclosure: what it tells an attacker that a speaker ranks k-th of N by similarity.

An attacker who knows nothing finds the true speaker at each rank with probability 1/N. Where it is p_k instead, rank k
discloses ε_k = log2 N + log2 p_k bits (Bäckström et al., arXiv 2508.05250).

    histogram_shares  ranks -> p_k, as counted
    fitted_shares     ranks -> p_k of the likeliest beta-binomial, where probes are scarce
    rank_bits         p_k -> ε_k
    mean_bits         p_k -> Σ p_k ε_k, the divergence from ranks of no information
    worst_bits        p_k -> max ε_k

Both estimates err, with P probes. The histogram is pessimistic: it takes chance for knowledge. Its mean is too high by
up to (N-1) / (2 P ln 2) bits, and its maximum is never below log2(N/P), even if the attacker guesses. The beta-binomial
has two parameters and hardly any such bias, but its shape is assumed: where the first rank is likelier than a smooth
curve through the other ranks would have it (some speakers are found at once, the others not at all) it is optimistic.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, digamma
from scipy.stats import betabinom

from porcupine.errors import InputError
from porcupine.privacy.attackers import Ranks

_LOG_BOUNDS = (-12.0, 14.0)  # of the parameters of the beta-binomial


def histogram_shares(ranks: Ranks, n_speakers: int) -> np.ndarray:
    """Share of the probes whose speaker has each rank, float [N]; one that ties is spread evenly over the ranks.

    n_speakers : N, enrolled speakers.
    Raises InputError where there are no ranks, or some lie beyond N.
    """
    above, tied = np.asarray(ranks.above), np.asarray(ranks.tied)
    if above.shape != tied.shape or above.ndim != 1 or not len(above):
        raise InputError(
            f"ranks have shapes {above.shape} and {tied.shape}, should be vectors of one length, not empty"
        )
    last = above + tied
    if min(above.min(), tied.min()) < 0 or last.max() >= n_speakers:
        raise InputError(f"ranks reach {last.max() + 1}, beyond the n_speakers={n_speakers} that are enrolled")
    shares = np.zeros(n_speakers)
    for size in np.unique(tied):
        some = tied == size
        steps = np.bincount(above[some], minlength=n_speakers + 1) - np.bincount(
            last[some] + 1, minlength=n_speakers + 1
        )
        shares += np.cumsum(steps)[:-1] / (size + 1)
    return shares / len(above)


def fitted_shares(ranks: Ranks, n_speakers: int) -> np.ndarray:
    """Probability of each rank under the beta-binomial of greatest likelihood, float [N]. See `histogram_shares`."""
    shares = histogram_shares(ranks, n_speakers)
    if n_speakers < 2:
        return shares
    seen = np.flatnonzero(shares)
    weights, below, trials = shares[seen], n_speakers - 1 - seen, n_speakers - 1

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        a, b = np.exp(logs)
        likelihood = weights @ betaln(seen + a, below + b) - betaln(a, b)
        common = digamma(a + b) - digamma(trials + a + b)
        slope = [
            a * (weights @ digamma(seen + a) - digamma(a) + common),
            b * (weights @ digamma(below + b) - digamma(b) + common),
        ]
        return -likelihood, -np.array(slope)

    a, b = np.exp(minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[_LOG_BOUNDS] * 2).x)
    return betabinom.pmf(np.arange(n_speakers), trials, a, b)


def rank_bits(shares: np.ndarray) -> np.ndarray:
    """Disclosure of each rank, log2 N + log2 p_k, in bits; -infinite for one that does not occur. [..., N] likewise."""
    with np.errstate(divide="ignore"):
        return np.log2(shares.shape[-1]) + np.log2(shares)


def mean_bits(shares: np.ndarray) -> np.ndarray:
    """Σ p_k ε_k over ranks that occur: 0 where the attacker knows nothing, log2 N where all are found. Float [...]."""
    bits = rank_bits(shares)
    return np.sum(np.multiply(shares, bits, where=shares > 0, out=np.zeros_like(bits)), axis=-1)


def worst_bits(shares: np.ndarray) -> np.ndarray:
    """Disclosure of the rank that tells most, max ε_k, in bits. Float [...]."""
    return rank_bits(shares).max(axis=-1)
