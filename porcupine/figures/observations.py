"""What several observed utterances of one speaker disclose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator

from porcupine.figures.attacker import CHANCE_LINE, RAW_LINE, choose, code_length
from porcupine.figures.style import (
    GREY,
    INK,
    Style,
    grouped,
    log_scale,
    percent_axis,
    require_columns,
    styled,
    styles,
    two_line_title,
)

_COLUMNS = ["variant", "bits", "n", "n_speakers", "lower", "lower_low", "lower_high", "upper", "top1", "chance"]
_COLUMNS += ["one_code_lower", "one_code_upper", "one_code_top1"]
_CEILING: dict[str, Any] = {"color": INK, "linewidth": 1.1, "linestyle": (0, (5, 2))}
_ONE_CODE: dict[str, Any] = {"color": GREY, "linewidth": 2.2}
_ONE_CODE_BAND: dict[str, Any] = {"color": GREY, "alpha": 0.35, "linewidth": 0}


@styled
def observations(
    table: pd.DataFrame,
    *,
    bits: int | Sequence[int] | None = None,
    variants: Sequence[str] | None = None,
    raw: float | None = None,
) -> Figure:
    """Draw what n utterances of a speaker disclose, and how often they find him, against n: a column a code.

    The disclosure lies in the band: at least what an attacker learns (markers, 95 % intervals), at most the bound. The
    grey band is a speaker who keeps one code for all utterances; the dashed line log2 M, to know who it is.

    table : one row a variant × bits × n. Columns: variant, bits and those of
        `porcupine.privacy.observations.observation_table`, of which are drawn: n, n_speakers, lower, lower_low,
        lower_high, upper, top1 (and top1_low, top1_high where there are any), chance, one_code_lower, one_code_upper,
        one_code_top1.
    bits, variants : see `porcupine.figures.attacker.choose`; or several bitrates.
    raw : how often the raw embedding of one utterance finds its speaker among as many; None: not drawn.
    Raises InputError where a column is missing, or there is nothing to draw.
    """
    require_columns(table, _COLUMNS, name="observations")
    panels = []
    for wanted in bits if isinstance(bits, Sequence) else [bits]:
        rows, one, names = choose(table, wanted, variants, name="observations")
        panels += [(name, one, rows[rows["variant"] == name].sort_values("n")) for name in names]
    looks = styles([name for name, _, _ in panels])
    everything = pd.concat([rows for _, _, rows in panels])
    figure = Figure(figsize=(max(2.6 * len(panels) + 0.6, 6), 6.4), layout="constrained")
    grid = figure.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False)
    for (above, below), (name, one, rows) in zip(grid.T, panels, strict=True):
        _draw_disclosure(above, rows, looks[name])
        _draw_rate(below, rows, looks[name], raw)
        two_line_title(above, looks[name].label, code_length(one))
        below.set_xlabel("utterances observed, n")
        above.tick_params(axis="x", length=0)
    for axes in grid.flat:
        axes.grid(axis="y")
    _scale(grid[0, 0], grid[1, 0], everything)
    n_speakers = " to ".join(grouped(size) for size in sorted({*everything["n_speakers"].agg(["min", "max"])}))
    handles, labels = _key(looks.values(), raw)
    figure.legend(
        handles,
        labels,
        handler_map={tuple: HandlerTuple(ndivide=None)},
        loc="outside lower center",
        ncols=2,
        title=f"M = {n_speakers} speakers. Whiskers: 95 % intervals.",
    )
    return figure


def _draw_disclosure(axes: Axes, rows: pd.DataFrame, look: Style) -> None:
    n, wide = rows["n"], _widened(rows)
    axes.fill_between(wide["n"], wide["lower"], wide["upper"], color=look.color, alpha=0.2, linewidth=0, zorder=1)
    axes.fill_between(wide["n"], wide["one_code_lower"], wide["one_code_upper"], zorder=1.4, **_ONE_CODE_BAND)
    axes.plot(wide["n"], wide["one_code_lower"], label="one code", zorder=1.5, **_ONE_CODE)
    axes.plot(wide["n"], np.log2(wide["n_speakers"]), label="log2 M", zorder=2.1, **_CEILING)
    axes.plot(wide["n"], wide["upper"], label="at most", color=look.color, zorder=2)
    axes.vlines(n, rows["lower_low"], rows["lower_high"], color=look.color, linewidth=1.3, zorder=2.2)
    axes.plot(n, rows["lower"], label="at least", zorder=2.3, **look.line | {"linestyle": "-"})


def _draw_rate(axes: Axes, rows: pd.DataFrame, look: Style, raw: float | None) -> None:
    n, wide = rows["n"], _widened(rows)
    if raw is not None:
        axes.axhline(raw, label="raw", zorder=1, **RAW_LINE)
    axes.plot(wide["n"], wide["chance"], label="chance", zorder=1, **CHANCE_LINE)
    axes.plot(wide["n"], wide["one_code_top1"], label="one code", zorder=1.5, **_ONE_CODE)
    if {"top1_low", "top1_high"} <= set(rows):
        axes.vlines(n, rows["top1_low"], rows["top1_high"], color=look.color, linewidth=1.3, zorder=2.1)
    axes.plot(n, rows["top1"], label="top-1", zorder=2.2, **look.line | {"linestyle": "-"})
    for place, above in ((rows.iloc[0], len(rows) == 1), (rows.iloc[-1], True)):
        axes.annotate(
            f"{100 * place['top1']:.{0 if place['top1'] >= 0.1 else 1}f} %",
            (place["n"], place["top1"]),
            xytext=(0, 8 if above else -8),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def _widened(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows; a single one twice, some way apart, so that a line and a band can be seen."""
    if len(rows) > 1:
        return rows
    return pd.concat([rows.assign(n=0.8 * rows["n"]), rows.assign(n=1.25 * rows["n"])])


def _scale(above: Axes, below: Axes, rows: pd.DataFrame) -> None:
    observed = sorted(rows["n"].unique())
    above.set(xscale="log", xlim=(0.68 * observed[0], observed[-1] / 0.68))
    above.set_xticks(observed, [str(n) for n in observed])
    above.xaxis.set_minor_locator(NullLocator())
    above.set(ylabel="disclosure (bits)", ylim=(0, 1.06 * np.log2(rows["n_speakers"].max())))
    below.set(ylabel="speaker found first", ylim=(rows["chance"].min() / 1.6, 1.4))
    log_scale(below)
    percent_axis(below)


def _key(looks: Iterable[Style], raw: float | None) -> tuple[list[Any], list[str]]:
    """Handles and labels of the legend; what has a colour of its own in each column is shown in all of them."""
    entries: dict[str, Any] = {
        "disclosure: at least … at most": tuple(Patch(color=look.color, alpha=0.3, linewidth=0) for look in looks),
        "what an attacker learns, how often he is right": tuple(
            Line2D([], [], **look.line | {"linestyle": "none"}) for look in looks
        ),
        "one code kept for all utterances": Line2D([], [], **_ONE_CODE),
        "log$_2$ M bits: known who it is": Line2D([], [], **_CEILING),
        "chance": Line2D([], [], **CHANCE_LINE),
    }
    if raw is not None:
        entries["one utterance, not quantised"] = Line2D([], [], **RAW_LINE)
    return list(entries.values()), list(entries)
