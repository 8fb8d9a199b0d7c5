import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_curve

from porcupine.errors import InputError
from porcupine.privacy.verification import eer_from_histograms, equal_error_rate


@pytest.mark.parametrize("d_prime", [0.5, 2.0, 4.0])
def test_gaussian_scores_have_the_eer_of_their_distance(d_prime):
    scores = np.random.default_rng(0).standard_normal(80_000)
    same = np.arange(80_000) < 20_000
    expected = norm.cdf(-d_prime / 2)
    error = 4 * np.sqrt(expected * (1 - expected) / 20_000)
    assert equal_error_rate(scores + d_prime * same, same) == pytest.approx(expected, abs=error)


@pytest.mark.parametrize("d_prime", [0.0, 1.0, 3.0])
def test_gaussian_histograms_have_the_eer_of_their_distance(d_prime):
    edges = np.linspace(-8, 12, 3001)
    same, different = np.diff(norm.cdf(edges, d_prime)), np.diff(norm.cdf(edges))
    assert eer_from_histograms(same, different) == pytest.approx(norm.cdf(-d_prime / 2), abs=1e-5)


@pytest.mark.parametrize("levels", [2, 3, 10, 10**6])
@pytest.mark.parametrize("n", [5, 50, 1000])
def test_it_agrees_with_the_roc_of_scikit_learn(n, levels):
    rng = np.random.default_rng(n + levels)
    for _ in range(5):
        same = rng.permutation(np.arange(n) < max(n // 4, 1))
        scores = np.round((rng.standard_normal(n) + same) * levels / 6) / levels
        false_alarms, hits, _ = roc_curve(same, scores, drop_intermediate=False)
        expected = np.interp(0, false_alarms - (1 - hits), false_alarms)
        assert equal_error_rate(scores, same) == pytest.approx(expected, abs=1e-12)


def test_ties_are_split_by_hand():
    # Same 1, 2; different 0, 1. Accepting half of the ties at 1 misses 1/4 and raises 1/4 false alarms.
    assert equal_error_rate(np.array([1.0, 2.0, 0.0, 1.0]), np.array([True, True, False, False])) == 0.25


def test_constant_scores_are_a_coin_toss():
    assert equal_error_rate(np.full(10, 0.3), np.arange(10) < 2) == 0.5


def test_separated_scores_are_never_wrong_and_reversed_ones_always():
    same = np.arange(9) < 4
    scores = np.where(same, 1.0, -1.0) + np.linspace(0, 0.5, 9)
    assert equal_error_rate(scores, same) == 0
    assert equal_error_rate(-scores, same) == 1


def test_order_and_monotone_maps_do_not_matter():
    rng = np.random.default_rng(1)
    scores, same = rng.standard_normal(200), rng.random(200) < 0.3
    order = rng.permutation(200)
    value = equal_error_rate(scores, same)
    assert equal_error_rate(scores[order], same[order]) == value
    assert equal_error_rate(np.exp(scores), same) == value
    assert equal_error_rate(-scores, ~same) == pytest.approx(value)


def test_histograms_are_measured_one_by_one():
    rng = np.random.default_rng(2)
    same, different = rng.integers(0, 9, (2, 3, 20)), rng.integers(0, 9, (2, 3, 20))
    batched = eer_from_histograms(same, different)
    assert batched.shape == (2, 3)
    assert batched[1, 2] == eer_from_histograms(same[1, 2], different[1, 2])
    np.testing.assert_allclose(eer_from_histograms(7 * same, 0.5 * different), batched)


def test_wrong_input_is_named():
    two = np.array([True, False])
    with pytest.raises(InputError, match="1 of 2 scores are NaN: check the embeddings"):
        equal_error_rate(np.array([0.1, np.nan]), two)
    with pytest.raises(InputError, match="all 2 pairs are of same speakers: an error rate needs pairs of both kinds"):
        equal_error_rate(np.ones(2), np.array([True, True]))
    with pytest.raises(InputError, match="all 2 pairs are of different speakers"):
        equal_error_rate(np.ones(2), ~np.array([True, True]))
    with pytest.raises(InputError, match=r"scores \(3,\) and same_speaker \(2,\) should be vectors of one length"):
        equal_error_rate(np.ones(3), two)
