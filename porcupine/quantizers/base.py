"""What every quantiser shares: checks, the global scale, nearest codewords, and the loop of the paper's trainers.

check_vectors       shape, finiteness, enough of them
global_scale        one number that gives vectors unit variance
nearest_codewords   vectors, codebook -> codes
distortion          vectors, codebook, codes -> mean squared error
Training            epochs, batches and learning rate, for R repeats at once
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from porcupine.errors import InputError
from porcupine.randomness import generator

BLOCK = 2**24  # entries of a block of distances: 64 MiB in float32


def check_vectors(vectors: np.ndarray, *, n_codewords: int = 1, name: str = "vectors") -> np.ndarray:
    """Return ``vectors`` as float32 [N, D].

    Raises InputError unless they are [N, D] with N >= n_codewords, floating and finite; the first bad row is named.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise InputError(f"{name} have shape {vectors.shape}, should be [N, D], one row a sample")
    if not np.issubdtype(vectors.dtype, np.floating):
        raise InputError(f"{name} have dtype {vectors.dtype}, should be floating point")
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{name} are not finite in {np.sum(~finite)} of {len(finite)} rows, first row {np.argmin(finite)}: "
            "drop those rows"
        )
    if not 1 <= n_codewords <= len(vectors):
        raise InputError(
            f"n_codewords={n_codewords}, must be between 1 and N={len(vectors)} samples: "
            "train on more speakers or ask for fewer bits"
        )
    return vectors


def global_scale(vectors: np.ndarray) -> float:
    """Root mean square deviation from the mean, over all samples and dimensions, in embedding units.

    Vectors divided by it have unit variance, so that one learning rate suits every encoder: raw ECAPA embeddings have
    norms of about 230, at which the published rate collapses the curve.
    Raises InputError where all vectors are equal.
    """
    scale = float(np.sqrt(np.asarray(vectors, dtype=np.float64).var(axis=0).mean()))
    if not scale > 0:
        raise InputError(f"all {len(vectors)} vectors are equal: there is nothing to quantise")
    return scale


def nearest_codewords(vectors: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Index of the codeword nearest to each vector, of equal codewords the first.

    vectors : float [N, D], codebook : float [K, D]. Returns int32 [N].
    """
    vectors = check_vectors(vectors)
    codebook = check_vectors(codebook, name="codewords")
    if vectors.shape[1] != codebook.shape[1]:
        raise InputError(f"vectors have D={vectors.shape[1]} dimensions, the codebook has D={codebook.shape[1]}")
    center = codebook.mean(axis=0)  # keeps |c|^2 - 2 x·c small, hence exact, for data far from the origin
    codebook = codebook - center
    half_norm = 0.5 * np.einsum("kd,kd->k", codebook, codebook)
    codes = np.empty(len(vectors), dtype=np.int32)
    step = max(1, BLOCK // len(codebook))
    for start in range(0, len(vectors), step):
        block = vectors[start : start + step] - center
        codes[start : start + step] = np.argmin(half_norm - block @ codebook.T, axis=1)
    return codes


def distortion(vectors: np.ndarray, codebook: np.ndarray, codes: np.ndarray) -> float:
    """Mean squared error a dimension between vectors [N, D] and the codewords [K, D] of their codes [N]."""
    return float(np.mean((np.asarray(vectors, dtype=np.float64) - codebook[codes]) ** 2))


@dataclass(frozen=True)
class Training:
    """How the paper trains a codebook: Adam over shuffled batches, the learning rate halved at given points.

    epochs : passes over the data for each bitrate.
    batch_size : samples a step.
    learning_rate : Adam's, for data of unit variance.
    halve_at : fractions of the epochs at which the rate halves (paper: epochs 60 and 80 of 100).
    repeats : R, trained side by side in one computation; repeat r draws from its own generator, so that the first
        results do not change when more are asked for.
    """

    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 1e-2
    halve_at: Sequence[float] = (0.6, 0.8)
    repeats: int = 1

    def generators(self, seed: int, *names: str | int) -> list[np.random.Generator]:
        """One generator for each repeat."""
        return [generator(seed, *names, repeat) for repeat in range(self.repeats)]

    def run(
        self,
        vectors: torch.Tensor,
        codebooks: torch.Tensor,
        gradient: Callable[[torch.Tensor, int], torch.Tensor],
        *,
        rngs: Sequence[np.random.Generator],
        bar: tqdm,
        start_epoch: Callable[[int], None] | None = None,
        end_batch: Callable[[int, int], None] | None = None,
    ) -> None:
        """Train ``codebooks`` in place.

        vectors : float32 [N, D]; codebooks : float32 [R, K, D].
        gradient : (batch [R, B, D], index of the batch in its epoch) -> gradient [R, K, D] of the loss.
        start_epoch : called with the number of batches in an epoch; end_batch : with steps done and steps in all.
        """
        n_samples = len(vectors)
        n_batches = -(-n_samples // self.batch_size)
        optimizer = torch.optim.Adam([codebooks], lr=self.learning_rate, fused=True)
        milestones = [round(fraction * self.epochs) for fraction in self.halve_at]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.5)
        for epoch in range(self.epochs):
            order = torch.from_numpy(np.stack([rng.permutation(n_samples) for rng in rngs])).to(vectors.device)
            if start_epoch:
                start_epoch(n_batches)
            for batch in range(n_batches):
                index = order[:, batch * self.batch_size : (batch + 1) * self.batch_size]
                codebooks.grad = gradient(vectors[index], batch)
                optimizer.step()
                if end_batch:
                    end_batch(epoch * n_batches + batch + 1, self.epochs * n_batches)
            schedule.step()
            bar.update()


def nearest_in_batch(batch: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor:
    """Nearest codeword by matrix product, for each repeat. [R, B, D], [R, K, D] -> int64 [R, B]."""
    half_norm = 0.5 * codebooks.square().sum(dim=-1)
    return torch.baddbmm(half_norm[:, None], batch, codebooks.mT, alpha=-1).argmin(dim=-1)


def scatter_mean_gradient(batch: torch.Tensor, points: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Gradient of mean squared error (over batch and dimensions) by the points that the batch is assigned to.

    batch [R, B, D], points [R, K, D], index int [R, B] -> [R, K, D].
    """
    repeats, n_points, dimension = points.shape
    flat = (index + n_points * torch.arange(repeats, device=index.device)[:, None]).reshape(-1)
    residual = points.reshape(-1, dimension)[flat] - batch.reshape(-1, dimension)
    total = torch.zeros(repeats * n_points, dimension, device=points.device, dtype=points.dtype)
    total.index_add_(0, flat, residual, alpha=2 / (batch.shape[1] * dimension))
    return total.view_as(points)
