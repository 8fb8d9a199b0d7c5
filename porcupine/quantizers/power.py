"""Power cells: a weight on each site shifts its borders, until every cell holds the same share of the samples.

A vector x belongs to the site with the lowest cost ||x - s||² - w. For given sites, weights that give equal cells also
give the equal assignment of least total squared distance: they are the dual solution of an optimal transport problem.

    near_sites        which sites the samples of a cell may go to
    Neighbourhood     costs of those, cell by cell
    equalise          weights that give equal soft cells, by Newton's method on a smoothed dual, the smoothing annealed
    group_means       mean of the samples of each cell
    members_of        the samples of each cell

`porcupine.quantizers.settling` finishes exactly. Kitagawa, Mérigot & Thibert, "Convergence of a Newton algorithm for
semi-discrete optimal transport", JEMS 2019. Costs leave out ||x||², which all sites share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

_RIDGE = 1e-2  # keeps the curvature of cells without a neighbour in reach away from 0, relative
_STRIDE = 10  # largest step of a weight, in units of the smoothing
_LEADS = 8192  # samples behind quantiles of leads
_FIRST = 4  # of the sites in a list over those that list a site since they would lose samples to it first


def group_means(vectors: np.ndarray, codes: np.ndarray, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean float32 [K, D] and size int [K] of each cell; an empty one has mean 0.

    vectors : float32 [N, D]; codes : int [N].
    """
    sizes = np.bincount(codes, minlength=n_cells)
    members = csr_matrix(
        (
            np.ones(len(codes), dtype=np.float32),
            np.argsort(codes, kind="stable"),
            np.concatenate([[0], sizes.cumsum()]),
        ),
        shape=(n_cells, len(codes)),
    )
    return (members @ vectors) / np.maximum(sizes, 1).astype(np.float32)[:, None], sizes


def members_of(codes: np.ndarray, n_cells: int) -> list[np.ndarray]:
    """The samples of each cell, in their order."""
    ends = np.cumsum(np.bincount(codes, minlength=n_cells))
    return np.split(np.argsort(codes, kind="stable"), ends[:-1])


def near_sites(sites: np.ndarray, weights: np.ndarray, n_near: int) -> list[np.ndarray]:
    """For each cell the sites that its samples may go to, int [L], rising.

    Those of lowest cost at the site of the cell, itself among them; and where a cell is among the first to lose samples
    to a site whose weight rises, that site too, however far out it lies: else no weight could fill its cell.
    """
    if n_near >= len(sites):
        return [np.arange(len(sites))] * len(sites)
    norms = np.einsum("kd,kd->k", sites, sites)
    costs = norms - weights - 2 * (sites @ sites.T)
    listed = np.zeros(costs.shape, dtype=bool)
    np.put_along_axis(listed, np.argpartition(costs, n_near - 1, axis=1)[:, :n_near], True, axis=1)
    costs -= np.diag(costs).copy()[:, None]
    n_first = 2 + n_near // _FIRST
    np.put_along_axis(listed, np.argpartition(costs, n_first - 1, axis=0)[:n_first], True, axis=0)
    np.fill_diagonal(listed, True)
    return [np.flatnonzero(row) for row in listed]


@dataclass(frozen=True)
class Soft:
    """Soft membership of the samples in power cells: softmax of (w - cost) / temperature.

    sizes : float64 [K], summed memberships; dual : what `equalise` maximises, Σ_x softmin_k(cost - w) + N/K Σ w.
    curvature : float64 [K, K], summed products of the memberships of two sites; empty where not asked for.
    sums : float64 [K, D], of the samples by membership; empty where not asked for.
    """

    sizes: np.ndarray
    dual: float
    curvature: np.ndarray
    sums: np.ndarray


