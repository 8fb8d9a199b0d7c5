import sys
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile

from porcupine.corpora import voices
from porcupine.corpora.voices import synthesize
from porcupine.errors import InputError
from porcupine.randomness import generator

pytest.importorskip("espeakng_loader", reason="the voices need porcupine[pipeline]")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return folder, synthesize(folder, speakers=24, utterances=3, seed=5, workers=1)


@pytest.fixture
def espeak():
    with voices._Espeak() as library:
        yield library


def samples_of(folder: Path, table: pd.DataFrame) -> dict[str, bytes]:
    files = {path: soundfile.read(folder / path, dtype="int16")[0] for path in table.path.unique()}
    return {row.utterance: files[row.path][row.start : row.stop].tobytes() for row in table.itertuples()}


def with_attributes(**attributes):
    speaker = voices._draw_speaker(3, 0)
    neutral = {"pitch_range_semitones": 5.0, "formant_scale": 1.0, "tilt_db": 0.0, "breathiness": 0.0, "roughness": 0.0}
    return voices._Speaker({**speaker.attributes, **neutral, **attributes}, np.full((9, 3), 100))


def render(espeak, speaker, emotion="neutral"):
    utterance = {"emotion": emotion, "snr_db": 40.0, "text": "The old farmer carried seven baskets near the river."}
    return voices._render(espeak, speaker, utterance, generator(0)) / 32768


def median_pitch(signal):
    frames = librosa.util.frame(signal, frame_length=1024, hop_length=512)
    pitch = librosa.yin(signal, sr=16000, fmin=60, fmax=450, frame_length=1024, hop_length=512, center=False)
    loud = np.std(frames, axis=0) > np.std(signal)
    return np.median(pitch[loud])


def mean_centroid(signal):
    return librosa.feature.spectral_centroid(y=signal, sr=16000).mean()


def test_every_utterance_is_a_row_with_its_attributes(corpus):
    _, table = corpus
    assert len(table) == 24 * 3
    assert table.utterance.is_unique and table.utterance.is_monotonic_increasing
    assert table.groupby("speaker").size().eq(3).all()
    assert table[["start", "stop"]].dtypes.eq("int64").all()
    assert not table.isna().any(axis=None)
    assert set(table.gender) == {"female", "male"}
    assert set(table.age_group) <= set(voices.AGE_GROUPS)
    assert set(table.accent) <= set(voices.ACCENTS)
    assert set(table.emotion) == set(voices.STYLES)
    assert table.text.is_unique


def test_attributes_of_a_speaker_are_the_same_in_all_its_utterances(corpus):
    _, table = corpus
    constant = table.drop(columns=["utterance", "start", "stop", "emotion", "snr_db", "text"])
    assert len(constant.drop_duplicates()) == 24
    assert table.groupby("speaker").pitch_hz.first().is_unique


def test_attributes_are_in_range(corpus):
    _, table = corpus
    for column, low, high in [
        ("age", 6, 85),
        ("pitch_hz", 75, 420),
        ("formant_scale", 0.85, 1.55),
        ("breathiness", 0, 1),
        ("roughness", 0, 1),
        ("rate_wpm", 120, 230),
        ("snr_db", 10, 40),
    ]:
        assert table[column].between(low, high).all(), column


def test_excerpts_fill_their_shard_with_sound_that_does_not_clip(corpus):
    folder, table = corpus
    shard = soundfile.info(folder / "0000.flac")
    assert (shard.samplerate, shard.channels, shard.subtype) == (16000, 1, "PCM_16")
    assert table.start.tolist() == [0, *table.stop[:-1]] and table.stop.iloc[-1] == shard.frames
    assert ((table.stop - table.start) / 16000).between(2, 7).all()
    for samples in samples_of(folder, table).values():
        signal = np.frombuffer(samples, np.int16) / 32768
        assert 0.05 < np.abs(signal).max() < 0.96
        assert np.sqrt(np.mean(signal**2)) > 0.01


def test_two_workers_write_the_same_bytes_as_one(tmp_path):
    tables = [synthesize(tmp_path / str(n), speakers=66, utterances=1, seed=2, workers=n) for n in (1, 2)]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0].path.unique().tolist() == ["0000.flac", "0001.flac"]
    for path in tables[0].path.unique():
        assert (tmp_path / "1" / path).read_bytes() == (tmp_path / "2" / path).read_bytes()


def test_sharding_does_not_change_the_audio(corpus, tmp_path, monkeypatch):
    folder, table = corpus
    monkeypatch.setattr(voices, "SPEAKERS_A_SHARD", 5)
    resharded = synthesize(tmp_path, speakers=12, utterances=3, seed=5, workers=1)
    assert resharded.path.nunique() == 3
    whole = samples_of(folder, table)
    assert all(whole[name] == samples for name, samples in samples_of(tmp_path, resharded).items())


