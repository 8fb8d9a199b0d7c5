import numpy as np
import pytest
from scipy import signal

from porcupine.errors import InputError
from porcupine.frames import quality
from porcupine.frames.codebook import fit_codebook
from porcupine.frames.mfcc import mfcc, spectra
from porcupine.frames.rebuild import rebuild, spectrogram
from porcupine.randomness import generator

WINDOW = {"window_seconds": 0.025, "hop_seconds": 0.010}
VOWELS_HZ = [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410)]


def some_speech(n_samples, seed=0):
    """Syllables of 0.2 s: a hiss, then a harmonic sound of gliding pitch through the formants of a vowel."""
    rng = np.random.default_rng(seed)
    pieces, length = [], 3200
    for _ in range(-(-n_samples // length)):
        pitch_hz = np.linspace(*rng.uniform(90, 220, 2), length)
        sound = signal.sawtooth(2 * np.pi * np.cumsum(pitch_hz) / 16_000)
        sound[:800] = rng.normal(0, 0.3, 800)
        for formant_hz in VOWELS_HZ[rng.integers(len(VOWELS_HZ))]:
            sound = signal.lfilter(*signal.iirpeak(formant_hz, 4, fs=16_000), sound) + 0.3 * sound
        pieces.append(sound * np.hanning(length) * rng.uniform(0.3, 1))
    speech = np.concatenate(pieces)[:n_samples]
    return (0.3 * speech / np.abs(speech).max()).astype(np.float32)


def frames_of(waveform):
    return mfcc(waveform, coefficients=20, bands=40, **WINDOW)


def rebuild_from(frames, n_samples, seed=0, **options):
    found = spectra(frames, bands=40, window_seconds=0.025)
    return rebuild(found, n_samples=n_samples, rng=generator(seed, "rebuild"), **WINDOW, **options)


@pytest.mark.parametrize("n_samples", [512, 15_999, 16_000, 16_001, 16_159])
def test_duration_is_exact(n_samples):
    rebuilt = rebuild_from(frames_of(some_speech(n_samples)), n_samples)
    assert rebuilt.shape == (n_samples,) and rebuilt.dtype == np.float32


@pytest.mark.parametrize("shift", [-1e3, 0, 300, 1e6])
def test_nothing_clips_and_all_is_finite(shift):
    frames = frames_of(some_speech(16_000))
    frames[:, 0] += shift
    rebuilt = rebuild_from(frames, 16_000)
    assert np.isfinite(rebuilt).all()
    assert np.abs(rebuilt).max() <= 1
    assert (np.abs(rebuilt) > 0.999).mean() < 0.001


def test_silence_stays_silent():
    assert np.abs(rebuild_from(frames_of(np.zeros(8000)), 8000)).max() < 1e-4


def test_the_level_is_that_of_the_frames():
    speech = some_speech(32_000)
    for gain in (1, 0.1):
        rebuilt = rebuild_from(frames_of(gain * speech), 32_000)
        assert quality.level(gain * speech, rebuilt) == pytest.approx(0, abs=3)


def test_spectra_return():
    frames = mfcc(some_speech(32_000), coefficients=40, bands=40, **WINDOW)
    rebuilt = rebuild_from(frames, 32_000)
    back = mfcc(rebuilt, coefficients=40, bands=40, **WINDOW)
    heard = frames[:, 0] > frames[:, 0].max() - 40 * np.sqrt(40)
    assert np.sqrt(((back - frames) ** 2)[heard].mean()) < 4


def test_seeds():
    frames = frames_of(some_speech(16_000))
    once, again, other = (rebuild_from(frames, 16_000, seed=seed) for seed in (1, 1, 2))
    assert once.tobytes() == again.tobytes()
    assert not np.array_equal(once, other)


def test_more_rounds_bring_the_spectra_nearer():
    speech = some_speech(16_000)
    errors = [
        quality.mel_cepstral_distortion(speech, rebuild_from(frames_of(speech), 16_000, rounds=rounds))
        for rounds in (0, 1, 8)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_intelligibility_rises_with_the_codebook():
    speakers = [some_speech(96_000, seed) for seed in (1, 2, 3)]
    speech = some_speech(48_000, seed=4)
    frames = frames_of(speech)
    scores = []
    for n_codewords in (2, 8, 32, 128):
        fit = fit_codebook([frames_of(one) for one in speakers], n_codewords=n_codewords, seed=0)
        of_codewords = spectra(fit.codebook, bands=40, window_seconds=0.025)
        coded = rebuild(of_codewords[fit.encode(frames)], n_samples=48_000, rng=generator(0), **WINDOW)
        scores.append(quality.stoi(speech, coded))
    scores.append(quality.stoi(speech, rebuild_from(frames, 48_000)))
    assert (np.diff(scores) > 0).all()
    assert scores[0] < 0.6 < 0.85 < scores[-1]


def test_the_spectrogram_of_a_tone():
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    drawn = spectrogram(tone, **WINDOW)
    assert drawn.shape == (101, 257) and drawn.dtype == np.float32
    assert (drawn.argmax(axis=1)[5:-5] == 32).all()  # 1000 Hz · 512 / 16 kHz
    assert (drawn.max(), drawn.min()) == pytest.approx((0, -80), abs=1e-4)
    np.testing.assert_allclose(drawn, spectrogram(0.01 * tone, **WINDOW), atol=1e-3)
    np.testing.assert_allclose(spectrogram(np.zeros(8000), range_db=60, **WINDOW), -60, rtol=1e-6)


@pytest.mark.parametrize(
    ("found", "n_samples", "message"),
    [
        (np.ones((100, 257)), 16_000, r"shape \(100, 257\) should be \(101, 257\) for 16000 samples"),
        (np.ones((101, 129)), 16_000, r"should be \(101, 257\)"),
        (np.full((101, 257), np.nan), 16_000, "finite"),
        (np.ones((1, 257)), 0, "for 0 samples"),
    ],
)
def test_refusals(found, n_samples, message):
    with pytest.raises(InputError, match=message):
        rebuild(found, n_samples=n_samples, rng=generator(0), **WINDOW)
