"""Curve: balanced cells strung on a short tour, and codes that are intervals along it.

    fit_curve   vectors -> Tour
    Tour        fitted: codebook, sites and weights in the order of the tour, thresholds
    short_path  points -> an order in which each is near the next

The position of a sample on the curve is the cell that it falls in, and within the cell how far it leans towards the
next site rather than the last: from the border with the one (k) to the border with the other (k + 1). Thresholds
between order statistics of the position make intervals of exactly equal share. Since the cells are equal from the
start, thresholds lie on their borders, and an interval costs hardly more distortion than a cell: what a cell has too
many would be passed on along the whole tour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from porcupine.errors import InputError
from porcupine.quantizers.balanced import PowerCells
from porcupine.quantizers.base import Nearest, Quantizer, nearest_blocks
from porcupine.quantizers.cells import GEOMETRY_SAMPLES, Geometry, anneal, calibrate, cell_means
from porcupine.quantizers.occurrence import interval_codes, interval_thresholds
from porcupine.quantizers.samples import Samples, Vectors
from porcupine.randomness import generator


@dataclass(frozen=True)
class Tour(Quantizer):
    """Codes are intervals of the position along a tour of power cells.

    codebook, sites : float32 [K, D]; weights : float64 [K], in squared embedding units; neighbours follow each other.
    thresholds : float64 [K-1], positions, not falling: code j starts at threshold j-1.
    """

    codebook: np.ndarray
    sites: np.ndarray
    weights: np.ndarray
    thresholds: np.ndarray

    def encode(self, vectors: Vectors) -> np.ndarray:
        """See `Quantizer`."""
        return interval_codes(self.position(vectors), self.thresholds)

    def position(self, vectors: Vectors) -> np.ndarray:
        """Where on the tour vectors lie: float [N, D] -> float64 [N], from 0 to K."""
        return np.concatenate(list(self._positions(Samples(vectors))))

    def nearest(self) -> Nearest:
        """The same codewords, with vectors encoded by the nearest one: less distortion, less even."""
        return Nearest(self.codebook)

    def _positions(self, samples: Samples) -> Iterator[np.ndarray]:
        sites = self.sites.astype(np.float64)
        last = len(sites) - 1
        # Ends have one neighbour: the mirror image of it stands in for the other.
        around = np.concatenate([2 * sites[:1] - sites[1:2], sites, 2 * sites[-1:] - sites[-2:-1]])
        heavier = np.concatenate([self.weights[1:2], self.weights, self.weights[-2:-1]])
        for _, cell, block in nearest_blocks(samples, self.sites, self.weights):
            offset = block - sites[cell]
            own = np.einsum("nd,nd->n", offset, offset) - self.weights[cell]
            before, after = (_cost(block, around[cell + k], heavier[cell + k]) - own for k in (0, 2))
            total = before + after
            lean = np.divide(before, total, out=np.full(len(cell), 0.5), where=total > 0)
            yield np.clip(cell + np.clip(lean, 0, 1), 0, last + 1)


def _cost(vectors: np.ndarray, sites: np.ndarray, weights: np.ndarray) -> np.ndarray:
    offset = vectors - sites
    return np.einsum("nd,nd->n", offset, offset) - weights


def fit_curve(vectors: Vectors, *, bits: int, seed: int, cells: PowerCells | None = None, exact: bool = True) -> Tour:
    """Fit K = 2^bits intervals of one share of the samples each, along one curve.

    vectors : float [N, D], in memory or not.
    bits : at least 1.
    cells : what `balanced.fit_balanced` made of the same vectors, to string on the tour; None to fit other cells first,
        which takes most of the time.
    exact : intervals of N/K training samples, give or take one. Otherwise the cells in their order, smoothed as those
        of `fit_balanced` are, which spreads the codes of other samples more evenly where few samples share a code.
    Raises InputError where K > N, vectors are unusable or all equal, or the cells are not K of D dimensions, balanced.
    """
    if bits < 1:
        raise InputError(f"bits={bits}: a curve joins at least 2 codewords, 1 bit")
    samples = Samples(vectors)
    samples.require(2**bits)
    rng = generator(seed, "curve", bits)
    geometry = Geometry.of(samples, rng)
    if cells is None:
        sites, weights = anneal(geometry.vectors, bits, rng)
    elif not isinstance(cells, PowerCells):
        raise InputError(f"cells are a {type(cells).__name__}, should be the PowerCells of fit_balanced")
    elif cells.sites.shape == (2**bits, samples.shape[1]):
        sites, weights = geometry.inside(cells.sites), cells.weights / geometry.scale**2
    else:
        wanted = f"[K={2**bits}, D={samples.shape[1]}]"
        raise InputError(f"cells of shape {list(cells.sites.shape)} should be {wanted}: fit them with the same bits")
    order = short_path(sites)
    sites, weights = sites[order], weights[order]
    settled = exact and len(samples) <= GEOMETRY_SAMPLES  # of more samples the rest hardly moves a threshold
    if exact or cells is None:
        weights = calibrate(lambda: geometry.blocks(samples), sites, weights, exact=settled, rough=exact)
    sites, weights = geometry.sites(sites), geometry.scale**2 * weights
    position = Tour(sites, sites, weights, np.empty(0)).position(samples)
    thresholds = np.arange(1.0, 2**bits)
    if exact:
        thresholds = interval_thresholds(position, 2**bits, thresholds)
    return Tour(cell_means(samples, interval_codes(position, thresholds), sites), sites, weights, thresholds)


def short_path(points: np.ndarray, *, sweeps: int = 4) -> np.ndarray:
    """Order points so that the path through all of them is short: nearest neighbours first, then 2-opt and or-opt.

    points : float [K, D]. Returns int [K]. Starts at the point furthest from the mean.
    """
    points = np.asarray(points, dtype=np.float64)
    squares = np.einsum("kd,kd->k", points, points)
    distance = np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0))
    path = _greedy_path(distance, int(np.argmax(((points - points.mean(axis=0)) ** 2).sum(axis=1))))
    for _ in range(sweeps):
        before = path.copy()
        path = _insert(_reverse(path, distance), distance)
        if np.array_equal(path, before):
            break
    return path


def _greedy_path(distance: np.ndarray, start: int) -> np.ndarray:
    left = np.ones(len(distance), dtype=bool)
    path = [start]
    left[start] = False
    while left.any():
        path.append(int(np.argmin(np.where(left, distance[path[-1]], np.inf))))
        left[path[-1]] = False
    return np.array(path)


def _reverse(path: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """2-opt: reverse path[i:j] wherever that shortens the path; the best j for each i in turn."""
    path, n_points = path.copy(), len(path)
    for i in range(n_points - 1):
        ends = np.arange(i + 2, n_points + 1)
        last = path[ends - 1]
        into = distance[path[i - 1], last] - distance[path[i - 1], path[i]] if i else np.zeros(len(ends))
        follows = path[np.minimum(ends, n_points - 1)]
        out = np.where(ends < n_points, distance[path[i], follows] - distance[last, follows], 0)
        best = int(np.argmin(into + out))
        if into[best] + out[best] < -_SHORTER:
            path[i : ends[best]] = path[i : ends[best]][::-1].copy()
    return path


def _insert(path: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Or-opt: move a point to between two others wherever that shortens the path."""
    for point in range(len(path)):
        place = int(np.flatnonzero(path == point)[0])
        rest = np.delete(path, place)
        padded = np.concatenate([[0.0], distance[rest[:-1], rest[1:]], [0.0]])
        to = distance[point, rest]
        added = np.concatenate([to[:1], to[:-1] + to[1:], to[-1:]]) - padded
        best = int(np.argmin(added))
        if added[best] < added[place] - _SHORTER:
            path = np.insert(rest, best, point)
    return path


_SHORTER = 1e-12
