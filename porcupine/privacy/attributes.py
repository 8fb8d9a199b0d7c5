"""Attributes: what can be told about a speaker besides who they are, such as gender, age group, accent or emotion.

age_groups        ages in years -> labels, for corpora that have only ages
fit_raw           raw embeddings, labels -> attackers who have never seen a code (threat "ignorant")
fit_released      codebook, codes, labels -> what attackers who have seen it read from each code (threat "informed")
attribute_table   readings of R repeats -> accuracy and unweighted average recall with intervals, chance beside them
information_row   codes, labels -> bits that the code discloses about the attribute, or the reason why nobody knows

Attackers learn from utterances of the training speakers:

    linear   logistic regression of the vectors
    mlp      a small neural network, of raw vectors alone: K codewords leave nothing to it that the other two miss
    bayes    how often each label has each code, of the code alone

Whichever it is, he ends up with the likelihood of each label given the release, and guesses the best for the figure at
hand: likelihood times share of the label for the accuracy, likelihood alone for the unweighted average recall (uar, the
mean over the labels of the share of their utterances that is found).

Vectors are whitened first, as far as N of them can tell: tr Σ / 4 N is added to each variance. That is ten times as
quick as standardising them, and finds more where small directions hold much, as of an accent.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from porcupine.errors import InputError
from porcupine.privacy.attackers import _estimate
from porcupine.privacy.information import mutual_information
from porcupine.privacy.occupancy import count_codes
from porcupine.quantizers.base import check_vectors

YOUNGEST = {"child": 0, "teen": 14, "young": 18, "adult": 30, "senior": 60}  # years; as those of `corpora.voices`
FIGURES = ("accuracy", "uar")

FLOOR = 0.25  # of the whitened variances, in tr Σ / N
PENALTY = 100.0  # of the squared weights of the logistic regression, in utterances
HIDDEN, DECAY, BATCH, STEPS = 64, 3.0, 200, 1000  # of the network; batches of so many utterances
STRENGTH = 40.0  # utterances that the shares of the labels count as, beside those of a code


@dataclass(frozen=True)
class Reading:
    """What attackers read from each of Q releases.

    classes : str [C], the labels; shares : float [C], how common each is in training.
    log_likelihoods : attacker -> float [Q, C], of the release given the label, up to a constant for each release.
    """

    classes: np.ndarray
    shares: np.ndarray
    log_likelihoods: Mapping[str, np.ndarray]

    def guess(self, attacker: str, figure: str) -> np.ndarray:
        """The label that is best for the figure, of `FIGURES`, given each release: str [Q]."""
        prior = np.log(self.shares) if figure == "accuracy" else 0.0
        return self.classes[(self.log_likelihoods[attacker] + prior).argmax(axis=1)]


@dataclass(frozen=True)
class Model:
    """Attackers who have learnt from raw embeddings: `predict` for any release, raw or decoded."""

    classes: np.ndarray
    shares: np.ndarray
    center: np.ndarray
    whitening: np.ndarray
    linear: Any
    mlp: Any

    @threadpool_limits.wrap(limits=1)
    def predict(self, releases: np.ndarray) -> Reading:
        """Read releases, float [Q, D]: codewords, or embeddings. Raises InputError where they do not fit."""
        releases = check_vectors(releases, name="releases")
        if releases.shape[1] != len(self.center):
            raise InputError(f"releases have D={releases.shape[1]} dimensions, the attackers know D={len(self.center)}")
        features = (releases - self.center) @ self.whitening
        chances = np.maximum(self.mlp.predict_proba(features.astype(np.float32)), np.finfo(np.float32).tiny)
        likelihoods = {
            "linear": self.linear.predict_log_proba(features),
            "mlp": np.log(chances) - np.log(self.shares),
        }
        return Reading(self.classes, self.shares, likelihoods)


def age_groups(ages: np.ndarray | pd.Series) -> np.ndarray:
    """Name the age group: child below 14 years, teen below 18, young below 30, adult below 60, then senior.

    ages : float [N], in years; NaN, None and NA are missing. Returns labels, object [N], NaN where missing.
    Raises InputError on an age that is negative or infinite.
    """
    years = pd.Series(ages).to_numpy(dtype=float, na_value=np.nan)
    wrong = years[(years < 0) | np.isinf(years)]
    if len(wrong):
        raise InputError(f"age={wrong[0]:g}, should be in years, from 0: correct it or leave it empty")
    index = np.searchsorted(list(YOUNGEST.values()), years, side="right") - 1
    labels = np.array([*YOUNGEST], dtype=object)[index]
    labels[np.isnan(years)] = np.nan
    return labels


@threadpool_limits.wrap(limits=1)  # with more threads sums have another order, and results other bytes
def fit_raw(vectors: np.ndarray, labels: np.ndarray, *, rng: np.random.Generator) -> Model:
    """Learn the labels of raw embeddings.

    vectors : float [N, D], one an utterance of the training speakers; labels : [N]; None, NaN and "" are missing and
    left out.
    Raises InputError where they do not fit, vectors are not finite, or fewer than two labels are left.
    """
    vectors = check_vectors(vectors)
    known, classes, label = _classes(labels, len(vectors))
    vectors, shares = vectors[known], np.bincount(label) / len(label)
    center, whitening = _whiten(vectors, np.ones(len(vectors)))
    features = (vectors - center) @ whitening
    linear = _logistic_regression(features, label, np.ones(len(label)), shares)
    batch = min(BATCH, len(label))
    mlp = MLPClassifier(
        hidden_layer_sizes=HIDDEN,
        alpha=DECAY,
        batch_size=batch,
        max_iter=max(1, STEPS * batch // len(label)),
        random_state=int(rng.integers(2**31)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is meant to stop early
        mlp.fit(features.astype(np.float32), label)
    return Model(classes, shares, center, whitening, linear, mlp)


@threadpool_limits.wrap(limits=1)
def fit_released(codebook: np.ndarray, codes: np.ndarray, labels: np.ndarray) -> Reading:
    """Learn the labels of codes, knowing what they decode to, and read each code.

    codebook : float [K, D]; codes : int [N], one an utterance of the training speakers; labels : [N], as for `fit_raw`.
    Returns the reading of the K codes in order. Raises InputError as `fit_raw` does, and on codes outside 0 … K-1.
    """
    codebook, codes = check_vectors(codebook, name="codewords"), np.asarray(codes)
    count_codes(codes, len(codebook))
    known, classes, label = _classes(labels, len(codes))
    cells = count_codes(codes[known] * len(classes) + label, len(codebook) * len(classes))
    counts = cells.reshape(len(codebook), len(classes))
    shares = counts.sum(axis=0) / counts.sum()
    center, whitening = _whiten(codebook, counts.sum(axis=1))
    features = (codebook - center) @ whitening
    code, label = np.nonzero(counts)
    linear = _logistic_regression(features[code], label, counts[code, label], shares)
    likelihoods = {
        "linear": linear.predict_log_proba(features),
        "bayes": np.log(counts + STRENGTH * shares) - np.log(shares),
    }
    return Reading(classes, shares, likelihoods)


@threadpool_limits.wrap(limits=1)
def attribute_table(
    readings: Sequence[Reading],
    rows: np.ndarray,
    labels: np.ndarray,
    speakers: np.ndarray | None = None,
    *,
    bootstrap: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """How often attackers tell the labels of test utterances, over R repeats.

    readings : one for each repeat. rows : int [R, P], the release that shows each of P utterances: its code, or a
    number of its own where embeddings are shown. labels : [P]; None, NaN and "" are missing and left out.
    speakers : [P]; None where each utterance is from another speaker.
    rng : a new one from the same seed for each system draws the same speakers, so that they compare pair by pair.
    Returns one row for each attacker and figure: attacker, figure, value (mean over the repeats), low, high (95 %, over
    resampled speakers and repeats together, the training being given), chance (the most frequent label's share for the
    accuracy, 1 / labels for the uar), n_classes, n_speakers, n_samples, n_missing, n_repeats.
    Raises InputError where these do not fit, fewer than two labels or speakers are left, or training lacks a label.
    """
    rows = np.asarray(rows)
    if rows.ndim != 2 or len(rows) != len(readings):
        raise InputError(
            f"rows have shape {rows.shape}, should be [R, P], one row for each of {len(readings)} readings"
        )
    for reading, row in zip(readings, rows, strict=True):
        count_codes(row, len(next(iter(reading.log_likelihoods.values()))))
    known, names, label = _classes(labels, rows.shape[1])
    unheard = sorted(set(names.tolist()).difference(*(reading.classes.tolist() for reading in readings)))
    if unheard:
        raise InputError(f"label {unheard[0]!r} is not among those of training: train on some, or leave it out")
    speaker = np.unique(_speakers(speakers, len(known))[known], return_inverse=True)[1]
    n_classes, n_speakers = len(names), int(speaker.max()) + 1
    if n_speakers < 2:
        raise InputError(f"{n_speakers} speaker with labels: an interval over speakers needs at least two")
    drawn = rng.integers(n_speakers, size=(bootstrap, n_speakers))
    weights = np.vstack([np.ones(n_speakers), count_codes(drawn, n_speakers)])

    def add(values: np.ndarray) -> np.ndarray:
        """Sum float [P] over the utterances of each label, speakers weighted: float [1 + S, C]."""
        place = speaker * n_classes + label
        return weights @ np.bincount(place, values, n_speakers * n_classes).reshape(n_speakers, n_classes)

    totals = add(np.ones(len(label)))
    chance = {"accuracy": totals[0].max() / len(label), "uar": 1 / n_classes}
    table = []
    for attacker in readings[0].log_likelihoods:
        for figure in FIGURES:
            found = []
            for reading, row in zip(readings, rows[:, known], strict=True):
                hits = add(reading.guess(attacker, figure)[row] == names[label])
                if figure == "accuracy":
                    found.append(hits.sum(axis=1) / totals.sum(axis=1))
                else:
                    everyone = np.tile(hits[0] / totals[0], (len(weights), 1))  # counts where a draw lacks the label
                    found.append(np.divide(hits, totals, where=totals > 0, out=everyone).mean(axis=1))
            estimate = _estimate(found)._asdict()
            table.append({"attacker": attacker, "figure": figure} | estimate | {"chance": chance[figure]})
    return pd.DataFrame(table).assign(
        n_classes=n_classes,
        n_speakers=n_speakers,
        n_samples=len(label),
        n_missing=len(known) - len(label),
        n_repeats=len(readings),
    )


def information_row(
    codes: np.ndarray,
    labels: np.ndarray,
    speakers: np.ndarray | None = None,
    *,
    permutations: int,
    rng: np.random.Generator,
) -> dict[str, object]:
    """What `information.mutual_information` finds, in bits; where it refuses, the reason why.

    codes : int [N]; labels : [N]; None, NaN and "" are missing; speakers : [N], None where each sample has its own.
    Returns bits_disclosed, low, high, chance_bits (of permuted labels), p_value, code_entropy, label_entropy (all NaN
    where refused), n_samples, n_missing, n_speakers, reason ("" where there is none).
    Raises InputError where the lengths differ.
    """
    codes, known = np.asarray(codes), _known(labels)
    if codes.shape != known.shape:
        raise InputError(f"codes {codes.shape} and labels {known.shape} should be vectors of one length")
    codes, kept = codes[known], np.asarray(labels, dtype=object)[known]
    speakers = _speakers(speakers, len(known))[known]
    names = ("bits_disclosed", "low", "high", "chance_bits", "p_value", "code_entropy", "label_entropy")
    values, reason = (np.nan,) * len(names), ""
    try:
        found = mutual_information(codes, kept, permutations=permutations, rng=rng, speakers=speakers)
        values = (found.bits, found.low, found.high, found.chance, found.p_value)
        values += (found.code_entropy, found.label_entropy)
    except InputError as error:
        reason = str(error)
    counts = {"n_samples": len(codes), "n_missing": int((~known).sum()), "n_speakers": len(np.unique(speakers))}
    return dict(zip(names, values, strict=True)) | counts | {"reason": reason}


def _known(labels: np.ndarray) -> np.ndarray:
    """Whether each label is there: neither missing nor empty. Bool [N]."""
    names = pd.Series(labels, dtype=object)
    return (names.notna() & (names != "")).to_numpy()


def _classes(labels: np.ndarray, n_samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of the labels are known, bool [N]; their names, str [C]; index of the name of each known one, int."""
    known = _known(labels)
    if len(known) != n_samples:
        raise InputError(f"{len(known)} labels do not fit {n_samples} utterances")
    names, label = np.unique(np.asarray(labels, dtype=object)[known].astype(str), return_inverse=True)
    if len(names) < 2:
        only = f", {names.item()!r}" if len(names) else ""
        raise InputError(f"{len(names)} label(s) among {n_samples} utterances{only}: there is nothing to tell apart")
    return known, names, label


