"""Attackers: who is it? From scores between probes and enrolled speakers.

enrol             utterances -> which the attacker holds, which are attacked
cosine_scores     embeddings -> scores
identification    scores -> where the true speaker ranks, ties counted
top_n_rate        ranks -> probability that the true speaker is among the first n
tally             scores -> what each speaker contributes to the rates
rates             tallies -> identification and equal error rates, for any weights of the speakers
attack_table      tallies of R repeats -> rates with intervals over speakers and repeats, chance beside them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from porcupine.errors import InputError
from porcupine.privacy.verification import eer_from_histograms

TOPS = (1, 5)
SCORE_BINS = 4000  # between cosines of -1 and 1


@dataclass(frozen=True)
class Ranks:
    """Rank of the true speaker for each probe: how many enrolled speakers score above, and how many others tie."""

    above: np.ndarray  # int [P]
    tied: np.ndarray  # int [P]


@dataclass(frozen=True)
class Enrolment:
    """Which utterances the attacker holds (``held``) and which are attacked (``probes``): int, rows of a table.

    speakers : str [M], all enrolled; held_speaker int [H] and probe_speaker int [P] index it.
    """

    speakers: np.ndarray
    held: np.ndarray
    held_speaker: np.ndarray
    probes: np.ndarray
    probe_speaker: np.ndarray

    def mean_embeddings(self, embeddings: np.ndarray) -> np.ndarray:
        """Mean of the held embeddings of each speaker. float [N, D] -> float64 [M, D]."""
        total = np.zeros((len(self.speakers), embeddings.shape[1]))
        np.add.at(total, self.held_speaker, embeddings[self.held])
        return total / np.bincount(self.held_speaker)[:, None]


def enrol(speakers: np.ndarray, per_speaker: int, rng: np.random.Generator) -> Enrolment:
    """Draw the utterances of each speaker that the attacker holds; the others are probes.

    speakers : str [N], speaker of each utterance. A speaker with too few keeps one probe; one with a single utterance
        is enrolled and never attacked.
    per_speaker : utterances held of each speaker, at least 1.
    Raises InputError with fewer than two speakers, or where no speaker has two utterances.
    """
    if per_speaker < 1:
        raise InputError(f"per_speaker={per_speaker}, should be >= 1: the attacker needs an utterance of each speaker")
    names, speaker = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"{len(names)} test speaker(s): an attack needs at least two to tell apart")
    n_utterances = np.bincount(speaker)
    shuffled = rng.permutation(len(speaker))
    shuffled = shuffled[np.argsort(speaker[shuffled], kind="stable")]
    place = np.arange(len(speaker)) - np.repeat(np.cumsum(n_utterances) - n_utterances, n_utterances)
    quota = np.clip(n_utterances - 1, 1, per_speaker)[speaker[shuffled]]
    held, probes = np.sort(shuffled[place < quota]), np.sort(shuffled[place >= quota])
    if not len(probes):
        raise InputError(f"each of {len(names)} test speakers has one utterance: an attack needs a second one to probe")
    return Enrolment(names, held, speaker[held], probes, speaker[probes])


def cosine_scores(probes: np.ndarray, enrolled: np.ndarray, *, center: np.ndarray) -> np.ndarray:
    """Cosine between probes and enrolled embeddings after subtracting ``center``.

    probes : float [P, D], enrolled : float [M, D], center : float [D], the mean of embeddings known to the attacker.
    Returns float32 [P, M]; a vector that equals the center scores 0 with everyone.
    """
    for name, vectors in (("probes", probes), ("enrolled", enrolled)):
        if vectors.ndim != 2 or vectors.shape[1] != center.shape[-1]:
            raise InputError(f"{name} have shape {vectors.shape}, should be [N, D={center.shape[-1]}]")
    return _unit(probes - center) @ _unit(enrolled - center).T


def _unit(vectors: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norm, where=norm != 0, out=np.zeros_like(vectors)).astype(np.float32)


def identification(scores: np.ndarray, target: np.ndarray) -> Ranks:
    """Rank the true speaker of each probe among all enrolled ones.

    scores : float [P, M]; target : int [P], column of the true speaker.
    Raises InputError on NaN scores, fewer than two enrolled speakers, or targets that are not columns of the scores.
    """
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise InputError(f"scores have shape {scores.shape}: identification needs at least two enrolled speakers")
    if np.isnan(scores).any():
        raise InputError(f"{np.isnan(scores).sum()} of {scores.size} scores are NaN: check the embeddings")
    target = np.asarray(target)
    if target.shape != scores.shape[:1] or ((target < 0) | (target >= scores.shape[1])).any():
        raise InputError(f"target of shape {target.shape} should give one column of the scores {scores.shape} a probe")
    own = np.take_along_axis(scores, target[:, None], axis=1)
    return Ranks(above=(scores > own).sum(axis=1), tied=(scores == own).sum(axis=1) - 1)


def top_n_rate(ranks: Ranks, n: int) -> np.ndarray:
    """Probability, for each probe, that its speaker is among the first n, ties broken at random. Float [P]."""
    return np.clip((n - ranks.above) / (ranks.tied + 1), 0, 1)


@dataclass(frozen=True)
class Tally:
    """What the probes of each of M speakers contribute to the rates.

    probes : float [M]; hits : float [T, M], of top-n identification for each n of `TOPS`;
    same, different : float [M, V], histograms of the probes' scores with their own and with the other speakers.
    """

    probes: np.ndarray
    hits: np.ndarray
    same: np.ndarray
    different: np.ndarray


def tally(scores: np.ndarray, target: np.ndarray) -> Tally:
    """Count hits and histogram scores by speaker.

    scores : float [P, M], between -1 and 1; target : int [P], column of the true speaker.
    """
    ranks = identification(scores, target)
    n_speakers = scores.shape[1]
    bins = np.clip(((scores + 1) * (SCORE_BINS / 2)).astype(np.int32), 0, SCORE_BINS - 1)
    size = n_speakers * SCORE_BINS
    row = target[:, None] * SCORE_BINS
    everyone = np.bincount((bins + row).ravel(), minlength=size).reshape(n_speakers, SCORE_BINS)
    own = np.take_along_axis(bins, target[:, None], axis=1) + row
    same = np.bincount(own.ravel(), minlength=size).reshape(n_speakers, SCORE_BINS)
    hits = [np.bincount(target, weights=top_n_rate(ranks, n), minlength=n_speakers) for n in TOPS]
    return Tally(np.bincount(target, minlength=n_speakers), np.stack(hits), same, everyone - same)


def rates(tally: Tally, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Rates when the probes of each speaker count ``weights`` times.

    weights : float [S, M]. Returns "top1", "top5" and "eer", float [S], as fractions.
    """
    probes = weights @ tally.probes
    result = {f"top{n}": weights @ hits / probes for n, hits in zip(TOPS, tally.hits, strict=True)}
    result["eer"] = eer_from_histograms(weights @ tally.same, weights @ tally.different)
    return result


