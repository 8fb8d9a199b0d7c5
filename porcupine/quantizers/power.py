"""Power cells: a weight on each site shifts its borders, until every cell holds the same share of the samples.

A vector x belongs to the site with the lowest cost ||x - s||² - w. For given sites, weights that give equal cells also
give the equal assignment of least total squared distance: they are the dual solution of an optimal transport problem.

    equalise          costs -> weights, by Newton's method on a smoothed dual, the smoothing annealed
    settle            the same, exactly: cells of N/K samples, give or take one, by shortest augmenting paths
    neighbour_costs   vectors, sites -> costs of the sites near the present one of each
    memberships       soft cells at a temperature
    group_means       mean of the samples of each cell

Kitagawa, Mérigot & Thibert, "Convergence of a Newton algorithm for semi-discrete optimal transport", JEMS 2019; Ahuja,
Magnanti & Orlin, "Network Flows", 1993, chapter 9. Costs leave out ||x||², which all sites share.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

_PRUNE = 1e-3  # memberships below it do not count in the curvature
_RIDGE = 1e-2  # keeps the curvature of cells without a neighbour in reach away from 0, relative
_TINY = 1e-100  # an edge of length 0, which a sparse graph would leave out
_STRIDE = 10  # largest step of a weight, in units of the smoothing


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


def neighbour_costs(
    vectors: np.ndarray, codes: np.ndarray, sites: np.ndarray, weights: np.ndarray, n_candidates: int
) -> tuple[np.ndarray, np.ndarray]:
    """Costs of the sites nearest to the present one of each vector; of all sites, where they are few.

    vectors : float32 [N, D], centred; codes : int [N], the present sites.
    sites : float32 or float64 [K, D], which decides the type of the costs; weights : float [K].
    Returns costs without weights, float [N, L], and their sites, int32 [N, L], L = min(n_candidates, K).
    """
    n_candidates = min(n_candidates, len(sites))
    norms = np.einsum("kd,kd->k", sites, sites)
    near = np.argpartition(norms - weights - 2 * (sites @ sites.T), n_candidates - 1, axis=1)[:, :n_candidates]
    costs = np.empty((len(vectors), n_candidates), dtype=sites.dtype)
    for cell, members in enumerate(members_of(codes, len(sites))):
        if len(members):
            costs[members] = norms[near[cell]] - vectors[members] @ (2 * sites[near[cell]].T)
    return costs, near.astype(np.int32)[codes]


def members_of(codes: np.ndarray, n_cells: int) -> list[np.ndarray]:
    """The samples of each cell, in their order."""
    ends = np.cumsum(np.bincount(codes, minlength=n_cells))
    return np.split(np.argsort(codes, kind="stable"), ends[:-1])


def best_candidates(
    costs: np.ndarray, candidates: np.ndarray, weights: np.ndarray, n_candidates: int
) -> tuple[np.ndarray, np.ndarray]:
    """The L of lowest cost, in no order."""
    if n_candidates >= costs.shape[1]:
        return costs, candidates
    lead = costs - weights.astype(costs.dtype)[candidates]
    best = np.argpartition(lead, n_candidates - 1, axis=1)[:, :n_candidates]
    return np.take_along_axis(costs, best, axis=1), np.take_along_axis(candidates, best, axis=1)


def equalise(
    costs: np.ndarray,
    candidates: np.ndarray,
    weights: np.ndarray,
    *,
    smoothing: tuple[float, float],
    tolerance: float = 0.2,
    steps: int = 12,
) -> np.ndarray:
    """Weights [K] that give every site the same share, from `neighbour_costs`.

    Maximises the concave dual Σ_x softmin_k(cost - w) + N/K Σ w by damped Newton steps with backtracking.

    weights : float [K], to start from.
    smoothing : temperature of the softmin, first and last, in squared units; halved in between.
    tolerance : of a cell's smoothed size, in units of sqrt(N/K).
    steps : at each temperature, at most.
    """
    n_sites, share = len(weights), len(costs) / len(weights)
    diagonal = np.arange(n_sites)
    weights = weights.astype(np.float64)
    temperature, last = smoothing
    while True:
        membership, sizes, dual = memberships(costs, candidates, weights, temperature)
        for _ in range(steps):
            missing = share - sizes
            if np.abs(missing).max() < max(tolerance * np.sqrt(share), 0.3):
                break
            keep = membership > _PRUNE
            rows = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
            sparse = csr_matrix((membership[keep], candidates[keep], rows), shape=(len(costs), n_sites))
            curvature = -(sparse.T @ sparse).toarray().astype(np.float64)
            curvature[diagonal, diagonal] = 0
            curvature[diagonal, diagonal] = _RIDGE * share - curvature.sum(axis=1)
            step = temperature * cho_solve(cho_factor(curvature), missing)
            step = np.clip(step - step.mean(), -_STRIDE * temperature, _STRIDE * temperature)
            for _ in range(10):
                tried = weights + step
                attempt = memberships(costs, candidates, tried, temperature)
                if attempt[2] >= dual + 1e-4 * (missing @ step):
                    break
                step = step / 2
            else:
                break
            weights, (membership, sizes, dual) = tried, attempt
        if temperature <= last:
            return weights - weights.mean()
        temperature = max(temperature / 2, last)


def memberships(
    costs: np.ndarray, candidates: np.ndarray, weights: np.ndarray, temperature: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Soft membership [N, L] of each sample, softmax of (w - cost) / temperature; sizes [K]; and the smoothed dual."""
    logits = (weights.astype(np.float32)[candidates] - costs) * np.float32(1 / temperature)
    highest = logits.max(axis=1, keepdims=True)
    np.exp(np.subtract(logits, highest, out=logits), out=logits)
    total = logits.sum(axis=1, keepdims=True)
    dual = -temperature * float((np.log(total) + highest).sum(dtype=np.float64))
    logits /= total
    sizes = np.bincount(candidates.ravel(), logits.ravel(), minlength=len(weights))
    return logits, sizes, dual + len(costs) / len(weights) * float(weights.sum())


