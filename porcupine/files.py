"""Vectors and codes in files of others; what is large is read and written in blocks.

    read            file -> array, of any shape and type
    read_vectors    file -> Samples, float [N, D], one row a sample
    read_codes      file -> int [N]
    read_either     file -> one of the two, by the type of its numbers
    read_labels     table -> DataFrame
    write           blocks -> file
    require_target  before the work: could the file be written?
    require_folder  likewise of a folder
    reading         context manager: what a parser raises becomes an InputError
    naming          context manager: every InputError names the file

    .npy           memory-mapped
    .safetensors   memory-mapped; its only tensor, or `file.safetensors:name`
    .npz           in memory; its only array, or `file.npz:name`
    .parquet       unpacked to an unnamed temporary file; its only column of lists, all as long; or all columns, numbers
                   of one type, one a dimension; or `file.parquet:column`

Nothing is unpickled. Whatever is wrong with a file is an InputError of one line that names it.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import textwrap
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors import safe_open

from porcupine import storage
from porcupine.corpora.table import read_metadata
from porcupine.errors import InputError, nearest
from porcupine.quantizers.samples import Samples

_ROWS = 2**14  # of parquet, read at once
_TENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1",
}  # fmt: skip


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Put the path before the message of an InputError that does not have it."""
    try:
        yield
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error


