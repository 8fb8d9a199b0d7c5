"""Tree: nested codes. One fit serves all bitrates, and the first b bits of a code are the b-bit code.

    fit_tree   vectors -> Tree
    Tree       fitted: codebook, leaves and thresholds; `prefix` cuts it to fewer bits

Every node is halved exactly, so codes are even at each bitrate, and a sender may drop bits later. The halves are not
cut by planes chosen one after the other: all levels are fitted together, to the sum over the bitrates of distortion
relative to what that bitrate can reach. Of equal leaves, the sum over the levels b of a_b ||x - m_b||², m_b being the
mean of the leaf's ancestor at level b, is up to a constant of the leaf the distance to *one* site, the weighted mean of
its ancestors: a power diagram again (`porcupine.quantizers.power`), whose leaves descend from the same parents.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from porcupine.errors import InputError
from porcupine.quantizers import power
from porcupine.quantizers.base import Quantizer
from porcupine.quantizers.cells import Geometry, anneal, calibrate, cell_means
from porcupine.quantizers.samples import Samples, Vectors
from porcupine.randomness import generator

MIN_SHARED_BITS = 4
"""Levels below it weigh less: nobody who wants fewer bits is helped at the cost of all others."""

_COARSE_WEIGHT = 0.3
_ENTRIES = 2**21  # of a block of samples on its way down
_WARMER = 8.0, 2.0, 2, 8
"""Temperature of the last rounds: 8 typical leads over the root of the samples a leaf, at most 2; so many rounds, and
so many samples a leaf at least: fewer would let leaves merge.

The fewer samples a leaf has, the more of them it takes to place its borders, or else they follow single samples and its
share on new ones strays from 1/K.
"""


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
        node = np.zeros(len(samples), dtype=np.int64)
        for level in range(self.bits):
            lead = _lead(samples, node, level, self.sites, self.weights)
            node = 2 * node + (lead >= self.thresholds[2**level - 1 + node])
        return node.astype(np.int32)


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
    sites, _ = anneal(geometry.vectors, bits, rng, partial(_Ancestors, bits=bits), further)
    weights = calibrate(lambda: geometry.blocks(samples), sites, np.zeros(2**bits), rough=True)
    sites, weights = geometry.sites(sites), geometry.scale**2 * weights
    thresholds, codes = _halved(samples, bits, sites, weights)
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


def _halved(samples: Samples, bits: int, sites: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds [K-1] that halve every node exactly, at order statistics of the lead of its right side; codes [N]."""
    thresholds = np.zeros(2**bits - 1)
    node = np.zeros(len(samples), dtype=np.int64)
    for level in range(bits):
        lead = _lead(samples, node, level, sites, weights)
        for number, members in enumerate(power.members_of(node, 2**level)):
            left = (len(members) + number % 2) // 2
            if len(members) > left:
                thresholds[2**level - 1 + number] = np.partition(lead[members], left)[left]
        node = 2 * node + (lead >= thresholds[2**level - 1 + node])
    return thresholds, node


def _lead(samples: Samples, node: np.ndarray, level: int, sites: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Lowest cost among the leaves on the left of each sample's node less that on the right, float64 [N].

    node : int [N], of level ``level``. The two leaves are found in float32 and compared in float64, so that the result
    for a sample does not depend on what it is encoded with.
    """
    lead = np.empty(len(samples))
    half = len(sites) >> (level + 1)
    center = sites.mean(axis=0)
    centered = sites - center
    costs = (np.einsum("ld,ld->l", centered, centered) - weights).astype(np.float32)
    exact = sites.astype(np.float64)
    for rows, block in samples.blocks(entries=_ENTRIES):
        moved, inside = block - center, node[rows]
        for number, members in enumerate(power.members_of(inside, 2**level)):
            if not len(members):
                continue
            leaves = slice(2 * half * number, 2 * half * (number + 1))
            scores = costs[leaves] - moved[members] @ (2 * centered[leaves].T)
            vectors = block[members].astype(np.float64)
            left, right = (
                _cost(vectors, exact, weights, 2 * half * number + side * half + scores[:, part].argmin(axis=1))
                for side, part in enumerate((slice(0, half), slice(half, None)))
            )
            lead[rows.start + members] = left - right
    return lead


def _cost(vectors: np.ndarray, sites: np.ndarray, weights: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    offset = vectors - sites[chosen]
    return np.einsum("nd,nd->n", offset, offset) - weights[chosen]
