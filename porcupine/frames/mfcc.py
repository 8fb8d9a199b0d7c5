"""Mel-frequency cepstra, what the second system keeps of the sound, and as much of the way back as there is.

    mfcc        waveform -> frames [T', C]
    spectra     frames -> magnitude spectra that have the frames' mel bands
    transform   seconds -> samples of window, hop and Fourier transform

A frame is librosa's: power in triangular bands, equally spaced on the Slaney mel scale between 0 and 8 kHz; in
decibels re 1, but at least -100 dB, and at most 80 dB below the clip's highest; its orthonormal cosine transform, of
which the first C coefficients are kept. Nothing more is lost where C = bands, and the Euclidean distance of two frames
is that of their smoothed log spectra.
"""

from __future__ import annotations

import functools
import warnings

import librosa
import numpy as np

from porcupine.audio import SAMPLE_RATE_HZ
from porcupine.errors import InputError

_FLOOR = 1e-10  # of the power in a band, librosa's
_ROUNDS = 10  # of `spectra`, after which STOI gains less than 0.002


def mfcc(
    waveform: np.ndarray, *, coefficients: int, bands: int, window_seconds: float, hop_seconds: float
) -> np.ndarray:
    """Mel-frequency cepstral coefficients, the first of which is the level.

    waveform : float [T] at 16 kHz, at least one window long.
    coefficients : C, 1 <= C <= bands.
    window_seconds, hop_seconds : of the Hann window; frames are centred, and silence surrounds the signal.
    Returns float32 [T', C], T' = 1 + floor(T / hop), in decibels times the root of the number of bands.
    Raises InputError where the waveform is shorter than a window or not finite, or the bands are too narrow.
    """
    window, hop, n_fft = transform(window_seconds, hop_seconds)
    _filters(bands, n_fft)
    _check_coefficients(coefficients, bands)
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1 or len(waveform) < n_fft:
        raise InputError(
            f"a waveform of shape {waveform.shape} should be [T], T >= {n_fft}: raise manifest.min_seconds"
        )
    if not np.isfinite(waveform).all():
        raise InputError("a waveform has samples that are not finite: drop the clips that audio.fault names")
    cepstra = librosa.feature.mfcc(
        y=waveform,
        sr=SAMPLE_RATE_HZ,
        n_mfcc=coefficients,
        n_fft=n_fft,
        win_length=window,
        hop_length=hop,
        n_mels=bands,
    )
    return np.ascontiguousarray(cepstra.T)


def spectra(frames: np.ndarray, *, bands: int, window_seconds: float) -> np.ndarray:
    """Magnitude spectra whose power in mel bands is that of the frames, as nearly as there is one.

    frames : float [N, C], of `mfcc` with these bands and window; coefficients above C count as 0.
    Returns float32 [N, F], F = n_fft/2 + 1, each from its frame alone; finite whatever the frames, whose bands are
    first held between `mfcc`'s floor and what no waveform in [-1, 1] exceeds.

    The power p >= 0 minimises the Kullback-Leibler divergence of its bands A p from the frame's m, by the rounds
    p *= A'(m / A p) / A'1 (Richardson 1972; Lee & Seung, "Algorithms for non-negative matrix factorization", 2000) from
    a smooth start. Not librosa's `mel_to_stft`: the sum of squares that it minimises is decided by the loud bands.
    """
    frames = np.asarray(frames)
    if frames.ndim != 2 or 0 in frames.shape or not np.isfinite(frames).all():
        raise InputError(f"frames of shape {frames.shape} should be [N, C], N >= 1, and finite")
    _check_coefficients(frames.shape[1], bands)
    window, _, n_fft = transform(window_seconds, window_seconds)
    filters = _filters(bands, n_fft)
    widths, weights = filters.sum(axis=1)[:, None], filters.sum(axis=0)[:, None]
    weights[weights == 0] = np.inf  # bins outside all bands: silent
    loudest = widths * librosa.filters.get_window("hann", window).sum() ** 2
    with np.errstate(over="ignore"):
        mel = librosa.feature.inverse.mfcc_to_mel(frames.T.astype(np.float64), n_mels=bands)
    mel = np.clip(mel, _FLOOR, loudest).astype(np.float32)
    power = filters.T @ (mel / widths) / weights
    for _ in range(_ROUNDS):
        power *= filters.T @ (mel / (filters @ power)) / weights
    return np.ascontiguousarray(np.sqrt(power).T)


def transform(window_seconds: float, hop_seconds: float) -> tuple[int, int, int]:
    """Samples of the window, of the hop, and of the Fourier transform (the power of two that holds the window)."""
    window, hop = round(window_seconds * SAMPLE_RATE_HZ), round(hop_seconds * SAMPLE_RATE_HZ)
    if not 1 <= hop <= window or window < 2:
        raise InputError(
            f"window_seconds={window_seconds}, hop_seconds={hop_seconds}: a window of at least 2 samples "
            f"at {SAMPLE_RATE_HZ} Hz, and a hop between 1 sample and the window, are needed"
        )
    return window, hop, 1 << (window - 1).bit_length()


@functools.lru_cache(maxsize=8)
def _filters(bands: int, n_fft: int) -> np.ndarray:
    """float32 [bands, F]. Raises InputError where one would be empty."""
    if bands < 1:
        raise InputError(f"bands={bands}, must be at least 1")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters detected")
        filters = librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=n_fft, n_mels=bands)
    if (filters.sum(axis=1) == 0).any():
        raise InputError(
            f"bands={bands}: some are narrower than the resolution of a transform of {n_fft} samples; "
            "ask for fewer bands or a longer window"
        )
    return filters


def _check_coefficients(coefficients: int, bands: int) -> None:
    if not 1 <= coefficients <= bands:
        raise InputError(f"coefficients={coefficients}, must be between 1 and bands={bands}")
