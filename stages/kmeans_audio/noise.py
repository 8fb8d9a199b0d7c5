"""Add noise to the frames, and tell what it promises."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from porcupine import ragged, storage
from porcupine.frames import noise as library
from porcupine.params import FrameParams
from porcupine.randomness import generator
from stages.common import run


def main(params: FrameParams, frames: Path, noisy: Path, guarantee: Path) -> None:
    """Write the noisy frames, and a table of guarantees: as they are, and if they were clipped more or less tightly."""
    rows = storage.load_table(frames / "utterances.parquet")
    clean = ragged.Ragged(frames / "mfcc")
    section = params.noise
    noise = library.Noise(section.mechanism, section.sensitivity, section.epsilon, section.delta)

    def add(utterance: str, original: np.ndarray) -> np.ndarray:
        if section.bound is not None:
            original = library.clip(original, bound=section.bound, order=noise.order)
        return noise.add(original, generator(section.seed, "noise", utterance))

    arrays = zip(rows["utterance"], clean, strict=True)
    ragged.write(
        noisy, (add(*one) for one in tqdm(arrays, desc="noise", total=len(rows), unit="clip")), dtype="float32"
    )
    storage.save_table(guarantee, library.guarantees(noise, clean))


if __name__ == "__main__":
    run(main)
