"""Encode the test embeddings with every variant of every codebook."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from porcupine import storage
from porcupine.params import Params
from porcupine.quantizers import fitted
from stages.common import run
from stages.grid import variant_names


def main(params: Params, embeddings: Path, codebooks: Path, resampled: Path, codes: Path) -> None:
    """Write `VARIANT.npz`: `codebook_b4` [R, K, D], codes `test_b4` int32 [R, N], and those of the utterances."""
    names = ("test", "train_utterances", "test_utterances")
    samples = {name: storage.load_array(embeddings / f"{name}.npy") for name in names}
    with storage.replacing(codes) as folder:
        folder.mkdir()
        for variant in tqdm(variant_names(params), desc="encode", unit="variant"):
            source = codebooks if variant in params.codebooks.methods else resampled
            quantizers = fitted.load(source / f"{variant}.npz")
            arrays = {}
            for bits in params.codebooks.bits:
                arrays[f"codebook_b{bits}"] = np.stack([one.codebook for one in quantizers[bits]])
                for name, vectors in samples.items():
                    arrays[f"{name}_b{bits}"] = np.stack([one.encode(vectors) for one in quantizers[bits]])
            storage.save_arrays(folder / f"{variant}.npz", arrays)


if __name__ == "__main__":
    run(main)
