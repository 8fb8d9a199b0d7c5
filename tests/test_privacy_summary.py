import numpy as np
import pandas as pd
import pytest

from porcupine.errors import InputError
from porcupine.privacy import floors, occupancy
from porcupine.privacy.summary import UNITS, occupancy_table
from porcupine.quantizers.occurrence import interval_codes, interval_thresholds


def table(codes, n_codewords=16, *, seed=0, n_train=4000, simulations=100, bootstrap=20, speakers=None):
    rng = np.random.default_rng(seed)
    options = {"n_train": n_train, "simulations": simulations, "bootstrap": bootstrap, "rng": rng}
    return occupancy_table(np.atleast_2d(codes), n_codewords, **options, speakers=speakers).set_index("metric")


def uniform_codes(shape, n_codewords=16, seed=0):
    return np.random.default_rng(seed).integers(0, n_codewords, shape)


def test_every_metric_has_a_row_with_floors_beside_it():
    rows = table(uniform_codes((3, 500)))
    assert rows.index.tolist() == list(UNITS)
    assert rows.index.tolist() == [*occupancy.METRICS, "cv_over_limit"]
    floor_columns = [
        f"{floor}_{key}" for floor in ("floor", "calibrated") for key in ("mean", "low", "high", "infinite")
    ]
    assert rows.columns.tolist() == ["unit", "mean", "low", "high", "n_infinite", "standard_error", *floor_columns]
    assert rows.notna().all(axis=None)
    for floor in ("floor", "calibrated"):
        assert (rows[f"{floor}_low"] <= rows[f"{floor}_high"]).all()


def test_mean_and_quantiles_are_over_the_repeats():
    codes = uniform_codes((20, 300))
    rows = table(codes)
    counts = occupancy.count_codes(codes, 16)
    for name, metric in occupancy.METRICS.items():
        values = metric(counts)
        assert rows.loc[name, "mean"] == pytest.approx(values.mean()), name
        assert rows.loc[name, ["low", "high"]].tolist() == pytest.approx(np.quantile(values, [0.025, 0.975])), name


def test_infinite_repeats_are_counted_and_left_out_of_the_mean():
    codes = np.array([[0, 1, 2, 3], [0, 0, 1, 2], [3, 2, 1, 0], [0, 0, 0, 0]])
    rows = table(codes, 4)
    assert rows.loc["worst_case_bits", ["mean", "n_infinite"]].tolist() == [2, 2]
    assert rows.loc["n_empty", ["mean", "n_infinite"]].tolist() == [1, 0]
    nothing = table(codes[[3]], 4).loc["worst_case_bits"]
    assert nothing["n_infinite"] == 1
    assert np.isnan(nothing[["mean", "low", "high", "standard_error"]].astype(float)).all()


def test_a_floor_tells_how_often_it_is_infinite():
    # 60 samples on 16 codes: a code is empty with (15/16)^60 = 2 %, one of sixteen in about 29 % of draws.
    row = table(uniform_codes((1, 60)), simulations=2000).loc["worst_case_bits"]
    assert row["floor_infinite"] == pytest.approx(0.29, abs=0.05)
    assert row["calibrated_infinite"] > row["floor_infinite"] - 0.05
    assert row["floor_mean"] <= np.log2(60)


def test_the_floors_bracket_uniform_codes():
    within = pd.DataFrame(
        [
            (rows["floor_low"] <= rows["mean"]) & (rows["mean"] <= rows["floor_high"])
            for rows in (table(uniform_codes(1000, seed=seed), seed=seed, simulations=200) for seed in range(100))
        ]
    )
    share = within.mean()
    for metric in ("kl_bits", "worst_case_bits", "worst_case_plus_one_bits", "average_bits", "sparseness", "std"):
        assert 0.85 <= share[metric] <= 1, metric


def test_uneven_codes_are_outside_the_floors():
    rng = np.random.default_rng(1)
    rows = table(rng.choice(16, 2000, p=rng.dirichlet(np.full(16, 5))))
    for metric in ("kl_bits", "worst_case_bits", "std", "cv_over_limit"):
        assert rows.loc[metric, "mean"] > rows.loc[metric, "calibrated_high"], metric
    assert rows.loc["average_bits", "mean"] < rows.loc["average_bits", "calibrated_low"]


def test_the_calibrated_floor_is_above_that_of_exact_cells():
    rows = table(uniform_codes((1, 2000)), n_train=1000, simulations=500)
    assert rows.loc["std", "calibrated_mean"] == pytest.approx(np.sqrt(3) * rows.loc["std", "floor_mean"], rel=0.06)


def test_a_calibrated_code_reaches_the_sampling_limit():
    rng = np.random.default_rng(2)
    codes = [
        interval_codes(rng.random(4000), interval_thresholds(rng.random(1000), 16)).astype(np.int64) for _ in range(40)
    ]
    rows = table(np.stack(codes), n_train=1000)
    assert rows.loc["cv_over_limit", "mean"] == pytest.approx(1, abs=0.1)


