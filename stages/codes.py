"""Encode the test embeddings with every variant of every codebook."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from porcupine import storage
from porcupine.params import Params
from porcupine.quantizers import variants
from stages.common import run
from stages.grid import variant_names


def main(params: Params, embeddings: Path, codebooks: Path, resampled: Path, codes: Path) -> None:
    """Write `VARIANT.npz`: `test_b4` int32 [R, N], `utterances_b4` [R, U] if there are any, `codebook_b4` [R, K, D]."""
    samples = {"test": storage.load_array(embeddings / "test.npy")}
    if (embeddings / "utterances.npy").exists():
        samples["utterances"] = storage.load_array(embeddings / "utterances.npy")
    with storage.replacing(codes) as folder:
        folder.mkdir()
        for variant in tqdm(variant_names(params), desc="encode", unit="variant"):
            arrays = {}
            for bits in params.codebooks.bits:
                books, intervals = _books(variant, bits, codebooks, resampled)
                arrays[f"codebook_b{bits}"] = books
                for name, vectors in samples.items():
                    arrays[f"{name}_b{bits}"] = np.stack(
                        [
                            variants.encode(vectors, book, intervals=cuts)
                            for book, cuts in zip(books, intervals, strict=True)
                        ]
                    )
            storage.save_arrays(folder / f"{variant}.npz", arrays)


def _books(variant: str, bits: int, codebooks: Path, resampled: Path) -> tuple[np.ndarray, list]:
    method, *how = variant.split("-")
    trained = storage.load_arrays(codebooks / f"{method}.npz")[f"b{bits}"]
    if not how:
        return trained, [None] * len(trained)
    mode, encoding = how
    normalised = storage.load_arrays(resampled / f"{method}-{mode}.npz")
    books = normalised[f"codebook_b{bits}"]
    if encoding == "nearest":
        return books, [None] * len(books)
    return books, list(zip(trained, normalised[f"thresholds_b{bits}"], strict=True))


if __name__ == "__main__":
    run(main)
