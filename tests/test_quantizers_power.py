import numpy as np
import pytest

from porcupine.quantizers import power


def problem(n_samples, n_sites, n_dimensions=3, seed=0):
    """Samples, sites, and the costs of all pairs: ||x - s||² - ||x||²."""
    rng = np.random.default_rng([seed, n_samples, n_sites])
    vectors = rng.standard_normal((n_samples, n_dimensions)).astype(np.float32)
    sites = 0.7 * rng.standard_normal((n_sites, n_dimensions))
    return vectors, sites, (sites**2).sum(axis=1) - 2 * vectors.astype(np.float64) @ sites.T


def everyone(vectors, sites, n_near=64, weights=None):
    """All samples with the sites near their nearest one."""
    weights = np.zeros(len(sites)) if weights is None else weights
    codes = np.argmin((sites**2).sum(axis=1) - weights - 2 * vectors @ sites.T, axis=1)
    return power.Neighbourhood(sites.astype(np.float32), weights, n_near).add(vectors, codes)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_the_dual_falls_as_cells_grow(temperature):
    # Its slope along w_k is what cell k has too few, by finite differences; its curvature that of the sizes.
    vectors, sites, _ = problem(200, 6)
    near = everyone(vectors, sites)
    weights, step = np.array([0, 8, -8, 4, 16, -4]) / 64, 2.0**-10
    soft = near.soften(weights, temperature, curved=True)
    for site, size in enumerate(soft.sizes):
        up, down = (near.soften(weights + sign * step * np.eye(6)[site], temperature) for sign in (1, -1))
        assert (up.dual - down.dual) / (2 * step) == pytest.approx(200 / 6 - size, abs=0.02)
        slope = temperature * (up.sizes - down.sizes) / (2 * step)
        np.testing.assert_allclose(slope, size * np.eye(6)[site] - soft.curvature.toarray()[site], atol=0.02)


def test_memberships_by_hand():
    # One sample at 0, sites at 2 and √5: costs 4 and 5, less weights of 2 and 4, at temperature 1 / log 3: odds 3 to 1.
    sites = np.array([[2.0], [5**0.5]], dtype=np.float32)
    near = power.Neighbourhood(sites, np.zeros(2), 2).add(np.zeros((1, 1), np.float32), np.array([1]))
    soft = near.soften(np.array([2.0, 4.0]), 1 / np.log(3))
    assert soft.sizes == pytest.approx([0.25, 0.75], rel=1e-5)
    assert soft.dual == pytest.approx(1 - np.log(4 / 3) / np.log(3) + 3, rel=1e-5)


@pytest.mark.parametrize(("n_samples", "n_sites"), [(300, 12), (700, 2), (1000, 3)])  # cells of a tile, and of many
@pytest.mark.parametrize("entries", [1, 1000, 2**17])  # tile by tile, some, all at once
def test_soft_cells_are_those_of_all_samples_and_sites(n_samples, n_sites, entries, monkeypatch):
    monkeypatch.setattr(power, "_CHUNK", entries)
    vectors, sites, costs = problem(n_samples, n_sites)
    weights = np.random.default_rng(1).standard_normal(n_sites)
    logits = (weights - costs) / 0.7
    members = np.exp(logits - logits.max(axis=1, keepdims=True))
    members /= members.sum(axis=1, keepdims=True)
    near = power.Neighbourhood(sites.astype(np.float32), weights, 64)
    codes = np.argmin(costs, axis=1)
    soft = near.add(vectors, codes).soften(weights, 0.7, curved=True, vectors=vectors)
    np.testing.assert_allclose(soft.sizes, members.sum(axis=0), rtol=1e-4)
    np.testing.assert_allclose(soft.curvature.toarray(), members.T @ members, atol=1e-3)
    np.testing.assert_allclose(soft.sums, members.T @ vectors, atol=2e-3)
    assert np.array_equal(near.codes(weights), np.argmin(costs - weights, axis=1))


def test_samples_may_come_in_parts():
    vectors, sites, _ = problem(300, 12)
    codes = np.arange(300) % 12
    whole = power.Neighbourhood(sites.astype(np.float32), np.zeros(12), 64).add(vectors, codes)
    parts = power.Neighbourhood(sites.astype(np.float32), np.zeros(12), 64)
    parts.add(vectors[:70], codes[:70]).add(vectors[70:], codes[70:])
    assert parts.share == whole.share == 25 and parts.n_blocks == 2
    one, two = (near.soften(np.zeros(12), 0.5) for near in (whole, parts))
    np.testing.assert_allclose(one.sizes, two.sizes, rtol=1e-5)
    assert one.dual == pytest.approx(two.dual, rel=1e-5)


