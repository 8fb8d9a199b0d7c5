"""Any folder of recordings, with a table of attributes or just one folder a speaker.

    metadata.csv        with columns `path` and `speaker`, then any others: gender, age, emotion, text, …
    SPEAKER/…/clip.wav  without metadata.csv: the first folder is the speaker

wav, flac, mp3 and ogg (opus or vorbis), endings in any case; hidden files are ignored. With metadata.csv, files that
it does not list are ignored, and listed files that are missing stay in the table, for the manifest to drop with a
reason. Its optional columns `utterance`, `start` and `stop` make several utterances of one file.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from porcupine.corpora import table
from porcupine.errors import InputError, nearest

WANTED = (
    "a folder SPEAKER/ for each speaker with audio files in it, or audio files and a metadata.csv (path, speaker, …)"
)


def index(root: Path) -> pd.DataFrame:
    """Return the utterance table of a folder.

    Raises InputError where it holds no audio, a clip has no speaker, or metadata.csv lacks a column or all files.
    """
    metadata = root / "metadata.csv"
    return _from_metadata(metadata) if metadata.is_file() else _from_folders(root)


def _from_metadata(metadata: Path) -> pd.DataFrame:
    # `seconds` is measured from the audio, by the manifest.
    listed = table.read_metadata(metadata).drop(columns="seconds", errors="ignore")
    for column in ("path", "speaker"):
        if column not in listed:
            columns = [str(found) for found in listed.columns]
            raise InputError(f"{metadata}: no column {column!r} among {columns}{nearest(column, columns)}")
    if "utterance" not in listed:
        listed["utterance"] = table.utterance_ids(listed["path"])
    checked = table.check(listed, name=str(metadata))
    table.require_some(metadata.parent, checked["path"], source=str(metadata))
    return checked


def _from_folders(root: Path) -> pd.DataFrame:
    paths = pd.Series(table.files(root), dtype=str)
    if paths.empty:
        raise InputError(f"{root}: no wav, flac, mp3 or ogg files: put there {WANTED}")
    speakers = paths.str.extract(r"^([^/]+)/", expand=False)
    if speakers.isna().any():
        clip = paths[speakers.isna()].iloc[0]
        raise InputError(
            f"{root / clip}: whose voice? Move it into a folder named after its speaker, "
            f"or list it in metadata.csv (columns path, speaker) in {root}"
        )
    found = pd.DataFrame({"utterance": table.utterance_ids(paths), "path": paths, "speaker": speakers})
    return table.check(found, name=str(root))
