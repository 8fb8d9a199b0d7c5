"""Space-filling vector quantisation: the codewords are the corners of one curve, trained by dithering along it.

Vali & Bäckström, "Stochastic optimization of vector quantization methods", and "Interpretable latent space using
space-filling curves" (SFVQ), Interspeech 2023.

    train_sfvq       vectors -> curves at several bitrates, from one run
    initial_curve    the four corners it starts from
    grow             twice as many corners
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm

from porcupine.errors import InputError
from porcupine.quantizers.base import check_vectors
from porcupine.quantizers.training import Training, nearest_in_batch, scatter_mean_gradient

INITIAL_BITS = 2
TWIN_DISTANCE = 0.01  # of a new corner from its twin, in corners


def train_sfvq(
    vectors: np.ndarray,
    *,
    bits: Sequence[int],
    training: Training,
    seed: int,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> dict[int, np.ndarray]:
    """Train R curves, doubling their corners from 4 up to 2^max(bits); each doubling trains for all the epochs.

    The state after the b-bit stage is the b-bit result, so that one run serves all bitrates.

    vectors : float [N, D], of unit variance (`base.global_scale`).
    bits : each >= 2.
    Returns the curve of each of ``bits``: float32 [R, 2^b, D], corners in order along the curve.
    Raises InputError where 2^max(bits) > N or vectors are not finite.
    """
    if not bits or min(bits) < INITIAL_BITS:
        raise InputError(f"bits={list(bits)}: a curve needs at least {2**INITIAL_BITS} corners, {INITIAL_BITS} bits")
    vectors = check_vectors(vectors, n_codewords=2 ** max(bits))
    data = torch.from_numpy(vectors).to(device)
    curves = torch.from_numpy(initial_curve(vectors)).to(device).repeat(training.repeats, 1, 1)
    results = {}
    for stage in range(INITIAL_BITS, max(bits) + 1):
        if stage > INITIAL_BITS:
            curves = grow(curves)
        _train_stage(data, curves, stage, training, seed=seed, progress=progress)
        if stage in bits:
            results[stage] = curves.cpu().numpy()
    return results


def _train_stage(
    data: torch.Tensor, curves: torch.Tensor, stage: int, training: Training, *, seed: int, progress: bool
) -> None:
    rngs = training.generators(seed, "sfvq", stage)
    n_segments = curves.shape[1] - 1
    dither: torch.Tensor

    def draw_dither(n_batches: int) -> None:
        nonlocal dither
        draws = np.stack([rng.random((n_batches, n_segments, 1), dtype=np.float32) for rng in rngs], axis=1)
        dither = torch.from_numpy(draws).to(curves.device)

    def gradient(batch: torch.Tensor, index: int) -> torch.Tensor:
        return dithered_gradient(batch, curves, dither[index])

    with tqdm(total=training.epochs, desc=f"sfvq {stage} bits", unit="epoch", disable=not progress) as bar:
        training.run(data, curves, gradient, rngs=rngs, bar=bar, start_epoch=draw_dither)


def dithered_gradient(batch: torch.Tensor, curves: torch.Tensor, dither: torch.Tensor) -> torch.Tensor:
    """Gradient of the MSE between a batch and the nearest of one random point on each segment.

    batch [R, B, D], curves [R, K, D], dither λ [R, K-1, 1] -> [R, K, D]. It reaches both ends of each segment.
    """
    points = torch.lerp(curves[:, :-1], curves[:, 1:], dither)
    by_point = scatter_mean_gradient(batch, points, nearest_in_batch(batch, points))
    ahead = dither * by_point
    gradient = torch.zeros_like(curves)
    gradient[:, :-1] = by_point - ahead
    gradient[:, 1:] += ahead
    return gradient


def initial_curve(vectors: np.ndarray) -> np.ndarray:
    """Four corners: means of the quarters of the data sorted by norm. [N, D] -> float32 [4, D]."""
    order = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")
    quarters = np.array_split(vectors[order].astype(np.float64), 2**INITIAL_BITS)
    return np.stack([quarter.mean(axis=0) for quarter in quarters]).astype(np.float32)


def grow(curves: torch.Tensor) -> torch.Tensor:
    """Give each corner a twin a little further along the curve: after it in the first half, before it in the second.

    [R, K, D] -> [R, 2K, D].
    """
    half = curves.shape[1] // 2
    step = TWIN_DISTANCE * curves.diff(dim=1)
    twins = torch.cat([curves[:, :half] + step[:, :half], curves[:, half:] - step[:, half - 1 :]], dim=1)
    first = torch.stack([curves[:, :half], twins[:, :half]], dim=2)
    second = torch.stack([twins[:, half:], curves[:, half:]], dim=2)
    return torch.cat([first, second], dim=1).flatten(1, 2)
