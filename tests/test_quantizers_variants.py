import numpy as np
import pytest

from porcupine.quantizers import variants
from porcupine.quantizers.base import Nearest, nearest_codewords
from porcupine.quantizers.curve import project
from porcupine.quantizers.occurrence import interval_codes, interval_thresholds, resample_curve
from porcupine.quantizers.tour import fit_curve

MODES, ENCODINGS = ("faithful", "exact"), ("nearest", "interval")


def test_interval_codes_follow_exact_resampling_only():
    for method in ("sfvq", "sf_diveq"):
        assert variants.names([method], MODES, ENCODINGS) == [
            method,
            f"{method}-faithful-nearest",
            f"{method}-exact-nearest",
            f"{method}-exact-interval",
        ]
    assert variants.names(["sfvq"], ["faithful"], ["interval"]) == ["sfvq"]


def test_methods_without_a_curve_are_variants_of_their_own_name():
    methods = ["vq", "kmeans", "tree", "balanced", "diveq"]
    assert variants.names(methods, MODES, ENCODINGS) == methods


def test_a_curve_that_is_cut_when_fitted_has_no_variant_without_an_encoding():
    assert variants.names(["vq", "curve"], MODES, ENCODINGS) == ["vq", "curve-nearest", "curve-interval"]
    assert variants.names(["curve"], ["exact"], ["interval"]) == ["curve-interval"]


@pytest.fixture
def setting():
    rng = np.random.default_rng(0)
    return rng.standard_normal((600, 3)).astype(np.float32), rng.standard_normal((16, 3)).astype(np.float32)


@pytest.mark.parametrize("encodings", [("nearest",), ("interval",), ENCODINGS])
@pytest.mark.parametrize("method", ["vq", "sfvq", "curve"])
def test_normalising_gives_the_variants_that_are_named(method, encodings, setting):
    vectors, curve = setting
    trained = {4: [fit_curve(vectors, bits=4, seed=0) if method == "curve" else Nearest(curve)]}
    results = variants.normalise(method, trained, vectors, modes=MODES, encodings=encodings, seed=0)
    named = variants.names([method], MODES, encodings)
    assert list(results) == [name for name in named if name != method]
    assert all(list(by_bits) == [4] and len(by_bits[4]) == 1 for by_bits in results.values())


def test_nearest_and_interval_variants_share_their_codewords(setting):
    vectors, curve = setting
    tour = fit_curve(vectors, bits=3, seed=0)
    fitted = variants.normalise("curve", {3: [tour]}, vectors, modes=MODES, encodings=ENCODINGS, seed=0)
    assert fitted["curve-interval"][3] == [tour]
    (nearest,) = fitted["curve-nearest"][3]
    assert np.array_equal(nearest.codebook, tour.codebook)
    assert np.array_equal(nearest.encode(vectors), tour.nearest().encode(vectors))

    fitted = variants.normalise("sfvq", {4: [Nearest(curve)]}, vectors, modes=MODES, encodings=ENCODINGS, seed=0)
    ((near,), (within,)) = (fitted[f"sfvq-exact-{encoding}"][4] for encoding in ENCODINGS)
    assert np.array_equal(near.codebook, within.codebook)
    assert np.array_equal(near.encode(vectors), nearest_codewords(vectors, near.codebook))
    rank = project(vectors, curve).rank
    assert np.array_equal(within.encode(vectors), interval_codes(rank, interval_thresholds(rank, 16)))


def test_samples_that_come_in_shards_give_the_same_quantiser(setting):
    vectors, curve = setting
    for mode in MODES:
        whole, parts = (
            variants.resample(given, curve, mode, np.random.default_rng(0))
            for given in (vectors, [vectors[:100], vectors[100:]])
        )
        assert np.array_equal(whole.codebook, parts.codebook)
        assert np.array_equal(whole.encode(vectors), parts.encode([vectors[:7], vectors[7:]]))


def test_faithful_mode_does_not_sort_within_a_segment(setting):
    vectors, curve = setting
    projection = project(vectors, curve, search="adjacent")
    faithful = variants.resample(vectors, curve, "faithful", np.random.default_rng(0))
    assert isinstance(faithful, Nearest)
    np.testing.assert_allclose(faithful.codebook, resample_curve(projection.segment, projection.point, 16), atol=1e-5)
    assert not np.allclose(faithful.codebook, resample_curve(projection.rank, projection.point, 16), atol=1e-3)


def test_exact_intervals_are_even_on_the_training_samples(setting):
    vectors, curve = setting
    exact = variants.resample(vectors, curve, "exact", np.random.default_rng(0))
    codes = exact.encode(vectors)
    assert np.bincount(codes, minlength=16).tolist() == pytest.approx([37.5] * 16, abs=1)


def test_order_of_the_samples_does_not_matter_to_exact_resampling(setting):
    vectors, curve = setting
    one = variants.resample(vectors, curve, "exact", np.random.default_rng(0))
    two = variants.resample(vectors[::-1], curve, "exact", np.random.default_rng(1))
    np.testing.assert_allclose(one.codebook, two.codebook, atol=1e-5)
    assert np.array_equal(one.thresholds, two.thresholds)


def test_duplicates_share_one_interval(setting):
    vectors, curve = setting
    vectors = np.concatenate([vectors, np.repeat(vectors[:1], 200, axis=0)])
    exact = variants.resample(vectors, curve, "exact", np.random.default_rng(0))
    codes = exact.encode(vectors)
    assert len(set(codes[600:])) == 1
    assert codes.min() >= 0 and codes.max() <= 15


def test_a_few_variants_are_compared():
    known = ["vq", "sfvq", "sfvq-faithful-nearest", "tree", "balanced"]
    assert variants.compared(known) == ["vq", "sfvq-faithful-nearest", "balanced"]
    assert variants.compared(["balanced", "tree", "vq"]) == ["vq", "balanced"]
    assert variants.compared(["balanced", "kmeans", "tree"]) == ["balanced", "tree"]
    assert variants.compared(iter(["tree"])) == ["tree"]
