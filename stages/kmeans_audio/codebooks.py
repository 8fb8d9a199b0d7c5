"""Fit a codebook of K frames for each fold, to the speakers of the others."""

from functools import partial
from pathlib import Path

import numpy as np

from porcupine import ragged, storage
from porcupine.frames.codebook import fit_codebook
from porcupine.frames.folds import require_disjoint
from porcupine.parallel import ordered_map
from porcupine.params import FrameParams
from porcupine.quantizers import fitted
from porcupine.quantizers.base import Nearest
from stages.common import run


def main(params: FrameParams, size: int, frames: Path, noisy: Path, codebooks: Path) -> None:
    """Write one file of quantisers, one a fold."""
    rows = storage.load_table(frames / "utterances.parquet")
    speakers, folds = rows["speaker"].to_numpy(), rows["fold"].to_numpy()
    trained_on = [np.flatnonzero(folds != fold) for fold in range(params.folds.number)]
    for fold, train in enumerate(trained_on):
        require_disjoint(speakers[train], speakers[folds == fold])
    fit = partial(_fit, size=size, rounds=params.frame_codebooks.rounds, seed=params.frame_codebooks.seed)
    sequences = [ragged.Ragged(noisy).select(train) for train in trained_on]
    books = ordered_map(fit, sequences, workers=params.compute.workers, description=f"K={size}", unit="fold")
    fitted.save(codebooks, {size.bit_length() - 1: list(books)})


def _fit(sequence: ragged.Ragged, size: int, rounds: int, seed: int) -> Nearest:
    return fit_codebook(sequence, n_codewords=size, rounds=rounds, seed=seed)


if __name__ == "__main__":
    run(main)
