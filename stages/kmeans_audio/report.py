"""Put emotion against identity, draw the figures, write the page of the second system."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from porcupine import audio, figures, storage
from porcupine.frames import quality as measures
from porcupine.frames.plane import emotion_identity
from porcupine.frames.rebuild import spectrogram
from porcupine.params import FrameParams
from porcupine.randomness import generator
from porcupine.report import kmeans_audio as library
from stages.common import run
from stages.kmeans_audio import labels

SHOWN = (16, 64, 512)


def main(
    params: FrameParams, frames: Path, listen: Path, reports: Path, drawn: Path, metrics: Path, page: Path
) -> None:
    """Write figures, `plane.csv` and `quality.csv` beside them, headline metrics and a Markdown page."""
    rows = storage.load_table(frames / "utterances.parquet")
    scores = _joined(reports / "emotion" / "scores.csv", reports / "bottleneck" / "scores.csv")
    rates = _joined(reports / "identity.csv", reports / "verification.csv", reports / "bottleneck" / "rates.csv")
    few = "few" if (scores["emotions"] == "few").any() else "all"
    quality = measures.summarise(
        storage.load_table(reports / "clips.csv"),
        by=["system", "setting"],
        draws=params.emotion.bootstrap,
        rng=generator(params.rebuild.seed, "speakers drawn"),
    )
    tables = library.Tables(
        plane=emotion_identity(scores, rates, emotions=few, trained_on="itself"),
        scores=scores,
        curve=storage.load_table(reports / "emotion" / "curve.csv"),
        rates=rates,
        quality=quality,
        guarantees=storage.load_table(reports / "guarantees.csv"),
    )
    with storage.replacing(drawn) as folder:
        folder.mkdir()
        storage.save_table(folder / "plane.csv", tables.plane)
        storage.save_table(folder / "quality.csv", quality)
        for name, figure in _figures(params, tables, reports, listen, few).items():
            figures.save(figure, folder / name, dpi=params.figures.dpi)
    storage.save_json(metrics, _headline(tables))
    with storage.replacing(page) as file:
        text = library.page(
            tables,
            corpus=params.corpus.name,
            n_clips=len(rows),
            n_speakers=rows["speaker"].nunique(),
            n_folds=params.folds.number,
            few=labels.emotion_sets(params, labels.with_emotion(rows))[few],
        )
        file.write_text(text, encoding="utf-8")


def _joined(*paths: Path) -> pd.DataFrame:
    return pd.concat([storage.load_table(path) for path in paths], ignore_index=True)


def _figures(params: FrameParams, tables: library.Tables, reports: Path, listen: Path, few: str) -> dict[str, Figure]:
    confused = storage.load_table(reports / "emotion" / "confusions.csv")
    sizes = [size for size in params.frame_codebooks.sizes if size in SHOWN] or [max(params.frame_codebooks.sizes)]
    chosen = confused[(confused["trained_on"] == "itself") & (confused["emotions"] == few)]
    chosen = chosen[(chosen["system"] == "original") | chosen["setting"].isin(sizes)]
    names = [library.name_of(*key).replace("`", "") for key in zip(chosen["system"], chosen["setting"], strict=True)]
    plane = tables.plane.assign(
        setting=[
            "" if not setting else f"K={setting}" if system == "k-means" else f"{setting} bits"
            for system, setting in zip(tables.plane["system"], tables.plane["setting"], strict=True)
        ]
    )
    sounds = {"original": "original", "mfcc-0": "MFCC and back"} | {f"k-means-{size}": f"K = {size}" for size in sizes}
    clip = sorted(listen.glob("*-original.wav"))[0].name.removesuffix("-original.wav")
    panels = {title: _spectrogram(params, listen / f"{clip}-{name}.wav") for name, title in sounds.items()}
    return {
        "plane": figures.emotion_identity(plane),
        "confusion": figures.confusion(chosen.assign(condition=names)),
        "quality": figures.quality(tables.quality),
        "spectrograms": figures.spectrograms(panels, hop_seconds=params.frames.hop_seconds),
    }


def _spectrogram(params: FrameParams, path: Path) -> np.ndarray:
    section = params.frames
    return spectrogram(audio.read(path), window_seconds=section.window_seconds, hop_seconds=section.hop_seconds)


def _headline(tables: library.Tables) -> dict[str, float]:
    """A few numbers to compare runs by: original, and the codebooks of fewest and of most words."""
    plane = tables.plane
    clustered = plane[plane["system"] == "k-means"]
    stoi = tables.quality[tables.quality["metric"] == "stoi"].set_index(["system", "setting"])["value"]
    found: dict[str, float] = {}
    for name, row in {"original": plane.iloc[0], "k16": clustered.iloc[0], "k_most": clustered.iloc[-1]}.items():
        found[f"{name}_top1"] = round(float(row["top1"]), 4)
        found[f"{name}_uar"] = round(float(row["uar"]), 4)
        if row["setting"]:
            found[f"{name}_stoi"] = round(float(stoi["k-means", row["setting"]]), 4)
    return found


if __name__ == "__main__":
    run(main)
