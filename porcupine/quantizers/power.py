"""Power cells: a weight on each site shifts its borders, until every cell holds the same share of the samples.

A vector x belongs to the site with the lowest cost ||x - s||² - w. For given sites, weights that give equal cells also
give the equal assignment of least total squared distance: they are the dual solution of an optimal transport problem.

    near_sites        which sites the samples of a cell may go to
    Neighbourhood     costs of those, in tiles of samples of one cell each
    equalise          weights that give equal soft cells, by Newton's method on a smoothed dual, the smoothing annealed
    group_means       mean of the samples of each cell; group_sums their sum
    members_of        the samples of each cell

`porcupine.quantizers.settling` finishes exactly. Kitagawa, Mérigot & Thibert, "Convergence of a Newton algorithm for
semi-discrete optimal transport", JEMS 2019. Costs leave out ||x||², which all sites share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import cg

_RIDGE = 1e-2  # keeps the curvature of cells without a neighbour in reach away from 0, relative
_SOLVED = 1e-3  # what a step may leave of the equations that it solves, relative
_SLOW = 0.5  # a second derivative serves another step if what is missing fell below so much of itself
_STRIDE = 10  # largest step of a weight, in units of the smoothing
_LEADS = 8192  # samples behind quantiles of leads
_CHUNK = 2**17  # entries of the arrays that are worked on at a time: they stay in the cache
_WIDTHS = 32, 64, 96, 128, 192, 256  # samples of a tile
_WORK = 64  # for each tile, in units of that for a sample
_NOTHING = 1e-4  # of a sample: what two cells share of a tile, below which it does not count as curvature
_FIRST = 4  # of the sites in a list over those that list a site since they would lose samples to it first


def group_means(vectors: np.ndarray, codes: np.ndarray, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean float32 [K, D] and size int [K] of each cell; an empty one has mean 0.

    vectors : float32 [N, D]; codes : int [N].
    """
    sizes = np.bincount(codes, minlength=n_cells)
    return group_sums(vectors, codes, n_cells) / np.maximum(sizes, 1).astype(np.float32)[:, None], sizes


def group_sums(vectors: np.ndarray, codes: np.ndarray, n_cells: int) -> np.ndarray:
    """Sum float32 [K, D] of the samples of each cell; see `group_means`."""
    ends = np.concatenate([[0], np.bincount(codes, minlength=n_cells).cumsum()])
    order = np.argsort(codes, kind="stable")
    return csr_matrix((np.ones(len(codes), dtype=np.float32), order, ends), shape=(n_cells, len(codes))) @ vectors


def members_of(codes: np.ndarray, n_cells: int) -> list[np.ndarray]:
    """The samples of each cell, in their order."""
    ends = np.cumsum(np.bincount(codes, minlength=n_cells))
    return np.split(np.argsort(codes, kind="stable"), ends[:-1])


def near_sites(
    sites: np.ndarray, weights: np.ndarray, n_near: int, means: np.ndarray | None = None
) -> list[np.ndarray]:
    """For each cell the sites that its samples may go to, int [L], rising.

    Those of lowest cost at the mean of the cell, and its own; and where a cell is among the first to lose samples to a
    site whose weight rises, that site too, however far out it lies: else no weight could fill its cell.

    sites : float32 [K, D]; weights : float [K].
    means : float32 [K, D], of the samples of each cell; None where the sites are there.
    """
    if n_near >= len(sites):
        return [np.arange(len(sites))] * len(sites)
    norms = np.einsum("kd,kd->k", sites, sites)
    costs = (norms - weights - 2 * ((sites if means is None else means) @ sites.T)).astype(np.float32)
    listed = np.zeros(costs.shape, dtype=bool)
    np.put_along_axis(listed, np.argpartition(costs, n_near - 1, axis=1)[:, :n_near], True, axis=1)
    costs -= np.diag(costs).copy()[:, None]
    n_first = 2 + n_near // _FIRST
    takers = np.ascontiguousarray(costs.T)
    np.put_along_axis(listed.T, np.argpartition(takers, n_first - 1, axis=1)[:, :n_first], True, axis=1)
    np.fill_diagonal(listed, True)
    return [np.flatnonzero(row) for row in listed]


@dataclass(frozen=True)
class Soft:
    """Soft membership of the samples in power cells: softmax of (w - cost) / temperature.

    sizes : float64 [K], summed memberships; dual : what `equalise` maximises, Σ_x softmin_k(cost - w) + N/K Σ w.
    curvature : sparse float64 [K, K], summed products of the memberships of two sites; empty where not asked for.
    sums : float64 [K, D], of the samples by membership; empty where not asked for.
    """

    sizes: np.ndarray
    dual: float
    curvature: csr_matrix
    sums: np.ndarray


