"""Many arrays of different lengths in few files: a folder of `.npy` files and an index.

    write     iterable of arrays -> folder, in bounded memory
    Ragged    folder -> read-only sequence of arrays, memory-mapped

A folder holds `00000.npy`, `00001.npy`, …, each several arrays joined along their first axis, and `index.npy`,
int64 [N, 3]: file number, first and one-past-last row of each array.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from porcupine import storage
from porcupine.errors import InputError


def write(
    folder: str | Path, arrays: Iterable[np.ndarray], *, dtype: str = "float16", file_bytes: int = 64_000_000
) -> None:
    """Write arrays that differ in their first axis only; holds about two files' worth of them in memory.

    folder : appears whole, once all arrays are written; one that is there is replaced.
    dtype : arrays are stored as.
    file_bytes : a file is closed when it holds this much.
    Raises InputError where an array's other axes differ from the first one's, or ``dtype`` cannot hold a value.
    """
    index: list[tuple[int, int, int]] = []
    pending: list[np.ndarray] = []
    start = number = 0
    shape: tuple[int, ...] | None = None
    with storage.replacing(folder) as temporary:
        temporary.mkdir()
        for i, array in enumerate(arrays):
            shape = array.shape[1:] if shape is None else shape
            if array.ndim == 0 or array.shape[1:] != shape:
                raise InputError(f"array {i} has shape {array.shape}: it should be (any length, {shape})")
            pending.append(_cast(array, dtype, i))
            index.append((number, start, start + len(array)))
            start += len(array)
            if sum(array.nbytes for array in pending) >= file_bytes:
                storage.save_array(temporary / _file_name(number), np.concatenate(pending))
                pending, start, number = [], 0, number + 1
        if pending:
            storage.save_array(temporary / _file_name(number), np.concatenate(pending))
        storage.save_array(temporary / "index.npy", np.array(index, dtype=np.int64).reshape(-1, 3))


class Ragged(Sequence[np.ndarray]):
    """The arrays of a folder made by `write`; ``ragged[i]`` is read from disk when it is used.

    Nothing stays open between uses; ``for`` opens each file once. Raises InputError where the folder is missing or
    incomplete.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "index.npy").is_file():
            raise InputError(f"{self.folder}: not a folder made by porcupine.ragged.write; it has no index.npy")
        self._index = storage.load_array(self.folder / "index.npy")

    def select(self, rows: Sequence[int] | np.ndarray) -> Ragged:
        """Return the sequence of these arrays only, in this order."""
        selected = copy.copy(self)
        selected._index = self._index[np.asarray(rows, dtype=np.int64)]
        return selected

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[np.ndarray]:
        opened = -1
        for number, start, stop in self._index:
            if number != opened:
                opened, array = number, storage.load_array(self.folder / _file_name(number), mmap=True)
            yield array[start:stop]

    @overload
    def __getitem__(self, i: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, i: slice) -> Ragged: ...
    def __getitem__(self, i: int | slice) -> np.ndarray | Ragged:
        if isinstance(i, slice):
            return self.select(range(len(self))[i])
        number, start, stop = self._index[i]
        return storage.load_array(self.folder / _file_name(number), mmap=True)[start:stop]

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each array, int64 [N]."""
        return self._index[:, 2] - self._index[:, 1]


def _file_name(number: int) -> str:
    return f"{number:05d}.npy"


def _cast(array: np.ndarray, dtype: str, i: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        stored = array.astype(dtype)
    if not np.array_equal(np.isfinite(stored), np.isfinite(array)):
        raise InputError(f"array {i} has values up to {np.nanmax(np.abs(array)):.4g} that {dtype} cannot hold")
    return stored
