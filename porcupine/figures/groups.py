"""What is disclosed about groups of speakers: who is least protected?

groups    worst-case disclosure of a code to those who know the group
exposure  what the strongest attacker learns, of the whole group and of its most exposed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from porcupine.errors import InputError, nearest
from porcupine.figures.attacker import CHANCE_LINE, RAW, RAW_LABEL, choose, code_length, dot, offset
from porcupine.figures.style import (
    FLOOR,
    INK,
    Style,
    grouped,
    hollow_marker,
    require_columns,
    styled,
    styles,
    two_line_title,
)

_GROUPS = ["variant", "bits", "attribute", "part", "group", "n_speakers", "metric", "value", "standard_error"]
_GROUPS += ["floor_low", "floor_high", "floor_infinite"]
_EXPOSURE = ["variant", "bits", "threat", "attacker", "attribute", "group", "among", "n_speakers", "n_attacked"]
_EXPOSURE += ["bits_learnt", "bits_low", "bits_high", "exposed", "exposed_low", "exposed_high"]
_METRIC = "worst_case_bits"
_OFTEN = 0.025  # share of floors that are infinite, from which on the upper end of their 95 % range is
_ALL = ("", "")
_IDEAL: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": (0, (1, 1.5))}
_CEILING: dict[str, Any] = {"color": INK, "linewidth": 1.1, "linestyle": (0, (5, 2))}
_RAW_LOOK = Style(RAW_LABEL, INK, "P", "-")


@styled
def groups(table: pd.DataFrame, *, bits: int | None = None, variants: Sequence[str] | None = None) -> Figure:
    """Draw the worst-case disclosure within each group of speakers, a panel a variant, beside that of all speakers.

    Whiskers are ± 1.96 standard errors. The grey band holds 95 % of codes that are uniform within the group, which is
    wider and further right the smaller the group; it has no end where they, too, leave codes empty. An open marker at
    the right edge is infinite: some code is empty.

    table : one row a variant × bits × attribute × group × metric. Columns: variant, bits, attribute and those of
        `porcupine.privacy.disclosure.by_group`, whose worst_case_bits are drawn.
    bits, variants : see `porcupine.figures.attacker.choose`; None for the longest code for which no group is too small,
        or else the shortest.
    Raises InputError where a column is missing, or there is nothing to draw.
    """
    require_columns(table, _GROUPS, name="groups")
    rows = table[table["metric"] == _METRIC]
    if bits is None and len(rows):
        infinite = rows.groupby("bits")["floor_infinite"].max()
        bits = int(max(infinite.index[infinite <= _OFTEN], default=infinite.index.min()))
    rows, bits, names = choose(rows, bits, variants, name=f"groups, metric {_METRIC}")
    everyone = rows["part"] == "all"
    rows = rows.assign(attribute=rows["attribute"].mask(everyone, ""), group=rows["group"].mask(everyone, ""))
    places, labels = _places(rows, "n_speakers")
    value = rows["value"].where(np.isfinite(rows["value"]))
    drawn = pd.concat([value, rows[["floor_low", "floor_high"]]], axis=1).to_numpy(float)
    left, right = min(bits, np.nanmin(drawn)) - 0.4, np.nanmax([*drawn.ravel(), bits]) + 0.8
    error = 1.96 * rows["standard_error"].fillna(0)
    endless = (rows["floor_infinite"] > _OFTEN) | rows["floor_high"].isna()
    rows = rows.assign(
        value=value,
        low=value - error,
        high=value + error,
        floor_low=rows["floor_low"].fillna(right - 0.2),
        floor_high=rows["floor_high"].mask(endless, right),
    )
    figure = Figure(figsize=(max(2.6 * len(names) + 1.6, 6), _height(labels)), layout="constrained")
    panels = list(figure.subplots(1, len(names), sharex=True, sharey=True, squeeze=False).flat)
    for axes, (name, look) in zip(panels, styles(names).items(), strict=True):
        some = rows[rows["variant"] == name].drop_duplicates(["attribute", "group"])
        y = np.array([places[key] for key in _keys(some)], dtype=float)
        axes.barh(y, some["floor_high"] - some["floor_low"], 0.7, some["floor_low"], color=FLOOR, linewidth=0, zorder=1)
        axes.axvline(bits, zorder=1.5, **_IDEAL)
        axes.axvline(some["value"].iloc[y.argmin()], color=look.color, linewidth=1, alpha=0.6, zorder=1.6)
        axes.hlines(y, some["low"], some["high"], color=look.color, linewidth=1.4, zorder=2)
        axes.plot(some["value"], y, label=look.label, zorder=2.2, **dot(look))
        for place in y[some["value"].isna()]:
            axes.plot(right, place, clip_on=False, zorder=3, **hollow_marker(look))
        two_line_title(axes, look.label, code_length(bits))
        axes.set(xlabel="worst-case disclosure (bits)", xlim=(left, right))
        _label(axes, labels)
    handles: list[Artist] = [
        Patch(color=FLOOR, linewidth=0, label="codes uniform within the group, 95 %"),
        Line2D([], [], label="B bits, the ideal", **_IDEAL),
    ]
    if rows["value"].isna().any():
        handles.append(
            Line2D([], [], label="open: infinite, a code is empty", **hollow_marker(Style("", INK, "o", "-")))
        )
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3,
        title="In brackets: speakers. Whiskers: 95 % intervals, where finite. Coloured line: all speakers.",
    )
    return figure


@styled
def exposure(
    table: pd.DataFrame, *, bits: int | None = None, variants: Sequence[str] | None = None, among: str = "everyone"
) -> Figure:
    """Draw the bits that the strongest attacker learns about each group: of all in it, and of its most exposed 1 %.

    The strongest is the one who learns most about all speakers. Dotted line: nothing, as by guessing; dashed line: log2
    of the greatest number of candidates, to know who it is.

    table : one row a variant × bits × threat × attacker × attribute × group × among. Columns: variant ("raw": not
        quantised), bits, threat, attacker, attribute ("" or NaN for all speakers), group, among, n_speakers
        (candidates), n_attacked, bits_learnt, bits_low, bits_high, exposed, exposed_low, exposed_high.
    bits, variants : see `porcupine.figures.attacker.choose`.
    among : whom the attacker chooses from, "everyone" or, since he knows it, the "group".
    Raises InputError where a column is missing, or there is nothing to draw.
    """
    require_columns(table, _EXPOSURE, name="exposure")
    rows, bits, names = choose(table.dropna(subset="bits_learnt"), bits, variants, name="exposure")
    rows = rows.assign(**{name: rows[name].astype(object).fillna("") for name in ("attribute", "group")})
    everyone = rows[rows["attribute"] == ""]
    best = everyone.loc[
        everyone.groupby("variant", sort=False)["bits_learnt"].idxmax(), ["variant", "threat", "attacker"]
    ]
    rows = rows.merge(best, on=["variant", "threat", "attacker"])
    kinds = set(rows["among"])
    if among not in kinds:
        raise InputError(f"exposure: no row among {among!r}{nearest(among, kinds)}")
    rows = rows[(rows["attribute"] == "") | (rows["among"] == among)]
    places, labels = _places(rows, "n_attacked")
    looks = ({RAW: _RAW_LOOK} if (rows["variant"] == RAW).any() else {}) | styles(names)
    figure = Figure(figsize=(9.2, _height(labels, 0.33)), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    two_line_title(panels[0], "All speakers of the group", code_length(bits))
    two_line_title(panels[1], "Its most exposed 1 %", "of whom the attacker expects most; of codes only")
    for axes, figures in zip(
        panels, (["bits_learnt", "bits_low", "bits_high"], ["exposed", "exposed_low", "exposed_high"]), strict=True
    ):
        axes.axvline(0, zorder=1.5, **CHANCE_LINE)
        axes.axvline(np.log2(rows["n_speakers"].max()), zorder=1.5, **_CEILING)
        for rank, (name, look) in enumerate(looks.items()):
            some = rows[rows["variant"] == name].dropna(subset=figures[0])
            y = np.array([places[key] for key in _keys(some)], dtype=float) + offset(rank, len(looks))
            value, low, high = (some[column] for column in figures)
            axes.hlines(y, low, high, color=look.color, linewidth=1.3, zorder=2)
            axes.plot(value, y, label=look.label, zorder=2.2, **dot(look))
        axes.set_xlabel("bits learnt about who it is, on average")
        _label(axes, labels)
    handles: list[Artist] = [Line2D([], [], label=look.label, **dot(look)) for look in looks.values()]
    handles += [
        Line2D([], [], label="chance", **CHANCE_LINE),
        Line2D([], [], label="log$_2$ M: known who it is", **_CEILING),
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3,
        title="The strongest attacker. In brackets: speakers attacked. Whiskers: 95 % intervals.",
    )
    return figure


def _keys(rows: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(rows["attribute"].astype(str), rows["group"].astype(str), strict=True))


def _places(rows: pd.DataFrame, size: str) -> tuple[dict[tuple[str, str], int], list[tuple[str, bool]]]:
    """Line of all speakers and of each group, under a heading each; the labels, and which of them are headings."""
    sizes = dict(zip(_keys(rows), rows[size].astype(int), strict=True))
    places, labels = {_ALL: 0}, [(f"all ({grouped(sizes[_ALL])})", True)]
    for attribute in dict.fromkeys(attribute for attribute, _ in sizes if attribute):
        labels.append((attribute.replace("_", " "), True))
        for key in (key for key in sizes if key[0] == attribute):
            places[key] = len(labels)
            labels.append((f"{key[1]} ({grouped(sizes[key])})", False))
    return places, labels


def _height(labels: list[tuple[str, bool]], line: float = 0.24) -> float:
    return 1.9 + line * len(labels)


def _label(axes: Axes, labels: list[tuple[str, bool]]) -> None:
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(range(len(labels)), [label.replace("$", r"\$") for label, _ in labels])
    for tick, (_, heading) in zip(axes.yaxis.get_major_ticks(len(labels)), labels, strict=True):
        tick.label1.set_fontweight("bold" if heading else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
