import os

import pandas as pd
import pytest

from porcupine.corpora import table
from porcupine.errors import InputError


def utterances(**columns):
    return pd.DataFrame({"utterance": ["b", "a"], "path": ["b.wav", "a.wav"], "speaker": ["2", "1"], **columns})


def test_check_sorts_completes_and_keeps_attributes():
    checked = table.check(utterances(gender=["male", None], age=[30, None]))
    assert list(checked.columns) == ["utterance", "path", "start", "stop", "speaker", "gender", "age"]
    assert checked["utterance"].tolist() == ["a", "b"]
    assert checked["speaker"].tolist() == ["1", "2"]
    assert checked["start"].tolist() == [0, 0] and checked["stop"].tolist() == [-1, -1]
    assert checked[["start", "stop"]].dtypes.tolist() == ["int64", "int64"]
    assert checked["gender"].isna().tolist() == [True, False]


def test_checking_twice_changes_nothing():
    once = table.check(utterances(start=[5, 0], stop=[9, -1], text=["x", None]))
    pd.testing.assert_frame_equal(table.check(once), once)


def test_check_does_not_change_its_argument():
    given = utterances(gender=[None, None])
    before = given.copy()
    table.check(given)
    pd.testing.assert_frame_equal(given, before)


def test_a_column_unknown_for_every_row_is_left_out():
    assert "accent" not in table.check(utterances(accent=[None, None]))


def test_missing_excerpt_ends_mean_the_whole_file():
    checked = table.check(utterances(start=[None, 3.0], stop=[None, 8.0]))
    assert checked[["start", "stop"]].to_numpy().tolist() == [[3, 8], [0, -1]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"utterance": ["a", "a"]}, "utterance is not unique: utterance='a'"),
        ({"speaker": ["2", " "]}, "row 2: speaker is empty: utterance='a'"),
        ({"speaker": [1, 2]}, "'speaker' holds int64, must hold text"),
        ({"path": ["b.wav", None]}, "row 2: path is empty"),
        ({"path": ["b.wav", "/etc/a.wav"]}, "path should be relative"),
        ({"path": ["x/../../b.wav", "a.wav"]}, "path should be relative"),
        ({"path": ["C:/b.wav", "a.wav"]}, "path should be relative"),
        ({"path": ["2\\b.wav", "a.wav"]}, "forward slashes"),
        ({"start": [4, 0], "stop": [4, -1]}, "start < stop"),
        ({"start": [-1, 0]}, "start < stop"),
        ({"start": [0.5, 0]}, "start is not in whole samples"),
        ({"stop": ["end", -1]}, "stop is not in whole samples"),
        ({"age": ["teens", "sixties"]}, "call a column of words 'age_group'"),
        ({"gender": [1, 2]}, "'gender' holds int64"),
        ({"mood": ["good", 3]}, "'mood' mixes types"),
    ],
)
def test_a_bad_table_is_refused_by_name(columns, message):
    with pytest.raises(InputError) as error:
        table.check(utterances(**columns), name="metadata.csv")
    assert str(error.value).startswith("metadata.csv: ")
    assert message in str(error.value)


def test_dots_inside_a_name_are_no_way_out():
    assert len(table.check(utterances(path=["..b/x..wav", "a...wav"]))) == 2


def test_a_table_without_rows_or_columns_is_refused():
    with pytest.raises(InputError, match="no utterances"):
        table.check(utterances().head(0))
    with pytest.raises(InputError, match="no column 'speaker' among"):
        table.check(utterances().drop(columns="speaker"))


def test_select_keeps_the_named_subsets_and_suggests_the_nearest():
    found = table.check(utterances(subset=["dev-clean", "test-clean"]))
    assert table.select(found, ["dev-clean"], name="x")["utterance"].tolist() == ["b"]
    assert table.select(found, [], name="x") is found
    with pytest.raises(InputError, match="no subset 'dev-claen'; did you mean 'dev-clean'"):
        table.select(found, ["dev-claen"], name="x")
    with pytest.raises(InputError, match=r"has no subsets: use \[\]"):
        table.select(utterances(), ["dev-clean"], name="x")


def test_metadata_keeps_leading_zeros_and_words_like_none(tmp_path):
    (tmp_path / "m.csv").write_text("\ufeffspeaker,text,gender,age\n0001,NA,F,7\n0002,None,,\n", encoding="utf-8")
    read = table.read_metadata(tmp_path / "m.csv")
    assert read["speaker"].tolist() == ["0001", "0002"]
    assert read["text"].tolist() == ["NA", "None"]
    assert read["gender"].iloc[0] == "female" and pd.isna(read["gender"].iloc[1])
    assert read["age"].iloc[0] == 7 and pd.isna(read["age"].iloc[1])


def test_unreadable_metadata_is_an_input_error(tmp_path):
    (tmp_path / "m.csv").write_bytes("speaker\nJosé\n".encode("latin-1"))
    for name in ("m.csv", "absent.csv"):
        with pytest.raises(InputError, match="not a readable CSV"):
            table.read_metadata(tmp_path / name)


def test_files_are_sorted_visible_and_of_the_right_ending(tmp_path):
    for name in ("b/x.WAV", "a/y.ogg", "a/.hidden.wav", ".git/z.wav", "a/readme.txt", "top.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert table.files(tmp_path) == ["a/y.ogg", "b/x.WAV", "top.flac"]
    assert table.files(tmp_path, (".txt",)) == ["a/readme.txt"]


def test_links_to_folders_are_followed_once(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (elsewhere / "x.wav").touch()
    (root / "linked").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(root)
    assert table.files(root) == ["linked/x.wav"]


@pytest.mark.skipif(os.name == "nt", reason="needs a file system that stores bytes")
def test_a_name_that_is_not_utf8_is_named(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"x\xff.wav")).touch()
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    with pytest.raises(InputError, match="not UTF-8"):
        table.files(tmp_path)


def test_ids_are_paths_without_endings_made_unique():
    ids = table.utterance_ids(pd.Series(["s/a.wav", "s/a.mp3", "s.t/b", "s/c.d.ogg"]))
    assert ids.tolist() == ["s/a#0", "s/a#1", "s.t/b", "s/c.d"]


def test_genders_come_in_common_words():
    words = table.genders(pd.Series(["m", "Male", " F ", "female_feminine", "other", "unknown", None]))
    assert words.iloc[:5].tolist() == ["male", "male", "female", "female", "other"]
    assert words.iloc[5:].isna().all()


def test_an_unknown_code_names_file_and_valid_codes():
    codes, paths = pd.Series(["01", "09"]), pd.Series(["a.wav", "b.wav"])
    with pytest.raises(InputError, match=r"b.wav: mood code '09' is not known; valid: 01 calm"):
        table.decode(codes, {"01": "calm"}, field="mood", paths=paths)