def bootstrap_weights(tally: Tally, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the attacked speakers with replacement. Returns float [S, M]; all that are enrolled stay enrolled."""
    attacked = tally.probes > 0
    weights = np.zeros((draws, len(attacked)))
    weights[:, attacked] = rng.multinomial(attacked.sum(), np.full(attacked.sum(), 1 / attacked.sum()), size=draws)
    return weights


def attack_table(tallies: Sequence[Tally], weights: np.ndarray) -> pd.DataFrame:
    """Rates over R repeats: mean, and 95 % interval over resampled speakers and repeats together.

    weights : float [S, M] of `bootstrap_weights`, the same for all systems so that they compare pair by pair.
    Returns one row each for top1, top5 and eer: figure, value, low, high, chance, n_speakers (enrolled), n_attacked (of
    them, those with probes: the intervals are as good as these are many), n_probes.
    """
    n_speakers = len(tallies[0].probes)
    once = [rates(one, np.ones((1, n_speakers))) for one in tallies]
    drawn = [rates(one, weights) for one in tallies]
    chance = {f"top{n}": min(n / n_speakers, 1.0) for n in TOPS} | {"eer": 0.5}
    rows = []
    for figure in chance:
        low, high = np.quantile(np.concatenate([one[figure] for one in drawn]), [0.025, 0.975])
        value = float(np.mean([one[figure] for one in once]))
        rows.append({"figure": figure, "value": value, "low": low, "high": high, "chance": chance[figure]})
    probes = tallies[0].probes
    return pd.DataFrame(rows).assign(
        n_speakers=n_speakers, n_attacked=int((probes > 0).sum()), n_probes=int(probes.sum())
    )
