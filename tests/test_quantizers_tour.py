import itertools

import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.quantizers.balanced import fit_balanced
from porcupine.quantizers.base import Nearest, distortion
from porcupine.quantizers.tour import Tour, fit_curve, short_path


def gaussian(n_samples, n_dimensions=8, seed=0):
    return np.random.default_rng(seed).standard_normal((n_samples, n_dimensions)).astype(np.float32)


def length(points, path):
    return np.linalg.norm(np.diff(points[list(path)], axis=0), axis=1).sum()


def nearest_neighbours(points):
    """The path from the point furthest from the mean to the nearest one that is left, and so on."""
    left = list(range(len(points)))
    path = [left.pop(int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmax()))]
    while left:
        path.append(left.pop(int(np.linalg.norm(points[left] - points[path[-1]], axis=1).argmin())))
    return path


@pytest.mark.parametrize(("n_points", "n_dimensions"), [(2, 3), (3, 2), (30, 2), (100, 8), (100, 1)])
def test_a_path_visits_each_point_once_and_is_short(n_points, n_dimensions):
    points = np.random.default_rng(n_points).standard_normal((n_points, n_dimensions))
    path = short_path(points)
    assert sorted(path.tolist()) == list(range(n_points))
    assert length(points, path) <= length(points, nearest_neighbours(points)) + 1e-9


def test_many_points_gain_much_over_nearest_neighbours():
    points = np.random.default_rng(0).random((150, 2))
    path = short_path(points)
    assert length(points, path) < 0.9 * length(points, nearest_neighbours(points))
    # The shortest path through n points of the unit square tends to .7124 √n.
    assert length(points, path) < 1.15 * 0.7124 * np.sqrt(150) + 0.5


@pytest.mark.parametrize("n_dimensions", [2, 3])
def test_short_paths_are_nearly_the_shortest(n_dimensions):
    ratios = []
    for seed in range(8):
        points = np.random.default_rng(seed).standard_normal((7, n_dimensions))
        shortest = min(length(points, path) for path in itertools.permutations(range(7)) if path[0] < path[-1])
        ratios.append(length(points, short_path(points)) / shortest)
    assert min(ratios) > 1 - 1e-9 and np.mean(ratios) < 1.03 and max(ratios) < 1.15


def test_points_on_a_line_come_in_their_order():
    values = np.random.default_rng(0).standard_normal(60)
    for direction in (np.array([1.0, 0, 0]), np.array([2.0, -1, 0.5])):
        path = short_path(values[:, None] * direction)
        assert path.tolist() in (np.argsort(values).tolist(), np.argsort(-values).tolist())


