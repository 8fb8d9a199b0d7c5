import numpy as np
import pytest

from porcupine import ragged
from porcupine.errors import InputError


def arrays(n=50, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((length, 3)).astype(np.float32) for length in rng.integers(0, 20, n)]


@pytest.mark.parametrize("file_bytes", [1, 500, 10**9])
def test_arrays_come_back_in_order(tmp_path, file_bytes):
    written = arrays()
    ragged.write(tmp_path / "r", iter(written), dtype="float32", file_bytes=file_bytes)
    read = ragged.Ragged(tmp_path / "r")
    assert len(read) == 50
    assert read.lengths.tolist() == [len(array) for array in written]
    for a, b in zip(read, written, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(read[-1], written[-1])


def test_arrays_are_stored_as_half_precision(tmp_path):
    ragged.write(tmp_path / "r", arrays())
    assert ragged.Ragged(tmp_path / "r")[3].dtype == np.float16


def test_few_files_hold_many_arrays(tmp_path):
    ragged.write(tmp_path / "r", [np.zeros((10, 3))] * 100, dtype="float32", file_bytes=10 * 3 * 4 * 25)
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == [
        "00000.npy",
        "00001.npy",
        "00002.npy",
        "00003.npy",
        "index.npy",
    ]


def test_writing_does_not_wait_for_all_arrays(tmp_path):
    def stream():
        for i in range(10):
            assert len(list(tmp_path.rglob("0*.npy"))) == i
            yield np.zeros(100)

    ragged.write(tmp_path / "r", stream(), dtype="float32", file_bytes=400)


def test_a_selection_has_its_own_order(tmp_path):
    written = arrays()
    ragged.write(tmp_path / "r", written, dtype="float32")
    read = ragged.Ragged(tmp_path / "r")
    for chosen in (read.select([7, 3, 40]).select([2, 0]), read[40:6:-33]):
        assert len(chosen) == 2
        np.testing.assert_array_equal(chosen[0], written[40])
        np.testing.assert_array_equal(chosen[1], written[7])


def test_an_empty_sequence_comes_back_empty(tmp_path):
    ragged.write(tmp_path / "r", [])
    assert list(ragged.Ragged(tmp_path / "r")) == []


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        ragged.write(tmp_path / name, arrays(), file_bytes=500)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_failed_write_leaves_what_was_there(tmp_path):
    ragged.write(tmp_path / "r", [np.ones((2, 3))])
    with pytest.raises(InputError, match=r"array 1 has shape \(2, 4\)"):
        ragged.write(tmp_path / "r", [np.zeros((2, 3)), np.zeros((2, 4))])
    assert ragged.Ragged(tmp_path / "r")[0].tolist() == [[1, 1, 1]] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_value_that_the_type_cannot_hold_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"array 0 has values up to 1e\+06 that float16 cannot hold"):
        ragged.write(tmp_path / "r", [np.array([1.0, 1e6])])


def test_a_folder_of_something_else_is_an_error(tmp_path):
    with pytest.raises(InputError, match="not a folder made by"):
        ragged.Ragged(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    ragged.write(tmp_path / "r", arrays())
    (tmp_path / "r" / "00000.npy").unlink()
    with pytest.raises(InputError, match=r"00000\.npy: not a readable"):
        ragged.Ragged(tmp_path / "r")[0]
