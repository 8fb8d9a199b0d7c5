"""Cells of one share: what `balanced`, `curve` and `tree` are made of, and what `kmeans` borrows.

    Geometry       the part of the training samples that shapes the cells, of unit variance
    anneal         Lloyd's algorithm with equal cells, the memberships soft at first -> sites and weights
    calibrate      the weights that give each site one share of all samples, exactly or smoothed
    cell_means     the codebook: mean of the samples of each code
    typical_lead   the yardstick of temperatures

Weights can be set so that each cell holds N/K training samples exactly, or on smoothed memberships: a sample near a
border then counts for both sides. Smoothing estimates the probability of a cell with less variance, so the codes of
*new* speakers are more even, even than the sampling limit of exact cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from porcupine.quantizers import power
from porcupine.quantizers.base import Quantizer, global_scale, nearest_codewords
from porcupine.quantizers.samples import Samples

GEOMETRY_SAMPLES = 2**17
"""Of the training samples, so many at most shape the cells; all of them set weights, thresholds and codewords."""

SMOOTHING = 0.3
"""Temperature of the memberships that set the final weights, in typical leads of the best site over the next."""

_NEIGHBOURS = 64
_CANDIDATES = 16
_LEAD_SAMPLES = 8192
_EARLY_SAMPLES = 512  # a cell; so many are enough for the first rounds
_ROUNDS = 20, 4  # on those, and on all
_FIRST_TEMPERATURE = 2.0  # in typical leads
_LAST_TEMPERATURE = 4.0, 0.1, 0.7  # over the root of a cell's samples, at least, at most
_COOLER = 1.0, 0.3, 0.1, 0.01  # one attempt after the other, while sites merge, which no weights can part
_UNEVEN = 3.0  # times the root of its share, a smoothed cell's size may be off at most, if cooling helps
_ATTEMPTS = 8
_FEW = 8  # samples a cell, fewer of which are not smoothed over
_TINY = 1e-6
_RELAXATION = 1.4  # of the fixed-point steps of the weights

SitesOf = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(sums [K, D], sizes [K]) of the cells -> sites float32 [K, D] and offsets [K] that add to their costs."""


@dataclass(frozen=True)
class Geometry:
    """Training samples moved to mean 0 and unit variance, and how to move back.

    vectors : float32 [n, D]; center : float32 [D] and scale, in embedding units.
    """

    vectors: np.ndarray
    center: np.ndarray
    scale: float

    @classmethod
    def of(cls, samples: Samples, rng: np.random.Generator) -> Geometry:
        """At most GEOMETRY_SAMPLES of the samples. Raises InputError where all are equal."""
        drawn = samples.draw(GEOMETRY_SAMPLES, rng)
        scale = global_scale(drawn)
        center = drawn.mean(axis=0, dtype=np.float64).astype(np.float32)
        return cls((drawn - center) / np.float32(scale), center, scale)

    def blocks(self, samples: Samples) -> Iterator[np.ndarray]:
        """All samples, moved likewise, in blocks float32 [n, D]."""
        for _, block in samples.blocks(entries=GEOMETRY_SAMPLES * samples.shape[1]):
            yield (block - self.center) / np.float32(self.scale)

    def sites(self, sites: np.ndarray) -> np.ndarray:
        """Sites in embedding units, float32."""
        return (sites * np.float32(self.scale) + self.center).astype(np.float32)


