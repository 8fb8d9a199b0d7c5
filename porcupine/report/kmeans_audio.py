"""Results of the second system on one page.

page             tables of its stages -> Markdown
overviews        the plane as a table
published        the reported scores beside those found
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from porcupine.frames.emotion import published_scores
from porcupine.report.cells import interval, markdown, number, percent

QUALITY = {
    "stoi": "STOI",
    "mel_cepstral_distortion": "MCD, dB",
    "log_spectral_distance": "LSD, dB",
    "si_sdr": "SI-SDR, dB",
    "level": "level, dB",
    "duration": "duration, ratio",
    "voicing": "voicing agrees",
    "pitch_correlation": "correlation of pitch",
    "pitch_error_cents": "pitch error, cents",
}


class Tables(NamedTuple):
    """What the stages wrote.

    plane : of `frames.plane.emotion_identity`; scores, curve : of emotions, of both systems; rates : of all attackers;
    quality : of `frames.quality.summarise`; guarantees : of `frames.noise.guarantees`.
    """

    plane: pd.DataFrame
    scores: pd.DataFrame
    curve: pd.DataFrame
    rates: pd.DataFrame
    quality: pd.DataFrame
    guarantees: pd.DataFrame


def page(tables: Tables, *, corpus: str, n_clips: int, n_speakers: int, n_folds: int, few: tuple[str, ...]) -> str:
    """All results on one page, but the figures. ``few`` : the emotions that the reported experiment tells apart."""
    chance = tables.plane.iloc[0]
    parts = [
        f"# Speech as quantised frames: `{corpus}`, {n_clips} clips of {n_speakers} speakers",
        f"Each of {n_folds} folds tests speakers of whom codebooks and forests know nothing. Brackets: 95 % intervals "
        "over resampled speakers.",
        "## Emotion against identity",
        f"Identification: top-1 % of the strongest attacker among {n_speakers} speakers (chance "
        f"{100 * chance['top1_chance']:.1f} %), and what he has learnt from. Emotions: unweighted average recall in %, "
        f"of {', '.join(few)} (chance {100 * chance['uar_chance']:.1f} %), by forests trained on what the system "
        "releases, and on originals. Bits: of one frame of k-means, 100 of which make a second; of a whole utterance "
        "for embeddings.",
        overview(tables.plane, tables.scores),
        "## Emotions: what is reported, and what is found",
        published(tables.scores, few),
        "Learning curve, accuracy of the same emotions by number of training speakers: " + learning_curve(tables.curve),
        "All emotions of the corpus, unweighted average recall in %: " + all_emotions(tables.scores),
        "## Who is it?",
        "Top-1 % by attacker and by what he has learnt from. `cnn` hears the frames, the others the embedding of the "
        "sound that is rebuilt from them, or the embedding itself. `mfcc` is rebuilt from original frames.",
        identification(tables.rates),
        "## What is left of the sound",
        "Means over speakers. Waveforms are compared in step; SI-SDR is far below 0 wherever phases are guessed.",
        sound(tables.quality),
        "## What the noise promises",
        "ε in nats (and δ) of a frame and of an utterance of median length, were frames first clipped to a norm that "
        "so many of them do not exceed. As they are, nothing bounds them, and the nominal ε protects nothing.",
        promises(tables.guarantees),
    ]
    return "\n\n".join(parts) + "\n"


def name_of(system: str, setting: int) -> str:
    """A system in words."""
    if not setting:
        return f"`{system}`"
    return f"`{system}`, K = {setting}" if system == "k-means" else f"`{system}`, {setting} bits"


def overview(plane: pd.DataFrame, scores: pd.DataFrame) -> str:
    """The plane as a table."""
    cross = scores[
        (scores["figure"] == "uar") & (scores["emotions"] == "few") & (scores["trained_on"] == "original")
    ].set_index(["system", "setting"])
    cells = {}
    for row in plane.to_dict("records"):
        key = row["system"], row["setting"]
        also = percent(*cross.loc[key, ["value", "low", "high"]]) if key in cross.index else "–"
        cells[name_of(*key)] = [
            percent(row["top1"], row["top1_low"], row["top1_high"]),
            f"{row['attacker']}, {row['threat']}",
            percent(row["uar"], row["uar_low"], row["uar_high"]),
            also,
        ]
    return markdown(["identified", "by", "emotions", "by forests trained on originals"], cells)


def published(scores: pd.DataFrame, few: tuple[str, ...]) -> str:
    """Precision, recall and F1 of each emotion and the accuracy, reported and found on original frames."""
    found = scores[
        (scores["system"] == "original") & (scores["emotions"] == "few") & (scores["trained_on"] == "itself")
    ]
    cells: dict[str, list[str]] = {}
    reported = published_scores()
    for title, table in {"reported, CREMA-D": reported, "found": found}.items():
        values = {
            (row["figure"], row["emotion"] if isinstance(row["emotion"], str) else ""): row
            for row in table.to_dict("records")
        }

        def cell(figure: str, emotion: str = "", values: dict = values) -> str:
            row = values.get((figure, emotion))
            return "–" if row is None else f"{row['value']:.2f}" if "low" not in row else _scored(row)

        by_emotion = [" / ".join(cell(figure, word) for figure in ("precision", "recall", "f1")) for word in few]
        cells[title] = [*by_emotion, cell("accuracy")]
    return markdown([*(f"{word}: precision / recall / F1" for word in few), "accuracy"], cells)


def _scored(row: dict) -> str:
    return f"{row['value']:.2f}" if row["figure"] != "accuracy" else interval(row["value"], row["low"], row["high"])


def learning_curve(curve: pd.DataFrame) -> str:
    """Accuracy by number of training speakers, in one line."""
    rows = curve[curve["figure"] == "accuracy"].to_dict("records")
    return "; ".join(
        f"{row['training_speakers']:.0f}: {percent(row['value'], row['low'], row['high'])} %" for row in rows
    )


def all_emotions(scores: pd.DataFrame) -> str:
    """Unweighted average recall of each system, in one line."""
    rows = scores[(scores["figure"] == "uar") & (scores["emotions"] == "all") & (scores["trained_on"] == "itself")]
    told = [
        f"{name_of(row['system'], row['setting'])} {percent(row['value'], row['low'], row['high'])}"
        for row in rows.to_dict("records")
    ]
    return "; ".join(told) + f"; chance {100 * rows['chance'].iloc[0]:.1f}."


def identification(rates: pd.DataFrame) -> str:
    """Top-1 of each system by each attacker and threat model."""
    rows = rates[rates["figure"] == "top1"]
    columns = list(dict.fromkeys(rows[["attacker", "threat"]].itertuples(index=False, name=None)))
    values = rows.set_index(["system", "setting", "attacker", "threat"])
    cells = {
        name_of(*system): [
            percent(*values.loc[(*system, *column), ["value", "low", "high"]])
            if (*system, *column) in values.index
            else "–"
            for column in columns
        ]
        for system in dict.fromkeys(rows[["system", "setting"]].itertuples(index=False, name=None))
    }
    sizes = sorted(rows["n_probes"].unique())
    told = f"{sizes[-1]} probes" + (f", of rebuilt sound {sizes[0]}" if len(sizes) > 1 else "")
    return markdown([f"{attacker}, {threat}" for attacker, threat in columns], cells) + f"\n\n{told}."


def sound(quality: pd.DataFrame) -> str:
    """Every measure of the rebuilt sound."""
    shown = {metric: title for metric, title in QUALITY.items() if (quality["metric"] == metric).any()}
    values = quality.set_index(["system", "setting", "metric"])
    cells = {}
    for system in dict.fromkeys(quality[["system", "setting"]].itertuples(index=False, name=None)):
        cells[name_of(*system)] = [
            "{} [{}, {}]".format(*(number(values.loc[(*system, metric), part]) for part in ("value", "low", "high")))
            if (*system, metric) in values.index
            else "–"
            for metric in shown
        ]
    return markdown(list(shown.values()), cells)


def promises(guarantees: pd.DataFrame) -> str:
    """What the noise promises for each bound."""
    cells = {}
    for row in guarantees.to_dict("records"):
        title = "as they are" if row["passing"] == 1 else f"{100 * row['passing']:.0f} % pass"
        of_frame, of_utterance = (
            f"{number(row[f'{part}_epsilon'])}" + (f" ({row[f'{part}_delta']:.2g})" if row[f"{part}_delta"] else "")
            for part in ("frame", "utterance")
        )
        cells[title] = [number(row["bound"]), number(row["sensitivity"]), of_frame, of_utterance]
    return markdown(["bound", "sensitivity", "ε of a frame", "ε of an utterance"], cells)
