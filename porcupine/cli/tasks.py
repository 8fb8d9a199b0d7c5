"""What the commands do, between reading and writing.

Fit                how to fit a quantiser; called with vectors, it does
load, origin       codebook -> quantiser, tried out; -> its provenance
encode, decode     vectors <-> codes, block by block, to a file
of_vectors         vectors -> codes to audit, of a codebook, or of a quantiser fitted to half of the vectors
of_codes           codes -> the same
Measured           what both return
labels             table -> speakers and groups
require_dimension  of vectors and codebook
sizes              N, D and K for a record
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from porcupine import files
from porcupine.errors import InputError, nearest
from porcupine.quantizers import fitted
from porcupine.quantizers.base import Quantizer
from porcupine.quantizers.samples import BLOCK_ENTRIES, Samples
from porcupine.randomness import generator

MOST_FITTED = 2**17
"""Samples that an audit fits a quantiser to, at most: more hardly move its cells."""


@dataclass(frozen=True)
class Fit:
    """How to fit a quantiser; see `quantizers.registry`."""

    method: str
    bits: int
    seed: int

    def __call__(self, samples: Samples, *, progress: bool) -> tuple[Quantizer, dict[str, Any]]:
        """The quantiser and its provenance. Raises InputError where samples are too few, or cannot be used."""
        from porcupine.quantizers import registry  # takes longer to import than other commands take

        many = registry.fit(self.method, samples, bits=[self.bits], seed=self.seed, progress=progress)
        origin = fitted.provenance(samples, method=self.method, bits=self.bits, seed=self.seed)
        return many[self.bits][0], origin


def load(codebook: Path) -> Quantizer:
    """Read a quantiser and try it on its own codewords. Raises InputError where it is none, or cannot work."""
    with files.reading(codebook, "codebook"):
        if not zipfile.is_zipfile(codebook):
            raise InputError(f"{codebook}: not a codebook: write one by `porcupine fit`")
        quantizer = fitted.load_one(codebook)
        quantizer.encode(quantizer.codebook)
    return quantizer


def origin(codebook: Path) -> dict[str, Any]:
    """Read the provenance of a quantiser; empty where it has none."""
    return fitted.load_provenance(codebook)


def require_dimension(samples: Samples, source: str, quantizer: Quantizer, codebook: Path) -> None:
    """Raise InputError unless vectors have as many dimensions as codewords."""
    if samples.shape[1] != quantizer.codebook.shape[1]:
        raise InputError(
            f"{source}: vectors of D={samples.shape[1]} dimensions, but {codebook} is for "
            f"D={quantizer.codebook.shape[1]}: use vectors of the encoder that it was fitted to"
        )


def encode(quantizer: Quantizer, samples: Samples, output: Path, *, progress: bool) -> None:
    """Write the codes of vectors, int32 [N]."""
    codes = (codes for _, _, codes in _coded(quantizer, samples, progress=progress))
    files.write(output, "codes", np.int32, (len(samples),), codes)


def decode(quantizer: Quantizer, codes: np.ndarray, output: Path, *, progress: bool) -> None:
    """Write the vectors of codes int [N], float32 [N, D]. Raises InputError where a code is outside 0 … K-1."""
    dimension = quantizer.codebook.shape[1]
    step = max(1, BLOCK_ENTRIES // dimension)
    starts = tqdm(range(0, len(codes), step), desc="decode", unit="block", disable=not progress)
    blocks = (quantizer.decode(codes[start : start + step]) for start in starts)
    files.write(output, "vectors", np.float32, (len(codes), dimension), blocks)


def sizes(samples: Sized, quantizer: Quantizer) -> dict[str, int]:
    """N samples, D and K."""
    n_codewords, dimension = quantizer.codebook.shape
    return {"n_samples": len(samples), "dimension": dimension, "n_codewords": n_codewords}


@dataclass(frozen=True)
class Measured:
    """Codes to audit, and how they came about.

    codes : int [n]; rows : bool [N], of the input, those that they are the codes of. n_codewords : K.
    distortion : mean squared error a dimension; None where vectors are not known.
    origin : provenance of the quantiser, as far as known.
    told : what is measured, in words.
    """

    codes: np.ndarray
    rows: np.ndarray
    n_codewords: int
    distortion: float | None
    origin: dict[str, Any]
    told: str

    @property
    def n_train(self) -> int | None:
        """Samples that the quantiser was fitted to, where that is known."""
        n_samples = _data(self.origin).get("n_samples")
        return n_samples if isinstance(n_samples, int) and n_samples > 0 else None


def of_codes(codes: np.ndarray, source: str, of: Path | int | None) -> Measured:
    """Audit codes int [N] as they are. of : their codebook, or their length in bits. Raises InputError on neither."""
    if of is None:
        raise InputError(f"{source}: holds codes, of how many? Give their --codebook or --bits")
    n_codewords, known = (2**of, {}) if isinstance(of, int) else (load(of).size, origin(of))
    return Measured(codes, np.full(len(codes), True), n_codewords, None, known, f"Measured on {len(codes)} codes.")


def of_vectors(
    samples: Samples, source: str, by: Path | Fit, speaker: np.ndarray | None, *, progress: bool
) -> Measured:
    """Quantise the vectors to be audited.

    by : a codebook, fitted to others; or how to fit one to half of the speakers, drawn at random, and measure the rest.
    speaker : [N], None for one of its own each.
    Raises InputError where the codebook was fitted to these vectors, or is of other dimensions, or none can be fitted.
    """
    if isinstance(by, Path):
        quantizer, known = load(by), origin(by)
        require_dimension(samples, source, quantizer, by)
        _require_others(samples, source, by, known)
        rows = np.full(len(samples), True)
        told = f"Measured on {len(samples)} vectors, quantised by {by}."
    else:
        rows = ~_half(len(samples), source, speaker, by.seed)
        part = np.concatenate([block[~rows[at]] for at, block in samples.blocks()])
        with files.naming(source):
            quantizer, known = by(Samples(part), progress=progress)
        others = "others" if speaker is None else "of other speakers"
        told = (
            f"Measured on {rows.sum()} vectors, quantised by {by.method} of {by.bits} bits, "
            f"fitted to {len(part)} {others}, drawn at random with seed {by.seed}."
        )
    codes, squares = [], 0.0
    for at, block, block_codes in _coded(quantizer, samples, progress=progress):
        block, block_codes = block[rows[at]], block_codes[rows[at]]
        squares += float(np.square(block - quantizer.codebook[block_codes], dtype=np.float64).sum())
        codes.append(block_codes)
    distortion = squares / (int(rows.sum()) * samples.shape[1])
    return Measured(np.concatenate(codes), rows, quantizer.size, distortion, known, told)


def labels(
    table: Path | None, speakers: str | None, groups: Sequence[str] | None, source: str, n_samples: int
) -> tuple[np.ndarray | None, pd.DataFrame | None]:
    """Read who the samples are of, [N], and what is known of them, N rows; None for what is not asked for.

    speakers : a column of the table; groups : columns, or None for all others.
    Raises InputError where there is no such column, or not one row a sample.
    """
    if table is None:
        return None, None
    found = files.read_labels(table)
    if len(found) != n_samples:
        raise InputError(f"{table}: {len(found)} rows for the {n_samples} samples of {source}: give one row a sample")
    own = [speakers] if speakers else []
    for column in [*own, *(groups or [])]:
        if column not in found:
            raise InputError(f"{table}: no column {column!r}{nearest(column, map(str, found.columns))}")
    known = found[list(groups)] if groups else found.drop(columns=own)
    return found[speakers].to_numpy() if speakers else None, known.reset_index(drop=True)


def _coded(quantizer: Quantizer, samples: Samples, *, progress: bool) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield rows, their vectors float32 [n, D] and their codes int32 [n]."""
    with tqdm(total=len(samples), desc="encode", unit=" vectors", unit_scale=True, disable=not progress) as bar:
        for rows, block in samples.blocks():
            yield rows, block, quantizer.encode(block)
            bar.update(len(block))


