"""What even codes cost in distortion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from porcupine.errors import InputError, nearest
from porcupine.figures.style import (
    FLOOR,
    INK,
    Style,
    hollow_marker,
    log_scale,
    require_columns,
    styled,
    styles,
)

_COLUMNS = ["variant", "bits", "metric", "mean", "low", "high", "calibrated_low", "calibrated_high"]
_REFERENCE = "vq"
_LIMIT: dict[str, Any] = {"color": INK, "linewidth": 1, "linestyle": (0, (4, 2))}
_BAND: dict[str, Any] = {"color": FLOOR, "alpha": 0.5}


@styled
def tradeoff(metrics: pd.DataFrame) -> Figure:
    """Draw distortion against uniformity, a panel a bitrate and a point a variant: best is low on the left.

    Uniformity is the spread of the cell probabilities over the sampling limit, on a logarithmic axis: a dashed line
    stands at 1, the grey band holds 95 % of codes that are as even as the training samples allow. A spread that
    sampling noise explains altogether is an open marker at the lower edge. Distortion is relative to that of plain VQ
    at the same bitrate; absolute where that is not among the variants.

    metrics : one row a variant × bits × metric. Columns: variant, bits, metric, mean, low, high (2.5 and 97.5 %
        quantiles over the repeats), calibrated_low, calibrated_high. Metrics: mse, cv_over_limit.
    Raises InputError where a column or a metric is missing.
    """
    require_columns(metrics, _COLUMNS, name="metrics")
    known = set(metrics["metric"])
    for metric in ("mse", "cv_over_limit"):
        if metric not in known:
            raise InputError(f"metrics: no row with metric {metric!r}{nearest(metric, known)}")
    looks = styles(metrics["variant"])
    bits = sorted(metrics["bits"].unique())
    n_columns = min(3, len(bits))
    n_rows = -(-len(bits) // n_columns)
    figure = Figure(figsize=(max(3.6 * n_columns, 6), 3 * n_rows + 1.2), layout="constrained")
    panels = list(figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes in panels[len(bits) :]:
        axes.remove()
    panels = panels[: len(bits)]
    spread = metrics[metrics["metric"] == "cv_over_limit"]
    edge = 0.7 * min([1.0, *spread.loc[spread["mean"] > 0, "mean"]])
    hollow = False
    for axes, b in zip(panels, bits, strict=True):
        rows = metrics[metrics["bits"] == b]
        hollow |= _draw(axes, rows, looks, edge)
        axes.set_title(f"{b} bits")
        axes.grid()
    panels[0].set_ylim(bottom=edge)
    log_scale(panels[0])
    for axes in panels[::n_columns]:
        axes.set_ylabel("spread over the sampling limit")
    for axes in panels[-n_columns:]:
        axes.set_xlabel("distortion over VQ's" if _REFERENCE in looks else "distortion, mean squared error")
        axes.tick_params(labelbottom=True)
    handles: list[Artist] = [Line2D([], [], label=look.label, **_point(look)) for look in looks.values()]
    handles += [
        Line2D([], [], label="limit of the training samples", **_LIMIT),
        Patch(linewidth=0, label="calibrated on them, 95 %", **_BAND),
    ]
    if hollow:
        handles.append(
            Line2D([], [], label="open: not above sampling noise", **hollow_marker(Style("", INK, "o", "-")))
        )
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3,
        title="Points and lines: mean and 95 % range of the repeats",
    )
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, looks: dict[str, Style], edge: float) -> bool:
    """Draw one bitrate; return whether some spread lies below the lower ``edge``."""
    band = rows.loc[rows["metric"] == "cv_over_limit", ["calibrated_low", "calibrated_high"]].to_numpy(float)
    low, high = band.mean(axis=0)
    axes.axhspan(max(low, edge / 10), high, linewidth=0, zorder=0.6, **_BAND)
    axes.axhline(1, zorder=1.8, **_LIMIT)
    distortion, spread = _ranges(rows, "mse"), _ranges(rows, "cv_over_limit")
    unit = distortion[_REFERENCE][0] if _REFERENCE in distortion else 1.0
    hollow = False
    for variant, look in looks.items():
        if variant not in distortion:
            continue
        x, left, right = distortion[variant] / unit
        y, lower, upper = np.maximum(spread[variant], edge)
        below = bool(spread[variant][0] < edge)
        hollow |= below
        axes.hlines(y, left, right, color=look.color, linewidth=1.2, alpha=0.75, zorder=2)
        axes.vlines(x, lower, upper, color=look.color, linewidth=1.2, alpha=0.75, zorder=2)
        point = hollow_marker(look) if below else _point(look)
        axes.plot(x, y, label=look.label, clip_on=False, zorder=2.2, **point)
    return hollow


def _ranges(rows: pd.DataFrame, metric: str) -> dict[str, np.ndarray]:
    """Mean, low and high, float [3], of each variant."""
    chosen = rows[rows["metric"] == metric]
    return dict(zip(chosen["variant"], chosen[["mean", "low", "high"]].to_numpy(float), strict=True))


def _point(look: Style) -> dict[str, Any]:
    return {**look.line, "linestyle": "none", "markersize": 7}
