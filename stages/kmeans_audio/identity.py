"""Name the speaker of what each system releases, by a network that learns a closed set of speakers."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from porcupine import device, storage
from porcupine.frames.identity import train_identifier
from porcupine.frames.release import Release
from porcupine.parallel import ordered_map
from porcupine.params import FrameParams
from porcupine.privacy.attackers import Enrolment
from porcupine.randomness import generator
from stages.common import run
from stages.kmeans_audio import rates, releases


class Task(NamedTuple):
    """One network: the release that it learns from, in a fold (None: any), and the releases that it then names."""

    threat: str
    learns: int
    fold: int | None
    names: tuple[int, ...]


def main(params: FrameParams, frames: Path, noisy: Path, codebooks: Path, identity: Path) -> None:
    """Write the rates of each system with each threat model, as the other attackers' are written."""
    rows = storage.load_table(frames / "utterances.parquet")
    known = releases.load(params, frames, noisy, codebooks)
    enrolment = rates.hold(params, rows)
    work = partial(_name, params=params, known=known, enrolment=enrolment)
    tasks = _tasks(params, known)
    parts = ordered_map(work, tasks, workers=params.compute.workers, description="networks", unit="network")
    scores: dict[rates.Attack, np.ndarray] = {}
    for task, found in zip(tasks, parts, strict=True):
        for number, (probes, values) in found.items():
            attack = rates.Attack(known[number].system, known[number].setting, task.threat, "cnn")
            rates.fill(scores, attack, probes, values, len(enrolment.probes))
    storage.save_table(identity, rates.table(params, enrolment, scores))


def _tasks(params: FrameParams, known: list[Release]) -> list[Task]:
    """An ignorant attacker learns from originals once; an informed one anew for each codebook."""
    tasks = []
    if "ignorant" in params.identity.threats:
        tasks.append(Task("ignorant", 0, None, tuple(range(len(known)))))
    if "informed" in params.identity.threats:
        for number, release in enumerate(known[1:], start=1):
            folds = range(params.folds.number) if release.codebooks else [None]
            tasks += [Task("informed", number, fold, (number,)) for fold in folds]
    return tasks


def _name(
    task: Task, params: FrameParams, known: list[Release], enrolment: Enrolment
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Train a network; release -> which probes, and its scores for them, float [n, M]."""
    section = params.identity
    with threadpool_limits(1):  # with more threads sums have another order, and results other bytes
        network = train_identifier(
            [known[task.learns].of(i, task.fold) for i in enrolment.held],
            enrolment.held_speaker,
            seed=int(generator(section.seed, "network", task.threat, task.learns, task.fold or 0).integers(2**63)),
            device=device.resolve(params.compute.device),
            epochs=section.epochs,
            crop_frames=round(section.crop_seconds / params.frames.hop_seconds),
            learning_rate=section.learning_rate,
        )
        found = {}
        for number in task.names:
            folds = known[number].folds[enrolment.probes]
            probes = np.arange(len(folds)) if task.fold is None else np.flatnonzero(folds == task.fold)
            found[number] = probes, network.scores([known[number].of(i) for i in enrolment.probes[probes]])
        return found


if __name__ == "__main__":
    run(main)
