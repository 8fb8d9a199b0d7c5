import numpy as np
import pytest

from porcupine.population import draw_population
from porcupine.quantizers.balanced import PowerCells, fit_balanced
from porcupine.quantizers.base import Nearest
from porcupine.quantizers.cells import Geometry, anneal, calibrate, cell_means, typical_lead
from porcupine.quantizers.halving import halve
from porcupine.quantizers.power import group_means
from porcupine.quantizers.samples import Samples


def gaussian(n_samples, n_dimensions=8, seed=0):
    return np.random.default_rng(seed).standard_normal((n_samples, n_dimensions)).astype(np.float32)


def sizes(quantizer, vectors):
    return np.bincount(quantizer.encode(vectors), minlength=quantizer.size)


def test_geometry_has_unit_variance_and_leads_back():
    vectors = 7 * gaussian(500, 3) + np.float32(100)
    geometry = Geometry.of(Samples(vectors), np.random.default_rng(0))
    assert geometry.vectors.var(axis=0).mean() == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(geometry.vectors.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(geometry.sites(geometry.vectors), vectors, rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate(list(geometry.blocks(Samples(vectors)))), geometry.vectors)


def test_the_typical_lead_by_hand():
    # Of sites at 0 and 10 samples at 4, 3 and 2 lead by 36 - 16, 49 - 9 and 64 - 4; a weight of 6 adds to it.
    vectors, codes = np.array([[4.0], [3.0], [2.0]], dtype=np.float32), np.zeros(3, dtype=int)
    sites = np.array([[0.0], [10.0]])
    assert typical_lead(vectors, codes, sites, np.zeros(2)) == pytest.approx(40)
    assert typical_lead(vectors, codes, sites, np.array([6.0, 0.0])) == pytest.approx(46)
    assert typical_lead(vectors, codes, sites[:1], np.zeros(1)) == 1


def test_sites_are_where_they_are_asked_to_be():
    vectors = gaussian(400, 3)
    start = halve(vectors, 3, np.random.default_rng(0))
    fixed, _ = group_means(vectors, start, 8)

    def stay(sums, sizes):
        return fixed, np.zeros(8)

    sites, weights = anneal(vectors, start, 8, np.random.default_rng(0), stay)
    assert np.array_equal(sites, fixed)
    assert weights.mean() == pytest.approx(0, abs=1e-9)
    settled = calibrate(lambda: iter([vectors[:100], vectors[100:]]), sites, weights, exact=True)
    assert (sizes(PowerCells(sites, sites, settled), vectors) == 50).all()


def test_offsets_of_the_costs_are_made_up_for():
    # A cost that all samples pay at a site moves no border once cells have to be equal.
    vectors = gaussian(400, 3)
    start = halve(vectors, 3, np.random.default_rng(0))

    def dear(sums, sizes):
        return (sums / sizes[:, None]).astype(np.float32), np.arange(8.0)

    _, plain = anneal(vectors, start, 8, np.random.default_rng(0))
    sites, weights = anneal(vectors, start, 8, np.random.default_rng(0), dear)
    counts = sizes(PowerCells(sites, sites, weights), vectors)
    assert np.abs(counts - 50).max() < 25 and np.abs(weights - plain).max() < 1


def test_cell_means_where_a_code_has_no_samples():
    quantizer = Nearest(np.array([[0.0, 0.0], [9.0, 9.0], [5.0, 5.0]], dtype=np.float32))
    samples = Samples([np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [4.0, 6.0]])])
    assert cell_means(samples, quantizer).tolist() == [[0.5, 0.5], [9, 9], [4, 6]]


def test_smoothing_cools_down_for_a_dense_cluster():
    # Half the samples 30 times denser: at the temperature that suits the others, the cells there would be one blur.
    vectors = gaussian(4000)
    vectors[:2000] /= 30
    fitted = fit_balanced(vectors, bits=4, seed=0)
    assert abs(sizes(fitted, vectors) - 250).max() <= 3 * np.sqrt(250)


def test_an_outlying_cell_takes_no_more_than_its_share():
    # A few samples far out: their site is among the nearest of too few, and its weight must not grow to reach the rest.
    vectors = draw_population(20_000, seed=1)
    fitted = fit_balanced(vectors, bits=6, seed=0)
    assert abs(sizes(fitted, vectors) - 20_000 / 64).max() <= 3 * np.sqrt(20_000 / 64)
