"""Fit the codebooks of one method: every bitrate, all repeats."""

from pathlib import Path

from porcupine import storage
from porcupine.params import Params
from porcupine.quantizers import fitted
from stages import methods
from stages.common import run


def main(params: Params, method: str, embeddings: Path, codebooks: Path) -> None:
    """Write the fitted quantisers: `codebook_b4` [R, K, D], in embedding units, …, see `quantizers.fitted`."""
    vectors = storage.load_array(embeddings / "train.npy", mmap=True)
    section = params.codebooks
    options = {"bits": section.bits, "repeats": section.repeats, "seed": section.seed}
    fitted.save(codebooks, methods.fit(params, method, vectors, **options))


if __name__ == "__main__":
    run(main)
