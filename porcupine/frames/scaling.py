"""Frames of unit variance, so that one bound fits all coefficients where frames are clipped.

fit_scaling    utterances of training speakers -> Scaling, which goes there and back
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from porcupine.errors import InputError
from porcupine.quantizers.samples import Samples


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each coefficient, float32 [C]; ``vars()`` of it can be saved as arrays."""

    mean: np.ndarray
    deviation: np.ndarray

    def apply(self, frames: np.ndarray) -> np.ndarray:
        """Frames float [T', C] at mean 0 and variance 1, float32."""
        return ((frames - self.mean) / self.deviation).astype(np.float32)

    def undo(self, scaled: np.ndarray) -> np.ndarray:
        """Frames in their own units, float32 [T', C]."""
        return (scaled * self.deviation + self.mean).astype(np.float32)


def fit_scaling(utterances: Sequence[np.ndarray]) -> Scaling:
    """Mean and deviation over all frames, float [T'_i, C] each, such as a `ragged.Ragged`; read once, one at a time.

    They count as public: fit them on speakers whom nobody has to protect.
    Raises InputError where there are none, an utterance is empty or not finite, or a coefficient is constant.
    """
    total, mean, squares = 0, np.float64(0), np.float64(0)
    for frames in utterances:
        # Chan, Golub & LeVeque's update, exact where the mean is far larger than the deviation.
        block = Samples(frames, name="frames").whole().astype(np.float64)
        offset = block.mean(axis=0) - mean
        total += len(block)
        mean = mean + offset * len(block) / total
        squares = squares + ((block - block.mean(axis=0)) ** 2).sum(axis=0)
        squares = squares + offset**2 * len(block) * (total - len(block)) / total
    deviation = np.sqrt(squares / max(total, 1))
    if not np.all(deviation > 0):
        raise InputError(f"{total} frames with constant coefficients {np.flatnonzero(deviation == 0)}: leave those out")
    return Scaling(np.asarray(mean, np.float32), np.asarray(deviation, np.float32))
