import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial import ConvexHull
from scipy.special import expit, xlogy
from scipy.stats import norm

from porcupine.errors import InputError
from porcupine.privacy.evidence import (
    cllr,
    evidence_category,
    expected_disclosure,
    linkability,
    min_cllr,
    worst_case_log10,
)
from porcupine.privacy.verification import bootstrap

MEASURES = [cllr, min_cllr, linkability, expected_disclosure, worst_case_log10]
ORDINAL = MEASURES[1:]


def gaussian(d_prime, n=20_000, scale=1.0):
    """Log-likelihood ratios at evenly spaced quantiles, N(±d'^2 / 2, d'^2), without sampling noise."""
    quantiles = norm.ppf((np.arange(n) + 0.5) / n)
    llr = d_prime * np.concatenate([quantiles, quantiles]) + np.repeat([0.5, -0.5], n) * d_prime**2
    return scale * llr, np.arange(2 * n) < n


def mean_over_same(function, d_prime):
    """Mean of a function of calibrated Gaussian log-likelihood ratios over same-speaker pairs, by integration."""
    middle = d_prime**2 / 2
    ends = middle - 9 * d_prime, middle + 9 * d_prime
    return quad(lambda llr: function(llr) * norm.pdf(llr, middle, d_prime), *ends, points=[0], limit=200)[0]


def noisy(seed, n=300, levels=30):
    """Scores with many ties."""
    rng = np.random.default_rng(seed)
    same = rng.random(n) < 0.3
    return np.round((rng.standard_normal(n) + same) * levels / 6) / levels, same


def pooled(scores, same):
    """PAV by a stack of blocks: likelihood ratio of each pair."""
    blocks = []
    for value in np.unique(scores):
        here = scores == value
        blocks.append([(here & same).sum() / same.sum(), (here & ~same).sum() / (~same).sum(), here])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = [blocks[-1][0] + last[0], blocks[-1][1] + last[1], blocks[-1][2] | last[2]]
    ratio = np.empty(len(scores))
    for a, b, here in blocks:
        ratio[here] = a / b if b else np.inf
    return ratio


