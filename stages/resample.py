"""Normalise the occurrence of the codewords along each curve."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from porcupine import storage
from porcupine.params import Params
from porcupine.quantizers import variants
from porcupine.randomness import generator
from stages.common import run


def main(params: Params, embeddings: Path, codebooks: Path, resampled: Path) -> None:
    """Write `METHOD-MODE.npz`: `codebook_b4` [R, K, D], …, and, after exact resampling, `thresholds_b4` [R, K-1]."""
    vectors = storage.load_array(embeddings / "train.npy")
    grid = [
        (method, mode, bits)
        for method in params.codebooks.methods
        if method in variants.CURVES
        for mode in params.resample.modes
        for bits in params.codebooks.bits
    ]
    results: dict[str, dict[str, np.ndarray]] = {}
    for method, mode, bits in tqdm(grid, desc="resample", unit="cell"):
        curves = storage.load_arrays(codebooks / f"{method}.npz")[f"b{bits}"]
        normalised = [
            variants.resample(vectors, curve, mode, generator(params.resample.seed, method, mode, bits, repeat))
            for repeat, curve in enumerate(curves)
        ]
        cell = results.setdefault(f"{method}-{mode}", {})
        cell[f"codebook_b{bits}"] = np.stack([one.codebook for one in normalised])
        thresholds = [one.thresholds for one in normalised if one.thresholds is not None]
        if thresholds:
            cell[f"thresholds_b{bits}"] = np.stack(thresholds)
    with storage.replacing(resampled) as folder:
        folder.mkdir()
        for name, arrays in results.items():
            storage.save_arrays(folder / f"{name}.npz", arrays)


if __name__ == "__main__":
    run(main)