class Neighbourhood:
    """Costs of the sites near the present one of each sample (`near_sites`); of all sites, where they are few.

    sites : float32 [K, D]; weights : float [K]; means : float32 [K, D] or None; which decide what is near.
    n_near : sites in each list, or a few more.
    All samples of a cell have one list, so that everything is a product or a sum over small dense tiles.
    """

    def __init__(self, sites: np.ndarray, weights: np.ndarray, n_near: int, means: np.ndarray | None = None) -> None:
        lists = near_sites(sites, weights, n_near, means)
        self.sites, self.n_samples, self.n_blocks = sites, 0, 0
        self._all_listed = all(len(listed) == len(sites) for listed in lists)
        # Short lists are filled up with a site K, which no sample can go to.
        self._near = np.full((len(sites), max(map(len, lists))), len(sites))
        for row, listed in zip(self._near, lists, strict=True):
            row[: len(listed)] = listed
        norms = np.einsum("kd,kd->k", sites, sites)
        self._norms = np.append(norms, np.float32(0))
        self._twice = np.concatenate([2 * sites, np.zeros_like(sites[:1])])
        self._chunks: list[_Chunk] = []

    def add(self, vectors: np.ndarray, codes: np.ndarray) -> Neighbourhood:
        """List samples float32 [N, D], centred, whose present sites are ``codes``, int [N]."""
        n_near = self._near.shape[1]
        cells, samples, valid = _tiles(codes, len(self.sites))
        step = max(1, _CHUNK // (n_near * samples.shape[1]))
        for first in range(0, len(cells), step):
            part = slice(first, first + step)
            near = self._near[cells[part]]
            costs = np.empty((n_near, *samples[part].shape), dtype=np.float32)
            np.matmul(self._twice[near], vectors[samples[part]].swapaxes(1, 2), out=costs.swapaxes(0, 1))
            np.subtract(self._norms[near].T[:, :, None], costs, out=costs)
            self._chunks.append(_Chunk(near, samples[part], valid[part], costs))
        self.n_samples += len(codes)
        self.n_blocks += 1
        return self

    @property
    def share(self) -> float:
        """N/K."""
        return self.n_samples / len(self.sites)

    def soften(
        self, weights: np.ndarray, temperature: float, *, curved: bool = False, vectors: np.ndarray | None = None
    ) -> Soft:
        """Soft cells of weights float [K] at a temperature in squared units; with sums of ``vectors``, if given."""
        n_sites = len(self.sites)
        sizes, dual = np.zeros(n_sites + 1), self.share * float(weights.sum())
        shared: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        sums = np.zeros((n_sites + 1, self.sites.shape[1]) if vectors is not None else (0, 0))
        scaled = np.append(weights / temperature, -np.inf).astype(np.float32)
        for near, samples, valid, costs in self._chunks:
            soft = costs * np.float32(-1 / temperature)
            soft += scaled[near].T[:, :, None]
            highest = soft.max(axis=0)
            soft -= highest
            np.exp(soft, out=soft)
            total = soft.sum(axis=0)
            soft *= valid / total
            dual -= temperature * float(((np.log(total) + highest) * valid).sum(dtype=np.float64))
            sizes += np.bincount(near.ravel(), soft.sum(axis=2).T.ravel(), minlength=n_sites + 1)
            tiles = soft.swapaxes(0, 1)
            if curved:
                products = tiles @ tiles.swapaxes(1, 2)
                flat = np.flatnonzero(products > _NOTHING)
                tile, first, second = np.unravel_index(flat, products.shape)
                shared.append((products.ravel()[flat], near[tile, first], near[tile, second]))
            if vectors is not None:
                parts = (tiles @ vectors[samples]).reshape(near.size, -1)
                sums += group_sums(parts, near.ravel(), n_sites + 1)
        curvature = csr_matrix((0, 0))
        if curved:
            amounts, *pair = (np.concatenate(column) for column in zip(*shared, strict=True))
            curvature = csr_matrix((amounts.astype(np.float64), pair), shape=(n_sites, n_sites))
        return Soft(sizes[:-1], dual, curvature, sums[:-1])

    def codes(self, weights: np.ndarray) -> np.ndarray:
        """The site of lowest cost of each sample, int [N]; of samples of one `add`."""
        codes = np.empty(self.n_samples, dtype=np.int64)
        for near, samples, _, costs in self._chunks:
            best = np.argmin(costs - _extended(weights)[near].T[:, :, None], axis=0)
            codes[samples] = np.take_along_axis(near, best, axis=1)
        return codes

    def leads(self, weights: np.ndarray) -> np.ndarray:
        """By how much the best site beats the next, float [n], of samples spread over all; 1 if there is one site."""
        if len(self.sites) == 1:
            return np.ones(1)
        lowest = (np.partition(costs, 1, axis=0) for costs in self._some(weights))
        return np.concatenate([two[1] - two[0] for two in lowest])

    def reach(self, weights: np.ndarray) -> float:
        """How far weights may move before sites not listed matter: half the typical lead over the last listed."""
        if self._all_listed:
            return np.inf
        spans = [
            np.where(np.isinf(costs), -np.inf, costs).max(axis=0) - costs.min(axis=0) for costs in self._some(weights)
        ]
        return 0.5 * float(np.median(np.concatenate(spans)))

    def _some(self, weights: np.ndarray) -> Iterator[np.ndarray]:
        """Costs less weights [L, n] of some samples."""
        step, start = max(1, self.n_samples // _LEADS), 0
        for near, _, valid, costs in self._chunks:
            tile, column = np.nonzero(valid)
            tile, column, start = tile[start % step :: step], column[start % step :: step], start - len(tile)
            if len(tile):
                yield costs[:, tile, column] - _extended(weights)[near[tile]].T


class _Chunk(NamedTuple):
    """Tiles of T samples of one cell each, t of them.

    near : int [t, L], the sites in the list of the cell; samples : int [t, T], the last one repeated to fill a tile;
    valid : float32 [t, T], 0 where repeated; costs : float32 [L, t, T].
    """

    near: np.ndarray
    samples: np.ndarray
    valid: np.ndarray
    costs: np.ndarray


def _tiles(codes: np.ndarray, n_cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cell int [t], samples int [t, T] and validity float32 [t, T] of tiles that hold all samples, cell by cell."""
    sizes = np.bincount(codes, minlength=n_cells)
    width = min(_WIDTHS, key=lambda wide: int((-(-sizes // wide)).sum()) * (wide + _WORK))
    ends, n_tiles = sizes.cumsum(), -(-sizes // width)
    cells = np.repeat(np.arange(n_cells), n_tiles)
    number = np.arange(len(cells)) - np.repeat(n_tiles.cumsum() - n_tiles, n_tiles)
    places = ((ends - sizes)[cells] + number * width)[:, None] + np.arange(width)
    valid = places < ends[cells, None]
    samples = np.argsort(codes, kind="stable")[np.minimum(places, ends[cells, None] - 1)]
    return cells, samples, valid.astype(np.float32)


def _extended(weights: np.ndarray) -> np.ndarray:
    """Weights of the sites, and of the one which no sample can go to."""
    return np.append(weights, -np.inf)


def equalise(
    near: Neighbourhood,
    weights: np.ndarray,
    *,
    smoothing: tuple[float, float],
    reach: float = np.inf,
    tolerance: float = 0.2,
    steps: int = 12,
) -> np.ndarray:
    """Weights [K] that give every site the same share.

    Maximises the concave smoothed dual by damped Newton steps with backtracking, on one second derivative as long as
    it serves.

    weights : float [K], to start from.
    smoothing : temperature of the memberships, first and last, in squared units; halved in between.
    reach : weights move no further (`Neighbourhood.reach`).
    tolerance : of a cell's smoothed size, in units of sqrt(N/K).
    steps : at each temperature, at most.
    """
    share = near.share
    weights = weights.astype(np.float64)
    lowest, highest = weights - reach, weights + reach
    temperature, last = smoothing
    while True:
        soft, hessian = near.soften(weights, temperature, curved=True), None
        for _ in range(steps):
            missing = share - soft.sizes
            if np.abs(missing).max() < max(tolerance * np.sqrt(share), 0.3):
                break
            fresh = hessian is None
            if hessian is None:
                soft = soft if soft.curvature.nnz else near.soften(weights, temperature, curved=True)
                hessian = diags(_RIDGE * share + soft.curvature @ np.ones(len(weights))) - soft.curvature
            step = temperature * cg(hessian, missing, rtol=_SOLVED, M=diags(1 / hessian.diagonal()))[0]
            step = np.clip(step - step.mean(), -_STRIDE * temperature, _STRIDE * temperature)
            for _ in range(10):
                tried = np.clip(weights + step, lowest, highest)
                attempt = near.soften(tried, temperature)
                if attempt.dual >= soft.dual + 1e-4 * (missing @ (tried - weights)):
                    break
                step = step / 2
            else:
                if fresh:
                    break
                hessian = None
                continue
            if np.linalg.norm(share - attempt.sizes) > _SLOW * np.linalg.norm(missing):
                hessian = None
            weights, soft = tried, attempt
        if temperature <= last:
            return weights - weights.mean()
        temperature = max(temperature / 2, last)
