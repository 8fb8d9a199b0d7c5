"""How benchmarks/exactness.py reads maps, and compares artifacts."""

import argparse
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile
from imports import ROOT

from porcupine import storage

sys.path.append(str(ROOT / "benchmarks"))  # scripts there are no package

import exactness


@pytest.fixture
def folders(tmp_path):
    """Two empty folders: the reference's and another's."""
    for name in ("reference", "other"):
        (tmp_path / name).mkdir()
    return tmp_path / "reference", tmp_path / "other"


def compared(folders, save, first, second, name):
    for folder, content in zip(folders, (first, second), strict=True):
        save(folder / name, content)
    return exactness.compare(*folders, [name])


def test_equal_files_are_the_same(folders):
    found = compared(folders, storage.save_array, np.arange(3.0), np.arange(3.0), "out/a.npy")
    assert (found.files, found.changed, str(found)) == (1, (), "same")


def test_fractions_differ_by_their_largest_step_relative_to_the_largest_of_their_array(folders):
    first = {"small": np.array([0.001, 0.004]), "large": np.array([-100.0, 50.0])}
    second = {"small": np.array([0.001, 0.003]), "large": np.array([-100.0, 52.0])}
    found = compared(folders, storage.save_arrays, first, second, "a.npz")
    assert found.absolute == pytest.approx(2) and found.relative == pytest.approx(0.25)
    assert (found.entries, found.moved, str(found)) == (0, 0, "2e-01")


def test_codes_that_differ_are_counted(folders):
    first = {"codes": np.array([[0, 1, 2], [3, 4, 5]]), "same": np.zeros(4, dtype=np.int64)}
    second = {"codes": np.array([[0, 1, 3], [3, 5, 5]]), "same": np.zeros(4, dtype=np.int64)}
    found = compared(folders, storage.save_arrays, first, second, "codes.npz")
    assert (found.moved, found.entries, found.absolute) == (2, 10, 0) and str(found) == "2 of 10 entries"


def test_numbers_that_are_not_finite_differ_as_entries(folders):
    nan, inf = np.nan, np.inf
    first, second = np.array([nan, nan, inf, inf, 1.0, 2.0]), np.array([nan, 1.0, inf, -inf, nan, 2.5])
    found = compared(folders, storage.save_array, first, second, "a.npy")
    assert (found.moved, found.entries, found.absolute, found.relative) == (3, 3, 0.5, 0.25)


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_columns_of_tables_are_compared_each_by_its_kind(folders, name):
    first = pd.DataFrame({"variant": ["vq", "tree"], "value": [0.5, 2.0], "k": [3, 4], "reason": [None, None]})
    second = first.assign(variant=["vq", "curve"], value=[0.5, 1.0], k=[3, 5])
    found = compared(folders, storage.save_table, first, second, name)
    assert (found.absolute, found.relative, found.moved, found.unlike) == (1.0, 0.5, 2, {})


def test_a_number_in_place_of_a_word_is_another_entry(folders):
    first, second = pd.DataFrame({"a": [1.5, 2.0]}), pd.DataFrame({"a": ["1.5", "none"]})
    assert compared(folders, storage.save_table, first, second, "a.csv").moved == 1


def test_records_are_compared_by_their_numbers(folders):
    first = {"bits": 5, "vq": {"top1": 0.5, "worst": None}, "steps": [1.0, 2.0]}
    second = {"bits": 5, "vq": {"top1": 0.25, "worst": 3.0}, "steps": [1.0, 2.0]}
    found = compared(folders, storage.save_json, first, second, "metrics.json")
    assert (found.absolute, found.relative, found.moved) == (0.25, 0.5, 1)


def test_sound_is_compared_by_its_samples(folders):
    first = np.array([0, 100, -200], dtype=np.int16)

    def save(path, samples):
        soundfile.write(path, samples, 16_000, subtype="PCM_16")

    found = compared(folders, save, first, first + np.int16([0, 0, 1]), "a.wav")
    assert (found.moved, found.entries) == (1, 3)


def test_missing_and_extra_files_are_told(folders):
    reference, other = folders
    for folder, name in ((reference, "gone.npy"), (reference, "kept.npy"), (other, "kept.npy"), (other, "new.npy")):
        storage.save_array(folder / "out" / name, np.zeros(2))
    found = exactness.compare(reference, other, ["out"])
    assert found.files == 3 and found.changed == ("out/gone.npy", "out/new.npy")
    assert found.unlike == {"out/gone.npy": "missing file", "out/new.npy": "extra file"}
    assert str(found) == "extra file, missing file"


