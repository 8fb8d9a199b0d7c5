import itertools

import numpy as np
import pytest

from porcupine.quantizers.balanced import PowerCells, fit_balanced
from porcupine.quantizers.base import distortion
from porcupine.quantizers.kmeans import fit_kmeans


def gaussian(n_samples, n_dimensions=8, seed=0):
    return np.random.default_rng(seed).standard_normal((n_samples, n_dimensions)).astype(np.float32)


def sizes(quantizer, vectors):
    return np.bincount(quantizer.encode(vectors), minlength=quantizer.size)


def reached(quantizer, vectors):
    return distortion(vectors, quantizer.codebook, quantizer.encode(vectors))


@pytest.fixture(scope="module")
def three_fits():
    return [
        (fit_balanced(vectors, bits=6, seed=0), fit_balanced(vectors, bits=6, seed=0, exact=True), vectors)
        for vectors in (gaussian(2048, seed=seed) for seed in range(3))
    ]


def test_smoothed_cells_are_more_even_for_new_samples(three_fits):
    new = gaussian(20_000, seed=100)
    unevenness = np.mean(
        [[(sizes(fitted, new) / len(new) * 64).std() for fitted in (smooth, exact)] for smooth, exact, _ in three_fits],
        axis=0,
    )
    # Exact cells are at the sampling limit, 1 + N_test/N_train times the variance of N_test uniform draws.
    assert unevenness[1] == pytest.approx(np.sqrt(63 / 20_000 * (1 + 20_000 / 2048)), rel=0.2)
    assert unevenness[0] < 0.92 * unevenness[1]


def test_smoothed_cells_are_nearly_even_for_training_samples(three_fits):
    for smooth, exact, vectors in three_fits:
        assert (sizes(exact, vectors) == 32).all()
        assert np.abs(sizes(smooth, vectors) - 32).max() < 16


def test_even_cells_cost_little(three_fits):
    for smooth, exact, vectors in three_fits:
        free = fit_kmeans(vectors, bits=6, seed=0)
        for fitted in (smooth, exact):
            assert reached(fitted, vectors) < 1.03 * reached(free, vectors)
            assert reached(fitted, gaussian(5000, seed=100)) < 1.03 * reached(free, gaussian(5000, seed=100))


def test_training_samples_have_the_cheapest_cells_of_one_size():
    # No two samples gain by trading places, which is the optimum up to longer cycles (those: test_quantizers_power).
    vectors = gaussian(320, 3)
    fitted = fit_balanced(vectors, bits=4, seed=0, exact=True)
    codes = fitted.encode(vectors)
    costs = ((vectors[:, None].astype(np.float64) - fitted.sites) ** 2).sum(axis=-1)
    to = costs[:, codes]  # [i, j]: sample i at the site of sample j
    own = np.diag(to)
    assert (to + to.T - own[:, None] - own).min() > -1e-9


def best_of_equal_halves(vectors):
    """Squared error of the best two cells of one size, of all that there are."""
    costs = []
    for half in itertools.combinations(range(len(vectors)), len(vectors) // 2):
        parts = vectors[list(half)], np.delete(vectors, half, axis=0)
        costs.append(sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts))
    return min(costs)


def test_a_few_samples_are_halved_as_well_as_can_be():
    ratios = []
    for seed in range(8):
        vectors = gaussian(12, 3, seed=seed)
        fitted = fit_balanced(vectors, bits=1, seed=0, exact=True)
        assert (sizes(fitted, vectors) == 6).all()
        ratios.append(((vectors - fitted.decode(fitted.encode(vectors))) ** 2).sum() / best_of_equal_halves(vectors))
    assert min(ratios) > 1 - 1e-5 and np.median(ratios) < 1 + 1e-5 and max(ratios) < 1.1


@pytest.mark.parametrize("exact", [False, True])
def test_one_code_is_the_mean(exact):
    vectors = gaussian(50)
    fitted = fit_balanced(vectors, bits=0, seed=0, exact=exact)
    assert (fitted.encode(vectors) == 0).all()
    np.testing.assert_allclose(fitted.codebook, vectors.mean(axis=0)[None], atol=1e-6)


@pytest.mark.parametrize(("n_samples", "n_dimensions", "bits"), [(200, 60, 6), (150, 8, 6), (64, 20, 5)])
def test_sites_do_not_merge_where_cells_hold_few_samples(n_samples, n_dimensions, bits):
    vectors = gaussian(n_samples, n_dimensions)
    assert len(np.unique(fit_balanced(vectors, bits=bits, seed=0).encode(vectors))) > 0.8 * 2**bits


def test_sites_do_not_merge_in_a_dense_part():
    vectors = gaussian(1600, 4)
    vectors[::2] /= 50
    assert (sizes(fit_balanced(vectors, bits=4, seed=0, exact=True), vectors) == 100).all()


def test_cells_are_a_power_diagram():
    # By hand: sites 0 and 4, weights 0 and 8 put the border at 1.
    cells = PowerCells(np.array([[-1.0], [5.0]]), np.array([[0.0], [4.0]]), np.array([0.0, 8.0]))
    assert cells.encode(np.array([[-9.0], [0.9], [1.1], [2.0]])).tolist() == [0, 0, 1, 1]
    assert cells.decode([1, 0]).ravel().tolist() == [5, -1]
