import pandas as pd
import pytest

from porcupine.corpora import folder
from porcupine.errors import InputError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_without_metadata_the_first_folder_is_the_speaker(tmp_path):
    touch(tmp_path, "0002/day/a.WAV", "0001/a.flac", "0001/b.mp3", "0001/.c.wav", "0001/notes.txt", "3/a.ogg")
    found = folder.index(tmp_path)
    assert found["utterance"].tolist() == ["0001/a", "0001/b", "0002/day/a", "3/a"]
    assert found["speaker"].tolist() == ["0001", "0001", "0002", "3"]
    assert found["path"].iloc[2] == "0002/day/a.WAV"


def test_metadata_gives_speakers_and_attributes(tmp_path):
    touch(tmp_path, "x.wav", "y.wav", "unlisted.wav")
    (tmp_path / "metadata.csv").write_text(
        "path,speaker,gender,age,seconds\ny.wav,0001,M,30,1.5\nx.wav,0002,Female,,2\n", encoding="utf-8"
    )
    found = folder.index(tmp_path)
    assert found["utterance"].tolist() == ["x", "y"]
    assert found["speaker"].tolist() == ["0002", "0001"]
    assert found["gender"].tolist() == ["female", "male"]
    assert pd.isna(found["age"].iloc[0]) and found["age"].iloc[1] == 30
    assert "seconds" not in found


def test_metadata_can_cut_one_file_into_utterances(tmp_path):
    touch(tmp_path, "talk.wav")
    (tmp_path / "metadata.csv").write_text(
        "path,speaker,start,stop\ntalk.wav,a,0,16000\ntalk.wav,b,16000,\n", encoding="utf-8"
    )
    found = folder.index(tmp_path)
    assert found["utterance"].tolist() == ["talk#0", "talk#1"]
    assert found[["start", "stop"]].to_numpy().tolist() == [[0, 16000], [16000, -1]]


def test_one_missing_file_stays_for_the_manifest_to_report(tmp_path):
    touch(tmp_path, "here.wav")
    (tmp_path / "metadata.csv").write_text("path,speaker\ngone.wav,a\nhere.wav,b\n", encoding="utf-8")
    assert folder.index(tmp_path)["utterance"].tolist() == ["gone", "here"]


def test_metadata_whose_files_are_all_missing_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_text("path,speaker\ngone.wav,a\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"metadata.csv: none of the files it lists is under"):
        folder.index(tmp_path)


def test_a_missing_column_is_named_with_the_nearest(tmp_path):
    (tmp_path / "metadata.csv").write_text("path,speakers\nx.wav,a\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"no column 'speaker' among .*; did you mean 'speakers'"):
        folder.index(tmp_path)


def test_a_path_in_metadata_cannot_leave_the_folder(tmp_path):
    (tmp_path / "metadata.csv").write_text("path,speaker\n../secret.wav,a\n", encoding="utf-8")
    with pytest.raises(InputError, match="row 1: path should be relative"):
        folder.index(tmp_path)


def test_a_clip_without_a_speaker_folder_is_refused(tmp_path):
    touch(tmp_path, "a/x.wav", "stray.wav")
    with pytest.raises(InputError, match=r"stray.wav: whose voice\? Move it into a folder"):
        folder.index(tmp_path)


def test_a_folder_without_audio_is_refused(tmp_path):
    touch(tmp_path, "a/readme.txt")
    with pytest.raises(InputError, match="no wav, flac, mp3 or ogg files"):
        folder.index(tmp_path)
