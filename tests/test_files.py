import itertools
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from porcupine import files
from porcupine.errors import InputError

FORMATS = (".npy", ".npz", ".parquet", ".safetensors")
VECTORS = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
CODES = np.random.default_rng(1).integers(0, 8, 50).astype(np.int32)


def save(path, array, name="x"):
    """Write an array by the library that owns the format, not by ours."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, **{name: array})
    elif path.suffix == ".safetensors":
        safetensors.numpy.save_file({name: np.ascontiguousarray(array)}, path)
    else:
        kind = pa.from_numpy_dtype(array.dtype)
        column = pa.array(array) if array.ndim == 1 else pa.array(list(array), pa.list_(kind))
        pq.write_table(pa.table({name: column}), path)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint8])
def test_what_others_write_is_read(suffix, dtype, tmp_path):
    for array in (VECTORS.astype(dtype), CODES.astype(dtype)):
        save(path := tmp_path / f"a{suffix}", array)
        found = files.read(path)
        assert found.dtype == dtype and np.array_equal(found, array)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("array", [VECTORS, CODES], ids=["vectors", "codes"])
def test_what_we_write_others_read(suffix, array, tmp_path):
    path = tmp_path / f"a{suffix}"
    files.write(path, "x", array.dtype, array.shape, np.array_split(array, 4))
    if suffix == ".npy":
        found = np.load(path)
    elif suffix == ".npz":
        found = np.load(path)["x"]
    elif suffix == ".safetensors":
        found = safetensors.numpy.load_file(path)["x"]
    else:
        found = np.array(pd.read_parquet(path)["x"].tolist(), dtype=array.dtype)
    assert found.dtype == array.dtype and np.array_equal(found, array)
    assert np.array_equal(files.read(path), array)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", FORMATS)
def test_blocks_do_not_show_in_the_file(suffix, tmp_path):
    for name, parts in (("one", 1), ("two", 1), ("many", 7)):
        files.write(tmp_path / f"{name}{suffix}", "x", np.int32, (50,), np.array_split(CODES, parts))
    one, two, many = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two", "many"))
    assert one == two
    assert one == many or suffix == ".parquet"  # where each block is a row group


def test_what_is_large_stays_on_disk(tmp_path):
    for suffix in (".npy", ".parquet", ".safetensors"):
        save(path := tmp_path / f"a{suffix}", VECTORS)
        assert isinstance(files.read(path), np.memmap)


def test_blocks_of_a_parquet_file_follow_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_ROWS", 7)
    pq.write_table(pa.table({"x": list(VECTORS)}), path := tmp_path / "a.parquet", row_group_size=11)
    assert np.array_equal(files.read_vectors(path).whole(), VECTORS)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".parquet"])
def test_one_of_several_is_read_by_its_name(suffix, tmp_path):
    path = tmp_path / f"many{suffix}"
    many = {"one": VECTORS, "two": 2 * VECTORS}
    if suffix == ".npz":
        np.savez(path, **many)
    elif suffix == ".safetensors":
        safetensors.numpy.save_file(many, path)
    else:
        pq.write_table(pa.table({name: list(array) for name, array in many.items()}), path)
    assert np.array_equal(files.read(f"{path}:two"), many["two"])
    with pytest.raises(InputError, match=rf"{path}: holds 2 \w+s \(one, two\): name one, as {path}:NAME"):
        files.read(path)
    with pytest.raises(InputError, match=rf"{path}: no \w+ 'tow'; did you mean 'two'\?"):
        files.read(f"{path}:tow")


def test_columns_of_numbers_are_dimensions(tmp_path):
    table = pd.DataFrame(VECTORS, columns=["d0", "d1", "d2"])
    table.to_parquet(path := tmp_path / "a.parquet")
    assert np.array_equal(files.read(path), VECTORS)
    assert np.array_equal(files.read(f"{path}:d1"), VECTORS[:, 1])
    table.assign(speaker="a").to_parquet(path)
    with pytest.raises(InputError, match=f"{path}: column 'speaker' holds .*string, not numbers"):
        files.read(path)
    table.assign(index=range(50)).to_parquet(path)  # would be taken for a fourth dimension
    with pytest.raises(InputError, match=r"columns of several types \('d0' float, .*'index' int64"):
        files.read(path)


def test_a_column_of_lists_is_read_beside_others(tmp_path):
    pq.write_table(pa.table({"speaker": ["a"] * 50, "embedding": list(VECTORS)}), path := tmp_path / "a.parquet")
    assert np.array_equal(files.read(path), VECTORS)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([[1.0, 2.0], [3.0]]), "lists of 1 to 2 numbers"),
        (pa.array([[1.0, 2.0], None]), "missing values"),
        (pa.array([[1.0, 2.0], [3.0, None]]), "missing values"),
        (pa.array([1, None]), "missing values"),
        (pa.array([["a"], ["b"]]), "holds string, not numbers"),
    ],
)
def test_lists_that_are_no_vectors_are_refused(column, message, tmp_path):
    pq.write_table(pa.table({"x": column}), path := tmp_path / "a.parquet")
    with pytest.raises(InputError, match=f"{path}: column 'x' .*{message}"):
        files.read(path)


def test_lists_are_as_long_in_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_ROWS", 1)
    pq.write_table(pa.table({"x": [[1.0, 2.0], [3.0]]}), path := tmp_path / "a.parquet")
    with pytest.raises(InputError, match=f"{path}: lists of 2 and of 1 numbers"):
        files.read(path)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("array", "kinds"),
    [
        (VECTORS, {"vectors"}),
        (CODES, {"codes"}),
        (VECTORS[:, 0], set()),
        (CODES.reshape(-1, 2), set()),
        (VECTORS[:0], set()),
        (CODES[:0], set()),
    ],
)
def test_vectors_are_not_taken_for_codes_nor_codes_for_vectors(suffix, array, kinds, tmp_path):
    save(path := tmp_path / f"a{suffix}", array)
    if suffix == ".parquet" and not len(array):
        array = files.read(path)  # an empty column does not say how long its lists are
    for kind, reader in (("vectors", files.read_vectors), ("codes", files.read_codes)):
        if kind in kinds:
            assert len(reader(path)) == len(array)
            assert len(files.read_either(path)) == len(array)
        else:
            with pytest.raises(InputError, match=rf"^{path}: {array.dtype} of shape \[.*\], should be {kind}: "):
                reader(path)


def test_bad_rows_are_named_with_their_file(tmp_path):
    array = VECTORS.copy()
    array[[17, 30]] = np.nan
    np.save(path := tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=f"{path}: vectors are not finite in 2 of 50 rows, first row 17: drop"):
        files.read_vectors(path).whole()


def test_nothing_is_unpickled(tmp_path):
    evil = np.array([{"a": 1}], dtype=object)
    np.save(tmp_path / "evil.npy", evil)
    np.savez(tmp_path / "evil.npz", evil=evil)
    for path in tmp_path.iterdir():
        with pytest.raises(InputError, match=f"{path}: not a readable"):
            files.read(path)


def test_tensors_of_types_that_numpy_lacks_are_named(tmp_path):
    header = json.dumps({"x": {"dtype": "BF16", "shape": [2, 1], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(InputError, match="tensor 'x' is of type BF16: save it as F32"):
        files.read(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.npy", "no such file"),
        ("a.csv", "format '.csv' is not known: use .npy, .npz, .parquet, .safetensors"),
        ("a.npy:x", "holds one array without a name: leave out :x"),
        ("folder.npy", "no such file"),
    ],
)
def test_a_source_that_cannot_be_is_named(source, message, tmp_path):
    np.save(tmp_path / "a.npy", VECTORS)
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(InputError, match=f"^{tmp_path / source.split(':')[0]}: {message}"):
        files.read(tmp_path / source)


def test_targets_that_cannot_be_written_are_found_before_the_work(tmp_path):
    (tmp_path / "folder.npy").mkdir()
    np.savez(taken := tmp_path / "a.npz", x=VECTORS)
    for target, message in (
        (tmp_path / "a.csv", "cannot write format '.csv': use .npy"),
        (tmp_path / "folder.npy", "is a folder"),
        (tmp_path / "missing" / "a.npy", "is missing or cannot be written"),
        (taken / "a.npy", "is missing or cannot be written"),
        (taken, "is an input"),
    ):
        with pytest.raises(InputError, match=f"^{target}: .*{message}"):
            files.require_target(target, inputs=[f"{taken}:x"])
    for folder, message in ((taken, "is a file"), (tmp_path / "missing" / "b", "is missing or cannot be written")):
        with pytest.raises(InputError, match=f"^{folder}: .*{message}"):
            files.require_folder(folder)
    files.require_folder(tmp_path / "new")
    files.require_folder(tmp_path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_write_that_fails_leaves_what_was_there(suffix, tmp_path):
    def blocks():
        yield CODES[:20]
        raise RuntimeError

    path = tmp_path / f"a{suffix}"
    save(path, VECTORS)
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        files.write(path, "x", np.int32, (50,), blocks())
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_labels_keep_leading_zeros(tmp_path):
    (tmp_path / "a.csv").write_text("speaker,gender\n0001,F\n0002,\n")
    table = files.read_labels(tmp_path / "a.csv")
    assert table["speaker"].tolist() == ["0001", "0002"]
    table.to_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(files.read_labels(tmp_path / "a.parquet"), table, check_dtype=False)
    for name, message in (("a.txt", "format '.txt' is not one of tables"), ("b.csv", "no such file")):
        with pytest.raises(InputError, match=message):
            files.read_labels(tmp_path / name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Bytes of a good file of each format."""
    folder = tmp_path_factory.mktemp("whole")
    for suffix in FORMATS:
        save(folder / f"a{suffix}", VECTORS)
    return {suffix: (folder / f"a{suffix}").read_bytes() for suffix in FORMATS}


def assert_read_or_refused(path, content):
    path.write_bytes(content)
    try:
        found = files.read(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ") and len(str(error).splitlines()) == 1
    else:
        assert isinstance(found, np.ndarray)


@given(content=st.binary(max_size=200), suffix=st.sampled_from(FORMATS))
def test_any_bytes_are_read_or_refused(content, suffix, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / f"bytes{suffix}"
    assert_read_or_refused(path, content)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_truncated_file_is_refused(suffix, whole, tmp_path):
    content = whole[suffix]
    for length in itertools.chain(range(0, len(content), 37), [len(content) - 1]):
        (tmp_path / f"a{suffix}").write_bytes(content[:length])
        with pytest.raises(InputError, match="not a readable"):
            files.read(tmp_path / f"a{suffix}")


@given(data=st.data(), suffix=st.sampled_from(FORMATS))
def test_a_file_with_a_few_wrong_bytes_is_read_or_refused(data, suffix, whole, tmp_path_factory):
    content = bytearray(whole[suffix])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert_read_or_refused(tmp_path_factory.getbasetemp() / f"bytes{suffix}", bytes(content))
