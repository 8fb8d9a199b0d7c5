"""Tree: nested codes. One fit serves all bitrates, and the first b bits of a code are the b-bit code.

    fit_tree   vectors -> Tree
    Tree       fitted: codebook, leaves and thresholds; `prefix` cuts it to fewer bits
    Leaves     costs of its leaves, and by how much one half of a node leads the other

Every node is halved exactly, so codes are even at each bitrate, and a sender may drop bits later. The halves are not
cut by planes chosen one after the other: all levels are fitted together, to the sum over the bitrates of distortion
relative to what that bitrate can reach. Of equal leaves, the sum over the levels b of a_b ||x - m_b||², m_b being the
mean of the leaf's ancestor at level b, is up to a constant of the leaf the distance to *one* site, the weighted mean of
its ancestors: a power diagram again (`porcupine.quantizers.power`), whose leaves descend from the same parents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from porcupine.errors import InputError
from porcupine.quantizers import power
from porcupine.quantizers.base import FINER, ROUNDING, Quantizer
from porcupine.quantizers.cells import THIN, Geometry, Schedule, anneal, cell_means
from porcupine.quantizers.samples import Samples, Vectors
from porcupine.randomness import generator

MIN_SHARED_BITS = 4
"""Levels below it weigh less: nobody who wants fewer bits is helped at the cost of all others."""

_COARSE_WEIGHT = 0.3
_AT_ONCE = 4  # levels, whose costs are held for all samples while these are halved
_CLOSE = 4  # times as near to a threshold as rounding may lead astray, leads are worked out exactly
_MARGIN = 0.25  # of the gap between two samples, that a threshold keeps from either
_ENTRIES = 2**20  # of a block of samples, and of its costs
_SCHEDULE = Schedule(early=32, rounds=(10, 4), empty=0.01)
"""Half the rounds of cells of one level, on fewer samples: more gains next to nothing, unless leaves are thin. A few
leaves that merged are parted by thresholds, and beginning again cooler costs more distortion than they do."""

_WARMER = 8.0, 0.7, 2, 8
"""Temperature of the last rounds: 8 typical leads over the root of the samples a leaf, at most 0.7; so many rounds, and
so many samples a leaf at least: fewer would let leaves merge.

