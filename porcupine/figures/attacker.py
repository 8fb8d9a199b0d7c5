"""How often an attacker who sees a code finds the speaker.

    attack   the strongest attacker at each bitrate
    threats  every attacker under every threat model, at one bitrate

`choose` picks the few variants and the one bitrate of a figure that would be crowded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from porcupine.errors import InputError, nearest
from porcupine.figures.style import (
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
from porcupine.privacy.attackers import strongest

RAW = "raw"
RAW_LABEL = "not quantised"
RAW_LINE: dict[str, Any] = {"color": INK, "linestyle": "-", "linewidth": 1.2}
CHANCE_LINE: dict[str, Any] = {"color": INK, "linestyle": ":", "linewidth": 1.4}
FEW = ("vq", "sfvq-faithful-nearest", "balanced")

_COLUMNS = ["variant", "bits", "threat", "attacker", "epsilon", "figure", "value", "low", "high", "chance"]
_COLUMNS += ["n_speakers", "n_probes"]
_TITLES = {"top1": "Speaker found first", "top10": "Speaker among the first ten", "eer": "Equal error rate"}
_STRIPE = "#F5F5F5"
_ATTACKERS = {"cosine": "cosine", "plda": "PLDA", "mlp": "neural net", "bayes": "code counts"}
# What the attacker's model has learnt from: the darker, the more he knows of the codes.
_THREATS = {
    "ignorant": Style("ignorant: raw embeddings", "#9ECAE1", "o", "none"),
    "semi-informed": Style("semi-informed: codes of his own quantiser", "#4292C6", "D", "none"),
    "informed": Style("informed: codes of this quantiser", "#08306B", "s", "none"),
}
_SPREAD = 0.8  # of the points that stand side by side, over their distance from the next


@styled
def attack(rates: pd.DataFrame) -> Figure:
    """Draw top-1 and top-10 identification and the equal error rate of the strongest attacker, with 95 % intervals.

    Variants stand side by side at each bitrate, so that none hides another. The raw embeddings are a horizontal line
    with a band, chance a dotted line. Randomised response is left out.

    rates : one row a variant × bits × threat × attacker × epsilon × figure. Columns: variant ("raw": not quantised, its
        bits are ignored), bits, threat, attacker, epsilon (infinite: the code as it is), figure (top1, top10, eer),
        value, low, high, chance (all fractions), n_speakers, n_probes.
    Raises InputError where a column, a figure or every quantised variant is missing.
    """
    rates = strongest(_as_they_are(rates))
    quantised = rates[rates["variant"] != RAW]
    for name in _TITLES:
        if not (quantised["figure"] == name).any():
            raise InputError(f"rates: no quantised variant with figure {name!r}, must have {', '.join(_TITLES)}")
    looks, bits = styles(quantised["variant"]), sorted(quantised["bits"].unique())
    figure = Figure(figsize=(9.2, 8), layout="constrained")
    panels = list(figure.subplots(3, 1, sharex=True))
    for axes, name in zip(panels, _TITLES, strict=True):
        rows = rates[rates["figure"] == name]
        draw_raw(axes, rows.loc[rows["variant"] == RAW, ["value", "low", "high"]])
        for chance in rows["chance"].unique():
            axes.axhline(chance, label="chance", zorder=1, **CHANCE_LINE)
        _draw_side_by_side(axes, rows, looks, bits)
        axes.set_title(_TITLES[name])
        axes.grid(axis="y")
        axes.set_ylabel("error rate" if name == "eer" else "share of probes")
        values = rows[["value", "low", "chance"]].to_numpy(float)
        axes.set_ylim(values[values > 0].min() / 1.5, 0.7 if name == "eer" else 1.4)
        log_scale(axes)
        percent_axis(axes)
    panels[-1].set_xlabel("code length B (bits)")
    handles: list[Artist] = [Line2D([], [], label=look.label, **dot(look)) for look in looks.values()]
    handles += reference_key(raw=bool((rates["variant"] == RAW).any()))
    size = rates.iloc[0]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=4,
        title=f"{grouped(size['n_speakers'])} speakers, {grouped(size['n_probes'])} probes. "
        "The strongest of all attackers; whiskers: 95 % intervals.",
    )
    return figure


@styled
def threats(rates: pd.DataFrame, *, bits: int | None = None, variants: Sequence[str] | None = None) -> Figure:
    """Draw top-1 identification by attacker and threat model, a panel for the raw embeddings and for each variant.

    The rate of the strongest is written out. A dotted line stands at chance, a solid one at the strongest attacker of
    raw embeddings.

    rates : as for `attack`; top1 is drawn.
    bits, variants : see `choose`.
    Raises InputError where a column is missing, or there is nothing to draw.
    """
    rates = _as_they_are(rates)
    rates = rates[rates["figure"] == "top1"]
    rates, bits, names = choose(rates, bits, variants, name="rates of top-1 identification")
    shown = [name for name in (RAW, *names) if (rates["variant"] == name).any()]
    attackers = sorted(set(rates["attacker"]), key=lambda name: [*_ATTACKERS, name].index(name))
    models = _threat_styles(rates["threat"])
    best_of = strongest(rates).set_index("variant")
    labels = {name: look.label for name, look in styles(names).items()} | {RAW: "Not quantised"}

    height = 1.7 + 0.2 * len(attackers) * (1 + len(models))
    figure = Figure(figsize=(max(2.5 * len(shown) + 0.6, 6), height), layout="constrained")
    panels = list(figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False).flat)
    for axes, variant in zip(panels, shown, strict=True):
        rows = rates[rates["variant"] == variant]
        for row, _ in enumerate(attackers[::2]):
            axes.axhspan(2 * row - 0.5, 2 * row + 0.5, color=_STRIPE, linewidth=0, zorder=0.5)
        if RAW in best_of.index:
            axes.axvline(best_of.loc[RAW, "value"], zorder=1, **RAW_LINE)
        axes.axvline(rows["chance"].iloc[0], zorder=1, **CHANCE_LINE)
        for rank, (threat, look) in enumerate(models.items()):
            some = rows[rows["threat"] == threat]
            y = np.array([attackers.index(name) for name in some["attacker"]]) + offset(rank, len(models))
            axes.hlines(y, some["low"], some["high"], color=look.color, linewidth=1.3, zorder=2)
            axes.plot(some["value"], y, label=look.label, zorder=2.2, **dot(look))
        best = best_of.loc[[variant]].iloc[0]
        place = attackers.index(best["attacker"]) + offset(list(models).index(best["threat"]), len(models))
        left = best["value"] > 0.1
        axes.annotate(
            f"{100 * best['value']:.3g} %",
            (best["low"] if left else best["high"], place),
            xytext=(-5 if left else 5, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontweight="bold",
        )
        two_line_title(axes, labels[variant], "the embedding itself" if variant == RAW else code_length(bits))
        axes.grid(axis="x")
        axes.set(xscale="log", xlim=(rates["chance"].min() / 1.6, 1.3), xlabel="speaker found first")
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    panels[0].set_ylim(len(attackers) - 0.5, -0.5)
    panels[0].set_yticks(range(len(attackers)), [_ATTACKERS.get(name, name) for name in attackers])
    panels[0].set_ylabel("attacker")
    handles: list[Artist] = [Line2D([], [], label=look.label, **dot(look)) for look in models.values()]
    figure.legend(
        handles=handles + reference_key(raw=RAW in best_of.index),
        loc="outside lower center",
        ncols=3,
        title="What the attacker has learnt from; whiskers: 95 % intervals",
    )
    return figure


def choose(
    table: pd.DataFrame, bits: int | None, variants: Sequence[str] | None, *, name: str
) -> tuple[pd.DataFrame, int, list[str]]:
    """Return the rows of one bitrate and a few variants, raw ones among them, the bitrate and the variants.

    bits : None for the middle one of the table. variants : None for those of `FEW` that it has, or else for all.
    Raises InputError where the table has none of the kind.
    """
    quantised = table[table["variant"] != RAW]
    if quantised.empty:
        raise InputError(f"{name}: no quantised variant, nothing to draw")
    bitrates = sorted(int(value) for value in quantised["bits"].unique())
    chosen_bits = bitrates[len(bitrates) // 2] if bits is None else bits
    if chosen_bits not in bitrates:
        raise InputError(f"{name}: no row of bits={chosen_bits}; choose from {', '.join(map(str, bitrates))}")
    quantised = quantised[quantised["bits"] == chosen_bits]
    present = list(styles(quantised["variant"]))
    if variants is None:
        variants = [variant for variant in present if variant in FEW] or present
    for variant in variants:
        if variant not in present:
            raise InputError(f"{name}: no variant {variant!r} of {chosen_bits} bits{nearest(variant, present)}")
    wanted = (table["variant"] == RAW) | (table["bits"] == chosen_bits) & table["variant"].isin(variants)
    return table[wanted], chosen_bits, list(styles(variants))


def code_length(bits: int) -> str:
    """Return what stands under the title of a panel about one bitrate."""
    return f"{bits} bits, {2**bits} codewords"


def draw_raw(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw a line and a band for each row of value, low, high."""
    for value, low, high in rows.itertuples(index=False):
        axes.axhspan(low, high, color=INK, alpha=0.15, linewidth=0)
        axes.axhline(value, label=RAW_LABEL, zorder=1, **RAW_LINE)


