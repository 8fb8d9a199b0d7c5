import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.quantizers.samples import Samples


@pytest.fixture(scope="module")
def vectors():
    # Of few digits, so that float16 and float64 hold them exactly.
    return np.random.default_rng(0).integers(-500, 500, (100, 6)).astype(np.float32) / 8


def memory_map(array, path):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def forms(vectors, folder):
    """The same samples, stored in other ways."""
    return {
        "float16": vectors.astype(np.float16),
        "float64": vectors.astype(np.float64),
        "columns first": np.asfortranarray(vectors),
        "memory map": memory_map(vectors, folder / "whole.npy"),
        "shards": [vectors[:1], vectors[1:60], vectors[60:]],
        "mixed shards": (memory_map(vectors[:33].astype(np.float16), folder / "part.npy"), vectors[33:].astype(float)),
        "samples": Samples([vectors[:50], vectors[50:]]),
    }


def test_how_samples_are_stored_does_not_matter(vectors, tmp_path):
    index = np.array([0, 1, 32, 33, 59, 60, 99])
    for name, form in forms(vectors, tmp_path).items():
        samples = Samples(form)
        assert samples.shape == (100, 6) and len(samples) == 100, name
        blocks = [(rows, block.copy()) for rows, block in samples.blocks(entries=6 * 7)]
        read = np.concatenate([block for _, block in blocks])
        covered = np.concatenate([np.arange(100)[rows] for rows, _ in blocks])
        assert np.array_equal(covered, np.arange(100)), name
        for got, wanted in (
            (samples.whole(), vectors),
            (read, vectors),
            (samples.rows(index), vectors[index]),
            (samples.draw(40, np.random.default_rng(1)), Samples(vectors).draw(40, np.random.default_rng(1))),
        ):
            assert got.dtype == np.float32 and np.array_equal(got, wanted), name


@pytest.mark.parametrize(("entries", "longest"), [(6 * 7, 7), (6 * 7 + 5, 7), (6, 1), (1, 1), (10**6, 67)])
def test_blocks_are_bounded_and_never_empty(vectors, entries, longest):
    lengths = [len(block) for _, block in Samples([vectors[:33], vectors[33:]]).blocks(entries=entries)]
    assert max(lengths) == longest and min(lengths) >= 1


def test_values_are_not_read_to_open_them(tmp_path):
    assert Samples(memory_map(np.full((50, 4), np.nan), tmp_path / "unread.npy")).shape == (50, 4)


def test_a_float32_array_is_not_copied(vectors):
    assert Samples(vectors).whole() is vectors


def test_samples_are_drawn_without_replacement_in_their_order():
    samples = Samples([np.arange(60.0)[:, None], np.arange(60.0, 100)[:, None]])
    drawn = samples.draw(50, np.random.default_rng(0)).ravel()
    assert len(drawn) == 50 and (np.diff(drawn) > 0).all()
    assert not np.array_equal(drawn, samples.draw(50, np.random.default_rng(1)).ravel())


@pytest.mark.parametrize("n_samples", [100, 101])
def test_no_more_than_all_can_be_drawn(vectors, n_samples):
    assert np.array_equal(Samples(vectors).draw(n_samples, np.random.default_rng(0)), vectors)


def test_each_sample_is_drawn_as_often_as_another():
    samples, rng = Samples(np.arange(20.0)[:, None]), np.random.default_rng(0)
    counts = np.zeros(20)
    for _ in range(2000):
        counts[samples.draw(5, rng).ravel().astype(int)] += 1
    assert np.abs(counts - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones(3), r"vectors have shape \(3,\), should be \[N, D\]"),
        (np.ones((0, 3)), r"vectors have shape \(0, 3\)"),
        (np.ones((3, 0)), r"vectors have shape \(3, 0\)"),
        ([np.ones((3, 2)), np.ones((0, 2))], r"vectors have shape \(0, 2\)"),
        (np.ones((3, 2), dtype=np.int16), "dtype int16, should be floating point"),
        ([np.ones((3, 2)), np.ones((3, 2), dtype=complex)], "dtype complex128"),
        ([np.ones((3, 2)), np.ones((3, 5))], r"shards of \[2, 5\] dimensions, all should have the same number"),
        ([], "shards of no dimensions"),
    ],
)
def test_samples_that_cannot_be_read_are_named(vectors, message):
    with pytest.raises(InputError, match=message):
        Samples(vectors)


def test_they_are_called_by_their_name():
    with pytest.raises(InputError, match="codewords have shape"):
        Samples(np.ones(3), name="codewords")


@pytest.mark.parametrize("row", [0, 3, 29, 30, 47, 99])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_the_row_that_is_not_finite_is_named_wherever_it_lies(row, value):
    vectors = np.ones((100, 6))
    vectors[row, 2] = value
    message = f"vectors are not finite in 1 of .* rows, first row {row}: drop those rows"
    for samples in (Samples(vectors), Samples([vectors[:30], vectors[30:]])):
        with pytest.raises(InputError, match=message):
            samples.whole()
        with pytest.raises(InputError, match=message):
            list(samples.blocks(entries=6 * 7))


def test_so_is_that_among_drawn_samples():
    vectors = np.ones((100, 6), dtype=np.float32)
    vectors[60:, 2] = np.nan
    with pytest.raises(InputError, match=r"first row (6\d|7\d|8\d|9\d): drop"):
        Samples([vectors[:50], vectors[50:]]).draw(50, np.random.default_rng(0))


def test_a_row_that_is_not_finite_does_not_hinder_those_before_it():
    vectors = np.ones((100, 6))
    vectors[50] = np.nan
    first = next(Samples(vectors).blocks(entries=6 * 7))
    assert first[0] == slice(0, 7)


@pytest.mark.parametrize("n_codewords", [0, 101])
def test_more_codewords_than_samples_are_an_error(vectors, n_codewords):
    Samples(vectors).require(100)
    with pytest.raises(InputError, match=f"n_codewords={n_codewords}, must be between 1 and N=100 samples: train on"):
        Samples([vectors[:50], vectors[50:]]).require(n_codewords)


def test_joined_samples_follow_each_other():
    first, second = np.arange(6.0).reshape(3, 2), np.arange(8.0).reshape(4, 2)
    joined = Samples(first).joined([second[:1], second[1:]])
    assert joined.shape == (7, 2) and np.array_equal(joined.whole(), np.concatenate([first, second]))
    with pytest.raises(InputError, match="shards of"):
        Samples(first).joined(np.zeros((2, 3)))


def test_a_row_whose_distances_overflow_is_named():
    vectors = np.ones((100, 6), dtype=np.float32)
    vectors[7, 2] = 3e18
    with pytest.raises(InputError, match=r"vectors are too large for .* in 1 of 100 rows, first row 7: divide all"):
        Samples(vectors).whole()
    vectors[7, 2] = 9e17
    assert Samples(vectors).whole() is vectors
