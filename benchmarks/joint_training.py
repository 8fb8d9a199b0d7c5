"""Quantise inside the encoder, or afterwards? Trains both and writes reports/bottleneck.md.

    python benchmarks/joint_training.py

Needs what the stages `manifest` and `features` made. Params are those of the experiment, but for the arguments.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from porcupine import device, embedding, params, storage
from porcupine.encoders import registry
from porcupine.encoders.training import train_ecapa
from porcupine.params import Params
from porcupine.privacy import attackers
from porcupine.privacy.backends import Cosine
from porcupine.privacy.summary import occupancy_table
from porcupine.quantizers.base import distortion, global_scale
from porcupine.quantizers.bottleneck import Bottleneck
from porcupine.quantizers.curve import project
from porcupine.quantizers.occurrence import interval_codes, interval_thresholds, resample_curve
from porcupine.quantizers.sfvq import train_sfvq
from porcupine.quantizers.training import Training
from porcupine.ragged import Ragged
from porcupine.randomness import generator

ROOT = Path(__file__).parents[1]
Encode = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Embedded:
    """What one encoder makes of the speakers: samples [N, D], and the test speakers' utterances."""

    train: np.ndarray
    test: np.ndarray
    utterances: np.ndarray
    speakers: np.ndarray


def main() -> None:
    """Train, measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    parser.add_argument("--manifest", type=Path, default=ROOT / "data" / "manifest.parquet")
    parser.add_argument("--features", type=Path, default=ROOT / "data" / "features")
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 6, 8])
    parser.add_argument("--seeds", type=int, default=2, help="encoders of each kind; default: %(default)s")
    parser.add_argument("--epochs", type=int, help="of the encoder; default: as in the params")
    parser.add_argument("--weight", type=float, help="of the distortion in the loss; default: as in the params")
    parser.add_argument("--output", type=Path, default=ROOT / "reports" / "bottleneck.md")
    arguments = parser.parse_args()
    settings = params.load(arguments.params)
    began = time.monotonic()
    command = shlex.join(["python", "benchmarks/joint_training.py", *sys.argv[1:]])
    rows = []
    for seed in range(arguments.seeds):
        rows += compare(settings, seed, arguments.bits, arguments)
        text = report(pd.DataFrame(rows), command, minutes=(time.monotonic() - began) / 60)
        with storage.replacing(arguments.output) as file:
            file.write_text(text, encoding="utf-8")
        print(text, flush=True)


def compare(settings: Params, seed: int, bits: list[int], arguments: argparse.Namespace) -> list[dict]:
    """One row for each way to make codes and each bitrate."""
    embedded, _ = encoder(settings, seed, 0, arguments)
    fitted = afterwards(settings, embedded, bits, seed)
    rows = [measure(settings, embedded, b, "afterwards", *fitted[b]) for b in bits]
    for b in bits:
        embedded, bottleneck = encoder(settings, seed, b, arguments)
        assert bottleneck is not None

        def encode(vectors: np.ndarray, bottleneck: Bottleneck = bottleneck) -> np.ndarray:
            return bottleneck.encode(torch.from_numpy(vectors)).numpy()

        for name in ("joint, running", "joint, recalibrated"):
            if name == "joint, recalibrated":
                bottleneck.calibrate(torch.from_numpy(embedded.train))
            rows.append(measure(settings, embedded, b, name, encode, bottleneck.codebook.numpy()))
        fitted = afterwards(settings, embedded, [b], seed)
        rows.append(measure(settings, embedded, b, "joint, new curve", *fitted[b]))
    return rows


def encoder(
    settings: Params, seed: int, bits: int, arguments: argparse.Namespace
) -> tuple[Embedded, Bottleneck | None]:
    """Train an encoder, with a bottleneck inside unless ``bits`` is 0, and embed train and test speakers."""
    began = time.monotonic()
    section = settings.encoder
    inside = {"bits": bits} | ({} if arguments.weight is None else {"weight": arguments.weight})
    changes = {"seed": section.seed + seed, "bottleneck": section.bottleneck.model_copy(update=inside)}
    section = section.model_copy(update=changes | ({"epochs": arguments.epochs} if arguments.epochs else {}))
    table, features = storage.load_table(arguments.manifest), Ragged(arguments.features)
    chosen = table.index[table["role"] == "encoder"]
    ecapa, bottleneck = train_ecapa(
        features.select(chosen),
        table.loc[chosen, "speaker"].tolist(),
        section,
        hop_seconds=settings.features.hop_seconds,
        device=device.resolve(settings.compute.device),
    )
    trained = time.monotonic()
    used = table[table["role"] != "encoder"].reset_index(names="row")
    used = embedding.cap_clips(used, settings.embeddings.max_clips, seed=settings.embeddings.seed)
    vectors = registry.embed_all(ecapa, features.select(used["row"].to_numpy()))
    samples = {}
    for role in ("train", "test"):
        mine = (used["role"] == role).to_numpy()
        samples[role], _ = embedding.speaker_means(vectors[mine], used[mine])
    print(
        f"seed {seed}, {bits} bits: train {trained - began:.0f} s, embed {time.monotonic() - trained:.0f} s", flush=True
    )
    speakers = used.loc[mine, "speaker"].to_numpy()
    return Embedded(
        samples["train"], samples["test"], vectors[mine], speakers
    ), bottleneck.cpu() if bottleneck else None


def afterwards(
    settings: Params, embedded: Embedded, bits: list[int], seed: int
) -> dict[int, tuple[Encode, np.ndarray]]:
    """Fit curves to the embeddings, cut as `Bottleneck.calibrate` does: encoder and codebook of each bitrate."""
    section, scale = settings.codebooks, global_scale(embedded.train)
    training = Training(section.epochs, section.batch_size, section.learning_rate, section.halve_at)
    curves = train_sfvq(embedded.train / scale, bits=bits, training=training, seed=seed)
    return {b: cut(embedded.train, curves[b][0] * scale) for b in bits}


def cut(train: np.ndarray, curve: np.ndarray) -> tuple[Encode, np.ndarray]:
    """Intervals along a curve, and the mean of each."""
    rank = project(train, curve).rank
    thresholds = interval_thresholds(rank, len(curve))
    codebook = resample_curve(rank, train, len(curve))
    return lambda vectors: interval_codes(project(vectors, curve).rank, thresholds), codebook


def measure(
    settings: Params, embedded: Embedded, bits: int, name: str, encode: Encode, codebook: np.ndarray
) -> dict[str, object]:
    """Figures of one way to make codes; the raw embedding's beside them."""
    codes, section = encode(embedded.test), settings.metrics
    options = {"simulations": section.simulations, "bootstrap": section.bootstrap, "n_train": len(embedded.train)}
    table = occupancy_table(codes[None], 2**bits, rng=generator(section.seed, bits), **options).set_index("metric")
    occupancy = table.loc[["worst_case_bits", "cv_over_limit"]]
    row: dict[str, object] = {"system": name, "bits": bits}
    for metric in occupancy.index:
        for column, prefix in (("mean", ""), ("floor_mean", "floor "), ("calibrated_mean", "calibrated ")):
            row[prefix + metric] = occupancy.loc[metric, column] if not infinite(occupancy, metric, prefix) else np.inf
    row["distortion"] = distortion(embedded.test, codebook, codes) / embedded.test.var(axis=0).mean()
    enrolment = attackers.enrol(
        embedded.speakers, settings.attack.enrolment, generator(settings.attack.seed, "enrolment")
    )
    enrolled, center = enrolment.mean_embeddings(embedded.utterances), embedded.train.mean(axis=0)
    probes = embedded.utterances[enrolment.probes]
    for prefix, attacked in (("raw ", probes), ("", codebook[encode(probes)])):
        scores = Cosine(center).scores(enrolled, attacked)
        trials = attackers.Trials(scores, np.arange(len(probes)), enrolment.probe_speaker)
        rates = attackers.rate_table([trials], np.ones((1, len(enrolled)))).set_index("figure")["value"]
        row |= {f"{prefix}eer": 100 * rates["eer"], f"{prefix}top1": 100 * rates["top1"]}
    return row