class Neighbourhood:
    """Costs of the sites near the present one of each sample (`near_sites`); of all sites, where they are few.

    sites : float32 [K, D]; weights : float [K], which decide what is near; n_near : sites in each list, or a few more.
    Cell by cell, so that all samples of a cell have one list, and everything is a small dense product.
    """

    def __init__(self, sites: np.ndarray, weights: np.ndarray, n_near: int) -> None:
        self.sites, self.n_samples, self.n_blocks = sites, 0, 0
        self._near, self._norms = near_sites(sites, weights, n_near), np.einsum("kd,kd->k", sites, sites)
        self._cells: list[tuple[int, np.ndarray, np.ndarray]] = []  # site, samples, costs float32 [L, n] of them

    def add(self, vectors: np.ndarray, codes: np.ndarray) -> Neighbourhood:
        """List samples float32 [N, D], centred, whose present sites are ``codes``, int [N]."""
        for cell, members in enumerate(members_of(codes, len(self.sites))):
            if len(members):
                near = self._near[cell]
                costs = self._norms[near, None] - (2 * self.sites[near]) @ vectors[members].T
                self._cells.append((cell, members, costs))
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
        sizes, dual = np.zeros(n_sites), self.share * float(weights.sum())
        curvature = np.zeros((n_sites, n_sites) if curved else (0, 0))
        sums = np.zeros(self.sites.shape if vectors is not None else (0, 0))
        inverse = np.float32(1 / temperature)
        scaled = (weights / temperature).astype(np.float32)
        for cell, members, costs in self._cells:
            near = self._near[cell]
            soft = scaled[near, None] - inverse * costs
            highest = soft.max(axis=0)
            soft -= highest
            np.exp(soft, out=soft)
            total = soft.sum(axis=0)
            soft /= total
            sizes[near] += soft.sum(axis=1)
            dual -= temperature * float((np.log(total) + highest).sum(dtype=np.float64))
            if curved:
                curvature[near[:, None], near] += soft @ soft.T
            if vectors is not None:
                sums[near] += soft @ vectors[members]
        return Soft(sizes, dual, curvature, sums)

    def codes(self, weights: np.ndarray) -> np.ndarray:
        """The site of lowest cost of each sample, int [N]; of samples of one `add`."""
        codes = np.empty(self.n_samples, dtype=np.int64)
        for cell, members, costs in self._cells:
            near = self._near[cell]
            codes[members] = near[np.argmin(costs - weights[near, None], axis=0)]
        return codes

    def leads(self, weights: np.ndarray) -> np.ndarray:
        """By how much the best site beats the next, float [n], of samples spread over all; 1 if there is one site."""
        if len(self.sites) == 1:
            return np.ones(1)
        return np.concatenate([two[1] - two[0] for two in self._sorted(weights, 1)])

    def reach(self, weights: np.ndarray) -> float:
        """How far weights may move before sites not listed matter: half the typical lead over the last listed."""
        if all(len(near) == len(self.sites) for near in self._near):
            return np.inf
        return 0.5 * float(np.median(np.concatenate([np.ptp(leads, axis=0) for leads in self._sorted(weights)])))

    def _sorted(self, weights: np.ndarray, n_first: int | None = None) -> Iterator[np.ndarray]:
        """Costs less weights [L, n] of some samples, the first few in order."""
        step, start = max(1, self.n_samples // _LEADS), 0
        for cell, members, costs in self._cells:
            part = costs[:, start % step :: step] - weights[self._near[cell], None]
            start -= len(members)
            if part.shape[1]:
                yield part if n_first is None else np.partition(part, n_first, axis=0)


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

    Maximises the concave smoothed dual by damped Newton steps with backtracking.

    weights : float [K], to start from.
    smoothing : temperature of the memberships, first and last, in squared units; halved in between.
    reach : weights move no further (`Neighbourhood.reach`).
    tolerance : of a cell's smoothed size, in units of sqrt(N/K).
    steps : at each temperature, at most.
    """
    share, diagonal = near.share, np.arange(len(weights))
    weights = weights.astype(np.float64)
    lowest, highest = weights - reach, weights + reach
    temperature, last = smoothing
    while True:
        soft = near.soften(weights, temperature, curved=True)
        for _ in range(steps):
            missing = share - soft.sizes
            if np.abs(missing).max() < max(tolerance * np.sqrt(share), 0.3):
                break
            curvature = -soft.curvature
            curvature[diagonal, diagonal] = 0
            curvature[diagonal, diagonal] = _RIDGE * share - curvature.sum(axis=1)
            step = temperature * cho_solve(cho_factor(curvature), missing)
            step = np.clip(step - step.mean(), -_STRIDE * temperature, _STRIDE * temperature)
            for _ in range(10):
                tried = np.clip(weights + step, lowest, highest)
                attempt = near.soften(tried, temperature, curved=True)
                if attempt.dual >= soft.dual + 1e-4 * (missing @ (tried - weights)):
                    break
                step = step / 2
            else:
                break
            weights, soft = tried, attempt
        if temperature <= last:
            return weights - weights.mean()
        temperature = max(temperature / 2, last)
