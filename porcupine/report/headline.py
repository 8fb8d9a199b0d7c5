"""The figures to compare two runs by: few, flat and named, for `dvc metrics diff`.

headline              of occupancy, distortion and attack, at the bitrate of `highest_telling_bits`
highest_telling_bits  where the test set can still tell codes apart
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from porcupine.privacy.attackers import strongest
from porcupine.quantizers.variants import compared


def headline(metrics: pd.DataFrame, rates: pd.DataFrame, *, n_train: int, n_test: int) -> dict[str, Any]:
    """Name the figures to compare two runs by, at the highest bitrate that this sample can tell.

    metrics : the table of the stage of that name; rates : of the stage attack, of which the strongest attacker counts.
    They are those of the variants that `porcupine.quantizers.variants.compared` names. All others are in the tables.
    Infinite values are None, with a reason beside them.
    """
    attack = strongest(rates[rates["epsilon"] == math.inf]) if len(rates) else rates
    bits = highest_telling_bits(metrics)
    record: dict[str, Any] = {"bits": bits, "n_train": n_train, "n_test": n_test}
    raw = attack[attack["variant"] == "raw"].set_index("figure")["value"]
    if len(raw):
        record["raw"] = {name: round(float(raw[name]), 6) for name in ("top1", "eer")}
    for variant in compared(metrics["variant"].unique()):
        rows = metrics[(metrics["variant"] == variant) & (metrics["bits"] == bits)].set_index("metric")
        entry: dict[str, Any] = {}
        for name in ("worst_case_bits", "cv_over_limit", "mse"):
            n_infinite = int(rows["n_infinite"][name])
            entry[name] = None if n_infinite else round(float(rows["mean"][name]), 6)
            if n_infinite:
                entry[f"{name}_reason"] = f"infinite: some codes are empty in {n_infinite} repeats"
        attacked = attack[(attack["variant"] == variant) & (attack["bits"] == bits)].set_index("figure")["value"]
        if "top1" in attacked:
            entry["top1"] = round(float(attacked["top1"]), 6)
        record[variant] = entry
    return record


def highest_telling_bits(metrics: pd.DataFrame) -> int:
    """Highest bitrate at which under 1 in 20 calibrated uniform codes would have an empty cell; else the lowest."""
    worst = metrics[metrics["metric"] == "worst_case_bits"].groupby("bits")["calibrated_infinite"].max()
    telling = worst.index[worst < 0.05]
    return int(telling.max() if len(telling) else worst.index.min())
