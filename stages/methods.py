"""Fit a method as the params ask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from porcupine import device
from porcupine.params import Params
from porcupine.quantizers import registry
from porcupine.quantizers.base import Quantizer
from porcupine.quantizers.training import Training


def fit(
    params: Params, method: str, vectors: np.ndarray, *, bits: Sequence[int], repeats: int, seed: int
) -> dict[int, list[Quantizer]]:
    """Quantisers of each bitrate: bits -> one a repeat."""
    section = params.codebooks
    return registry.fit(
        method,
        vectors,
        bits=bits,
        repeats=repeats,
        seed=seed,
        training=Training(
            epochs=section.epochs,
            batch_size=section.batch_size,
            learning_rate=section.learning_rate,
            halve_at=section.halve_at,
        ),
        **section.vq.model_dump(),
        device=device.resolve(params.compute.device),
        workers=params.compute.workers,
        progress=True,
    )
