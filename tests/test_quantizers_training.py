import numpy as np
import torch

from porcupine.quantizers.training import Training, nearest_in_batch, scatter_mean_gradient


def broadcast_nearest(vectors, codebook):
    """Plain float64 distances, all pairs at once."""
    difference = vectors.astype(np.float64)[:, None] - codebook.astype(np.float64)[None]
    return (difference**2).sum(axis=-1).argmin(axis=1)


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