def test_so_do_points_on_an_arc():
    angles = np.random.default_rng(1).permutation(40) * 0.1
    path = short_path(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert path.tolist() in (np.argsort(angles).tolist(), np.argsort(-angles).tolist())


def test_equal_points_follow_each_other():
    points = np.repeat(np.random.default_rng(2).standard_normal((6, 3)), 3, axis=0)
    assert (np.abs(np.diff(short_path(points) // 3)) > 0).sum() == 5


def line():
    """Three sites on a line, two units apart, without weights."""
    sites = np.array([[0.0], [2.0], [4.0]], dtype=np.float32)
    return Tour(sites, sites, np.zeros(3), np.array([0.5, 2.25]))


def test_positions_by_hand():
    # Borders at 1 and 3; a site in the middle of its cell is at k + 1/2. Beyond the ends the mirror images, -2 and 6.
    positions = line().position(np.array([[0.0], [0.5], [1.5], [2.0], [3.0], [4.0], [4.5], [-1.0], [-9.0], [9.0]]))
    assert positions == pytest.approx([0.5, 0.75, 1.25, 1.5, 2, 2.5, 2.75, 0, 0, 3])


def test_codes_are_intervals_of_the_position():
    vectors = np.array([[-9.0], [-0.1], [0.0], [3.4], [3.6], [9.0]])
    assert line().encode(vectors).tolist() == [0, 0, 1, 1, 2, 2]


def test_weights_move_positions_with_the_borders():
    # With 4 on the middle site its borders are at 0 and 4: a vector in the middle of them leans to neither side.
    sites = np.array([[0.0], [2.0], [4.0]], dtype=np.float32)
    weighted = Tour(sites, sites, np.array([0.0, 4.0, 0.0]), np.array([1.0, 2.0]))
    assert weighted.position(np.array([[0.01], [2.0], [3.99]])) == pytest.approx([1.0025, 1.5, 1.9975])


def test_neighbours_on_the_tour_are_near():
    fitted = fit_curve(gaussian(1500, 3), bits=5, seed=0)
    steps = np.linalg.norm(np.diff(fitted.codebook, axis=0), axis=1)
    distances = np.linalg.norm(fitted.codebook[:, None] - fitted.codebook, axis=-1)
    assert steps.mean() < 0.6 * distances[~np.eye(32, dtype=bool)].mean()


def test_thresholds_are_borders_of_cells_where_these_are_equal():
    vectors = gaussian(650)
    fitted = fit_curve(vectors, bits=4, seed=0)
    assert fitted.thresholds.tolist() == list(range(1, 16))
    positions = fitted.position(vectors)
    assert positions.min() >= 0 and positions.max() <= 16


def test_equal_samples_are_not_parted_by_a_threshold():
    vectors = np.repeat(gaussian(40), 5, axis=0)
    fitted = fit_curve(vectors, bits=4, seed=0)
    assert (np.diff(fitted.thresholds) >= 0).all()
    assert (fitted.encode(vectors).reshape(40, 5) == fitted.encode(vectors[::5])[:, None]).all()


@pytest.mark.parametrize(("n_samples", "bits"), [(2000, 5), (1800, 7)])
def test_intervals_cost_hardly_more_than_cells(n_samples, bits):
    vectors, others = gaussian(n_samples), gaussian(2000, seed=1)
    cells, exact = (fit_balanced(vectors, bits=bits, seed=0, exact=exact) for exact in (False, True))
    curve = fit_curve(vectors, bits=bits, seed=0, cells=cells)
    for some in (vectors, others):
        errors = [distortion(some, fitted.codebook, fitted.encode(some)) for fitted in (curve, exact)]
        assert errors[0] < 1.005 * errors[1]


def test_the_nearest_codeword_is_less_even_and_nearer():
    vectors = gaussian(1000)
    fitted = fit_curve(vectors, bits=5, seed=0)
    nearest = fitted.nearest()
    assert isinstance(nearest, Nearest) and np.array_equal(nearest.codebook, fitted.codebook)
    errors = [distortion(vectors, fitted.codebook, one.encode(vectors)) for one in (nearest, fitted)]
    assert errors[0] < errors[1]
    assert np.bincount(nearest.encode(vectors)).std() > np.bincount(fitted.encode(vectors)).std()


def test_new_samples_are_even_up_to_the_sampling_limit():
    fitted = fit_curve(gaussian(2048), bits=4, seed=0)
    counts = np.bincount(fitted.encode(gaussian(20_000, seed=1)), minlength=16)
    # chi2 / (K-1) is 1 + N_test/N_train = 10.8 on average, give or take √(2/15) of it.
    assert ((counts - 1250) ** 2).sum() / 1250 / 15 < 10.8 * (1 + 3 * np.sqrt(2 / 15))


def test_a_curve_joins_two_codewords_at_least():
    with pytest.raises(InputError, match="bits=0: a curve joins at least 2 codewords, 1 bit"):
        fit_curve(gaussian(50), bits=0, seed=0)


def test_cells_fitted_before_are_strung_on_the_tour():
    vectors = gaussian(2000)
    cells = fit_balanced(vectors, bits=5, seed=0)
    curve = fit_curve(vectors, bits=5, seed=0, cells=cells)
    assert set(np.bincount(curve.encode(vectors), minlength=32)) <= {62, 63}
    errors = [distortion(vectors, fitted.codebook, fitted.encode(vectors)) for fitted in (curve, cells)]
    assert errors[0] < 1.02 * errors[1]
    with pytest.raises(InputError, match=r"cells of shape \[32, 8\] should be \[K=16, D=8\]: fit them with the same"):
        fit_curve(vectors, bits=4, seed=0, cells=cells)
    with pytest.raises(InputError, match="cells are a Nearest, should be the PowerCells of fit_balanced"):
        fit_curve(vectors, bits=5, seed=0, cells=Nearest(cells.codebook))


def test_smoothed_cells_keep_their_codes_along_a_curve():
    vectors, others = gaussian(1800), gaussian(20_000, seed=1)
    cells = fit_balanced(vectors, bits=7, seed=0)
    curve, exact = (fit_curve(vectors, bits=7, seed=0, cells=cells, exact=exact) for exact in (False, True))
    order = short_path(cells.sites)
    np.testing.assert_allclose(curve.sites, cells.sites[order], atol=1e-6)
    moved = order[curve.encode(others)] != cells.encode(others)
    assert moved.mean() < 1e-3
    counts = [np.bincount(fitted.encode(others), minlength=128) for fitted in (curve, exact)]
    assert counts[0].std() < 0.9 * counts[1].std()
    alone = fit_curve(vectors, bits=7, seed=0, exact=False)
    assert np.bincount(alone.encode(others), minlength=128).std() < 0.9 * counts[1].std()
