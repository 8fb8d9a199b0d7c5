import numpy as np
import pytest
import soundfile

from porcupine import audio
from porcupine.errors import InputError

LIMITS = {"min_seconds": 2.0, "max_seconds": 60.0, "silence_dbfs": -60.0}


def tone(rate_hz=16_000, seconds=1.0, hz=440.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate_hz * seconds)) / rate_hz)).astype(np.float32)


@pytest.mark.parametrize(
    ("ending", "options", "tolerance"),
    [
        ("wav", {"subtype": "FLOAT"}, 0),
        ("flac", {"subtype": "PCM_16"}, 2**-15),
        ("mp3", {}, 0.03),
        ("ogg", {"subtype": "VORBIS"}, 0.03),
        ("opus", {"format": "OGG", "subtype": "OPUS"}, 0.03),
    ],
)
def test_every_format_reads(tmp_path, ending, options, tolerance):
    path = tmp_path / f"tone.{ending}"
    soundfile.write(path, tone(), 16_000, **options)
    waveform = audio.read(path)
    assert waveform.dtype == np.float32
    assert waveform.shape == (16_000,)
    middle = slice(4000, 12_000)
    assert np.abs(waveform[middle] - tone()[middle]).max() <= tolerance


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_an_excerpt_is_that_part_of_the_whole(tmp_path, ending):
    path = tmp_path / f"noise.{ending}"
    soundfile.write(path, 0.3 * np.random.default_rng(0).standard_normal(100_000), 16_000)
    whole = audio.read(path)
    for start in range(0, 100_000, 10_101):
        np.testing.assert_array_equal(audio.read(path, start=start, stop=start + 500), whole[start : start + 500])
    np.testing.assert_array_equal(audio.read(path, start=99_990), whole[99_990:])


@pytest.mark.parametrize("rate_hz", [8000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(tmp_path, rate_hz):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate_hz), rate_hz, subtype="FLOAT")
    waveform = audio.read(path)
    assert waveform.shape == (16_000,)
    assert np.abs(waveform - tone())[500:-500].max() < 2e-3


def test_an_excerpt_counts_samples_of_the_file(tmp_path):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(48_000), 48_000)
    assert len(audio.read(path, start=24_000, stop=36_000)) == 4000


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(), np.zeros(16_000, np.float32)], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(audio.read(path), tone() / 2, atol=1e-7)


def test_overshoots_are_clipped(tmp_path):
    path = tmp_path / "loud.wav"
    soundfile.write(path, 4 * tone(), 16_000, subtype="FLOAT")
    assert np.abs(audio.read(path)).max() == 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.wav: no such file"):
        audio.read(tmp_path / "gone.wav")


def test_a_file_that_is_not_audio_is_named_with_the_cause(tmp_path):
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(InputError, match=r"text\.wav: cannot be decoded \(.*Format not recognised"):
        audio.read(tmp_path / "text.wav")


def test_a_file_without_samples_is_named(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    with pytest.raises(InputError, match=r"empty\.wav: holds no samples"):
        audio.read(tmp_path / "empty.wav")


@pytest.mark.parametrize(("start", "stop"), [(-1, 10), (10, 10), (0, 16_001), (16_000, -1), (0, -2)])
def test_an_excerpt_outside_the_file_is_an_error(tmp_path, start, stop):
    soundfile.write(tmp_path / "a.wav", tone(), 16_000)
    with pytest.raises(InputError, match=f"start={start}, stop={stop} is not an excerpt of its 16000 samples"):
        audio.read(tmp_path / "a.wav", start=start, stop=stop)


def test_a_good_clip_has_no_fault():
    assert audio.fault(tone(seconds=2), **LIMITS) is None


@pytest.mark.parametrize(
    ("waveform", "reason"),
    [
        (tone(seconds=1.2), "too short: 1.20 s"),
        (tone(seconds=75), "too long: 75.00 s"),
        (np.zeros(0, np.float32), "too short: 0.00 s"),
        (np.zeros(48_000, np.float32), "silent: peak -inf dBFS"),
        (np.full(48_000, 1e-4, np.float32), "silent: peak -80.0 dBFS"),
        (np.full(48_000, np.nan, np.float32), "not finite"),
    ],
)
def test_a_fault_has_a_reason(waveform, reason):
    assert audio.fault(waveform, **LIMITS) == reason
