"""Embed the utterances of the train and test speakers, and average them by speaker."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from porcupine import audio, device, embedding, ragged, storage
from porcupine.encoders import registry
from porcupine.parallel import ordered_map
from porcupine.params import Params
from stages.common import audio_root, run


def main(params: Params, corpus: Path, manifest: Path, features: Path, encoder: Path, embeddings: Path) -> None:
    """Write samples `train` and `test`, and `train_utterances`, `test_utterances`, each a `.npy` and a `.parquet`."""
    if not params.corpus.has_audio:
        splits = {name: _given(corpus, name) for name in ("train", "test")}
        splits |= {f"{name}_utterances": samples for name, samples in splits.items()}
    else:
        rows = storage.load_table(manifest)
        splits = _embedded(params, rows, corpus, features, encoder)
    with storage.replacing(embeddings) as folder:
        folder.mkdir()
        for name, (vectors, table) in splits.items():
            storage.save_array(folder / f"{name}.npy", vectors)
            storage.save_table(folder / f"{name}.parquet", table)
            print(f"{name}: {vectors.shape[0]} x {vectors.shape[1]}")


def _given(corpus: Path, name: str) -> tuple[np.ndarray, pd.DataFrame]:
    return storage.load_array(corpus / f"{name}.npy"), storage.load_table(corpus / f"{name}.parquet")


def _embedded(
    params: Params, rows: pd.DataFrame, corpus: Path, features: Path, encoder: Path
) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
    section = params.embeddings
    used = rows[rows["role"] != "encoder"].reset_index(names="row")
    used = embedding.cap_clips(used, section.max_clips, seed=section.seed)
    model = registry.load(
        params.encoder, weights=encoder / "weights.safetensors", device=device.resolve(params.compute.device)
    )
    if model.takes == "features":
        arrays: Iterable[np.ndarray] = ragged.Ragged(features).select(used["row"].to_numpy())
    else:
        clips = list(zip(used["path"], used["start"], used["stop"], strict=True))
        arrays = ordered_map(partial(_read, root=audio_root(corpus, params)), clips, workers=params.compute.workers)
    vectors = registry.embed_all(
        model, arrays, total=len(used), threads=params.encoder.threads, description=f"embed with {model.name}"
    )
    used = used.drop(columns="row")
    splits = {}
    for role in ("train", "test"):
        mine = (used["role"] == role).to_numpy()
        splits[role] = vectors[mine], used[mine].reset_index(drop=True)
        splits[f"{role}_utterances"] = splits[role]
        if section.unit == "speaker":
            splits[role] = embedding.speaker_means(*splits[role])
    return splits


def _read(clip: tuple[str, int, int], root: Path) -> np.ndarray:
    path, start, stop = clip
    return audio.read(root / path, start=start, stop=stop)


if __name__ == "__main__":
    run(main)
