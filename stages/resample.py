"""Normalise the occurrence of the codewords along each curve."""

from pathlib import Path

from porcupine import storage
from porcupine.params import Params
from porcupine.quantizers import fitted, variants
from stages.common import run


def main(params: Params, embeddings: Path, codebooks: Path, resampled: Path) -> None:
    """Write `VARIANT.npz`, in the format of the codebooks, for each variant that is not a method of its own name."""
    vectors = storage.load_array(embeddings / "train.npy")
    with storage.replacing(resampled) as folder:
        folder.mkdir()
        for method in params.codebooks.methods:
            normalised = variants.normalise(
                method,
                fitted.load(codebooks / f"{method}.npz"),
                vectors,
                modes=params.resample.modes,
                encodings=params.codes.encodings,
                seed=params.resample.seed,
                progress=True,
            )
            for variant, quantizers in normalised.items():
                fitted.save(folder / f"{variant}.npz", quantizers)


if __name__ == "__main__":
    run(main)
