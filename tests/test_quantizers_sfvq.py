import numpy as np
import pytest
import torch

from porcupine.errors import InputError
from porcupine.quantizers.base import distortion, nearest_codewords
from porcupine.quantizers.sfvq import dithered_gradient, grow, initial_curve, train_sfvq
from porcupine.quantizers.training import Training


def test_the_curve_starts_at_the_means_of_quarters_by_norm():
    # By hand: norms 1 … 8, two in each quarter.
    vectors = np.array([[8.0], [-1.0], [2.0], [-3.0], [4.0], [-5.0], [6.0], [7.0]])
    assert initial_curve(vectors).ravel().tolist() == [0.5, 0.5, 0.5, 7.5]


def test_growing_adds_a_twin_after_the_first_half_and_before_the_second():
    # By hand: corners 0, 100, 200, 300; fractional indices 0.01, 1.01 and 1.99, 2.99.
    grown = grow(torch.tensor([[[0.0], [100.0], [200.0], [300.0]]]))
    np.testing.assert_allclose(grown.ravel(), [0, 1, 100, 101, 199, 200, 299, 300], rtol=1e-5)


def test_the_gradient_agrees_with_autograd_on_broadcast_distances():
    rng = np.random.default_rng(0)
    batch = torch.from_numpy(rng.standard_normal((2, 30, 4)))
    curves = torch.from_numpy(rng.standard_normal((2, 8, 4)))
    dither = torch.from_numpy(rng.random((2, 7, 1)))
    gradient = dithered_gradient(batch.float(), curves.float(), dither.float())
    for repeat in range(2):
        corners = curves[repeat].clone().requires_grad_()
        points = (1 - dither[repeat]) * corners[:-1] + dither[repeat] * corners[1:]
        squared = ((batch[repeat][:, None] - points[None]) ** 2).sum(-1)
        loss = squared.min(dim=1).values.sum() / batch[repeat].numel()
        loss.backward()
        torch.testing.assert_close(gradient[repeat].double(), corners.grad, rtol=1e-4, atol=1e-6)


def test_the_gradient_agrees_with_finite_differences():
    batch = torch.tensor([[[0.2, 1.0], [2.5, -1.0]]], dtype=torch.float64)
    curves = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]]], dtype=torch.float64)
    dither = torch.tensor([[[0.3], [0.8]]], dtype=torch.float64)

    def loss(corners):
        points = (1 - dither) * corners[:, :-1] + dither * corners[:, 1:]
        return ((batch[:, :, None] - points[:, None]) ** 2).sum(-1).min(dim=2).values.sum() / batch.numel()

    gradient = dithered_gradient(batch, curves, dither)
    for k in range(3):
        for d in range(2):
            nudge = torch.zeros_like(curves)
            nudge[0, k, d] = 1e-6
            difference = (loss(curves + nudge) - loss(curves - nudge)) / 2e-6
            assert gradient[0, k, d].item() == pytest.approx(difference.item(), abs=1e-8)


def test_asking_for_more_bits_does_not_change_the_lower_bitrates():
    vectors = np.random.default_rng(1).standard_normal((300, 3)).astype(np.float32)
    training = Training(epochs=3, repeats=2)
    low = train_sfvq(vectors, bits=[3], training=training, seed=4)
    both = train_sfvq(vectors, bits=[3, 4], training=training, seed=4)
    assert list(both) == [3, 4] and both[4].shape == (2, 16, 3)
    assert np.array_equal(low[3], both[3])
    assert not np.allclose(both[4][0], both[4][1])


def test_the_curve_fits_better_with_every_bit():
    vectors = np.random.default_rng(2).standard_normal((1500, 3)).astype(np.float32)
    curves = train_sfvq(vectors, bits=[2, 4, 6], training=Training(epochs=15), seed=0)
    errors = [distortion(vectors, c[0], nearest_codewords(vectors, c[0])) for c in curves.values()]
    assert errors[0] > 1.3 * errors[1] > 1.3**2 * errors[2]


def test_neighbours_along_the_curve_are_neighbours_in_space():
    vectors = np.random.default_rng(3).standard_normal((1500, 2)).astype(np.float32)
    curve = train_sfvq(vectors, bits=[5], training=Training(epochs=15), seed=0)[5][0]
    along = np.linalg.norm(np.diff(curve, axis=0), axis=1).mean()
    shuffled = np.random.default_rng(0).permutation(curve)
    assert along < 0.5 * np.linalg.norm(np.diff(shuffled, axis=0), axis=1).mean()


def test_too_few_bits_or_samples_are_errors():
    with pytest.raises(InputError, match=r"bits=\[1\]: a curve needs at least 4 corners"):
        train_sfvq(np.ones((10, 2)), bits=[1], training=Training(epochs=1), seed=0)
    with pytest.raises(InputError, match="n_codewords=16, must be between 1 and N=10"):
        train_sfvq(np.ones((10, 2)), bits=[4], training=Training(epochs=1), seed=0)
