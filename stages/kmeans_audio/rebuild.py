"""Rebuild sound from what each system releases: measure its quality, keep some to listen to."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from porcupine import audio, storage
from porcupine.frames import quality as measures
from porcupine.frames.release import Release
from porcupine.parallel import ordered_map
from porcupine.params import FrameParams
from stages.common import audio_root, run
from stages.kmeans_audio import rates, releases, sound


def main(
    params: FrameParams, corpus: Path, frames: Path, noisy: Path, codebooks: Path, listen: Path, quality: Path
) -> None:
    """Write a folder of wav files, and a table with the quality of each clip of a sample of the probes."""
    rows = storage.load_table(frames / "utterances.parquet")
    enrolment = rates.hold(params, rows)
    probes, _ = sound.sampled(params, enrolment)
    chosen = enrolment.probes[probes]
    heard = set(_spread(chosen, params.rebuild.listen))
    pitched = set(chosen[:: max(1, params.rebuild.clips // params.rebuild.pitched)])
    known = releases.load(params, frames, noisy, codebooks)
    work = partial(_compare, params=params, rows=rows, known=known, root=audio_root(corpus, params), pitched=pitched)
    found = []
    with storage.replacing(listen) as folder:
        folder.mkdir(parents=True)
        compared = ordered_map(work, list(chosen), workers=params.compute.workers, description="rebuild")
        for row, (original, rebuilt) in zip(chosen, compared, strict=True):
            for name, (waveform, record) in rebuilt.items():
                system, _, setting = name.rpartition("-")
                names = {"system": system, "setting": int(setting), "speaker": rows["speaker"][row]}
                found.append(names | {"utterance": rows["utterance"][row]} | record)
                if row in heard:
                    _write(folder / f"{rows['utterance'][row]}-{name}.wav", waveform)
            if row in heard:
                _write(folder / f"{rows['utterance'][row]}-original.wav", original)
    storage.save_table(quality, pd.DataFrame(found))


def _compare(
    row: int, params: FrameParams, rows: pd.DataFrame, known: list[Release], root: Path, pitched: set[int]
) -> tuple[np.ndarray, dict[str, tuple[np.ndarray, dict[str, Any]]]]:
    """Original, and name of each system -> what is rebuilt of it, and its quality."""
    original = audio.read(root / rows["path"][row], start=rows["start"][row], stop=rows["stop"][row])
    track = measures.pitch_track(original) if row in pitched else None
    found = {}
    for release in known:
        rebuilt = sound.waveform(sound.Clip(row, int(release.folds[row])), params, rows, release)
        record: dict[str, Any] = vars(measures.compare(original, rebuilt)) | {"peak": float(np.abs(rebuilt).max())}
        if track is not None:
            agreement = measures.pitch_agreement(track, measures.pitch_track(rebuilt))
            record |= {"voicing": agreement.voicing, "pitch_correlation": agreement.correlation}
            record |= {"pitch_error_cents": agreement.error_cents}
        found[sound.name_of(release)] = rebuilt, record
    return original, found


def _spread(values: np.ndarray, number: int) -> list[int]:
    """So many of the values, far apart."""
    return [int(values[i]) for i in np.linspace(0, len(values) - 1, min(number, len(values))).round().astype(int)]


def _write(path: Path, waveform: np.ndarray) -> None:
    soundfile.write(path, waveform, audio.SAMPLE_RATE_HZ, subtype="PCM_16")


if __name__ == "__main__":
    run(main)
