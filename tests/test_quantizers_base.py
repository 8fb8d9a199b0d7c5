import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.quantizers import base
from porcupine.quantizers.balanced import PowerCells
from porcupine.quantizers.base import (
    Nearest,
    check_vectors,
    distortion,
    global_scale,
    nearest_codewords,
)


def broadcast_nearest(vectors, codebook, weights=0.0):
    """Plain float64 distances, all pairs at once."""
    difference = vectors.astype(np.float64)[:, None] - codebook.astype(np.float64)[None]
    return ((difference**2).sum(axis=-1) - weights).argmin(axis=1)


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


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("spread", [0.0, 0.5, 100.0])
def test_weighted_codewords_agree_with_broadcast_costs(offset, spread):
    rng = np.random.default_rng(1)
    vectors = (rng.standard_normal((3000, 12)) + offset).astype(np.float32)
    codebook = (rng.standard_normal((50, 12)) + offset).astype(np.float32)
    weights = spread * rng.standard_normal(50)
    codes = nearest_codewords(vectors, codebook, weights)
    assert codes.dtype == np.int32
    assert np.array_equal(codes, broadcast_nearest(vectors, codebook, weights))


def test_a_constant_added_to_the_weights_changes_nothing():
    rng = np.random.default_rng(2)
    vectors, codebook, weights = rng.standard_normal((500, 4)), rng.standard_normal((9, 4)), rng.random(9)
    assert np.array_equal(
        nearest_codewords(vectors, codebook, weights), nearest_codewords(vectors, codebook, weights + 64)
    )


def test_a_border_can_be_weighed_beyond_a_codeword():
    # By hand: |x|² - 0 = |x - 4|² - 10 where x = .75, so that the codeword at 0 still has its own vector, but not with
    # 18, where the border is at -.25.
    vectors, codebook = np.array([[0.0], [0.7], [0.8]]), np.array([[0.0], [4.0]])
    assert nearest_codewords(vectors, codebook, np.array([0.0, 10.0])).tolist() == [0, 0, 1]
    assert nearest_codewords(vectors, codebook, np.array([0.0, 18.0])).tolist() == [1, 1, 1]


def near_ties(n_vectors=400, n_dimensions=24, n_pairs=20):
    """Vectors in the middle between two codewords, up to the rounding of float32."""
    rng = np.random.default_rng(3)
    codebook = (50 + rng.standard_normal((2 * n_pairs, n_dimensions))).astype(np.float32)
    pair = rng.integers(n_pairs, size=n_vectors)
    return ((codebook[2 * pair] + codebook[2 * pair + 1]) / 2).astype(np.float32), codebook


def test_near_ties_are_decided_as_in_float64():
    vectors, codebook = near_ties()
    difference = vectors.astype(np.float64)[:, None] - codebook.astype(np.float64)
    first, second = np.partition((difference**2).sum(axis=-1), 1, axis=1)[:, :2].T
    assert ((second - first) / second < 1e-5).mean() > 0.3  # they are near
    assert np.array_equal(nearest_codewords(vectors, codebook), broadcast_nearest(vectors, codebook))


def test_a_vector_has_one_code_whatever_it_is_encoded_with(monkeypatch):
    vectors, codebook = near_ties()
    weights = np.random.default_rng(4).random(len(codebook)) * 1e-5
    codes = nearest_codewords(vectors, codebook, weights)
    one_by_one = [int(nearest_codewords(vector[None], codebook, weights)[0]) for vector in vectors]
    assert one_by_one == codes.tolist()
    assert np.array_equal(nearest_codewords(vectors[::-1], codebook, weights)[::-1], codes)
    assert np.array_equal(nearest_codewords([vectors[:7], vectors[7:]], codebook, weights), codes)
    monkeypatch.setattr(base, "BLOCK", 13 * len(codebook))
    assert np.array_equal(nearest_codewords(vectors, codebook, weights), codes)


@pytest.mark.parametrize(("n_pairs", "n_dimensions"), [(2, 1), (9, 38), (29, 32), (49, 37), (67, 38)])
def test_of_equal_codewords_the_first_is_nearest_wherever_they_lie(n_pairs, n_dimensions):
    rng = np.random.default_rng(6)
    half, vectors = rng.standard_normal((n_pairs, n_dimensions)), rng.standard_normal((500, n_dimensions))
    codebook = np.concatenate([half, half[::-1]])
    codes = nearest_codewords(vectors, codebook)
    assert np.array_equal(codes, broadcast_nearest(vectors.astype(np.float32), half.astype(np.float32)))
    assert [int(nearest_codewords(vector[None], codebook)[0]) for vector in vectors] == codes.tolist()


def test_codes_are_decoded_in_any_shape():
    fitted = Nearest(np.arange(8.0, dtype=np.float32).reshape(4, 2))
    assert fitted.size == 4
    assert fitted.decode([[3, 0], [1, 1]]).tolist() == [[[6, 7], [0, 1]], [[2, 3], [2, 3]]]
    assert fitted.decode(np.uint8(2)).tolist() == [4, 5]
    assert fitted.decode(np.empty(0, dtype=int)).shape == (0, 2)


@pytest.mark.parametrize(
    ("codes", "dtype"), [([0, 4], "int64"), ([-1], "int64"), ([0.0], "float64"), ([True], "bool"), (["1"], "<U1")]
)
def test_what_is_no_code_cannot_be_decoded(codes, dtype):
    with pytest.raises(InputError, match=f"codes of dtype {dtype} should be integers in 0 … K-1=3"):
        Nearest(np.ones((4, 2), dtype=np.float32)).decode(codes)


def test_a_quantiser_is_its_arrays():
    rng = np.random.default_rng(5)
    fitted = PowerCells(rng.random((4, 3), dtype=np.float32), rng.random((4, 3), dtype=np.float32), rng.random(4))
    arrays = fitted.to_arrays()
    assert list(arrays) == ["codebook", "sites", "weights"]
    restored = PowerCells.from_arrays(arrays | {"of no use": np.ones(1)})
    vectors = rng.random((50, 3))
    assert np.array_equal(restored.encode(vectors), fitted.encode(vectors))
    assert np.array_equal(restored.decode([3, 1]), fitted.decode([3, 1]))


def test_an_array_that_is_missing_is_named():
    with pytest.raises(InputError, match="no array sites, weights for a PowerCells, only codebook: fit it again"):
        PowerCells.from_arrays({"codebook": np.ones((4, 2))})
