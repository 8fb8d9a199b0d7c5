"""Emotion: what a random forest hears in the statistics of an utterance's frames, of speakers it has not heard.

    utterance_statistics    frames -> one vector an utterance
    choose_emotions         labels -> which utterances are of the emotions asked for
    predict_emotions        vectors, labels, folds -> predictions for speakers of the other folds
    confusions              labels, predictions -> counts by speaker
    emotion_scores          counts of R repeats -> accuracy, UAR, precision, recall, F1 with intervals, chance beside
    recognise_emotions      all of these: vectors, labels, folds -> scores and confusions as tables
    published_scores        what system 2 is reported to reach

UAR is the unweighted mean of the recalls. An embedding is such a vector already, and needs no statistics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from porcupine.corpora.table import EMOTIONS
from porcupine.errors import InputError, nearest
from porcupine.frames.folds import require_disjoint
from porcupine.randomness import generator

THREE = ("angry", "happy", "sad")

_LOUD = 0.5
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_LAGS = (1, 2, 4, 8, 16, 32)  # frames
_TERMS = 6
_LEVELS = (0.5, 0.65, 0.8, 0.9)

_PUBLISHED = {
    "precision": (0.76, 0.73, 0.94),
    "recall": (0.89, 0.68, 0.84),
    "f1": (0.82, 0.70, 0.88),
}
_PUBLISHED_ACCURACY = 0.78
_SOURCE = "course project on privacy-preserving features, CREMA-D, audio; whether folds share speakers is not said"


def utterance_statistics(frames: np.ndarray) -> np.ndarray:
    """Statistics of the frames between the first and the last loud one, which pauses at the ends do not change.

    frames : float [T', C], raw, noisy or quantised; coefficient 0 rises with the level, as of MFCC. Loud frames have
        it above the middle between its lowest and highest.
    Returns float32 [19 C + 6], in this order: of each coefficient the mean, the standard deviation, the quantiles .1,
    .25, .5, .75 and .9; the first 6 terms of its course as a cosine series over the utterance; the root of its mean
    square change over 1, 2, 4, 8, 16 and 32 frames (0 where there are not so many); then the numbers of frames of the
    clip and of the span, and the shares of the span with coefficient 0 above .5, .65, .8 and .9 of the way from its
    lowest to its highest.
    All but the numbers of frames and shares scale with the frames. A constant offset changes means and quantiles only.
    Raises InputError where there are no frames, or they are not finite.
    """
    if frames.ndim != 2 or 0 in frames.shape or not np.isfinite(frames).all():
        raise InputError(f"frames of shape {frames.shape} should be [T', C], at least one, and finite")
    frames = frames.astype(np.float64)
    level = frames[:, 0] - frames[:, 0].min()
    level /= level.max() or 1
    loud = np.flatnonzero(level >= _LOUD * level.max())
    span = slice(loud[0], loud[-1] + 1)
    spoken, level = frames[span], level[span]
    length = len(spoken)
    mean = spoken.mean(axis=0)
    cosines = np.cos(np.pi * np.outer(np.arange(1, _TERMS + 1), (np.arange(length) + 0.5) / length))
    changes = [
        np.sqrt(np.square(spoken[lag:] - spoken[:-lag]).mean(axis=0)) if lag < length else 0 * mean for lag in _LAGS
    ]
    durations = [len(frames), length, *((level > share).mean() for share in _LEVELS)]
    quantiles = np.quantile(spoken, _QUANTILES, axis=0)
    parts = [
        mean,
        spoken.std(axis=0),
        quantiles.ravel(),
        (cosines @ (spoken - mean) / length).ravel(),
        *changes,
        durations,
    ]
    return np.concatenate(parts).astype(np.float32)


def choose_emotions(emotions: Sequence[str] | np.ndarray, wanted: Sequence[str]) -> np.ndarray:
    """Rows of the utterances with one of the ``wanted`` emotions, int [N'].

    emotions : str [N], words of `porcupine.corpora.table.EMOTIONS`, such as `THREE`.
    Raises InputError where a label is none of them, fewer than two are wanted, or one of these has no utterances.
    """
    labels = pd.Series(list(emotions), dtype=object)
    for word in [*labels.unique(), *wanted]:
        if word not in EMOTIONS:
            raise InputError(f"emotion {word!r} is not known{nearest(str(word), EMOTIONS)}")
    if len(set(wanted)) < 2:
        raise InputError(f"emotions {list(wanted)}: at least two are needed to tell apart")
    for word in wanted:
        if not (labels == word).any():
            raise InputError(f"no utterance is {word!r}; the corpus has {', '.join(sorted(labels.unique()))}")
    return np.flatnonzero(labels.isin(list(wanted)))


def predict_emotions(
    features: np.ndarray,
    emotions: Sequence[str] | np.ndarray,
    speakers: Sequence[str] | np.ndarray,
    folds: np.ndarray,
    *,
    seed: int,
    heard: np.ndarray | None = None,
    trees: int = 300,
    training_speakers: int | None = None,
    workers: int = 1,
) -> np.ndarray:
    """Predict the emotion of each utterance by a random forest that was trained on the other folds.

    features : float [N, F], that forests are trained on.
    emotions, speakers : str [N]; folds : int [N], of `porcupine.frames.folds.speaker_folds`.
    heard : float [N, F], that they are tested on, such as statistics of quantised frames; ``features`` by default.
    training_speakers : so many of a fold's training speakers are used, drawn at random, those of a smaller number among
        them, for a learning curve; all by default.
    workers : processes of the forest, -1 for one a core; the result is the same.
    Returns str [N].
    Raises InputError where a speaker is in two folds, there are fewer than two folds or emotions, or features are not
    finite.
    """
    heard = features if heard is None else heard
    emotions, speakers, folds = np.asarray(emotions, dtype=str), np.asarray(speakers, dtype=str), np.asarray(folds)
    if (
        features.ndim != 2
        or features.shape != heard.shape
        or {len(emotions), len(speakers), len(folds)} != {len(features)}
    ):
        raise InputError(
            f"features {features.shape} and {heard.shape} should both be [N, F], with as many emotions "
            f"({len(emotions)}), speakers ({len(speakers)}) and folds ({len(folds)})"
        )
    if not (np.isfinite(features).all() and np.isfinite(heard).all()):
        raise InputError("features are not finite: make them with porcupine.frames.emotion.utterance_statistics")
    if len(np.unique(folds)) < 2:
        raise InputError("all utterances are in one fold: at least two are needed")
    predicted = np.empty_like(emotions)
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        require_disjoint(speakers[train], speakers[test])
        if training_speakers is not None:
            train = train[np.isin(speakers[train], _draw(speakers[train], training_speakers, seed, int(fold)))]
        if len(np.unique(emotions[train])) < 2:
            raise InputError(
                f"fold {fold} is trained on {str(emotions[train][0])!r} alone: at least two emotions are needed"
            )
        state = int(generator(seed, "forest", int(fold)).integers(2**31))
        forest = RandomForestClassifier(trees, class_weight="balanced", random_state=state, n_jobs=workers)
        forest.fit(features[train], emotions[train])
        predicted[test] = forest.set_params(n_jobs=1).predict(heard[test])  # threads would add in any order
    return predicted


def _draw(speakers: np.ndarray, number: int, seed: int, fold: int) -> np.ndarray:
    names = np.unique(speakers)
    if not 1 <= number <= len(names):
        raise InputError(f"training_speakers={number}, must be between 1 and the {len(names)} that fold {fold} leaves")
    return generator(seed, "training speakers", fold).permutation(names)[:number]


def confusions(
    emotions: Sequence[str] | np.ndarray,
    predicted: np.ndarray,
    speakers: Sequence[str] | np.ndarray,
    *,
    labels: Sequence[str],
) -> np.ndarray:
    """Count utterances by speaker, true and predicted emotion.

    emotions, predicted, speakers : str [N]; labels : the L emotions, in order.
    Returns int [M, L, L], speakers sorted; its sum over speakers is the confusion matrix.
    """
    names, speaker = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    for word in np.unique([*emotions, *predicted]):
        if word not in labels:
            raise InputError(f"emotion {str(word)!r} is not among the labels{nearest(str(word), labels)}")
    place = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(names), len(labels), len(labels)), dtype=int)
    np.add.at(counts, (speaker, *(np.array([place[word] for word in words]) for words in (emotions, predicted))), 1)
    return counts


def emotion_scores(
    counts: Sequence[np.ndarray], *, labels: Sequence[str], draws: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Accuracy, UAR, and precision, recall and F1 of each emotion: means over R repeats.

    counts : int [M, L, L] each, of `confusions`, for repeats with other folds and forests; labels : the L emotions.
    draws : of the speakers with replacement, for 95 % intervals over speakers and repeats together. The same ones for
        the same generator, so that systems compare pair by pair.
    Returns one row a figure: figure, emotion (missing for accuracy and uar), value, low, high, chance, n_speakers,
    n_utterances. Chance is uniform guessing, but for accuracy always guessing the most frequent emotion. Precision and
    F1 of an emotion never predicted are 0.
    Raises InputError where an emotion has no utterances.
    """
    repeats = np.asarray(counts)
    n_speakers, n_labels = repeats.shape[1:3]
    if repeats.ndim != 4 or n_labels != len(labels) or repeats.shape[3] != n_labels:
        raise InputError(f"counts of shape {repeats.shape} should be [R, M, L, L], L={len(labels)} labels")
    frequency = repeats[0].sum(axis=(0, 2))
    if not frequency.all():
        raise InputError(f"no utterance is {labels[int(np.argmin(frequency))]!r}: leave it out of the labels")
    weights = rng.multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=draws)
    values = np.mean([_figures(one.sum(axis=0)) for one in repeats], axis=0)
    drawn = np.concatenate([_figures(np.tensordot(weights, one, axes=1)) for one in repeats])
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    share, guess = frequency / frequency.sum(), np.full(n_labels, 1 / n_labels)
    figures = ["accuracy", "uar", *np.repeat(["precision", "recall", "f1"], n_labels)]
    return pd.DataFrame(
        {
            "figure": figures,
            "emotion": [None, None, *labels, *labels, *labels],
            "value": values,
            "low": low,
            "high": high,
            "chance": [share.max(), 1 / n_labels, *share, *guess, *(2 * share * guess / (share + guess))],
            "n_speakers": n_speakers,
            "n_utterances": int(frequency.sum()),
        }
    )


def recognise_emotions(
    features: np.ndarray,
    emotions: Sequence[str] | np.ndarray,
    speakers: Sequence[str] | np.ndarray,
    folds: np.ndarray,
    *,
    wanted: Sequence[str],
    draws: int,
    seed: int,
    heard: np.ndarray | None = None,
    trees: int = 300,
    training_speakers: int | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Recognise the ``wanted`` emotions; arguments are those of `predict_emotions`, all utterances among them.

    draws : of the speakers behind each interval.
    Returns the table of `emotion_scores` and one of confusions: emotion, predicted, count.
    """
    rows = choose_emotions(emotions, wanted)
    emotions, speakers = np.asarray(emotions, dtype=str)[rows], np.asarray(speakers, dtype=str)[rows]
    predicted = predict_emotions(
        features[rows],
        emotions,
        speakers,
        np.asarray(folds)[rows],
        seed=seed,
        heard=None if heard is None else heard[rows],
        trees=trees,
        training_speakers=training_speakers,
    )
    counts = confusions(emotions, predicted, speakers, labels=wanted)
    scores = emotion_scores([counts], labels=wanted, draws=draws, rng=generator(seed, "speakers drawn"))
    cells = [
        {"emotion": true, "predicted": guess, "count": int(count)}
        for true, row in zip(wanted, counts.sum(axis=0), strict=True)
        for guess, count in zip(wanted, row, strict=True)
    ]
    return scores, pd.DataFrame(cells)


def _figures(counts: np.ndarray) -> np.ndarray:
    """Accuracy, UAR, L precisions, L recalls, L F1 of confusion matrices [..., L, L], as [..., 2 + 3 L]."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    true, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    with np.errstate(invalid="ignore"):
        recall = right / true  # NaN where none is drawn
        accuracy = right.sum(axis=-1) / counts.sum(axis=(-2, -1))
    precision, f1 = right / np.maximum(predicted, 1), 2 * right / np.maximum(true + predicted, 1)
    overall = np.stack([accuracy, np.nanmean(recall, axis=-1)], axis=-1)
    return np.concatenate([overall, precision, recall, f1], axis=-1)


def published_scores() -> pd.DataFrame:
    """Return the reported figures of three emotions by a random forest: figure, emotion, value, source."""
    rows = [
        {"figure": figure, "emotion": emotion, "value": value}
        for figure, values in _PUBLISHED.items()
        for emotion, value in zip(THREE, values, strict=True)
    ]
    return pd.DataFrame([{"figure": "accuracy", "emotion": None, "value": _PUBLISHED_ACCURACY}, *rows]).assign(
        source=_SOURCE
    )