@contextmanager
def reading(path: str | Path, what: str) -> Iterator[None]:
    """Turn whatever is raised into an InputError that names the path: parsers raise anything on bytes of other kinds.

    what : the file should be.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file: check the path")
    with naming(path):
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            told = textwrap.shorten(str(error) or type(error).__name__, 200)
            raise InputError(f"{path}: not a readable {what} ({told}): truncated, or something else") from error


def read(source: str | Path) -> np.ndarray:
    """Read the array of a file, or that of a name in it: `file.npz:name`.

    Raises InputError where there is no such file, format or name, or the file is truncated or something else.
    """
    path, name = _split(source)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: format {path.suffix!r} is not known: use {', '.join(_READERS)}")
    with reading(path, f"{path.suffix} file"):
        return reader(path, name)


def read_vectors(source: str | Path) -> Samples:
    """Read vectors, float [N, D] of any floating type. Values are checked as they are used (`Samples`).

    Raises InputError as `read` does, and where the array is something else.
    """
    return _vectors(read(source), source)


def read_codes(source: str | Path) -> np.ndarray:
    """Read codes, int [N] of any integer type. Raises InputError as `read` does, and where they are something else."""
    return _codes(read(source), source)


def read_either(source: str | Path) -> Samples | np.ndarray:
    """Read codes where the file holds integers, else vectors; see `read_codes` and `read_vectors`."""
    array = read(source)
    return _codes(array, source) if np.issubdtype(array.dtype, np.integer) else _vectors(array, source)


def _vectors(array: np.ndarray, source: str | Path) -> Samples:
    if not np.issubdtype(array.dtype, np.floating) or array.ndim != 2 or 0 in array.shape:
        raise InputError(f"{source}: {_told(array)}, should be vectors: floats of shape [N, D], one row a sample")
    return Samples(array, name=f"{source}: vectors")


def _codes(array: np.ndarray, source: str | Path) -> np.ndarray:
    if not np.issubdtype(array.dtype, np.integer) or array.ndim != 1 or not len(array):
        raise InputError(f"{source}: {_told(array)}, should be codes: integers of shape [N], one a sample")
    return array


def _told(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {list(array.shape)}"


def read_labels(path: str | Path) -> pd.DataFrame:
    """Read a table, `.csv` or `.parquet`. Raises InputError where it is missing, unreadable or neither."""
    path = Path(path)
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": read_metadata, ".parquet": storage.load_table}
    if path.suffix not in readers:
        raise InputError(f"{path}: format {path.suffix!r} is not one of tables: use {', '.join(readers)}")
    with reading(path, "table"):
        return readers[path.suffix](path)


def require_target(path: str | Path, formats: Sequence[str] = (), *, inputs: Iterable[str | Path] = ()) -> None:
    """Raise InputError where ``path`` cannot be written: its format, its folder, or it is an input itself.

    formats : endings; those of `write` if empty.
    """
    path, formats = Path(path), formats or tuple(_WRITERS)
    if path.suffix not in formats:
        raise InputError(f"{path}: cannot write format {path.suffix!r}: use {', '.join(formats)}")
    if path.is_dir():
        raise InputError(f"{path}: is a folder: name a file")
    _require_parent(path)
    for source in inputs:
        taken, _ = _split(source)
        if path.exists() and taken.exists() and path.samefile(taken):
            raise InputError(f"{path}: is an input: choose another name for the output")


def require_folder(path: str | Path) -> None:
    """Raise InputError where a folder cannot be made there."""
    path = Path(path).resolve()
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file: name a folder")
    _require_parent(path)


def _require_parent(path: Path) -> None:
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{path}: folder {path.parent} is missing or cannot be written: make it, or choose another")


def write(
    path: str | Path, name: str, dtype: np.dtype | type, shape: tuple[int, ...], blocks: Iterable[np.ndarray]
) -> None:
    """Write an array block by block; whole or not at all.

    name : of the array, tensor or column, in formats that have one.
    shape : of all; blocks : arrays [n, ...], whose n sum to ``shape[0]``, of what can be cast to ``dtype``.
    """
    require_target(path)
    cast = (np.ascontiguousarray(block, dtype=dtype) for block in blocks)
    with storage.replacing(path) as temporary:
        _WRITERS[Path(path).suffix](temporary, _Layout(name, np.dtype(dtype), shape), cast)


def _split(source: str | Path) -> tuple[Path, str]:
    path, _, name = str(source).rpartition(":")
    return (Path(path), name) if Path(path).suffix.lower() in _READERS else (Path(source), "")


def _only(path: Path, name: str, names: Sequence[str], what: str) -> str:
    """The name asked for, or the only one there is."""
    if name and name not in names:
        raise InputError(f"{path}: no {what} {name!r}{nearest(name, names)}")
    if not name and len(names) != 1:
        held = f"{len(names)} {what}s ({', '.join(names)}): name one, as {path}:NAME" if names else f"no {what}"
        raise InputError(f"{path}: holds {held}")
    return name or names[0]


def _read_npy(path: Path, name: str) -> np.ndarray:
    if name:
        raise InputError(f"{path}: holds one array without a name: leave out :{name}")
    return np.lib.format.open_memmap(path, mode="r")


def _read_npz(path: Path, name: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        return archive[_only(path, name, archive.files, "array")]


def _read_safetensors(path: Path, name: str) -> np.ndarray:
    with safe_open(path, framework="numpy") as file:  # checks header and size
        name = _only(path, name, list(file.keys()), "tensor")
    with path.open("rb") as raw:
        header = raw.read(int.from_bytes(raw.read(8), "little"))
    tensor = json.loads(header)[name]
    if tensor["dtype"] not in _TENSORS:
        raise InputError(f"{path}: tensor {name!r} is of type {tensor['dtype']}: save it as F32")
    start, stop = tensor["data_offsets"]
    if start == stop:
        return np.empty(tensor["shape"], _TENSORS[tensor["dtype"]])
    offset = 8 + len(header) + start
    return np.memmap(path, _TENSORS[tensor["dtype"]], mode="r", offset=offset, shape=tuple(tensor["shape"]))


def _read_parquet(path: Path, name: str) -> np.ndarray:
    with pq.ParquetFile(path) as file, tempfile.TemporaryFile() as unpacked:
        columns = _columns(path, name, file.schema_arrow)
        shape: tuple[int, ...] = (0,)
        dtype = np.dtype(np.float32)
        for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
            if len(batch) == 0:
                continue
            parts = [_values(path, column, batch.column(column)) for column in columns]
            rows = np.ascontiguousarray(parts[0] if len(parts) == 1 else np.stack(parts, axis=1))
            if shape[0] and rows.shape[1:] != shape[1:]:
                raise InputError(f"{path}: lists of {shape[1]} and of {rows.shape[1]} numbers, should be as long")
            unpacked.write(rows.data)
            shape, dtype = (shape[0] + len(rows), *rows.shape[1:]), rows.dtype
        unpacked.flush()
        return np.memmap(unpacked, dtype, mode="r", shape=shape) if math.prod(shape) else np.empty(shape, dtype)


def _columns(path: Path, name: str, schema: pa.Schema) -> list[str]:
    """The columns to read: one of lists or of numbers, or all, one a dimension."""
    types = dict(zip(schema.names, schema.types, strict=True))
    lists = [column for column, kind in types.items() if _is_list(kind)]
    columns = [_only(path, name, schema.names if name else lists, "column")] if name or lists else schema.names
    numbers = {column: types[column].value_type if _is_list(types[column]) else types[column] for column in columns}
    for column, kind in numbers.items():
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise InputError(f"{path}: column {column!r} holds {kind}, not numbers: name another, as {path}:COLUMN")
    if len(set(numbers.values())) > 1:
        told = ", ".join(f"{column!r} {kind}" for column, kind in list(numbers.items())[:4])
        raise InputError(f"{path}: columns of several types ({told} …), should be one a dimension: name one of lists")
    return columns


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _values(path: Path, name: str, column: pa.Array) -> np.ndarray:
    """Numbers of a column, [n] or [n, D]."""
    numbers = column.flatten() if _is_list(column.type) else column
    if column.null_count or numbers.null_count:
        raise InputError(f"{path}: column {name!r} has missing values: drop those rows")
    values = numbers.to_numpy(zero_copy_only=False)
    if not _is_list(column.type):
        return values
    lengths = np.unique(pc.list_value_length(column).to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise InputError(f"{path}: column {name!r} has lists of {lengths[0]} to {lengths[-1]} numbers: make them equal")
    return values.reshape(len(column), -1)


@dataclass(frozen=True)
class _Layout:
    """What to call an array, the type of its entries, and the shape of all of it."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]


