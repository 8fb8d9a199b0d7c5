"""Plane: how well emotions are still told against how often the speaker is, one point for each system.

    emotion_identity    scores of emotions, rates of attackers -> one row a system and setting

Both are of the same recordings, in the same folds.
"""

from __future__ import annotations

import pandas as pd

from porcupine.errors import InputError

KEYS = ["system", "setting"]
_TOLD = {"value": "uar", "low": "uar_low", "high": "uar_high", "chance": "uar_chance"}
_FOUND = {"value": "top1", "low": "top1_low", "high": "top1_high", "chance": "top1_chance"}


def emotion_identity(scores: pd.DataFrame, rates: pd.DataFrame, *, emotions: str, trained_on: str) -> pd.DataFrame:
    """Put the unweighted average recall of emotions beside the rate of the attacker who names most speakers.

    scores : rows of `emotion.emotion_scores`, with columns system, setting, emotions and trained_on, of which those
        asked for count; rates : rows of `attackers.rate_table`, with columns system, setting, threat and attacker.
    Returns columns system, setting, order (0, 1, … within a system), threat and attacker (the strongest), top1, its
    interval top1_low, top1_high and top1_chance, and uar likewise; systems that are in one table only are left out.
    The attacker is chosen by the rates that are then reported, which flatters them a little: the safe side.
    Raises InputError where no system is in both.
    """
    told = scores[(scores["figure"] == "uar") & (scores["emotions"] == emotions) & (scores["trained_on"] == trained_on)]
    found = rates[rates["figure"] == "top1"].sort_values("value", ascending=False, kind="stable").drop_duplicates(KEYS)
    table = found.rename(columns=_FOUND)[[*KEYS, "threat", "attacker", *_FOUND.values()]].merge(
        told.rename(columns=_TOLD)[[*KEYS, *_TOLD.values()]], on=KEYS, validate="one_to_one"
    )
    if table.empty:
        raise InputError(
            f"no system has both rates and emotions={emotions!r} by a forest trained on {trained_on!r}: "
            f"scores are of {', '.join(map(str, scores['emotions'].unique()))}"
        )
    first = {name: place for place, name in enumerate(dict.fromkeys(scores["system"]))}
    table = table.sort_values(KEYS, key=lambda keys: keys.map(first) if keys.name == "system" else keys)
    table.insert(2, "order", table.groupby("system").cumcount())
    return table.reset_index(drop=True)
