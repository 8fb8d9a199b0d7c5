"""From utterance embeddings to the samples that are quantised: one a speaker, or one an utterance.

cap_clips        at most so many clips a speaker, drawn at random
speaker_means    utterance embeddings -> one mean embedding a speaker (the paper's unit)
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from porcupine.errors import InputError
from porcupine.randomness import generator


def cap_clips(manifest: pd.DataFrame, max_clips: int, *, seed: int) -> pd.DataFrame:
    """Keep at most ``max_clips`` random clips of each speaker; one speaker's draw does not depend on the others."""
    kept = [
        clips if len(clips) <= max_clips else clips.iloc[_draw(str(speaker), len(clips), max_clips, seed)]
        for speaker, clips in manifest.groupby("speaker", sort=True)
    ]
    return pd.concat(kept).sort_values("utterance", ignore_index=True)


def _draw(speaker: str, n_clips: int, max_clips: int, seed: int) -> np.ndarray:
    return generator(seed, "clips", speaker).choice(n_clips, max_clips, replace=False)


def speaker_means(embeddings: np.ndarray, utterances: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Average each speaker's utterance embeddings.

    embeddings : float [N, D], not length-normalised; utterances : N rows with a `speaker` column.
    Returns float32 [S, D] and a table of S rows sorted by speaker: speaker, n_clips, and the columns of ``utterances``
    that hold one value for each speaker (gender, say).
    """
    if len(embeddings) != len(utterances):
        raise InputError(f"{len(embeddings)} embeddings do not fit {len(utterances)} utterances")
    speakers, index, n_clips = np.unique(
        utterances["speaker"].to_numpy(dtype=str), return_inverse=True, return_counts=True
    )
    total = np.zeros((len(speakers), embeddings.shape[1]))
    np.add.at(total, index, embeddings)
    table = pd.DataFrame({"speaker": speakers, "n_clips": n_clips})
    grouped = utterances.groupby(index)
    for column in utterances.columns.difference(["speaker"], sort=False):
        if (grouped[column].nunique(dropna=False) == 1).all():
            table[column] = grouped[column].first().to_numpy()
    return (total / n_clips[:, None]).astype(np.float32), table
