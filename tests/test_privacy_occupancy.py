import math
from collections import Counter

import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.privacy import occupancy
from porcupine.privacy.occupancy import METRICS, count_codes, excess_variance, kl_bits


def log2_binomial(n, g, p):
    log_choose = math.lgamma(n + 1) - math.lgamma(g + 1) - math.lgamma(n - g + 1)
    return (log_choose + g * math.log(p) + (n - g) * math.log1p(-p)) / math.log(2)


def plain_metrics(counts):
    """The definitions written out, one histogram at a time."""
    counts = [int(g) for g in counts]
    n, k = sum(counts), len(counts)
    histogram = {g: times / k for g, times in Counter(counts).items()}
    return {
        "kl_bits": sum(f * (math.log2(f) - log2_binomial(n, g, 1 / k)) for g, f in histogram.items()),
        "worst_case_bits": math.log2(n / min(counts)) if min(counts) else math.inf,
        "worst_case_plus_one_bits": math.log2(n / (min(counts) + 1)),
        "average_bits": -sum(g / n * math.log2(g / n) for g in counts if g),
        "sparseness": math.sqrt(sum(g**2 for g in counts)) / n,
        "std": math.sqrt(sum((g - n / k) ** 2 for g in counts) / k),
        "n_empty": counts.count(0),
    }


def test_by_hand():
    # 8 samples on 4 codes. Counts 4, 2, 1, 1: shares 1/2, 1/4, 1/8, 1/8.
    counts = np.array([4, 2, 1, 1])
    assert occupancy.worst_case_bits(counts) == 3
    assert occupancy.worst_case_plus_one_bits(counts) == 2
    assert occupancy.average_bits(counts) == 0.5 * 1 + 0.25 * 2 + 2 * 0.125 * 3
    assert occupancy.sparseness(counts) == pytest.approx(math.sqrt(22) / 8)
    assert occupancy.std(counts) == pytest.approx(math.sqrt((4 + 0 + 1 + 1) / 4))
    assert occupancy.n_empty(counts) == 0
    # Mean of the squares 6/4, less the binomial 2·3/4 = 6/4, leaves no excess.
    assert occupancy.excess_variance(counts) == pytest.approx(0)
    assert occupancy.excess_variance(counts, design_effect=0) == pytest.approx(16 * 1.5 / 56)


def test_the_divergence_by_hand():
    # 2 samples on 2 codes: Binomial(2, 1/2) is 1/4, 1/2, 1/4. Both counts 1: log2(1 / (1/2)) = 1;
    # counts 0 and 2: 2 · 1/2 · log2((1/2) / (1/4)) = 1.
    assert kl_bits(np.array([[1, 1], [0, 2], [2, 0]])) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(("n_samples", "n_codewords"), [(3, 2), (40, 16), (1000, 64), (10240, 16), (500, 1024)])
def test_all_metrics_agree_with_plain_ones(n_samples, n_codewords):
    rng = np.random.default_rng(n_samples)
    for concentration in (0.5, 20):
        counts = rng.multinomial(n_samples, rng.dirichlet(np.full(n_codewords, concentration)))
        for name, value in plain_metrics(counts).items():
            assert METRICS[name](counts) == pytest.approx(value, rel=1e-9, abs=1e-9), name


def test_histograms_are_measured_one_by_one():
    counts = np.random.default_rng(0).multinomial(100, np.full(8, 1 / 8), size=(2, 3))
    for name, metric in METRICS.items():
        values = metric(counts)
        assert values.shape == (2, 3)
        assert values[1, 2] == pytest.approx(metric(counts[1, 2])), name


def test_the_divergence_is_finite_where_double_precision_is_not():
    # All 10240 samples on one of 16 codes: the pmf of such counts is below the smallest double.
    counts = np.array([10240] + 15 * [0])
    assert (1 / 16) ** 10240 == 0
    # f̂ is 1/16 at 10240 and 15/16 at 0.
    exact = 1 / 16 * (math.log2(1 / 16) + 4 * 10240) + 15 / 16 * (math.log2(15 / 16) - 10240 * math.log2(15 / 16))
    assert kl_bits(counts) == pytest.approx(exact)


def test_the_divergence_agrees_with_exact_integers_far_in_the_tail():
    counts = np.array([6000, 4000, 100, 140])
    n = int(counts.sum())
    pmf_log2 = [math.log2(math.comb(n, g)) + (n - g) * math.log2(3) - 2 * n for g in counts.tolist()]
    assert kl_bits(counts) == pytest.approx(math.log2(1 / 4) - np.mean(pmf_log2))