def _speakers(speakers: np.ndarray | None, n_samples: int) -> np.ndarray:
    """Speaker of each sample; each its own where there are none."""
    names = np.arange(n_samples) if speakers is None else np.asarray(speakers).astype(str)
    if names.shape != (n_samples,):
        raise InputError(f"speakers have shape {names.shape}, should be [N={n_samples}], one an utterance")
    return names


def _whiten(vectors: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean float64 [D] and whitening matrix [D, D] of vectors [N, D] that count ``weights`` times [N]."""
    share = weights / weights.sum()
    center = share @ vectors
    centered = vectors - center
    variances, axes = np.linalg.eigh((share[:, None] * centered).T @ centered)
    floor = FLOOR * variances.sum() / np.count_nonzero(weights)
    scale = np.sqrt(np.maximum(variances, 0) + max(floor, 0))
    return center, axes / np.where(scale > 0, scale, 1)


def _logistic_regression(features: np.ndarray, label: np.ndarray, counts: np.ndarray, shares: np.ndarray) -> Any:
    """Fit to labels int [n] of features [n, D], each seen so many times; all labels count the same together."""
    balanced = counts / (shares[label] * len(shares))
    return LogisticRegression(C=1 / PENALTY, max_iter=1000).fit(features, label, sample_weight=balanced)
