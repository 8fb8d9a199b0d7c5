"""The look that all figures share, and how they are written.

A variant is one way of making codes. Each looks the same in every figure: its family has a colour (Okabe & Ito's
palette, safe for the colour-blind) and a line style, its way of encoding a marker, so that no line depends on colour.

    styled           decorator: run a function under the shared look, whatever the user's matplotlibrc says
    styles           variant names -> label, colour, marker and line style
    draw_variants    one line a variant, with whiskers
    save             Figure -> .png and .svg, the same bytes for the same figure
    require_columns  the check of a table
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from porcupine.errors import InputError, nearest
from porcupine.storage import replacing

INK = "#222222"
GREY = "#767676"
FLOOR = "#C9C9C9"

_LOOK = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.labelsize": 9.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handlelength": 2.8,
    "lines.linewidth": 1.7,
    "lines.markersize": 5.5,
    "hatch.linewidth": 0.5,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
}

styled = matplotlib.style.context(["default", _LOOK])


@dataclass(frozen=True)
class Style:
    """How one variant is drawn and called."""

    label: str
    color: str
    marker: str
    linestyle: Any

    @property
    def line(self) -> dict[str, Any]:
        """Keyword arguments of a line with markers."""
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.linestyle,
            "markeredgecolor": "white",
            "markeredgewidth": 0.7,
        }


_POLYLINE = {
    "": ("not normalised", "^"),
    "-faithful-nearest": ("paper's resampling", "D"),
    "-exact-nearest": ("exact resampling", "v"),
    "-exact-interval": ("exact, interval codes", "o"),
}


def _polyline(method: str, label: str) -> dict[str, tuple[str, str]]:
    return {method + end: (f"{label}, {text}", marker) for end, (text, marker) in _POLYLINE.items()}


# Families by colour and line; within them, a marker for each way of encoding.
_FAMILIES: tuple[tuple[str, Any, dict[str, tuple[str, str]]], ...] = (
    ("#D55E00", (0, (5, 1.5)), {"vq": ("VQ", "s"), "kmeans": ("k-means", "X"), "diveq": ("DiVeQ", "d")}),
    ("#0072B2", (0, (3, 1.2)), _polyline("sfvq", "SFVQ")),
    ("#CC79A7", (0, (1, 1.2)), _polyline("sf_diveq", "SF-DiVeQ")),
    (
        "#009E73",
        "-",
        {"curve-nearest": ("Curve, nearest codeword", "v"), "curve-interval": ("Curve, interval codes", "o")},
    ),
    ("#882255", (0, (6, 1.5, 1, 1.5, 1, 1.5)), {"tree": ("Tree, nested codes", "<")}),
    ("#E69F00", (0, (6, 1.5, 1, 1.5)), {"balanced": ("Balanced cells", "h")}),
)
_KNOWN = {
    variant: Style(label, color, marker, line)
    for color, line, variants in _FAMILIES
    for variant, (label, marker) in variants.items()
}
_MORE_COLORS = ("#56B4E9", "#999933", "#000000", "#332288")
_MORE_MARKERS = ("P", "*", ">", "p", "8", "H", "D")
_MORE_LINES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 2)))


def styles(variants: Iterable[str]) -> dict[str, Style]:
    """Return the style of each variant, known ones first, then the others by name.

    An unknown variant is labelled with its name; its style depends only on its rank among the unknown ones.
    """
    names = set(variants)
    chosen = {name: style for name, style in _KNOWN.items() if name in names}
    for rank, name in enumerate(sorted(names - set(_KNOWN))):
        chosen[name] = Style(
            name,
            _MORE_COLORS[rank % len(_MORE_COLORS)],
            _MORE_MARKERS[rank % len(_MORE_MARKERS)],
            _MORE_LINES[rank % len(_MORE_LINES)],
        )
    return chosen


@styled
def save(figure: Figure, stem: str | Path, *, dpi: int) -> list[Path]:
    """Write ``figure`` as ``stem``.png and ``stem``.svg and return the two paths.

    The layout is settled and then kept: solving it again would move everything by a hair.

    dpi : pixels per inch of the PNG, and of what is rasterised within the SVG.
    """
    stem = Path(stem)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    paths = []
    for suffix, metadata in ((".png", {}), (".svg", {"Date": None})):
        path = stem.with_name(stem.name + suffix)
        with replacing(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "porcupine"}):
            figure.savefig(temporary, format=suffix[1:], dpi=dpi, metadata=metadata)
        paths.append(path)
    return paths


def require_columns(table: pd.DataFrame, columns: Iterable[str], *, name: str) -> None:
    """Raise InputError naming the columns that ``table`` lacks, or that it has no row."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        hint = nearest(missing[0], [str(column) for column in table.columns]) if len(table.columns) else ""
        raise InputError(f"{name}: missing column {', '.join(missing)}{hint}")
    if table.empty:
        raise InputError(f"{name}: the table has no row, nothing to draw")


def draw_variants(axes: Axes, table: pd.DataFrame, looks: Mapping[str, Style], *, value: str) -> None:
    """Draw one line a variant with whiskers, variants side by side so that none hides another.

    table : columns variant, bits, low, high and the one named ``value``; where a column `hollow` is true, the point has
        an open marker, at the top edge if its value is NaN.
    """
    for rank, (variant, look) in enumerate(looks.items()):
        rows = table[table["variant"] == variant].sort_values("bits")
        bits = rows["bits"].to_numpy(float) + shift(rank, len(looks))
        axes.vlines(bits, rows["low"], rows["high"], color=look.color, linewidth=1.3, alpha=0.75, zorder=2)
        axes.plot(bits, rows[value], label=look.label, zorder=2.2, **look.line)
        if "hollow" in rows:
            hollow = rows["hollow"].to_numpy(bool)
            finite = rows[value].notna().to_numpy()
            axes.plot(bits[hollow & finite], rows[value][hollow & finite], zorder=2.3, **hollow_marker(look))
            at_the_top = np.full((hollow & ~finite).sum(), 0.97)
            axes.plot(
                bits[hollow & ~finite],
                at_the_top,
                transform=axes.get_xaxis_transform(),
                zorder=2.3,
                **hollow_marker(look),
            )


def shift(rank: int, count: int) -> float:
    """Return how far, in bits, the ``rank``-th of ``count`` variants stands from its place."""
    return min(0.07, 0.5 / count) * (rank - (count - 1) / 2)


def hollow_marker(look: Style) -> dict[str, Any]:
    """Return the keyword arguments of unconnected open markers."""
    edge = {"markerfacecolor": "white", "markeredgecolor": look.color, "markeredgewidth": 1.4}
    return {"marker": look.marker, "linestyle": "none", **edge}


def two_line_title(axes: Axes, title: str, below: str) -> None:
    """Write a title and a plain line under it."""
    axes.set_title(title, pad=20)
    axes.annotate(below, (0, 1), xycoords="axes fraction", xytext=(0, 6), textcoords="offset points", fontsize=9)


def show_bits(axes: Axes, bits: Iterable[int]) -> None:
    """Label the x axis as bits of a code, with a tick at whole numbers only."""
    values = sorted(set(bits))
    axes.set_xlabel("code length B (bits)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(values[0] - 0.4, values[-1] + 0.4)


def log_scale(axes: Axes) -> None:
    """Make the y axis logarithmic with plain numbers, more of them where it spans little."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 60 else (1,)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def percent_axis(axes: Axes) -> None:
    """Show fractions on the y axis as per cent."""
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def grouped(number: int) -> str:
    """Return a whole number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u2009")
