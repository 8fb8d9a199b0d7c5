"""Where the true speaker ranks among all, by similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from porcupine.figures.attacker import CHANCE_LINE, RAW, RAW_LABEL, choose, code_length
from porcupine.figures.style import (
    INK,
    Style,
    grouped,
    hollow_marker,
    log_scale,
    require_columns,
    styled,
    styles,
    two_line_title,
)

_COLUMNS = ["variant", "bits", "threat", "attacker", "first_rank", "last_rank", "share", "low", "high", "chance"]
_RAW_STEPS: dict[str, Any] = {"color": INK, "linewidth": 1.3}
_CHANCE = CHANCE_LINE | {"linewidth": 1.8}


@styled
def ranks(table: pd.DataFrame, *, bits: int | None = None, variants: Sequence[str] | None = None) -> Figure:
    """Draw how much likelier than by chance the true speaker has each rank, a panel a variant, raw embeddings in each.

    Of the attackers, the one is drawn who finds the speaker first most often. The logarithm to base 2 of what is drawn
    is the disclosure of the rank, in bits. Ranks that do not occur have an open marker at the lower edge.

    table : one row a variant × bits × threat × attacker × range of ranks. Columns: variant ("raw": not quantised),
        bits, threat, attacker, first_rank, last_rank, share, low, high, chance.
    bits, variants : see `porcupine.figures.attacker.choose`.
    Raises InputError where a column is missing, or there is nothing to draw.
    """
    require_columns(table, _COLUMNS, name="ranks")
    rows, bits, names = choose(table, bits, variants, name="ranks")
    drawn = {
        name: _over_chance(rows[rows["variant"] == name]) for name in (*names, RAW) if (rows["variant"] == name).any()
    }
    looks = styles(names) | {RAW: Style(RAW_LABEL, INK, "o", "-")}
    values = pd.concat(drawn.values())[["share", "low", "high"]].to_numpy(float)
    edge, top = min(values[values > 0].min(), 1) / 2, 1.6 * max(values.max(), 1)

    figure = Figure(figsize=(max(3 * len(names) + 0.6, 6), 4.2), layout="constrained")
    panels = list(figure.subplots(1, len(names), sharex=True, sharey=True, squeeze=False).flat)
    for axes, name in zip(panels, names, strict=True):
        axes.set(xscale="log", yscale="log", ylim=(edge, top), xlim=(0.5, rows["last_rank"].max() + 0.5))
        axes.axhline(1, label="chance", zorder=2.4, **_CHANCE)
        _draw(axes, drawn[name], looks[name], edge, fill=True)
        if RAW in drawn:
            _draw(axes, drawn[RAW], looks[RAW], edge, fill=False)
        two_line_title(axes, looks[name].label, code_length(bits))
        axes.xaxis.set_major_formatter(lambda value, _: grouped(int(value)))
        axes.set_xlabel(f"rank of the true speaker, of {grouped(int(rows['last_rank'].max()))}")
        axes.grid(axis="y")
    log_scale(panels[0])
    panels[0].set_ylabel("times as likely as by chance")
    handles: list[Artist] = [Line2D([], [], label="chance", **_CHANCE)]
    if RAW in drawn:
        handles.insert(0, Line2D([], [], label=RAW_LABEL, **_RAW_STEPS))
    if (values[:, 0] == 0).any():
        handles.append(Line2D([], [], label="open: does not occur", **hollow_marker(Style("", INK, "o", "-"))))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=3, title="The strongest attacker. Whiskers: 95 % intervals."
    )
    return figure


def _over_chance(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the strongest attacker by rank, shares as multiples of chance."""
    best = rows[rows["first_rank"] == 1].nlargest(1, "share").iloc[0]
    rows = rows[(rows["threat"] == best["threat"]) & (rows["attacker"] == best["attacker"])].sort_values("first_rank")
    return rows.assign(**{column: rows[column] / rows["chance"] for column in ("share", "low", "high")})


def _draw(axes: Axes, rows: pd.DataFrame, look: Style, edge: float, *, fill: bool) -> None:
    edges = np.append(rows["first_rank"], rows["last_rank"].iloc[-1] + 1) - 0.5
    middle = np.sqrt(edges[:-1] * edges[1:]) * (0.88 if fill else 1.14)
    height = rows["share"].to_numpy(float)
    seen = np.maximum(height, edge)
    if fill:
        axes.stairs(seen, edges, baseline=1, fill=True, color=look.color, alpha=0.55, label=look.label, zorder=1)
    else:
        axes.stairs(seen, edges, baseline=None, label=look.label, zorder=2.2, **_RAW_STEPS)
    axes.vlines(
        middle,
        np.maximum(rows["low"], edge),
        np.maximum(rows["high"], edge),
        color=look.color,
        linewidth=1.4,
        zorder=2.3,
    )
    if (never := height == 0).any():
        axes.plot(middle[never], seen[never], clip_on=False, zorder=2.5, **hollow_marker(look))
