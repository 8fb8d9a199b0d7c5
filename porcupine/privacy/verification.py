"""Speaker verification: how well scores tell same-speaker from different-speaker pairs.

equal_error_rate           scores and labels -> EER
eer_from_histograms        the same from binned scores, batched
"""

from __future__ import annotations

import numpy as np

from porcupine.errors import InputError


def equal_error_rate(scores: np.ndarray, same_speaker: np.ndarray) -> float:
    """Error rate at the threshold where misses and false alarms are equally frequent.

    scores : float [N], higher for more alike. Equal scores are split at random, so constant scores give 0.5.
    same_speaker : bool [N].
    Returns a fraction between 0 and 1.
    Raises InputError on NaN, or where all pairs are of one kind.
    """
    scores = np.asarray(scores)
    same_speaker = np.asarray(same_speaker, dtype=bool)
    if scores.shape != same_speaker.shape or scores.ndim != 1:
        raise InputError(f"scores {scores.shape} and same_speaker {same_speaker.shape} should be vectors of one length")
    if np.isnan(scores).any():
        raise InputError(f"{np.isnan(scores).sum()} of {scores.size} scores are NaN: check the embeddings")
    if same_speaker.all() or not same_speaker.any():
        kind = "same" if same_speaker.any() else "different"
        raise InputError(f"all {scores.size} pairs are of {kind} speakers: an error rate needs pairs of both kinds")
    values, index = np.unique(scores, return_inverse=True)
    same = np.bincount(index, weights=same_speaker, minlength=values.size)
    different = np.bincount(index, weights=~same_speaker, minlength=values.size)
    return float(eer_from_histograms(same, different))


def eer_from_histograms(same: np.ndarray, different: np.ndarray) -> np.ndarray:
    """Equal error rate of score histograms; ties within a bin are split at random.

    same, different : float [..., V], weight of each kind of pair in V bins of rising score, no row all zero.
    Returns float [...], between 0 and 1.
    """
    misses = _cumulative_share(same)
    false_alarms = 1 - _cumulative_share(different)
    gap = misses - false_alarms
    after = np.argmax(gap >= 0, axis=-1)[..., None]
    before = after - 1
    gap_before = np.take_along_axis(gap, before, axis=-1)
    gap_after = np.take_along_axis(gap, after, axis=-1)
    weight = -gap_before / (gap_after - gap_before)
    low, high = np.take_along_axis(misses, before, axis=-1), np.take_along_axis(misses, after, axis=-1)
    return (low + weight * (high - low))[..., 0]


def _cumulative_share(weights: np.ndarray) -> np.ndarray:
    cumulative = np.concatenate([np.zeros((*weights.shape[:-1], 1)), np.cumsum(weights, axis=-1)], axis=-1)
    return cumulative / cumulative[..., -1:]