@pytest.mark.parametrize(
    ("name", "first", "second", "told"),
    [
        ("a.npy", np.zeros(2), np.zeros(3), "other shape"),
        ("a.npz", {"a": np.zeros(2)}, {"b": np.zeros(2)}, "other shape"),
        ("a.png", b"1", b"2", "other .png"),
    ],
)
def test_what_has_no_numbers_in_common_is_named(folders, name, first, second, told):
    saves = {"a.npy": storage.save_array, "a.npz": storage.save_arrays, "a.png": lambda path, b: path.write_bytes(b)}
    assert str(compared(folders, saves[name], first, second, name)) == told


def test_files_of_other_bytes_may_hold_the_same_numbers(folders):
    found = compared(folders, lambda path, text: path.write_text(text), "a\n1.50\n", "a\n1.5\n", "a.csv")
    assert found.changed == ("a.csv",) and str(found) == "same numbers"


def test_figures_shift_in_widths_of_their_intervals(folders):
    rows = {"figure": ["eer", "eer", "top1"], "value": [1.0, 2.0, 3.0], "low": [0.0, 1.0, 3.0], "high": [2.0, 3.0, 3.0]}
    for folder, values in zip(folders, ([1.0, 2.0, 3.0], [1.5, 4.0, 3.5]), strict=True):
        storage.save_table(folder / "rates.csv", pd.DataFrame(rows | {"value": values}))
    (found,) = exactness.shifts(*folders, ["rates.csv"])  # the third has no width
    assert found == {"file": "rates.csv", "n": 2, "median": 0.625, "largest": 1.0, "outside": 0.5}


def test_figures_with_intervals_of_their_own_names_shift_by_those(folders):
    for folder, shift in zip(folders, (0, 1), strict=True):
        table = pd.DataFrame({"top1": [5.0 + shift], "top1_low": [3.0], "top1_high": [7.0], "top5": [9.0 + 2 * shift]})
        storage.save_table(folder / "a.csv", table)
    (found,) = exactness.shifts(*folders, ["a.csv"])
    assert (found["n"], found["largest"]) == (1, 0.25)


def test_a_map_becomes_stages_with_its_matrix_and_params_filled_in(tmp_path):
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n"
        "  fit:\n"
        "    matrix:\n      method: ${codebooks.methods}\n"
        "    cmd: >-\n      python -m stages.fit ${item.method}\n      books/${item.method}.npz\n"
        "    deps: ['${corpus.path}', stages/fit.py]\n"
        "    outs:\n      - books/${item.method}.npz:\n          cache: false\n"
        "    metrics: [all.json]\n"
    )
    params = {"codebooks": {"methods": ["vq", "tree"]}, "corpus": {"path": "data/own"}}
    first, second = exactness.stages_of(tmp_path / "dvc.yaml", params)
    assert (first.name, second.name) == ("fit@vq", "fit@tree")
    assert second.command == ["python", "-m", "stages.fit", "tree", "books/tree.npz"]
    assert second.inputs == ["data/own"] and second.outputs == ["books/tree.npz", "all.json"]


@pytest.mark.parametrize("name", exactness.MAPS)
def test_every_input_is_there_or_made_by_an_earlier_stage(name):
    experiment = exactness.Experiment(name)
    made = [experiment.params["corpus"]["path"]]
    for stage in experiment.stages:
        for path in stage.inputs:
            assert any(path == out or out.startswith(f"{path}/") or path.startswith(f"{out}/") for out in made), path
        made += stage.outputs


def test_the_page_has_a_row_a_stage_and_names_the_libraries_behind_a_difference(tmp_path):
    same = {"table": "stage", "stage": "codes", "text": "same"}
    fit = {"table": "stage", "stage": "fit@vq", "text": "2e-07"}
    rows = [one | {"condition": name} for name in ("1 thread", "SSE") for one in (same, fit | {"text": "same"})]
    rows[-1]["text"] = "2e-07"
    rows += [fit | {"condition": "MKL"}, fit | {"condition": "NumPy", "text": "same"}]
    shift = {"table": "shift", "condition": "SSE", "file": "rates.csv", "n": 8, "median": 0.01, "largest": 0.7}
    rows += [shift | {"outside": 0.125}, shift | {"file": "other.csv", "n": 0, "median": None, "largest": None}]
    rows += [one | {"table": "whole", "condition": "SSE", "text": "3e-01"} for one in (same, fit)]
    record = {"command": "python x.py", "machine": "a machine", "minutes": 2.0, "rows": rows}
    storage.save_json(tmp_path / "embeddings.json", record | {"options": {"conditions": ["1 thread", "SSE"]}})
    exactness.report(argparse.Namespace(results=tmp_path, page=tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| `codes` | same | same | 3e-01 |  |\n| `fit@vq` | same | 2e-07 | 3e-01 | MKL |" in page
    assert "2 under 1 thread, 1 under SSE" in page
    assert "| `rates.csv` | 8 | 0.01 | 0.7 | 12.5% |" in page and "other.csv" not in page
