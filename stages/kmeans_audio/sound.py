"""Sound rebuilt from what a system releases."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from porcupine.audio import SAMPLE_RATE_HZ
from porcupine.frames.mfcc import spectra
from porcupine.frames.rebuild import rebuild
from porcupine.frames.release import Release
from porcupine.params import FrameParams
from porcupine.privacy.attackers import Enrolment
from porcupine.randomness import generator


class Clip(NamedTuple):
    """An utterance, by its row, as a fold releases it."""

    row: int
    fold: int


def name_of(release: Release) -> str:
    """Of the sound. Rebuilt from the original's frames it is not the original: it went through MFCC and back."""
    return f"{'mfcc' if release.system == 'original' else release.system}-{release.setting}"


def waveform(clip: Clip, params: FrameParams, rows: pd.DataFrame, release: Release) -> np.ndarray:
    """Rebuild an utterance, float32 [T]."""
    frames, section = params.frames, params.rebuild
    return rebuild(
        spectra(release.of(clip.row, clip.fold), bands=frames.bands, window_seconds=frames.window_seconds),
        n_samples=round(rows["seconds"][clip.row] * SAMPLE_RATE_HZ),
        window_seconds=frames.window_seconds,
        hop_seconds=frames.hop_seconds,
        rounds=section.rounds,
        rng=generator(section.seed, "phases", rows["utterance"][clip.row]),
    )


def sampled(params: FrameParams, enrolment: Enrolment) -> tuple[np.ndarray, np.ndarray]:
    """Some utterances of each speaker, of the probes and of those that the attacker holds: positions among them."""
    section = params.rebuild
    rng = generator(section.seed, "sample")
    return (
        _some_of_each(enrolment.probe_speaker, section.clips, rng),
        _some_of_each(enrolment.held_speaker, section.clips, rng),
    )


def _some_of_each(speaker: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of at most so many of each speaker, drawn at random, rising."""
    parts = [rng.permutation(np.flatnonzero(speaker == one))[:number] for one in np.unique(speaker)]
    return np.sort(np.concatenate(parts))
