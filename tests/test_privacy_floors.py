import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.privacy import floors, occupancy

# K equally likely codes, 10240 samples: means that the published experiment's floor should have.
IDEAL = {4: (2.82, 4.10), 5: (1.63, 5.17), 6: (0.76, 6.28), 7: (0.30, 7.45), 8: (0.116, 8.72), 9: (0.044, 10.20)}
IDEAL[10] = (0.015, 11.99)


def chi2_a_degree(histograms):
    expected = histograms[0].sum() / histograms.shape[1]
    return ((histograms - expected) ** 2).sum(axis=1) / expected / (histograms.shape[1] - 1)


@pytest.mark.parametrize("bits", IDEAL)
def test_uniform_codes_show_the_known_floors(bits):
    counts = floors.binomial(10240, 2**bits, draws=300, rng=np.random.default_rng(bits))
    kl, worst = IDEAL[bits]
    assert occupancy.kl_bits(counts).mean() == pytest.approx(kl, rel=0.04, abs=0.001)
    assert occupancy.worst_case_plus_one_bits(counts).mean() == pytest.approx(worst, abs=0.08)


def test_all_samples_are_drawn():
    rng = np.random.default_rng(0)
    codes, speakers = rng.integers(0, 8, 90), rng.integers(0, 20, 90)
    for histograms in (
        floors.binomial(90, 8, draws=7, rng=rng),
        floors.calibrated(90, 8, 40, draws=7, rng=rng),
        floors.clustered(codes, speakers, 8, draws=7, rng=rng),
        floors.clustered(codes, speakers, 8, draws=7, rng=rng, n_train=40),
    ):
        assert histograms.shape == (7, 8)
        assert (histograms.sum(axis=1) == 90).all()


def test_binomial_draws_have_the_chi2_of_uniform_codes():
    assert chi2_a_degree(floors.binomial(500, 32, draws=4000, rng=np.random.default_rng(1))).mean() == pytest.approx(
        1, abs=0.02
    )


@pytest.mark.parametrize("n_train", [250, 1000, 4000])
def test_calibration_adds_the_ratio_of_test_to_training_samples(n_train):
    # 1 + (M-1)/(N+1) exactly: the cells of Dirichlet(N/K, …) have the variance (1/K)(1-1/K)/(N+1).
    histograms = floors.calibrated(1000, 32, n_train, draws=4000, rng=np.random.default_rng(n_train))
    expected = 1 + 999 / (n_train + 1)
    assert chi2_a_degree(histograms).mean() == pytest.approx(expected, rel=0.03)
    assert expected == pytest.approx(1 + 1000 / n_train, rel=0.005)


def test_single_samples_of_each_speaker_are_independent():
    rng = np.random.default_rng(2)
    codes = rng.choice(16, 400, p=rng.dirichlet(np.ones(16)))
    histograms = floors.clustered(codes, np.arange(400), 16, draws=4000, rng=rng)
    independent = floors.binomial(400, 16, draws=4000, rng=rng)
    assert histograms.mean(axis=0) == pytest.approx(np.full(16, 25), abs=0.4)
    assert floors.design_effect(histograms) == pytest.approx(1, abs=0.03)
    for metric in (occupancy.std, occupancy.kl_bits, occupancy.average_bits):
        quantiles = [np.quantile(metric(h), [0.025, 0.5, 0.975]) for h in (histograms, independent)]
        assert quantiles[0] == pytest.approx(quantiles[1], rel=0.1)


@pytest.mark.parametrize("m", [2, 5])
def test_groups_of_identical_codes_have_a_design_effect_of_their_size(m):
    rng = np.random.default_rng(m)
    codes, speakers = np.repeat(rng.integers(0, 16, 200), m), np.repeat(np.arange(200), m)
    histograms = floors.clustered(codes, speakers, 16, draws=2000, rng=rng)
    assert (histograms % m == 0).all()
    assert floors.design_effect(histograms) == pytest.approx(m, rel=0.05)


def test_a_speaker_who_spreads_over_all_codes_lowers_the_variance():
    codes, speakers = np.tile(np.arange(8), 50), np.repeat(np.arange(50), 8)
    histograms = floors.clustered(codes, speakers, 8, draws=50, rng=np.random.default_rng(3))
    assert (histograms == 50).all()
    assert floors.design_effect(histograms) == 0


def test_design_effect_by_hand():
    # 4 samples on 2 codes: the binomial variance is 4 · 1/2 · 1/2 = 1; the squares here are 4, 4, 0, 0.
    assert floors.design_effect(np.array([[4, 0], [2, 2]])) == 2


def test_clustering_and_calibration_add_up():
    # Single samples on calibrated cells: the calibrated floor. Pairs: chi2 / (K-1) is 2 + M/N_train.
    rng = np.random.default_rng(4)
    single = floors.clustered(rng.integers(0, 16, 800), np.arange(800), 16, draws=3000, rng=rng, n_train=800)
    assert chi2_a_degree(single).mean() == pytest.approx(2, rel=0.05)
    pairs, speakers = np.repeat(rng.integers(0, 16, 400), 2), np.repeat(np.arange(400), 2)
    paired = floors.clustered(pairs, speakers, 16, draws=3000, rng=rng, n_train=800)
    assert chi2_a_degree(paired).mean() == pytest.approx(3, rel=0.05)


def test_speakers_may_be_named_in_any_way():
    codes, speakers = np.array([0, 0, 3, 1, 2]), np.array([7, 7, 1, 1, 5])
    numbered, named = (
        floors.clustered(codes, who, 4, draws=9, rng=np.random.default_rng(5))
        for who in (speakers, speakers.astype(str))
    )
    assert np.array_equal(numbered, named)


def test_codes_and_speakers_must_fit():
    with pytest.raises(InputError, match=r"codes \(3,\) and speakers \(2,\) should be vectors of one length"):
        floors.clustered(np.zeros(3, int), np.zeros(2, int), 4, draws=1, rng=np.random.default_rng(0))
