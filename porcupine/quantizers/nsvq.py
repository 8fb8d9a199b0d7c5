"""Noise substitution in vector quantisation: let gradients pass a quantiser.

Vali & Bäckström, "NSVQ: Noise substitution in vector quantization for machine learning", IEEE Access 2022.
"""

from __future__ import annotations

import torch


def noise_substitution(vectors: torch.Tensor, quantized: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Replace the quantisation error by noise of the same norm: x + ||x - x̂|| · n / ||n||.

    vectors, quantized, noise : [..., D]; draw noise from N(0, I). The gradient reaches vectors and quantized. Where
    they are equal it is the identity for vectors and 0 for quantized: the mean over all directions to come from.
    """
    error = torch.linalg.vector_norm(vectors - quantized, dim=-1, keepdim=True)
    return vectors + error * torch.nn.functional.normalize(noise, dim=-1)
