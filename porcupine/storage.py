"""Files that are whole or absent, and never unpickled.

Every writer fills a temporary name beside the target and renames it, so that a killed run leaves the old file or none;
the next run that writes the file removes the temporary.
Formats: `.npy` and `.npz` arrays (`allow_pickle=False`), parquet and CSV tables, safetensors weights, JSON records
without NaN or Infinity. The same content gives the same bytes.

    replacing         context manager: a temporary path that takes the target's name on success
    save_arrays       dict of arrays -> .npz         load_arrays
    save_array        array -> .npy                  load_array
    save_table        DataFrame -> .parquet / .csv   load_table
    save_json         dict -> .json                  load_json
"""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from porcupine.errors import InputError


@contextmanager
def replacing(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path (file or folder, to be made by the caller) that replaces ``target`` on success.

    On an exception the temporary is removed and ``target`` is left as it was. Temporaries of ``target`` that killed
    processes have left are removed.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{platform.node()}-{os.getpid()}.partial{target.suffix}")
    _remove(temporary)
    _sweep(target)
    try:
        yield temporary
        if target.is_dir():
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        _remove(temporary)


def _sweep(target: Path) -> None:
    """Remove the temporaries of ``target`` whose process is no more. Of those of other machines nobody here knows."""
    for path in _found_partial(target.parent.absolute()):
        parts = map(re.escape, (f".{target.stem}.{platform.node()}-", f".partial{target.suffix}"))
        writer = re.fullmatch(r"(\d{1,7})".join(parts), path.name)
        if writer and not _alive(int(writer[1])):
            with suppress(OSError):  # gone by now, or another user's
                _remove(path)


@functools.cache
def _found_partial(folder: Path) -> list[Path]:
    """Temporaries that this process found in a folder. Listed once, as a corpus writes thousands of files into one."""
    return list(folder.glob(".*.partial*"))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def save_array(path: str | Path, array: np.ndarray) -> None:
    """Write one array to ``path`` (`.npy`)."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def load_array(path: str | Path, *, mmap: bool = False) -> np.ndarray:
    """Read one `.npy` array, memory-mapped where ``mmap``.

    Raises InputError where the file is missing, truncated or holds Python objects.
    """
    try:
        return np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable .npy array ({error}): write it with numpy.save") from error


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to ``path`` (`.npz`, uncompressed)."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **dict(arrays))


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read all arrays of an `.npz` file.

    Raises InputError where the file is missing, truncated or holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable .npz archive ({error}): write it with numpy.savez") from error


def save_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table to ``path``: `.parquet`, or `.csv` with 10 significant digits."""
    path = Path(path)
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False, float_format="%.10g", lineterminator="\n")
        elif path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            raise InputError(f"{path}: tables are written as .parquet or .csv, not {path.suffix!r}")


def load_table(path: str | Path) -> pd.DataFrame:
    """Read a `.parquet` or `.csv` table. Raises InputError where it is missing or unreadable."""
    path = Path(path)
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable table ({error})") from error


def save_json(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON, keys in the order given. NaN and Infinity are refused: store None and a reason."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def load_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON record. Raises InputError where it is missing or unreadable."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable JSON file ({error})") from error