def reference_key(*, raw: bool) -> list[Artist]:
    """Legend of the raw embeddings, where they are drawn, and of chance."""
    chance = Line2D([], [], label="chance", **CHANCE_LINE)
    return [Line2D([], [], label=RAW_LABEL, **RAW_LINE), chance] if raw else [chance]


def dot(look: Style) -> dict[str, Any]:
    """Return the keyword arguments of unconnected markers."""
    return {**look.line, "linestyle": "none", "markersize": 6.5}


def offset(rank: int, count: int) -> float:
    """Return how far the ``rank``-th of ``count`` points side by side stands from their common place."""
    return _SPREAD * ((rank + 0.5) / count - 0.5)


def _as_they_are(rates: pd.DataFrame) -> pd.DataFrame:
    """Rates without randomised response."""
    require_columns(rates, _COLUMNS, name="rates")
    return rates[rates["epsilon"] == math.inf].dropna(subset="value")


def _threat_styles(names: Iterable[str]) -> dict[str, Style]:
    known = set(names)
    return {name: look for name, look in _THREATS.items() if name in known} | styles(known - set(_THREATS))


def _draw_side_by_side(axes: Axes, rows: pd.DataFrame, looks: dict[str, Style], bits: list[int]) -> None:
    for place in range(0, len(bits), 2):
        axes.axvspan(place - 0.5, place + 0.5, color=_STRIPE, linewidth=0, zorder=0.5)
    for rank, (variant, look) in enumerate(looks.items()):
        some = rows[rows["variant"] == variant].sort_values("bits")
        x = np.array([bits.index(value) for value in some["bits"]]) + offset(rank, len(looks))
        axes.vlines(x, some["low"], some["high"], color=look.color, linewidth=1.3, zorder=2)
        axes.plot(x, some["value"], label=look.label, zorder=2.2, **dot(look))
    axes.set_xlim(-0.5, len(bits) - 0.5)
    axes.set_xticks(range(len(bits)), [str(value) for value in bits])
    axes.tick_params(axis="x", length=0)
