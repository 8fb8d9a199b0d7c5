"""The corpora by name: made, downloaded, or read where the user has them.

    voices                  made here
    librispeech, ravdess    downloaded where `corpus.path` holds nothing
    folder, common_voice    always the user's copy
    crema_d                 the user's copy; where films are without wav files, these are made here
    vectors                 no audio; see `porcupine.corpora.vectors`

A `corpus.path` that is missing, empty or holds only hidden files means that the user has no copy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from porcupine.corpora import common_voice, crema_d, folder, librispeech, ravdess, table, vectors, voices
from porcupine.errors import InputError
from porcupine.params import Corpus

_DOWNLOADED = ("librispeech", "ravdess")
_INDEX: dict[str, Callable[[Path], pd.DataFrame]] = {
    "folder": folder.index,
    "librispeech": librispeech.index,
    "ravdess": ravdess.index,
}
_WANTED = {
    "folder": folder.WANTED,
    "common_voice": common_voice.WANTED,
    "crema_d": crema_d.WANTED,
    "vectors": vectors.WANTED,
}


def root(corpus: Corpus, destination: Path) -> Path:
    """Return the folder that the table's paths are relative to.

    ``destination`` where audio is made or downloaded, `corpus.path` where the user has all of it.
    Raises InputError where the user should have it and does not.
    """
    if corpus.name == "voices" or _is_downloaded(corpus):
        return destination
    if not _holds_something(corpus.path):
        raise InputError(f"corpus.path={str(corpus.path)!r} holds nothing: put there {_WANTED[corpus.name]}")
    return destination if corpus.name == "crema_d" and crema_d.has_films(corpus.path) else corpus.path


def prepare(
    corpus: Corpus,
    destination: Path,
    *,
    downloads: Path = Path("data/downloads"),
    workers: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Make or download the audio into ``destination``, or read it in place, and return the checked utterance table.

    downloads : folder that keeps archives and partial downloads; outside ``destination``, which may be wiped.
    workers : processes that make audio; 0 means one a core.
    Raises InputError where the corpus is not what it should be; the message says what to change.
    """
    if not corpus.has_audio:
        raise InputError("corpus.name='vectors' has no audio to prepare: read it with porcupine.corpora.vectors.load")
    place = root(corpus, destination)
    if corpus.name == "common_voice":
        return common_voice.index(place, corpus.subsets)
    if corpus.name == "voices":
        size = corpus.voices
        made = voices.synthesize(
            destination,
            speakers=size.speakers,
            utterances=size.utterances,
            seed=size.seed,
            workers=workers,
            progress=progress,
        )
        found = table.check(made, name="voices")
    elif corpus.name == "crema_d":
        found = crema_d.index(corpus.path)
        if place == destination:
            found = crema_d.take_sound(found, corpus.path, destination, workers=workers, progress=progress)
    else:
        if _is_downloaded(corpus):
            _download(corpus, destination, downloads / corpus.name, progress)
        found = _INDEX[corpus.name](place)
    return table.select(found, corpus.subsets, name=f"corpus.name={corpus.name!r}")


def _is_downloaded(corpus: Corpus) -> bool:
    return corpus.name in _DOWNLOADED and not _holds_something(corpus.path)


def _holds_something(path: Path) -> bool:
    if path.is_file():
        raise InputError(f"corpus.path={str(path)!r} is a file, must be a folder")
    return path.is_dir() and any(not entry.name.startswith(".") for entry in path.iterdir())


def _download(corpus: Corpus, destination: Path, cache: Path, progress: bool) -> None:
    if corpus.name == "librispeech":
        librispeech.download(destination, corpus.subsets, cache=cache, mirror=corpus.mirror, progress=progress)
    else:
        ravdess.download(destination, cache=cache, mirror=corpus.mirror, progress=progress)
