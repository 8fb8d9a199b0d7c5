"""Vectors that need not fit in memory: an array, a memory map, or a list of them, read in bounded blocks.

Samples   checked view of [N, D] vectors: blocks, rows, random rows
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from porcupine.errors import InputError

BLOCK_ENTRIES = 2**22
"""Entries of one block: 16 MiB in float32."""

_MOST_SQUARED = 1e36  # norm of a sample, so that differences of two can be squared in float32, too


class Samples:
    """N vectors of D dimensions in one array or several shards, each possibly a memory map.

    vectors : float [N, D], or a list of shards float [N_i, D]; of any floating type, read as float32.
    shape : (N, D).
    Raises InputError where the shape or type is wrong; values are checked as they are read, so that opening is free.
    """

    def __init__(self, vectors: Vectors, *, name: str = "vectors") -> None:
        self.name = name
        if isinstance(vectors, Samples):
            vectors = vectors._shards
        shards = vectors if isinstance(vectors, list | tuple) else [vectors]
        self._shards: list[np.ndarray] = [
            shard if isinstance(shard, np.ndarray) else np.asarray(shard) for shard in shards
        ]
        for shard in self._shards:
            if shard.ndim != 2 or 0 in shard.shape:
                raise InputError(f"{name} have shape {shard.shape}, should be [N, D], one row a sample")
            if not np.issubdtype(shard.dtype, np.floating):
                raise InputError(f"{name} have dtype {shard.dtype}, should be floating point")
        widths = sorted({shard.shape[1] for shard in self._shards})
        if len(widths) != 1:
            raise InputError(f"{name} come in shards of {widths or 'no'} dimensions, all should have the same number")
        self._starts = np.cumsum([0, *(len(shard) for shard in self._shards)])
        self.shape = (int(self._starts[-1]), widths[0])

    def __len__(self) -> int:
        return self.shape[0]

    def require(self, n_codewords: int) -> None:
        """Raise InputError unless there are at least K samples."""
        if not 1 <= n_codewords <= len(self):
            raise InputError(
                f"n_codewords={n_codewords}, must be between 1 and N={len(self)} samples: "
                "train on more speakers or ask for fewer bits"
            )

    def joined(self, others: Vectors) -> Samples:
        """These, and after them others of as many dimensions."""
        return Samples(self._shards + Samples(others)._shards, name=self.name)

    def blocks(self, *, entries: int = BLOCK_ENTRIES) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield consecutive rows of all, as (rows, float32 [n, D]) with n·D <= ``entries``, checked to be finite."""
        step = max(1, entries // self.shape[1])
        for start, shard in zip(self._starts, self._shards, strict=False):
            for first in range(0, len(shard), step):
                block = self._finite(shard[first : first + step], int(start) + first)
                yield slice(int(start) + first, int(start) + first + len(block)), block

    def rows(self, index: np.ndarray) -> np.ndarray:
        """The rows ``index`` (int [n], rising), as float32 [n, D]."""
        shard_of = np.searchsorted(self._starts, index, side="right") - 1
        parts = [
            np.asarray(self._shards[number][index[shard_of == number] - self._starts[number]], dtype=np.float32)
            for number in np.unique(shard_of)
        ]
        return np.concatenate(parts)

    def whole(self) -> np.ndarray:
        """All of them in memory, float32 [N, D]; the array itself where it is that already."""
        if len(self._shards) == 1 and not isinstance(self._shards[0], np.memmap):
            return self._finite(self._shards[0], 0)
        return np.concatenate([block for _, block in self.blocks()])

    def draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """At most ``n_samples`` of them, drawn without replacement, in their order; float32 [n, D], checked."""
        if n_samples >= len(self):
            return self.whole()
        index = np.sort(rng.choice(len(self), n_samples, replace=False))
        return self._finite(self.rows(index), index)

    def _finite(self, rows: np.ndarray, numbers: int | np.ndarray) -> np.ndarray:
        """In float32; ``numbers`` of the rows, or of the first where they are consecutive."""
        with np.errstate(over="ignore"):
            block = np.ascontiguousarray(rows, dtype=np.float32)
        usable = np.asarray(np.einsum("nd,nd->n", block, block) < _MOST_SQUARED)  # not where a value is NaN
        if not usable.all():
            finite = np.asarray(np.isfinite(block).all(axis=1))
            fault, remedy = "not finite", "drop those rows"
            if finite.all():
                finite, fault, remedy = usable, "too large for sums of squares in float32", "divide all by one number"
            bad = np.argmin(finite)
            raise InputError(
                f"{self.name} are {fault} in {np.sum(~finite)} of {len(finite)} rows, "
                f"first row {numbers[bad] if isinstance(numbers, np.ndarray) else numbers + bad}: {remedy}"
            )
        return block


Vectors = np.ndarray | Sequence[np.ndarray] | Samples