@pytest.mark.parametrize("d_prime", [0.5, 1.0, 3.0])
def test_gaussian_log_likelihood_ratios_cost_what_integration_says(d_prime):
    # By symmetry both kinds cost the same.
    expected = mean_over_same(lambda llr: np.log2(1 + np.exp(-llr)), d_prime)
    assert cllr(*gaussian(d_prime)) == pytest.approx(expected, abs=1e-4)
    assert min_cllr(*gaussian(d_prime)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("d_prime", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("prior_ratio", [0.2, 1.0, 5.0])
def test_gaussian_scores_are_as_linkable_as_integration_says(d_prime, prior_ratio):
    expected = mean_over_same(lambda llr: max(0.0, 2 * expit(llr + np.log(prior_ratio)) - 1), d_prime)
    assert linkability(*gaussian(d_prime), prior_ratio=prior_ratio) == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("d_prime", [0.5, 1.0, 3.0])
def test_gaussian_scores_disclose_what_integration_over_scores_and_priors_says(d_prime):
    nodes, node_weights = np.polynomial.legendre.leggauss(300)
    prior = (nodes[:, None] + 1) / 2
    llr = np.linspace(-9, 9, 4001) * d_prime + d_prime**2 / 2
    density = norm.pdf(llr, d_prime**2 / 2, d_prime)
    # The other kind has the same distribution, negated.
    cost = prior * np.log2(1 + np.exp(-llr) * (1 - prior) / prior)
    cost += (1 - prior) * np.log2(1 + np.exp(-llr) * prior / (1 - prior))
    default = -prior * np.log2(prior) - (1 - prior) * np.log2(1 - prior)
    gain = default[:, 0] - np.trapezoid(cost * density, llr)
    assert expected_disclosure(*gaussian(d_prime)) == pytest.approx(gain @ node_weights / 2, abs=1e-3)


def test_cllr_by_hand():
    # Ratios 3 and 1 of the same speaker cost log2(4/3) and 1; 1/3 and 3 of different ones log2(4/3) and 2.
    scores, same = np.log([3, 1, 1 / 3, 3]), np.array([True, True, False, False])
    assert cllr(scores, same) == pytest.approx((2 * np.log2(4 / 3) + 3) / 4)


def test_cllr_minds_the_scale_and_its_minimum_does_not():
    scores, same = gaussian(2.0, n=2000)
    least = min_cllr(scores, same)
    assert cllr(scores, same) == pytest.approx(least, abs=0.01)
    for scale, offset in [(0.3, 0), (3, 0), (1, 2)]:
        assert cllr(scale * scores + offset, same) > least + 0.05
        assert min_cllr(scale * scores + offset, same) == pytest.approx(least, abs=1e-12)


@pytest.mark.parametrize("n_same", [1, 10, 30])
def test_scores_that_say_nothing(n_same):
    scores, same = np.zeros(40), np.arange(40) < n_same
    assert cllr(scores, same) == min_cllr(scores, same) == pytest.approx(1)
    assert linkability(scores, same) == pytest.approx(0, abs=1e-12)
    assert expected_disclosure(scores, same) == pytest.approx(0, abs=1e-12)
    assert worst_case_log10(scores, same) == pytest.approx(0, abs=1e-12)
    assert evidence_category(worst_case_log10(scores, same)) == "0"


@pytest.mark.parametrize("n_same", [2, 10, 33])
def test_scores_that_say_all(n_same):
    same = np.arange(40) < n_same
    scores = np.where(same, 1, -1) + np.linspace(0, 0.5, 40)
    assert cllr(1000 * scores, same) == pytest.approx(0)
    assert min_cllr(scores, same) == 0
    assert linkability(scores, same) == pytest.approx(1)
    assert expected_disclosure(scores, same) == pytest.approx(1 / np.log(4))
    assert worst_case_log10(scores, same) == pytest.approx(np.log10(max(n_same, 40 - n_same) + 1))


@pytest.mark.parametrize("seed", range(5))
def test_measures_agree_with_pooling_by_hand_and_quadrature(seed):
    scores, same = noisy(seed)
    ratio = pooled(scores, same)
    with np.errstate(divide="ignore"):
        against, inverse = ratio[~same], 1 / ratio[same]
    assert min_cllr(scores, same) == pytest.approx(
        (np.log2(1 + inverse).mean() + np.log2(1 + against).mean()) / 2, abs=1e-12
    )
    prior = (np.arange(20_000) + 0.5) / 20_000
    odds = prior / (1 - prior)
    same_cost = np.mean([np.log2(1 + value / odds) for value in inverse], axis=0)
    different_cost = np.mean([np.log2(1 + value * odds) for value in against], axis=0)
    default = prior * np.log2(1 + 1 / odds) + (1 - prior) * np.log2(1 + odds)
    gain = np.mean(default - prior * same_cost - (1 - prior) * different_cost)
    assert expected_disclosure(scores, same) == pytest.approx(gain, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_calibration_is_the_convex_hull_of_the_roc(seed):
    # Segments of the hull hold the pairs of a block; their slopes are its likelihood ratio.
    scores, same = noisy(seed)
    thresholds = np.append(np.unique(scores), np.inf)
    roc = np.array([[(scores[kind] >= threshold).mean() for kind in (~same, same)] for threshold in thresholds])
    corners = np.vstack([roc, [1, 0]])
    hull = sorted(tuple(corners[vertex]) for vertex in ConvexHull(corners).vertices if tuple(corners[vertex]) != (1, 0))
    false_alarms, hits = np.diff(hull, axis=0).T
    both = false_alarms + hits
    cost = np.sum(xlogy(both, both) - xlogy(hits, hits) - xlogy(false_alarms, false_alarms)) / np.log(2)
    assert min_cllr(scores, same) == pytest.approx(cost / 2)


def test_the_worst_case_by_hand():
    # Rising: D S D D S S, each a third of its kind; one third of either is added at both ends. The last two and what is
    # added above: 2/3 + 1/3 against 1/3. Below: 1/3 + 1/3 against 1/3 + 3/3.
    scores, same = np.arange(6), np.array([False, True, False, False, True, True])
    assert worst_case_log10(scores, same) == pytest.approx(np.log10(3))
    # Rising: S D D D D S. Above: 1/2 + 1/4 against 1/4. Below: 1/2 + 1/2 against 1/2 + 4/4.
    scores, same = np.arange(6), np.array([True, False, False, False, False, True])
    assert worst_case_log10(scores, same) == pytest.approx(np.log10(3))
    # The same the other way round: evidence against counts alike.
    assert worst_case_log10(-scores, ~same) == pytest.approx(np.log10(3))


def test_linkability_by_hand():
    # Two pairs of the same speaker: 2 ceil(2^(1/3)) = 4 bins, each with half of a kind or a quarter of both.
    same = np.array([True, True, False, False])
    assert linkability(np.array([2, 3, 0, 1]), same) == 1
    assert linkability(np.array([0, 3, 1, 2]), same) == 1
    assert linkability(np.array([0, 1, 0, 1]), same) == 0
    # Ties of one same and one different pair, then a same pair: D is 0, then 1.
    assert linkability(np.array([1, 2, 0, 1]), same) == 0.5


def test_linkability_sees_likelihood_that_does_not_rise_with_the_score():
    rng = np.random.default_rng(3)
    same = np.arange(4000) < 2000
    scores = np.where(same, rng.choice([-1.0, 1.0], 4000), 0) + 0.1 * rng.standard_normal(4000)
    assert linkability(scores, same) > 0.9
    assert min_cllr(scores, same) > 0.6


def test_noise_passes_for_linkability_as_documented():
    rng = np.random.default_rng(4)
    found = [linkability(rng.standard_normal(21_000), np.arange(21_000) < 1000) for _ in range(20)]
    assert np.mean(found) == pytest.approx(0.03, abs=0.005)


@pytest.mark.parametrize(
    ("log10_ratio", "letter"),
    [(0, "0"), (0.01, "A"), (1, "A"), (1.01, "B"), (3.979, "C"), (4.5, "D"), (5.5, "E"), (6.1, "F"), (np.inf, "F")],
)
def test_letters(log10_ratio, letter):
    assert evidence_category(log10_ratio) == letter


@pytest.mark.parametrize("measure", MEASURES)
def test_weights_repeat_pairs_and_order_is_free(measure):
    scores, same = noisy(5)
    rng = np.random.default_rng(6)
    weights = rng.integers(0, 4, len(scores))
    repeated = np.repeat(np.arange(len(scores)), weights)
    assert measure(scores, same, weights) == pytest.approx(measure(scores[repeated], same[repeated]))
    order = rng.permutation(len(scores))
    assert measure(scores[order], same[order]) == pytest.approx(measure(scores, same))


@pytest.mark.parametrize("measure", ORDINAL)
def test_monotone_maps_do_not_matter(measure):
    scores, same = noisy(7)
    assert measure(np.exp(scores), same) == measure(scores, same)


@pytest.mark.parametrize("measure", [cllr, min_cllr, expected_disclosure, worst_case_log10])
def test_the_kinds_can_change_places(measure):
    scores, same = noisy(8)
    assert measure(-scores, ~same) == pytest.approx(measure(scores, same))


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_has_an_interval_over_speakers(measure):
    rng = np.random.default_rng(9)
    first, second = np.repeat(np.arange(20), 30), rng.integers(0, 20, 600)
    second[:300] = first[:300]
    scores = rng.standard_normal(600) + 1.5 * (first == second)
    estimate = bootstrap(measure, scores, first, second, rng=rng, resamples=60)
    assert estimate.value == measure(scores, first == second)
    assert 0 <= estimate.low < estimate.high


@pytest.mark.parametrize("measure", MEASURES)
def test_wrong_input_is_named(measure):
    two = np.array([True, False])
    with pytest.raises(InputError, match="1 of 2 scores are NaN"):
        measure(np.array([0.1, np.nan]), two)
    with pytest.raises(InputError, match="all 2 pairs are of same speakers"):
        measure(np.ones(2), ~two | two)
    with pytest.raises(InputError, match=r"scores \(3,\) and same_speaker \(2,\) should be vectors of one length"):
        measure(np.ones(3), two)
    with pytest.raises(InputError, match=r"weights \(2,\) should be finite numbers >= 0, one for each of 2 pairs"):
        measure(np.ones(2), two, np.array([1, -1]))


def test_wrong_options_are_named():
    with pytest.raises(InputError, match="prior_ratio=0, should be > 0"):
        linkability(np.arange(2), np.array([True, False]), prior_ratio=0)
    with pytest.raises(InputError, match="log10_ratio=nan, should be >= 0"):
        evidence_category(float("nan"))
