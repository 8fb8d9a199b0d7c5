"""Halving: split samples again and again into two halves of one size, by a plane each.

    halve   vectors -> leaf of each, 2^b leaves of N/2^b samples, give or take one

Every other quantiser here starts from it: the leaves are equal from the start, near samples share many splits, and
the result depends on the seed through the first direction of each plane, not on the order of the samples.
"""

from __future__ import annotations

import numpy as np

_POWER_STEPS = 4  # towards the direction of largest spread
_MEAN_STEPS = 4  # balanced 2-means: split at the median along the line between the means, update the means
_SAMPLES = 512  # of a node, behind the direction of its plane


def halve(vectors: np.ndarray, bits: int, rng: np.random.Generator) -> np.ndarray:
    """Leaf of each sample, int [N] in 0 … 2^bits - 1; its first b bits are the leaf after b splits.

    vectors : float32 [N, D], N >= 2^bits. Equal samples are dealt out in their order.
    """
    anywhere = rng.standard_normal((vectors.shape[1], 1)).astype(np.float32)
    order = np.argsort((vectors @ anywhere)[:, 0], kind="stable")
    ends = np.array([0, len(vectors)])
    for level in range(bits):
        directions = _directions(vectors, order, ends, rng)
        middles = np.empty(2**level, dtype=np.int64)
        for node in range(2**level):
            start, end = ends[node], ends[node + 1]
            along = vectors[order[start:end]] @ directions[node]
            order[start:end] = order[start:end][np.argsort(along, kind="stable")]
            # Of an odd node the larger half lies now left, now right, so that leaves differ by one at most.
            middles[node] = start + (end - start + node % 2) // 2
        ends = np.append(np.stack([ends[:-1], middles], axis=1).ravel(), len(vectors))
    leaf = np.empty(len(vectors), dtype=np.int64)
    leaf[order] = np.repeat(np.arange(2**bits), np.diff(ends))
    return leaf


def _directions(vectors: np.ndarray, order: np.ndarray, ends: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Direction in which to part each node, float32 [nodes, D], from as many samples of each."""
    sizes = np.diff(ends)
    n_samples = min(int(sizes.min()), _SAMPLES)
    picks = ends[:-1, None] + np.arange(n_samples) * sizes[:, None] // n_samples
    nodes = vectors[order[picks]]
    nodes -= nodes.mean(axis=1, keepdims=True)
    directions = rng.standard_normal((len(nodes), vectors.shape[1])).astype(np.float32)
    for step in range(_POWER_STEPS + _MEAN_STEPS):
        pull = nodes @ directions[:, :, None]
        if step >= _POWER_STEPS:
            pull = (pull >= np.median(pull, axis=1, keepdims=True)).astype(np.float32)
        directions = (pull.swapaxes(1, 2) @ nodes)[:, 0]
        length = np.linalg.norm(directions, axis=1, keepdims=True)
        directions = directions / np.maximum(length, np.finfo(np.float32).tiny)
    return directions
