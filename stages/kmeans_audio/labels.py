"""Which emotions are told apart, and what the forests that do it have heard."""

import pandas as pd

from porcupine.corpora.table import EMOTIONS
from porcupine.errors import InputError
from porcupine.params import FrameParams


def with_emotion(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose emotion is known, with their numbers. Raises InputError where there are none."""
    known = rows[rows["emotion"].notna()] if "emotion" in rows else rows[:0]
    if known.empty:
        raise InputError(f"none of {len(rows)} utterances has an emotion: choose a corpus with a column `emotion`")
    return known


def emotion_sets(params: FrameParams, rows: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """The few emotions of the params, where the corpus has them, and all of its own."""
    present = set(rows["emotion"])
    sets = {"few": params.emotion.few, "all": tuple(word for word in EMOTIONS if word in present)}
    return {name: words for name, words in sets.items() if set(words) <= present}


def heard(system: str, setting: int, emotions: str) -> tuple[str, ...]:
    """What forests are trained on: what the system releases; for the few, also originals, unless that is the same."""
    changed = setting > 0 or system == "noise"
    return ("itself", "original") if changed and emotions == "few" else ("itself",)


def training_speakers(params: FrameParams, rows: pd.DataFrame) -> list[int]:
    """Points of the learning curve: those of the params that every fold can give, and one less than all that it has."""
    fewest = rows["speaker"].nunique() - int(rows.groupby("fold")["speaker"].nunique().max())
    return [*(number for number in params.emotion.curve if number < fewest), fewest]
