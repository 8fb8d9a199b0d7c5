"""How often an attacker who sees only codes finds the speaker."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from porcupine.errors import InputError
from porcupine.figures.style import (
    INK,
    draw_variants,
    grouped,
    percent_axis,
    require_columns,
    show_bits,
    styled,
    styles,
)

_COLUMNS = ["variant", "bits", "figure", "value", "low", "high", "chance", "n_speakers", "n_probes"]
_RAW = "raw"
_RAW_LINE: dict[str, Any] = {"color": INK, "linestyle": "-", "linewidth": 1.2}
_CHANCE_LINE: dict[str, Any] = {"color": INK, "linestyle": ":", "linewidth": 1.4}
_TITLES = {"top1": "Speaker found first", "top5": "Speaker among the first five", "eer": "Equal error rate"}


@styled
def attack(table: pd.DataFrame) -> Figure:
    """Draw top-1 and top-5 identification and the equal error rate of an attacker against bits, with 95 % intervals.

    The unquantised embeddings are a horizontal line with a band, chance a dotted line.

    table : one row a variant × bits × figure. Columns: variant ("raw": not quantised, its bits are ignored), bits,
        figure (top1, top5, eer), value, low, high, chance (all fractions), n_speakers, n_probes.
    Raises InputError where a column, a figure or every quantised variant is missing.
    """
    require_columns(table, _COLUMNS, name="attack table")
    quantised = table[table["variant"] != _RAW]
    for name in _TITLES:
        if not (quantised["figure"] == name).any():
            raise InputError(f"attack table: no quantised variant with figure {name!r}, must have {', '.join(_TITLES)}")
    looks = styles(quantised["variant"])
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, 3), _TITLES, strict=True):
        rows = table[table["figure"] == name]
        for low, high, value in rows.loc[rows["variant"] == _RAW, ["low", "high", "value"]].itertuples(index=False):
            axes.axhspan(low, high, color=INK, alpha=0.15, linewidth=0)
            axes.axhline(value, label="not quantised", **_RAW_LINE)
        for chance in rows["chance"].unique():
            axes.axhline(chance, label="chance", **_CHANCE_LINE)
        draw_variants(axes, rows, looks, value="value")
        axes.set_title(_TITLES[name])
        axes.grid(axis="y")
        show_bits(axes, quantised["bits"])
        _scale(axes, rows, name)
    handles = [Line2D([], [], label=look.label, **look.line) for look in looks.values()]
    if (table["variant"] == _RAW).any():
        handles.append(Line2D([], [], label="not quantised", **_RAW_LINE))
    handles.append(Line2D([], [], label="chance", **_CHANCE_LINE))
    size = table.iloc[0]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=4,
        title=f"{grouped(size['n_speakers'])} speakers, {grouped(size['n_probes'])} probes; whiskers: 95 % intervals",
    )
    return figure


def _scale(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    if name == "eer":
        axes.set(ylabel="error rate", ylim=(0, None))
    else:
        axes.set(ylabel="share of probes", yscale="log", ylim=(rows["chance"].min() / 1.6, 1.15))
    percent_axis(axes)
