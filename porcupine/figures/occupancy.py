"""How evenly codes are used, and what that discloses (Fig. 2 and 3 of Privacy PORCUPINE).

The metrics are those of `porcupine.privacy.occupancy`, the floors those of `porcupine.privacy.floors`.

    histograms          samples a codeword, one panel a variant
    metrics_by_bitrate  KL, worst case, average and Std against bits, beside their sampling floors
    overview            histograms and worst case side by side, for a first look
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from scipy.stats import binom

from porcupine.errors import InputError, nearest
from porcupine.figures.style import (
    FLOOR,
    GREY,
    INK,
    Style,
    draw_variants,
    grouped,
    hollow_marker,
    log_scale,
    require_columns,
    shift,
    show_bits,
    styled,
    styles,
    two_line_title,
)
from porcupine.privacy import occupancy

_COLUMNS = ["variant", "bits", "metric", "mean", "low", "high", "n_infinite", "floor_mean", "floor_low", "floor_high"]
_COLUMNS += ["calibrated_mean", "calibrated_low", "calibrated_high"]
_WORST = "worst_case_plus_one_bits"
_PUBLISHED = {"vq": ("vq", "+"), "sfvq": ("sfvq-faithful-nearest", "x")}  # whose colour, and which marker
_CROSS: dict[str, Any] = {"linestyle": "none", "markersize": 7, "markeredgewidth": 1.7}
_EVEN: dict[str, Any] = {"color": INK, "linewidth": 1, "linestyle": (0, (4, 2))}
_IDEAL: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": (0, (1, 1.5))}
_EMPTY: dict[str, Any] = {"color": INK, "linestyle": "none", "marker": "x", "markersize": 4.5, "markeredgewidth": 1.2}
_CALIBRATED: dict[str, Any] = {"facecolor": "none", "edgecolor": GREY, "hatch": "////", "linewidth": 0.6}


@styled
def histograms(counts: Mapping[str, ArrayLike], n_samples: int) -> Figure:
    """Draw how many samples fall on each codeword, one panel a variant.

    A dashed line stands at M/K; the grey band holds 95 % of the counts of a code whose codewords are equally likely
    (binomial). Empty codewords are crossed.

    counts : variant -> int [K], the same K for all, each summing to ``n_samples``.
    n_samples : M.
    Raises InputError where counts are not that.
    """
    checked = _check_counts(counts, n_samples)
    n_columns = min(2, len(checked))
    n_rows = -(-len(checked) // n_columns)
    figure = Figure(figsize=(4.6 * n_columns, 2.2 * n_rows + 0.6), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.flat)
    for axes in panels[len(checked) :]:
        axes.remove()
    panels = panels[: len(checked)]
    _draw_histograms(panels, checked, n_samples)
    for axes in panels[::n_columns]:
        axes.set_ylabel("samples")
    for axes in panels[-n_columns:]:
        axes.set_xlabel("codeword")
        axes.tick_params(labelbottom=True)
    figure.legend(handles=_histogram_key(), loc="outside lower center", ncols=3)
    return figure


@dataclass(frozen=True)
class _Panel:
    metric: str
    title: str
    label: str
    logarithmic: bool = False
    value: Callable[[pd.Series, pd.Series], pd.Series] = lambda value, bits: value


_PANELS = (
    _Panel("kl_bits", "KL divergence of the counts", "KL(observed ‖ binomial), bits", logarithmic=True),
    _Panel(
        _WORST,
        "Worst-case disclosure, excess",
        "log$_2$(M / (min count + 1)) − B, bits",
        value=lambda value, bits: value - bits,
    ),
    _Panel(
        "average_bits",
        "Average disclosure, shortfall",
        "B − entropy of the code, bits",
        logarithmic=True,
        value=lambda value, bits: bits - value,
    ),
    _Panel("std", "Std of the counts", "samples a codeword", logarithmic=True),
)


@styled
def metrics_by_bitrate(metrics: pd.DataFrame, published: pd.DataFrame | None = None, *, n_test: int) -> Figure:
    """Draw KL, worst-case disclosure, average disclosure and Std against bits, beside their sampling floors.

    Worst case and average are drawn as their distance from B bits, where differences show. The worst case has the
    paper's +1. An open marker says that some repeats were truly infinite (empty codes).

    The floors of all metrics move with the number of test samples. Published values are therefore drawn in all panels
    only where ``n_test`` is theirs; otherwise in the worst-case panel only, together with their own floor.

    metrics : one row a variant × bits × metric. Columns: variant, bits, metric, mean, low, high (2.5 and 97.5 %
        quantiles over the repeats), n_infinite, floor_mean, floor_low, floor_high (equally likely codes),
        calibrated_mean, calibrated_low, calibrated_high (codes made equally likely on the training samples); NaN where
        there is none. Metrics: kl_bits, worst_case_plus_one_bits, average_bits, std, n_empty. The floors drawn are
        means over the variants.
    published : table of `porcupine.published.published_values`, or None.
    n_test : M, test samples behind ``metrics``.
    Raises InputError where a column or a metric is missing.
    """
    _check_metrics(metrics, [*(panel.metric for panel in _PANELS), "n_empty"])
    figure = Figure(figsize=(9.2, 7.6), layout="constrained")
    looks = styles(metrics["variant"])
    calibrated = hollow = False
    references: dict[str, Artist] = {}
    for axes, panel in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
        table = _rows(metrics, panel)
        calibrated |= _draw_floors(axes, table)
        draw_variants(axes, table, looks, value="mean")
        hollow |= bool(table["hollow"].any())
        if published is not None:
            near = published[published["bits"].between(metrics["bits"].min(), metrics["bits"].max())]
            references |= _draw_published(axes, near, panel, n_test, shift(-1, len(looks)))
        axes.set_title(panel.title)
        axes.set_ylabel(panel.label)
        axes.grid(axis="y")
        show_bits(axes, metrics["bits"])
        if panel.logarithmic:
            log_scale(axes)
    handles: list[Artist] = [Line2D([], [], label=look.label, **look.line) for look in looks.values()]
    handles += _floor_key(calibrated) + list(references.values()) + _hollow_key(hollow)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3,
        title=f"M = {grouped(n_test)} test samples. Lines and whiskers: mean and 95 % range of the repeats.",
    )
    return figure


@styled
def overview(counts: Mapping[str, ArrayLike], metrics: pd.DataFrame, n_samples: int) -> Figure:
    """Draw the histograms of a few variants at one bitrate, and the worst case of some against bits.

    counts : variant -> int [K], as for `histograms`; two or three variants read best.
    metrics : as for `metrics_by_bitrate`; the metrics worst_case_plus_one_bits and n_empty are enough.
    n_samples : M, test samples.
    Raises InputError where ``counts`` or ``metrics`` are not that.
    """
    checked = _check_counts(counts, n_samples)
    _check_metrics(metrics, [_WORST, "n_empty"])
    figure = Figure(figsize=(10, 2 + 1.3 * max(2, len(checked))), layout="constrained")
    grid = figure.add_gridspec(len(checked), 2, width_ratios=[1.1, 1])
    left = [figure.add_subplot(grid[0, 0])]
    left += [figure.add_subplot(grid[row, 0], sharex=left[0], sharey=left[0]) for row in range(1, len(checked))]
    _draw_histograms(left, checked, n_samples)
    for axes in left:
        axes.set_ylabel("samples")
        axes.tick_params(labelbottom=axes is left[-1])
    left[-1].set_xlabel("codeword")

    right = figure.add_subplot(grid[:, 1])
    looks = styles(metrics["variant"])
    table = _rows(metrics, _Panel(_WORST, "", ""))
    calibrated = _draw_floors(right, table)
    draw_variants(right, table, looks, value="mean")
    bits = np.unique(metrics["bits"])
    right.plot(bits, bits, zorder=1.8, **_IDEAL)
    two_line_title(right, "Worst-case disclosure", "mean and 95 % range of the repeats")
    right.set_ylabel("log$_2$(M / (min count + 1)), bits")
    right.yaxis.set_major_locator(MaxNLocator(integer=True))
    right.grid(axis="y")
    show_bits(right, bits)
    handles: list[Artist] = [Line2D([], [], label=look.label, **look.line) for look in looks.values()]
    handles += [*_histogram_key(), Line2D([], [], label="B bits, the ideal", **_IDEAL)]
    handles += _floor_key(calibrated)[1:] + _hollow_key(bool(table["hollow"].any()))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _check_counts(counts: Mapping[str, ArrayLike], n_samples: int) -> dict[str, np.ndarray]:
    """Return the counts in the order of `styles`."""
    if not counts:
        raise InputError("counts: no variant, nothing to draw")
    checked = {variant: np.asarray(counts[variant]) for variant in styles(counts)}
    shape = next(iter(checked.values())).shape
    for variant, values in checked.items():
        if values.ndim != 1 or values.shape != shape:
            raise InputError(f"counts[{variant!r}]: shape {list(values.shape)}, must be [K], the same for all variants")
        if values.sum() != n_samples:
            raise InputError(f"counts[{variant!r}]: sum {values.sum()}, must be n_samples={n_samples}")
    return checked


def _draw_histograms(panels: list[Axes], counts: Mapping[str, np.ndarray], n_samples: int) -> None:
    looks = styles(counts)
    for axes, (variant, values) in zip(panels, counts.items(), strict=True):
        n_codewords = len(values)
        low, high = binom.ppf([0.025, 0.975], n_samples, 1 / n_codewords)
        axes.axhspan(low, high, color=FLOOR, linewidth=0, zorder=0.6)
        axes.stairs(
            values, np.arange(n_codewords + 1) - 0.5, fill=True, color=looks[variant].color, alpha=0.85, zorder=1
        )
        axes.axhline(n_samples / n_codewords, zorder=2, **_EVEN)
        if n_empty := int(occupancy.n_empty(values)):
            axes.plot(np.flatnonzero(values == 0), np.zeros(n_empty), clip_on=False, zorder=3, **_EMPTY)
            verdict = f"worst case infinite: {n_empty} of {n_codewords} codewords empty"
        else:
            verdict = f"worst case {occupancy.worst_case_bits(values):.2f} bits, no codeword empty"
        two_line_title(axes, looks[variant].label, verdict)
        axes.set_xlim(-0.5, n_codewords - 0.5)
        axes.set_ylim(0, 1.05 * max(high, *(other.max() for other in counts.values())))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _histogram_key() -> list[Artist]:
    return [
        Line2D([], [], label="M/K", **_EVEN),
        Patch(color=FLOOR, linewidth=0, label="equally likely codes, 95 %"),
        Line2D([], [], label="empty codeword", **_EMPTY),
    ]


def _check_metrics(metrics: pd.DataFrame, needed: list[str]) -> None:
    require_columns(metrics, _COLUMNS, name="metrics")
    known = set(metrics["metric"])
    for metric in needed:
        if metric not in known:
            raise InputError(f"metrics: no row with metric {metric!r}{nearest(metric, known)}")


def _rows(metrics: pd.DataFrame, panel: _Panel) -> pd.DataFrame:
    """Return the rows of a panel in the units drawn, with a column `hollow`: whether some repeat was infinite."""
    table = metrics[metrics["metric"] == panel.metric].sort_values("bits")
    limits = [column for column in _COLUMNS if column.endswith(("mean", "low", "high"))]
    table = table.assign(**{column: panel.value(table[column].astype(float), table["bits"]) for column in limits})
    if panel.metric == _WORST:
        empty = metrics[(metrics["metric"] == "n_empty") & (metrics["mean"] > 0)]
        return table.assign(
            hollow=pd.MultiIndex.from_frame(table[["variant", "bits"]]).isin(
                pd.MultiIndex.from_frame(empty[["variant", "bits"]])
            )
        )
    return table.assign(hollow=table["n_infinite"] > 0)


def _draw_floors(axes: Axes, table: pd.DataFrame) -> bool:
    """Draw both floors; return whether there is a calibrated one."""
    floors = table.groupby("bits")[[column for column in _COLUMNS if column.startswith(("floor", "calibrated"))]].mean()
    _band(axes, floors.index, floors["floor_low"], floors["floor_high"], color=FLOOR, linewidth=0, zorder=0.6)
    axes.plot(floors.index, floors["floor_mean"], color=GREY, linewidth=1, zorder=0.7)
    floors = floors.dropna(subset=["calibrated_low", "calibrated_high"])
    if floors.empty:
        return False
    _band(axes, floors.index, floors["calibrated_low"], floors["calibrated_high"], zorder=0.8, **_CALIBRATED)
    return True


def _band(axes: Axes, bits: ArrayLike, low: ArrayLike, high: ArrayLike, **kwargs: Any) -> None:
    """Fill between ``low`` and ``high``; a single bitrate gets a bar of some width."""
    x, lower, upper = (np.asarray(values, dtype=float) for values in (bits, low, high))
    if len(x) == 1:
        x, lower, upper = x[0] + np.array([-0.3, 0.3]), lower.repeat(2), upper.repeat(2)
    axes.fill_between(x, lower, upper, **kwargs)


def _floor_key(calibrated: bool) -> list[Artist]:
    key: list[Artist] = [Patch(color=FLOOR, linewidth=0, label="equally likely codes, 95 %")]
    if calibrated:
        key.append(Patch(label="calibrated on the training samples, 95 %", **_CALIBRATED))
    return key


def _hollow_key(hollow: bool) -> list[Artist]:
    if not hollow:
        return []
    return [Line2D([], [], label="open: infinite in some repeats", **hollow_marker(Style("", INK, "o", "-")))]


def _draw_published(axes: Axes, published: pd.DataFrame, panel: _Panel, n_test: int, aside: float) -> dict[str, Artist]:
    """Draw the published values that can be compared, markers ``aside``; return their legend entries by label."""
    rows = published[published["metric"] == panel.metric]
    if panel.metric != _WORST:
        rows = rows[rows["n_test"] == n_test]
    entries: dict[str, Artist] = {}
    for method, group in rows.groupby("method", sort=False):
        bits, n_published = group["bits"], int(group["n_test"].iloc[0])
        drawn: dict[str, Any]
        if method in _PUBLISHED:
            variant, marker = _PUBLISHED[str(method)]
            label = f"{str(method).upper()}, published (M = {grouped(n_published)})"
            drawn = {"color": styles([variant])[variant].color, "marker": marker, **_CROSS}
            x = bits + aside
        elif n_published != n_test:
            label, drawn, x = f"equally likely codes, M = {grouped(n_published)}", _EVEN, bits
        else:
            continue
        axes.plot(x, panel.value(group["value"], bits), label=label, zorder=2.5, **drawn)
        entries[label] = Line2D([], [], label=label, **drawn)
    return entries