def infinite(occupancy: pd.DataFrame, metric: str, prefix: str) -> bool:
    """Whether a figure is infinite; a floor, where most of its draws are."""
    column = f"{prefix.strip()}_infinite" if prefix else "n_infinite"
    return bool(occupancy.loc[metric, column] > 0.5)


COLUMNS = {
    "raw EER, %": ("raw eer", ".2f"),
    "raw top-1, %": ("raw top1", ".1f"),
    "worst case, bits": ("worst_case_bits", ".2f"),
    "spread": ("cv_over_limit", ".2f"),
    "EER, %": ("eer", ".1f"),
    "top-1, %": ("top1", ".2f"),
    "distortion": ("distortion", ".3f"),
}


def report(rows: pd.DataFrame, command: str, *, minutes: float) -> str:
    """The report, in Markdown; figures of the seeds side by side."""
    lines = [INTRODUCTION.format(command=command, cores=os.cpu_count(), machine=platform.machine(), minutes=minutes)]
    lines += ["", f"| bits | codes | {' | '.join(COLUMNS)} |", "|---" * (2 + len(COLUMNS)) + "|"]
    for bits, group in rows.groupby("bits"):
        for name, seeds in group.groupby("system", sort=False):
            cells = [" / ".join(format_(value, spec) for value in seeds[key]) for key, spec in COLUMNS.values()]
            lines.append(f"| {bits} | {name} | {' | '.join(cells)} |")
        for prefix, label in (("floor ", "uniform codes"), ("calibrated ", "calibrated on the training set")):
            first = group.iloc[0]
            worst, spread = (format_(first[prefix + key], ".2f") for key in ("worst_case_bits", "cv_over_limit"))
            lines.append(f"| {bits} | *floor, {label}* | | | {worst} | {spread} | | | |")
    return "\n".join(lines) + "\n"


def format_(value: float, spec: str) -> str:
    """A figure, or ∞."""
    return "∞" if np.isinf(value) else format(value, spec)


INTRODUCTION = """# Quantising inside the encoder, or afterwards

Written by `{command}` on {cores} cores, {machine}, in {minutes:.0f} minutes.

- *afterwards*: ECAPA-TDNN trained as in the experiment; then a curve (SFVQ) fitted to the embeddings of the training
  speakers, with exact intervals as codes.
- *joint, running*: the encoder trained with a `Bottleneck` of as many bits between embedding and classifier, whose
  codes are intervals calibrated on the last 8192 crops of its own training.
- *joint, recalibrated*: the same curve, cut anew on the training speakers, as *afterwards* is.
- *joint, new curve*: the same encoder, with a curve fitted to its embeddings as in *afterwards*.

Samples, test speakers and attacker are those of the experiment: codes are counted on one mean embedding a test speaker;
the attacker holds raw embeddings and meets one coded utterance of each. *raw*: the same attacker on the encoder's
embeddings before they are quantised. *spread*: of the cell probabilities, over the sampling limit; 1 is as even as the
training set allows. *distortion*: mean squared error over the variance of the embeddings of that encoder. A codeword is
the mean of its code's samples. Figures side by side are of different seeds. Weight and learning rate of the bottleneck
were chosen on training speakers, after 4 epochs."""


if __name__ == "__main__":
    main()
