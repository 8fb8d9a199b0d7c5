"""Similarity-rank disclosure: what it tells an attacker that a speaker ranks k-th of N by similarity.

An attacker who knows nothing finds the true speaker at each rank with probability 1/N. Where it is p_k instead, rank k
discloses ε_k = log2 N + log2 p_k bits (Bäckström et al., arXiv 2508.05250).

    histogram_shares  ranks -> p_k, as counted
    fitted_shares     ranks -> p_k of the likeliest beta-binomial, where probes are scarce
    rank_bits         p_k -> ε_k
    mean_bits         p_k -> Σ p_k ε_k, the divergence from ranks of no information
    worst_bits        p_k -> max ε_k
    rank_table        trials -> shares of rank 1, 2, 3 … 5, 6 … 10, 11 … 20, …, with intervals over speakers
    rank_disclosure   trials -> mean and worst bits of the beta-binomial, with intervals over speakers

Both estimates err, with P probes. The histogram is pessimistic: it takes chance for knowledge. Its mean is too high by
up to (N-1) / (2 P ln 2) bits, and its maximum is never below log2(N/P), even if the attacker guesses. The beta-binomial
has two parameters and hardly any such bias, but its shape is assumed: where the first rank is likelier than a smooth
curve through the other ranks would have it (some speakers are found at once, the others not at all) it is optimistic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import betaln, digamma
from scipy.stats import betabinom
from threadpoolctl import threadpool_limits

from porcupine.errors import InputError
from porcupine.privacy import attackers
from porcupine.privacy.attackers import Ranks, Trials, top_n_rate

FITS = 50  # draws of the speakers behind an interval of the beta-binomial
_LOG_BOUNDS = (-12.0, 14.0)  # of the parameters of the beta-binomial


def histogram_shares(ranks: Ranks, n_speakers: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Share of the probes whose speaker has each rank, float [N]; one that ties is spread evenly over the ranks.

    n_speakers : N, enrolled speakers. weights : float [P], how often each probe counts; once by default.
    Raises InputError where there are no ranks, some lie beyond N, or no probe counts.
    """
    above, tied = np.asarray(ranks.above), np.asarray(ranks.tied)
    if above.shape != tied.shape or above.ndim != 1 or not len(above):
        raise InputError(
            f"ranks have shapes {above.shape} and {tied.shape}, should be vectors of one length, not empty"
        )
    last = above + tied
    if min(above.min(), tied.min()) < 0 or last.max() >= n_speakers:
        raise InputError(f"ranks reach {last.max() + 1}, beyond the n_speakers={n_speakers} that are enrolled")
    weights = np.ones(len(above)) if weights is None else np.asarray(weights)
    if weights.shape != above.shape or not (weights >= 0).all() or not weights.any():
        raise InputError(
            f"weights of shape {weights.shape} should be >= 0, not all 0, one for each of {len(above)} ranks"
        )
    shares = np.zeros(n_speakers)
    for size in np.unique(tied):
        some = tied == size
        starts, ends = (
            np.bincount(edge[some], weights=weights[some], minlength=n_speakers + 1) for edge in (above, last + 1)
        )
        shares += np.cumsum(starts - ends)[:-1].clip(0) / (size + 1)
    return shares / weights.sum()


def fitted_shares(ranks: Ranks, n_speakers: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Probability of each rank under the beta-binomial of greatest likelihood, float [N]. See `histogram_shares`."""
    shares = histogram_shares(ranks, n_speakers, weights)
    return _law(_fit(shares, np.zeros(2)), n_speakers) if n_speakers > 1 else shares


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


def rank_table(trials: Sequence[Trials], weights: np.ndarray) -> pd.DataFrame:
    """Histogram of the ranks of the true speaker over R repeats, in ranges of ranks that grow in steps of 1, 2, 5, 10.

    trials, weights : see `attackers.rate_table`.
    Returns a row for each range: first_rank, last_rank, share (its sum is 1), low, high (95 % over resampled speakers
    and repeats together), chance, that of an attacker who knows nothing.
    """
    weights = attackers._with_ones(trials, weights)
    n_speakers = weights.shape[1]
    last = [step * 10**power for power in range(len(str(n_speakers))) for step in (1, 2, 5)]
    last = [*(rank for rank in last if 2 * rank <= n_speakers), n_speakers]
    found = []
    for one in trials:
        ranks = one.identification()
        up_to = [np.zeros(len(one.row)), *(top_n_rate(ranks, rank) for rank in last)]
        found.append(attackers._means(one, dict(zip(last, np.diff(up_to, axis=0), strict=True)), weights))
    rows = []
    for first, rank in zip([1, *(rank + 1 for rank in last)], last, strict=False):
        share, low, high = attackers._estimate([one[rank] for one in found])
        chance = (rank - first + 1) / n_speakers
        rows.append(
            {"first_rank": first, "last_rank": rank, "share": share, "low": low, "high": high, "chance": chance}
        )
    return pd.DataFrame(rows)


def rank_disclosure(trials: Sequence[Trials], weights: np.ndarray) -> pd.DataFrame:
    """Disclosure by the rank, from the beta-binomial fitted to the ranks of each of R repeats, in bits.

    trials, weights : see `attackers.rate_table`; of the draws, the first `FITS` are fitted.
    Returns rows rank_mean_bits and rank_worst_bits: figure, value, low, high (95 %), chance.
    """
    weights = attackers._with_ones(trials, weights)[: FITS + 1]
    n_speakers = weights.shape[1]
    found = []
    for one in trials:
        ranks, logs, laws = one.identification(), np.zeros(2), []
        with threadpool_limits(1):  # with two parameters, threads would wait for one another
            for drawn in weights:
                logs = _fit(histogram_shares(ranks, n_speakers, drawn[one.target]), logs)
                laws.append(_law(logs, n_speakers))
        found.append(np.array(laws))
    rows = [
        {"figure": figure} | attackers._estimate([bits(shares) for shares in found])._asdict() | {"chance": 0.0}
        for figure, bits in (("rank_mean_bits", mean_bits), ("rank_worst_bits", worst_bits))
    ]
    return pd.DataFrame(rows)


def _fit(shares: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Logarithms of the parameters of the likeliest beta-binomial, float [2]. shares : float [N], N > 1."""
    seen = np.flatnonzero(shares)
    weights, below, trials = shares[seen], len(shares) - 1 - seen, len(shares) - 1

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        a, b = np.exp(logs)
        likelihood = weights @ betaln(seen + a, below + b) - betaln(a, b)
        common = digamma(a + b) - digamma(trials + a + b)
        slope = [
            a * (weights @ digamma(seen + a) - digamma(a) + common),
            b * (weights @ digamma(below + b) - digamma(b) + common),
        ]
        return -likelihood, -np.array(slope)

    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[_LOG_BOUNDS] * 2).x


def _law(logs: np.ndarray, n_speakers: int) -> np.ndarray:
    return betabinom.pmf(np.arange(n_speakers), n_speakers - 1, *np.exp(logs))
