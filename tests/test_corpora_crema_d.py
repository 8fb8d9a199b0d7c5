import pandas as pd
import pytest

from porcupine.corpora import crema_d, table
from porcupine.errors import InputError

DEMOGRAPHICS = """"ActorID","Age","Sex","Race","Ethnicity"
1001,51,"Male","Caucasian","Not Hispanic"
1047,22,"Female","Unknown","Hispanic"
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


def test_names_and_demographics_become_a_table(corpus):
    found = crema_d.index(corpus)
    assert found["utterance"].tolist() == ["1001_DFA_ANG_XX", "1047_IEO_HAP_HI", "1091_TIE_NEU_LO"]
    assert found["path"].iloc[0] == "AudioWAV/1001_DFA_ANG_XX.wav"
    assert found["speaker"].tolist() == ["1001", "1047", "1091"]
    assert found["emotion"].tolist() == ["angry", "happy", "neutral"]
    assert found["intensity"].tolist() == ["unspecified", "high", "low"]
    assert found["text"].iloc[0] == "Don't forget a jacket"
    assert found["gender"].iloc[:2].tolist() == ["male", "female"]
    assert found["age"].iloc[:2].tolist() == [51, 22]
    assert found["race"].iloc[0] == "Caucasian" and pd.isna(found["race"].iloc[1])


def test_an_actor_without_demographics_is_kept(corpus):
    actor = crema_d.index(corpus).set_index("speaker").loc["1091"]
    assert actor[["gender", "age", "race", "ethnicity"]].isna().all()


def test_the_audio_folder_alone_will_do(corpus):
    found = crema_d.index(corpus / "AudioWAV")
    assert found["path"].iloc[0] == "1001_DFA_ANG_XX.wav" and "gender" not in found


def test_the_one_published_name_with_half_a_level_is_known(corpus):
    (corpus / "AudioWAV/1040_ITH_SAD_X.wav").touch()
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
    with pytest.raises(InputError, match="run `git lfs pull`"):
        crema_d.index(corpus)


def test_demographics_without_a_column_or_audio_are_refused(corpus, tmp_path):
    (corpus / "VideoDemographics.csv").write_text("ActorID,Age,Race,Ethnicity\n1001,51,x,y\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column 'Sex'"):
        crema_d.index(corpus)
    with pytest.raises(InputError, match=r"no wav files: corpus.path should be"):
        crema_d.index(corpus / "AudioMP3")


def test_its_emotions_are_in_the_common_vocabulary():
    assert set(crema_d.EMOTIONS.values()) < set(table.EMOTIONS)
    assert len(crema_d.SENTENCES) == 12
