"""Fitted quantisers as files: one `.npz` without pickle, which can be read without the code that trains.

    save, load            quantisers of several bitrates and repeats
    save_one, load_one    a single one
    KINDS                 what can be saved

Beside the arrays of `Quantizer.to_arrays` there is `kind`, the name of the class. Several quantisers are stacked, the
repeats R of each bitrate: `codebook_b4` [R, K, D], `weights_b4` [R, K], …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from porcupine import storage
from porcupine.errors import InputError, nearest
from porcupine.quantizers.balanced import PowerCells
from porcupine.quantizers.base import Nearest, Quantizer
from porcupine.quantizers.tour import Tour
from porcupine.quantizers.tree import Tree
from porcupine.quantizers.variants import Interval

KINDS: dict[str, type[Quantizer]] = {kind.__name__: kind for kind in (Nearest, Interval, PowerCells, Tour, Tree)}


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


def save_one(path: str | Path, quantizer: Quantizer) -> None:
    """Write a single quantiser. Raises InputError where its kind cannot be saved."""
    storage.save_arrays(path, {"kind": _kind(quantizer), **quantizer.to_arrays()})


def load_one(path: str | Path) -> Quantizer:
    """Read the quantiser of `save_one`. Raises InputError where the file is not that."""
    arrays = storage.load_arrays(path)
    return _restore(path, arrays, arrays)


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
