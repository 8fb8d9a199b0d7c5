"""What privacy costs in utility: systems and noise in one plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from porcupine.errors import InputError, nearest
from porcupine.figures.attacker import CHANCE_LINE, FEW, RAW, RAW_LABEL
from porcupine.figures.style import (
    GREY,
    INK,
    Style,
    hollow_marker,
    percent_axis,
    require_columns,
    styled,
    styles,
    two_line_title,
)
from porcupine.privacy.plane import pareto_front

_COLUMNS = ["variant", "bits", "epsilon", "top1", "top1_low", "top1_high", "chance", "worst_case_bits"]
_LOSSES = {"mse": "distortion, of the variance of the embeddings", "cosine": "1 − cosine to the embedding"}
_SIZES = (4.5, 9.0)  # of the markers, from the shortest code to the longest
_FRONT: dict[str, Any] = {"color": GREY, "linewidth": 5, "alpha": 0.4, "solid_capstyle": "butt"}
_RAW_POINT: dict[str, Any] = {"color": INK, "marker": "P", "markersize": 9, "linestyle": "none"}
_OTHERS: dict[str, Any] = {"color": GREY, "marker": ".", "markersize": 4, "linestyle": "none", "alpha": 0.7}
_AT_THE_TOP = 0.96


@styled
def plane(
    table: pd.DataFrame, utility: str = "mse", *, variants: Sequence[str] | None = None, attribute: str = "emotion"
) -> Figure:
    """Draw privacy against utility, a point a variant × bitrate × noise.

    Panels: how often the strongest attacker finds the speaker first, with 95 % intervals; worst-case disclosure; and
    the first again, against how well ``attribute`` is still read, where the table has that. The larger a marker, the
    longer the code. Open markers are randomised response, joined to the code itself. The grey steps are the Pareto
    front of all points, the other variants' too: no other is as good in both and better in one.

    table : one row a variant × bits × epsilon. Columns: variant ("raw": not quantised), bits, epsilon (infinite: the
        code as it is), top1, top1_low, top1_high, chance, worst_case_bits (infinite or NaN where a code is empty), the
        utility, and perhaps ATTRIBUTE_uar, unweighted average recall.
    utility : "mse", relative to the variance of the embeddings, or "cosine"; drawn is what is lost.
    variants : the others are small dots; None for those of `porcupine.figures.attacker.FEW` in the table, or else all.
    Raises InputError where a column or a variant is missing.
    """
    if utility not in _LOSSES:
        raise InputError(f"utility={utility!r}, must be one of {', '.join(_LOSSES)}")
    require_columns(table, [*_COLUMNS, utility], name="plane")
    quantised = table["variant"] != RAW
    present = styles(table.loc[quantised, "variant"])
    chosen = [name for name in present if name in FEW] or list(present) if variants is None else variants
    for variant in chosen:
        if variant not in present:
            raise InputError(f"plane: no variant {variant!r}{nearest(variant, present)}")
    if not chosen:
        raise InputError("plane: no quantised variant, nothing to draw")
    looks = styles(chosen)
    told = f"{attribute}_uar"
    table = table.assign(
        loss=table[utility] if utility == "mse" else 1 - table[utility],
        worst_case_bits=table["worst_case_bits"].fillna(math.inf).where(quantised),
    )
    bits = sorted(table.loc[quantised, "bits"].unique())
    sizes = dict(zip(bits, np.linspace(*_SIZES, len(bits)), strict=True))
    shown = [("loss", "top1"), ("loss", "worst_case_bits")]
    shown += [(told, "top1")] if told in table and table.loc[quantised, told].notna().any() else []

    figure = Figure(figsize=(3.9 * len(shown), 5.4), layout="constrained")
    panels = figure.subplots(1, len(shown))
    panels[1].sharex(panels[0])
    for axes, (x, y) in zip(panels, shown, strict=True):
        some = table.dropna(subset=[x, y])
        _draw_front(axes, some, x, y)
        _draw_points(axes, some, x, y, looks, sizes)
        axes.grid()
        if x == "loss":
            axes.set_xlabel(_LOSSES[utility])
        else:
            axes.set_xlabel(f"{attribute} read from it, average recall")
            axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        if y == "top1":
            axes.axhline(table["chance"].min(), label="chance", zorder=1, **CHANCE_LINE)
            axes.set(ylabel="speaker found first", yscale="log", ylim=(table["chance"].min() / 1.6, 1.4))
            percent_axis(axes)
        else:
            axes.set(ylabel="worst case (bits)", ylim=(0, 1.15 * max([1.0, *some.loc[np.isfinite(some[y]), y]])))
        title = "Identification" if y == "top1" else "Worst-case disclosure"
        title, side = (title, "left") if x == "loss" else (f"{title} and {attribute}", "right")
        two_line_title(axes, title, f"best is low on the {side}")
    figure.legend(
        handles=_key(table, looks, sizes),
        loc="outside lower center",
        ncols=4,
        title="The strongest attacker. Whiskers: 95 % intervals.",
    )
    return figure


def _draw_front(axes: Axes, rows: pd.DataFrame, x: str, y: str) -> None:
    rows = rows[np.isfinite(rows[y])]
    cost = rows[x] if x == "loss" else -rows[x]
    front = rows[pareto_front(cost.to_numpy(), rows[y].to_numpy())].sort_values([x, y])
    steps = "steps-post" if x == "loss" else "steps-pre"
    axes.plot(front[x], front[y], label="front", drawstyle=steps, zorder=1.2, **_FRONT)


def _draw_points(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, looks: dict[str, Style], sizes: dict[int, float]
) -> None:
    finite = np.isfinite(rows[y])
    raw, others = rows["variant"] == RAW, ~rows["variant"].isin([RAW, *looks])
    axes.plot(rows.loc[raw & finite, x], rows.loc[raw & finite, y], label=RAW_LABEL, zorder=2.5, **_RAW_POINT)
    axes.plot(rows.loc[others & finite, x], rows.loc[others & finite, y], label="others", zorder=1.5, **_OTHERS)
    for variant, look in looks.items():
        for bits, size in sizes.items():
            cell = rows[(rows["variant"] == variant) & (rows["bits"] == bits)].sort_values("epsilon", ascending=False)
            dot: dict[str, Any] = look.line | {"linestyle": "none", "markersize": size}
            ring: dict[str, Any] = dot | hollow_marker(look) | {"markeredgewidth": 1.1}
            seen, noisy = np.isfinite(cell[y]), np.isfinite(cell["epsilon"])
            if y == "top1":
                ends = cell["top1_low"], cell["top1_high"]
                axes.vlines(cell[x], *ends, color=look.color, linewidth=1, alpha=0.7, zorder=1.8)
            axes.plot(cell.loc[seen, x], cell.loc[seen, y], color=look.color, linewidth=0.6, alpha=0.6, zorder=1.7)
            axes.plot(cell.loc[seen & noisy, x], cell.loc[seen & noisy, y], label=f"{variant}, noisy", zorder=2, **ring)
            axes.plot(cell.loc[seen & ~noisy, x], cell.loc[seen & ~noisy, y], label=variant, zorder=2.2, **dot)
            endless, edge = cell.loc[~seen, x], axes.get_xaxis_transform()
            axes.plot(endless, np.full(len(endless), _AT_THE_TOP), label="infinite", transform=edge, zorder=2.2, **dot)


def _key(table: pd.DataFrame, looks: dict[str, Style], sizes: dict[int, float]) -> list[Artist]:
    dot: dict[str, Any] = Style("", INK, "o", "none").line
    handles = [
        Line2D([], [], label=look.label, **look.line | {"linestyle": "none", "markersize": 7})
        for look in looks.values()
    ]
    if (~table["variant"].isin([RAW, *looks])).any():
        handles.append(Line2D([], [], label="other variants", **_OTHERS | {"markersize": 7}))
    if (table["variant"] == RAW).any():
        handles.append(Line2D([], [], label=RAW_LABEL, **_RAW_POINT))
    handles += [Line2D([], [], label="chance", **CHANCE_LINE), Line2D([], [], label="Pareto front", **_FRONT)]
    for bits in sorted({min(sizes), max(sizes)}):
        handles.append(Line2D([], [], label=f"{bits} bits", **dot | {"markersize": sizes[bits]}))
    if noise := sorted(set(table["epsilon"]) - {math.inf}, reverse=True):
        label = f"open: randomised response, ε = {', '.join(f'{epsilon:g}' for epsilon in noise)}"
        handles.append(Line2D([], [], label=label, **hollow_marker(Style("", INK, "o", "-"))))
    if np.isinf(table["worst_case_bits"]).any():
        handles.append(Line2D([], [], label="at the top: infinite, a code is empty", **dot))
    return list(handles)
