"""Fit the codebooks of one method: every bitrate, all repeats."""

from pathlib import Path

from porcupine import device, storage
from porcupine.params import Params
from porcupine.quantizers import fitted, registry
from porcupine.quantizers.training import Training
from stages.common import run


def main(params: Params, method: str, embeddings: Path, codebooks: Path) -> None:
    """Write the fitted quantisers: `codebook_b4` [R, K, D], in embedding units, …, see `quantizers.fitted`."""
    section = params.codebooks
    quantizers = registry.fit(
        method,
        storage.load_array(embeddings / "train.npy", mmap=True),
        bits=section.bits,
        repeats=section.repeats,
        seed=section.seed,
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
    fitted.save(codebooks, quantizers)


if __name__ == "__main__":
    run(main)
