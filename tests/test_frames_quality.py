import librosa
import numpy as np
import pandas as pd
import pytest
from scipy import signal

from porcupine.errors import InputError
from porcupine.frames import quality

TIME = np.arange(24_000) / 16_000
SPECTRAL = (quality.stoi, quality.mel_cepstral_distortion, quality.log_spectral_distance)


def some_sound(seed=0):
    """1.5 s of coloured noise with syllables, at the level of speech."""
    white = np.random.default_rng(seed).standard_normal(len(TIME))
    return 0.05 * signal.lfilter([1], [1, -0.7], white) * (0.3 + np.sin(2 * np.pi * 3 * TIME) ** 2)


def noise_at(sound, snr_db, seed=9):
    """White noise without mean, orthogonal to the sound, whose energy is below by exactly that much."""
    noise = np.random.default_rng(seed).standard_normal(len(sound))
    centred = sound - sound.mean()
    noise -= noise.mean()
    noise -= noise @ centred / (centred @ centred) * centred
    return noise * np.linalg.norm(centred) / np.linalg.norm(noise) * 10 ** (-snr_db / 20)


def test_identical_waveforms():
    same = quality.compare(some_sound(), some_sound())
    assert same.stoi == pytest.approx(1, abs=1e-6)
    assert (same.mel_cepstral_distortion, same.log_spectral_distance) == (0, 0)
    assert (same.si_sdr, same.level, same.duration) == (np.inf, 0, 1)


@pytest.mark.parametrize("gain_db", [-12.0, 6.0])
def test_a_gain_shows_only_where_level_counts(gain_db):
    louder = quality.compare(some_sound(), some_sound() * 10 ** (gain_db / 20))
    assert louder.stoi == pytest.approx(1, abs=1e-6)
    assert louder.mel_cepstral_distortion == pytest.approx(0, abs=1e-3)
    assert louder.log_spectral_distance == pytest.approx(abs(gain_db), rel=1e-3)
    assert louder.si_sdr > 200
    assert louder.level == pytest.approx(gain_db)
    assert louder.duration == 1


@pytest.mark.parametrize("snr_db", [-10, 0, 25])
def test_si_sdr_of_noise_is_its_ratio(snr_db):
    sound = some_sound()
    noisy = 0.3 * (sound + noise_at(sound, snr_db)) + 0.01  # neither gain nor offset count
    assert quality.si_sdr(sound, noisy) == pytest.approx(snr_db)


def test_more_noise_is_worse():
    sound = some_sound()
    scores = np.array([[measure(sound, sound + noise_at(sound, snr)) for measure in SPECTRAL] for snr in (20, 10, 0)])
    assert (np.diff(scores[:, 0]) < 0).all()
    assert (np.diff(scores[:, 1:], axis=0) > 0).all()


def decibels(waveform, bands=None):
    """Of all frames, from the definitions; in mel bands, if any."""
    window = np.pad(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400), 56)
    padded = np.pad(waveform, 256)
    power = np.array([np.abs(np.fft.rfft(padded[t : t + 512] * window)) ** 2 for t in range(0, len(waveform) + 1, 160)])
    heard = power.sum(axis=1) > power.sum(axis=1).max() * 1e-4
    if bands:
        power = power @ librosa.filters.mel(sr=16_000, n_fft=512, n_mels=bands).T
    return 10 * np.log10(power), heard


def with_pauses():
    sound = some_sound()
    sound[8000:16_000] *= 0.002  # 54 dB down: not heard
    return sound


def test_mel_cepstral_distortion_equals_its_definition():
    (x, heard), (y, _) = (decibels(one, bands=80) for one in (with_pauses(), some_sound(1)))
    d, b = np.arange(1, 25)[:, None], np.arange(80)
    # Cepstra of log amplitude, dB · ln 10 / 20, with both sides of the cosine series in one.
    difference = (x - y) * np.log(10) / 20 @ np.cos(np.pi * d * (b + 0.5) / 80).T * 2 / 80
    by_hand = 10 / np.log(10) * np.sqrt(2 * (difference**2).sum(axis=1))
    assert 40 < heard.sum() < 110
    assert quality.mel_cepstral_distortion(with_pauses(), some_sound(1)) == pytest.approx(
        by_hand[heard].mean(), rel=1e-3
    )


def test_log_spectral_distance_equals_its_definition():
    (x, heard), (y, _) = (decibels(one) for one in (with_pauses(), some_sound(1)))
    floor = x.max() - 80
    by_hand = np.sqrt(((np.maximum(x, floor) - np.maximum(y, floor)) ** 2).mean(axis=1))
    assert quality.log_spectral_distance(with_pauses(), some_sound(1)) == pytest.approx(by_hand[heard].mean(), rel=1e-3)


