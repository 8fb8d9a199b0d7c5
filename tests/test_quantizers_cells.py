import numpy as np
import pytest

from porcupine.population import draw_population
from porcupine.quantizers import cells
from porcupine.quantizers.balanced import PowerCells, fit_balanced
from porcupine.quantizers.base import Nearest, distortion
from porcupine.quantizers.cells import Geometry, Schedule, anneal, calibrate, cell_means, early_samples
from porcupine.quantizers.halving import halve
from porcupine.quantizers.kmeans import fit_kmeans
from porcupine.quantizers.power import group_means
from porcupine.quantizers.samples import Samples
from porcupine.quantizers.tree import fit_tree


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


def test_sites_are_where_they_are_asked_to_be():
    vectors = gaussian(400, 3)

    def stay(vectors, leaf):
        return lambda sums, sizes: (group_means(vectors, leaf, 8)[0], np.zeros(8))

    sites, weights = anneal(vectors, 3, np.random.default_rng(0), stay)
    np.testing.assert_array_equal(sites, group_means(vectors, halve(vectors, 3, np.random.default_rng(0)), 8)[0])
    assert weights.mean() == pytest.approx(0, abs=1e-9)
    settled = calibrate(lambda: iter([vectors[:100], vectors[100:]]), sites, weights, exact=True)
    assert (sizes(PowerCells(sites, sites, settled), vectors) == 50).all()


@pytest.mark.parametrize(("empty", "descents"), [(1 / 8, 1), (1 / 16, 4)])
def test_all_begins_again_where_more_cells_are_empty_than_may_be(empty, descents):
    rounds = 0

    def merge(vectors, leaf):
        def rule(sums, sizes):
            nonlocal rounds
            rounds += 1
            sites = (sums / np.maximum(sizes, 1e-6)[:, None]).astype(np.float32)
            sites[1] = sites[0]
            return sites, np.zeros(8)

        return rule

    anneal(gaussian(400, 3), 3, np.random.default_rng(0), merge, Schedule(rounds=(3, 2), empty=empty))
    assert rounds == descents * (1 + 3 + 2)


def test_offsets_of_the_costs_are_made_up_for():
    # A cost that all samples pay at a site moves no border once cells have to be equal.
    vectors = gaussian(400, 3)

    def dear(vectors, leaf):
        return lambda sums, sizes: ((sums / sizes[:, None]).astype(np.float32), np.arange(8.0))

    _, plain = anneal(vectors, 3, np.random.default_rng(0))
    sites, weights = anneal(vectors, 3, np.random.default_rng(0), dear)
    counts = sizes(PowerCells(sites, sites, weights), vectors)
    assert np.abs(counts - 50).max() < 25 and np.abs(weights - plain).max() < 1


def test_cell_means_where_a_code_has_no_samples():
    quantizer = Nearest(np.array([[0.0, 0.0], [9.0, 9.0], [5.0, 5.0]], dtype=np.float32))
    samples = Samples([np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [4.0, 6.0]])])
    assert cell_means(samples, quantizer.encode(samples), quantizer.codebook).tolist() == [[0.5, 0.5], [9, 9], [4, 6]]


def test_cells_that_are_nearly_even_are_settled_at_once(monkeypatch):
    vectors = gaussian(2000)
    even = fit_balanced(vectors, bits=4, seed=0)
    asked, listed = [], cells._listed
    monkeypatch.setattr(cells, "_listed", lambda *given: asked.append(given[2]) or listed(*given))
    weights = calibrate(lambda: iter([vectors]), even.sites, even.weights, exact=True)
    assert len(asked) == 1
    assert set(sizes(PowerCells(even.codebook, even.sites, weights), vectors)) == {125}
    calibrate(lambda: iter([vectors]), even.sites, even.weights + np.linspace(0, 2, 16), exact=True)
    assert len(asked) > 2


def test_smoothing_cools_down_for_a_dense_cluster():
    # Half the samples 30 times denser: at the temperature that suits the others, the cells there would be one blur.
    vectors = gaussian(4000)
    vectors[:2000] /= 30
    fitted = fit_balanced(vectors, bits=4, seed=0)
    assert abs(sizes(fitted, vectors) - 250).max() <= 3 * np.sqrt(250)


@pytest.mark.parametrize("bits", [6, 8])
@pytest.mark.parametrize("fit", [fit_balanced, fit_tree])
def test_an_outlying_cell_takes_no_more_than_its_share(fit, bits):
    # A few samples far out: their site is among the nearest of too few, and its weight must not grow to reach the rest.
    vectors = draw_population(12_000, seed=1)
    fitted = fit(vectors, bits=bits, seed=0)
    share = 12_000 / 2**bits
    assert abs(sizes(fitted, vectors) - share).max() <= 3 * np.sqrt(share)
    plain = fit_kmeans(vectors, bits=bits, seed=0)
    error, least = (distortion(vectors, one.codebook, one.encode(vectors)) for one in (fitted, plain))
    assert error < 1.12 * least


def test_the_first_rounds_need_some_of_the_samples():
    vectors = gaussian(30_000)
    early = early_samples(vectors, 4, np.random.default_rng(0))
    rows = np.searchsorted(np.sort(vectors[:, 0]), early[:, 0])
    assert len(np.unique(rows)) == len(early) < 15_000 and np.array_equal(np.sort(vectors[:, 0])[rows], early[:, 0])
    assert early_samples(vectors[:5000], 4, np.random.default_rng(0)).shape == (5000, 8)
