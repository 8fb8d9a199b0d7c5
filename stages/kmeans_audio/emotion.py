"""Recognise emotions in what each system releases."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from porcupine import storage
from porcupine.frames.emotion import recognise_emotions, utterance_statistics
from porcupine.frames.release import Release
from porcupine.parallel import ordered_map
from porcupine.params import FrameParams
from stages.common import run
from stages.kmeans_audio import labels, releases


class Task(NamedTuple):
    """One row of the tables: what the forest has heard, what it hears, which emotions it tells apart."""

    system: str
    setting: int
    trained_on: str
    emotions: str
    training_speakers: int | None


def main(params: FrameParams, frames: Path, noisy: Path, codebooks: Path, emotion: Path) -> None:
    """Write tables `scores`, `confusions` and `curve` (scores of original frames by number of training speakers)."""
    rows = labels.with_emotion(storage.load_table(frames / "utterances.parquet"))
    known = releases.load(params, frames, noisy, codebooks)
    vectors = {}
    for one in known:
        look = partial(_statistics, release=one)
        title = f"statistics, {one.system} {one.setting or ''}"
        parts = ordered_map(look, list(rows.index), workers=params.compute.workers, description=title)
        vectors[one.system, one.setting] = np.stack(list(parts))
    wanted = labels.emotion_sets(params, rows)
    tasks = [
        Task(one.system, one.setting, heard, name, None)
        for one in known
        for name in wanted
        for heard in labels.heard(one.system, one.setting, name)
    ]
    n_training = labels.training_speakers(params, rows)
    tasks += [Task("original", 0, "itself", "few", number) for number in n_training if "few" in wanted]
    recognise = partial(_recognise, params=params, rows=rows, vectors=vectors, wanted=wanted)
    found = list(ordered_map(recognise, tasks, workers=params.compute.workers, description="forests", unit="forest"))
    scores = pd.concat([table for table, _ in found], ignore_index=True)
    of_curve = scores["training_speakers"].notna()
    with storage.replacing(emotion) as folder:
        folder.mkdir()
        storage.save_table(folder / "scores.csv", scores[~of_curve].drop(columns="training_speakers"))
        storage.save_table(folder / "curve.csv", scores[of_curve])
        confused = [table for (_, table), task in zip(found, tasks, strict=True) if task.training_speakers is None]
        storage.save_table(folder / "confusions.csv", pd.concat(confused, ignore_index=True))


def _statistics(i: int, release: Release) -> np.ndarray:
    return utterance_statistics(release.of(i))


def _recognise(
    task: Task,
    params: FrameParams,
    rows: pd.DataFrame,
    vectors: dict[tuple[str, int], np.ndarray],
    wanted: dict[str, tuple[str, ...]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    released = vectors[task.system, task.setting]
    section = params.emotion
    scores, confused = recognise_emotions(
        vectors["original", 0] if task.trained_on == "original" else released,
        rows["emotion"].to_numpy(),
        rows["speaker"].to_numpy(),
        rows["fold"].to_numpy(),
        wanted=wanted[task.emotions],
        heard=released,
        draws=section.bootstrap,
        trees=section.trees,
        training_speakers=task.training_speakers,
        seed=section.seed,
    )
    names = {"system": task.system, "setting": task.setting, "trained_on": task.trained_on, "emotions": task.emotions}
    scores = scores.assign(**names, training_speakers=task.training_speakers)
    return scores[[*names, *scores.columns.drop([*names])]], confused.assign(**names)[[*names, *confused.columns]]


if __name__ == "__main__":
    run(main)
