"""What holds for every quantiser that starts from halves: k-means, balanced, curve and tree."""

import itertools
from functools import partial

import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.quantizers import cells, tour
from porcupine.quantizers.balanced import fit_balanced
from porcupine.quantizers.base import distortion
from porcupine.quantizers.halving import halve
from porcupine.quantizers.kmeans import fit_kmeans
from porcupine.quantizers.power import group_means
from porcupine.quantizers.tour import fit_curve
from porcupine.quantizers.tree import fit_tree

SMOOTH = {"kmeans": fit_kmeans, "balanced": fit_balanced}
EXACT = {"exact": partial(fit_balanced, exact=True), "curve": fit_curve, "tree": fit_tree}
FITS = SMOOTH | EXACT

every = pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())
exactly = pytest.mark.parametrize("fit", EXACT.values(), ids=EXACT.keys())


def gaussian(n_samples, n_dimensions=8, seed=0):
    return np.random.default_rng(seed).standard_normal((n_samples, n_dimensions)).astype(np.float32)


def correlated(n_samples=1000, seed=0):
    """More spread in some dimensions than in others, and away from the origin."""
    return gaussian(n_samples, 8, seed) * np.geomspace(4, 0.5, 8, dtype=np.float32) + np.float32(3)


def clusters(n_clusters, size, n_dimensions=6):
    """Far apart, of one size, shuffled. Returns samples and the cluster of each."""
    rng = np.random.default_rng(0)
    label = rng.permutation(np.repeat(np.arange(n_clusters), size))
    centers = 10 * rng.standard_normal((n_clusters, n_dimensions))
    return (centers[label] + 0.1 * rng.standard_normal((len(label), n_dimensions))).astype(np.float32), label


def sizes(quantizer, vectors):
    return np.bincount(quantizer.encode(vectors), minlength=quantizer.size)


def assert_same(one, other, names=None):
    states = one.to_arrays(), other.to_arrays()
    assert states[0].keys() == states[1].keys()
    for name in names or states[0]:
        assert states[0][name].tobytes() == states[1][name].tobytes(), name


def assert_close(one, other, vectors):
    """Up to rounding, by which a sample in a thousand may lie on the other side of a border."""
    assert (one.encode(vectors) == other.encode(vectors)).mean() >= 0.999
    np.testing.assert_allclose(one.codebook, other.codebook, atol=0.02 * vectors.std())


@exactly
@pytest.mark.parametrize(
    ("n_samples", "bits"), [(640, 6), (649, 6), (1000, 3), (501, 1), (64, 6), (65, 6), (131, 6), (128, 7)]
)
def test_every_code_has_its_share_of_the_training_samples(fit, n_samples, bits):
    vectors = gaussian(n_samples)
    counts = sizes(fit(vectors, bits=bits, seed=0), vectors)
    assert counts.min() >= n_samples // 2**bits and counts.max() <= -(-n_samples // 2**bits)


@exactly
@pytest.mark.parametrize("offset", [0, 30, 1000])
def test_that_holds_far_from_the_origin(fit, offset):
    vectors = gaussian(1600) + np.float32(offset)
    assert (sizes(fit(vectors, bits=5, seed=0), vectors) == 50).all()


@every
def test_codewords_are_the_means_of_their_training_samples(fit):
    # K-means has them where it has converged, which it does on clusters.
    vectors = clusters(16, 40)[0] if fit is fit_kmeans else correlated()
    fitted = fit(vectors, bits=4, seed=0)
    codes = fitted.encode(vectors)
    means = np.stack([vectors[codes == code].mean(axis=0, dtype=np.float64) for code in range(16)])
    np.testing.assert_allclose(fitted.codebook, means, atol=1e-5)
    assert fitted.codebook.dtype == np.float32 and codes.dtype == np.int32


@every
def test_clusters_are_found_and_survive_a_round_trip(fit):
    # Of borders between the clusters only: elsewhere a power cell need not hold its own mean.
    vectors, label = clusters(16, 40)
    fitted = fit(vectors, bits=4, seed=0)
    codes = fitted.encode(vectors)
    assert len(np.unique(codes)) == 16
    assert len(set(zip(codes.tolist(), label.tolist(), strict=True))) == 16
    assert fitted.encode(fitted.decode(np.arange(16))).tolist() == list(range(16))