def test_the_standard_error_is_the_spread_of_new_samples():
    rng = np.random.default_rng(3)
    share = rng.dirichlet(np.full(16, 3))
    error = table(rng.choice(16, 3000, p=share), bootstrap=500).loc["average_bits", "standard_error"]
    spread = occupancy.average_bits(rng.multinomial(3000, share, size=500)).std()
    assert error == pytest.approx(spread, rel=0.25)


def test_an_error_is_given_where_it_is_nearly_always_finite():
    # The rarest code is lost in e^-2 = 14 % or in e^-6 = 0.2 % of resamples.
    errors = [
        table(np.repeat(np.arange(4), [20, 20, 20, n]), 4, bootstrap=300).loc["worst_case_bits", "standard_error"]
        for n in (2, 6)
    ]
    assert np.isnan(errors[0]) and 0.3 < errors[1] < 1.2


def test_equal_seeds_give_equal_tables():
    codes, speakers = uniform_codes((2, 120)), np.repeat(np.arange(40), 3)
    for who in (None, speakers):
        pd.testing.assert_frame_equal(table(codes, speakers=who), table(codes, speakers=who))
    assert not table(codes).equals(table(codes, seed=1))


def test_clustering_widens_floors_and_errors():
    codes = np.repeat(uniform_codes((2, 200)), 4, axis=1)
    speakers = np.repeat([f"s{i:03d}" for i in range(200)], 4)
    alone, clustered = table(codes, bootstrap=100), table(codes, bootstrap=100, speakers=speakers)
    # Groups of 4 double the Std.
    assert clustered.loc["std", "floor_mean"] == pytest.approx(2 * alone.loc["std", "floor_mean"], rel=0.1)
    for metric in ("kl_bits", "worst_case_plus_one_bits", "std", "sparseness"):
        for floor in ("floor_high", "calibrated_high"):
            assert clustered.loc[metric, floor] > alone.loc[metric, floor], (metric, floor)
    assert clustered.loc["average_bits", "standard_error"] > 1.3 * alone.loc["average_bits", "standard_error"]
    # These cells are exactly even: what looks uneven in independent samples is the clustering.
    assert alone.loc["cv_over_limit", "mean"] > 2 and clustered.loc["cv_over_limit", "mean"] < 0.7
    for rows in (alone, clustered):
        assert rows.loc["cv_over_limit", "floor_mean"] < 0.4
        assert rows.loc["cv_over_limit", "calibrated_mean"] == pytest.approx(1, abs=0.2)


def test_the_calibrated_floor_of_clustered_samples_is_above_that_of_exact_cells():
    # Both floors grow with the groups, so N_train = M doubles the variance still.
    codes, speakers = np.repeat(uniform_codes((2, 200)), 4, axis=1), np.repeat(np.arange(200), 4)
    row = table(codes, n_train=800, simulations=500, speakers=speakers).loc["std"]
    assert row["calibrated_mean"] == pytest.approx(np.sqrt(2) * row["floor_mean"], rel=0.06)


def test_one_sample_a_speaker_is_no_clustering():
    codes = uniform_codes((2, 400))
    alone, clustered = (table(codes, simulations=1000, speakers=who) for who in (None, np.arange(400)))
    for column in ("floor_mean", "calibrated_mean"):
        assert clustered.loc["std", column] == pytest.approx(alone.loc["std", column], rel=0.05)


def test_simulations_are_shared_by_the_repeats():
    speakers = np.repeat(np.arange(10), 2)
    histograms = floors.clustered(np.zeros(20, int), speakers, 4, draws=0, rng=np.random.default_rng(0))
    assert histograms.shape == (0, 4)
    rows = table(uniform_codes((7, 20), 4), 4, simulations=5, speakers=speakers)
    assert np.isfinite(rows["floor_mean"].drop("worst_case_bits")).all()


def test_codes_must_be_repeats_of_samples():
    options = {"n_train": 9, "simulations": 9, "bootstrap": 9, "rng": np.random.default_rng(0)}
    with pytest.raises(InputError, match=r"codes have shape \(5,\), should be \[R, N\]"):
        occupancy_table(np.zeros(5, int), 4, **options)
    with pytest.raises(InputError, match="codes run from 0 to 4"):
        occupancy_table(np.array([[0, 4]]), 4, **options)
    with pytest.raises(InputError, match=r"codes \(3,\) and speakers \(2,\)"):
        occupancy_table(np.zeros((1, 3), int), 4, **options, speakers=np.array(["a", "b"]))


def test_speakers_who_all_have_all_codes_equally_often():
    codes = np.tile(np.arange(4), (1, 30))
    table = occupancy_table(
        codes, 4, n_train=200, simulations=100, bootstrap=20, rng=np.random.default_rng(0), speakers=np.arange(120) // 4
    ).set_index("metric")
    assert table.loc["worst_case_bits", "mean"] == 2 and np.isfinite(table.loc["std", "calibrated_mean"])
