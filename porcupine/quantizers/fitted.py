"""Fitted quantisers as files: one `.npz` without pickle, which can be read without the code that trains.

    save, load            quantisers of several bitrates and repeats
    save_one, load_one    a single one, with its provenance
    provenance            what a quantiser was fitted on, how and by which versions; `load_provenance` reads it back
    digest                vectors -> SHA-256
    KINDS                 what can be saved

Beside the arrays of `Quantizer.to_arrays` there is `kind`, the name of the class. Several quantisers are stacked, the
repeats R of each bitrate: `codebook_b4` [R, K, D], `weights_b4` [R, K], … The provenance of a single one is JSON in the
array `provenance`, text.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from porcupine import storage
from porcupine.errors import InputError, nearest
from porcupine.quantizers.balanced import PowerCells
from porcupine.quantizers.base import Nearest, Quantizer
from porcupine.quantizers.samples import Samples, Vectors
from porcupine.quantizers.tour import Tour
from porcupine.quantizers.tree import Tree
from porcupine.quantizers.variants import Interval

KINDS: dict[str, type[Quantizer]] = {kind.__name__: kind for kind in (Nearest, Interval, PowerCells, Tour, Tree)}

PACKAGES = ("porcupine", "numpy", "scipy", "scikit-learn", "torch", "diveq")  # that results can depend on


def save(path: str | Path, fitted: Mapping[int, Sequence[Quantizer]]) -> None:
    """Write quantisers of one kind: bits -> one a repeat. Raises InputError where kinds differ or cannot be saved."""
    arrays = {"kind": _kind(*(one for repeats in fitted.values() for one in repeats))}
    for bits, repeats in fitted.items():
        states = [one.to_arrays() for one in repeats]
        arrays |= {f"{name}_b{bits}": np.stack([state[name] for state in states]) for name in states[0]}
    storage.save_arrays(path, arrays)


def load(path: str | Path) -> dict[int, list[Quantizer]]:
    """Read the quantisers of `save`. Raises InputError where the file is not that."""
    arrays = storage.load_arrays(path)
    stacks: dict[int, dict[str, np.ndarray]] = {}
    for key, stack in arrays.items():
        name, _, bits = key.rpartition("_b")
        if name and bits.isdigit():
            stacks.setdefault(int(bits), {})[name] = stack
    if not stacks:
        raise InputError(
            f"{path}: no bitrate among the arrays {', '.join(arrays)}: read a single quantiser by load_one"
        )
    return {
        bits: [
            _restore(path, arrays, {name: stack[repeat] for name, stack in stacked.items()})
            for repeat in range(min(len(stack) for stack in stacked.values()))
        ]
        for bits, stacked in stacks.items()
    }


def save_one(path: str | Path, quantizer: Quantizer, provenance: Mapping[str, Any] | None = None) -> None:
    """Write a single quantiser, and with it a record of where it comes from: that of `provenance`, or one's own.

    Equal quantisers with equal records give equal bytes.
    Raises InputError where its kind cannot be saved, or the record is not JSON.
    """
    arrays = {"kind": _kind(quantizer), **quantizer.to_arrays()}
    if provenance is not None:
        arrays["provenance"] = np.array(_json(provenance))
    storage.save_arrays(path, arrays)


def load_one(path: str | Path) -> Quantizer:
    """Read the quantiser of `save_one`. Raises InputError where the file is not that."""
    arrays = storage.load_arrays(path)
    return _restore(path, arrays, arrays)


def load_provenance(path: str | Path) -> dict[str, Any]:
    """Read the record that `save_one` was given, empty where it was given none.

    Raises InputError where the file or the record cannot be read.
    """
    text = storage.load_arrays(path).get("provenance", np.array("{}"))
    try:
        record = json.loads(str(text))
    except ValueError as error:
        raise InputError(f"{path}: its provenance is not JSON ({error}): fit the quantiser again") from error
    if not isinstance(record, dict):
        raise InputError(f"{path}: its provenance is not a JSON object but {record!r}: fit the quantiser again")
    return record


def provenance(vectors: Vectors, *, method: str, **params: Any) -> dict[str, Any]:
    """What a quantiser comes from, for `save_one`: data, method, params, versions. No time, no place, no names.

    vectors : float [N, D] that it was fitted on, in memory or not. Their digest tells whether others are the same, and
        nothing else of them.
    method, params : as they were given to `registry.fit` or an estimator: bits, seed, … Values of JSON, numpy
        numbers and arrays, dataclasses.
    Returns {"data": {"sha256", "n_samples", "dimension"}, "method", "params", "versions": {"python", "numpy", …}}, the
    versions of those of `PACKAGES` that are installed.
    Raises InputError where the vectors are unusable, or a parameter cannot be kept.
    """
    samples = Samples(vectors)
    n_samples, dimension = samples.shape
    return {
        "data": {"sha256": digest(samples), "n_samples": n_samples, "dimension": dimension},
        "method": method,
        "params": json.loads(_json(params)),
        "versions": {"python": platform.python_version()} | _versions(),
    }


def digest(vectors: Vectors) -> str:
    """SHA-256, in hexadecimal, of vectors as float32 in little-endian order, row after row, in bounded memory.

    vectors : float [N, D]. Shards, memory maps and wider floating types of the same values to float32 give the same.
    """
    sha256 = hashlib.sha256()
    for _, block in Samples(vectors).blocks():
        sha256.update(block.astype("<f4", copy=False).data)
    return sha256.hexdigest()


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _json(record: Mapping[str, Any]) -> str:
    """Keys in order, so that equal records are equal text."""
    try:
        return json.dumps(record, sort_keys=True, allow_nan=False, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise InputError(f"a record of {', '.join(map(str, record))} cannot be kept as JSON: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{value!r} is no number, text, list, mapping or dataclass")


def _kind(*quantizers: Quantizer) -> np.ndarray:
    kinds = {type(one).__name__ for one in quantizers}
    if len(kinds) != 1 or not kinds <= set(KINDS):
        raise InputError(f"quantisers of kind {', '.join(sorted(kinds)) or 'none'}: save one of {', '.join(KINDS)}")
    return np.array(kinds.pop())


def _restore(path: str | Path, arrays: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]) -> Quantizer:
    kind = str(arrays.get("kind", ""))
    if kind not in KINDS:
        raise InputError(f"{path}: quantiser of kind={kind!r} is not known{nearest(kind, KINDS)}")
    try:
        return KINDS[kind].from_arrays(state)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
