"""Settling: weights whose power cells hold exactly one share of the samples, give or take one sample.

    settle            costs -> weights, by shortest augmenting paths
    neighbour_costs   vectors, sites -> costs of the sites near the present one of each
    lowest            the site of lowest cost of each sample

What `porcupine.quantizers.power.equalise` leaves uneven by a few samples is passed on from cell to cell at the least
cost: Ahuja, Magnanti & Orlin, "Network Flows", 1993, chapter 9. Costs leave out ||x||², which all sites share.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from porcupine.quantizers.power import members_of, near_sites

_TINY = 1e-100  # an edge of length 0, which a sparse graph would leave out


def neighbour_costs(
    vectors: np.ndarray, codes: np.ndarray, sites: np.ndarray, weights: np.ndarray, n_near: int
) -> tuple[np.ndarray, np.ndarray]:
    """Costs of the sites near the present one of each vector (`power.near_sites`); of all sites, where they are few.

    vectors : float32 [N, D], centred; codes : int [N], the present sites.
    sites : float32 or float64 [K, D], which decides the type of the costs; weights : float [K].
    Returns costs without weights, float [N, L], and their sites, int32 [N, L]; the present site fills short lists.
    """
    lists = near_sites(sites, weights, n_near)
    near = np.repeat(np.arange(len(sites), dtype=np.int32)[:, None], max(map(len, lists)), axis=1)
    for row, listed in zip(near, lists, strict=True):
        row[: len(listed)] = listed
    norms = np.einsum("kd,kd->k", sites, sites)
    costs = np.empty((len(vectors), near.shape[1]), dtype=sites.dtype)
    for cell, members in enumerate(members_of(codes, len(sites))):
        if len(members):
            costs[members] = norms[near[cell]] - vectors[members] @ (2 * sites[near[cell]].T)
    return costs, near[codes]


def lowest(costs: np.ndarray, candidates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The site of lowest cost among the candidates of each sample, int [N]."""
    best = np.argmin(costs - weights.astype(costs.dtype)[candidates], axis=1)
    return candidates[np.arange(len(candidates)), best]


def settle(costs: np.ndarray, candidates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights whose cells hold floor or ceil of N/K samples, at the least total cost for those sizes.

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
        rise, target = (costs - own[:, None]).ravel(), near.ravel()
        np.minimum.at(self.gap[cell], target, rise)
        cheapest = np.flatnonzero(rise == self.gap[cell, target])
        self.mover[cell, target[cheapest]] = members[cheapest // near.shape[1]]
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