The fewer samples a leaf has, the more of them it takes to place its borders, or else they follow single samples and its
share on new ones strays from 1/K. Warmer still, leaves of clusters merge: utterances of few speakers lose most.
"""


Floating = type[np.float32] | type[np.float64]


@dataclass(frozen=True)
class Tree(Quantizer):
    """Codes are paths down a tree: at each node a vector goes to the side where its cheapest leaf is.

    codebook : float32 [K, D]; sizes : int64 [K], training samples of each code.
    sites : float32 [L, D], of the leaves, L = K or K·2^n where the tree was cut by n bits; weights : float64 [L].
    thresholds : float64 [K-1], node by node, level by level from the root: a vector goes right where its lowest cost on
        the left less that on the right has reached the threshold, in squared embedding units.
    """

    codebook: np.ndarray
    sizes: np.ndarray
    sites: np.ndarray
    weights: np.ndarray
    thresholds: np.ndarray

    @property
    def bits(self) -> int:
        """log2 K."""
        return len(self.codebook).bit_length() - 1

    def prefix(self, bits: int) -> Tree:
        """The tree of the first ``bits`` bits: `encode` gives the codes of this tree shifted right.

        Raises InputError outside 1 … `Tree.bits`.
        """
        if not 1 <= bits <= self.bits:
            raise InputError(f"bits={bits}: this tree was fitted for 1 to {self.bits} bits; fit it for more")
        sizes = self.sizes.reshape(2**bits, -1)
        sums = (self.sizes[:, None] * self.codebook.astype(np.float64)).reshape(2**bits, sizes.shape[1], -1).sum(axis=1)
        plain = self.codebook.reshape(2**bits, sizes.shape[1], -1).mean(axis=1)
        total = sizes.sum(axis=1)
        codebook = np.where(total[:, None] > 0, sums / np.maximum(total, 1)[:, None], plain).astype(np.float32)
        return Tree(codebook, total, self.sites, self.weights, self.thresholds[: 2**bits - 1])

    def encode(self, vectors: Vectors) -> np.ndarray:
        """See `Quantizer`."""
        samples = Samples(vectors)
        if samples.shape[1] != self.sites.shape[1]:
            raise InputError(f"vectors have D={samples.shape[1]} dimensions, the tree has D={self.sites.shape[1]}")
        leaves, codes = Leaves(self.sites, self.weights), np.empty(len(samples), dtype=np.int32)
        for rows, block in leaves.blocks(samples, 0):
            found, unsure = self._descend(leaves, block, np.float32)
            found[unsure], _ = self._descend(leaves, block[unsure], np.float64)
            codes[rows] = found
        return codes

    def _descend(self, leaves: Leaves, vectors: np.ndarray, dtype: Floating) -> tuple[np.ndarray, np.ndarray]:
        """Codes of vectors [n, D], int [n], worked out in ``dtype``; and which were too near a threshold for it."""
        node, rounding = np.zeros(len(vectors), dtype=np.int64), leaves.rounding(vectors, dtype)
        unsure = np.zeros(len(vectors), dtype=bool)
        for level, cheapest in enumerate(leaves.cheapest(vectors, 0, 0, self.bits, dtype)):
            over = _lead(cheapest, node) - self.thresholds[2**level - 1 + node]
            unsure |= np.abs(over) <= rounding
            node = 2 * node + (over >= -rounding)
        return node, np.flatnonzero(unsure)


def fit_tree(vectors: Vectors, *, bits: int, seed: int) -> Tree:
    """Fit a tree whose nodes halve their training samples at every level from 1 to ``bits`` (equal ones stay together).

    vectors : float [N, D], in memory or not.
    Returns a Tree of K = 2^bits codes; `Tree.prefix` gives those of fewer bits.
    Raises InputError where K > N, or vectors are unusable or all equal.
    """
    if bits < 1:
        raise InputError(f"bits={bits}: a tree has at least 2 leaves, 1 bit")
    samples = Samples(vectors)
    samples.require(2**bits)
    rng = generator(seed, "tree", bits)
    geometry = Geometry.of(samples, rng)
    factor, most, rounds, least = _WARMER
    warm = min(factor * np.sqrt(2**bits / len(geometry.vectors)), most)
    further = [warm] * rounds if len(geometry.vectors) >= least * 2**bits else []
    usual = _SCHEDULE if len(geometry.vectors) >= THIN * 2**bits else replace(_SCHEDULE, rounds=Schedule.rounds)
    rule, schedule = partial(_Ancestors, bits=bits), replace(usual, further=further)
    sites, weights = anneal(geometry.vectors, bits, rng, rule, schedule)
    sites, weights = geometry.sites(sites), geometry.scale**2 * weights
    thresholds, codes = _halved(samples, bits, Leaves(sites, weights))
    sizes = np.bincount(codes, minlength=2**bits)
    return Tree(cell_means(samples, codes, sites), sizes, sites, weights, thresholds)


class _Ancestors:
    """Sites for the nested objective: weighted means of the means of a leaf's ancestors."""

    def __init__(self, vectors: np.ndarray, leaf: np.ndarray, bits: int) -> None:
        """Weigh each level by the inverse of the distortion that halving alone reaches there."""
        self.weights = []
        means, sizes = power.group_means(vectors, leaf, 2**bits)
        energy = float(np.square(vectors, dtype=np.float64).sum())
        for level, (mean, size) in enumerate(_levels(means * sizes[:, None], sizes)):
            distortion = max(energy - float((size[:, None] * mean.astype(np.float64) ** 2).sum()), 1e-12 * energy)
            self.weights.append((_COARSE_WEIGHT if level < MIN_SHARED_BITS else 1.0) / distortion)
        self.weights[0] = 0.0  # the root's mean moves no border

    def __call__(self, sums: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n_leaves, total = len(sums), sum(self.weights)
        sites, squares = np.zeros(sums.shape), np.zeros(n_leaves)
        for weight, (mean, _) in zip(self.weights, _levels(sums, sizes), strict=True):
            repeated = np.repeat(mean.astype(np.float64), n_leaves // len(mean), axis=0)
            sites += weight / total * repeated
            squares += weight / total * (repeated**2).sum(axis=1)
        return sites.astype(np.float32), squares - (sites**2).sum(axis=1)


def _levels(sums: np.ndarray, sizes: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Means and sizes of all nodes, level by level from the root."""
    levels = []
    while True:
        levels.append((sums / np.maximum(sizes, 1e-6)[:, None], sizes))
        if len(sums) == 1:
            return levels[::-1]
        sums, sizes = sums[::2] + sums[1::2], sizes[::2] + sizes[1::2]


def _halved(samples: Samples, bits: int, leaves: Leaves) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds [K-1] that halve every node exactly, and codes [N].

    They lie between order statistics of the lead of the right side, and there as near as can be to the border of the
    leaves, a lead of 0: the fewer samples a node has, the less does one of them say where its middle is.
    """
    thresholds, node = np.zeros(2**bits - 1), np.zeros(len(samples), dtype=np.int64)
    for first in range(0, bits, _AT_ONCE):
        start = node
        held, rounding = _held(samples, leaves, start, first, min(_AT_ONCE, bits - first))
        for level, costs in enumerate(held, first):
            lead = _lead(costs, node - (start << (level - first))).astype(np.float64)
            for number, members in enumerate(power.members_of(node, 2**level)):
                left = (len(members) + number % 2) // 2
                if len(members) == left:
                    continue
                # Only those near the threshold have to be known better.
                about = np.partition(lead[members], left)[left]
                close = members[np.abs(lead[members] - about) <= _CLOSE * (rounding[members] + rounding[members].max())]
                for some in np.array_split(close, 1 + (len(close) << (bits - level)) // _ENTRIES):
                    lead[some] = leaves.exact_lead(samples.rows(some), level, number)
                last, first_right = np.partition(lead[members], [left - 1, left])[[left - 1, left]]
                margin = _MARGIN * (first_right - last)
                thresholds[2**level - 1 + number] = np.clip(0.0, last + margin, first_right - margin)
            node = 2 * node + (lead - thresholds[2**level - 1 + node] >= -FINER * rounding)
    return thresholds, node


def _held(
    samples: Samples, leaves: Leaves, node: np.ndarray, level: int, depth: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """What `Leaves.cheapest` finds below the nodes int [N] of all samples, and by how much it may be off, [N]."""
    held = [np.empty((2 ** (down + 1), len(samples)), dtype=np.float32) for down in range(depth)]
    rounding = np.empty(len(samples))
    for rows, block in leaves.blocks(samples, level):
        rounding[rows] = leaves.rounding(block, np.float32)
        for number, members in enumerate(power.members_of(node[rows], 2**level)):
            for whole, part in zip(
                held, leaves.cheapest(block[members], level, number, depth, np.float32), strict=True
            ):
                whole[:, rows.start + members] = part
    return held, rounding


class Leaves:
    """Costs ||x - s||² - w of the leaves, less the ||x||² that all share."""

    def __init__(self, sites: np.ndarray, weights: np.ndarray) -> None:
        """Take sites float32 [L, D] and weights float [L]; centred, so that costs are small, hence exact."""
        self.center = sites.mean(axis=0)
        centered = sites.astype(np.float64) - self.center
        costs = np.einsum("ld,ld->l", centered, centered) - weights
        self._widest = 2 * float(np.linalg.norm(centered, axis=1).max())
        self._highest = float(np.abs(costs).max())
        self._sites: dict[Floating, np.ndarray] = {np.float32: (2 * centered).astype(np.float32)}
        self._costs: dict[Floating, np.ndarray] = {np.float32: costs.astype(np.float32)}
        self._sites[np.float64], self._costs[np.float64] = 2 * centered, costs

    def blocks(self, samples: Samples, level: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks so small that the costs of all leaves of a node of that level stay in the cache."""
        widest = max(len(self._costs[np.float32]) >> level, samples.shape[1])
        return samples.blocks(entries=max(1, _ENTRIES // widest) * samples.shape[1])

    def rounding(self, vectors: np.ndarray, dtype: Floating) -> np.ndarray:
        """By how much a lead of each of the vectors may be off, float [n], if worked out in ``dtype``."""
        length = np.linalg.norm(vectors - self.center, axis=1)
        finer = FINER if dtype is np.float64 else 1.0
        return 2 * ROUNDING * finer * (length * self._widest + self._highest)

    def cheapest(self, vectors: np.ndarray, level: int, node: int, depth: int, dtype: Floating) -> list[np.ndarray]:
        """Lowest cost below each node 1, 2 … ``depth`` levels down from one node, [2, n], [4, n] …"""
        lowest = [self._costs_below(vectors, level, node, dtype)]
        while len(lowest[-1]) > 2:
            lowest.append(np.minimum(lowest[-1][::2], lowest[-1][1::2]))
        return lowest[::-1][:depth]

    def exact_lead(self, vectors: np.ndarray, level: int, node: int) -> np.ndarray:
        """Lead of the right half of a node in each of the vectors, float64 [n]; the same for equal vectors."""
        costs = self._costs_below(vectors, level, node, np.float64)
        half, first = len(costs) // 2, len(costs) * node
        left, right = first + costs[:half].argmin(axis=0), first + half + costs[half:].argmin(axis=0)
        sites, costs = self._sites[np.float64], self._costs[np.float64]
        moved = vectors - self.center.astype(np.float64)
        return costs[left] - costs[right] - np.einsum("nd,nd->n", moved, sites[left] - sites[right])

    def _costs_below(self, vectors: np.ndarray, level: int, node: int, dtype: Floating) -> np.ndarray:
        """Costs of the leaves of a node, [L, n]."""
        size = len(self._costs[dtype]) >> level
        leaves = slice(size * node, size * (node + 1))
        costs = self._sites[dtype][leaves] @ (vectors.astype(dtype) - self.center.astype(dtype)).T
        return np.subtract(self._costs[dtype][leaves, None], costs, out=costs)


def _lead(costs: np.ndarray, node: np.ndarray) -> np.ndarray:
    """Of costs [2·nodes, n] of the halves of nodes, that of the left half of each sample's node less the right one."""
    every = np.arange(len(node))
    return costs[2 * node, every] - costs[2 * node + 1, every]
