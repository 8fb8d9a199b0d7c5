"""Variants: the ways to make codes that an experiment compares.

A variant is a quantiser as it is trained (`vq`, `sfvq`), or a curve after occurrence normalisation, by how it is
resampled and encoded (`sfvq-faithful-nearest`, the paper's; `sfvq-exact-interval`).

    names      all variants of a grid
    resample   a curve and training samples -> normalised codebook, thresholds
    encode     vectors -> codes
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from porcupine.quantizers.base import nearest_codewords
from porcupine.quantizers.curve import project
from porcupine.quantizers.occurrence import interval_codes, interval_thresholds, resample_curve

CURVES = frozenset({"sfvq"})  # methods whose codewords lie in order along a curve


@dataclass(frozen=True)
class Normalised:
    """A curve after occurrence normalisation.

    codebook : float32 [K, D]; thresholds : float64 [K-1], ranks along the curve, None where codes are not intervals.
    """

    codebook: np.ndarray
    thresholds: np.ndarray | None


def names(methods: Iterable[str], modes: Iterable[str], encodings: Iterable[str]) -> list[str]:
    """All variants of a grid. Interval codes need samples sorted along the curve, hence exact resampling."""
    modes, encodings = list(modes), list(encodings)
    variants = []
    for method in methods:
        variants.append(method)
        if method in CURVES:
            variants += [
                f"{method}-{mode}-{encoding}"
                for mode in modes
                for encoding in encodings
                if (mode, encoding) != ("faithful", "interval")
            ]
    return variants


def resample(
    vectors: np.ndarray, curve: np.ndarray, mode: Literal["faithful", "exact"], rng: np.random.Generator
) -> Normalised:
    """Normalise the occurrence of a curve's codewords on training samples.

    vectors : float [N, D]; curve : float [K, D].
    mode : "faithful" projects on the segments at the nearest corner and does not sort within a segment, as published;
        "exact" projects on the whole curve and sorts along it, equal samples in random order.
    """
    n_codewords = len(curve)
    if mode == "faithful":
        projection = project(vectors, curve, search="adjacent")
        return Normalised(resample_curve(projection.segment, projection.point, n_codewords), None)
    projection = project(vectors, curve)
    shuffled = rng.permutation(len(vectors))
    codebook = resample_curve(projection.rank[shuffled], projection.point[shuffled], n_codewords)
    return Normalised(codebook, interval_thresholds(projection.rank, n_codewords))


def encode(
    vectors: np.ndarray, codebook: np.ndarray, *, intervals: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """Codes of vectors: the nearest codeword, or, given ``intervals`` (curve [K, D], thresholds [K-1]), by position.

    Returns int32 [N].
    """
    if intervals is None:
        return nearest_codewords(vectors, codebook)
    curve, thresholds = intervals
    return interval_codes(project(vectors, curve).rank, thresholds)
