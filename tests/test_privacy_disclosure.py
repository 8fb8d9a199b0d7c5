import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.privacy import disclosure, floors, occupancy
from porcupine.privacy.disclosure import by_group, code_bits, effective_codes, smallest_set, worst_off_set

COUNTS = np.array([4, 3, 1, 0])


def table(codes, groups, n_codewords=8, *, seed=0, simulations=200, bootstrap=100):
    options = {"simulations": simulations, "bootstrap": bootstrap, "rng": np.random.default_rng(seed)}
    return by_group(np.asarray(codes), groups, n_codewords, **options)


def of(rows, part, group=None):
    inside = (rows["part"] == part) & (rows["group"].isna() if group is None else rows["group"] == group)
    return rows[inside].set_index("metric")


def test_each_code_by_hand():
    assert code_bits(COUNTS).tolist() == [1, pytest.approx(np.log2(8 / 3)), 3, np.inf]
    assert smallest_set(COUNTS) == 0 and smallest_set(COUNTS[:3]) == 1
    assert effective_codes(np.array([5, 5, 5, 5])) == pytest.approx(4)
    assert effective_codes(np.array([9, 0, 0])) == 1


def test_the_worst_off_by_hand():
    # One speaker of eight is alone, three more are three, the rest are four; nobody is on the empty code.
    for share, size in {0.01: 1, 0.125: 1, 0.126: 3, 0.5: 3, 0.51: 4, 1: 4}.items():
        assert worst_off_set(COUNTS, share=share) == size, share


@pytest.mark.parametrize("share", [0.01, 0.07, 0.3, 1.0])
def test_the_worst_off_are_a_quantile_over_speakers(share):
    counts = np.random.default_rng(0).negative_binomial(1, 0.1, (20, 30))
    expected = [np.quantile(np.repeat(row, row), share, method="inverted_cdf") for row in counts]
    assert worst_off_set(counts, share=share).tolist() == expected
    # .07 · 100 is a little above 7.
    assert worst_off_set(np.array([7, 93]), share=0.07) == 7


def test_histograms_are_measured_together_as_alone():
    counts = np.random.default_rng(1).multinomial(300, np.full(8, 1 / 8), size=(2, 3))
    for metric in (code_bits, *disclosure.METRICS.values()):
        together = metric(counts)
        assert together.shape[:2] == (2, 3)
        assert np.array_equal(together[1, 2], metric(counts[1, 2]))
    assert np.array_equal(code_bits(counts).max(axis=-1), occupancy.worst_case_bits(counts))


def test_every_part_has_all_metrics():
    rows = table(np.arange(60) % 8, np.array(["b", "a", "a"] * 20))
    assert list(disclosure.UNITS) == list(disclosure.METRICS)
    assert rows["part"].unique().tolist() == ["all", "group"] and rows["group"].dropna().unique().tolist() == ["a", "b"]
    for part, group, size in (("all", None, 60), ("group", "a", 40), ("group", "b", 20)):
        mine = of(rows, part, group)
        assert mine.index.tolist() == list(disclosure.METRICS)
        assert mine["unit"].to_dict() == disclosure.UNITS
        assert (mine["n_speakers"] == size).all()


def test_a_code_that_is_uniform_for_all_singles_out_within_a_group():
    codes = np.arange(800) % 8
    groups = np.where((codes < 4) ^ (np.arange(800) < 40), "f", "m")
    rows = table(codes, groups)
    assert of(rows, "all").loc["worst_case_bits", "value"] == 3
    # By hand: 20 of the 40 first are on the other half's codes, 5 a code.
    inside = of(rows, "group", "f")
    assert (inside["n_speakers"] == 400).all()
    assert inside.loc["smallest_set", "value"] == 5
    assert inside.loc["worst_case_bits", "value"] == pytest.approx(np.log2(400 / 5))
    assert inside.loc["worst_case_bits", "value"] > inside.loc["worst_case_bits", "floor_high"]
    assert inside.loc["average_bits", "value"] < inside.loc["average_bits", "floor_low"]


def test_empty_codes_are_infinite_and_counted():
    inside = of(table([0, 1, 2, 2, 5, 6], ["x", "x", "x", "x", "y", "y"]), "group", "x")
    assert inside.loc["worst_case_bits", "value"] == np.inf
    assert np.isnan(inside.loc["worst_case_bits", "standard_error"])
    assert inside.loc[["n_empty", "smallest_set", "worst_off_set"], "value"].tolist() == [5, 0, 1]
    # Four speakers never reach eight codes.
    assert inside.loc["worst_case_bits", "floor_infinite"] == 1 and np.isnan(
        inside.loc["worst_case_bits", "floor_mean"]
    )


def test_missing_labels_are_counted_and_not_measured():
    groups = np.array(["a", None, "b", np.nan, "", "a", "b", "a", "None"], dtype=object)
    rows = table(np.zeros(9, dtype=int), groups)
    missing = rows[rows["part"] == "missing"]
    assert missing["n_speakers"].tolist() == [3] and missing[["metric", "value"]].isna().all(axis=None)
    # Nor is a group of one, whatever its name; all speakers are among all.
    alone = rows[rows["group"] == "None"]
    assert alone["n_speakers"].tolist() == [1] and alone[["metric", "value"]].isna().all(axis=None)
    assert (of(rows, "all")["n_speakers"] == 9).all()
    once = rows.drop_duplicates(["part", "group"]).set_index("part")["n_speakers"]
    assert once["all"] == once[["group", "missing"]].sum()


def test_floors_are_of_the_size_of_the_group():
    rng = np.random.default_rng(3)
    groups = np.array(["big"] * 2000 + ["small"] * 100)
    rows = table(rng.integers(0, 8, 2100), groups, simulations=2000)
    for group, size in (("big", 2000), ("small", 100)):
        drawn = occupancy.worst_case_bits(floors.binomial(size, 8, draws=4000, rng=rng))
        row = of(rows, "group", group).loc["worst_case_bits"]
        assert row["floor_mean"] == pytest.approx(drawn.mean(), abs=0.03)
        assert row[["floor_low", "floor_high"]].tolist() == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.1)


def test_the_standard_error_is_the_spread_of_new_speakers():
    rng = np.random.default_rng(4)
    share = rng.dirichlet(np.full(8, 3))
    rows = of(table(rng.choice(8, 3000, p=share), np.full(3000, "x"), bootstrap=500), "group", "x")
    spread = effective_codes(rng.multinomial(3000, share, size=500)).std()
    assert rows.loc["effective_codes", "standard_error"] == pytest.approx(spread, rel=0.25)


def test_equal_seeds_give_equal_tables():
    codes, groups = np.random.default_rng(5).integers(0, 8, 200), np.array(["a", "b"] * 100)
    assert table(codes, groups).equals(table(codes, groups))
    assert not table(codes, groups).equals(table(codes, groups, seed=1))


def test_what_does_not_fit_is_named():
    with pytest.raises(InputError, match=r"codes \(3,\) and groups \(2,\) should be vectors of one length"):
        table([0, 1, 2], ["a", "b"])
    with pytest.raises(InputError, match="codes run from 0 to 8"):
        table([0, 8], ["a", "b"])
    for share in (0, 1.1):
        with pytest.raises(InputError, match=f"share={share}, should be above 0 and at most 1"):
            worst_off_set(COUNTS, share=share)
