import numpy as np
import pytest
import torch

from porcupine.errors import InputError
from porcupine.quantizers.base import distortion, nearest_codewords
from porcupine.quantizers.training import Training
from porcupine.quantizers.vq import replace_unused, train_vq


def plain_vq(vectors, start, rng, *, epochs, batch_size, learning_rate):
    """The trainer written out in float64, one sample after another, with its own Adam."""
    book = start.astype(np.float64)
    first, second = np.zeros_like(book), np.zeros_like(book)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(vectors))
        for begin in range(0, len(vectors), batch_size):
            batch = vectors[order[begin : begin + batch_size]].astype(np.float64)
            gradient = np.zeros_like(book)
            for x in batch:
                k = ((x - book) ** 2).sum(axis=1).argmin()
                gradient[k] += 2 * (book[k] - x) / batch.size
            step += 1
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            hat = first / (1 - 0.9**step), second / (1 - 0.999**step)
            book -= learning_rate * hat[0] / (np.sqrt(hat[1]) + 1e-8)
    return book


def test_the_trainer_agrees_with_a_plain_float64_one():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((70, 3)).astype(np.float32)
    training = Training(epochs=4, batch_size=16, halve_at=(), repeats=2)
    books = train_vq(vectors, bits=2, training=training, seed=5, replace_every=10**6)
    for book, draws in zip(books, training.generators(5, "vq", 2), strict=True):
        start = vectors[draws.choice(70, 4, replace=False)]
        plain = plain_vq(vectors, start, draws, epochs=4, batch_size=16, learning_rate=1e-2)
        np.testing.assert_allclose(book, plain, atol=2e-5)


def test_training_lowers_the_distortion():
    vectors = np.random.default_rng(1).standard_normal((2000, 4)).astype(np.float32)

    def error(epochs):
        book = train_vq(vectors, bits=4, training=Training(epochs=epochs), seed=0)[0]
        return distortion(vectors, book, nearest_codewords(vectors, book))

    assert error(10) < 0.95 * error(1)


def test_more_repeats_do_not_change_the_first_ones():
    vectors = np.random.default_rng(2).standard_normal((300, 3)).astype(np.float32)
    one, three = (
        train_vq(vectors, bits=3, training=Training(epochs=3, repeats=r), seed=9, replace_every=4) for r in (1, 3)
    )
    np.testing.assert_allclose(one[0], three[0], atol=1e-5)
    assert not np.allclose(three[0], three[1])


def test_unused_codewords_become_copies_of_used_ones():
    book = torch.tensor([[0.0, 0.0], [5.0, 5.0], [9.0, 9.0], [-3.0, 0.0]])
    replace_unused(book, np.array([False, True, True, False]), np.random.default_rng(0))
    assert book[0].tolist() == [0, 0] and book[3].tolist() == [-3, 0]
    copies = sorted(book[1:3].tolist())
    np.testing.assert_allclose(copies, [[-3, 0], [0, 0]], atol=0.01)
    assert not np.array_equal(copies, [[-3, 0], [0, 0]])


def test_where_none_is_used_all_are_jittered():
    book = torch.arange(6.0).reshape(3, 2)
    before = book.clone()
    replace_unused(book, np.array([True] * 3), np.random.default_rng(0))
    np.testing.assert_allclose(sorted(book.tolist()), before.tolist(), atol=0.01)
    assert not torch.equal(book, before)


def test_replacement_keeps_far_codewords_alive():
    # Two far clusters, all first codewords in one: without replacement the other codewords would starve.
    rng = np.random.default_rng(3)
    vectors = np.concatenate([rng.normal(0, 0.1, (990, 2)), rng.normal(50, 0.1, (10, 2))]).astype(np.float32)
    book = train_vq(vectors, bits=3, training=Training(epochs=20), seed=1, replace_every=15)[0]
    assert np.bincount(nearest_codewords(vectors, book), minlength=8).min() > 0


def test_more_codewords_than_samples_is_an_error():
    with pytest.raises(InputError, match="n_codewords=16, must be between 1 and N=10"):
        train_vq(np.ones((10, 2)), bits=4, training=Training(epochs=1), seed=0)
