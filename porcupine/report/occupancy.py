"""How evenly codes are used, as Markdown.

SECTIONS           the metrics that a page shows, with their titles
tradeoff_table     distortion against uniformity at each bitrate
metric_table       a metric at each bitrate beside its floors
"""

from __future__ import annotations

import math

import pandas as pd

from porcupine.report.cells import markdown, number

SECTIONS = {
    "worst_case_bits": "Worst-case disclosure, bits (−log2 of the share of the rarest code; ∞: some code is empty)",
    "worst_case_plus_one_bits": "Worst-case disclosure as published, bits (with +1, which hides empty codes)",
    "average_bits": "Average disclosure, bits",
    "kl_bits": "KL divergence of the counts from the binomial, bits",
    "std": "Std of the counts, samples",
    "cv_over_limit": "Spread of the cell probabilities over the sampling limit (1: as even as the training set allows)",
    "n_empty": "Empty codes",
    "mse": "Distortion, mean squared error a dimension, squared embedding units",
}


def tradeoff_table(metrics: pd.DataFrame, *, reference: str = "vq") -> str:
    """Distortion and spread as Markdown: a row for each variant, a cell `distortion / cv_over_limit` for each bitrate.

    Distortion is relative to that of the variant ``reference`` at the bitrate; absolute where there is none.
    """
    distortion, spread = (
        metrics[metrics["metric"] == metric].pivot(index="variant", columns="bits", values="mean")
        for metric in ("mse", "cv_over_limit")
    )
    if reference in distortion.index:
        distortion = distortion / distortion.loc[reference]
    cells = {}
    for variant in metrics["variant"].unique():
        pairs = zip(distortion.loc[variant], spread.loc[variant], strict=True)
        cells[variant] = [f"{error:.3f} / {cv:.2f}" for error, cv in pairs]
    return markdown([f"{b} bits" for b in distortion], cells)


def metric_table(metrics: pd.DataFrame, metric: str, *, digits: int = 3) -> str:
    """One metric as Markdown: a row for each variant with mean [95 % of repeats] ± standard error, and the floors."""
    rows = metrics[metrics["metric"] == metric]
    bits = sorted(rows["bits"].unique())
    cells = {variant: [_cell(rows, variant, b, digits) for b in bits] for variant in rows["variant"].unique()}
    if rows["floor_mean"].notna().any():
        for prefix, label in (
            ("floor", "floor, uniform codes"),
            ("calibrated", "floor, calibrated on the training set"),
        ):
            cells[f"*{label}*"] = [_floor_cell(rows[rows["bits"] == b], prefix, digits) for b in bits]
    return markdown([f"{b} bits" for b in bits], cells)


def _cell(rows: pd.DataFrame, variant: str, bits: int, digits: int) -> str:
    row = rows[(rows["variant"] == variant) & (rows["bits"] == bits)].iloc[0]
    if math.isnan(row["mean"]):
        return "∞"
    text = f"{number(row['mean'], digits)} [{number(row['low'], digits)}, {number(row['high'], digits)}]"
    if not math.isnan(row.get("standard_error", math.nan)):
        text += f" ± {number(row['standard_error'], digits)}"
    return text + (f" (∞ in {int(row['n_infinite'])})" if row["n_infinite"] else "")


def _floor_cell(rows: pd.DataFrame, prefix: str, digits: int) -> str:
    # With clustered samples each variant has its own floor; the widest is shown.
    mean, low, high = rows[f"{prefix}_mean"].mean(), rows[f"{prefix}_low"].min(), rows[f"{prefix}_high"].max()
    infinite = rows[f"{prefix}_infinite"].max()
    if math.isnan(mean):
        return "∞"
    text = f"{number(mean, digits)} [{number(low, digits)}, {number(high, digits)}]"
    return text + (f" (∞ in {100 * infinite:.3g} %)" if infinite else "")
