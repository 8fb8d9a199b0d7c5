"""Waveforms: mono, 16 kHz, float32 in [-1, 1].

Every encoder and feature takes them like this.

    read     one file or an excerpt of it, whatever its format, rate and channels
    fault    why a clip should be dropped, if it should
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio

from porcupine.errors import InputError

SAMPLE_RATE_HZ = 16_000


def read(path: str | Path, *, start: int = 0, stop: int = -1) -> np.ndarray:
    """Read a recording, or an excerpt of it, as 16 kHz mono.

    path : any format that libsndfile reads: wav, flac, mp3, ogg (Vorbis or Opus) …
    start, stop : the excerpt, in samples at the file's own rate; ``stop=-1`` means to the end.
    Returns float32 [T] in [-1, 1]: the mean of the channels. Overshoots of lossy codecs are clipped.
    An excerpt of a long wav or flac file costs no more than of a short one; mp3 and ogg are decoded from the beginning.
    Raises InputError where the file is missing, empty or cannot be decoded, or has not the excerpt.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with soundfile.SoundFile(path) as file:
            end = file.frames if stop == -1 else stop
            if file.frames == 0:
                raise InputError(f"{path}: holds no samples; remove it from the corpus")
            if not 0 <= start < end <= file.frames:
                raise InputError(f"{path}: start={start}, stop={stop} is not an excerpt of its {file.frames} samples")
            # libsndfile's seek in these is off by up to a page: decode from the beginning.
            seekable = file.format not in ("OGG", "MP3")
            file.seek(start if seekable else 0)
            samples = file.read(end - file.tell(), dtype="float32", always_2d=True)
            samples = samples if seekable else samples[start:]
            rate_hz = file.samplerate
    except soundfile.SoundFileError as error:
        raise InputError(f"{path}: cannot be decoded ({error}); convert it or remove it from the corpus") from error
    if not len(samples):
        raise InputError(f"{path}: nothing could be decoded; convert it or remove it from the corpus")
    waveform = samples.mean(axis=1)
    if rate_hz != SAMPLE_RATE_HZ:
        waveform = torchaudio.functional.resample(torch.from_numpy(waveform), rate_hz, SAMPLE_RATE_HZ).numpy()
    return np.clip(waveform, -1, 1)


def fault(waveform: np.ndarray, *, min_seconds: float, max_seconds: float, silence_dbfs: float) -> str | None:
    """Return why a clip is unusable, such as ``too short: 1.20 s``, or None where nothing is wrong.

    waveform : float [T] at 16 kHz.
    silence_dbfs : a clip whose peak is below is silent, in dB re full scale.
    """
    if not np.isfinite(waveform).all():
        return "not finite"
    seconds = len(waveform) / SAMPLE_RATE_HZ
    if seconds < min_seconds:
        return f"too short: {seconds:.2f} s"
    if seconds > max_seconds:
        return f"too long: {seconds:.2f} s"
    peak = float(np.abs(waveform).max(initial=0))
    peak_dbfs = 20 * math.log10(peak) if peak > 0 else -math.inf
    if peak_dbfs < silence_dbfs:
        return f"silent: peak {peak_dbfs:.1f} dBFS"
    return None
