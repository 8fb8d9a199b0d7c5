"""Folds for cross-validation that no speaker crosses.

speaker_folds       speakers -> the fold in which each utterance is tested
require_disjoint    speakers of training and of testing -> an error that names who is in both
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from porcupine.errors import InputError


def speaker_folds(
    speakers: Sequence[str] | np.ndarray,
    n_folds: int,
    rng: np.random.Generator,
    *,
    gender: Sequence[str] | np.ndarray | None = None,
) -> np.ndarray:
    """Deal the speakers, shuffled, to folds, one gender after the other.

    speakers : str [N], speaker of each utterance.
    gender : str [N], missing where unknown; a speaker's is that of the first utterance.
    Returns int [N], 0 … n_folds - 1. Numbers of speakers differ by at most one between folds, those of one gender, too.
    They depend on the set of speakers and on the generator, not on the order of utterances.
    Raises InputError where there are fewer speakers than folds.

    Not scikit-learn's StratifiedGroupKFold: it balances utterances, and can leave a fold empty.
    """
    names, first, speaker = np.unique(np.asarray(speakers, dtype=str), return_index=True, return_inverse=True)
    if not 2 <= n_folds <= len(names):
        raise InputError(f"n_folds={n_folds}, must be between 2 and the {len(names)} speakers")
    order = rng.permutation(len(names))
    if gender is not None:
        if len(gender) != len(speaker):
            raise InputError(f"{len(gender)} genders for {len(speaker)} utterances, should match")
        genders = pd.Series(list(gender), dtype=object).fillna("").to_numpy()[first].astype(str)
        order = order[np.argsort(genders[order], kind="stable")]
    fold = np.empty(len(names), dtype=int)
    fold[order] = np.arange(len(names)) % n_folds
    return fold[speaker]


def require_disjoint(train: Sequence[str] | np.ndarray, test: Sequence[str] | np.ndarray) -> None:
    """Raise InputError where a speaker is in both. train : str [N], test : str [N'], speakers of utterances."""
    leaked = sorted(set(map(str, train)) & set(map(str, test)))
    if leaked:
        others = f" and {len(leaked) - 1} more" if len(leaked) > 1 else ""
        raise InputError(
            f"speaker {leaked[0]!r}{others} is in training and in testing: make folds with porcupine.frames.folds"
        )