@pytest.mark.parametrize(("speakers", "utterances"), [(6, 3), (24, 1)])
def test_more_speakers_or_utterances_leave_the_earlier_ones_as_they_are(corpus, tmp_path, speakers, utterances):
    folder, table = corpus
    smaller = synthesize(tmp_path, speakers=speakers, utterances=utterances, seed=5, workers=1)
    attributes = table.drop(columns=["start", "stop"]).set_index("utterance")
    pd.testing.assert_frame_equal(
        smaller.drop(columns=["start", "stop"]).set_index("utterance"), attributes.loc[smaller.utterance]
    )
    whole = samples_of(folder, table)
    assert all(whole[name] == samples for name, samples in samples_of(tmp_path, smaller).items())


def test_another_seed_gives_other_speakers(corpus):
    _, table = corpus
    assert voices._draw_speaker(6, 0).attributes["pitch_hz"] != table.pitch_hz[0]


def test_what_espeak_said_before_does_not_matter(espeak):
    speaker = with_attributes(pitch_hz=110.0, breathiness=0.5, roughness=0.5)
    expected = render(espeak, speaker)
    for i in range(6):
        voices._render(
            espeak, voices._draw_speaker(0, i), voices._draw_utterance(generator(0, i)), generator(0, "noise", i)
        )
        np.testing.assert_array_equal(render(espeak, speaker), expected)


@pytest.mark.parametrize("pitch_hz", [90.0, 140.0, 220.0, 300.0])
def test_the_drawn_pitch_is_heard(espeak, pitch_hz):
    assert median_pitch(render(espeak, with_attributes(pitch_hz=pitch_hz))) == pytest.approx(pitch_hz, rel=0.12)


def test_angry_and_happy_are_higher_than_sad(espeak):
    speaker = with_attributes(pitch_hz=150.0)
    sad, angry, happy = (median_pitch(render(espeak, speaker, style)) for style in ("sad", "angry", "happy"))
    assert sad < 0.9 * angry and sad < 0.9 * happy


def test_angry_is_louder_and_faster_than_sad(espeak):
    sad, angry = (render(espeak, with_attributes(pitch_hz=150.0), style) for style in ("sad", "angry"))
    assert np.std(angry) > 1.5 * np.std(sad)
    assert len(angry) < 0.9 * len(sad)


def test_breath_and_positive_tilt_brighten_the_voice(espeak):
    plain = mean_centroid(render(espeak, with_attributes(pitch_hz=150.0)))
    assert mean_centroid(render(espeak, with_attributes(pitch_hz=150.0, breathiness=0.8))) > 1.05 * plain
    assert mean_centroid(render(espeak, with_attributes(pitch_hz=150.0, tilt_db=4.0))) > 1.05 * plain


def test_a_shorter_vocal_tract_brightens_the_voice(espeak):
    speaker = with_attributes(pitch_hz=150.0)
    shorter = speaker._replace(formants=speaker.formants + np.array([30, 0, 0]))
    assert mean_centroid(render(espeak, shorter)) > 1.05 * mean_centroid(render(espeak, speaker))


def test_shimmer_stays_between_its_bounds_and_is_absent_without_roughness():
    gain = voices._shimmer(16000, 120.0, 0.4, generator(1))
    assert gain.min() < 0.7 and gain.max() > 0.9 and gain.min() >= 0.6 and gain.max() <= 1.0
    np.testing.assert_array_equal(voices._shimmer(16000, 120.0, 0.0, generator(1)), 1.0)


def test_women_and_children_have_higher_voices_and_shorter_vocal_tracts():
    people = pd.DataFrame([voices._draw_speaker(1, i).attributes for i in range(400)])
    grown = people[people.age_group.isin(["young", "adult"])].groupby("gender")[["pitch_hz", "formant_scale"]].median()
    child = people[people.age_group == "child"][["pitch_hz", "formant_scale"]].median()
    assert (child > grown.loc["female"]).all() and (grown.loc["female"] > grown.loc["male"]).all()


def test_sentences_are_varied():
    sentences = {voices._draw_sentence(generator(0, i)) for i in range(2000)}
    assert len(sentences) > 1990
    assert all("{" not in sentence and sentence[0].isupper() for sentence in sentences)


@pytest.mark.parametrize(("speakers", "utterances", "named"), [(1, 3, "speakers=1"), (2, 0, "utterances=0")])
def test_too_few_are_named(tmp_path, speakers, utterances, named):
    with pytest.raises(InputError, match=named):
        synthesize(tmp_path, speakers=speakers, utterances=utterances, seed=0)
    assert not list(tmp_path.iterdir())


def test_a_missing_espeak_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match=r"porcupine\[pipeline\]"):
        synthesize(tmp_path, speakers=2, utterances=1, seed=0)
