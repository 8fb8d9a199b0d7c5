import numpy as np
import pytest

from porcupine.corpora import vectors
from porcupine.errors import InputError


def store(root, train, test):
    np.save(root / "train_vectors.npy", train)
    np.save(root / "test_vectors.npy", test)


def test_vectors_of_any_float_type_load_as_float32(tmp_path):
    train = np.arange(12, dtype=np.float16).reshape(4, 3)
    store(tmp_path, train, np.asfortranarray(train[:2], dtype=np.float64))
    loaded = vectors.load(tmp_path)
    assert loaded.train.dtype == loaded.test.dtype == np.float32
    assert np.array_equal(loaded.train, train) and np.array_equal(loaded.test, train[:2])
    assert len(loaded.train_table) == 4 and len(loaded.test_table) == 2
    assert list(loaded.train_table.columns) == []


def test_metadata_comes_along_with_speakers_as_text(tmp_path):
    store(tmp_path, np.zeros((2, 1)), np.zeros((1, 1)))
    (tmp_path / "train_metadata.csv").write_text("speaker,gender\n0001,F\n0002,m\n", encoding="utf-8")
    loaded = vectors.load(tmp_path)
    assert loaded.train_table["speaker"].tolist() == ["0001", "0002"]
    assert loaded.train_table["gender"].tolist() == ["female", "male"]
    assert len(loaded.test_table.columns) == 0


def test_metadata_of_another_length_is_refused(tmp_path):
    store(tmp_path, np.zeros((2, 1)), np.zeros((1, 1)))
    (tmp_path / "test_metadata.csv").write_text("speaker\na\nb\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"2 rows for the 1 rows of test_vectors.npy"):
        vectors.load(tmp_path)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), "D=3, test_vectors.npy D=4"),
        (np.zeros(5), np.zeros((2, 4)), r"float64 \[5\], must be floats of shape \[N, D\]"),
        (np.zeros((2, 3), dtype=int), np.zeros((2, 3)), r"int64 \[2, 3\], must be floats"),
        (np.zeros((1, 3)), np.zeros((2, 3)), "must have at least 2 rows"),
        (np.zeros((2, 0)), np.zeros((2, 0)), "1 column"),
        (np.zeros((2, 3)), np.zeros((0, 3)), "must have at least 1 rows"),
        (np.array([[0.0], [0.0], [np.nan], [np.inf]]), np.zeros((2, 1)), r"row 2 \(from 0\) is not finite.*2 such"),
        (np.array([[0.0], [1e300]]), np.zeros((2, 1)), r"row 1 \(from 0\) is not finite in float32"),
    ],
)
def test_unusable_vectors_are_refused(tmp_path, train, test, message):
    store(tmp_path, train, test)
    with pytest.raises(InputError, match=message):
        vectors.load(tmp_path)


def test_a_missing_array_says_what_to_put_there(tmp_path):
    with pytest.raises(InputError, match=r"train_vectors.npy: missing: corpus.path should hold"):
        vectors.load(tmp_path)


def test_python_objects_are_never_unpickled(tmp_path):
    store(tmp_path, np.array([[object()]], dtype=object), np.zeros((1, 1)))
    with pytest.raises(InputError, match=r"not a readable .npy array"):
        vectors.load(tmp_path)
