"""Geometry of a curve through codewords: where on the polyline does a vector fall?

    project      vectors, curve -> Projection: position along the curve, projected point
    Projection   what it returns; position, rank and points are worked out when asked for

Vali & Bäckström (SFVQ), Interspeech 2023: a vector maps to the nearest point of the line, (1-λ) c_k + λ c_{k+1}.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from porcupine.errors import InputError
from porcupine.quantizers.base import BLOCK, check_vectors, nearest_codewords


@dataclass(frozen=True)
class Projection:
    """N samples on a curve of K corners: vectors float32 [N, D], curve float32 [K, D], in embedding units.

    segment : int [N], 0 … K-2.
    share : float64 [N], λ on it, 0 … 1.
    """

    vectors: np.ndarray
    curve: np.ndarray
    segment: np.ndarray
    share: np.ndarray

    @cached_property
    def position(self) -> np.ndarray:
        """float64 [N], in corners: 2.25 is a quarter of the way from corner 2 to 3."""
        return self.segment + self.share

    @cached_property
    def point(self) -> np.ndarray:
        """float32 [N, D], in embedding units."""
        direction = np.diff(self.curve, axis=0)
        point = np.empty((len(self.segment), self.curve.shape[1]), dtype=np.float32)
        for part in _parts(point):
            chosen = self.segment[part]
            np.multiply(direction[chosen], self.share[part, None].astype(np.float32), out=point[part])
            point[part] += self.curve[chosen]
        return point

    @cached_property
    def corners(self) -> csr_matrix:
        """Sparse float64 [N, K], the weights of the corners in each point: 1 - λ of one, λ of the next."""
        weights = np.stack([1 - self.share, self.share], axis=1).ravel()
        pair = np.stack([self.segment, self.segment + 1], axis=1).ravel()
        shape = len(self.segment), len(self.curve)
        return csr_matrix((weights, pair, np.arange(0, 2 * shape[0] + 1, 2)), shape=shape)

    @cached_property
    def rank(self) -> np.ndarray:
        """float64 [N], rises along the curve as position does, and free of ties, but for equal vectors.

        Also orders the samples that clamp onto one corner (10-20 % of real ones), by how far they lie along the
        direction of the curve there: corner k owns the ranks 2k - 1/2 … 2k + 1/2, the segment behind it those up to
        2k + 3/2.
        """
        rank = 2.0 * self.segment + 0.5 + self.share
        at_corner = np.flatnonzero((self.share == 0) | (self.share == 1))
        corner = self.segment[at_corner] + self.share[at_corner].astype(np.int64)
        direction = np.diff(self.curve.astype(np.float64), axis=0)
        length = np.linalg.norm(direction, axis=1)
        unit = np.divide(direction, length[:, None], out=np.zeros_like(direction), where=length[:, None] > 0)
        tangent = np.zeros(self.curve.shape)
        tangent[:-1] += unit
        tangent[1:] += unit
        offset = self.vectors[at_corner].astype(np.float64) - self.curve[corner]
        ahead = np.einsum("nd,nd->n", offset, tangent[corner])
        rank[at_corner] = 2.0 * corner + np.arctan(ahead / (length.mean() or 1.0)) / np.pi
        return rank


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
        segment, share = _beside(vectors, curve, nearest_codewords(vectors, curve))
    else:
        segment = _nearest_segments(vectors, curve)
        share = _along(vectors, curve, segment)
    return Projection(vectors, curve, segment, share)


class _Segments:
    """Corners and segments of a curve in float64: direction [K-1, D], squared length [K-1].

    Takes vectors part by part (`_parts`), in memory used again: asking for new memory takes a seventh of the time.
    """

    def __init__(self, curve: np.ndarray) -> None:
        self.corners = curve.astype(np.float64)
        self.direction = np.diff(self.corners, axis=0)
        self.length = np.einsum("kd,kd->k", self.direction, self.direction)
        self._offset, self._rows = np.empty((2, _step(curve), curve.shape[1]))

    def offset(self, vectors: np.ndarray, corner: np.ndarray) -> np.ndarray:
        """Vectors less the given corners, [n, D]; until the next part."""
        offset = self._offset[: len(corner)]
        offset[:] = vectors
        return np.subtract(offset, self._take(self.corners, corner), out=offset)

    def dot(self, offset: np.ndarray, segment: np.ndarray) -> np.ndarray:
        """Products [n] of offsets with the directions of the given segments."""
        return np.einsum("nd,nd->n", offset, self._take(self.direction, segment))

    def along(self, dot: np.ndarray, segment: np.ndarray) -> np.ndarray:
        """λ [n], clipped to the segment, from the product of its direction with an offset from its start."""
        length = self.length[segment]
        return np.clip(np.divide(dot, length, out=np.zeros_like(dot), where=length > 0), 0, 1)

    def _take(self, table: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.take(table, rows, axis=0, out=self._rows[: len(rows)], mode="clip")  # "raise" would make a copy


def _along(vectors: np.ndarray, curve: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """λ float64 [N] on the given segments, clipped to them."""
    segments, share = _Segments(curve), np.empty(len(vectors))
    for part in _parts(vectors):
        on = segment[part]
        share[part] = segments.along(segments.dot(segments.offset(vectors[part], on), on), on)
    return share


def _beside(vectors: np.ndarray, curve: np.ndarray, corner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The better of the two segments at the given corners, int [N], and λ on it, float64 [N], clipped.

    Where both lead away, the point is the corner, and the segment before it is taken.
    """
    segments, last = _Segments(curve), len(curve) - 2
    chosen, share = np.empty(len(vectors), dtype=np.int64), np.empty(len(vectors))
    for part in _parts(vectors):
        at = corner[part]
        after, before = np.minimum(at, last), np.maximum(at - 1, 0)
        offset = segments.offset(vectors[part], at)
        ahead, behind = segments.dot(offset, after), -segments.dot(offset, before)
        on, back = segments.along(ahead, after), segments.along(behind, before)
        # By how much the squared distance falls from the corner to there.
        gain = on * (2 * ahead - on * segments.length[after])
        gain_back = back * (2 * behind - back * segments.length[before])
        later = (at == 0) | ((at <= last) & (gain > gain_back))
        chosen[part], share[part] = np.where(later, after, before), np.where(later, on, 1 - back)
    return chosen, share


def _parts(vectors: np.ndarray) -> Iterator[slice]:
    step = _step(vectors)
    return (slice(first, first + step) for first in range(0, len(vectors), step))


def _step(vectors: np.ndarray) -> int:
    """Vectors of a part: float64 takes twice the room of the distances."""
    return max(1, BLOCK // (2 * vectors.shape[1]))


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