@pytest.mark.parametrize(("n_samples", "n_sites"), [(2000, 16), (1000, 100), (300, 1), (100, 64)])
def test_equalised_sizes_are_equal(n_samples, n_sites):
    vectors, sites, _ = problem(n_samples, n_sites)
    near = everyone(vectors, sites, n_near=100)
    weights = power.equalise(near, np.zeros(n_sites), smoothing=(0.5, 0.1), steps=40)
    share = n_samples / n_sites
    assert np.abs(near.soften(weights, 0.1).sizes - share).max() < max(0.2 * np.sqrt(share), 0.3)
    assert weights.mean() == pytest.approx(0, abs=1e-9)


def test_equalising_starts_from_weights_up_to_a_constant():
    near = everyone(*problem(500, 12)[:2])
    start = np.random.default_rng(0).standard_normal(12)
    weights = power.equalise(near, start, smoothing=(0.2, 0.2))
    assert power.equalise(near, start + 4, smoothing=(0.2, 0.2)) == pytest.approx(weights, abs=1e-4)


def test_weights_go_no_further_than_they_reach():
    near = everyone(*problem(500, 12)[:2])
    weights = power.equalise(near, np.zeros(12), smoothing=(0.2, 0.2), reach=0.05)
    assert 0.04 < np.ptp(weights) <= 0.1 + 1e-9


def test_the_sites_near_a_cell():
    sites = np.arange(10.0)[:, None]
    near = power.near_sites(sites, np.zeros(10), 3)
    assert near[4].tolist() == [3, 4, 5] and near[9].tolist() == [7, 8, 9]
    assert all(len(listed) == 10 for listed in power.near_sites(sites, np.zeros(10), 10))


def test_near_is_what_is_cheap_where_the_samples_of_a_cell_are():
    means = np.arange(10, dtype=np.float32)[:, None]
    sites, weights = (
        means / 10,
        -0.09 * means[:, 0] ** 2,
    )  # which part the line between the means, as leaves of a tree do
    assert power.near_sites(sites, weights, 3, means)[9].tolist() == [7, 8, 9]


def test_a_site_far_out_is_listed_where_it_would_take_samples_first():
    sites = np.append(np.arange(10.0), 1000.0)[:, None]
    assert [cell for cell, near in enumerate(power.near_sites(sites, np.zeros(11), 5)) if 10 in near] == [8, 9, 10]


def test_a_cell_far_out_is_filled():
    # 5 samples far out want 20: their site takes the others from the nearest cells.
    vectors, sites, _ = problem(400, 20)
    vectors[:5] += 5
    sites[0] = 5
    weights = np.zeros(20)
    for _ in range(20):
        near = everyone(vectors, sites, 6, weights)
        weights = power.equalise(near, weights, smoothing=(0.3, 0.3), reach=near.reach(weights))
    sizes = everyone(vectors, sites, 20).soften(weights, 0.3).sizes
    assert np.abs(sizes - 20).max() < 3


def test_leads_by_hand():
    # Of sites at 0 and 10 samples at 4, 3 and 2 lead by 36 - 16, 49 - 9 and 64 - 4; a weight of 6 adds to it.
    vectors, sites = np.array([[4.0], [3.0], [2.0]], dtype=np.float32), np.array([[0.0], [10.0]], dtype=np.float32)
    near = everyone(vectors, sites)
    assert near.leads(np.zeros(2)).tolist() == [20, 40, 60]
    assert near.leads(np.array([6.0, 0.0])).tolist() == [26, 46, 66]
    assert near.reach(np.zeros(2)) == np.inf
    assert everyone(vectors, sites[:1]).leads(np.zeros(1)).tolist() == [1]


def test_the_reach_is_half_the_lead_over_the_last_listed():
    # Samples at the sites 0 … 9: of 3 listed the last is one step away, two steps at the ends, where 9 is alone.
    sites = np.arange(10.0)[:, None]
    near = everyone(sites.astype(np.float32), sites, 3)
    assert near.reach(np.zeros(10)) == pytest.approx(0.5)


def test_means_of_groups_by_hand():
    vectors = np.array([[1.0, 0], [5, 2], [3, 4]], dtype=np.float32)
    means, sizes = power.group_means(vectors, np.array([2, 0, 2]), 4)
    assert means.dtype == np.float32
    assert means.tolist() == [[5, 2], [0, 0], [2, 2], [0, 0]]
    assert sizes.tolist() == [1, 0, 2, 0]


def test_members_keep_their_order():
    assert [part.tolist() for part in power.members_of(np.array([2, 0, 2, 2]), 4)] == [[1], [], [0, 2, 3], []]
