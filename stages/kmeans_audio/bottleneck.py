"""The first system on the same recordings: quantised speaker embeddings, by the same folds and attackers."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from porcupine import storage
from porcupine.frames.emotion import recognise_emotions
from porcupine.frames.folds import require_disjoint
from porcupine.parallel import ordered_map
from porcupine.params import FrameParams
from porcupine.privacy import threats
from porcupine.privacy.attackers import Enrolment
from porcupine.quantizers.base import Quantizer
from stages import methods
from stages.common import run
from stages.kmeans_audio import labels, rates


class Variant(NamedTuple):
    """A method at a bitrate, with its quantiser of each fold; without one, the embedding itself."""

    system: str
    setting: int
    quantizers: tuple[Quantizer, ...] = ()


def main(params: FrameParams, frames: Path, embeddings: Path, bottleneck: Path) -> None:
    """Write tables `rates` and `scores` of embeddings (setting 0) and of their codes (setting: bits)."""
    rows = storage.load_table(frames / "utterances.parquet")
    vectors = storage.load_array(embeddings / "original.npy")
    variants = [Variant("embedding", 0), *_quantized(params, vectors, rows)]
    attack = partial(_attack, params=params, vectors=vectors, rows=rows, enrolment=rates.hold(params, rows))
    parts = ordered_map(attack, variants, workers=params.compute.workers, description="attackers", unit="cell")
    scores = {key: values for part in parts for key, values in part.items()}
    known = labels.with_emotion(rows)
    wanted = labels.emotion_sets(params, known)
    tasks = [
        (variant, heard, name)
        for variant in variants
        for name in wanted
        for heard in labels.heard(variant.system, variant.setting, name)
    ]
    recognise = partial(_recognise, params=params, vectors=vectors, rows=known, wanted=wanted)
    heard = ordered_map(recognise, tasks, workers=params.compute.workers, description="forests", unit="forest")
    with storage.replacing(bottleneck) as folder:
        folder.mkdir()
        storage.save_table(folder / "scores.csv", pd.concat(list(heard), ignore_index=True))
        storage.save_table(folder / "rates.csv", rates.table(params, rates.hold(params, rows), scores))


def _quantized(params: FrameParams, vectors: np.ndarray, rows: pd.DataFrame) -> list[Variant]:
    """Each method at each bitrate, fitted for each fold to the utterances of the speakers of the others."""
    speakers, folds = rows["speaker"].to_numpy(dtype=str), rows["fold"].to_numpy()
    section = params.codebooks
    books: dict[tuple[str, int], list[Quantizer]] = {}
    for method in section.methods:
        for fold in range(params.folds.number):
            require_disjoint(speakers[folds != fold], speakers[folds == fold])
            train = vectors[folds != fold]
            fitted = methods.fit(params, method, train, bits=section.bits, repeats=1, seed=section.seed)
            for bits, (one,) in fitted.items():
                books.setdefault((method, bits), []).append(one)
    return [Variant(*key, tuple(parts)) for key, parts in books.items()]


def _attack(
    variant: Variant, params: FrameParams, vectors: np.ndarray, rows: pd.DataFrame, enrolment: Enrolment
) -> dict[rates.Attack, np.ndarray]:
    """Scores of every probe by each attacker and threat model."""
    section = params.identity
    folds = rows["fold"].to_numpy()[enrolment.probes]
    held = enrolment.held
    per_speaker = int(np.bincount(enrolment.held_speaker).max())
    scores: dict[rates.Attack, np.ndarray] = {}
    for fold in range(params.folds.number):
        mine = np.flatnonzero(folds == fold)
        evidence = threats.Evidence(
            vectors[held].astype(np.float64),
            enrolment.held_speaker,
            vectors.astype(np.float64),
            enrolment.only(mine),
            per_speaker,
            section.attackers,
            section.seed,
        )
        for threat in section.threats if variant.quantizers else ("ignorant",):
            if variant.quantizers:
                quantizer = variant.quantizers[fold]
                codes = quantizer.encode(vectors)
                found = threats.of_codes(threat, evidence, quantizer.codebook, codes, codes[held])
            else:
                found = threats.of_vectors(evidence)
            for attacker, one in found.items():
                attack = rates.Attack(variant.system, variant.setting, threat, f"{params.encoder.name}-{attacker}")
                rates.fill(scores, attack, mine, one.values[one.row], len(folds))
    return scores


def _recognise(
    task: tuple[Variant, str, str],
    params: FrameParams,
    vectors: np.ndarray,
    rows: pd.DataFrame,
    wanted: dict[str, tuple[str, ...]],
) -> pd.DataFrame:
    variant, trained_on, name = task
    folds, known = rows["fold"].to_numpy(), vectors[rows.index]
    released = known.copy()
    for fold, quantizer in enumerate(variant.quantizers):
        mine = folds == fold
        released[mine] = quantizer.decode(quantizer.encode(known[mine]))
    section = params.emotion
    scores, _ = recognise_emotions(
        known if trained_on == "original" else released,
        rows["emotion"].to_numpy(),
        rows["speaker"].to_numpy(),
        folds,
        wanted=wanted[name],
        heard=released,
        draws=section.bootstrap,
        trees=section.trees,
        seed=section.seed,
    )
    names = {"system": variant.system, "setting": variant.setting, "trained_on": trained_on, "emotions": name}
    return scores.assign(**names)[[*names, *scores.columns]]


if __name__ == "__main__":
    run(main)
