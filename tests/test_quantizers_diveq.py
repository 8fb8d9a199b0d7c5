import sys

import numpy as np
import pytest
import torch

from porcupine.errors import InputError
from porcupine.quantizers.base import distortion, nearest_codewords
from porcupine.quantizers.diveq import train_diveq, train_sf_diveq
from porcupine.quantizers.training import Training


def speakers(n_samples, dimension=3):
    return np.random.default_rng(0).standard_normal((n_samples, dimension)).astype(np.float32)


def books(vectors, bits, training, seed=0):
    """Codebooks of both quantisers."""
    return (
        train_diveq(vectors, bits=bits, training=training, seed=seed),
        train_sf_diveq(vectors, bits=[bits], training=training, seed=seed)[bits],
    )


@pytest.fixture(autouse=True)
def _package(request):
    if "missing" not in request.node.name:
        pytest.importorskip("diveq", reason="the optional package diveq is not installed")


def test_training_beats_codewords_drawn_from_the_data():
    vectors = speakers(1500)
    drawn = distortion(vectors, vectors[:16], nearest_codewords(vectors, vectors[:16]))
    for trained in books(vectors, 4, Training(epochs=15)):
        assert trained.shape == (1, 16, 3) and trained.dtype == np.float32
        assert distortion(vectors, trained[0], nearest_codewords(vectors, trained[0])) < 0.85 * drawn


def test_the_same_seed_gives_the_same_codebooks_whatever_torch_drew_before():
    vectors, training = speakers(300), Training(epochs=3, repeats=2)
    first = books(vectors, 3, training)
    torch.rand(7)
    for one, other in zip(first, books(vectors, 3, training), strict=True):
        assert np.array_equal(one, other)
    for one, other in zip(first, books(vectors, 3, training, seed=1), strict=True):
        assert not np.allclose(one, other)


def test_training_leaves_the_random_state_of_torch_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    books(speakers(100), 2, Training(epochs=1))
    assert torch.equal(torch.rand(4), expected)


def test_more_repeats_do_not_change_the_first_ones():
    vectors = speakers(300)
    one, three = (books(vectors, 3, Training(epochs=3, repeats=repeats)) for repeats in (1, 3))
    for few, many in zip(one, three, strict=True):
        assert np.array_equal(few[0], many[0])
        assert not np.allclose(many[0], many[1])


def test_more_bitrates_do_not_change_the_others():
    vectors, training = speakers(300), Training(epochs=2)
    both = train_sf_diveq(vectors, bits=[4, 3], training=training, seed=0)
    assert {bits: curves.shape for bits, curves in both.items()} == {3: (1, 8, 3), 4: (1, 16, 3)}
    assert np.array_equal(both[3], train_sf_diveq(vectors, bits=[3], training=training, seed=0)[3])


def test_replacement_spreads_the_codewords_that_start_in_one_place():
    rng = np.random.default_rng(3)
    vectors = np.concatenate([rng.normal(-1, 0.1, (500, 2)), rng.normal(1, 0.1, (500, 2))]).astype(np.float32)
    training = Training(epochs=40)
    with_it, without = (
        train_diveq(vectors, bits=3, training=training, seed=1, replace_until=until)[0] for until in (0.8, 0.0)
    )
    assert np.bincount(nearest_codewords(vectors, with_it), minlength=8).min() > 0
    assert np.bincount(nearest_codewords(vectors, without), minlength=8).min() == 0


def test_vectors_far_from_the_origin_train_as_well_as_centred_ones():
    vectors, training = speakers(500), Training(epochs=5)
    near, far = (train_diveq(vectors + shift, bits=3, training=training, seed=0)[0] for shift in (0, 1000))
    np.testing.assert_allclose(near + 1000, far, atol=0.02)


def test_as_many_codewords_as_samples_in_batches_too_small_to_start_from():
    vectors = speakers(256)
    curves = train_sf_diveq(vectors, bits=[8], training=Training(epochs=1, batch_size=2), seed=0)
    assert np.isfinite(curves[8]).all()


def test_neighbours_along_the_curve_are_neighbours_in_space():
    curve = train_sf_diveq(speakers(1500, 2), bits=[5], training=Training(epochs=15), seed=0)[5][0]
    along = np.linalg.norm(np.diff(curve, axis=0), axis=1).mean()
    shuffled = np.random.default_rng(0).permutation(curve)
    assert along < 0.6 * np.linalg.norm(np.diff(shuffled, axis=0), axis=1).mean()


def test_too_few_bits_or_samples_and_broken_vectors_are_errors():
    training = Training(epochs=1)
    with pytest.raises(InputError, match=r"bits=\[0\]: a curve needs at least 2 corners"):
        train_sf_diveq(speakers(10), bits=[0], training=training, seed=0)
    with pytest.raises(InputError, match="n_codewords=16, must be between 1 and N=10"):
        train_sf_diveq(speakers(10), bits=[2, 4], training=training, seed=0)
    with pytest.raises(InputError, match="n_codewords=16, must be between 1 and N=10"):
        train_diveq(speakers(10), bits=4, training=training, seed=0)
    with pytest.raises(InputError, match="not finite"):
        train_diveq(np.full((10, 2), np.nan), bits=1, training=training, seed=0)


def test_the_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "diveq", None)
    with pytest.raises(InputError, match=r"diveq is not installed: pip install 'porcupine\[diveq\]'"):
        train_diveq(speakers(10), bits=1, training=Training(epochs=1), seed=0)
