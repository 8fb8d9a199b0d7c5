"""What can be certified of the codes."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from porcupine.figures.style import (
    INK,
    Style,
    draw_variants,
    grouped,
    hollow_marker,
    require_columns,
    show_bits,
    styled,
    styles,
    two_line_title,
)

_COLUMNS = ["variant", "bits", "way", "bits_certified", "n_evidence", "alpha"]
_IDEAL: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": (0, (1, 1.5))}
_WAYS = {"construction": "calibration", "audit": "held-out"}


@styled
def certificate(table: pd.DataFrame) -> Figure:
    """Draw the bits that are certified of each variant against the bits of its code, a panel a way.

    They are drawn as their distance from B = log2 K, what even codes disclose, where differences show. An open marker
    at the top says that there is no bound.

    table : one row a variant × bits × way. Columns: variant, bits, way ("construction", "audit"), bits_certified (NaN
        where there is no bound), n_evidence, alpha.
    Raises InputError where a column is missing, or there is no row.
    """
    require_columns(table, _COLUMNS, name="certificates")
    looks = styles(table["variant"])
    ways = [way for way in _WAYS if (table["way"] == way).any()]
    excess = table["bits_certified"].astype(float) - table["bits"]
    drawn = table.assign(excess=excess, low=excess, high=excess, hollow=excess.isna())
    figure = Figure(figsize=(max(4.8 * len(ways), 6), 4.4), layout="constrained")
    panels = list(figure.subplots(1, len(ways), sharey=True, squeeze=False).flat)
    for axes, way in zip(panels, ways, strict=True):
        rows = drawn[drawn["way"] == way]
        axes.axhline(0, zorder=1.8, **_IDEAL)
        draw_variants(
            axes, rows, {name: looks[name] for name in looks if (rows["variant"] == name).any()}, value="excess"
        )
        n_speakers = grouped(int(rows["n_evidence"].iloc[0]))
        two_line_title(axes, f"By {way}", f"from {n_speakers} {_WAYS[way]} speakers")
        axes.grid(axis="y")
        show_bits(axes, table["bits"])
    panels[0].set_ylabel("certified disclosure − B, bits")
    handles: list[Artist] = [Line2D([], [], label=look.label, **look.line) for look in looks.values()]
    handles.append(Line2D([], [], label="B = log$_2$ K, the ideal", **_IDEAL))
    if drawn["hollow"].any():
        handles.append(Line2D([], [], label="open: no bound", **hollow_marker(Style("", INK, "o", "-"))))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3,
        title=f"No code discloses more, at {100 * (1 - table['alpha'].iloc[0]):.4g} % confidence",
    )
    return figure
