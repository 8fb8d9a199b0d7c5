import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from functools import partial

import numpy as np
import pandas as pd
import pytest
import soundfile

from porcupine.corpora import librispeech, ravdess, registry
from porcupine.errors import InputError
from porcupine.params import Corpus, CorpusName, Voices


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "mirror").mkdir()
    handler = partial(Quiet, directory=str(tmp_path / "mirror"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield tmp_path / "mirror", f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def nothing(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / ".gitignore").touch()
    return folder


def audio(kind="WAV"):
    file = io.BytesIO()
    soundfile.write(file, np.zeros(160), 16000, format=kind)
    return file.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_every_corpus_of_the_params_is_known(tmp_path, nothing, monkeypatch):
    monkeypatch.setattr(registry, "_download", lambda *_: None)
    monkeypatch.setattr(registry.voices, "synthesize", lambda *_, **__: pd.DataFrame())
    for name in CorpusName.__args__:
        with pytest.raises(InputError):
            registry.prepare(Corpus(name=name, path=nothing), tmp_path / "audio")


def test_a_users_copy_is_read_in_place(tmp_path):
    write(tmp_path / "mine/0001/a.wav", audio())
    corpus = Corpus(name="folder", path=tmp_path / "mine")
    found = registry.prepare(corpus, tmp_path / "audio")
    assert registry.root(corpus, tmp_path / "audio") == tmp_path / "mine"
    assert found["path"].tolist() == ["0001/a.wav"] and found["speaker"].tolist() == ["0001"]
    assert not (tmp_path / "audio").exists()


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("librispeech", "LibriSpeech/dev-clean/84/121123/84-121123-0000.flac"),
        ("ravdess", "Actor_02/03-01-06-01-02-01-02.wav"),
        ("crema_d", "AudioWAV/1001_DFA_ANG_XX.wav"),
    ],
)
def test_published_layouts_are_read_in_place_and_lead_to_audio(tmp_path, name, layout):
    write(tmp_path / "mine" / layout, audio("FLAC" if layout.endswith("flac") else "WAV"))
    corpus = Corpus(name=name, path=tmp_path / "mine")
    found = registry.prepare(corpus, tmp_path / "audio")
    clip = registry.root(corpus, tmp_path / "audio") / found["path"].iloc[0]
    assert soundfile.info(clip).frames == 160


def test_common_voice_passes_its_subsets_on(tmp_path):
    for name in ("validated", "train"):
        write(tmp_path / f"mine/{name}.tsv", b"client_id\tpath\na\tx.mp3\n")
    write(tmp_path / "mine/clips/x.mp3", b"")
    corpus = Corpus(name="common_voice", path=tmp_path / "mine", subsets=("train",))
    assert registry.prepare(corpus, tmp_path / "audio")["subset"].tolist() == ["train"]


def test_voices_are_made_whatever_the_path_holds(tmp_path, monkeypatch):
    write(tmp_path / "mine/0001/a.wav", audio())
    calls = []

    def synthesize(destination, **options):
        calls.append((destination, options))
        return pd.DataFrame({"utterance": ["b", "a"], "path": ["b.wav", "a.wav"], "speaker": ["1", "1"]})

    monkeypatch.setattr(registry.voices, "synthesize", synthesize)
    corpus = Corpus(name="voices", path=tmp_path / "mine", voices=Voices(speakers=3, utterances=2, seed=9))
    found = registry.prepare(corpus, tmp_path / "audio", workers=4)
    expected = {"speakers": 3, "utterances": 2, "seed": 9, "workers": 4, "progress": False}
    assert calls == [(tmp_path / "audio", expected)]
    assert registry.root(corpus, tmp_path / "audio") == tmp_path / "audio"
    assert found["utterance"].tolist() == ["a", "b"]


def test_the_sound_of_films_is_taken_out_where_there_are_no_wav_files(tmp_path, monkeypatch):
    calls = []

    def take_sound(found, root, destination, **options):
        calls.append((found["path"].tolist(), root, destination, options))
        return found.assign(path="AudioWAV/1001_DFA_ANG_XX.wav")

    monkeypatch.setattr(registry.crema_d, "take_sound", take_sound)
    write(tmp_path / "mine/VideoFlash/1001_DFA_ANG_XX.flv", b"")
    corpus, destination = Corpus(name="crema_d", path=tmp_path / "mine"), tmp_path / "audio"
    found = registry.prepare(corpus, destination, workers=4)
    given = ["VideoFlash/1001_DFA_ANG_XX.flv"]
    assert calls == [(given, tmp_path / "mine", destination, {"workers": 4, "progress": False})]
    assert registry.root(corpus, destination) == destination
    assert found["path"].tolist() == ["AudioWAV/1001_DFA_ANG_XX.wav"]
    write(tmp_path / "mine/AudioWAV/1001_DFA_ANG_XX.wav", audio())
    registry.prepare(corpus, destination)
    assert registry.root(corpus, destination) == tmp_path / "mine" and len(calls) == 1


