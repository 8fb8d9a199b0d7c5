"""The loop of the paper's trainers: Adam over shuffled batches, R codebooks side by side.

Training                epochs, batches and learning rate, for R repeats at once
nearest_in_batch        batch, codebooks -> nearest codewords
scatter_mean_gradient   gradient of the mean squared error by the codewords
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from porcupine.randomness import generator


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
