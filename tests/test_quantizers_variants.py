import numpy as np
import pytest

from porcupine.quantizers import variants
from porcupine.quantizers.base import nearest_codewords
from porcupine.quantizers.curve import project
from porcupine.quantizers.occurrence import resample_curve


def test_interval_codes_follow_exact_resampling_only():
    assert variants.names(["vq", "sfvq"], ["faithful", "exact"], ["nearest", "interval"]) == [
        "vq",
        "sfvq",
        "sfvq-faithful-nearest",
        "sfvq-exact-nearest",
        "sfvq-exact-interval",
    ]
    assert variants.names(["vq"], ["exact"], ["interval"]) == ["vq"]


@pytest.fixture
def setting():
    rng = np.random.default_rng(0)
    return rng.standard_normal((600, 3)).astype(np.float32), rng.standard_normal((16, 3)).astype(np.float32)


def test_faithful_mode_does_not_sort_within_a_segment(setting):
    vectors, curve = setting
    projection = project(vectors, curve, search="adjacent")
    faithful = variants.resample(vectors, curve, "faithful", np.random.default_rng(0))
    assert faithful.thresholds is None
    assert np.array_equal(faithful.codebook, resample_curve(projection.segment, projection.point, 16))
    assert not np.allclose(faithful.codebook, resample_curve(projection.rank, projection.point, 16), atol=1e-3)


def test_exact_intervals_are_even_on_the_training_samples(setting):
    vectors, curve = setting
    exact = variants.resample(vectors, curve, "exact", np.random.default_rng(0))
    codes = variants.encode(vectors, exact.codebook, intervals=(curve, exact.thresholds))
    assert np.bincount(codes, minlength=16).tolist() == pytest.approx([37.5] * 16, abs=1)
    nearest = variants.encode(vectors, exact.codebook)
    assert np.array_equal(nearest, nearest_codewords(vectors, exact.codebook))


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
    codes = variants.encode(vectors, exact.codebook, intervals=(curve, exact.thresholds))
    assert len(set(codes[600:])) == 1
    assert codes.min() >= 0 and codes.max() <= 15
