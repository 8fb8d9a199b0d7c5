"""Bring your own embeddings: arrays on disk instead of recordings.

    train_vectors.npy   float [N, D], calibrate the codebooks      train_metadata.csv   optional, one row a vector
    test_vectors.npy    float [M, D], measure what they disclose   test_metadata.csv    optional, one row a vector

Metadata columns are those of the utterance table, as far as known: speaker, gender, … None is required.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from porcupine.corpora import table
from porcupine.errors import InputError
from porcupine.storage import load_array

WANTED = "train_vectors.npy [N, D] and test_vectors.npy [M, D], with optional train_metadata.csv and test_metadata.csv"


@dataclass(frozen=True)
class Vectors:
    """Embeddings and what is known of each.

    train : float32 [N, D].
    test : float32 [M, D].
    train_table : N rows, one a vector; no columns where there is no metadata.
    test_table : M rows, likewise.
    """

    train: np.ndarray
    test: np.ndarray
    train_table: pd.DataFrame
    test_table: pd.DataFrame


def load(root: Path) -> Vectors:
    """Read and check the vectors in a folder.

    Raises InputError where an array is missing, is not a matrix of finite floats, or is empty (train needs two rows),
    where the two differ in D, or where metadata has another number of rows.
    """
    train = _matrix(root / "train_vectors.npy", at_least=2)
    test = _matrix(root / "test_vectors.npy", at_least=1)
    if train.shape[1] != test.shape[1]:
        raise InputError(
            f"{root}: train_vectors.npy has D={train.shape[1]}, test_vectors.npy D={test.shape[1]}: make equal"
        )
    return Vectors(train, test, _attributes(root, "train", len(train)), _attributes(root, "test", len(test)))


def _matrix(path: Path, *, at_least: int) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"{path}: missing: corpus.path should hold {WANTED}")
    stored = load_array(path)
    if stored.ndim != 2 or not np.issubdtype(stored.dtype, np.floating):
        raise InputError(
            f"{path}: {stored.dtype} {list(stored.shape)}, must be floats of shape [N, D], one row a vector"
        )
    if len(stored) < at_least or stored.shape[1] == 0:
        raise InputError(f"{path}: shape {list(stored.shape)}, must have at least {at_least} rows and 1 column")
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(stored, dtype=np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{path}: row {int(np.argmin(finite))} (from 0) is not finite in float32, "
            f"{int((~finite).sum())} such rows in all: leave them out"
        )
    return vectors


def _attributes(root: Path, part: str, n_vectors: int) -> pd.DataFrame:
    path = root / f"{part}_metadata.csv"
    if not path.is_file():
        return pd.DataFrame(index=pd.RangeIndex(n_vectors))
    attributes = table.read_metadata(path)
    if len(attributes) != n_vectors:
        raise InputError(f"{path}: {len(attributes)} rows for the {n_vectors} rows of {part}_vectors.npy: make equal")
    return attributes
