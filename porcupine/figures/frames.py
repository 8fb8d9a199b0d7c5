"""Speech as quantised frames: what is left of emotion, of identity and of the sound.

emotion_identity    how well emotion is recognised against how often the speaker is found, a point a system
confusion           which emotions are taken for which
spectrograms        original beside rebuilt sound
quality             measures of the rebuilt sound against the size of the codebook
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator

from porcupine.corpora.table import EMOTIONS
from porcupine.errors import InputError
from porcupine.figures.attacker import CHANCE_LINE, reference_key
from porcupine.figures.style import (
    INK,
    Style,
    grouped,
    percent_axis,
    require_columns,
    styled,
    styles,
    two_line_title,
)

_PLANE = ["system", "setting", "order", "top1", "top1_low", "top1_high", "uar", "uar_low", "uar_high"]
_PLANE += ["top1_chance", "uar_chance"]
_LOOKS = {
    "original": Style("original", INK, "P", "-"),
    "noise": Style("noise", "#56B4E9", "D", (0, (1, 1.2))),
    "k-means": Style("k-means", "#D55E00", "X", (0, (5, 1.5))),
    "embedding": Style("embedding", "#0072B2", "^", (0, (3, 1.2))),
}
_HALO = [withStroke(linewidth=2.2, foreground="white")]
# Of a point, by turns, so that neighbours' texts do not meet.
_SIDES = ({"xytext": (-5, 4), "ha": "right", "va": "bottom"}, {"xytext": (5, -4), "ha": "left", "va": "top"})
_DARK = 0.55  # share from which on a cell has white text
_TOP_KHZ = 8
# Title, axis, where the best is.
_MEASURES = {
    "stoi": ("Intelligibility", "STOI", "high"),
    "mel_cepstral_distortion": ("Mel-cepstral distortion", "dB", "low"),
    "log_spectral_distance": ("Log-spectral distance", "dB", "low"),
    "voicing": ("Agreement in voicing", "share of frames", "high"),
    "pitch_correlation": ("Agreement in pitch", "correlation of log f0", "high"),
    "pitch_error_cents": ("Error in pitch", "cents", "low"),
}


@styled
def emotion_identity(table: pd.DataFrame) -> Figure:
    """Draw how well emotion is recognised against how often the speaker is found first, with 95 % intervals.

    The points of a system are joined in order, each with its setting beside it. Dotted lines stand at chance. The axis
    of identity is logarithmic where no rate is 0.

    table : one row a system × setting. Columns: system, setting (text, such as "K = 64"), order (along the system's
        line), top1, top1_low, top1_high, uar (unweighted average recall), uar_low, uar_high, top1_chance, uar_chance;
        all fractions.
    Raises InputError where a column is missing.
    """
    require_columns(table, _PLANE, name="emotion and identity")
    looks = _looks(table["system"])
    figure = Figure(figsize=(7.4, 6), layout="constrained")
    axes = figure.subplots()
    for chance in table["top1_chance"].unique():
        axes.axvline(chance, label="chance", zorder=1, **CHANCE_LINE)
    for chance in table["uar_chance"].unique():
        axes.axhline(chance, label="chance", zorder=1, **CHANCE_LINE)
    for system, look in looks.items():
        rows = table[table["system"] == system].sort_values("order")
        whiskers: dict[str, Any] = {"color": look.color, "linewidth": 1.1, "alpha": 0.5, "zorder": 1.8}
        axes.hlines(rows["uar"], rows["top1_low"], rows["top1_high"], **whiskers)
        axes.vlines(rows["top1"], rows["uar_low"], rows["uar_high"], **whiskers)
        axes.plot(rows["top1"], rows["uar"], label=look.label, zorder=2.2, **look.line | {"markersize": 7.5})
        for number, (setting, x, y) in enumerate(
            zip(rows["setting"].fillna(""), rows["top1"], rows["uar"], strict=True)
        ):
            side: dict[str, Any] = _SIDES[number % 2]
            font: dict[str, Any] = {"color": look.color, "fontsize": 8.5, "path_effects": _HALO, "zorder": 3}
            axes.annotate(setting, (x, y), textcoords="offset points", **side, **font)
    if (table["top1"] > 0).all():
        axes.set(xscale="log", xlim=(table[["top1", "top1_chance"]].to_numpy(float).min() / 1.6, 1.5))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    percent_axis(axes)
    axes.grid()
    axes.set(xlabel="speaker found first", ylabel="emotion recognised, unweighted average recall")
    two_line_title(axes, "Emotion and identity", "best is high on the left")
    handles: list[Artist] = [_key(look) for look in looks.values()]
    handles += reference_key(raw=False)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, title="Whiskers: 95 % intervals.")
    return figure


@styled
def confusion(table: pd.DataFrame) -> Figure:
    """Draw confusion matrices of emotions: in each cell the share of the true emotion's utterances, and their number.

    table : columns condition (a panel each, in their order), emotion, predicted, count. Counts of the same three are
        added up, such as those of several speakers; pairs without a row count 0.
    Raises InputError where a column is missing, or a count is negative.
    """
    require_columns(table, ["condition", "emotion", "predicted", "count"], name="confusions")
    wrong = table.loc[~(table["count"] >= 0), "count"]
    if len(wrong):
        raise InputError(f"confusions: count={wrong.iloc[0]}, must be at least 0")
    found = {*table["emotion"], *table["predicted"]}
    labels = [word for word in EMOTIONS if word in found] + sorted(found - set(EMOTIONS))
    conditions = table["condition"].unique()
    side = max(2.4, 0.5 * len(labels))
    figure, panels = _grid(len(conditions), columns=3, width=side + 0.3, height=side + 0.8)
    for axes, condition in zip(panels, conditions, strict=True):
        rows = table[table["condition"] == condition]
        counts = rows.groupby(["emotion", "predicted"])["count"].sum().unstack(fill_value=0)
        _draw_matrix(axes, counts.reindex(index=labels, columns=labels, fill_value=0).to_numpy(), condition)
    panels[0].set_xticks(range(len(labels)), labels)
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].set(xlim=(-0.5, len(labels) - 0.5), ylim=(len(labels) - 0.5, -0.5))
    _label_edges(panels, columns=3, x="recognised as", y="emotion")
    return figure


def _draw_matrix(axes: Axes, counts: np.ndarray, title: str) -> None:
    """Draw one matrix, int [L, L], true emotions in rows; a row without utterances stays white."""
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for (row, column), share in np.ndenumerate(shares):
        if totals[row]:
            color = "white" if share > _DARK else INK
            place: dict[str, Any] = {"ha": "center", "color": color}
            axes.text(column, row, f"{100 * share:.0f} %", va="bottom", fontsize=8.5, **place)
            axes.text(column, row + 0.08, grouped(int(counts[row, column])), va="top", fontsize=6.5, alpha=0.8, **place)
    recall = shares.diagonal()[totals > 0].mean() if totals.any() else np.nan
    two_line_title(axes, title, f"average recall {100 * recall:.0f} %, n = {grouped(int(totals.sum()))}")
    axes.tick_params(length=0)
    axes.tick_params("x", labelrotation=90)
    axes.spines[:].set_visible(False)


@styled
def spectrograms(panels: Mapping[str, np.ndarray], *, hop_seconds: float) -> Figure:
    """Draw spectrograms on the same axes and the same scale, such as the original's beside those of rebuilt sound.

    panels : title -> decibels, float [T', F], of `porcupine.frames.rebuild.spectrogram`: rows ``hop_seconds`` apart,
        columns from 0 to 8 kHz.
    Raises InputError where there are none, or one is not such an array.
    """
    if not panels or not hop_seconds > 0:
        raise InputError(f"{len(panels)} spectrograms, hop_seconds={hop_seconds}: at least one, and a positive hop")
    for title, decibels in panels.items():
        if decibels.ndim != 2 or not len(decibels) or decibels.shape[1] < 2 or not np.isfinite(decibels).all():
            raise InputError(f"{title}: spectrogram of shape {decibels.shape}, should be [T', F >= 2], and finite")
    columns = 2 if len(panels) in (2, 4) else 3
    figure, drawn = _grid(len(panels), columns=columns, width=3.0, height=1.9)
    scale = {"vmin": min(one.min() for one in panels.values()), "vmax": max(one.max() for one in panels.values())}
    for axes, (title, decibels) in zip(drawn, panels.items(), strict=True):
        half = _TOP_KHZ / (decibels.shape[1] - 1) / 2
        extent = (-hop_seconds / 2, (len(decibels) - 0.5) * hop_seconds, -half, _TOP_KHZ + half)
        image = axes.imshow(decibels.T, origin="lower", aspect="auto", extent=extent, cmap="magma", **scale)
        axes.set_title(title)
    longest = max(len(decibels) for decibels in panels.values())
    drawn[0].set(xlim=(0, (longest - 1) * hop_seconds), ylim=(0, _TOP_KHZ))
    _label_edges(drawn, columns=columns, x="time (s)", y="frequency (kHz)")
    figure.colorbar(image, ax=drawn, label="dB", shrink=0.8, pad=0.02)
    return figure


@styled
def quality(table: pd.DataFrame) -> Figure:
    """Draw measures of the rebuilt sound against the size of the codebook, a panel a measure, with their intervals.

    What passed no codebook is a horizontal line with a band.

    table : one row a system × setting × metric. Columns: system, setting (K; 0 for no codebook), metric, value, low,
        high. Metrics: stoi, mel_cepstral_distortion, log_spectral_distance, voicing, pitch_correlation,
        pitch_error_cents, as far as the table has them; others are left out.
    Raises InputError where a column is missing, or there is none of these.
    """
    require_columns(table, ["system", "setting", "metric", "value", "low", "high"], name="quality")
    shown = [metric for metric in _MEASURES if (table["metric"] == metric).any()]
    if not shown:
        raise InputError(f"quality: none of the metrics {', '.join(_MEASURES)}, nothing to draw")
    looks = _looks(table["system"])
    sizes = sorted(table.loc[table["setting"] > 0, "setting"].unique())
    columns = 2 if len(shown) in (2, 4) else 3
    figure, panels = _grid(len(shown), columns=columns, width=3.1, height=2.7, sharey=False)
    for axes, metric in zip(panels, shown, strict=True):
        rows = table[table["metric"] == metric].dropna(subset="value")
        for system, look in looks.items():
            some = rows[rows["system"] == system].sort_values("setting")
            quantised = some[some["setting"] > 0]
            for value, low, high in some.loc[some["setting"] == 0, ["value", "low", "high"]].itertuples(index=False):
                axes.axhspan(low, high, color=look.color, alpha=0.15, linewidth=0)
                axes.axhline(value, label=look.label, color=look.color, linestyle=look.linestyle, linewidth=1.3)
            axes.vlines(quantised["setting"], quantised["low"], quantised["high"], color=look.color, linewidth=1.3)
            axes.plot(
                quantised["setting"],
                quantised["value"],
                label=look.label,
                zorder=2.2,
                **look.line | {"markersize": 7.5},
            )
        title, unit, best = _MEASURES[metric]
        two_line_title(axes, title, f"best is {best}")
        axes.set_ylabel(unit)
        axes.grid()
    if sizes:
        panels[0].set_xscale("log", base=2)
        panels[0].set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    panels[0].set_xticks(sizes, [f"{size:g}" for size in sizes])
    panels[0].xaxis.set_minor_locator(NullLocator())
    _label_edges(panels, columns=columns, x="codewords K")
    figure.legend(
        handles=[_key(look) for look in looks.values()],
        loc="outside lower center",
        ncols=4,
        title="Whiskers and bands: 95 % intervals.",
    )
    return figure


def _looks(systems: Iterable[str]) -> dict[str, Style]:
    known = set(systems)
    return {name: look for name, look in _LOOKS.items() if name in known} | styles(known - set(_LOOKS))


def _key(look: Style) -> Line2D:
    return Line2D([], [], label=look.label, **look.line | {"markersize": 7})


def _grid(number: int, *, columns: int, width: float, height: float, sharey: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure and so many panels, ``width`` and ``height`` inches each, row by row."""
    columns = min(columns, number)
    rows = -(-number // columns)
    figure = Figure(figsize=(width * columns + 1.2, height * rows + 0.8), layout="constrained")
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=sharey, squeeze=False).flat)
    for axes in panels[number:]:
        axes.remove()
    return figure, panels[:number]


def _label_edges(panels: list[Axes], *, columns: int, x: str, y: str = "") -> None:
    """Label the axes of the lowest panel of each column, and of the first of each row."""
    for axes in panels[-columns:]:
        axes.set_xlabel(x)
        axes.tick_params(labelbottom=True)
    if y:
        for axes in panels[::columns]:
            axes.set_ylabel(y)