def _write_npy(path: Path, layout: _Layout, blocks: Iterable[np.ndarray]) -> None:
    with path.open("wb") as file:
        _fill_npy(file, layout, blocks)


def _write_npz(path: Path, layout: _Layout, blocks: Iterable[np.ndarray]) -> None:
    with zipfile.ZipFile(path, "w") as archive, archive.open(f"{layout.name}.npy", "w", force_zip64=True) as file:
        _fill_npy(file, layout, blocks)


def _fill_npy(file: IO[bytes], layout: _Layout, blocks: Iterable[np.ndarray]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(layout.dtype), "fortran_order": False, "shape": layout.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for block in blocks:
        file.write(block.data)


def _write_safetensors(path: Path, layout: _Layout, blocks: Iterable[np.ndarray]) -> None:
    kind = {np.dtype(dtype): kind for kind, dtype in _TENSORS.items()}[layout.dtype]
    size = math.prod(layout.shape) * layout.dtype.itemsize
    tensor = {"dtype": kind, "shape": layout.shape, "data_offsets": [0, size]}
    header = json.dumps({layout.name: tensor}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for block in blocks:
            file.write(block.data)


def _write_parquet(path: Path, layout: _Layout, blocks: Iterable[np.ndarray]) -> None:
    kind = pa.from_numpy_dtype(layout.dtype)
    for length in layout.shape[:0:-1]:
        kind = pa.list_(kind, length)
    with pq.ParquetWriter(path, schema := pa.schema([(layout.name, kind)])) as writer:
        for block in blocks:
            column = pa.array(block.ravel())
            for length in layout.shape[:0:-1]:
                column = pa.FixedSizeListArray.from_arrays(column, length)
            writer.write_batch(pa.record_batch([column], schema=schema))


_READERS: dict[str, Callable[[Path, str], np.ndarray]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
}
_WRITERS: dict[str, Callable[[Path, _Layout, Iterable[np.ndarray]], None]] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".safetensors": _write_safetensors,
}
