import numpy as np
import pytest

from porcupine import features
from porcupine.errors import InputError

SETTINGS = {"bands": 80, "window_seconds": 0.025, "hop_seconds": 0.010}


def naive_log_mel(waveform, bands, window, hop, n_fft):
    """Frame by frame, filter by filter, from the definitions."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frame_window = np.pad(hann, (n_fft - window) // 2)
    padded = np.pad(waveform.astype(float), n_fft // 2, mode="reflect")
    top = 2595 * np.log10(1 + 8000 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    frequencies = np.arange(n_fft // 2 + 1) * 16_000 / n_fft
    frames = []
    for centre in range(0, len(waveform) + 1, hop):
        power = np.abs(np.fft.rfft(padded[centre : centre + n_fft] * frame_window)) ** 2
        frames.append(
            [
                np.log(1e-6 + power @ np.interp(frequencies, corners[b : b + 3], [0, 1, 0], left=0, right=0))
                for b in range(bands)
            ]
        )
    return np.array(frames)


def test_log_mel_equals_its_definition():
    waveform = (0.1 * np.random.default_rng(0).standard_normal(3000)).astype(np.float32)
    computed = features.log_mel(waveform, **SETTINGS)
    assert computed.dtype == np.float32
    assert computed.shape == (1 + 3000 // 160, 80)
    np.testing.assert_allclose(computed, naive_log_mel(waveform, 80, 400, 160, 512), atol=2e-3)


def test_silence_is_the_floor():
    np.testing.assert_allclose(features.log_mel(np.zeros(16_000, np.float32), **SETTINGS), np.log(1e-6))


def test_a_tone_is_loudest_in_its_band():
    waveform = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    mel = 2595 * np.log10(1 + np.array([1000, 8000]) / 700)
    assert features.log_mel(waveform, **SETTINGS).mean(axis=0).argmax() == round(81 * mel[0] / mel[1]) - 1


def test_a_clip_shorter_than_a_window_is_an_error():
    with pytest.raises(InputError, match=r"shape \(100,\) should be \[T\], T >= 512: raise manifest.min_seconds"):
        features.log_mel(np.zeros(100), **SETTINGS)


def test_a_clip_that_is_not_finite_is_an_error():
    with pytest.raises(InputError, match="not finite"):
        features.log_mel(np.full(16_000, np.nan), **SETTINGS)


def test_too_many_bands_are_an_error():
    with pytest.raises(InputError, match="bands=400: some are narrower"):
        features.log_mel(np.zeros(16_000), bands=400, window_seconds=0.025, hop_seconds=0.010)


def test_a_hop_below_one_sample_is_an_error():
    with pytest.raises(InputError, match="hop_seconds=1e-09"):
        features.log_mel(np.zeros(16_000), bands=80, window_seconds=0.025, hop_seconds=1e-9)
