"""The utterance table: what every corpus gives, one row an utterance, sorted by `utterance`.

    utterance       str, unique id: a published clip id, or the path without ending (`path#index` for parts of one file)
    path            str, POSIX path relative to the corpus root
    start, stop     int64, excerpt in samples of the file; stop = -1 is its end, so a whole file is 0, -1
    speaker         str
    any further column is an attribute: gender, age (years), age_group, accent, emotion, intensity, text, subset, …

Unknown attributes are missing values (`isna`); a column that is unknown for every row is left out. `gender` is "male",
"female" or what the corpus says in lower case. `emotion` of the published corpora is one of EMOTIONS, whatever their
own words and codes.

    check           table -> the same table, checked, completed and sorted
    select          the rows of some subsets
    read_metadata   CSV of attributes -> table
    files           audio (or other) files below a folder
    require_some    at least one of the files is there
    utterance_ids   paths -> ids
    genders         m, Male, male_masculine … -> male
    decode          codes in file names -> words
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype, is_string_dtype

from porcupine.errors import InputError, nearest

REQUIRED = ("utterance", "path", "speaker")
TEXT = (*REQUIRED, "gender", "age_group", "accent", "emotion", "intensity", "text", "subset")
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus")

_GENDERS = {
    "m": "male",
    "man": "male",
    "masculine": "male",
    "male_masculine": "male",
    "f": "female",
    "woman": "female",
    "feminine": "female",
    "female_feminine": "female",
}
_NO_GENDER = ("", "unknown", "na", "n/a", "nan", "none", "unspecified", "do_not_wish_to_say")
_OUTSIDE = r"^/|^[A-Za-z]:|(?:^|/)\.\.(?:/|$)|\\"


def check(table: pd.DataFrame, *, name: str = "utterance table") -> pd.DataFrame:
    """Return the table checked, with `start` and `stop`, without empty columns, sorted by `utterance`.

    Raises InputError, opening with ``name``, where a column is missing or of a wrong type, an id is not unique, a
    speaker or path is empty, a path leaves the root, or an excerpt is not start < stop.
    """
    for column in REQUIRED:
        if column not in table:
            raise InputError(f"{name}: no column {column!r} among {list(table.columns)}")
    if table.empty:
        raise InputError(f"{name}: no utterances")
    table = table.reset_index(drop=True)
    for column in REQUIRED:
        _refuse(table, table[column].isna(), f"{column} is empty", name)
        if not is_string_dtype(table[column]):
            raise InputError(f"{name}: column {column!r} holds {table[column].dtype}, must hold text: '0001' is not 1")
        _refuse(table, table[column].str.strip() == "", f"{column} is empty", name)
    outside = table["path"].str.contains(_OUTSIDE, regex=True)
    _refuse(table, outside, "path should be relative, below the corpus root, with forward slashes", name)
    _refuse(table, table["utterance"].duplicated(), "utterance is not unique", name)

    start, stop = _samples(table, "start", 0, name), _samples(table, "stop", -1, name)
    _refuse(
        table, (start < 0) | ((stop != -1) & (stop <= start)), "excerpt should be 0 <= start < stop, or stop -1", name
    )
    attributes = table.drop(columns=[*REQUIRED, "start", "stop"], errors="ignore").dropna(axis="columns", how="all")
    for column in attributes.columns:
        _check_attribute(attributes[column], name)
    ordered = {"utterance": table["utterance"], "path": table["path"], "start": start, "stop": stop}
    ordered |= {"speaker": table["speaker"]} | {str(column): attributes[column] for column in attributes.columns}
    return pd.DataFrame(ordered).sort_values("utterance", kind="stable", ignore_index=True)


def _refuse(table: pd.DataFrame, bad: pd.Series, fault: str, name: str) -> None:
    if bad.any():
        row = int(np.argmax(bad.to_numpy()))
        known = ", ".join(f"{column}={table[column].iloc[row]!r}" for column in REQUIRED)
        others = f" (and {int(bad.sum()) - 1} more rows)" if bad.sum() > 1 else ""
        raise InputError(f"{name}: row {row + 1}: {fault}: {known}{others}")


def _samples(table: pd.DataFrame, column: str, default: int, name: str) -> pd.Series:
    if column not in table:
        return pd.Series(np.full(len(table), default, dtype=np.int64))
    samples = pd.to_numeric(table[column], errors="coerce")
    _refuse(table, table[column].notna() & (samples % 1 != 0), f"{column} is not in whole samples", name)
    return samples.fillna(default).astype(np.int64)


def _check_attribute(values: pd.Series, name: str) -> None:
    known = values.dropna()
    if values.name == "age" and not is_numeric_dtype(known):
        raise InputError(f"{name}: age={known.iloc[0]!r} should be in years; call a column of words 'age_group'")
    if values.name in TEXT and not is_string_dtype(known):
        raise InputError(f"{name}: column {values.name!r} holds {known.dtype}, must hold text")
    if not is_numeric_dtype(known) and not is_string_dtype(known):
        raise InputError(f"{name}: column {values.name!r} mixes types, must hold only text or only numbers")


def select(table: pd.DataFrame, subsets: Sequence[str], *, name: str) -> pd.DataFrame:
    """Return the rows whose `subset` is one of ``subsets``; all rows where ``subsets`` is empty.

    Raises InputError, opening with ``name``, where a subset has no rows.
    """
    if not subsets:
        return table
    found = set(table["subset"].dropna()) if "subset" in table else set()
    if not found:
        raise InputError(f"{name}: corpus.subsets={list(subsets)}, but this corpus has no subsets: use []")
    for subset in subsets:
        if subset not in found:
            raise InputError(f"{name}: no subset {subset!r}{nearest(subset, found)}")
    return table[table["subset"].isin(list(subsets))].reset_index(drop=True)


def read_metadata(path: Path) -> pd.DataFrame:
    """Read a CSV of attributes: ids and words as text, only empty cells missing, `gender` in common words.

    Raises InputError where the file is missing or not a UTF-8 CSV.
    """
    try:
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys(TEXT, str),
            keep_default_na=False,
            na_values=[""],
            encoding="utf-8-sig",
            low_memory=False,
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable CSV file in UTF-8 ({error})") from error
    if "gender" in table:
        table["gender"] = genders(table["gender"])
    return table


def files(root: Path, endings: tuple[str, ...] = ENDINGS) -> list[str]:
    """Return the sorted POSIX paths, relative to ``root``, of the files with one of ``endings`` in any case.

    Hidden files and folders are ignored. Links to folders are followed, each folder once.
    Raises InputError where a name is not UTF-8.
    """
    found = []
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)  # noqa: PTH116 (one call a folder of what may be many thousand)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        prefix = Path(folder).relative_to(root).as_posix()
        prefix = "" if prefix == "." else prefix + "/"
        found += [prefix + name for name in names if name.lower().endswith(endings) and not name.startswith(".")]
    for name in found:
        if not name.isascii() and name != name.encode(errors="replace").decode():
            raise InputError(f"{name!r} under {root}: file name is not UTF-8: rename it")
    return sorted(found)


def require_some(root: Path, paths: Iterable[str], *, source: str) -> None:
    """Raise InputError where none of the files that ``source`` lists exists. (A few missing ones are dropped later.)"""
    if not any((root / path).is_file() for path in paths):
        raise InputError(f"{source}: none of the files it lists is under {root}: check corpus.path")


def utterance_ids(paths: pd.Series) -> pd.Series:
    """Return each path without its ending, and with `#0`, `#1`, … where several rows would share that name."""
    names = paths.str.replace(r"\.[^./]*$", "", regex=True)
    shared = names.duplicated(keep=False)
    return names.where(~shared, names + "#" + names.groupby(names).cumcount().astype(str))


def genders(values: pd.Series) -> pd.Series:
    """Return `male` and `female` for their usual abbreviations, missing for unknown, any other word in lower case."""
    words = values.str.strip().str.lower()
    return words.replace(_GENDERS).mask(words.isin(_NO_GENDER))


def decode(codes: pd.Series, meanings: Mapping[str, str], *, field: str, paths: pd.Series) -> pd.Series:
    """Return the meaning of each code. Raises InputError naming the first file with an unknown one."""
    unknown = ~codes.isin(list(meanings))
    if unknown.any():
        row = int(np.argmax(unknown.to_numpy()))
        valid = ", ".join(f"{code} {meaning}" for code, meaning in meanings.items())
        raise InputError(f"{paths.iloc[row]}: {field} code {codes.iloc[row]!r} is not known; valid: {valid}")
    return codes.map(dict(meanings))
