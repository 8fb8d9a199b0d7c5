"""Name the speaker of rebuilt sound by its embedding: attackers and threat models are those of speaker embeddings."""

from functools import partial
from pathlib import Path

import numpy as np

from porcupine import storage
from porcupine.parallel import ordered_map
from porcupine.params import FrameParams
from porcupine.privacy import threats
from porcupine.privacy.attackers import Enrolment, Trials
from stages.common import run
from stages.kmeans_audio import rates, releases, sound


def main(params: FrameParams, frames: Path, noisy: Path, codebooks: Path, embeddings: Path, verification: Path) -> None:
    """Write the rates of each system, threat model and attacker."""
    rows = storage.load_table(frames / "utterances.parquet")
    enrolment = rates.hold(params, rows)
    probes, held = sound.sampled(params, enrolment)
    attacked = enrolment.only(probes)
    folds = rows["fold"].to_numpy()[attacked.probes]
    original = storage.load_array(embeddings / "original.npy").astype(np.float64)
    # What is learnt from: recordings that he holds, beside them what becomes of them.
    speaker = enrolment.held_speaker[held]
    background = original[enrolment.held[held]]
    work = partial(_attack, params=params, original=original, background=background, speaker=speaker)
    tasks, places = [], []
    unchanged = original[attacked.probes]
    systems = {("original", 0): {"probes": unchanged, "held": background[None]}}
    for release in releases.load(params, frames, noisy, codebooks):
        name = sound.name_of(release)
        systems[name.rpartition("-")[0], release.setting] = storage.load_arrays(embeddings / f"{name}.npz")
    for (system, setting), sounds in systems.items():
        for threat in params.identity.threats if system != "original" else ["ignorant"]:
            # Who has learnt from originals meets all probes at once.
            by_fold = threat == "informed" and len(sounds["held"]) > 1
            for fold, known in enumerate(sounds["held"] if by_fold else sounds["held"][:1]):
                mine = np.flatnonzero(folds == fold) if by_fold else np.arange(len(folds))
                tasks.append((threat, attacked.only(mine), sounds["probes"][mine], known))
                places.append((system, setting, threat, mine))
    scores: dict[rates.Attack, np.ndarray] = {}
    found = ordered_map(work, tasks, workers=params.compute.workers, description="attackers", unit="fold")
    for (system, setting, threat, mine), trials in zip(places, found, strict=True):
        for attacker, one in trials.items():
            attack = rates.Attack(system, setting, threat, f"{params.encoder.name}-{attacker}")
            rates.fill(scores, attack, mine, one.values, len(folds))
    storage.save_table(verification, rates.table(params, attacked, scores))


def _attack(
    task: tuple[str, Enrolment, np.ndarray, np.ndarray],
    params: FrameParams,
    original: np.ndarray,
    background: np.ndarray,
    speaker: np.ndarray,
) -> dict[str, Trials]:
    threat, enrolment, releases, background_releases = task
    per_speaker = int(np.bincount(enrolment.held_speaker).max())
    section = params.identity
    evidence = threats.Evidence(background, speaker, original, enrolment, per_speaker, section.attackers, section.seed)
    return threats.of_releases(threat, evidence, releases.astype(np.float64), background_releases.astype(np.float64))


if __name__ == "__main__":
    run(main)
