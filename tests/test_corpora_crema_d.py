import shlex
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import soundfile

from porcupine.corpora import crema_d, table
from porcupine.errors import InputError

DEMOGRAPHICS = """"ActorID","Age","Sex","Race","Ethnicity"
1001,51,"Male","Caucasian","Not Hispanic"
1047,22,"Female","Unknown","Hispanic"
1091,40,"Female","Asian","Not Hispanic"
"""
FAKE = """#!/bin/sh
for argument; do echo "$argument" >> {log}; target="$argument"; done
case "$*" in
    *_FEA_*) echo half > "$target"; echo "$5: Invalid data" >&2; exit 1;;
    *_SAD_*) exit 3;;
esac
cp {wav} "$target"
"""


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "AudioWAV").mkdir()
    (tmp_path / "AudioMP3").mkdir()
    for name in ("1001_DFA_ANG_XX", "1047_IEO_HAP_HI", "1091_TIE_NEU_LO"):
        (tmp_path / f"AudioWAV/{name}.wav").touch()
        (tmp_path / f"AudioMP3/{name}.mp3").touch()
    (tmp_path / "VideoDemographics.csv").write_text(DEMOGRAPHICS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def films(tmp_path):
    """Two films, and a third clip that is there as wav, too."""
    root = tmp_path / "mine"
    for folder, names in {
        "VideoFlash": ("1001_DFA_ANG_XX.flv", "1047_IEO_HAP_HI.FLV", "1091_TIE_NEU_LO.flv"),
        "AudioWAV": ("1091_TIE_NEU_LO.wav",),
    }.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / name).write_text(name, encoding="utf-8")
    return root


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """An ffmpeg that writes its arguments to a file, a line each, and copies another one to the last of them."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "made.wav").write_text("made", encoding="utf-8")
    script = tmp_path / "bin/ffmpeg"
    paths = {"log": tmp_path / "log", "wav": tmp_path / "made.wav"}
    script.write_text(FAKE.format(**{name: shlex.quote(str(path)) for name, path in paths.items()}), encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return tmp_path / "log"


def take(root, destination):
    return crema_d.take_sound(crema_d.index(root), root, destination, workers=1)


def test_names_and_demographics_become_a_table(corpus):
    found = crema_d.index(corpus)
    assert found["utterance"].tolist() == ["1001_DFA_ANG_XX", "1047_IEO_HAP_HI", "1091_TIE_NEU_LO"]
    assert found["path"].iloc[0] == "AudioWAV/1001_DFA_ANG_XX.wav"
    assert found["speaker"].tolist() == ["1001", "1047", "1091"]
    assert found["emotion"].tolist() == ["angry", "happy", "neutral"]
    assert found["intensity"].tolist() == ["unspecified", "high", "low"]
    assert found["text"].iloc[0] == "Don't forget a jacket"
    assert found["gender"].tolist() == ["male", "female", "female"]
    assert found["age"].tolist() == [51, 22, 40]
    assert found["race"].iloc[0] == "Caucasian" and pd.isna(found["race"].iloc[1])


def test_actors_without_demographics_are_kept_and_named(corpus):
    rows = "\n".join(DEMOGRAPHICS.splitlines()[:2])
    (corpus / "VideoDemographics.csv").write_text(rows, encoding="utf-8")
    with pytest.warns(UserWarning, match="VideoDemographics.csv: no row for actor 1047, 1091: gender and age unknown"):
        found = crema_d.index(corpus).set_index("speaker")
    assert found.index.tolist() == ["1001", "1047", "1091"]
    assert found.loc["1001", "gender"] == "male"
    assert found.loc[["1047", "1091"], ["gender", "age", "race", "ethnicity"]].isna().all(axis=None)


def test_the_audio_folder_alone_will_do(corpus):
    found = crema_d.index(corpus / "AudioWAV")
    assert found["path"].iloc[0] == "1001_DFA_ANG_XX.wav" and "gender" not in found


def test_the_one_published_name_with_half_a_level_is_known(corpus):
    (corpus / "AudioWAV/1040_ITH_SAD_X.wav").touch()
    (corpus / "VideoDemographics.csv").unlink()
    assert crema_d.index(corpus).set_index("speaker").loc["1040", "intensity"] == "unspecified"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("1002_DFA_JOY_XX.wav", "emotion code 'JOY' is not known; valid: ANG angry"),
        ("1002_ABC_ANG_XX.wav", "sentence code 'ABC'"),
        ("1002_DFA_ANG_QQ.wav", "level code 'QQ'"),
        ("noise.wav", "name should be like 1001_DFA_ANG_XX.wav"),
    ],
)
def test_a_wrong_name_is_refused(corpus, name, message):
    (corpus / "AudioWAV" / name).touch()
    with pytest.raises(InputError, match=name + ".*" + message):
        crema_d.index(corpus)


def test_git_lfs_pointers_are_recognised(corpus):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (corpus / "AudioWAV/1001_DFA_ANG_XX.wav").write_text(pointer, encoding="utf-8")
    with pytest.raises(InputError, match=r"1001_DFA_ANG_XX.wav: .* run `git lfs pull`"):
        crema_d.index(corpus)
    (corpus / "VideoFlash").mkdir()
    (corpus / "VideoFlash/1001_DFA_ANG_XX.flv").write_text(pointer, encoding="utf-8")
    with pytest.raises(InputError, match=r"1001_DFA_ANG_XX.flv: .* run `git lfs pull`"):
        crema_d.index(corpus / "VideoFlash")


def test_films_that_git_lfs_did_not_fetch_do_not_count_beside_wav_files(films):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for path in (films / "VideoFlash").iterdir():
        path.write_text(pointer, encoding="utf-8")
    assert not crema_d.has_films(films)
    assert crema_d.index(films)["path"].tolist() == ["AudioWAV/1091_TIE_NEU_LO.wav"]


def test_the_one_clip_whose_film_has_another_name_is_not_taken_twice(films):
    (films / "AudioWAV/1040_ITH_SAD_X.wav").touch()
    before = crema_d.index(films)
    (films / "VideoFlash/1040_ITH_SAD_XX.flv").touch()
    pd.testing.assert_frame_equal(crema_d.index(films), before)


def test_demographics_without_a_column_or_audio_are_refused(corpus, tmp_path):
    (corpus / "VideoDemographics.csv").write_text("ActorID,Age,Race,Ethnicity\n1001,51,x,y\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column 'Sex'"):
        crema_d.index(corpus)
    with pytest.raises(InputError, match=r"no wav or flv files: corpus.path should be"):
        crema_d.index(corpus / "AudioMP3")


def test_its_emotions_are_in_the_common_vocabulary():
    assert set(crema_d.EMOTIONS.values()) < set(table.EMOTIONS)
    assert len(crema_d.SENTENCES) == 12


# ---- the sound of films


def test_a_film_is_listed_where_the_clip_has_no_wav_file(films):
    found = crema_d.index(films).set_index("utterance")
    assert found["path"].to_dict() == {
        "1001_DFA_ANG_XX": "VideoFlash/1001_DFA_ANG_XX.flv",
        "1047_IEO_HAP_HI": "VideoFlash/1047_IEO_HAP_HI.FLV",
        "1091_TIE_NEU_LO": "AudioWAV/1091_TIE_NEU_LO.wav",
    }
    assert found["emotion"].tolist() == ["angry", "happy", "neutral"]
    assert crema_d.has_films(films)
    for name in ("1001_DFA_ANG_XX", "1047_IEO_HAP_HI"):
        (films / f"AudioWAV/{name}.wav").touch()
    assert not crema_d.has_films(films)
    assert crema_d.index(films)["path"].str.startswith("AudioWAV/").all()


def test_ffmpeg_is_asked_for_mono_at_16_khz_and_wav_files_are_copied(films, fake, tmp_path):
    before = crema_d.index(films)
    found = take(films, tmp_path / "audio")
    pd.testing.assert_frame_equal(found.drop(columns="path"), before.drop(columns="path"))
    assert found["path"].tolist() == ["AudioWAV/" + name + ".wav" for name in before["utterance"]]
    written = [(tmp_path / "audio" / path).read_text() for path in found["path"]]
    assert written == ["made", "made", "1091_TIE_NEU_LO.wav"]
    assert not (tmp_path / "audio" / found["path"].iloc[2]).is_symlink()
    first, second = fake.read_text().split("-nostdin\n")[1:]
    *options, target = first.splitlines()
    assert options == [
        *("-v", "error", "-i", str(films / "VideoFlash/1001_DFA_ANG_XX.flv")),
        *("-vn", "-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le", "-map_metadata", "-1", "-bitexact", "-f", "wav"),
    ]
    assert target.startswith(str(tmp_path / "audio/AudioWAV/.1001_DFA_ANG_XX.")) and target.endswith(".partial.wav")
    assert str(films / "VideoFlash/1047_IEO_HAP_HI.FLV") in second


def test_paths_are_given_to_ffmpeg_from_the_root(films, fake, tmp_path, monkeypatch):
    # A relative path such as `-i/x.flv` or `http:/x.flv` would be an option or an address.
    monkeypatch.chdir(tmp_path)
    take(films.relative_to(tmp_path), (tmp_path / "audio").relative_to(tmp_path))
    assert str(films / "VideoFlash/1001_DFA_ANG_XX.flv") in fake.read_text().splitlines()


def test_a_film_that_cannot_be_decoded_is_reported_and_stays_without_a_file(films, fake, tmp_path):
    for name in ("1002_DFA_FEA_XX.flv", "1003_DFA_SAD_XX.flv"):
        (films / "VideoFlash" / name).touch()
    with pytest.warns(UserWarning, match="ffmpeg cannot take out its sound") as record:
        found = take(films, tmp_path / "audio")
    refused, silent = (str(warning.message) for warning in record)
    path = films / "VideoFlash/1002_DFA_FEA_XX.flv"
    assert refused == f"{path}: ffmpeg cannot take out its sound, the clip will be dropped: {path}: Invalid data"
    assert silent.endswith(
        "1003_DFA_SAD_XX.flv: ffmpeg cannot take out its sound, the clip will be dropped: exit status 3"
    )
    there = {path.name for path in (tmp_path / "audio/AudioWAV").iterdir()}
    assert {"1002_DFA_FEA_XX.wav", "1003_DFA_SAD_XX.wav"} < set(found["path"].str.removeprefix("AudioWAV/"))
    assert there == {"1001_DFA_ANG_XX.wav", "1047_IEO_HAP_HI.wav", "1091_TIE_NEU_LO.wav"}


def test_where_no_film_can_be_decoded_there_is_no_corpus(fake, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/1002_DFA_FEA_XX.flv").touch()
    with pytest.raises(InputError, match=r"1002_DFA_FEA_XX.flv: ffmpeg .* nor that of any other clip: .* Invalid data"):
        take(tmp_path / "mine", tmp_path / "audio")


def test_a_missing_ffmpeg_says_what_to_install(films, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"2 clips are in flv files alone, and ffmpeg is not installed, .* install it"):
        take(films, tmp_path / "audio")
    assert not (tmp_path / "audio").exists()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_the_sound_of_a_film_is_that_which_was_put_in(tmp_path):
    (tmp_path / "mine").mkdir()
    film = tmp_path / "mine/1001_DFA_ANG_XX.flv"
    picture = ["-f", "lavfi", "-i", "color=duration=1:size=32x32"]
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1:sample_rate=44100", "-ac", "2"]
    codecs = ["-c:v", "flv", "-c:a", "adpcm_swf"]
    subprocess.run(["ffmpeg", "-v", "error", *picture, *sound, *codecs, film], check=True)
    (tmp_path / "mine/1002_DFA_ANG_XX.flv").write_text("not a film", encoding="utf-8")
    with pytest.warns(UserWarning, match="1002_DFA_ANG_XX.flv: ffmpeg cannot take out its sound"):
        found = take(tmp_path / "mine", tmp_path / "audio")
    waveform, rate_hz = soundfile.read(tmp_path / "audio" / found["path"].iloc[0])
    assert rate_hz == 16_000 and waveform.ndim == 1 and abs(len(waveform) / rate_hz - 1) < 0.1
    assert np.abs(np.fft.rfft(waveform, rate_hz)).argmax() == pytest.approx(440, abs=2)
