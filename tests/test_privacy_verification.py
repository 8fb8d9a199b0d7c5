import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_curve

from porcupine.errors import InputError
from porcupine.privacy import verification
from porcupine.privacy.verification import bootstrap, eer_from_histograms, equal_error_rate


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


def test_weights_repeat_pairs():
    rng = np.random.default_rng(3)
    scores, same, weights = np.round(rng.standard_normal(200), 1), rng.random(200) < 0.3, rng.integers(0, 4, 200)
    repeated = np.repeat(np.arange(200), weights)
    assert equal_error_rate(scores, same, weights) == pytest.approx(equal_error_rate(scores[repeated], same[repeated]))


def speaker_pairs(n_speakers, rng, repeats=10, d_prime=2.0):
    """Scores that depend on who speaks: the EER of endless speakers is Phi(-d' / (2 sqrt 3))."""
    i, j = np.triu_indices(n_speakers, k=1)
    own = np.repeat(np.arange(n_speakers), repeats)
    first, second = np.concatenate([own, i]), np.concatenate([own, j])
    offset, own_offset = rng.standard_normal(n_speakers), np.sqrt(2) * rng.standard_normal(n_speakers)
    scores = np.where(first == second, d_prime + own_offset[first], offset[first] + offset[second])
    return scores + rng.standard_normal(len(scores)), first, second


def drawn_rates(scores, first, second, weights):
    """EER of every draw, from weights [S, M] of the speakers, pair by pair."""
    found = []
    for times in weights:
        pairs = [times[a] if a == b else times[a] * times[b] for a, b in zip(first, second, strict=True)]
        found.append(equal_error_rate(scores, first == second, np.array(pairs)))
    return found


def test_pairs_count_as_often_as_their_speakers_were_drawn():
    scores, first, second = speaker_pairs(12, np.random.default_rng(4))
    weights = np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12), size=50)
    expected = np.quantile(drawn_rates(scores, first, second, weights), [0.025, 0.975])
    value, *interval = bootstrap(equal_error_rate, scores, first, second, rng=np.random.default_rng(5), resamples=50)
    assert value == equal_error_rate(scores, first == second)
    assert interval == pytest.approx(expected, abs=1e-12)


def test_neither_names_nor_order_matter_to_an_interval():
    scores, first, second = speaker_pairs(15, np.random.default_rng(6))
    names = np.array([f"speaker {number:02d}" for number in range(15)])
    order = np.random.default_rng(7).permutation(len(scores))

    def estimate(scores, first, second):
        return bootstrap(equal_error_rate, scores, first, second, rng=np.random.default_rng(8), resamples=40)

    expected = estimate(scores, first, second)
    assert estimate(scores, names[first], names[second]) == expected
    assert estimate(scores, second, first) == expected
    assert estimate(scores[order], first[order], second[order]) == expected
    assert estimate(np.exp(scores), first, second) == expected


def test_rounding_of_many_scores_is_negligible(monkeypatch):
    pairs = speaker_pairs(150, np.random.default_rng(9), repeats=40)
    rounded = bootstrap(equal_error_rate, *pairs, rng=np.random.default_rng(10), resamples=40)
    monkeypatch.setattr(verification, "BINS", 10**6)
    exact = bootstrap(equal_error_rate, *pairs, rng=np.random.default_rng(10), resamples=40)
    assert rounded != exact
    assert rounded == pytest.approx(exact, abs=1e-4)


def test_merged_scores_hold_few_pairs_of_either_kind(monkeypatch):
    monkeypatch.setattr(verification, "BINS", 50)
    rng = np.random.default_rng(11)
    same = rng.random(20_000) < 0.05
    scores = rng.standard_normal(20_000) + same
    values, place = verification._coarse(scores, same)
    assert len(values) <= 51 and (np.diff(values) > 0).all()
    assert (np.diff(place[np.argsort(scores)]) >= 0).all()
    for kind in (same, ~same):
        assert np.bincount(place[kind]).max() / kind.sum() < 2 / 50 + 2 / same.sum()


def test_intervals_over_speakers_cover_and_those_over_pairs_do_not():
    truth, covered = norm.cdf(-1 / np.sqrt(3)), {"speakers": 0, "pairs": 0}
    for seed in range(50):
        rng = np.random.default_rng(seed)
        scores, first, second = speaker_pairs(25, rng)
        _, low, high = bootstrap(equal_error_rate, scores, first, second, rng=rng, resamples=150)
        covered["speakers"] += low <= truth <= high
        order = np.argsort(scores)
        same = (first == second)[order]
        drawn = rng.multinomial(len(same), np.full(len(same), 1 / len(same)), size=150)
        low, high = np.quantile(eer_from_histograms(drawn * same, drawn * ~same), [0.025, 0.975])
        covered["pairs"] += low <= truth <= high
    assert covered["speakers"] >= 43
    assert covered["pairs"] <= 30


def test_too_few_speakers_for_an_interval_are_named():
    message = r"\d+ of 99 draws of 3 speakers hold pairs of one kind only: an interval needs more speakers"
    with pytest.raises(InputError, match=message):
        bootstrap(equal_error_rate, np.arange(2), ["a", "b"], ["a", "c"], rng=np.random.default_rng(0), resamples=99)
    with pytest.raises(InputError, match=r"first \(2,\) and second \(3,\) should name the two speakers of each pair"):
        bootstrap(equal_error_rate, np.arange(2), [0, 1], [0, 1, 2], rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="all 2 pairs are of different speakers"):
        bootstrap(equal_error_rate, np.arange(2), [0, 1], [1, 0], rng=np.random.default_rng(0))


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
    for weights in (np.ones(3), np.array([1, np.inf]), np.array([-1, 1])):
        with pytest.raises(InputError, match="should be finite numbers >= 0, one for each of 2 pairs"):
            equal_error_rate(np.ones(2), two, weights)
    with pytest.raises(InputError, match="all 1 pairs are of same speakers"):
        equal_error_rate(np.arange(2), two, np.array([1, 0]))
