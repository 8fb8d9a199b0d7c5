import itertools

import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.privacy import occupancy
from porcupine.privacy import randomised_response as response
from porcupine.quantizers.base import distortion

EPSILONS = [0.0, 0.3, 2.0, 7.0, np.inf]


def channel(n_codewords, epsilon):
    """P(report | code) [K, K], written out."""
    keep = 1.0 if np.isinf(epsilon) else np.exp(epsilon) / (np.exp(epsilon) + n_codewords - 1)
    table = np.full((n_codewords, n_codewords), (1 - keep) / (n_codewords - 1))
    np.fill_diagonal(table, keep)
    return table


def some_shares(n_codewords=5, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(n_codewords))


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_reports_follow_the_channel(epsilon):
    codes = np.repeat(np.arange(4), 20_000)
    reports = response.randomise(codes, 4, epsilon, np.random.default_rng(1)).reshape(4, -1)
    assert occupancy.count_codes(reports, 4) / 20_000 == pytest.approx(channel(4, epsilon), abs=0.02)
    assert response.keep_probability(4, epsilon) == pytest.approx(channel(4, epsilon)[0, 0])


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 2.0, 40.0])
def test_no_two_codes_are_told_apart_by_more_than_epsilon(epsilon):
    keep, other = response._chances(6, epsilon)
    table = np.where(np.eye(6, dtype=bool), keep, other)
    assert table.sum(axis=1) == pytest.approx(1)
    for one, two in itertools.permutations(range(6), 2):
        ratio = np.log(table[one]) - np.log(table[two])
        assert ratio.max() <= epsilon + 1e-9
        assert ratio.max() == pytest.approx(epsilon)  # and it is used up


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_disclosure_by_enumeration(epsilon):
    shares = some_shares()
    table = channel(5, epsilon)
    joint = shares[:, None] * table
    reported = joint.sum(axis=0)
    gain = np.log2(np.maximum(table, 1e-300) / reported)
    result = response.disclosure(shares, epsilon)
    assert result.average == pytest.approx((joint * gain).sum(), abs=1e-12)
    assert result.worst == pytest.approx(gain.max(), abs=1e-12)
    assert result.average <= result.worst + 1e-12
    assert result.worst <= epsilon * np.log2(np.e) + 1e-12


def test_the_ends():
    counts = np.array([40, 30, 20, 10])
    shares = counts / 100
    nothing, everything = (response.disclosure(shares, epsilon) for epsilon in (0, np.inf))
    assert (nothing.average, nothing.worst) == pytest.approx((0, 0), abs=1e-12)
    assert everything.average == pytest.approx(occupancy.average_bits(counts))
    assert everything.worst == pytest.approx(occupancy.worst_case_bits(counts))
    assert response.disclosure(shares, 80.0).average == pytest.approx(everything.average)


def test_an_empty_code_is_no_longer_infinitely_bad():
    shares = np.array([0.5, 0.5, 0])
    assert response.disclosure(shares, np.inf).worst == np.inf
    assert response.disclosure(shares, 3.0).worst == pytest.approx(3 * np.log2(np.e))


def test_more_noise_says_less():
    results = [response.disclosure(some_shares(), epsilon) for epsilon in np.linspace(0, 12, 50)]
    for figure in ("average", "worst"):
        assert (np.diff([getattr(result, figure) for result in results]) > 0).all()


def test_the_counts_come_back_unbiased_and_as_uncertain_as_said():
    counts = np.array([500, 300, 150, 50, 0])
    codes = np.repeat(np.arange(5), counts)
    rng = np.random.default_rng(2)
    drawn = [
        response.true_counts(occupancy.count_codes(response.randomise(codes, 5, 1.2, rng), 5), 1.2) for _ in range(3000)
    ]
    estimates, variances = (np.array(one) for one in zip(*drawn, strict=True))
    spread = estimates.std(axis=0)
    assert np.abs(estimates.mean(axis=0) - counts).max() < 4 * spread.max() / np.sqrt(3000)
    assert spread**2 == pytest.approx(variances.mean(axis=0), rel=0.1)
    assert (variances >= 0).all()
    assert estimates.sum(axis=1) == pytest.approx(1000)


def test_without_noise_the_counts_are_the_counts():
    estimate, variance = response.true_counts(np.array([3, 0, 5]), np.inf)
    assert estimate.tolist() == [3, 0, 5] and variance.tolist() == [0, 0, 0]


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_added_distortion_by_enumeration(epsilon):
    rng = np.random.default_rng(3)
    shares, codebook = some_shares(6), rng.standard_normal((6, 3)) + 4
    apart = ((codebook[:, None] - codebook) ** 2).mean(axis=2)
    by_hand = (shares[:, None] * channel(6, epsilon) * apart).sum()
    assert response.added_distortion(shares, codebook, epsilon) == pytest.approx(by_hand, abs=1e-12)


def test_the_distortion_grows_by_it_where_codewords_are_means():
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 8, 4000)
    vectors = rng.standard_normal((8, 5))[codes] * 3 + rng.standard_normal((4000, 5))
    codebook = np.stack([vectors[codes == code].mean(axis=0) for code in range(8)])
    shares = np.bincount(codes, minlength=8) / 4000
    table = channel(8, 1.0)
    noisy = sum(((vectors - codebook[report]) ** 2).mean(axis=1) @ table[codes, report] / 4000 for report in range(8))
    added = response.added_distortion(shares, codebook, 1.0)
    assert noisy - distortion(vectors, codebook, codes) == pytest.approx(added)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: response.keep_probability(1, 1.0), "n_codewords=1"),
        (lambda: response.keep_probability(4, -0.1), "epsilon=-0.1"),
        (lambda: response.keep_probability(4, np.nan), "epsilon=nan"),
        (lambda: response.randomise(np.array([4]), 4, 1.0, np.random.default_rng(0)), "codes run"),
        (lambda: response.true_counts(np.array([3, 4]), 0.0), "nothing can be estimated"),
        (lambda: response.disclosure(np.array([3, 4]), 1.0), "sum to 7"),
        (lambda: response.disclosure(np.array([1.5, -0.5]), 1.0), ">= 0"),
        (lambda: response.added_distortion(np.array([0.5, 0.5]), np.zeros((3, 2)), 1.0), r"\[K=2, D\]"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
