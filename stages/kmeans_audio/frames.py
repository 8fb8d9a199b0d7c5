"""Mel-frequency cepstra of every clip, and the fold in which its speaker is tested."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from porcupine import audio, ragged, storage
from porcupine.frames.folds import speaker_folds
from porcupine.frames.mfcc import mfcc
from porcupine.parallel import ordered_map
from porcupine.params import FrameParams
from porcupine.randomness import generator
from stages.common import audio_root, run


def main(params: FrameParams, corpus: Path, manifest: Path, frames: Path) -> None:
    """Write `utterances.parquet`, the manifest with a column `fold`, and `mfcc`, one array a row."""
    rows = storage.load_table(manifest).drop(columns="role")
    section = params.folds
    rows["fold"] = speaker_folds(
        rows["speaker"].to_numpy(),
        section.number,
        generator(section.seed, "folds"),
        gender=rows["gender"].to_numpy() if "gender" in rows else None,
    )
    clips = list(zip(rows["path"], rows["start"], rows["stop"], strict=True))
    extract = partial(_extract, root=audio_root(corpus, params), settings=params.frames.model_dump())
    with storage.replacing(frames) as folder:
        folder.mkdir()
        arrays = ordered_map(extract, clips, workers=params.compute.workers, description="mfcc")
        ragged.write(folder / "mfcc", arrays, dtype="float32")
        storage.save_table(folder / "utterances.parquet", rows)
    print(f"{len(rows)} clips of {rows['speaker'].nunique()} speakers in {section.number} folds")


def _extract(clip: tuple[str, int, int], root: Path, settings: dict[str, Any]) -> np.ndarray:
    path, start, stop = clip
    return mfcc(audio.read(root / path, start=start, stop=stop), **settings)


if __name__ == "__main__":
    run(main)
