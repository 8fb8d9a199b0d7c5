import pytest

from porcupine.corpora import librispeech
from porcupine.errors import InputError

SPEAKERS = """; Some pseudo comments
;ID  |SEX| SUBSET           |MINUTES| NAME
60   | M | train-clean-100  | 20.18 | |CBW|Simon
84   | F | dev-clean        |  8.02 | Christie Nowak
"""


@pytest.fixture
def corpus(tmp_path):
    base = tmp_path / "LibriSpeech"
    for subset, speaker, chapter in (("dev-clean", "84", "121123"), ("train-clean-100", "60", "121082")):
        folder = base / subset / speaker / chapter
        folder.mkdir(parents=True)
        for number in range(2):
            (folder / f"{speaker}-{chapter}-{number:04d}.flac").touch()
    (base / "dev-clean/84/121123/84-121123.trans.txt").write_text("84-121123-0000 GO DO YOU HEAR\n", encoding="utf-8")
    (base / "SPEAKERS.TXT").write_text(SPEAKERS, encoding="utf-8")
    return tmp_path


def test_a_release_becomes_a_table(corpus):
    found = librispeech.index(corpus)
    assert found["utterance"].tolist() == ["60-121082-0000", "60-121082-0001", "84-121123-0000", "84-121123-0001"]
    assert found["path"].iloc[2] == "LibriSpeech/dev-clean/84/121123/84-121123-0000.flac"
    assert found["speaker"].tolist() == ["60", "60", "84", "84"]
    assert found["gender"].tolist() == ["male", "male", "female", "female"]
    assert found["subset"].tolist() == ["train-clean-100"] * 2 + ["dev-clean"] * 2
    assert found["text"].iloc[2] == "GO DO YOU HEAR" and found["text"].isna().sum() == 3


def test_the_root_may_be_the_release_itself_or_one_subset(corpus):
    above = librispeech.index(corpus)
    release = librispeech.index(corpus / "LibriSpeech")
    assert release.drop(columns="path").equals(above.drop(columns="path"))
    subset = librispeech.index(corpus / "LibriSpeech/dev-clean")
    assert subset["utterance"].tolist() == ["84-121123-0000", "84-121123-0001"]
    assert subset["speaker"].tolist() == ["84", "84"]
    assert "subset" not in subset and "gender" not in subset


def test_a_folder_that_is_not_librispeech_is_refused(tmp_path):
    (tmp_path / "clip.flac").touch()
    with pytest.raises(InputError, match="no files like LibriSpeech/dev-clean/"):
        librispeech.index(tmp_path)


def test_an_unknown_subset_is_refused_before_anything_is_fetched(tmp_path):
    with pytest.raises(InputError, match="'dev-claen' is not part of LibriSpeech; did you mean 'dev-clean'"):
        librispeech.download(tmp_path / "audio", ["dev-clean", "dev-claen"], cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_digests_agree_with_torchaudio():
    published = pytest.importorskip("torchaudio.datasets.librispeech")
    if not hasattr(published, "_CHECKSUMS"):
        pytest.skip("this torchaudio ships no LibriSpeech checksums")
    digests = {url.rsplit("/", 1)[1]: f"sha256:{value}" for url, value in published._CHECKSUMS.items()}
    assert {f"{subset}.tar.gz": digest for subset, digest in librispeech.ARCHIVES.items()} == digests
