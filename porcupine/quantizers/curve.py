"""Geometry of a curve through codewords: where on the polyline does a vector fall?

    project      vectors, curve -> Projection: position along the curve, projected point
    Projection   what it returns

Vali & Bäckström (SFVQ), Interspeech 2023: a vector maps to the nearest point of the line, (1-λ) c_k + λ c_{k+1}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from porcupine.errors import InputError
from porcupine.quantizers.base import BLOCK, check_vectors, nearest_codewords

_ROUNDING = 1e-9  # of squared distances, relative; real differences are larger


@dataclass(frozen=True)
class Projection:
    """N samples on a curve of K corners.

    segment : int [N], 0 … K-2.
    position : float64 [N], in corners: 2.25 is a quarter of the way from corner 2 to 3.
    rank : float64 [N], rises along the curve as position does, and also orders the samples that clamp onto one
        corner (10-20 % of real ones) by how far they lie along the direction of the curve there. Free of ties, but
        for equal vectors.
    point : float32 [N, D], in embedding units.
    """

    segment: np.ndarray
    position: np.ndarray
    rank: np.ndarray
    point: np.ndarray


def project(vectors: np.ndarray, curve: np.ndarray, *, search: Literal["adjacent", "all"] = "all") -> Projection:
    """Project vectors on the polyline through the corners of ``curve``.

    vectors : float [N, D], curve : float [K, D], K >= 2.
    search : "adjacent", the paper's: the better of the two segments at the nearest corner; "all" finds the nearest
        point of the whole curve (4-10 % of samples then fall on another segment).
    """
    vectors = check_vectors(vectors)
    curve = check_vectors(curve, name="corners of the curve")
    if len(curve) < 2 or curve.shape[1] != vectors.shape[1]:
        raise InputError(
            f"a curve of shape {curve.shape} does not fit vectors of shape {vectors.shape}: want [K>=2, D]"
        )
    if search == "adjacent":
        corner = nearest_codewords(vectors, curve)
        before = np.maximum(corner - 1, 0)
        after = np.minimum(corner, len(curve) - 2)
        (clipped, near), (clipped_after, near_after) = (_along(vectors, curve, side) for side in (before, after))
        later = near_after < near * (1 - _ROUNDING)  # a tie, such as at the corner between them, goes to the first
        segment, clipped = np.where(later, after, before), np.where(later, clipped_after, clipped)
    else:
        segment = _nearest_segments(vectors, curve)
        clipped, _ = _along(vectors, curve, segment)
    start, end = curve[segment], curve[segment + 1]
    point = start + clipped[:, None].astype(np.float32) * (end - start)
    return Projection(segment, segment + clipped, _rank(vectors, curve, segment, clipped), point)


def _along(vectors: np.ndarray, curve: np.ndarray, segment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """λ [N] on the given segments, clipped to them, and squared distance [N] to that point, in float64."""
    direction = np.diff(curve.astype(np.float64), axis=0)
    length = np.einsum("kd,kd->k", direction, direction)
    share, distance = np.empty(len(vectors)), np.empty(len(vectors))
    step = max(1, BLOCK // vectors.shape[1])
    for first in range(0, len(vectors), step):
        part = slice(first, first + step)
        chosen = segment[part]
        offset = vectors[part].astype(np.float64) - curve[chosen]
        dot = np.einsum("nd,nd->n", offset, direction[chosen])
        along = np.clip(np.divide(dot, length[chosen], out=np.zeros_like(dot), where=length[chosen] > 0), 0, 1)
        share[part] = along
        distance[part] = np.einsum("nd,nd->n", offset, offset) - along * (2 * dot - along * length[chosen])
    return share, distance


def _nearest_segments(vectors: np.ndarray, curve: np.ndarray) -> np.ndarray:
    center = curve.mean(axis=0)
    curve = curve - center
    direction = np.diff(curve, axis=0)
    length = np.einsum("kd,kd->k", direction, direction)
    start_dot = np.einsum("kd,kd->k", curve[:-1], direction)
    start_norm = np.einsum("kd,kd->k", curve[:-1], curve[:-1])
    inverse = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    segment = np.empty(len(vectors), dtype=np.int64)
    step = max(1, BLOCK // len(curve))
    for first in range(0, len(vectors), step):
        dot = (vectors[first : first + step] - center) @ curve.T
        along = np.diff(dot, axis=1) - start_dot
        share = np.clip(along * inverse, 0, 1)
        # |x - a - λd|^2 without the |x|^2 that all segments share
        squared = start_norm - 2 * dot[:, :-1] + share * (share * length - 2 * along)
        segment[first : first + step] = np.argmin(squared, axis=1)
    return segment


def _rank(vectors: np.ndarray, curve: np.ndarray, segment: np.ndarray, clipped: np.ndarray) -> np.ndarray:
    """Corner k owns the ranks 2k - 1/2 … 2k + 1/2, the segment behind it those up to 2k + 3/2."""
    rank = 2.0 * segment + 0.5 + clipped
    at_corner = np.flatnonzero((clipped == 0) | (clipped == 1))
    corner = segment[at_corner] + clipped[at_corner].astype(np.int64)
    direction = np.diff(curve.astype(np.float64), axis=0)
    length = np.linalg.norm(direction, axis=1)
    unit = np.divide(direction, length[:, None], out=np.zeros_like(direction), where=length[:, None] > 0)
    tangent = np.zeros(curve.shape)
    tangent[:-1] += unit
    tangent[1:] += unit
    offset = vectors[at_corner].astype(np.float64) - curve[corner]
    ahead = np.einsum("nd,nd->n", offset, tangent[corner])
    rank[at_corner] = 2.0 * corner + np.arctan(ahead / (length.mean() or 1.0)) / np.pi
    return rank
