import pytest

from porcupine.corpora import ravdess
from porcupine.errors import InputError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_names_become_a_table(tmp_path):
    touch(tmp_path, "Actor_12/03-01-06-01-02-01-12.wav", "Actor_01/03-01-01-01-01-02-01.ogg")
    found = ravdess.index(tmp_path)
    assert found["utterance"].tolist() == ["03-01-01-01-01-02-01", "03-01-06-01-02-01-12"]
    assert found["path"].tolist() == ["Actor_01/03-01-01-01-01-02-01.ogg", "Actor_12/03-01-06-01-02-01-12.wav"]
    assert found["speaker"].tolist() == ["Actor_01", "Actor_12"]
    assert found["gender"].tolist() == ["male", "female"]
    assert found["emotion"].tolist() == ["neutral", "fearful"]
    assert found["intensity"].tolist() == ["normal", "normal"]
    assert found["repetition"].tolist() == [2, 1]
    assert found["text"].tolist() == ["Kids are talking by the door", "Dogs are sitting by the door"]


def test_the_published_codes_of_the_emotions():
    published = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
    assert list(ravdess.EMOTIONS.items()) == [(f"0{code}", word) for code, word in enumerate(published, start=1)]


def test_songs_are_left_out_and_a_nested_copy_counts_once(tmp_path):
    clip = "Actor_12/03-01-06-01-02-01-12.wav"
    touch(tmp_path, clip, "audio_speech_actors_01-24/" + clip, "Actor_12/03-02-06-01-02-01-12.wav")
    assert ravdess.index(tmp_path)["path"].tolist() == [clip]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Actor_01/03-01-09-01-01-01-01.wav", "emotion code '09' is not known; valid: 01 neutral"),
        ("Actor_01/03-01-01-03-01-01-01.wav", "intensity code '03'"),
        ("Actor_01/03-01-01-01-03-01-01.wav", "sentence code '03'"),
        ("Actor_01/hello.wav", "name should be like"),
    ],
)
def test_a_wrong_name_is_refused(tmp_path, name, message):
    touch(tmp_path, "Actor_02/03-01-01-01-01-01-02.wav", name)
    with pytest.raises(InputError, match=name + ".*" + message):
        ravdess.index(tmp_path)


def test_a_folder_without_its_clips_is_refused(tmp_path):
    touch(tmp_path, "readme.txt")
    with pytest.raises(InputError, match="no files like Actor_12/"):
        ravdess.index(tmp_path)