@every
@pytest.mark.parametrize("scale", [2.0**-9, 2.0**12])
def test_the_unit_does_not_matter(fit, scale):
    vectors = correlated(500)
    plain, scaled = fit(vectors, bits=4, seed=0), fit(vectors * np.float32(scale), bits=4, seed=0)
    assert np.array_equal(plain.codebook * np.float32(scale), scaled.codebook)
    assert np.array_equal(plain.encode(vectors), scaled.encode(vectors * np.float32(scale)))


@every
def test_the_order_of_the_samples_does_not_matter(fit):
    vectors, order = gaussian(1000, 3), np.random.default_rng(1).permutation(1000)
    assert_close(fit(vectors, bits=4, seed=0), fit(vectors[order], bits=4, seed=0), vectors)


@every
def test_a_shift_does_not_matter(fit):
    # By multiples of 1/4 of samples that are multiples of 2^-10, so that it is exact.
    vectors = np.rint(1024 * gaussian(600, 4)) / 1024
    shift = np.array([8, -4, 0.25, 2], dtype=np.float32)
    plain, shifted = fit(vectors, bits=4, seed=0), fit(vectors + shift, bits=4, seed=0)
    assert (plain.encode(vectors) == shifted.encode(vectors + shift)).mean() >= 0.999
    np.testing.assert_allclose(plain.codebook + shift, shifted.codebook, atol=0.02)


@every
def test_a_seed_is_reproducible_and_another_differs(fit):
    vectors = correlated(400)
    first = fit(vectors, bits=4, seed=0)
    assert_same(first, fit(vectors.copy(), bits=4, seed=0))
    assert not np.array_equal(first.codebook, fit(vectors, bits=4, seed=1).codebook)


@every
def test_a_vector_has_one_code_whatever_it_is_encoded_with(fit):
    vectors, others = gaussian(400), gaussian(200, seed=1)
    fitted = fit(vectors, bits=5, seed=0)
    together = fitted.encode(np.concatenate([vectors, others]))
    assert np.array_equal(fitted.encode([others[:3], others[3:], vectors]), np.roll(together, 200))
    assert [int(fitted.encode(vector[None])[0]) for vector in vectors[:100]] == together[:100].tolist()


@every
def test_samples_on_disk_give_what_they_give_in_memory(fit, tmp_path):
    vectors = gaussian(1200)
    paths = [tmp_path / f"{number}.npy" for number in range(4)]
    for path, shard in zip(paths, np.split(vectors, [1, 200, 900]), strict=True):
        np.save(path, shard)
    assert_close(
        fit(vectors, bits=4, seed=0), fit([np.load(path, mmap_mode="r") for path in paths], bits=4, seed=0), vectors
    )


@pytest.fixture
def few_shape_the_cells(monkeypatch):
    for module in (cells, tour):
        monkeypatch.setattr(module, "GEOMETRY_SAMPLES", 500)


@every
def test_more_samples_than_shape_the_cells(fit, few_shape_the_cells, tmp_path):
    vectors = gaussian(3001)
    fitted = fit(vectors, bits=4, seed=0)
    share = 3001 / 16
    if fit is not fit_kmeans:
        assert np.abs(sizes(fitted, vectors) - share).max() < (1 if fit in EXACT.values() else 0.1 * share)
    np.save(tmp_path / "vectors.npy", vectors)
    on_disk = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert_same(fitted, fit(on_disk, bits=4, seed=0))
    assert_close(fitted, fit([on_disk[:7], on_disk[7:2000], on_disk[2000:]], bits=4, seed=0), vectors)


@every
def test_all_samples_set_the_codewords(fit, few_shape_the_cells):
    vectors = gaussian(3000)
    fitted = fit(vectors, bits=3, seed=0)
    if fit is not fit_kmeans:
        codes = fitted.encode(vectors)
        means = np.stack([vectors[codes == code].mean(axis=0) for code in range(8)])
        np.testing.assert_allclose(fitted.codebook, means, atol=1e-5)
    assert np.linalg.norm(vectors.mean(axis=0) - sizes(fitted, vectors) @ fitted.codebook / 3000) < 0.03


@every
def test_codewords_are_better_than_the_means_of_halves(fit):
    vectors = correlated(2000)
    leaf = halve(vectors - vectors.mean(axis=0), 6, np.random.default_rng(0))
    halves = distortion(vectors, group_means(vectors, leaf, 64)[0], leaf)
    fitted = fit(vectors, bits=6, seed=0)
    reached = distortion(vectors, fitted.codebook, fitted.encode(vectors))
    # The tree serves the bitrates below, too, at the cost of the highest.
    assert reached < (1.0 if fit is fit_tree else 0.97) * halves