def anneal(
    vectors: np.ndarray, codes: np.ndarray, n_sites: int, rng: np.random.Generator, sites_of: SitesOf | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm with cells of one size, memberships soft at first, which finds better optima.

    The fewer samples a cell holds the softer they stay: cells that follow single samples are less even for new ones.

    vectors : float32 [N, D]; codes : int [N], the cells to start from, of about one size.
    sites_of : where the sites of given cells lie; at the means, if None.
    Returns sites float32 [K, D] and weights float64 [K] (offsets taken off), the weights not settled yet.
    """
    for cooler in _COOLER:
        sites, weights = _anneal(vectors, codes, n_sites, rng, sites_of or _means, cooler)
        if np.bincount(nearest_codewords(vectors, sites, weights), minlength=n_sites).all():
            break
    return sites, weights


def _anneal(
    vectors: np.ndarray, codes: np.ndarray, n_sites: int, rng: np.random.Generator, sites_of: SitesOf, cooler: float
) -> tuple[np.ndarray, np.ndarray]:
    factor, least, most = _LAST_TEMPERATURE
    first, last = _FIRST_TEMPERATURE, min(max(factor * np.sqrt(n_sites / len(vectors)), least), most)
    first, last = cooler * first, cooler * last
    ladder = first * (last / first) ** np.linspace(0, 1, _ROUNDS[0])
    n_early = _EARLY_SAMPLES * n_sites
    if n_early >= len(vectors):
        return _rounds(vectors, codes, n_sites, sites_of, None, np.append(ladder, [last] * _ROUNDS[1]))
    early = np.sort(rng.choice(len(vectors), n_early, replace=False))
    sites, weights = _rounds(vectors[early], codes[early], n_sites, sites_of, None, ladder)
    codes = nearest_codewords(vectors, sites, weights)
    return _rounds(vectors, codes, n_sites, sites_of, (sites, weights), np.full(_ROUNDS[1], last))


def _means(sums: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (sums / np.maximum(sizes, _TINY)[:, None]).astype(np.float32), np.zeros(len(sizes))


def _rounds(
    vectors: np.ndarray,
    codes: np.ndarray,
    n_sites: int,
    sites_of: SitesOf,
    state: tuple[np.ndarray, np.ndarray] | None,
    temperatures: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    share = len(vectors) / n_sites
    means, sizes = power.group_means(vectors, codes, n_sites)
    sites, offsets = sites_of(means * sizes[:, None], sizes)
    weights = -offsets
    if state:
        sites, weights = state
    lead = typical_lead(vectors, codes, sites, weights)
    for temperature in lead * temperatures:
        costs, candidates = power.neighbour_costs(vectors, codes, sites, weights, _NEIGHBOURS)
        costs, candidates = power.best_candidates(costs, candidates, weights, _CANDIDATES)
        for _ in range(2):
            _, sizes, _ = power.memberships(costs, candidates, weights, temperature)
            weights = weights + _RELAXATION * temperature * np.log(share / np.maximum(sizes, 1e-3 * share))
        soft, sizes, _ = power.memberships(costs, candidates, weights, temperature)
        codes = power.lowest(costs, candidates, weights)
        ends = np.arange(0, candidates.size + 1, candidates.shape[1])
        members = csr_matrix((soft.ravel(), candidates.ravel(), ends), shape=(len(vectors), n_sites))
        sites, moved = sites_of(members.T @ vectors, sizes)
        weights = weights + offsets - moved
        offsets = moved
    return sites, weights - weights.mean()


def typical_lead(vectors: np.ndarray, codes: np.ndarray, sites: np.ndarray, weights: np.ndarray) -> float:
    """Median lead of the best site over the next, in squared units: the yardstick of temperatures."""
    part = slice(0, len(vectors), max(1, len(vectors) // _LEAD_SAMPLES))
    return _lead(*power.neighbour_costs(vectors[part], codes[part], sites, weights, _NEIGHBOURS), weights)


def _lead(costs: np.ndarray, candidates: np.ndarray, weights: np.ndarray, quantile: float = 0.5) -> float:
    if len(weights) < 2:
        return 1.0
    part = slice(0, len(costs), max(1, len(costs) // _LEAD_SAMPLES))
    two = np.partition(costs[part] - weights.astype(costs.dtype)[candidates[part]], 1, axis=1)
    return max(float(np.quantile(two[:, 1] - two[:, 0], quantile)), _TINY)


def calibrate(
    blocks: Callable[[], Iterator[np.ndarray]], sites: np.ndarray, weights: np.ndarray, *, exact: bool = False
) -> np.ndarray:
    """Weights [K] that give each site one share of the samples; see `fit_balanced`.

    Exact, too, where cells hold too few samples to be smoothed over, or are of such different extent that smoothing
    leaves them uneven, as long as all samples are in one block.

    blocks : called for each pass over the samples, float32 [n, D], centred (`Geometry.blocks`).
    sites : float32 [K, D]; weights : float [K], to start from; in the units of the blocks.
    """
    temperature = 0.0
    for _ in range(_ATTEMPTS):
        costs, candidates = _list_candidates(blocks(), sites, weights)
        share = len(costs) / len(sites)
        if not temperature:
            warmer, temperature = (SMOOTHING * _lead(costs, candidates, weights, q) for q in (0.99, 0.5))
        wanted = power.equalise(costs, candidates, weights, smoothing=(warmer, temperature)) - weights
        reach = _reach(costs, candidates, weights)
        weights = weights + np.clip(wanted, -reach, reach)
        sizes, n_blocks = np.zeros(len(sites), dtype=np.int64), 0
        for block in blocks():
            sizes += np.bincount(nearest_codewords(block, sites, weights), minlength=len(sites))
            n_blocks += 1
        even = bool(np.abs(sizes - share).max() <= _UNEVEN * np.sqrt(share))
        if even:
            break
        if np.abs(wanted).max() <= reach:  # not the lists: what suits most cells is too warm for a dense cluster
            warmer = temperature = temperature / 2
    if exact or (n_blocks == 1 and not (even and share >= _FEW)):
        return _settle(np.concatenate(list(blocks())), sites, weights, temperature)
    return weights


def _list_candidates(
    blocks: Iterator[np.ndarray], sites: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    parts = []
    for block in blocks:
        codes = nearest_codewords(block, sites, weights)
        near = power.neighbour_costs(block, codes, sites, weights, _NEIGHBOURS)
        parts.append(power.best_candidates(*near, weights, _CANDIDATES))
    costs, candidates = (np.concatenate(part) for part in zip(*parts, strict=True))
    return costs, candidates


def _reach(costs: np.ndarray, candidates: np.ndarray, weights: np.ndarray) -> float:
    """How far weights may move before sites that are not listed matter: half the typical lead over the last listed."""
    if costs.shape[1] == len(weights):
        return np.inf
    leads = costs - weights.astype(costs.dtype)[candidates]
    return 0.5 * float(np.median(np.ptp(leads, axis=1)))


def _settle(
    vectors: np.ndarray,
    sites: np.ndarray,
    weights: np.ndarray,
    temperature: float,
) -> np.ndarray:
    costs, candidates = _list_candidates(iter([vectors]), sites, weights)
    weights = power.equalise(costs, candidates, weights, smoothing=(temperature / 2, temperature / 16))
    fine = sites.astype(np.float64)
    low, high = len(vectors) // len(sites), -(-len(vectors) // len(sites))
    off = np.inf
    while True:  # until no sample has a better site than those near its present one, or equal samples stop it
        codes = nearest_codewords(vectors, sites, weights)
        sizes = np.bincount(codes, minlength=len(sites))
        before, off = off, float(np.maximum(low - sizes, sizes - high).clip(0).sum())
        if off == 0 or off >= before:
            return weights
        weights = power.settle(*power.neighbour_costs(vectors, codes, fine, weights, _NEIGHBOURS), weights)


def cell_means(samples: Samples, quantizer: Quantizer) -> np.ndarray:
    """Mean of the samples of each code, float32 [K, D]; where a code has none, its codeword as it is."""
    sums, sizes = np.zeros(quantizer.codebook.shape), np.zeros(quantizer.size, dtype=np.int64)
    for _, block in samples.blocks(entries=GEOMETRY_SAMPLES * samples.shape[1]):
        center = block.mean(axis=0)
        means, members = power.group_means(block - center, quantizer.encode(block), quantizer.size)
        sums += members[:, None] * (means.astype(np.float64) + center)
        sizes += members
    return np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], quantizer.codebook).astype(np.float32)
