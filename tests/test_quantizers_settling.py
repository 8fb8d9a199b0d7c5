import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from porcupine.quantizers import power, settling


def problem(n_samples, n_sites, n_dimensions=3, seed=0):
    """Samples, sites, and the costs of all pairs: ||x - s||² - ||x||²."""
    rng = np.random.default_rng([seed, n_samples, n_sites])
    vectors = rng.standard_normal((n_samples, n_dimensions)).astype(np.float32)
    sites = 0.7 * rng.standard_normal((n_sites, n_dimensions))
    return vectors, sites, (sites**2).sum(axis=1) - 2 * vectors.astype(np.float64) @ sites.T


def all_sites(costs):
    return costs, np.tile(np.arange(costs.shape[1], dtype=np.int32), (len(costs), 1))


def least_cost(costs, sizes):
    """Of cells of these sizes, by assigning samples to places."""
    places = np.repeat(np.arange(costs.shape[1]), sizes)
    rows, columns = linear_sum_assignment(costs[:, places])
    return costs[rows, places[columns]].sum()


@pytest.mark.parametrize(("n_samples", "n_sites"), [(60, 2), (60, 3), (64, 8), (200, 10), (200, 50), (48, 48), (30, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_settled_cells_are_the_cheapest_of_one_size(n_samples, n_sites, seed):
    costs = problem(n_samples, n_sites, seed=seed)[2]
    start = np.random.default_rng(seed).standard_normal(n_sites)
    weights = settling.settle(*all_sites(costs), start)
    codes = np.argmin(costs - weights, axis=1)
    assert (np.bincount(codes, minlength=n_sites) == n_samples // n_sites).all()
    cost = costs[np.arange(n_samples), codes].sum()
    assert cost == pytest.approx(least_cost(costs, [n_samples // n_sites] * n_sites), rel=1e-9)
    assert weights.mean() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("n_samples", "n_sites"), [(61, 8), (71, 8), (199, 16), (17, 16), (31, 16)])
def test_sizes_that_do_not_divide_differ_by_one(n_samples, n_sites):
    costs = problem(n_samples, n_sites)[2]
    codes = np.argmin(costs - settling.settle(*all_sites(costs), np.zeros(n_sites)), axis=1)
    sizes = np.bincount(codes, minlength=n_sites)
    assert sizes.min() == n_samples // n_sites and sizes.max() == n_samples // n_sites + 1
    assert costs[np.arange(n_samples), codes].sum() == pytest.approx(least_cost(costs, sizes), rel=1e-9)


def test_cells_already_settled_stay():
    costs = problem(80, 8)[2]
    settled = settling.settle(*all_sites(costs), np.zeros(8))
    again = settling.settle(*all_sites(costs), settled)
    assert np.array_equal(np.argmin(costs - settled, axis=1), np.argmin(costs - again, axis=1))


def test_settled_weights_lie_inside_their_range():
    # By hand: of samples at 0, 1, 2, 10 and sites at 0 and 10, the border of two and two is in the middle of 1 and 2:
    # x² - w = (x - 10)² + w at 1.5 where w = -35.
    vectors, sites = np.array([0.0, 1, 2, 10]), np.array([0.0, 10])
    costs = sites**2 - 2 * vectors[:, None] * sites
    assert settling.settle(*all_sites(costs), np.zeros(2)) == pytest.approx([-35, 35])


def test_equal_samples_stay_together_and_others_are_shared():
    vectors, sites, _ = problem(640, 64)
    vectors[:50] = vectors[0]
    costs = (sites**2).sum(axis=1) - 2 * vectors.astype(np.float64) @ sites.T
    weights = settling.settle(*all_sites(costs), np.zeros(64))
    codes = np.argmin(costs - weights, axis=1)
    assert len(np.unique(codes[:50])) == 1
    sizes = np.bincount(codes, minlength=64)
    assert np.isfinite(weights).all() and (np.abs(sizes - 10) <= 1).sum() >= 64 - 50 // 10 - 2


def test_samples_that_are_all_equal_end():
    costs = np.tile(np.arange(4.0), (40, 1))
    assert np.isfinite(settling.settle(*all_sites(costs), np.zeros(4))).all()


def test_a_site_out_of_reach_is_left_alone():
    # 30 samples know the first two sites, 10 the others: none can be passed on.
    rng = np.random.default_rng(0)
    costs = rng.random((40, 2))
    costs[:30, 0] -= 0.8
    candidates = np.where(np.arange(40)[:, None] < 30, [[0, 1]], [[2, 3]]).astype(np.int32)
    weights = settling.settle(costs, candidates, np.zeros(4))
    sizes = np.bincount(settling.lowest(costs, candidates, weights), minlength=4)
    assert np.isfinite(weights).all()
    assert sizes[:2].sum() == 30 and sizes[:2].min() >= 10


def test_candidates_near_the_present_site_are_enough():
    vectors = problem(400, 40)[0]
    cells = np.argsort(np.argsort(vectors[:, 0])) // 100 * 10 + np.argsort(np.argsort(vectors[:, 1])) // 40
    sites = power.group_means(vectors, cells, 40)[0].astype(np.float64)
    costs = (sites**2).sum(axis=1) - 2 * vectors.astype(np.float64) @ sites.T
    everyone = power.Neighbourhood(sites.astype(np.float32), np.zeros(40), 40).add(vectors, np.zeros(400, dtype=int))
    weights = power.equalise(everyone, np.zeros(40), smoothing=(0.2, 0.01))
    near = settling.neighbour_costs(vectors, np.argmin(costs - weights, axis=1), sites, weights, 20)
    assert near[0].shape == near[1].shape and 20 <= near[0].shape[1] < 40
    few, by_all = settling.settle(*near, weights), settling.settle(*all_sites(costs), weights)
    assert np.array_equal(np.argmin(costs - few, axis=1), np.argmin(costs - by_all, axis=1))


def test_costs_of_all_sites_where_they_are_few():
    vectors, sites, costs = problem(50, 7)
    for dtype in (np.float32, np.float64):
        near, candidates = settling.neighbour_costs(
            vectors, np.arange(50) % 7, sites.astype(dtype), np.random.default_rng(0).random(7), 64
        )
        assert near.dtype == dtype and near.shape == (50, 7)
        assert (np.sort(candidates, axis=1) == np.arange(7)).all()
        np.testing.assert_allclose(near, np.take_along_axis(costs, candidates, axis=1), atol=1e-5)


def test_short_lists_are_filled_with_the_present_site():
    vectors, sites, costs = problem(200, 30)
    codes = np.argmin(costs, axis=1)
    near, candidates = settling.neighbour_costs(vectors, codes, sites, np.zeros(30), 4)
    np.testing.assert_allclose(near, np.take_along_axis(costs, candidates, axis=1), atol=1e-5)
    assert (candidates == codes[:, None]).any(axis=1).all()
    assert np.array_equal(settling.lowest(near, candidates, np.zeros(30)), codes)


def test_the_lowest_cost_wins_after_the_weights():
    costs, candidates = np.array([[3.0, 1.0, 2.0]]), np.array([[7, 4, 0]])
    weights = np.zeros(8)
    weights[7] = 2.5
    assert settling.lowest(costs, candidates, weights).tolist() == [7]
    assert settling.lowest(costs, candidates, np.zeros(8)).tolist() == [4]