def test_a_flat_histogram_does_not_minimise_the_divergence():
    flat = kl_bits(np.full(16, 640))
    assert flat == pytest.approx(5.94, abs=0.01)
    uniform = kl_bits(np.random.default_rng(1).multinomial(10240, np.full(16, 1 / 16), size=200))
    assert uniform.mean() == pytest.approx(2.82, abs=0.1)
    assert flat > uniform.mean() + 3


def test_an_empty_code_is_infinite_and_plus_one_hides_it():
    counts = np.array([10240 // 4] * 4 + [0])
    assert occupancy.worst_case_bits(counts) == np.inf
    assert occupancy.worst_case_plus_one_bits(counts) == math.log2(10240)
    assert occupancy.n_empty(counts) == 1


def test_unused_end_codes_do_not_shift_the_others():
    assert count_codes(np.array([2, 2, 5]), 8).tolist() == [0, 0, 2, 0, 0, 1, 0, 0]


def test_codes_of_many_repeats_are_counted_apart():
    codes = np.random.default_rng(2).integers(0, 5, (3, 2, 40))
    counts = count_codes(codes, 6)
    assert counts.shape == (3, 2, 6)
    assert counts[2, 1].tolist() == [int((codes[2, 1] == k).sum()) for k in range(6)]


def test_narrow_integers_do_not_overflow():
    codes = np.array([[0, 255], [255, 255]], dtype=np.uint8)
    assert count_codes(codes, 256)[:, [0, 255]].tolist() == [[1, 1], [0, 2]]
    narrow = np.array([[255, 255], [100, 255]], dtype=np.uint8)
    for name, metric in METRICS.items():
        np.testing.assert_array_equal(metric(narrow), metric(narrow.astype(np.int64)), err_msg=name)


def test_the_average_is_at_most_that_of_a_flat_histogram():
    counts = np.random.default_rng(3).multinomial(320, np.full(32, 1 / 32), size=50)
    assert (occupancy.average_bits(counts) < 5).all()
    assert occupancy.average_bits(np.full(32, 10)) == 5
    assert occupancy.average_bits(np.array([0, 7, 0])) == 0


def test_sparseness_runs_from_flat_to_one_code():
    assert occupancy.sparseness(np.full(16, 3)) == pytest.approx(1 / 4)
    assert occupancy.sparseness(np.array([0, 0, 9])) == 1


def test_the_std_of_uniform_codes_is_binomial():
    counts = np.random.default_rng(4).multinomial(10240, np.full(64, 1 / 64), size=200)
    assert np.sqrt(np.mean(occupancy.std(counts) ** 2)) == pytest.approx(math.sqrt(10240 / 64 * (1 - 1 / 64)), rel=0.03)


@pytest.mark.parametrize("n_samples", [2, 30, 1000])
def test_the_excess_variance_is_unbiased(n_samples):
    share = np.array([0.4, 0.3, 0.2, 0.1])
    cv_squared = np.mean((4 * share - 1) ** 2)
    values = excess_variance(np.random.default_rng(5).multinomial(n_samples, share, size=40_000))
    assert values.mean() == pytest.approx(cv_squared, abs=4 * values.std() / 200)
    assert values.std() / 200 < 0.05 * cv_squared


def test_the_excess_of_uniform_codes_is_zero_on_average():
    values = excess_variance(np.random.default_rng(6).multinomial(50, np.full(16, 1 / 16), size=20_000))
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(20_000)
    assert (values < 0).any()
    assert excess_variance(np.array([[0, 0, 90]])) == pytest.approx(2)


def test_the_sampling_limit_is_the_papers():
    assert occupancy.sampling_limit_cv(17, 1600) == pytest.approx(0.1)


@pytest.mark.parametrize("name", METRICS)
def test_wrong_counts_are_named(name):
    metric = METRICS[name]
    with pytest.raises(InputError, match="counts of dtype float64 should be integers >= 0"):
        metric(np.array([0.5, 0.5]))
    with pytest.raises(InputError, match="should be integers >= 0: pass them through count_codes"):
        metric(np.array([3, -1]))
    with pytest.raises(InputError, match=r"counts have shape \(1,\), should be \[..., K\] with K >= 2"):
        metric(np.array([9]))
    with pytest.raises(InputError, match="counts sum to 1, need at least 2 samples"):
        metric(np.array([[5, 5], [0, 1]]))


def test_wrong_codes_are_named():
    with pytest.raises(InputError, match="codes run from 0 to 4, should lie in 0 … K-1=3"):
        count_codes(np.array([0, 4]), 4)
    with pytest.raises(InputError, match="codes run from -1 to 2"):
        count_codes(np.array([-1, 2]), 4)
    with pytest.raises(InputError, match="codes have dtype float64, should be integers"):
        count_codes(np.array([0.0, 1.0]), 4)
    with pytest.raises(InputError, match=r"codes of shape \(2, 0\) hold nothing to count"):
        count_codes(np.empty((2, 0), dtype=int), 4)
