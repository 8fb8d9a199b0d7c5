"""What is left of the sound: the rebuilt waveform y against the original x, in step.

    stoi                       intelligibility, at most 1
    mel_cepstral_distortion    difference of smoothed spectra whatever the level, in dB
    log_spectral_distance      difference of spectra, in dB
    si_sdr                     waveform over error whatever the level, in dB
    level, duration            difference in dB and ratio, of what can be heard
    compare                    all of these
    pitch_track                waveform -> fundamental frequency and voicing; ten times slower than all of these
    pitch_agreement            two tracks -> agreement in voicing, correlation, error
    summarise                  measures of many clips -> means with intervals over speakers

x and y are float [T] at 16 kHz, finite and not silent, else InputError. Nothing is aligned: rebuilding keeps time, and
warping would hide where it does not. Means over frames are over those of x that can be heard, whose energy is less than
40 dB below the loudest one's: the rule of STOI.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import librosa
import numpy as np
import pandas as pd
import pystoi

from porcupine.audio import SAMPLE_RATE_HZ
from porcupine.errors import InputError
from porcupine.frames.mfcc import mfcc, transform

HEARD_DB = 40
PITCH_HZ = 60, 600

_WINDOW_SECONDS, _HOP_SECONDS = 0.025, 0.010
_CEPSTRA, _BANDS = 24, 80
_RANGE_DB = 80
_PITCH_FRAME, _PITCH_HOP = 1024, 256
_STOI_SECONDS = 0.4


@dataclass(frozen=True)
class Quality:
    """The measures of these names; `si_sdr` is `inf` where y is x times a number."""

    stoi: float
    mel_cepstral_distortion: float
    log_spectral_distance: float
    si_sdr: float
    level: float
    duration: float


@dataclass(frozen=True)
class PitchAgreement:
    """How the pitch of y follows that of x.

    voicing : share of the frames in which both are voiced or neither is.
    both_voiced : number of frames in which both are; what follows is over these.
    correlation : Pearson's, of the logarithms of f0; None where one of them is constant, or there are no such frames.
    error_cents : median of |1200 log2(f0_y / f0_x)|; None where there are no such frames.
    """

    voicing: float
    both_voiced: int
    correlation: float | None
    error_cents: float | None


def compare(original: np.ndarray, rebuilt: np.ndarray) -> Quality:
    """All measures but those of pitch."""
    return Quality(
        stoi=stoi(original, rebuilt),
        mel_cepstral_distortion=mel_cepstral_distortion(original, rebuilt),
        log_spectral_distance=log_spectral_distance(original, rebuilt),
        si_sdr=si_sdr(original, rebuilt),
        level=level(original, rebuilt),
        duration=duration(original, rebuilt),
    )


def stoi(original: np.ndarray, rebuilt: np.ndarray) -> float:
    """Short-time objective intelligibility, by pystoi: 1 where nothing is lost, near 0 for noise.

    Mean, over 15 third-octave bands from 150 Hz and segments of 384 ms, of the correlation of the envelopes of x and y,
    that of y scaled to the energy of x and limited to 1 + 10^(15/20) times x. Any gain of y gives the same.
    Raises InputError where less than 0.4 s of x can be heard, too.

    Taal, Hendriks, Heusdens & Jensen, "An algorithm for intelligibility prediction of time-frequency weighted noisy
    speech", IEEE TASLP 2011.
    """
    x, y = _check(original, rebuilt)
    too_short = f"less than {_STOI_SECONDS} s of a waveform of {len(x)} samples can be heard: too short for STOI"
    if len(x) < _STOI_SECONDS * SAMPLE_RATE_HZ:
        raise InputError(too_short)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not enough STFT frames")
        try:
            return float(pystoi.stoi(x, y, SAMPLE_RATE_HZ))
        except RuntimeWarning as error:
            raise InputError(too_short) from error


def mel_cepstral_distortion(original: np.ndarray, rebuilt: np.ndarray) -> float:
    """MCD, in dB: mean over heard frames of (10 / ln 10) sqrt(2 Σ_d (m_d - m'_d)²), d = 1 … 24.

    m_d : cepstra, such that Σ_d m_d cos(π d (b + 1/2) / 80) is the natural logarithm of the amplitude in mel band b;
    d = 0, the level, is left out. In `mfcc`'s c_d the same is sqrt(Σ_d (c_d - c'_d)² / 80): the root mean square
    difference of log mel spectra, smoothed and freed of level.

    Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", 1993.
    """
    x, y = _check(original, rebuilt)
    cepstra = [
        mfcc(
            one,
            coefficients=1 + _CEPSTRA,
            bands=_BANDS,
            window_seconds=_WINDOW_SECONDS,
            hop_seconds=_HOP_SECONDS,
        )
        for one in (x, y)
    ]
    squares = ((cepstra[0] - cepstra[1])[:, 1:] ** 2).sum(axis=1) / _BANDS
    return float(np.sqrt(squares)[_heard(_power(x))].mean())


def log_spectral_distance(original: np.ndarray, rebuilt: np.ndarray) -> float:
    """LSD, in dB: mean over heard frames of sqrt(mean_f (10 log10 P_x(f) / P_y(f))²).

    P : power of short-time spectra, but at least 80 dB below the maximum of P_x. A gain of g dB alone gives |g|.
    """
    x, y = (_power(one) for one in _check(original, rebuilt))
    floor = x.max() * 10 ** (-_RANGE_DB / 10)
    ratio = 10 * np.log10(np.maximum(x, floor) / np.maximum(y, floor))
    return float(np.sqrt((ratio**2).mean(axis=1))[_heard(x)].mean())


def si_sdr(original: np.ndarray, rebuilt: np.ndarray) -> float:
    """Scale-invariant ratio of signal to distortion, in dB: 10 log10(|a x|² / |a x - y|²), a = <x, y> / |x|².

    Means are removed before. Compares waveforms: a rebuilt one, whose phases are guesses, is far below 0 however it
    sounds. Le Roux, Wisdom, Erdogan & Hershey, "SDR – half-baked or well done?", ICASSP 2019.
    """
    x, y = (one - one.mean() for one in _check(original, rebuilt))
    signal = (x @ y) / (x @ x) * x
    error = signal - y
    with np.errstate(divide="ignore"):
        return float(10 * np.log10((signal @ signal) / (error @ error)))


def level(original: np.ndarray, rebuilt: np.ndarray) -> float:
    """Level of y above that of x, in dB: 10 log10(|y|² / |x|²)."""
    x, y = _check(original, rebuilt)
    return float(10 * np.log10((y @ y) / (x @ x)))


def duration(original: np.ndarray, rebuilt: np.ndarray) -> float:
    """Number of frames of y that can be heard, over that of x."""
    x, y = _check(original, rebuilt)
    return float(_heard(_power(y)).sum() / _heard(_power(x)).sum())


def pitch_track(waveform: np.ndarray) -> np.ndarray:
    """Fundamental frequency in Hz, every 16 ms, by librosa's probabilistic YIN; nan where unvoiced; float [T''].

    Mauch & Dixon, "pYIN: a fundamental frequency estimator using probabilistic threshold distributions", ICASSP 2014.
    """
    waveform, _ = _check(waveform, waveform)
    lowest, highest = PITCH_HZ
    track, _, _ = librosa.pyin(
        waveform,
        sr=SAMPLE_RATE_HZ,
        fmin=lowest,
        fmax=highest,
        frame_length=_PITCH_FRAME,
        hop_length=_PITCH_HOP,
    )
    return track


def pitch_agreement(original: np.ndarray, rebuilt: np.ndarray) -> PitchAgreement:
    """Compare two tracks of `pitch_track`, float [T''], of waveforms of one length."""
    if original.shape != rebuilt.shape or original.ndim != 1 or not len(original):
        raise InputError(f"pitch tracks of shapes {original.shape} and {rebuilt.shape} should be of one length")
    voiced, also = np.isfinite(original), np.isfinite(rebuilt)
    both = voiced & also
    x, y = np.log2(original[both]), np.log2(rebuilt[both])
    varies = len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0
    return PitchAgreement(
        voicing=float((voiced == also).mean()),
        both_voiced=len(x),
        correlation=float(np.corrcoef(x, y)[0, 1]) if varies else None,
        error_cents=float(1200 * np.median(np.abs(y - x))) if len(x) else None,
    )


def summarise(measured: pd.DataFrame, *, by: Sequence[str], draws: int, rng: np.random.Generator) -> pd.DataFrame:
    """Average every measure over the clips of each speaker, then over speakers.

    measured : one row a clip: columns ``by``, that name a system; speaker; and measures, NaN where there is none.
    draws : of the speakers with replacement, for 95 % intervals; the same for all systems.
    Returns columns ``by``, metric, value, low, high, n_clips, n_speakers; systems in the order that they came in.
    """
    names = [name for name in measured.select_dtypes("number").columns if name not in by]
    speakers = np.unique(measured["speaker"].astype(str))
    weights = rng.multinomial(len(speakers), np.full(len(speakers), 1 / len(speakers)), size=draws)
    weights = np.vstack([np.ones_like(speakers, dtype=int), weights]).astype(float)
    rows = []
    for key, clips in measured.groupby(list(by), sort=False):
        means = clips.groupby(clips["speaker"].astype(str))[names].mean().reindex(speakers)
        for name in names:
            known = means[name].notna().to_numpy()
            if not known.any():
                continue
            counted = weights[:, known]
            with np.errstate(invalid="ignore"):
                drawn = counted @ means[name].to_numpy()[known] / counted.sum(axis=1)
            low, high = np.nanquantile(drawn[1:], [0.025, 0.975])
            found = {"metric": name, "value": drawn[0], "low": low, "high": high}
            n_clips = int(clips[name].notna().sum())
            rows.append(dict(zip(by, key, strict=True)) | found | {"n_clips": n_clips, "n_speakers": int(known.sum())})
    return pd.DataFrame(rows)


def _check(original: np.ndarray, rebuilt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(original, dtype=np.float64), np.asarray(rebuilt, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise InputError(f"waveforms of shapes {x.shape} and {y.shape} should be [T], of one length")
    for name, waveform in (("original", x), ("rebuilt", y)):
        if not np.isfinite(waveform).all() or not waveform.any():
            raise InputError(f"the {name} waveform is silent or not finite: there is nothing to compare")
    return x, y


def _power(waveform: np.ndarray) -> np.ndarray:
    """float [T', F], every 10 ms."""
    window, hop, n_fft = transform(_WINDOW_SECONDS, _HOP_SECONDS)
    return np.abs(librosa.stft(waveform, n_fft=n_fft, win_length=window, hop_length=hop).T) ** 2


def _heard(power: np.ndarray) -> np.ndarray:
    """bool [T'], from the power [T', F]."""
    energy = power.sum(axis=1)
    return energy > energy.max() * 10 ** (-HEARD_DB / 10)