def lowest(costs: np.ndarray, candidates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The site of lowest cost among the candidates of each sample, int [N]."""
    best = np.argmin(costs - weights.astype(costs.dtype)[candidates], axis=1)
    return candidates[np.arange(len(candidates)), best]


def settle(costs: np.ndarray, candidates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights whose cells hold floor or ceil of N/K samples, at the least total cost: `equalise`, finished exactly.

    costs : float64 [N, L], better than float32, since weights end up between the costs of single samples.
    weights : float [K], nearly right.
    Equal samples cannot be parted: cells with atoms may differ by more.
    """
    n_sites = len(weights)
    flow = _Flow(costs, candidates, weights.astype(np.float64), lowest(costs, candidates, weights))
    low, high = len(costs) // n_sites, -(-len(costs) // n_sites)
    while True:
        sizes = np.bincount(flow.codes, minlength=n_sites)
        sources, sinks = sizes > high, sizes < low
        if not sources.any() and not sinks.any():
            break
        sources = sources if sources.any() else sizes > low
        sinks = sinks if sinks.any() else sizes < high
        if not flow.augment(sources, sinks):
            break
    return flow.inner_weights()


class _Flow:
    """Samples in cells, and the cheapest way to pass one on: a graph of the cells with an edge where one may go.

    gap [K, K] : least rise in cost of any sample of cell k by moving to j, infinite where none has j as a candidate;
    mover [K, K] : that sample. With weights w all reduced gaps, gap + w_k - w_j, are >= 0: the assignment is optimal
    for the sizes that it has, and stays so as samples move along the shortest paths from too large to too small cells.
    """

    def __init__(self, costs: np.ndarray, candidates: np.ndarray, weights: np.ndarray, codes: np.ndarray) -> None:
        self.costs, self.candidates, self.weights, self.codes = costs, candidates, weights, codes
        self.gap = np.full((len(weights), len(weights)), np.inf)
        self.mover = np.zeros(self.gap.shape, dtype=np.int64)
        for cell, members in enumerate(members_of(codes, len(weights))):
            self._update(cell, members)

    def _update(self, cell: int, members: np.ndarray) -> None:
        self.gap[cell] = np.inf
        near, costs = self.candidates[members], self.costs[members]
        own = np.where(near == cell, costs, np.inf).min(axis=1, initial=np.inf)
        rise = (costs - own[:, None]).ravel()
        order = np.argsort(-rise, kind="stable")  # of the samples that could go to a cell, the last written is cheapest
        target = near.ravel()[order]
        self.gap[cell, target] = rise[order]
        self.mover[cell, target] = np.repeat(members, near.shape[1])[order]
        self.gap[cell, cell] = np.inf

    def augment(self, sources: np.ndarray, sinks: np.ndarray) -> bool:
        """Move samples along shortest paths that share no cell; False where no sink can be reached."""
        start, end = np.nonzero(np.isfinite(self.gap))
        reduced = self.gap[start, end] + self.weights[start] - self.weights[end]
        graph = csr_matrix((np.maximum(reduced, _TINY), (start, end)), shape=self.gap.shape)
        distance, before, _ = dijkstra(graph, indices=np.flatnonzero(sources), min_only=True, return_predecessors=True)
        ends = np.flatnonzero(sinks & np.isfinite(distance))
        if not len(ends):
            return False
        used = np.zeros(len(distance), dtype=bool)
        moves = []
        furthest = 0.0
        for end in ends[np.argsort(distance[ends], kind="stable")]:
            path = [int(end)]
            while before[path[-1]] >= 0:
                path.append(int(before[path[-1]]))
            if used[path].any():
                continue
            used[path] = True
            furthest = float(distance[end])
            moves += [(self.mover[k, j], j) for j, k in itertools.pairwise(path)]
        self.weights += np.minimum(distance, furthest)
        for sample, target in moves:
            self.codes[sample] = target
        for cell in np.flatnonzero(used):
            self._update(int(cell), np.flatnonzero(self.codes == cell))
        return True

    def inner_weights(self, sweeps: int = 5) -> np.ndarray:
        """Weights well inside the range that keeps the assignment: each in turn to the middle of its own."""
        weights, gap_into = self.weights.copy(), np.ascontiguousarray(self.gap.T)
        for _ in range(sweeps):
            for cell in range(len(weights)):
                upper = (gap_into[cell] + weights).min()
                lower = (weights - self.gap[cell]).max()
                if np.isfinite(upper) and np.isfinite(lower):
                    weights[cell] = 0.5 * (upper + lower)
        return weights - weights.mean()
