import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.quantizers.base import (
    check_vectors,
    distortion,
    global_scale,
    nearest_codewords,
)


def broadcast_nearest(vectors, codebook):
    """Plain float64 distances, all pairs at once."""
    difference = vectors.astype(np.float64)[:, None] - codebook.astype(np.float64)[None]
    return (difference**2).sum(axis=-1).argmin(axis=1)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_nearest_codeword_agrees_with_broadcast_distances(offset):
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((3000, 12)) + offset).astype(np.float32)
    codebook = (rng.standard_normal((50, 12)) + offset).astype(np.float32)
    assert np.array_equal(nearest_codewords(vectors, codebook), broadcast_nearest(vectors, codebook))


def test_of_two_equal_codewords_the_first_is_nearest():
    assert nearest_codewords(np.array([[1.9, 0.0]]), np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 0.0]])).tolist() == [1]


def test_the_scale_is_the_root_mean_square_deviation():
    # By hand: columns deviate by 1 and by 3 from their means, (1 + 9) / 2 = 5.
    vectors = np.array([[10.0, 100.0], [12.0, 106.0]])
    assert global_scale(vectors) == pytest.approx(np.sqrt(5))
    assert global_scale(7 * vectors) == pytest.approx(7 * np.sqrt(5))


def test_distortion_by_hand():
    assert distortion(np.array([[1.0, 1.0], [3.0, 0.0]]), np.array([[0.0, 0.0], [3.0, 2.0]]), np.array([0, 1])) == 1.5


def test_float16_is_taken_and_overflow_is_not():
    assert check_vectors(np.ones((3, 2), dtype=np.float16)).dtype == np.float32
    with pytest.raises(InputError, match="first row 1"):
        check_vectors(np.array([[1.0], [1e300]]))


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones(3), r"vectors have shape \(3,\), should be \[N, D\]"),
        (np.ones((0, 3)), r"vectors have shape \(0, 3\)"),
        (np.ones((3, 2), dtype=int), "dtype int64"),
        (np.array([[1.0], [np.nan], [np.inf]]), "not finite in 2 of 3 rows, first row 1: drop those rows"),
    ],
)
def test_bad_vectors_are_named(vectors, message):
    with pytest.raises(InputError, match=message):
        check_vectors(vectors)


def test_more_codewords_than_samples_is_an_error_with_a_remedy():
    with pytest.raises(InputError, match="n_codewords=64, must be between 1 and N=40 samples: train on more speakers"):
        check_vectors(np.ones((40, 2)), n_codewords=64)


def test_equal_vectors_have_no_scale():
    with pytest.raises(InputError, match="all 5 vectors are equal"):
        global_scale(np.ones((5, 3)))


def test_vectors_and_codebook_must_share_their_dimension():
    with pytest.raises(InputError, match="vectors have D=3 dimensions, the codebook has D=2"):
        nearest_codewords(np.ones((5, 3)), np.ones((2, 2)))
