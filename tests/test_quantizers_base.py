import numpy as np
import pytest
import torch

from porcupine.errors import InputError
from porcupine.quantizers.base import (
    Training,
    check_vectors,
    distortion,
    global_scale,
    nearest_codewords,
    nearest_in_batch,
    scatter_mean_gradient,
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


def test_batched_steps_agree_with_plain_float64_ones():
    rng = np.random.default_rng(1)
    batch = torch.from_numpy(rng.standard_normal((3, 20, 5)).astype(np.float32))
    books = torch.from_numpy(rng.standard_normal((3, 7, 5)).astype(np.float32))
    index = nearest_in_batch(batch, books)
    gradient = scatter_mean_gradient(batch, books, index)
    for repeat in range(3):
        assert np.array_equal(index[repeat], broadcast_nearest(batch[repeat].numpy(), books[repeat].numpy()))
        exact = books[repeat].double().requires_grad_()
        torch.nn.functional.mse_loss(exact[index[repeat]], batch[repeat].double()).backward()
        torch.testing.assert_close(gradient[repeat].double(), exact.grad, rtol=1e-5, atol=1e-7)


def test_the_learning_rate_halves_at_its_fractions():
    rates = []
    books = torch.zeros(1, 2, 3)
    training = Training(epochs=10, batch_size=4, learning_rate=1.0, halve_at=(0.6, 0.8))

    def gradient(batch, _):
        # Adam's first steps have the length of the learning rate wherever the gradient keeps its sign.
        rates.append(books[0, 0, 0].item())
        return torch.ones_like(books)

    class Bar:
        def update(self):
            pass

    training.run(torch.zeros(4, 3), books, gradient, rngs=training.generators(0), bar=Bar())
    steps = -np.diff([*rates, books[0, 0, 0].item()])
    np.testing.assert_allclose(steps, [1] * 6 + [0.5] * 2 + [0.25] * 2, rtol=1e-4)
