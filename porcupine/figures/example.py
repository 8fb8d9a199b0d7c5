"""Two-dimensional example: what occurrence normalisation does to a codebook (Fig. 1 of Privacy PORCUPINE)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from scipy.spatial import KDTree, Voronoi

from porcupine.errors import InputError
from porcupine.figures.style import INK, Style, styled, styles

_COLORS = "Purples"
_SPAN_BITS = 3.0  # the colours reach this far beyond log2 K


@styled
def example_2d(samples: ArrayLike, vq_codebook: ArrayLike, curve: ArrayLike, resampled: ArrayLike) -> Figure:
    """Draw VQ, a space-filling curve and its resampled codebook over the same samples.

    Voronoi cells are shaded by what their code discloses, log2(N / samples in the cell): the darker, the rarer.

    samples : float [N, 2].
    vq_codebook, resampled : float [K, 2], codewords.
    curve : float [C, 2], corners of the curve in order.
    Raises InputError where an array is not finite float [n >= 1, 2].
    """
    points = _points("samples", samples)
    codebook, corners = _points("vq_codebook", vq_codebook), _points("curve", curve)
    even = _points("resampled", resampled)

    figure = Figure(figsize=(10.5, 3.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3, sharex=True, sharey=True)
    looks = styles(["vq", "sfvq", "sfvq-exact-nearest"])
    shades = Normalize(np.log2(len(codebook)) - 1, np.log2(len(codebook)) + _SPAN_BITS)
    for axes in (left, middle, right):
        axes.plot(*points.T, ".", color=INK, markersize=1.8, alpha=0.5, markeredgewidth=0, rasterized=True, zorder=1.5)

    _draw_cells(left, points, codebook, shades)
    _draw_codewords(left, codebook, looks["vq"], linestyle="none")
    left.set_title(f"VQ: {len(codebook)} codewords")
    _draw_codewords(middle, corners, looks["sfvq"], linestyle="-")
    middle.set_title(f"Space-filling curve: {len(corners)} corners")
    _draw_cells(right, points, even, shades)
    _draw_codewords(right, even, looks["sfvq-exact-nearest"], linestyle="-", linewidth=0.9)
    right.set_title(f"Resampled curve: {len(even)} codewords")

    everything = np.concatenate([points, codebook, corners, even])
    centre, half = (everything.max(0) + everything.min(0)) / 2, np.ptp(everything, axis=0).max() / 2 * 1.05 or 1.0
    left.set(xlim=centre[0] + np.array([-half, half]), ylim=centre[1] + np.array([-half, half]))
    left.set_ylabel("dimension 2")
    for axes in (left, middle, right):
        axes.set_aspect("equal")
        axes.set_xlabel("dimension 1")
    bar = figure.colorbar(
        ScalarMappable(shades, _COLORS), ax=[left, middle, right], extend="both", shrink=0.85, pad=0.015, aspect=28
    )
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    bar.set_label("disclosure of the code (bits)")
    bar.outline.set_visible(False)
    return figure


def _points(name: str, values: ArrayLike) -> np.ndarray:
    points = np.asarray(values, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise InputError(f"{name}: shape {list(points.shape)}, must be finite numbers [n >= 1, 2]")
    return points


def _draw_codewords(axes: Axes, codebook: np.ndarray, look: Style, **kwargs: Any) -> None:
    axes.plot(*codebook.T, **{**look.line, "markersize": 5, **kwargs})


def _draw_cells(axes: Axes, points: np.ndarray, codebook: np.ndarray, shades: Normalize) -> None:
    counts = np.bincount(KDTree(codebook).query(points)[1], minlength=len(codebook))
    with np.errstate(divide="ignore"):
        disclosure = np.minimum(np.log2(len(points) / counts), 1e3)
    cells = PolyCollection(
        _cells(codebook, points), array=disclosure, norm=shades, cmap=_COLORS, edgecolor=INK, linewidth=0.5, zorder=1
    )
    axes.add_collection(cells, autolim=False)


def _cells(codebook: np.ndarray, points: np.ndarray) -> list[np.ndarray]:
    """Return the Voronoi polygon of each codeword; far dummy codewords close the outer ones."""
    everything = np.concatenate([codebook, points])
    centre, reach = everything.mean(0), 100 * (np.ptp(everything, axis=0).max() or 1.0)
    dummies = centre + reach * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    distinct, where = np.unique(codebook, axis=0, return_inverse=True)
    diagram = Voronoi(np.concatenate([distinct, dummies]))
    return [diagram.vertices[diagram.regions[diagram.point_region[index]]] for index in where]
