"""Cells of one share: what `balanced`, `curve` and `tree` are made of, and what `kmeans` borrows.

    Geometry       the part of the training samples that shapes the cells, of unit variance
    early_samples  enough of them for the first rounds
    Schedule       how many rounds, how warm
    anneal         Lloyd's algorithm with equal cells, the memberships soft at first -> sites and weights
    calibrate      the weights that give each site one share of all samples, exactly or smoothed
    cell_means     the codebook: mean of the samples of each code
    typical_lead   the yardstick of temperatures

Weights can be set so that each cell holds N/K training samples exactly, or on smoothed memberships: a sample near a
border then counts for both sides. Smoothing estimates the probability of a cell with less variance, so the codes of
*new* speakers are more even, even than the sampling limit of exact cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from porcupine.quantizers import power
from porcupine.quantizers.base import global_scale, nearest_codewords
from porcupine.quantizers.halving import halve
from porcupine.quantizers.samples import Samples
from porcupine.quantizers.settling import neighbour_costs, settle

GEOMETRY_SAMPLES = 2**17
"""Of the training samples, so many at most shape the cells; all of them set weights, thresholds and codewords."""

SMOOTHING = 0.3
"""Temperature of the memberships that set the final weights, in typical leads of the best site over the next."""

THIN = 32
"""Samples a cell, fewer of which are worth more care: each is a larger part of a cell, and the care costs less time."""

_NEIGHBOURS = 32
_EARLY_SAMPLES = 8192
_WIDER = 4, 8  # times as many to settle with: samples that had a better site than those listed make cells uneven
_FIRST_TEMPERATURE = 1.0  # in typical leads
_LAST_TEMPERATURE = 4.0, 0.1, 0.5  # over the root of a cell's samples, at least, at most
_COOLER = 1.0, 0.3, 0.1, 0.01  # one attempt after the other, while sites merge, which no weights can part
_UNEVEN = 3.0  # times the root of its share, a smoothed cell's size may be off at most, if cooling helps
_ATTEMPTS = 8, 4  # to calibrate, and roughly
_FEW = 8  # samples a cell, fewer of which are not smoothed over
_TINY = 1e-6
_STEPS = 3  # of the weights a round, and an attempt

Rule = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
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
        if len(samples) == len(self.vectors):
            yield self.vectors
            return
        for _, block in samples.blocks(entries=GEOMETRY_SAMPLES * samples.shape[1]):
            yield self.inside(block)

    def inside(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors in embedding units, moved likewise, float32."""
        return (vectors - self.center) / np.float32(self.scale)

    def sites(self, sites: np.ndarray) -> np.ndarray:
        """Sites in embedding units, float32."""
        return (sites * np.float32(self.scale) + self.center).astype(np.float32)


@dataclass(frozen=True)
class Schedule:
    """Rounds of `anneal`.

    early : samples a cell, besides 8192, that the first of them look at.
    rounds : so many on those, and on all.
    empty : share of the cells that may hold no sample in the end; else all begins again, cooler.
    further : temperatures of rounds at the end, in typical leads.
    """

    early: int = 128
    rounds: tuple[int, int] = (16, 8)
    empty: float = 0.0
    further: Sequence[float] = ()


def early_samples(vectors: np.ndarray, bits: int, rng: np.random.Generator, a_cell: int = Schedule.early) -> np.ndarray:
    """Vectors float32 [N, D] enough for the first rounds of K = 2^bits cells."""
    n_early = _EARLY_SAMPLES + a_cell * 2**bits
    return vectors if n_early >= len(vectors) else vectors[np.sort(rng.choice(len(vectors), n_early, replace=False))]


