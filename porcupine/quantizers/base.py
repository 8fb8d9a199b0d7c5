"""What every quantiser shares: checks, the global scale, nearest codewords, distortion, and the fitted state.

Quantizer           fitted: encode, decode; to_arrays and from_arrays for files without pickle
Nearest             the plain one: a vector gets the code of its nearest codeword

check_vectors       shape, finiteness, enough of them
global_scale        one number that gives vectors unit variance
nearest_codewords   vectors, codebook -> codes
distortion          vectors, codebook, codes -> mean squared error
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, cast

import numpy as np

from porcupine.errors import InputError
from porcupine.quantizers.samples import Samples, Vectors

BLOCK = 2**19  # entries of a block of distances: 2 MiB in float32, which stay in the cache
ROUNDING = 4 * float(np.finfo(np.float32).eps)  # of a score, relative to the products that it sums
FINER = float(np.finfo(np.float64).eps / np.finfo(np.float32).eps)  # that of a score in float64, beside it


def check_vectors(vectors: Vectors, *, n_codewords: int = 1, name: str = "vectors") -> np.ndarray:
    """Return ``vectors`` as float32 [N, D] in memory.

    Raises InputError unless they are [N, D] with N >= n_codewords, floating and finite; the first bad row is named.
    """
    samples = Samples(vectors, name=name)
    checked = samples.whole()
    samples.require(n_codewords)
    return checked


def global_scale(vectors: np.ndarray) -> float:
    """Root mean square deviation from the mean, over all samples and dimensions, in embedding units.

    Vectors divided by it have unit variance, so that one learning rate suits every encoder: raw ECAPA embeddings have
    norms of about 230, at which the published rate collapses the curve.
    Raises InputError where all vectors are equal.
    """
    mean = np.mean(vectors, axis=0, dtype=np.float64)
    squares = 0.0
    for start in range(0, len(vectors), step := max(1, BLOCK // vectors.shape[1])):
        offset = vectors[start : start + step] - mean
        squares += float(np.vdot(offset, offset))
    scale = float(np.sqrt(squares / vectors.size))
    if not scale > 0:
        raise InputError(f"all {len(vectors)} vectors are equal: there is nothing to quantise")
    return scale


def nearest_codewords(vectors: Vectors, codebook: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Index of the codeword nearest to each vector, of equal codewords the first.

    vectors : float [N, D], codebook : float [K, D].
    weights : float [K], subtracted from the squared distances (a power diagram); None for none.
    Returns int32 [N], the same for a vector whatever it is encoded with: near ties are decided in float64.
    """
    codes = np.empty(len(samples := Samples(vectors)), dtype=np.int32)
    for rows, best, _ in nearest_blocks(samples, codebook, weights):
        codes[rows] = best
    return codes


def nearest_blocks(
    samples: Samples, codebook: np.ndarray, weights: np.ndarray | None = None
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield (rows, nearest codeword int [n], vectors float32 [n, D]) block by block; see `nearest_codewords`."""
    codebook = check_vectors(codebook, name="codewords")
    if samples.shape[1] != codebook.shape[1]:
        raise InputError(f"vectors have D={samples.shape[1]} dimensions, the codebook has D={codebook.shape[1]}")
    center, exact, half_cost = _centered(codebook, weights)
    transposed, half_cost_32 = exact.T.astype(np.float32), half_cost.astype(np.float32)
    widest = float(np.sqrt(np.einsum("kd,kd->k", exact, exact).max(initial=0)))
    scores = np.empty((0, len(codebook)), dtype=np.float32)
    n_rows = max(1, BLOCK // max(codebook.shape))
    for rows, vectors in samples.blocks(entries=n_rows * samples.shape[1]):
        block = vectors - center
        if len(scores) < len(block):
            scores = np.empty((len(block), len(codebook)), dtype=np.float32)
        with np.errstate(invalid="ignore"):  # raised at random by a kernel that reads past a single row
            score = np.matmul(block, transposed, out=scores[: len(block)])
        np.subtract(half_cost_32, score, out=score)
        best, every = score.argmin(axis=1), np.arange(len(block))
        lowest = score[every, best]
        score[every, best] = np.inf
        length = np.sqrt(np.einsum("nd,nd->n", block, block))
        rounding = ROUNDING * (length * widest + np.abs(half_cost_32).max())
        close = np.flatnonzero(score.min(axis=1) - lowest <= rounding)
        if len(close) and len(codebook) > 1:
            fine = half_cost - (vectors[close].astype(np.float64) - center) @ exact.T
            equal = fine <= fine.min(axis=1, keepdims=True) + FINER * rounding[close, None]
            best[close] = equal.argmax(axis=1)
        yield rows, best, vectors


def _centered(codebook: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean [D] in float32; codewords less it, float64 [K, D]; half their squared norm less the weights [K].

    Centred, |c|^2 - 2 x·c is small, hence exact, for data far from the origin.
    """
    center = codebook.mean(axis=0)
    centered = codebook.astype(np.float64) - center
    half_cost = 0.5 * np.einsum("kd,kd->k", centered, centered)
    return center, centered, half_cost if weights is None else half_cost - 0.5 * weights


def distortion(vectors: np.ndarray, codebook: np.ndarray, codes: np.ndarray) -> float:
    """Mean squared error a dimension between vectors [N, D] and the codewords [K, D] of their codes [N]."""
    return float(np.mean((np.asarray(vectors, dtype=np.float64) - codebook[codes]) ** 2))


class Quantizer(ABC):
    """A fitted quantiser. Vectors go in and come out in the units of the training data.

    codebook : float32 [K, D], what each code decodes to.
    """

    codebook: np.ndarray

    @abstractmethod
    def encode(self, vectors: Vectors) -> np.ndarray:
        """Codes of vectors, in memory or not (`samples.Samples`): float [N, D] -> int32 [N]."""

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Vectors of codes: int [...] in 0 … K-1 -> float32 [..., D]. Raises InputError outside."""
        codes = np.asarray(codes)
        if not np.issubdtype(codes.dtype, np.integer) or (
            codes.size and not 0 <= codes.min() <= codes.max() < self.size
        ):
            raise InputError(f"codes of dtype {codes.dtype} should be integers in 0 … K-1={self.size - 1}")
        return self.codebook[codes]

    @property
    def size(self) -> int:
        """K."""
        return len(self.codebook)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The fitted state by name: all fields of the dataclass."""
        return {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The quantiser of `to_arrays`. Raises InputError where an array is missing."""
        names = [field.name for field in fields(cast(Any, cls))]
        missing = [name for name in names if name not in arrays]
        if missing:
            raise InputError(
                f"no array {', '.join(missing)} for a {cls.__name__}, only {', '.join(arrays)}: fit it again"
            )
        return cls(**{name: arrays[name] for name in names})


@dataclass(frozen=True)
class Nearest(Quantizer):
    """A vector gets the code of its nearest codeword."""

    codebook: np.ndarray

    def encode(self, vectors: Vectors) -> np.ndarray:
        """See `Quantizer`."""
        return nearest_codewords(vectors, self.codebook)
