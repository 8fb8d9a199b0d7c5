"""CREMA-D: 91 actors, 12 sentences, six emotions at up to three levels, 7 442 clips (Cao et al., 2014; ODbL).

    AudioWAV/1001_DFA_ANG_XX.wav    actor, sentence, emotion, level
    VideoDemographics.csv           ActorID, Age, Sex, Race, Ethnicity: optional

The audio lies in git LFS without a published digest, so it is not downloaded here.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from porcupine.corpora import table
from porcupine.errors import InputError

WANTED = (
    "the folder that holds AudioWAV/ and VideoDemographics.csv: "
    "git lfs clone https://github.com/CheyneyComputerScience/CREMA-D"
)
SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
EMOTIONS = {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
# One published file, 1040_ITH_SAD_X.wav, has half a code.
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}

_CLIP = r"(?:^|/)(?P<utterance>(?P<speaker>\d{4})_(?P<sentence>[^_/]+)_(?P<emotion>[^_/]+)_(?P<level>[^_/]+))\.wav$"
_LFS = b"version https://git-lfs"


def index(root: Path) -> pd.DataFrame:
    """Return the utterance table of a folder with CREMA-D's wav files, at any depth.

    Raises InputError where there are none, one has another name or an unknown code, or git LFS left only pointers.
    """
    paths = pd.Series(table.files(root, (".wav", "videodemographics.csv")), dtype=str)
    demographics = paths[paths.str.lower().str.endswith(".csv")]
    paths = paths.drop(demographics.index).reset_index(drop=True)
    if paths.empty:
        raise InputError(f"{root}: no wav files: corpus.path should be {WANTED}")
    with (root / paths[0]).open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            raise InputError(f"{root / paths[0]}: a git LFS pointer, not audio: run `git lfs pull` in the clone")
    codes = paths.str.replace(r"\.wav$", ".wav", case=False, regex=True).str.extract(_CLIP)
    if codes["utterance"].isna().any():
        raise InputError(f"{paths[codes['utterance'].isna()].iloc[0]}: name should be like 1001_DFA_ANG_XX.wav")
    found = pd.DataFrame(
        {
            "utterance": codes["utterance"],
            "path": paths,
            "speaker": codes["speaker"],
            "emotion": table.decode(codes["emotion"], EMOTIONS, field="emotion", paths=paths),
            "intensity": table.decode(codes["level"], LEVELS, field="level", paths=paths),
            "text": table.decode(codes["sentence"], SENTENCES, field="sentence", paths=paths),
        }
    )
    if not demographics.empty:
        found = found.merge(_actors(root / demographics.iloc[0]), on="speaker", how="left")
    return table.check(found, name=str(root))


def _actors(path: Path) -> pd.DataFrame:
    actors = table.read_metadata(path)
    missing = {"ActorID", "Age", "Sex", "Race", "Ethnicity"} - set(actors.columns)
    if missing:
        raise InputError(f"{path}: no column {sorted(missing)[0]!r} among {list(actors.columns)}")
    return pd.DataFrame(
        {
            "speaker": actors["ActorID"].astype(str),
            "gender": table.genders(actors["Sex"]),
            "age": actors["Age"],
            "race": actors["Race"].mask(actors["Race"] == "Unknown"),
            "ethnicity": actors["Ethnicity"],
        }
    ).drop_duplicates("speaker")