@every
def test_half_precision_is_taken(fit):
    vectors = np.random.default_rng(0).integers(-500, 500, (300, 5)) / 128
    assert_same(fit(vectors.astype(np.float16), bits=3, seed=0), fit(vectors.astype(np.float64), bits=3, seed=0))


@every
def test_one_dimension_is_cut_into_intervals(fit):
    vectors = gaussian(600, 1)
    fitted = fit(vectors, bits=4, seed=0)
    codes = fitted.encode(vectors)
    intervals = sorted((vectors[codes == code].min(), vectors[codes == code].max()) for code in range(16))
    assert all(below[1] < above[0] for below, above in itertools.pairwise(intervals))
    if fit in EXACT.values():
        assert set(sizes(fitted, vectors)) <= {37, 38}


@every
def test_more_dimensions_than_samples(fit):
    vectors = gaussian(40, 100)
    fitted = fit(vectors, bits=3, seed=0)
    assert np.isfinite(fitted.codebook).all()
    if fit in EXACT.values():
        assert (sizes(fitted, vectors) == 5).all()


@every
def test_a_dimension_without_spread_stays_as_it_is(fit):
    vectors = gaussian(400, 4)
    vectors[:, 1] = 7
    fitted = fit(vectors, bits=4, seed=0)
    np.testing.assert_allclose(fitted.codebook[:, 1], 7, atol=1e-5)
    if fit in EXACT.values():
        assert (sizes(fitted, vectors) == 25).all()


@every
def test_as_many_codewords_as_samples(fit):
    vectors = gaussian(64)
    fitted = fit(vectors, bits=6, seed=0)
    assert (sizes(fitted, vectors) == 1).all()
    np.testing.assert_allclose(fitted.decode(fitted.encode(vectors)), vectors, atol=1e-5)


@every
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_equal_samples_stay_together_and_others_are_shared(fit):
    vectors = gaussian(640)
    vectors[:50] = vectors[0]
    fitted = fit(vectors, bits=6, seed=0)
    codes = fitted.encode(vectors)
    assert len(np.unique(codes[:50])) == 1
    assert np.isfinite(fitted.codebook).all()
    # Ten a code; the equal ones take up five codes and leave their neighbours with fewer or more.
    if fit in EXACT.values():
        assert (np.abs(sizes(fitted, vectors) - 10) <= 1).sum() >= 48


@every
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_nearly_all_samples_equal(fit):
    vectors = np.full((160, 4), 0.5, dtype=np.float32)
    vectors[:20] = gaussian(20, 4)
    fitted = fit(vectors, bits=5, seed=0)
    assert all(np.isfinite(array).all() for array in fitted.to_arrays().values())
    codes = fitted.encode(vectors)
    assert len(np.unique(codes[20:])) == 1 < len(np.unique(codes))


@every
def test_two_samples_and_one_bit(fit):
    vectors = np.array([[1.0, 2.0], [3.0, -2.0]])
    fitted = fit(vectors, bits=1, seed=0)
    assert sorted(fitted.decode(fitted.encode(vectors)).tolist()) == [[1, 2], [3, -2]]


@every
def test_input_that_cannot_be_quantised_is_named(fit):
    vectors = gaussian(100)
    with pytest.raises(InputError, match="n_codewords=128, must be between 1 and N=100 samples: train on more"):
        fit(vectors, bits=7, seed=0)
    with pytest.raises(InputError, match="all 100 vectors are equal: there is nothing to quantise"):
        fit(np.ones((100, 3)), bits=2, seed=0)
    with pytest.raises(InputError, match="dtype int64"):
        fit(np.ones((100, 3), dtype=int), bits=2, seed=0)
    with pytest.raises(InputError):
        fit(vectors, bits=-1, seed=0)
    vectors[71, 3] = np.nan
    for samples in (vectors, [vectors[:60], vectors[60:]]):
        with pytest.raises(InputError, match=r"not finite in 1 of .* rows, first row 71: drop those rows"):
            fit(samples, bits=2, seed=0)
    fitted = fit(gaussian(100), bits=2, seed=0)
    with pytest.raises(InputError, match="first row 71"):
        fitted.encode(vectors)
    with pytest.raises(InputError, match="D=3 dimensions"):
        fitted.encode(np.ones((5, 3)))