def _half(n_samples: int, source: str, speaker: np.ndarray | None, seed: int) -> np.ndarray:
    """Rows to fit to, bool [N]: half of them, `MOST_FITTED` at most, all or none of a speaker's."""
    unit = np.arange(n_samples)
    if speaker is not None:
        names = pd.Series(speaker, dtype=object)
        named = ~(names.isna() | (names == "")).to_numpy()
        unit[named] = n_samples + pd.factorize(names[named])[0]
        unit = np.unique(unit, return_inverse=True)[1]
    n_units = int(unit.max()) + 1
    place = generator(seed, "half").permutation(n_units)[unit]
    half = np.cumsum(np.bincount(place))[place] <= min(n_samples // 2, MOST_FITTED)
    if not half.any():
        raise InputError(f"{source}: {n_samples} samples of {n_units} speakers cannot be halved: give a --codebook")
    return half


def _require_others(samples: Samples, source: str, codebook: Path, known: dict[str, Any]) -> None:
    """Raise InputError where the codebook was fitted to these very vectors."""
    data = _data(known)
    if data.get("n_samples") == len(samples) and data.get("sha256") == fitted.digest(samples):
        raise InputError(
            f"{source}: {codebook} was fitted to these very vectors, whose codes are more even than those of others: "
            "audit others, or leave out --codebook to fit to half of them"
        )


def _data(provenance: dict[str, Any]) -> dict[str, Any]:
    """What `fitted.provenance` says of the training data; others may say it otherwise."""
    data = provenance.get("data")
    return data if isinstance(data, dict) else {}
