"""Log-mel spectrogram, what the encoder that is trained here hears."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import torch
import torchaudio

from porcupine.audio import SAMPLE_RATE_HZ
from porcupine.errors import InputError

FLOOR = 1e-6
"""Added to every band's power: about -100 dB re a full-scale sine, below 16-bit speech, above digital silence."""


def log_mel(waveform: np.ndarray, *, bands: int, window_seconds: float, hop_seconds: float) -> np.ndarray:
    """Natural logarithm of the power in mel bands between 0 and 8 kHz, plus a floor.

    waveform : float [T] at 16 kHz, at least one window long.
    bands : F, triangular filters, equally spaced on the HTK mel scale, peak 1.
    window_seconds, hop_seconds : of the Hann window; frames are centred and the signal is mirrored at its ends.
    Returns float32 [T', F], T' = 1 + floor(T / hop).
    Raises InputError where the waveform is shorter than a window or not finite, or the bands are too narrow.
    """
    window, hop = round(window_seconds * SAMPLE_RATE_HZ), round(hop_seconds * SAMPLE_RATE_HZ)
    if bands < 1 or window < 2 or hop < 1:
        raise InputError(
            f"bands={bands}, window_seconds={window_seconds}, hop_seconds={hop_seconds}: "
            f"at least 1 band, and 2 and 1 samples at {SAMPLE_RATE_HZ} Hz, are needed"
        )
    transform = _transform(bands, window, hop)
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1 or len(waveform) < transform.n_fft:
        raise InputError(
            f"a waveform of shape {waveform.shape} should be [T], T >= {transform.n_fft}: raise manifest.min_seconds"
        )
    if not np.isfinite(waveform).all():
        raise InputError("a waveform has samples that are not finite: drop the clips that audio.fault names")
    with torch.inference_mode():
        power = transform(torch.from_numpy(waveform))
        return torch.log(power + FLOOR).T.contiguous().numpy()


@functools.lru_cache(maxsize=8)
def _transform(bands: int, window: int, hop: int) -> torchaudio.transforms.MelSpectrogram:
    n_fft = 1 << (window - 1).bit_length()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
        transform = torchaudio.transforms.MelSpectrogram(
            SAMPLE_RATE_HZ, n_fft=n_fft, win_length=window, hop_length=hop, n_mels=bands
        )
    if (transform.mel_scale.fb.sum(0) == 0).any():
        raise InputError(
            f"bands={bands}: some are narrower than the resolution of a window of {window} samples; "
            "ask for fewer bands or a longer window"
        )
    return transform
