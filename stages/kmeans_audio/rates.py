"""What the attackers hold, and their rates where they meet each probe in the fold of its speaker."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from porcupine.errors import InputError
from porcupine.frames.identity import enrol_by_content
from porcupine.params import FrameParams
from porcupine.privacy import attackers
from porcupine.privacy.attackers import Enrolment, Trials, enrol
from porcupine.randomness import generator


class Attack(NamedTuple):
    """Who attacks what, knowing what."""

    system: str
    setting: int
    threat: str
    attacker: str


def hold(params: FrameParams, rows: pd.DataFrame) -> Enrolment:
    """Recordings that the attacker holds: other words than are attacked, or others of as many, where words differ."""
    section = params.identity
    rng = generator(section.seed, "enrolment")
    speakers = rows["speaker"].to_numpy(dtype=str)
    if "text" in rows and rows["text"].notna().all():
        try:
            return enrol_by_content(speakers, rows["text"].to_numpy(dtype=str), rng, held_share=section.held_share)
        except InputError as error:
            print(f"held utterances are drawn at random: {error}")
    fewest = int(np.unique(speakers, return_counts=True)[1].min())
    return enrol(speakers, max(1, round(section.held_share * fewest)), rng)


def table(params: FrameParams, enrolment: Enrolment, scores: Mapping[Attack, np.ndarray]) -> pd.DataFrame:
    """Rates from the scores of each attack, float [P, M]; no EER: scores of different folds have no common scale."""
    section = params.identity
    tables = []
    for attack, values in scores.items():
        trials = Trials(values, np.arange(len(values)), enrolment.probe_speaker)
        weights = attackers.bootstrap_weights(trials, section.bootstrap, generator(section.seed, "bootstrap"))
        tables.append(attackers.rate_table([trials], weights).assign(**attack._asdict()))
    rates = pd.concat(tables, ignore_index=True)
    left = [*Attack._fields, "figure"]
    return rates.loc[rates["figure"] != "eer", [*left, *rates.columns.drop(left)]]


def fill(scores: dict[Attack, np.ndarray], attack: Attack, probes: np.ndarray, values: np.ndarray, total: int) -> None:
    """Write the scores of some of the ``total`` probes, float [n, M], into those of all."""
    scores.setdefault(attack, np.full((total, values.shape[1]), np.nan, np.float32))[probes] = values
