"""Halving: split samples again and again into two halves of one size, by a plane each.

    halve   vectors -> leaf of each, 2^b leaves of N/2^b samples, give or take one

Every other quantiser here starts from it: the leaves are equal from the start, near samples share many splits, and
the result depends on the seed through the first direction of each plane, not on the order of the samples.
"""

from __future__ import annotations

import numpy as np

from porcupine.quantizers.power import group_means

_POWER_STEPS = 5  # towards the direction of largest spread
_MEAN_STEPS = 6  # balanced 2-means: split at the median along the line between the means, update the means


def halve(vectors: np.ndarray, bits: int, rng: np.random.Generator) -> np.ndarray:
    """Leaf of each sample, int [N] in 0 … 2^bits - 1; its first b bits are the leaf after b splits.

    vectors : float32 [N, D], N >= 2^bits. Ties, equal samples among them, are broken by the samples' order.
    """
    leaf = np.zeros(len(vectors), dtype=np.int64)
    for level in range(bits):
        n_nodes = 2**level
        means, sizes = group_means(vectors, leaf, n_nodes)
        offset = vectors - means[leaf]
        direction = rng.standard_normal((n_nodes, vectors.shape[1])).astype(np.float32)
        for _ in range(_POWER_STEPS):
            along = np.einsum("nd,nd->n", offset, direction[leaf])
            direction = _unit(group_means(offset * along[:, None], leaf, n_nodes)[0])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        for step in range(_MEAN_STEPS + 1):
            along = np.einsum("nd,nd->n", offset, direction[leaf])
            place = np.empty(len(leaf), dtype=np.int64)
            place[np.lexsort((along, leaf))] = np.arange(len(leaf))
            # Of an odd node the larger half lies now left, now right, so that leaves differ by one at most.
            child = 2 * leaf + (place - starts[leaf] >= (sizes[leaf] + leaf % 2) // 2)
            if step < _MEAN_STEPS:
                means = group_means(offset, child, 2 * n_nodes)[0]
                direction = _unit(means[1::2] - means[::2])
        leaf = child
    return leaf


def _unit(direction: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    return direction / np.maximum(length, np.finfo(np.float32).tiny)
