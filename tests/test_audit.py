import json
import math

import numpy as np
import pandas as pd
import pytest

from porcupine import storage
from porcupine.audit import FEWEST_DRAWS, audit, write
from porcupine.errors import InputError
from porcupine.privacy.certificate import by_audit

FAST = {"simulations": 100, "bootstrap": 20}
CODES = np.repeat(np.arange(4), [10, 20, 30, 40])


def test_metrics_by_hand():
    # By hand: the rarest of four codes has 10 of 100 speakers.
    found = audit(CODES, 4, **FAST)
    record = found.headline()
    assert record["worst_case_bits"] == pytest.approx(math.log2(10), abs=1e-6)
    share = np.array([0.1, 0.2, 0.3, 0.4])
    assert record["average_bits"] == pytest.approx(-(share * np.log2(share)).sum(), abs=1e-6)
    assert (record["n_samples"], record["n_speakers"], record["smallest_set"], record["n_empty"]) == (100, 100, 10, 0)
    assert found.counts.tolist() == [10, 20, 30, 40]
    assert found.codes["rank"].tolist() == [1, 2, 3, 4]
    assert found.codes["bits"].tolist() == pytest.approx((-np.log2(share)).tolist())
    assert found.bits == record["bits"] == 2


def test_the_certificate_is_that_of_the_counts():
    found = audit(CODES, 4, alpha=0.1, population=500, **FAST)
    assert found.certificate == by_audit(np.array([10, 20, 30, 40]), n_further=500, alpha=0.1)
    record = found.headline()
    assert record["certified_bits"] == pytest.approx(found.certificate.bits, abs=1e-6)
    assert (record["certified_set"], record["n_further_speakers"], record["confidence"]) == (
        found.certificate.k,
        500,
        0.9,
    )


def test_uneven_codes_are_above_the_floor_and_even_ones_within():
    uneven, even = audit(CODES, 4, **FAST).headline(), audit(np.arange(100) % 4, 4, **FAST).headline()
    assert not uneven["worst_case_within_floor"] and not uneven["spread_within_floor"]
    assert even["worst_case_within_floor"] and even["spread_within_floor"]
    # By hand: perfectly flat counts, 2 bits, are better than any draw of the floor.
    assert even["worst_case_bits"] == 2 < even["floor_low_bits"] < uneven["floor_high_bits"] < uneven["worst_case_bits"]


def test_without_a_training_set_there_is_no_calibrated_floor():
    bare, known = audit(CODES, 4, **FAST), audit(CODES, 4, n_train=50, **FAST)
    assert not any("calibrated" in name for name in [*bare.occupancy, *bare.headline()])
    assert "cv_over_limit" not in set(bare.occupancy["metric"])
    row = known.metric("worst_case_bits")
    assert row["calibrated_high"] > row["floor_high"]  # a small training set allows more than chance alone
    assert known.headline()["n_train"] == 50 and known.headline()["cv_over_limit"] > 0


def test_an_empty_code_is_infinite_and_told_in_json():
    found = audit(CODES, 5, **FAST)
    record = json.loads(json.dumps(found.headline(), allow_nan=False))
    assert record["worst_case_bits"] is record["certified_bits"] is None
    assert record["worst_case_bits_reason"] == "infinite: nobody has 1 of 5 codes"
    assert record["certified_bits_reason"].startswith("infinite: none of 100")
    assert record["certified_set"] == 0 and record["certified_set_reason"]
    assert not record["worst_case_within_floor"]
    assert "the worst case is infinite" in str(found)


def test_a_sample_too_small_for_its_codes_is_within_an_infinite_floor():
    # Ten speakers on 64 codes: even codes leave some empty in every draw.
    record = audit(np.arange(10), 64, **FAST).headline()
    assert record["worst_case_bits"] is record["floor_low_bits"] is record["floor_high_bits"] is None
    assert record["worst_case_within_floor"]


def test_groups_are_measured_one_by_one():
    # By hand: five women are on code 0 and forty on code 3, none on 1 or 2; no man is on code 3.
    groups = pd.DataFrame({"gender": ["f"] * 5 + ["m"] * 55 + ["f"] * 40, "site": [None] * 98 + ["a", "b"]})
    found = audit(CODES, 4, groups=groups, **FAST)
    worst = found.worst_groups.set_index("group")
    assert set(worst.index) == {"f", "m"}  # sites of one speaker have no disclosure within
    assert worst.loc["f", "value"] == math.inf and worst.loc["m", "value"] == math.inf
    assert worst["above_floor"].all()
    unmeasured = found.disclosure[found.disclosure["metric"].isna()]
    assert unmeasured[["attribute", "n_speakers"]].to_numpy().tolist() == [["site", 1], ["site", 1], ["site", 98]]
    record = found.headline()
    assert (record["n_groups"], record["n_groups_above_floor"], record["worst_group"]) == (2, 2, "gender: m")
    assert record["worst_group_bits"] is None and "none of its 55" in record["worst_group_bits_reason"]
    assert found.disclosure["part"].iloc[0] == "all" and (found.disclosure["part"] == "all").sum() == 6


def test_speakers_with_several_samples_count_once():
    # Each of 50 speakers has one code, told four times.
    rng = np.random.default_rng(0)
    own = rng.integers(0, 4, 50)
    one, four = audit(own, 4, **FAST), audit(np.repeat(own, 4), 4, speakers=np.repeat(np.arange(50), 4), **FAST)
    assert (four.n_samples, four.n_speakers) == (200, 50)
    assert four.certificate == one.certificate
    assert four.codes["speakers"].tolist() == one.counts.tolist()
    assert (four.counts == 4 * one.counts).all()
    # Clustered samples have the floor of 50, not of 200 independent ones.
    naive = audit(np.repeat(own, 4), 4, **FAST).metric("std")
    assert four.metric("std")["floor_mean"] > 1.5 * naive["floor_mean"]


