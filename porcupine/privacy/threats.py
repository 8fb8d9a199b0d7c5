"""Threat models: what an attacker has learnt before he meets a release, and the trials that he then makes of it.

Evidence      utterances of the training speakers, and of the test speakers of whom the attacker holds some
of_vectors    evidence -> trials of raw embeddings
of_releases   evidence, releases that are vectors again, as of rebuilt sound -> trials, with one threat model
of_codes      evidence, a quantiser's codebook and codes -> trials of its codes, with one threat model

He holds embeddings of some utterances of every test speaker, as they are, and is shown a release of another: the
embedding, or the codeword of its code. What tells apart `backends.THREATS` is the releases he has learnt from. The
cosine has nothing to learn: it is the ignorant attacker's. The codes of what he holds can be counted only by who has a
codebook. The codewords themselves are no secret, since releases show them one after the other: who has learnt from
codes knows them, also where the quantiser that he learnt from is his own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from porcupine.errors import InputError
from porcupine.privacy import backends
from porcupine.privacy.attackers import Enrolment, Trials
from porcupine.quantizers.base import Quantizer
from porcupine.randomness import generator


@dataclass(frozen=True)
class Evidence:
    """What there is to learn from, and what is attacked.

    background : float [N, D], utterances of the training speakers, background_speakers : [N].
    utterances : float [U, D], of the test speakers; enrolment : which of them the attacker holds.
    per_speaker : how many he holds of each, hence how many of a training speaker he compares another with.
    attackers : which try, of `backends.ATTACKERS`; seed : of all that is random.
    """

    background: np.ndarray
    background_speakers: np.ndarray
    utterances: np.ndarray
    enrolment: Enrolment
    per_speaker: int
    attackers: tuple[str, ...]
    seed: int

    @cached_property
    def held(self) -> np.ndarray:
        """Mean of the held embeddings of each test speaker, float64 [M, D]."""
        return self.enrolment.mean_embeddings(self.utterances)

    @cached_property
    def pairs(self) -> backends.Pairs | None:
        """Training pairs; None where no two training speakers have two utterances, so that nothing can be learnt."""
        rng = generator(self.seed, "pairs")
        try:
            return backends.training_pairs(self.background, self.background_speakers, self.per_speaker, rng)
        except InputError:
            return None

    @cached_property
    def raw(self) -> dict[str, backends.Backend]:
        """What is learnt from raw embeddings."""
        if self.pairs is None:
            return {name: backends.Cosine(self.background.mean(axis=0)) for name in self.attackers if name == "cosine"}
        return self.learn(self.background[self.pairs.probe], self.attackers)

    def learn(
        self, released: np.ndarray, attackers: Iterable[str], codebook: np.ndarray | None = None
    ) -> dict[str, backends.Backend]:
        """What attackers learn from the training pairs, released as float [T, D], of codewords [K, D] that they see."""
        if self.pairs is None:
            return {}
        _, held, speaker = self.pairs
        return {
            name: backends.fit(name, held, released, speaker, seed=self.seed, codebook=codebook)
            for name in attackers
            if name != "bayes"
        }

    def trials(self, learnt: dict[str, backends.Backend], releases: np.ndarray, row: np.ndarray) -> dict[str, Trials]:
        """Score the releases, float [Q, D]; row : int [P], which of them each probe shows."""
        target = self.enrolment.probe_speaker
        return {name: Trials(one.scores(self.held, releases), row, target) for name, one in learnt.items()}


def of_vectors(evidence: Evidence) -> dict[str, Trials]:
    """Attack raw embeddings: attacker -> trials, Q = P."""
    probes = evidence.enrolment.probes
    return evidence.trials(evidence.raw, evidence.utterances[probes], np.arange(len(probes)))


def of_releases(
    threat: str, evidence: Evidence, releases: np.ndarray, background_releases: np.ndarray
) -> dict[str, Trials]:
    """Attack releases that are vectors again, such as embeddings of rebuilt sound: attacker -> trials, Q = P.

    threat : "ignorant" or "informed".
    releases : float [P, D], of the probes; background_releases : float [N, D], of the background.
    Raises InputError on another threat.
    """
    if threat not in ("ignorant", "informed"):
        raise InputError(f"threat={threat!r}: of releases that are no codes, choose ignorant or informed")
    learnt = evidence.raw
    if threat == "informed":
        learners = [name for name in evidence.attackers if name != "cosine"]
        learnt = {} if evidence.pairs is None else evidence.learn(background_releases[evidence.pairs.probe], learners)
    return evidence.trials(learnt, releases, np.arange(len(releases)))


def of_codes(
    threat: str,
    evidence: Evidence,
    codebook: np.ndarray,
    codes: np.ndarray,
    background_codes: np.ndarray,
    own: Quantizer | None = None,
) -> dict[str, Trials]:
    """Attack codes: attacker -> trials, Q = K.

    threat : of `backends.THREATS`.
    codebook : float [K, D]; codes : int [U], of the test speakers' utterances; background_codes : int [N].
    own : of the semi-informed attacker, his quantiser of the same kind, fitted to what he holds.
    Raises InputError where the threat is not known, or the quantiser it needs is missing.
    """
    if threat not in backends.THREATS or (threat == "semi-informed" and own is None):
        raise InputError(f"threat={threat!r}, own={own}: should be one of {', '.join(backends.THREATS)}, with its own")
    row = codes[evidence.enrolment.probes]
    if threat == "ignorant":
        return evidence.trials(evidence.raw, codebook, row)
    if own is None:
        known_book, known_codes, seen_as = codebook, background_codes, np.arange(len(codebook))
        held_codes = codes[evidence.enrolment.held]
    else:
        known_book, known_codes, seen_as = own.codebook, own.encode(evidence.background), own.encode(codebook)
        held_codes = own.encode(evidence.utterances[evidence.enrolment.held])
    found: dict[str, Trials] = {}
    if evidence.pairs is not None:
        learners = [name for name in evidence.attackers if name != "cosine"]
        learnt = evidence.learn(known_book[known_codes[evidence.pairs.probe]], learners, codebook)
        found = evidence.trials(learnt, codebook, row)
    if "bayes" in evidence.attackers:
        n_speakers = len(evidence.enrolment.speakers)
        counted = backends.bayes(held_codes, evidence.enrolment.held_speaker, n_speakers, len(known_book), known_book)
        found["bayes"] = Trials(counted[seen_as], row, evidence.enrolment.probe_speaker)
    return found
