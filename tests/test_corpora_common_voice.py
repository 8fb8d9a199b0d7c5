import pandas as pd
import pytest

from porcupine.corpora import common_voice
from porcupine.errors import InputError

HEADER = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tvariant\tlocale\tsegment\n"


def row(speaker, number, sentence="Hello", age="", gender="", accent=""):
    clip = f"common_voice_en_{number}.mp3"
    return f"{speaker}\t{clip}\t{sentence}\t2\t0\t{age}\t{gender}\t{accent}\t\ten\t\n"


@pytest.fixture
def release(tmp_path):
    folder = tmp_path / "en"
    (folder / "clips").mkdir(parents=True)
    (folder / "clips/common_voice_en_1.mp3").touch()
    tables = {
        "validated": row("0a1", 1, 'He said "no', "fourties", "male_masculine", "Welsh") + row("0b", 2, "NA", "teens"),
        "train": row("0b", 2, "NA", "teens"),
        "other": row("0b", 3, gender="female"),
        "invalidated": row("0c", 4, gender="do_not_wish_to_say"),
    }
    for name, rows in tables.items():
        (folder / f"{name}.tsv").write_text(HEADER + rows, encoding="utf-8")
    (folder / "reported.tsv").write_text("sentence\tlocale\nx\ten\n", encoding="utf-8")
    return folder


def test_all_clips_of_a_release_are_taken(release):
    found = common_voice.index(release)
    assert found["utterance"].tolist() == [f"common_voice_en_{number}" for number in (1, 2, 3, 4)]
    assert found["path"].iloc[0] == "clips/common_voice_en_1.mp3"
    assert found["speaker"].tolist() == ["0a1", "0b", "0b", "0c"]
    assert found["subset"].tolist() == ["validated", "validated", "other", "invalidated"]
    assert found["text"].tolist() == ['He said "no', "NA", "Hello", "Hello"]
    assert found["gender"].iloc[0] == "male" and found["gender"].iloc[2] == "female"
    assert pd.isna(found["gender"].iloc[3])
    assert found["age_group"].iloc[:2].tolist() == ["forties", "teens"]
    assert found["accent"].iloc[0] == "Welsh"


def test_the_root_may_be_above_the_language(release):
    found = common_voice.index(release.parent)
    assert found["path"].iloc[0] == "en/clips/common_voice_en_1.mp3"
    assert found["utterance"].tolist() == common_voice.index(release)["utterance"].tolist()


def test_subsets_name_tables_and_a_clip_in_two_counts_once(release):
    found = common_voice.index(release, ["train", "validated"])
    assert found["utterance"].tolist() == ["common_voice_en_1", "common_voice_en_2"]
    assert found["subset"].tolist() == ["validated", "train"]


def test_the_splits_serve_where_the_full_tables_are_gone(release):
    for name in ("validated", "other", "invalidated"):
        (release / f"{name}.tsv").unlink()
    (release / "clips/common_voice_en_2.mp3").touch()
    assert common_voice.index(release)["subset"].tolist() == ["train"]


def test_old_releases_name_clips_without_an_ending_and_one_accent(release):
    (release / "validated.tsv").write_text("client_id\tpath\tsentence\taccent\na\tx\tHi\tus\n", encoding="utf-8")
    (release / "clips/x.mp3").touch()
    found = common_voice.index(release, ["validated"])
    assert found["path"].tolist() == ["clips/x.mp3"]
    assert found["utterance"].tolist() == ["x"] and found["accent"].tolist() == ["us"]


def test_an_unknown_subset_is_refused(release):
    with pytest.raises(InputError, match=r"has no validate.tsv; did you mean 'validated'"):
        common_voice.index(release, ["validate"])
    with pytest.raises(InputError, match="no column 'client_id': not a table of clips"):
        common_voice.index(release, ["reported"])


def test_several_languages_are_refused(release):
    (release.parent / "cy/clips").mkdir(parents=True)
    with pytest.raises(InputError, match=r"several releases \(cy, en\): point corpus.path at one"):
        common_voice.index(release.parent)


def test_a_release_without_clips_or_tables_is_refused(release, tmp_path):
    (release / "clips/common_voice_en_1.mp3").unlink()
    with pytest.raises(InputError, match="none of the files it lists"):
        common_voice.index(release)
    for path in release.glob("*.tsv"):
        path.unlink()
    with pytest.raises(InputError, match=r"no validated.tsv"):
        common_voice.index(release)
    (release / "clips").rmdir()
    with pytest.raises(InputError, match="no folder clips/"):
        common_voice.index(release)