def test_a_drawn_sample_keeps_its_group():
    # The group tells the code, whichever sample of a speaker is drawn, in whatever order.
    rng = np.random.default_rng(0)
    codes, speakers = rng.integers(0, 2, 300), rng.permutation(np.arange(300) % 100)
    found = audit(codes, 2, groups=pd.DataFrame({"odd": codes}), speakers=speakers, **FAST)
    shares = found.disclosure[found.disclosure["metric"] == "average_bits"].set_index("group")["value"]
    assert shares["0"] == shares["1"] == 0
    assert found.disclosure[found.disclosure["part"] == "group"].drop_duplicates("group")["n_speakers"].sum() == 100


def test_samples_without_a_speaker_are_of_one_each():
    speakers = np.array(["a", "a", None, "", "", math.nan] + ["b"] * 94, dtype=object)
    assert audit(CODES, 4, speakers=speakers, **FAST).n_speakers == 6


def test_the_same_seed_gives_the_same_audit():
    groups = pd.DataFrame({"g": np.arange(100) % 3})
    first, second, other = (audit(CODES, 4, groups=groups, n_train=99, seed=seed, **FAST) for seed in (1, 1, 2))
    assert first.headline() == second.headline() != other.headline()
    pd.testing.assert_frame_equal(first.disclosure, second.disclosure)


def test_many_clustered_samples_take_fewer_draws(monkeypatch):
    monkeypatch.setattr("porcupine.audit.MOST_DRAWN", 100)
    speakers = np.arange(100) // 2
    assert audit(CODES, 4, speakers=speakers, simulations=150, bootstrap=2).simulations == FEWEST_DRAWS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": CODES[None]}, r"shape \(1, 100\), should be \[N\]"),
        ({"n_codewords": 3}, "should lie in 0 … K-1=2"),
        ({"n_train": 0}, "n_train=0, should be >= 1"),
        ({"bootstrap": 1}, "bootstrap=1, should be >= 2"),
        ({"distortion": math.nan}, "distortion=nan"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"speakers": np.zeros(99)}, "99 entries, should have 100"),
        ({"speakers": np.zeros(100)}, "one speaker"),
        ({"groups": pd.DataFrame({"a": [1]})}, "1 rows, should have 100"),
        ({"groups": pd.DataFrame(np.zeros((100, 2)), columns=["a", "a"])}, "two columns 'a'"),
        (
            {"groups": pd.DataFrame({"clip": [f"{n}" for n in range(101)]}), "codes": np.arange(101) % 4},
            "column 'clip'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    arguments = {"codes": CODES, "n_codewords": 4, **FAST} | change
    codes, n_codewords = arguments.pop("codes"), arguments.pop("n_codewords")
    with pytest.raises(InputError, match=message):
        audit(codes, n_codewords, **arguments)


@pytest.fixture(scope="module")
def small():
    return audit(CODES, 5, groups=pd.DataFrame({"gender": ["f", "m"] * 50}), n_train=400, distortion=0.5, **FAST)


def test_a_folder_holds_all_of_it(tmp_path, small):
    written = write(small, tmp_path / "out", title="Mine", provenance={"codes": {"path": "codes.npy"}}, dpi=20)
    assert {path.name for path in written} == {path.name for path in (tmp_path / "out").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]  # nothing temporary stays
    record = storage.load_json(tmp_path / "out" / "audit.json")
    assert record["headline"] == small.headline() and record["title"] == "Mine"
    assert record["provenance"] == {"codes": {"path": "codes.npy"}}
    assert storage.load_table(tmp_path / "out" / "codes.csv")["samples"].tolist() == [10, 20, 30, 40, 0]
    for name in ("counts", "codes", "groups"):
        assert (tmp_path / "out" / f"{name}.svg").stat().st_size and (tmp_path / "out" / f"{name}.png").stat().st_size
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Mine" in page and "codes.npy" in page and "∞ bits" in page


def test_the_same_audit_gives_the_same_bytes(tmp_path, small):
    first, second = (write(small, tmp_path / name, dpi=20) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_an_earlier_audit_is_replaced_and_nothing_else(tmp_path, small):
    folder = tmp_path / "out"
    write(small, folder, dpi=20)
    write(audit(CODES, 4, **FAST), folder, dpi=20)
    assert not (folder / "groups.svg").exists()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"holds thesis\.tex, which no earlier audit wrote"):
        write(small, folder, dpi=20)
    assert (folder / "thesis.tex").read_text() == "years of work" and (folder / "audit.json").exists()


def test_other_folders_and_files_are_not_overwritten(tmp_path, small):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "codes.npy").touch()
    (tmp_path / "file").touch()
    for name in ("data", "file"):
        with pytest.raises(InputError, match="which no earlier audit wrote"):
            write(small, tmp_path / name, dpi=20)
    (tmp_path / "empty").mkdir()
    assert write(small, tmp_path / "empty", dpi=20)


def test_long_codes_are_drawn_in_a_small_page(tmp_path):
    found = audit(np.random.default_rng(0).integers(0, 10_000, 20_000), 10_000, simulations=2, bootstrap=2)
    write(found, tmp_path / "out", dpi=40)
    assert (tmp_path / "out" / "report.html").stat().st_size < 1_000_000