def test_librispeech_is_downloaded_where_there_is_no_copy(tmp_path, mirror, nothing, monkeypatch):
    folder, url = mirror
    for subset, speaker in (("dev-clean", "84"), ("test-clean", "61")):
        with tarfile.open(folder / f"{subset}.tar.gz", "w:gz") as file:
            for name, content in (
                (f"LibriSpeech/{subset}/{speaker}/1/{speaker}-1-0000.flac", audio("FLAC")),
                ("LibriSpeech/SPEAKERS.TXT", b"84 | F | dev-clean | 8 | A\n61 | M | test-clean | 8 | B\n"),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        digest = hashlib.sha256((folder / f"{subset}.tar.gz").read_bytes()).hexdigest()
        monkeypatch.setitem(librispeech.ARCHIVES, subset, f"sha256:{digest}")
    corpus = Corpus(name="librispeech", path=nothing, mirror=url, subsets=("dev-clean", "test-clean"))
    found = registry.prepare(corpus, tmp_path / "audio", downloads=tmp_path / "downloads")
    assert found["utterance"].tolist() == ["61-1-0000", "84-1-0000"]
    assert found["gender"].tolist() == ["male", "female"]
    assert found["subset"].tolist() == ["test-clean", "dev-clean"]
    root = registry.root(corpus, tmp_path / "audio")
    assert root == tmp_path / "audio"
    assert all(soundfile.info(root / path).frames == 160 for path in found["path"])
    assert (tmp_path / "downloads/librispeech/dev-clean.tar.gz").is_file()


def test_ravdess_is_downloaded_where_there_is_no_copy(tmp_path, mirror, monkeypatch):
    folder, url = mirror
    with zipfile.ZipFile(folder / ravdess.ARCHIVE, "w") as file:
        file.writestr("Actor_02/03-01-06-01-02-01-02.wav", audio())
    digest = hashlib.md5((folder / ravdess.ARCHIVE).read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(ravdess, "DIGEST", f"md5:{digest}")
    corpus = Corpus(name="ravdess", path=tmp_path / "never made", mirror=url.rstrip("/"))
    found = registry.prepare(corpus, tmp_path / "audio", downloads=tmp_path / "downloads")
    assert soundfile.info(tmp_path / "audio" / found["path"].iloc[0]).frames == 160


def test_an_address_that_moved_names_the_file(tmp_path, mirror, nothing):
    corpus = Corpus(name="ravdess", path=nothing, mirror=mirror[1])
    with pytest.raises(InputError, match=r"Audio_Speech_Actors_01-24.zip: download failed .*404"):
        registry.prepare(corpus, tmp_path / "audio", downloads=tmp_path / "downloads")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("folder", "metadata.csv"),
        ("common_voice", "clips/ and validated.tsv"),
        ("crema_d", "AudioWAV/"),
    ],
)
def test_a_corpus_that_cannot_be_downloaded_says_what_to_put_where(tmp_path, nothing, name, wanted):
    for path in (nothing, tmp_path / "never made"):
        with pytest.raises(InputError) as error:
            registry.prepare(Corpus(name=name, path=path), tmp_path / "audio")
        assert str(error.value).startswith(f"corpus.path={str(path)!r} holds nothing: put there ")
        assert wanted in str(error.value)


def test_a_path_to_a_file_is_refused(tmp_path):
    write(tmp_path / "a.wav", audio())
    with pytest.raises(InputError, match="is a file, must be a folder"):
        registry.prepare(Corpus(name="folder", path=tmp_path / "a.wav"), tmp_path / "audio")


def test_subsets_are_refused_where_there_are_none(tmp_path):
    write(tmp_path / "mine/0001/a.wav", audio())
    corpus = Corpus(name="folder", path=tmp_path / "mine", subsets=("dev",))
    with pytest.raises(InputError, match="this corpus has no subsets"):
        registry.prepare(corpus, tmp_path / "audio")


def test_vectors_are_told_from_audio(tmp_path):
    with pytest.raises(InputError, match=r"porcupine.corpora.vectors.load"):
        registry.prepare(Corpus(name="vectors"), tmp_path / "audio")
