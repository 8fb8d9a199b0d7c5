import numpy as np
import pytest
from scipy.stats import betabinom

from porcupine.errors import InputError
from porcupine.privacy.attackers import Ranks, top_n_rate
from porcupine.privacy.ranks import fitted_shares, histogram_shares, mean_bits, rank_bits, worst_bits


def drawn(shares, n_probes, seed=0):
    """Ranks of probes whose speaker is at each rank with the given probability."""
    above = np.random.default_rng(seed).choice(len(shares), n_probes, p=shares)
    return Ranks(above, np.zeros(n_probes, dtype=int))


def estimate(way, shares, n_probes, measure, repeats=30):
    """Mean over repeats of a measure of estimated shares."""
    return np.mean([measure(way(drawn(shares, n_probes, seed), len(shares))) for seed in range(repeats)])


def test_ties_are_spread_evenly_by_hand():
    ranks = Ranks(above=np.array([0, 1, 0, 3]), tied=np.array([0, 1, 3, 0]))
    assert histogram_shares(ranks, 4) == pytest.approx(np.array([1.25, 0.75, 0.75, 1.25]) / 4)


def test_shares_add_up_to_the_rates_of_identification():
    rng = np.random.default_rng(0)
    above = rng.integers(0, 30, 500)
    ranks = Ranks(above, rng.integers(0, 30 - above))
    rates = [top_n_rate(ranks, n).mean() for n in range(1, 31)]
    assert np.cumsum(histogram_shares(ranks, 30)) == pytest.approx(rates)


def test_bits_by_hand():
    # N = 4: certain ranks tell log2 4, unlikely ones tell that it is *not* them.
    shares = np.array([0.5, 0.25, 0.25, 0])
    assert rank_bits(shares).tolist() == [1, 0, 0, -np.inf]
    assert mean_bits(shares) == 0.5 and worst_bits(shares) == 1
    assert mean_bits(np.stack([shares, np.eye(4)[0]])).tolist() == [0.5, 2]


@pytest.mark.parametrize("way", [histogram_shares, fitted_shares])
def test_the_ends_of_the_scale(way):
    found, guessed = Ranks(np.zeros(9, int), np.zeros(9, int)), Ranks(np.zeros(9, int), np.full(9, 63))
    assert mean_bits(way(found, 64)) == pytest.approx(6, abs=1e-3)
    assert worst_bits(way(found, 64)) == pytest.approx(6, abs=1e-3)
    assert mean_bits(way(guessed, 64)) == pytest.approx(0, abs=1e-9)
    assert worst_bits(way(guessed, 64)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("a", "b"), [(0.5, 5), (0.1, 3), (4, 2)])
def test_the_fit_finds_the_law(a, b):
    law = betabinom.pmf(np.arange(100), 99, a, b)
    fitted = fitted_shares(drawn(law, 50_000), 100)
    assert fitted.sum() == pytest.approx(1)
    assert np.abs(fitted - law).max() < 0.005
    assert mean_bits(fitted) == pytest.approx(mean_bits(law), abs=0.04)


def test_the_fit_is_the_likeliest_of_its_family():
    ranks = drawn(betabinom.pmf(np.arange(40), 39, 0.4, 2), 80)
    best = np.log(fitted_shares(ranks, 40)[ranks.above]).sum()
    likelihoods = [
        betabinom.logpmf(ranks.above, 39, a, b).sum()
        for a in np.geomspace(0.1, 2, 30)
        for b in np.geomspace(0.3, 9, 30)
    ]
    assert max(likelihoods) <= best + 1e-6 and max(likelihoods) > best - 0.1


def test_a_histogram_takes_chance_for_knowledge():
    uniform = np.full(100, 0.01)
    for n_probes in (30, 500):
        assert estimate(histogram_shares, uniform, n_probes, worst_bits) > max(1, np.log2(100 / n_probes))
    # (N-1) / (2 P ln 2) = .0357 bits
    assert estimate(histogram_shares, uniform, 2000, mean_bits) == pytest.approx(0.0357, rel=0.15)


def test_the_fit_is_nearer_where_probes_are_scarce():
    law = betabinom.pmf(np.arange(100), 99, 0.5, 5)
    assert estimate(histogram_shares, law, 50, mean_bits) > mean_bits(law) + 0.5
    assert estimate(fitted_shares, law, 50, mean_bits) == pytest.approx(mean_bits(law), abs=0.2)


def test_the_fit_is_optimistic_where_some_are_found_at_once_and_the_others_not_at_all():
    law = 0.9 * np.full(100, 0.01) + 0.1 * np.eye(100)[0]
    assert worst_bits(fitted_shares(drawn(law, 20_000), 100)) < worst_bits(law) - 0.5
    assert worst_bits(histogram_shares(drawn(law, 20_000), 100)) == pytest.approx(worst_bits(law), abs=0.1)


def test_one_enrolled_speaker_is_known_beforehand():
    assert fitted_shares(Ranks(np.zeros(3, int), np.zeros(3, int)), 1).tolist() == [1]


def test_ranks_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="ranks reach 5, beyond the n_speakers=4"):
        histogram_shares(Ranks(np.array([0, 2]), np.array([0, 2])), 4)
    with pytest.raises(InputError, match=r"shapes \(0,\) and \(0,\), should be vectors of one length, not empty"):
        fitted_shares(Ranks(np.array([], int), np.array([], int)), 4)
