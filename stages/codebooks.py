"""Train the codebooks of one method: every bitrate, all repeats side by side."""

from pathlib import Path

from porcupine import device, storage
from porcupine.params import Params
from porcupine.quantizers.base import check_vectors, global_scale
from porcupine.quantizers.sfvq import train_sfvq
from porcupine.quantizers.training import Training
from porcupine.quantizers.vq import train_vq
from stages.common import run


def main(params: Params, method: str, embeddings: Path, codebooks: Path) -> None:
    """Write the codebooks `b4`, `b5`, … [R, K, D], in embedding units."""
    section = params.codebooks
    vectors = check_vectors(storage.load_array(embeddings / "train.npy"), n_codewords=2 ** max(section.bits))
    scale = global_scale(vectors)
    vectors = vectors / vectors.dtype.type(scale)
    training = Training(
        epochs=section.epochs,
        batch_size=section.batch_size,
        learning_rate=section.learning_rate,
        halve_at=section.halve_at,
        repeats=section.repeats,
    )
    where = device.resolve(params.compute.device)
    if method == "sfvq":
        trained = train_sfvq(
            vectors, bits=section.bits, training=training, seed=section.seed, device=where, progress=True
        )
    else:
        trained = {
            bits: train_vq(
                vectors,
                bits=bits,
                training=training,
                seed=section.seed,
                **section.vq.model_dump(),
                device=where,
                progress=True,
            )
            for bits in section.bits
        }
    storage.save_arrays(codebooks, {f"b{bits}": (scale * books).astype("float32") for bits, books in trained.items()})


if __name__ == "__main__":
    run(main)
