"""Speaker verification: how well scores tell same-speaker from different-speaker pairs.

equal_error_rate           scores and labels -> EER
eer_from_histograms        the same from binned scores, batched
score_histograms           scores and labels -> how many pairs of each kind have each score
bootstrap                  interval of the EER, or of a measure of `porcupine.privacy.evidence`, over speakers

A pair of speakers is scored: higher for more alike. Pairs that share a speaker are not independent, so an interval has
to come from drawing speakers; drawing pairs makes it too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from porcupine.errors import InputError

BINS = 4000  # of the scores while speakers are drawn


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def equal_error_rate(scores: np.ndarray, same_speaker: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Error rate at the threshold where misses and false alarms are equally frequent.

    scores : float [N], higher for more alike. Equal scores are split at random, so constant scores give 0.5.
    same_speaker : bool [N].
    weights : float [N], how often each pair counts; once by default.
    Returns a fraction between 0 and 1.
    Raises InputError on NaN, or where all pairs are of one kind.
    """
    _, same, different = score_histograms(scores, same_speaker, weights)
    return float(eer_from_histograms(same, different))


def score_histograms(
    scores: np.ndarray, same_speaker: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores, rising, and the weight at each of the pairs of the same and of different speakers.

    Arguments and errors are those of `equal_error_rate`. Returns three float [V].
    """
    scores, same_speaker = _check(scores, same_speaker)
    if weights is not None:
        weights = np.asarray(weights)
        if weights.shape != scores.shape or not ((weights >= 0) & np.isfinite(weights)).all():
            raise InputError(
                f"weights {weights.shape} should be finite numbers >= 0, one for each of {scores.size} pairs"
            )
        counted = weights > 0
        scores, same_speaker, weights = scores[counted], same_speaker[counted], weights[counted]
    if same_speaker.all() or not same_speaker.any():
        kind = "same" if same_speaker.any() else "different"
        raise InputError(f"all {scores.size} pairs are of {kind} speakers: an error rate needs pairs of both kinds")
    values, index = np.unique(scores, return_inverse=True)
    ones = 1.0 if weights is None else weights
    same = np.bincount(index, weights=same_speaker * ones, minlength=values.size)
    different = np.bincount(index, weights=~same_speaker * ones, minlength=values.size)
    return values, same, different


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


def bootstrap(
    measure: Callable[..., float],
    scores: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
) -> Estimate:
    """Value of a measure and its 95 % percentile interval over speakers drawn with replacement.

    measure : (scores, same_speaker, weights) -> float, such as `equal_error_rate`.
    scores : float [N]; first, second : int or str [N], the two speakers of each pair.
    A pair counts as often as its first speaker was drawn times its second, a pair of one speaker as often as that one.
    The value is exact. Of the draws, scores are rounded to `BINS` or so distinct ones, each with at most 2 / BINS of
    the pairs of either kind unless these are tied; no more distinct ones than that are not rounded.
    The interval covers what other speakers would change, not the bias that a measure has in small samples.
    Raises InputError where speakers are so few that most draws lack pairs of one kind.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape:
        raise InputError(f"first {first.shape} and second {second.shape} should name the two speakers of each pair")
    scores, same = _check(scores, first == second)
    value = measure(scores, same, None)
    codes, names = pd.factorize(np.concatenate([first, second]), sort=True)
    n_speakers = len(names)
    one, other = codes.reshape(2, -1)
    other = np.where(same, n_speakers, other)  # nobody, who always counts once
    values, place = _coarse(scores, same)
    place = place + len(values) * same
    order = np.argsort(place, kind="stable")
    one, other = one[order], other[order]
    occupied, start = np.unique(place[order], return_index=True)
    binned_scores, binned_same = values[occupied % len(values)], occupied >= len(values)
    found = []
    for drawn in rng.multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=resamples):
        times = np.append(drawn, 1.0)
        weights = np.add.reduceat(times[one] * times[other], start)
        if weights[binned_same].any() and weights[~binned_same].any():
            found.append(measure(binned_scores, binned_same, weights))
    if 2 * len(found) <= resamples:
        raise InputError(
            f"{resamples - len(found)} of {resamples} draws of {n_speakers} speakers hold pairs of one kind only: "
            "an interval needs more speakers"
        )
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def _coarse(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores float [V], rising, and which of them each pair has, int [N]; neighbours merged where V would be large."""
    values, place = np.unique(scores, return_inverse=True)
    if len(values) <= BINS:
        return values, place
    share = np.cumsum(np.bincount(place, weights=np.where(same, 1 / same.sum(), 1 / (~same).sum())))
    _, start, cell, count = np.unique(
        (share / share[-1] * BINS).astype(int), return_index=True, return_inverse=True, return_counts=True
    )
    return values[start + count // 2], cell[place]


def _check(scores: np.ndarray, same_speaker: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, same_speaker = np.asarray(scores), np.asarray(same_speaker, dtype=bool)
    if scores.shape != same_speaker.shape or scores.ndim != 1:
        raise InputError(f"scores {scores.shape} and same_speaker {same_speaker.shape} should be vectors of one length")
    if np.isnan(scores).any():
        raise InputError(f"{np.isnan(scores).sum()} of {scores.size} scores are NaN: check the embeddings")
    return scores, same_speaker


def _cumulative_share(weights: np.ndarray) -> np.ndarray:
    cumulative = np.concatenate([np.zeros((*weights.shape[:-1], 1)), np.cumsum(weights, axis=-1)], axis=-1)
    return cumulative / cumulative[..., -1:]
