"""Common Voice: short sentences read by volunteers (Ardila et al., LREC 2020; CC0).

A release has one folder a language, with `clips/` and tables: `validated.tsv`, `invalidated.tsv` and `other.tsv` divide
all its clips; `train.tsv`, `dev.tsv` and `test.tsv` repeat parts of the first. All clips are taken unless
`corpus.subsets` names tables: votes judge whether the text was read as written, not whose voice it is. The paper did
so too: English 16.1 has 2 370 230 clips, 2 082 153 of them validated or other; the paper used 2 318 715.
The download needs an account, so it cannot be automatic.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from porcupine.corpora import table
from porcupine.errors import InputError, nearest

WANTED = (
    "the language folder of a release from https://commonvoice.mozilla.org (needs an account), "
    "which holds clips/ and validated.tsv"
)

_PARTITION = ("validated", "invalidated", "other")
_SPLITS = ("train", "dev", "test")
_COLUMNS = {
    "client_id": "speaker",
    "path": "path",
    "sentence": "text",
    "age": "age_group",
    "gender": "gender",
    "accent": "accent",
    "accents": "accent",
}


def index(root: Path, subsets: Sequence[str] = ()) -> pd.DataFrame:
    """Return the utterance table of a release: the language folder or one above it.

    subsets : names of tables without `.tsv`; a clip that several list counts once, as in the first.
    Raises InputError where there is not exactly one language, a table is missing or malformed, or no clip exists.
    """
    release = _release(root)
    names = subsets or _default(release)
    found = pd.concat([_read(release, name) for name in names], ignore_index=True)
    found = found.drop_duplicates("path", ignore_index=True)
    prefix = (release.relative_to(root) / "clips").as_posix()
    found["utterance"] = found["path"].str.replace(r"\.[^./]*$", "", regex=True)
    # Early releases name the clips without an ending.
    clips = found["path"].where(found["path"].str.contains(".", regex=False), found["path"] + ".mp3")
    found["path"] = prefix + "/" + clips
    if "gender" in found:
        found["gender"] = table.genders(found["gender"])
    if "age_group" in found:
        found["age_group"] = found["age_group"].replace("fourties", "forties")
    checked = table.check(found, name=str(release))
    table.require_some(root, checked["path"], source=str(release))
    return checked


def _release(root: Path) -> Path:
    clips = [root / "clips", *sorted(root.glob("*/clips")), *sorted(root.glob("*/*/clips"))]
    releases = [folder.parent for folder in clips if folder.is_dir()]
    if not releases:
        raise InputError(f"{root}: no folder clips/: corpus.path should be {WANTED}")
    if len(releases) > 1:
        languages = ", ".join(folder.relative_to(root).as_posix() for folder in releases)
        raise InputError(f"{root}: several releases ({languages}): point corpus.path at one")
    return releases[0]


def _default(release: Path) -> list[str]:
    for names in (_PARTITION, _SPLITS):
        found = [name for name in names if (release / f"{name}.tsv").is_file()]
        if found:
            return found
    raise InputError(f"{release}: no validated.tsv, and none of the other tables: corpus.path should be {WANTED}")


def _read(release: Path, name: str) -> pd.DataFrame:
    path = release / f"{name}.tsv"
    if not path.is_file():
        valid = [found.stem for found in release.glob("*.tsv")]
        raise InputError(f"corpus.subsets: {release} has no {name}.tsv{nearest(name, valid)}")
    try:
        listed = pd.read_csv(
            path,
            sep="\t",
            dtype=str,
            usecols=lambda column: column in _COLUMNS,
            keep_default_na=False,
            na_values=[""],
            quoting=csv.QUOTE_NONE,
            encoding="utf-8",
        )
    except ValueError as error:
        raise InputError(f"{path}: not a readable table ({error})") from error
    for column in ("client_id", "path"):
        if column not in listed:
            raise InputError(f"{path}: no column {column!r}: not a table of clips")
    return listed.rename(columns=_COLUMNS).assign(subset=name)
