"""Embed originals, and sound rebuilt from what each system releases, with a pretrained encoder."""

from functools import partial
from pathlib import Path

import numpy as np

from porcupine import audio, device, storage
from porcupine.encoders import registry
from porcupine.parallel import ordered_map
from porcupine.params import FrameParams
from stages.common import audio_root, run
from stages.kmeans_audio import rates, releases, sound


def main(params: FrameParams, corpus: Path, frames: Path, noisy: Path, codebooks: Path, embeddings: Path) -> None:
    """Write `original.npy`, a row an utterance, and `SYSTEM-SETTING.npz` of a sample of each speaker's.

    Arrays of the latter: `probes` [P, D], each as its own fold releases it; `held` [F, H, D], what the attacker holds
    as each of the folds releases it, or [1, H, D] where all do the same.
    """
    rows = storage.load_table(frames / "utterances.parquet")
    enrolment = rates.hold(params, rows)
    probes, held = sound.sampled(params, enrolment)
    encoder = registry.load(params.encoder, weights=None, device=device.resolve(params.compute.device))
    embed = partial(registry.embed_all, encoder, threads=params.encoder.threads)
    workers = params.compute.workers
    with storage.replacing(embeddings) as folder:
        folder.mkdir()
        clips = list(zip(rows["path"], rows["start"], rows["stop"], strict=True))
        originals = ordered_map(partial(_read, root=audio_root(corpus, params)), clips, workers=workers)
        embedded = embed(originals, total=len(clips), description="embed originals")
        storage.save_array(folder / "original.npy", embedded)
        for release in releases.load(params, frames, noisy, codebooks):
            name = sound.name_of(release)
            tasks = [sound.Clip(row, int(release.folds[row])) for row in enrolment.probes[probes]]
            folds = range(params.folds.number) if release.codebooks else [0]
            tasks += [sound.Clip(row, fold) for fold in folds for row in enrolment.held[held]]
            work = partial(sound.waveform, params=params, rows=rows, release=release)
            sounds = ordered_map(work, tasks, workers=workers)
            embedded = embed(sounds, total=len(tasks), description=f"rebuild and embed {name}")
            of_probes, of_held = np.split(embedded, [len(probes)])
            arrays = {"probes": of_probes, "held": of_held.reshape(len(folds), len(held), -1)}
            storage.save_arrays(folder / f"{name}.npz", arrays)


def _read(clip: tuple[str, int, int], root: Path) -> np.ndarray:
    path, start, stop = clip
    return audio.read(root / path, start=start, stop=stop)


if __name__ == "__main__":
    run(main)
