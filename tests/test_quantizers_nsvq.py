import torch

from porcupine.quantizers.nsvq import noise_substitution


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_error_keeps_its_norm_and_takes_the_direction_of_the_noise():
    vectors, noise = draw(5, 3), draw(5, 3) + 1
    quantized = vectors + torch.tensor([3.0, 0.0, 4.0])
    error = noise_substitution(vectors, quantized, noise) - vectors
    torch.testing.assert_close(error, 5 * noise / noise.norm(dim=-1, keepdim=True))


def test_gradients_agree_with_finite_differences():
    vectors, quantized = draw(4, 3).requires_grad_(), (draw(4, 3) + 1).requires_grad_()
    noise = draw(4, 3)
    assert torch.autograd.gradcheck(lambda x, q: noise_substitution(x, q, noise), (vectors, quantized))


def test_gradients_are_finite_where_nothing_is_lost():
    vectors = draw(4, 3).requires_grad_()
    quantized = vectors.detach().clone().requires_grad_()
    output = noise_substitution(vectors, quantized, draw(4, 3))
    assert torch.equal(output, vectors)
    output.sum().backward()
    assert torch.equal(vectors.grad, torch.ones_like(vectors))
    assert torch.equal(quantized.grad, torch.zeros_like(quantized))
    # Central differences, the mean of both sides, agree.
    assert torch.autograd.gradcheck(lambda x, q: noise_substitution(x, q, draw(4, 3)), (vectors, quantized))
