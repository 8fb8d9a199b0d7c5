import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.quantizers.occurrence import equal_shares, interval_codes, interval_thresholds, resample_curve


def plain_resampling(rank, projected, n_codewords):
    """Hand out each sample to the chunks that its place overlaps, in float64."""
    order = sorted(range(len(rank)), key=lambda i: rank[i])
    width = len(rank) / n_codewords
    codebook = np.zeros((n_codewords, projected.shape[1]))
    for place, i in enumerate(order):
        for k in range(n_codewords):
            overlap = min(place + 1, (k + 1) * width) - max(place, k * width)
            if overlap > 0:
                codebook[k] += overlap * projected[i] / width
    return codebook


def test_a_boundary_sample_is_shared():
    # By hand: 3 samples, 2 codewords, so 1.5 samples each: (0 + .5·3)/1.5 = 1 and (.5·3 + 6)/1.5 = 5.
    resampled = resample_curve(np.array([0.0, 1.0, 2.0]), np.array([[0.0], [3.0], [6.0]]), 2)
    assert resampled.ravel().tolist() == [1, 5]


@pytest.mark.parametrize(("n", "k"), [(100, 7), (64, 64), (33, 32), (50, 1), (1000, 16)])
def test_resampling_agrees_with_a_plain_one(n, k):
    rng = np.random.default_rng(n)
    rank, projected = rng.random(n), rng.standard_normal((n, 3))
    np.testing.assert_allclose(resample_curve(rank, projected, k), plain_resampling(rank, projected, k), atol=1e-6)


def test_the_mean_of_the_codewords_is_the_mean_of_the_samples():
    rng = np.random.default_rng(0)
    projected = rng.standard_normal((1001, 4))
    resampled = resample_curve(rng.random(1001), projected, 32)
    np.testing.assert_allclose(resampled.mean(axis=0), projected.mean(axis=0), atol=1e-6)


def test_shares_of_the_codewords_are_equal_and_use_up_every_sample():
    shares = equal_shares(np.random.default_rng(0).random(1001), 32).toarray()
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares.sum(axis=0), 32 / 1001)


def test_samples_of_equal_rank_keep_their_order():
    resampled = resample_curve(np.array([1, 0, 1, 0]), np.array([[5.0], [1.0], [7.0], [3.0]]), 4)
    assert resampled.ravel().tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize(("n", "k"), [(1000, 16), (999, 16), (17, 16), (16, 16), (100, 7)])
def test_every_training_interval_holds_its_share(n, k):
    rank = np.random.default_rng(n).random(n)
    counts = np.bincount(interval_codes(rank, interval_thresholds(rank, k)), minlength=k)
    assert counts.sum() == n and len(counts) == k
    assert (np.abs(counts - n / k) < 1).all()


def test_thresholds_are_samples():
    rank = np.random.default_rng(1).random(50)
    assert np.isin(interval_thresholds(rank, 8), rank).all()


def test_thresholds_are_where_they_are_wanted_as_far_as_sizes_allow():
    rank = np.array([0.1, 0.2, 0.3, 1.4, 1.5, 1.6, 2.5, 2.6, 2.7])
    assert interval_thresholds(rank, 3, np.array([1.0, 2.0])).tolist() == [1.0, 2.0]
    # Too few to the left of the first: the nearest cut that leaves three is just above the third.
    off = interval_thresholds(rank, 3, np.array([0.25, 5.0]))
    assert off.tolist() == [np.nextafter(0.3, 1), 2.5]
    assert np.bincount(interval_codes(rank, off)).tolist() == [3, 3, 3]
    equal = np.ones(9)
    assert interval_thresholds(equal, 3, np.array([1.0, 2.0])).tolist() == [1.0, 1.0]


def test_codes_follow_the_order_along_the_curve():
    codes = interval_codes(np.array([0.1, 0.2, 0.9, 5.0]), np.array([0.2, 0.5, 2.0]))
    assert codes.tolist() == [0, 1, 2, 3]


def test_new_samples_of_the_same_law_are_uniform_within_the_sampling_limit():
    # chi2 / (K-1) of a calibrated code is 1 + N_test/N_train on average (Pólya), here 1.5, with K = 64.
    rng = np.random.default_rng(2)
    values = []
    for _ in range(200):
        thresholds = interval_thresholds(rng.random(4000), 64)
        counts = np.bincount(interval_codes(rng.random(2000), thresholds), minlength=64)
        values.append(((counts - 2000 / 64) ** 2).sum() / (2000 / 64) / 63)
    assert np.mean(values) == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("n_codewords", [0, 41])
def test_the_number_of_codewords_must_fit(n_codewords):
    with pytest.raises(InputError, match=f"n_codewords={n_codewords}, must be between 1 and N=40 samples"):
        resample_curve(np.arange(40), np.ones((40, 2)), n_codewords)
    with pytest.raises(InputError, match=f"n_codewords={n_codewords}, must be between 1 and N=40 samples"):
        interval_thresholds(np.arange(40), n_codewords)


def test_mismatched_or_nan_input_is_named():
    with pytest.raises(InputError, match=r"projected has shape \(3, 2\), should be \[N=4, D\]"):
        resample_curve(np.arange(4), np.ones((3, 2)), 2)
    with pytest.raises(InputError, match="without NaN"):
        interval_thresholds(np.array([0.0, np.nan]), 2)
