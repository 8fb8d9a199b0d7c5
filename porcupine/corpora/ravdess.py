"""RAVDESS: 24 actors, 2 sentences, 8 emotions, 1 440 spoken clips (Livingstone & Russo, 2018; CC BY-NC-SA 4.0).

    index       Actor_12/03-01-06-01-02-01-12.wav -> utterance table
    download    the archive of the spoken audio -> a folder that `index` reads

A name is modality (03 audio), channel (01 speech, 02 song), emotion, intensity, sentence, repetition, actor. Songs are
left out. A clip that is found twice (a widespread copy nests the whole tree in itself) counts once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from porcupine.corpora import downloads, table
from porcupine.errors import InputError

ADDRESS = "https://zenodo.org/records/1188976/files"
ARCHIVE = "Audio_Speech_Actors_01-24.zip"
DIGEST = "md5:bc696df654c87fed845eb13823edef8a"

EMOTIONS = {f"{code:02d}": word for code, word in enumerate(table.EMOTIONS, start=1)}
INTENSITIES = {"01": "normal", "02": "strong"}
SENTENCES = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}

_CLIP = (
    r"(?:^|/)(?P<utterance>03-(?P<channel>\d\d)-(?P<emotion>\d\d)-(?P<intensity>\d\d)-(?P<sentence>\d\d)"
    r"-(?P<repetition>\d\d)-(?P<actor>\d\d))\.[^./]+$"
)


def index(root: Path) -> pd.DataFrame:
    """Return the utterance table of a folder with RAVDESS's audio files, at any depth.

    Raises InputError where there are none, or one has another name or an unknown code.
    """
    paths = pd.Series(table.files(root), dtype=str)
    codes = paths.str.extract(_CLIP)
    if codes["utterance"].isna().any():
        clip = paths[codes["utterance"].isna()].iloc[0]
        raise InputError(f"{root / clip}: name should be like 03-01-06-01-02-01-12.wav")
    codes = codes.assign(path=paths)[codes["channel"] == "01"].drop_duplicates("utterance", ignore_index=True)
    if codes.empty:
        raise InputError(f"{root}: no files like Actor_12/03-01-06-01-02-01-12.wav")
    paths = codes["path"]
    found = pd.DataFrame(
        {
            "utterance": codes["utterance"],
            "path": paths,
            "speaker": "Actor_" + codes["actor"],
            "gender": np.where(codes["actor"].astype(int) % 2 == 1, "male", "female"),
            "emotion": table.decode(codes["emotion"], EMOTIONS, field="emotion", paths=paths),
            "intensity": table.decode(codes["intensity"], INTENSITIES, field="intensity", paths=paths),
            "repetition": codes["repetition"].astype(np.int64),
            "text": table.decode(codes["sentence"], SENTENCES, field="sentence", paths=paths),
        }
    )
    return table.check(found, name=str(root))


def download(destination: Path, *, cache: Path, mirror: str | None = None, progress: bool = False) -> None:
    """Fetch the archive of the spoken audio (208 MB) and unpack it. Raises InputError as `downloads.fetch`."""
    archive = downloads.fetch(f"{(mirror or ADDRESS).rstrip('/')}/{ARCHIVE}", DIGEST, cache, progress=progress)
    downloads.extract(archive, destination / "speech")
