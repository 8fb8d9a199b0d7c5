"""Releases: what leaves the device of one system, in each fold of a cross-validation.

    Release    original, noisy or quantised frames of N utterances

A codebook belongs to a fold: it was fitted to speakers of the others. Emotions are told from utterances that passed the
codebook of their own speaker's fold, which has never seen them. An attacker of the speakers of a fold knows its
codebook, and passes what he holds of everyone through it: codebooks of different folds would tell him the fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from porcupine.errors import InputError
from porcupine.quantizers.base import Quantizer


@dataclass(frozen=True)
class Release:
    """Frames of N utterances as one system releases them.

    system, setting : its name, and K where there are codebooks, else 0.
    frames : float [T'_i, C] of each utterance, such as a `ragged.Ragged`.
    folds : int [N], in which each utterance is tested.
    codebooks : one a fold; none where frames leave as they are.
    """

    system: str
    setting: int
    frames: Sequence[np.ndarray]
    folds: np.ndarray
    codebooks: tuple[Quantizer, ...] = ()

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.folds) or len(self.codebooks) not in (0, self.folds.max() + 1):
            raise InputError(
                f"{self.system}: {len(self.frames)} utterances and {len(self.codebooks)} codebooks do not fit "
                f"{len(self.folds)} folds up to {self.folds.max()}: make all of them from one table of utterances"
            )

    def of(self, i: int, fold: int | None = None) -> np.ndarray:
        """Frames [T', C] of an utterance, as the codebook of a fold quantises them; its own fold by default."""
        if not self.codebooks:
            return np.asarray(self.frames[i])
        book = self.codebooks[self.folds[i] if fold is None else fold]
        return book.decode(book.encode(self.frames[i]))
