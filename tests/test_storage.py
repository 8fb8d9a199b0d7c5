import platform
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from porcupine import storage
from porcupine.errors import InputError


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "table.csv"
    storage.save_table(target, pd.DataFrame({"a": [1]}))
    with pytest.raises(RuntimeError), storage.replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "a\n1\n"
    assert list(tmp_path.iterdir()) == [target]


KILLED = """
import os, pathlib, sys
from porcupine import storage
with storage.replacing(sys.argv[1]) as file, storage.replacing(sys.argv[2]) as folder:
    file.write_text("half")
    (folder / "deep").mkdir(parents=True)
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_writer_left_goes_when_the_file_is_written_again(tmp_path):
    file, folder = tmp_path / "table.csv", tmp_path / "folder"
    assert subprocess.run([sys.executable, "-c", KILLED, file, folder]).returncode == -9
    assert len(list(tmp_path.glob(".*.partial*"))) == 2
    storage.save_table(file, pd.DataFrame({"a": [1]}))
    with storage.replacing(folder) as temporary:
        temporary.mkdir()
    assert set(tmp_path.iterdir()) == {file, folder}


def test_what_others_may_still_write_is_not_touched(tmp_path):
    living, ended = (subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2))
    ended.communicate()
    here = platform.node()
    theirs = {
        tmp_path / f".{stem}.{machine}-{process}.partial{suffix}"
        for stem, machine, process, suffix in (
            ("a", here, living.pid, ".csv"),
            ("a", f"not-{here}", ended.pid, ".csv"),
            ("a", here, ended.pid, ".json"),
            ("a.b", here, ended.pid, ".csv"),
            ("a", here, "x", ".csv"),
        )
    }
    swept = tmp_path / f".a.{here}-{ended.pid}.partial.csv"
    for path in (*theirs, swept):
        path.touch()
    storage.save_table(tmp_path / "a.csv", pd.DataFrame({"a": [1]}))
    living.communicate()
    assert set(tmp_path.iterdir()) == {*theirs, tmp_path / "a.csv"}


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").touch()
    with storage.replacing(target) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_tables_round_trip(tmp_path, suffix):
    table = pd.DataFrame({"speaker": ["a", "b"], "seconds": [1.5, 2.25]})
    storage.save_table(tmp_path / f"table{suffix}", table)
    pd.testing.assert_frame_equal(storage.load_table(tmp_path / f"table{suffix}"), table, check_dtype=False)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"codes": rng.integers(0, 9, 20), "codebook": rng.random((3, 2))}
    for name in ("one.npz", "two.npz"):
        storage.save_arrays(tmp_path / name, arrays)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    loaded = storage.load_arrays(tmp_path / "one.npz")
    assert all(np.array_equal(loaded[name], array) for name, array in arrays.items())


def test_pickled_objects_are_refused(tmp_path):
    evil = np.array([{"a": 1}], dtype=object)
    with (tmp_path / "evil.npy").open("wb") as file:
        np.save(file, evil)
    np.savez(tmp_path / "evil.npz", evil=evil)
    with pytest.raises(InputError, match=r"evil\.npy: not a readable"):
        storage.load_array(tmp_path / "evil.npy")
    with pytest.raises(InputError, match=r"evil\.npz: not a readable"):
        storage.load_arrays(tmp_path / "evil.npz")


def test_a_truncated_or_missing_file_is_named(tmp_path):
    storage.save_array(tmp_path / "a.npy", np.arange(1000))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:200])
    with pytest.raises(InputError, match=r"a\.npy"):
        storage.load_array(tmp_path / "a.npy")
    storage.save_arrays(tmp_path / "b.npz", {"a": np.arange(1000)})
    (tmp_path / "b.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:200])
    with pytest.raises(InputError, match=r"b\.npz"):
        storage.load_arrays(tmp_path / "b.npz")
    for load in (storage.load_array, storage.load_arrays, storage.load_table, storage.load_json):
        with pytest.raises(InputError, match="missing"):
            load(tmp_path / "missing.npy")


def test_json_holds_no_infinity(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        storage.save_json(tmp_path / "metrics.json", {"worst_case_bits": float("inf")})
    assert list(tmp_path.iterdir()) == []
    storage.save_json(tmp_path / "metrics.json", {"worst_case_bits": None})
    assert storage.load_json(tmp_path / "metrics.json") == {"worst_case_bits": None}


def test_an_unknown_table_format_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.xlsx"):
        storage.save_table(tmp_path / "table.xlsx", pd.DataFrame({"a": [1]}))
