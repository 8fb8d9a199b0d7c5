"""All results of a run on one page.

summary   tables of the stages -> Markdown
"""

from __future__ import annotations

import pandas as pd

from porcupine.report import attacks, certificates
from porcupine.report.headline import highest_telling_bits
from porcupine.report.occupancy import SECTIONS, metric_table, tradeoff_table


def summary(
    metrics: pd.DataFrame, certified: pd.DataFrame, attacked: attacks.Tables, *, corpus: str, n_test: int
) -> str:
    """All results of a run, the tables of its stages, as one Markdown page."""
    bits = highest_telling_bits(metrics)
    relative = "relative to that of `vq`" if (metrics["variant"] == "vq").any() else "squared embedding units"
    parts = [
        f"# Results on `{corpus}`, {n_test} test samples",
        "Each cell: mean over the repeats [their 2.5 and 97.5 % quantiles] ± standard error of one repeat, by "
        "resampling the test speakers. Floors: what perfectly uniform codes give in a sample of this size, mean "
        "[95 % band]. *∞ in*: so many repeats, or draws of a floor, are infinite and left out of the mean.",
        f"## Distortion against uniformity\n\nMeans over the repeats: distortion, {relative} / spread of the cell "
        f"probabilities over the sampling limit (1: as even as the training set allows).\n\n{tradeoff_table(metrics)}",
        certificates.section(certified, bits),
        *(f"## {title}\n\n{metric_table(metrics, metric)}" for metric, title in SECTIONS.items()),
        attacks.section(attacked, bits=bits),
    ]
    return "\n\n".join(parts) + "\n"
