"""One array of codes: what each of them discloses, and what they disclose within groups.

counts   how many speakers have each code
ranked   what each code discloses, from the rarest to the most common
groups   worst-case disclosure to those who know the group of a speaker
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from porcupine.figures.attacker import dot
from porcupine.figures.groups import _height, _keys, _label, _places
from porcupine.figures.occupancy import _draw_histograms, _histogram_key
from porcupine.figures.style import FLOOR, INK, Style, grouped, hollow_marker, require_columns, styled, two_line_title
from porcupine.privacy.certificate import Certificate

MOST_DRAWN = 2000  # codes one by one
LOOK = Style("These codes", "#0072B2", "o", "-")
_MEASURED = ["metric", "value", "standard_error", "floor_low", "floor_high"]
_IDEAL: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": (0, (1, 1.5))}
_PROMISED: dict[str, Any] = {"color": "#D55E00", "linewidth": 1.6, "linestyle": (0, (5, 1.5))}


@styled
def counts(speakers: np.ndarray) -> Figure:
    """Draw how many speakers have each code, as `porcupine.figures.histograms`. speakers : int [K]."""
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    axes = figure.subplots()
    _draw_histograms([axes], {LOOK.label: speakers}, int(speakers.sum()))
    axes.set(xlabel="code", ylabel="speakers")
    for drawn in axes.patches:
        drawn.set_rasterized(len(speakers) > MOST_DRAWN)
    figure.legend(handles=_histogram_key(), loc="outside lower center", ncols=3)
    return figure


@styled
def ranked(codes: pd.DataFrame, certificate: Certificate) -> Figure:
    """Draw the disclosure of each code by its rank, the rarest first, beside that of equally likely codes.

    A dotted line stands at B = log2 K, which all codes would disclose if all were as frequent; a dashed one at what is
    certified. Open markers at the top are infinite: nobody has these codes.

    codes : one row a code. Columns: rank (1 … K), bits, floor_low, floor_high (of that rank; all may be infinite).
    Raises InputError where a column is missing.
    """
    require_columns(codes, ["rank", "bits", "floor_low", "floor_high"], name="codes")
    n_codewords = len(codes)
    shown = np.unique(np.linspace(0, n_codewords - 1, min(n_codewords, MOST_DRAWN)).round().astype(int))
    codes = codes.sort_values("rank").iloc[shown]
    rank, bits = codes["rank"].to_numpy(), codes["bits"].to_numpy(float)
    ideal, certified = math.log2(n_codewords), certificate.bits
    band = codes[["floor_low", "floor_high"]].to_numpy(float)
    values = np.concatenate([bits, band.ravel(), [ideal, certified]])
    values = values[np.isfinite(values)]
    top = values.max() + 0.08 * max(np.ptp(values), 0.5)
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(
        rank, band[:, 0].clip(max=2 * top), band[:, 1].clip(max=2 * top), step="mid", color=FLOOR, linewidth=0, zorder=1
    )
    axes.axhline(ideal, zorder=1.5, **_IDEAL)
    finite = np.isfinite(bits)
    if n_codewords > 64:
        axes.plot(rank[finite], bits[finite], color=LOOK.color, linewidth=2, label=LOOK.label, zorder=2.2)
    else:
        axes.plot(rank[finite], bits[finite], label=LOOK.label, zorder=2.2, **dot(LOOK))
    handles: list[Artist] = [axes.lines[1], Patch(color=FLOOR, linewidth=0, label="equally likely codes, 95 %")]
    handles.append(Line2D([], [], label="B = log$_2$ K, the ideal", **_IDEAL))
    if math.isfinite(certified):
        axes.axhline(certified, zorder=1.6, **_PROMISED)
        sure = f"{100 * (1 - certificate.alpha):.4g} %"
        handles.append(
            Line2D([], [], label=f"certified at {sure}: {math.ceil(100 * certified) / 100:.2f}", **_PROMISED)
        )
    if not finite.all():
        axes.plot(rank[~finite], np.full((~finite).sum(), top), clip_on=False, zorder=3, **hollow_marker(LOOK))
        handles.append(Line2D([], [], label="infinite: nobody has it", **hollow_marker(LOOK)))
    below = f"{grouped(n_codewords)} codes of {grouped(certificate.n_evidence)} speakers, one each"
    two_line_title(axes, "What each code discloses", below)
    axes.set(xlabel="code, from the rarest to the most common", ylabel="disclosure (bits)")
    axes.set_ylim(values.min() - 0.08 * max(np.ptp(values), 0.5), top)
    axes.set_xlim(0.5, n_codewords + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


@styled
def groups(disclosure: pd.DataFrame, n_codewords: int) -> Figure:
    """Draw the worst-case disclosure within each group of speakers, beside that of all.

    As `porcupine.figures.groups`, for one array of codes and any K; see there for what the marks mean.

    disclosure : one row an attribute × group × metric, of whom worst_case_bits are drawn. Columns: attribute and those
        of `porcupine.privacy.disclosure.by_group`; floor_low and floor_high may be infinite.
    Raises InputError where a column is missing, or there is nothing to draw.
    """
    require_columns(disclosure, ["attribute", "part", "group", "n_speakers", *_MEASURED], name="disclosure")
    rows = disclosure[disclosure["metric"] == "worst_case_bits"]
    everyone = rows["part"] == "all"
    plain = {  # no formula, whatever they are called
        name: rows[name].mask(everyone, "").astype(str).str.replace("$", r"\$") for name in ("attribute", "group")
    }
    rows = rows.assign(**plain)
    places, labels = _places(rows, "n_speakers")
    y = np.array([places[key] for key in _keys(rows)], dtype=float)
    value = rows["value"].where(np.isfinite(rows["value"]))
    error = 1.96 * rows["standard_error"].fillna(0)
    ideal = math.log2(n_codewords)
    floor = rows[["floor_low", "floor_high"]].replace(math.inf, math.nan)
    drawn = pd.concat([value, floor], axis=1).to_numpy(float)
    left, right = min(ideal, np.nanmin(drawn, initial=ideal)) - 0.4, np.nanmax(drawn, initial=ideal) + 0.8
    low, high = floor["floor_low"].fillna(right - 0.2), floor["floor_high"].fillna(right)
    figure = Figure(figsize=(9.2, _height(labels)), layout="constrained")
    axes = figure.subplots()
    axes.barh(y, high - low, 0.7, low, color=FLOOR, linewidth=0, zorder=1)
    axes.axvline(ideal, zorder=1.5, **_IDEAL)
    axes.hlines(y, value - error, value + error, color=LOOK.color, linewidth=1.4, zorder=2)
    axes.plot(value, y, zorder=2.2, **dot(LOOK))
    two_line_title(axes, "Disclosure to those who know the group", f"worst case of {grouped(n_codewords)} codes")
    axes.set(xlabel="worst-case disclosure (bits)", xlim=(left, right))
    _label(axes, labels)
    handles: list[Artist] = [
        Line2D([], [], label=LOOK.label, **dot(LOOK)),
        Patch(color=FLOOR, linewidth=0, label="codes uniform within the group, 95 %"),
        Line2D([], [], label="B = log$_2$ K, the ideal", **_IDEAL),
    ]
    if value.isna().any():
        axes.plot(np.full(value.isna().sum(), right), y[value.isna()], clip_on=False, zorder=3, **hollow_marker(LOOK))
        handles.append(Line2D([], [], label="open: infinite, a code is empty", **hollow_marker(LOOK)))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3,
        title="In brackets: speakers. Whiskers: 95 % intervals, where finite.",
    )
    return figure