def test_duration_counts_what_can_be_heard():
    sound = np.random.default_rng(0).standard_normal(16_000)
    half = np.where(np.arange(16_000) < 8000, sound, 1e-4 * sound)
    assert quality.duration(sound, half) == pytest.approx(0.5, abs=0.02)


def test_pitch_of_a_harmonic_sound_and_of_noise():
    hz = np.linspace(120, 180, len(TIME))
    glide = signal.sawtooth(2 * np.pi * np.cumsum(hz) / 16_000)
    track = quality.pitch_track(glide)
    inner = track[5:-5]
    assert len(track) == 1 + len(TIME) // 256
    np.testing.assert_allclose(inner, hz[::256][5 : len(track) - 5], rtol=0.03)
    assert np.isfinite(quality.pitch_track(np.random.default_rng(0).standard_normal(16_000))).mean() < 0.2
    agreement = quality.pitch_agreement(track, quality.pitch_track(0.1 * glide))
    assert agreement.voicing == 1 and agreement.correlation > 0.999 and agreement.error_cents < 5


def test_pitch_agreement_by_hand():
    nan = np.nan
    agreement = quality.pitch_agreement(np.array([100, 200, nan, nan]), np.array([200, 400, 300, nan]))
    assert (agreement.voicing, agreement.both_voiced) == (0.75, 2)
    assert (agreement.correlation, agreement.error_cents) == pytest.approx((1, 1200))
    opposite = quality.pitch_agreement(np.array([100.0, 200]), np.array([200.0, 100]))
    assert (opposite.correlation, opposite.error_cents) == pytest.approx((-1, 1200))


def test_no_pitch_is_no_correlation():
    never = quality.pitch_agreement(np.full(3, np.nan), np.array([100, np.nan, 100]))
    assert (never.voicing, never.both_voiced, never.correlation, never.error_cents) == (1 / 3, 0, None, None)
    constant = quality.pitch_agreement(np.full(3, 100.0), np.array([100.0, 110, 120]))
    assert constant.correlation is None and constant.error_cents == pytest.approx(1200 * np.log2(1.1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quality.compare(np.zeros(0), np.zeros(0)), r"shapes \(0,\) and \(0,\)"),
        (lambda: quality.si_sdr(np.ones(4), np.ones(5)), r"shapes \(4,\) and \(5,\)"),
        (lambda: quality.stoi(np.zeros(16_000), some_sound()[:16_000]), "original waveform is silent"),
        (lambda: quality.level(some_sound(), 0 * some_sound()), "rebuilt waveform is silent"),
        (lambda: quality.duration(some_sound(), np.nan * some_sound()), "rebuilt waveform is silent or not finite"),
        (lambda: quality.stoi(some_sound()[:6000], some_sound()[:6000]), "less than 0.4 s of a waveform of 6000"),
        (
            lambda: quality.stoi(np.where(TIME < 0.2, some_sound(), 0), some_sound()),
            "less than 0.4 s of a waveform of 24000 samples can be heard",
        ),
        (lambda: quality.mel_cepstral_distortion(np.ones(100), np.ones(100)), "T >= 512"),
        (lambda: quality.pitch_track(np.zeros(16_000)), "silent"),
        (lambda: quality.pitch_agreement(np.ones(3), np.ones(4)), "one length"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_means_are_over_speakers_and_intervals_over_them():
    clips = pd.DataFrame({"system": "a", "K": 4, "speaker": list("xxxy"), "stoi": [0.0, 0.5, 1.0, 0.9]})
    clips["voicing"] = [np.nan, np.nan, np.nan, 0.3]
    both = pd.concat([clips, clips.assign(system="b", stoi=0.25, voicing=np.nan)])
    table = quality.summarise(both, by=["system", "K"], draws=500, rng=np.random.default_rng(0))
    rows = table.set_index(["system", "metric"])
    first = rows.loc["a", "stoi"]
    assert first["value"] == pytest.approx(0.7) and (first["low"], first["high"]) == (0.5, 0.9)
    assert (first["n_clips"], first["n_speakers"], first["K"]) == (4, 2, 4)
    assert rows.loc["b", "stoi"][["value", "low", "high"]].tolist() == [0.25] * 3
    assert rows.loc["a", "voicing"][["value", "n_clips", "n_speakers"]].tolist() == [0.3, 1, 1]
    assert ("b", "voicing") not in rows.index
