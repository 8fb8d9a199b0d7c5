import librosa
import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.frames.mfcc import mfcc, spectra, transform

WINDOW = {"window_seconds": 0.025, "hop_seconds": 0.010}
SETTINGS = {"coefficients": 20, "bands": 40, **WINDOW}


def some_sound(n_samples=8000, seed=0):
    """Coloured noise with a swell, at the level of speech."""
    white = np.random.default_rng(seed).standard_normal(n_samples)
    coloured = np.convolve(white, 0.9 ** np.arange(40), "same")
    return (0.02 * coloured * np.linspace(0.1, 1, n_samples)).astype(np.float32)


def slaney_hz(mel):
    """Linear below 1 kHz, which is 15 mel, and 27 mel per factor of 6.4 above."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def naive_filters(bands, n_fft):
    corners = slaney_hz(np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), bands + 2))
    frequencies = np.arange(n_fft // 2 + 1) * 16_000 / n_fft
    return np.array(
        [
            np.interp(frequencies, corners[b : b + 3], [0, 2 / (corners[b + 2] - corners[b]), 0], left=0, right=0)
            for b in range(bands)
        ]
    )


def naive_decibels(waveform, bands, window, hop, n_fft):
    hann = np.pad(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window), (n_fft - window) // 2)
    padded = np.pad(waveform.astype(float), n_fft // 2)
    power = [
        np.abs(np.fft.rfft(padded[start : start + n_fft] * hann)) ** 2 for start in range(0, len(waveform) + 1, hop)
    ]
    decibels = 10 * np.log10(np.maximum(np.array(power) @ naive_filters(bands, n_fft).T, 1e-10))
    return np.maximum(decibels, decibels.max() - 80)


def naive_mfcc(decibels, coefficients):
    bands = decibels.shape[1]
    angles = np.pi / bands * (np.arange(bands) + 0.5)
    frames = [decibels @ np.cos(d * angles) * np.sqrt((1 if d == 0 else 2) / bands) for d in range(coefficients)]
    return np.array(frames).T


def test_frames_equal_their_definition():
    waveform = some_sound()
    frames = mfcc(waveform, **SETTINGS)
    assert frames.dtype == np.float32 and frames.shape == (1 + 8000 // 160, 20)
    np.testing.assert_allclose(frames, naive_mfcc(naive_decibels(waveform, 40, 400, 160, 512), 20), atol=0.01)


def test_distance_of_frames_is_distance_of_log_spectra():
    decibels = naive_decibels(some_sound(), 40, 400, 160, 512)
    frames = mfcc(some_sound(), **{**SETTINGS, "coefficients": 40})
    assert np.linalg.norm(frames[3] - frames[40]) == pytest.approx(np.linalg.norm(decibels[3] - decibels[40]), rel=1e-3)


def test_spectra_have_the_bands_of_the_frames():
    frames = mfcc(some_sound(), **{**SETTINGS, "coefficients": 40})
    bands = 10 * np.log10(spectra(frames, bands=40, window_seconds=0.025) ** 2 @ naive_filters(40, 512).T)
    error = np.abs(bands - naive_decibels(some_sound(), 40, 400, 160, 512))
    assert np.median(error) < 0.3 and np.percentile(error, 95) < 2
    # librosa's own inverse, by least squares, is further off.
    mel = librosa.feature.inverse.mfcc_to_mel(frames.T, n_mels=40)
    squares = librosa.feature.inverse.mel_to_stft(mel, sr=16_000, n_fft=512).T ** 2
    theirs = np.abs(10 * np.log10(squares @ naive_filters(40, 512).T + 1e-10) - 10 * np.log10(mel.T))
    assert error.mean() < theirs.mean()


def test_a_spectrum_depends_on_its_frame_alone():
    frames = mfcc(some_sound(), **SETTINGS)
    together = spectra(frames, bands=40, window_seconds=0.025)
    assert together.shape == (51, 257) and together.dtype == np.float32
    np.testing.assert_allclose(together[[7]], spectra(frames[[7]], bands=40, window_seconds=0.025), rtol=1e-3)


@pytest.mark.parametrize("factor", [0.0, 1e3, -1e3, 1e30])
def test_spectra_of_absurd_frames_are_finite_and_bounded(factor):
    frames = np.random.default_rng(0).standard_normal((50, 20)) * factor
    found = spectra(frames, bands=40, window_seconds=0.025)
    assert np.isfinite(found).all() and (found >= 0).all()
    # Full scale: a window's sum is 200, hence no waveform has a larger magnitude.
    filters = naive_filters(40, 512)
    assert ((found**2 @ filters.T).sum(axis=1) <= 1.01 * 200**2 * filters.sum()).all()


def test_silence_goes_there_and_back():
    frames = mfcc(np.zeros(1600, np.float32), **SETTINGS)
    np.testing.assert_allclose(frames[:, 0], -100 * np.sqrt(40), rtol=1e-6)
    assert spectra(frames, bands=40, window_seconds=0.025).max() < 1e-3


def test_samples_of_the_transform():
    assert transform(0.025, 0.010) == (400, 160, 512)
    assert transform(0.032, 0.032) == (512, 512, 512)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mfcc(np.zeros(0), **SETTINGS), r"shape \(0,\) should be \[T\], T >= 512: raise manifest.min_seconds"),
        (lambda: mfcc(np.zeros(511), **SETTINGS), r"shape \(511,\)"),
        (lambda: mfcc(np.zeros((2, 8000)), **SETTINGS), r"shape \(2, 8000\)"),
        (lambda: mfcc(np.full(8000, np.nan), **SETTINGS), "not finite"),
        (lambda: mfcc(np.zeros(8000), **{**SETTINGS, "coefficients": 41}), "coefficients=41, must be between 1 and"),
        (lambda: mfcc(np.zeros(8000), **{**SETTINGS, "coefficients": 0}), "coefficients=0"),
        (lambda: mfcc(np.zeros(8000), **{**SETTINGS, "bands": 300}), "bands=300: some are narrower"),
        (lambda: mfcc(np.zeros(8000), **{**SETTINGS, "bands": 0}), "bands=0"),
        (lambda: mfcc(np.zeros(8000), **{**SETTINGS, "hop_seconds": 0.03}), "hop_seconds=0.03"),
        (lambda: mfcc(np.zeros(8000), **{**SETTINGS, "hop_seconds": 1e-9}), "hop_seconds=1e-09"),
        (lambda: spectra(np.zeros((0, 20)), bands=40, window_seconds=0.025), r"shape \(0, 20\)"),
        (lambda: spectra(np.zeros((5, 41)), bands=40, window_seconds=0.025), "coefficients=41"),
        (lambda: spectra(np.full((5, 20), np.inf), bands=40, window_seconds=0.025), "finite"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
