import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from porcupine.quantizers import power


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
    weights = power.settle(*all_sites(costs), start)
    codes = np.argmin(costs - weights, axis=1)
    assert (np.bincount(codes, minlength=n_sites) == n_samples // n_sites).all()
    cost = costs[np.arange(n_samples), codes].sum()
    assert cost == pytest.approx(least_cost(costs, [n_samples // n_sites] * n_sites), rel=1e-9)
    assert weights.mean() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("n_samples", "n_sites"), [(61, 8), (71, 8), (199, 16), (17, 16), (31, 16)])
def test_sizes_that_do_not_divide_differ_by_one(n_samples, n_sites):
    costs = problem(n_samples, n_sites)[2]
    codes = np.argmin(costs - power.settle(*all_sites(costs), np.zeros(n_sites)), axis=1)
    sizes = np.bincount(codes, minlength=n_sites)
    assert sizes.min() == n_samples // n_sites and sizes.max() == n_samples // n_sites + 1
    assert costs[np.arange(n_samples), codes].sum() == pytest.approx(least_cost(costs, sizes), rel=1e-9)


def test_cells_already_settled_stay():
    costs = problem(80, 8)[2]
    settled = power.settle(*all_sites(costs), np.zeros(8))
    again = power.settle(*all_sites(costs), settled)
    assert np.array_equal(np.argmin(costs - settled, axis=1), np.argmin(costs - again, axis=1))


def test_settled_weights_lie_inside_their_range():
    # By hand: of samples at 0, 1, 2, 10 and sites at 0 and 10, the border of two and two is in the middle of 1 and 2:
    # x² - w = (x - 10)² + w at 1.5 where w = -35.
    vectors, sites = np.array([0.0, 1, 2, 10]), np.array([0.0, 10])
    costs = sites**2 - 2 * vectors[:, None] * sites
    assert power.settle(*all_sites(costs), np.zeros(2)) == pytest.approx([-35, 35])


def test_equal_samples_stay_together_and_others_are_shared():
    vectors, sites, _ = problem(640, 64)
    vectors[:50] = vectors[0]
    costs = (sites**2).sum(axis=1) - 2 * vectors.astype(np.float64) @ sites.T
    weights = power.settle(*all_sites(costs), np.zeros(64))
    codes = np.argmin(costs - weights, axis=1)
    assert len(np.unique(codes[:50])) == 1
    sizes = np.bincount(codes, minlength=64)
    assert np.isfinite(weights).all() and (np.abs(sizes - 10) <= 1).sum() >= 64 - 50 // 10 - 2


def test_samples_that_are_all_equal_end():
    costs = np.tile(np.arange(4.0), (40, 1))
    assert np.isfinite(power.settle(*all_sites(costs), np.zeros(4))).all()


def test_a_site_out_of_reach_is_left_alone():
    # 30 samples know the first two sites, 10 the others: none can be passed on.
    rng = np.random.default_rng(0)
    costs = rng.random((40, 2))
    costs[:30, 0] -= 0.8
    candidates = np.where(np.arange(40)[:, None] < 30, [[0, 1]], [[2, 3]]).astype(np.int32)
    weights = power.settle(costs, candidates, np.zeros(4))
    sizes = np.bincount(power.lowest(costs, candidates, weights), minlength=4)
    assert np.isfinite(weights).all()
    assert sizes[:2].sum() == 30 and sizes[:2].min() >= 10


def test_candidates_near_the_present_site_are_enough():
    vectors = problem(400, 40)[0]
    cells = np.argsort(np.argsort(vectors[:, 0])) // 100 * 10 + np.argsort(np.argsort(vectors[:, 1])) // 40
    sites = power.group_means(vectors, cells, 40)[0].astype(np.float64)
    costs = (sites**2).sum(axis=1) - 2 * vectors.astype(np.float64) @ sites.T
    weights = power.equalise(*all_sites(costs), np.zeros(40), smoothing=(0.2, 0.01))
    near = power.neighbour_costs(vectors, np.argmin(costs - weights, axis=1), sites, weights, 20)
    assert near[0].shape == near[1].shape == (400, 20)
    few, by_all = power.settle(*near, weights), power.settle(*all_sites(costs), weights)
    assert np.array_equal(np.argmin(costs - few, axis=1), np.argmin(costs - by_all, axis=1))


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_the_dual_falls_as_cells_grow(temperature):
    # Its slope along w_k is what cell k has too few, by finite differences.
    costs, candidates = all_sites(problem(200, 6)[2])
    weights, step = np.array([0, 8, -8, 4, 16, -4]) / 64, 2.0**-10
    _, sizes, _ = power.memberships(costs, candidates, weights, temperature)
    for site, size in enumerate(sizes):
        up, down = (
            power.memberships(costs, candidates, weights + sign * step * np.eye(6)[site], temperature)[2]
            for sign in (1, -1)
        )
        assert (up - down) / (2 * step) == pytest.approx(200 / 6 - size, abs=0.02)


def test_memberships_by_hand():
    # Costs less weights of 1 and 2, at temperature 1 / log 3: odds of 3 to 1.
    soft, sizes, dual = power.memberships(
        np.array([[5.0, 4.0]]), np.array([[1, 0]]), np.array([2.0, 4.0]), 1 / np.log(3)
    )
    assert soft == pytest.approx(np.array([[0.75, 0.25]]))
    assert sizes == pytest.approx([0.25, 0.75])
    assert dual == pytest.approx(1 - np.log(4 / 3) / np.log(3) + 3)


@pytest.mark.parametrize(("n_samples", "n_sites"), [(2000, 16), (1000, 100), (300, 1), (100, 64)])
def test_equalised_sizes_are_equal(n_samples, n_sites):
    costs, candidates = all_sites(problem(n_samples, n_sites)[2])
    weights = power.equalise(costs, candidates, np.zeros(n_sites), smoothing=(0.5, 0.1), steps=40)
    _, sizes, _ = power.memberships(costs, candidates, weights, 0.1)
    share = n_samples / n_sites
    assert np.abs(sizes - share).max() < max(0.2 * np.sqrt(share), 0.3)
    assert weights.mean() == pytest.approx(0, abs=1e-9)


def test_equalising_starts_from_weights_up_to_a_constant():
    costs, candidates = all_sites(problem(500, 12)[2])
    start = np.random.default_rng(0).standard_normal(12)
    weights = power.equalise(costs, candidates, start, smoothing=(0.2, 0.2))
    shifted = power.equalise(costs, candidates, start + 4, smoothing=(0.2, 0.2))
    assert weights == pytest.approx(shifted, abs=1e-4)
    assert power.equalise(costs + 4, candidates, start, smoothing=(0.2, 0.2)) == pytest.approx(weights, abs=1e-4)


def test_costs_of_all_sites_where_they_are_few():
    vectors, sites, costs = problem(50, 7)
    for dtype in (np.float32, np.float64):
        near, candidates = power.neighbour_costs(
            vectors, np.arange(50) % 7, sites.astype(dtype), np.random.default_rng(0).random(7), 64
        )
        assert near.dtype == dtype and near.shape == (50, 7)
        assert (np.sort(candidates, axis=1) == np.arange(7)).all()
        np.testing.assert_allclose(near, np.take_along_axis(costs, candidates, axis=1), atol=1e-5)


def test_candidates_are_the_sites_near_the_present_one():
    sites = np.arange(10.0)[:, None]
    _, candidates = power.neighbour_costs(np.zeros((2, 1), np.float32), np.array([4, 9]), sites, np.zeros(10), 3)
    assert np.sort(candidates, axis=1).tolist() == [[3, 4, 5], [7, 8, 9]]


def test_the_best_candidates_and_the_lowest():
    costs, candidates = np.array([[3.0, 1.0, 2.0]]), np.array([[7, 4, 0]])
    weights = np.zeros(8)
    weights[7] = 2.5
    best = power.best_candidates(costs, candidates, weights, 2)
    assert sorted(zip(best[1][0].tolist(), best[0][0].tolist(), strict=True)) == [(4, 1.0), (7, 3.0)]
    assert power.best_candidates(costs, candidates, weights, 3)[1] is candidates
    assert power.lowest(costs, candidates, weights).tolist() == [7]
    assert power.lowest(costs, candidates, np.zeros(8)).tolist() == [4]


def test_means_of_groups_by_hand():
    vectors = np.array([[1.0, 0], [5, 2], [3, 4]], dtype=np.float32)
    means, sizes = power.group_means(vectors, np.array([2, 0, 2]), 4)
    assert means.dtype == np.float32
    assert means.tolist() == [[5, 2], [0, 0], [2, 2], [0, 0]]
    assert sizes.tolist() == [1, 0, 2, 0]


def test_members_keep_their_order():
    assert [part.tolist() for part in power.members_of(np.array([2, 0, 2, 2]), 4)] == [[1], [], [0, 2, 3], []]