def anneal(
    vectors: np.ndarray,
    bits: int,
    rng: np.random.Generator,
    rule_of: Callable[[np.ndarray, np.ndarray], Rule] | None = None,
    schedule: Schedule = Schedule(),
) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm with cells of one size, memberships soft at first, which finds better optima.

    Starts from halves of halves of some of the samples. The fewer samples a cell holds the softer it stays: cells that
    follow single samples are less even for new ones.

    vectors : float32 [N, D], of unit variance.
    bits : log2 K.
    rule_of : samples and the leaves of their halving -> where the sites of given cells lie; at the means, if None.
    schedule : how many rounds, how warm.
    Returns sites float32 [K, D] and weights float64 [K], not settled yet.
    """
    n_sites, early = 2**bits, early_samples(vectors, bits, rng, schedule.early)
    leaf = halve(early, bits, rng)
    rule = rule_of(early, leaf) if rule_of else _means
    factor, least, most = _LAST_TEMPERATURE
    last = min(max(factor * np.sqrt(n_sites / len(vectors)), least), most)
    falling = _FIRST_TEMPERATURE * (last / _FIRST_TEMPERATURE) ** np.linspace(0, 1, schedule.rounds[0])
    steady = np.full(schedule.rounds[1], last)
    for cooler in _COOLER:
        means, sizes = power.group_means(early, leaf, n_sites)
        sites, offsets = rule(means * sizes[:, None], sizes)
        state, _ = _rounds(early, leaf, State(sites, -offsets, offsets, means), rule, cooler * falling)
        codes = nearest_codewords(vectors, state.sites, state.weights)
        state, codes = _rounds(vectors, codes, state, rule, cooler * steady)
        if (np.bincount(codes, minlength=n_sites) == 0).mean() <= schedule.empty:
            break
    state, _ = _rounds(vectors, codes, state, rule, np.array(schedule.further))
    return state.sites, state.weights - state.weights.mean()


def _means(sums: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (sums / np.maximum(sizes, _TINY)[:, None]).astype(np.float32), np.zeros(len(sizes))


class State(NamedTuple):
    """Sites [K, D], weights [K] and offsets [K], and the means [K, D] of the samples of the cells, soft at last."""

    sites: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    means: np.ndarray


def _rounds(
    vectors: np.ndarray, codes: np.ndarray, state: State, rule: Rule, temperatures: np.ndarray
) -> tuple[State, np.ndarray]:
    """The state, and the codes before its sites moved last, after a round at each temperature, in typical leads."""
    sites, weights, offsets, means = state
    lead = 0.0
    for temperature in temperatures:
        near = power.Neighbourhood(sites, weights, _NEIGHBOURS, means).add(vectors, codes)
        lead = lead or typical_lead(near, weights)
        smoothing = lead * temperature, lead * temperature
        weights = power.equalise(near, weights, smoothing=smoothing, reach=near.reach(weights), steps=_STEPS)
        soft = near.soften(weights, lead * temperature, vectors=vectors)
        codes = near.codes(weights)
        sites, moved = rule(soft.sums, soft.sizes)
        weights, offsets = weights + offsets - moved, moved
        means, _ = _means(soft.sums, soft.sizes)
    return State(sites, weights, offsets, means), codes


def typical_lead(near: power.Neighbourhood, weights: np.ndarray) -> float:
    """Median lead of the best site over the next, in squared units: the yardstick of temperatures."""
    return max(float(np.median(near.leads(weights))), _TINY)


def calibrate(
    blocks: Callable[[], Iterator[np.ndarray]],
    sites: np.ndarray,
    weights: np.ndarray,
    *,
    exact: bool = False,
    rough: bool = False,
) -> np.ndarray:
    """Weights [K] that give each site one share of the samples; see `fit_balanced`.

    Exact, too, where cells hold too few samples to be smoothed over, or are of such different extent that smoothing
    leaves them uneven, as long as all samples are in one block.

    blocks : called for each pass over the samples, float32 [n, D], centred (`Geometry.blocks`).
    sites : float32 [K, D]; weights : float [K], to start from; in the units of the blocks.
    rough : thresholds will make the cells equal afterwards: not tried so often, and, unless cells are thin, exact but
        for some samples.
    """
    near: power.Neighbourhood | None
    near, off = _listed(blocks, sites, weights)
    share, temperature, trust = near.share, SMOOTHING * typical_lead(near, weights), 1.0
    small, one_block = _UNEVEN * np.sqrt(share), near.n_blocks == 1
    for _ in range(_ATTEMPTS[rough]):
        if (exact or rough) and off <= small:
            break
        near = near or _listed(blocks, sites, weights)[0]
        reach = trust * near.reach(weights)
        tried = power.equalise(near, weights, smoothing=(temperature, temperature), reach=reach, steps=_STEPS)
        moved = np.abs(tried - weights).max()
        near = None  # may take much memory, hence one at a time
        near, still_off = _listed(blocks, sites, tried)
        if still_off < off:
            off, weights = still_off, tried
        else:
            near = None
            if moved >= reach:  # sites that were not listed took part
                trust /= 4
        if off <= small:
            break
        if moved < reach:  # not the lists: what suits most cells is too warm for a dense cluster
            temperature /= 2
    uneven = one_block and (off > small or share < _FEW)
    if exact or (uneven and not rough):
        near = near or _listed(blocks, sites, weights)[0]
        reach = trust * near.reach(weights)
        weights = power.equalise(near, weights, smoothing=(temperature / 2, temperature / 16), reach=reach)
        once = not exact or (rough and share >= THIN)
        return _settle(np.concatenate(list(blocks())), sites, weights, once=once)
    return weights


def _listed(
    blocks: Callable[[], Iterator[np.ndarray]], sites: np.ndarray, weights: np.ndarray
) -> tuple[power.Neighbourhood, float]:
    """Costs of all samples, and by how many the size of a cell is off at most."""
    near, sizes = power.Neighbourhood(sites, weights, 2 * _NEIGHBOURS), np.zeros(len(sites), dtype=np.int64)
    for block in blocks():
        codes = nearest_codewords(block, sites, weights)
        near.add(block, codes)
        sizes += np.bincount(codes, minlength=len(sites))
    return near, float(np.abs(sizes - near.share).max())


def _settle(vectors: np.ndarray, sites: np.ndarray, weights: np.ndarray, *, once: bool) -> np.ndarray:
    fine = sites.astype(np.float64)
    low, high = len(vectors) // len(sites), -(-len(vectors) // len(sites))
    for n_near in _NEIGHBOURS * np.array([1] if once else _WIDER):
        codes = nearest_codewords(vectors, sites, weights)
        sizes = np.bincount(codes, minlength=len(sites))
        if low <= sizes.min() and sizes.max() <= high:
            break
        weights = settle(*neighbour_costs(vectors, codes, fine, weights, n_near), weights)
    return weights


def cell_means(samples: Samples, codes: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Mean of the samples of each code, float32 [K, D]; where a code has none, its row of ``codebook``.

    codes : int [N]; codebook : float [K, D].
    """
    sums, sizes = np.zeros(codebook.shape), np.zeros(len(codebook), dtype=np.int64)
    for rows, block in samples.blocks(entries=GEOMETRY_SAMPLES * samples.shape[1]):
        center = block.mean(axis=0)
        means, members = power.group_means(block - center, codes[rows], len(codebook))
        sums += members[:, None] * (means.astype(np.float64) + center)
        sizes += members
    return np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], codebook).astype(np.float32)
