import numpy as np
import pytest
from scipy.stats import betabinom

from porcupine.errors import InputError
from porcupine.privacy import ranks as module
from porcupine.privacy.attackers import Ranks, Trials, bootstrap_weights, rate_table, top_n_rate
from porcupine.privacy.ranks import (
    fitted_shares,
    histogram_shares,
    mean_bits,
    rank_bits,
    rank_disclosure,
    rank_table,
    worst_bits,
)


def drawn(shares, n_probes, seed=0):
    """Ranks of probes whose speaker is at each rank with the given probability."""
    above = np.random.default_rng(seed).choice(len(shares), n_probes, p=shares)
    return Ranks(above, np.zeros(n_probes, dtype=int))


def estimate(way, shares, n_probes, measure, repeats=30):
    """Mean over repeats of a measure of estimated shares."""
    return np.mean([measure(way(drawn(shares, n_probes, seed), len(shares))) for seed in range(repeats)])


def noisy(n_speakers=60, n_probes=4, *, lead=1.0, digits=6, seed=0):
    """Normal scores, those of the true speakers higher; few digits make ties."""
    rng = np.random.default_rng(seed)
    target = np.repeat(np.arange(n_speakers), n_probes)
    scores = rng.standard_normal((len(target), n_speakers))
    scores[np.arange(len(target)), target] += lead
    return Trials(scores.round(digits), np.arange(len(target)), target)


def draws(trials, n_draws=60):
    return bootstrap_weights(trials, n_draws, np.random.default_rng(5))


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


@pytest.mark.parametrize("way", [histogram_shares, fitted_shares])
def test_weights_are_as_good_as_copies_of_the_probes(way):
    rng = np.random.default_rng(0)
    above = rng.integers(0, 9, 50)
    ranks, weights = Ranks(above, rng.integers(0, 12 - above)), rng.integers(0, 4, 50)
    copies = Ranks(np.repeat(ranks.above, weights), np.repeat(ranks.tied, weights))
    assert way(ranks, 12, weights) == pytest.approx(way(copies, 12), abs=1e-5)
    assert way(ranks, 12, weights / 3) == pytest.approx(way(copies, 12), abs=1e-5)
    assert way(ranks, 12, np.ones(50)) == pytest.approx(way(ranks, 12))


def test_the_table_of_ranks_adds_up_to_the_rates():
    trials = [noisy(digits=digits) for digits in (0, 6)]
    table, rates = rank_table(trials, draws(trials[0])), rate_table(trials, draws(trials[0]))
    assert table["last_rank"].tolist() == [1, 2, 5, 10, 20, 60]
    assert table["first_rank"].tolist() == [1, 2, 3, 6, 11, 21]
    added = table.set_index("last_rank")["share"].cumsum()
    assert [added[n] for n in (1, 5, 10)] == pytest.approx(rates["value"].tolist()[:3])
    assert added[60] == pytest.approx(1) and table["chance"].sum() == pytest.approx(1)
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx(rates.loc[0, ["low", "high"]].tolist())
    assert (table["low"] <= table["share"]).all() and (table["share"] <= table["high"]).all()


@pytest.mark.parametrize(
    ("n_speakers", "last"),
    [(2, [1, 2]), (3, [1, 3]), (11, [1, 2, 5, 11]), (2040, [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2040])],
)
def test_ranges_of_ranks_grow(n_speakers, last):
    two = np.arange(2)
    table = rank_table([Trials(np.zeros((2, n_speakers)), two, two)], np.ones((1, n_speakers)))
    assert table["last_rank"].tolist() == last
    assert table["share"].tolist() == pytest.approx(table["chance"].tolist())


def test_the_disclosure_of_ranks_is_that_of_the_fit():
    trials = [noisy(seed=seed) for seed in range(2)]
    table = rank_disclosure(trials, draws(trials[0])).set_index("figure")
    laws = [fitted_shares(one.identification(), 60) for one in trials]
    for figure, bits in (("rank_mean_bits", mean_bits), ("rank_worst_bits", worst_bits)):
        row = table.loc[figure]
        assert row["value"] == pytest.approx(np.mean([bits(law) for law in laws]), abs=1e-3)
        assert row["low"] < row["value"] < row["high"] and row["chance"] == 0


def test_intervals_of_the_fit_are_of_the_first_draws(monkeypatch):
    trials = noisy()
    weights = draws(trials)
    monkeypatch.setattr(module, "FITS", 2)
    table = rank_disclosure([trials], weights)
    shares = [fitted_shares(trials.identification(), 60, weights[i, trials.target]) for i in range(2)]
    expected = np.sort(mean_bits(np.stack(shares)))
    low, high = table.loc[0, ["low", "high"]]
    assert [low, high] == pytest.approx(expected + 0.025 * np.array([1, -1]) * np.ptp(expected), abs=1e-3)


def test_ranks_of_no_information_and_of_all():
    target = np.repeat(np.arange(32), 2)
    nothing, everything = Trials(np.zeros((64, 32)), np.arange(64), target), Trials(np.eye(32), target, target)
    for trials, expected in ((nothing, 0), (everything, 5)):
        table = rank_disclosure([trials], draws(trials))
        assert table[["value", "low", "high"]].to_numpy() == pytest.approx(np.full((2, 3), expected), abs=1e-3)
    guessed = noisy(lead=0)
    shuffled = rank_disclosure([guessed], draws(guessed)).set_index("figure").loc["rank_mean_bits"]
    assert shuffled["low"] < 0.01 and shuffled["value"] < 0.02
    table = rank_table([guessed], draws(guessed, 200))
    assert ((table["low"] <= table["chance"]) & (table["chance"] <= table["high"])).mean() >= 5 / 6


def test_weights_that_do_not_fit_are_named():
    ranks = Ranks(np.array([0, 1]), np.array([0, 0]))
    for weights in (np.ones(3), np.zeros(2), np.array([2, -1])):
        with pytest.raises(InputError, match="should be >= 0, not all 0, one for each of 2 ranks"):
            histogram_shares(ranks, 4, weights)


def test_ranks_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="ranks reach 5, beyond the n_speakers=4"):
        histogram_shares(Ranks(np.array([0, 2]), np.array([0, 2])), 4)
    with pytest.raises(InputError, match=r"shapes \(0,\) and \(0,\), should be vectors of one length, not empty"):
        fitted_shares(Ranks(np.array([], int), np.array([], int)), 4)
