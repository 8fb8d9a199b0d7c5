"""CREMA-D: 91 actors, 12 sentences, six emotions at up to three levels, 7 442 clips (Cao et al., 2014; ODbL).

    AudioWAV/1001_DFA_ANG_XX.wav      actor, sentence, emotion, level
    VideoFlash/1001_DFA_ANG_XX.flv    the same with pictures; read where there is no wav file of the clip
    VideoDemographics.csv             ActorID, Age, Sex, Race, Ethnicity: optional

    index         folder -> utterance table
    has_films     whether some clips are in flv files alone
    take_sound    their table -> the same with wav files, made by ffmpeg

The clips lie in git LFS without a published digest, so they are not downloaded here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
import warnings
from pathlib import Path, PurePosixPath

import pandas as pd

from porcupine.corpora import table
from porcupine.errors import InputError
from porcupine.parallel import ordered_map
from porcupine.storage import replacing

WANTED = (
    "the folder that holds AudioWAV/ (or VideoFlash/) and VideoDemographics.csv: "
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
# One published file, 1040_ITH_SAD_X.wav, has half a code; its film has all of it.
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}

_CLIP = r"(?:^|/)(?P<utterance>(?P<speaker>\d{4})_(?P<sentence>[^_/]+)_(?P<emotion>[^_/]+)_(?P<level>[^_/]+))$"
_LFS = b"version https://git-lfs"
_SOUND = ("-vn", "-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le")
_PLAIN = ("-map_metadata", "-1", "-bitexact", "-f", "wav")  # whatever the version of ffmpeg


def index(root: Path) -> pd.DataFrame:
    """Return the utterance table of a folder with CREMA-D's clips, at any depth: wav files, flv where there is none.

    Actors whom the demographics do not list have no gender, age, race and ethnicity; a warning names them.
    Raises InputError where there are no clips, one has another name or an unknown code, or git LFS left only pointers.
    """
    paths = pd.Series(_clips(root), dtype=str)
    if paths.empty:
        raise InputError(f"{root}: no wav or flv files: corpus.path should be {WANTED}")
    if _is_pointer(root / paths[0]):
        raise InputError(f"{root / paths[0]}: a git LFS pointer, not a clip: run `git lfs pull` in the clone")
    codes = paths.str[:-4].str.extract(_CLIP)
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
    for demographics in table.files(root, ("videodemographics.csv",))[:1]:
        actors = _actors(root / demographics)
        unknown = sorted(set(found["speaker"]) - set(actors["speaker"]))
        if unknown:
            warnings.warn(
                f"{root / demographics}: no row for actor {', '.join(unknown)}: gender and age unknown", stacklevel=2
            )
        found = found.merge(actors, on="speaker", how="left")
    return table.check(found, name=str(root))


def has_films(root: Path) -> bool:
    """Whether `index` lists flv files, so that `take_sound` is needed."""
    return any(_is_film(path) for path in _clips(root))


def take_sound(
    found: pd.DataFrame, root: Path, destination: Path, *, workers: int = 0, progress: bool = False
) -> pd.DataFrame:
    """Put all clips as wav files into ``destination``/AudioWAV, those of flv files at 16 kHz, mono; return their table.

    found : of `index`. A film that has no sound, or cannot be decoded, stays in the table without a file, so that it is
        listed among the dropped clips; a warning gives the reason.
    workers : processes; 0 means one a core. progress : whether to show a progress bar.
    Raises InputError where ffmpeg is missing, or there is no sound in any.
    """
    if shutil.which("ffmpeg") is None:
        raise InputError(
            f"{root}: {sum(map(_is_film, found['path']))} clips are in flv files alone, and ffmpeg is not installed, "
            "which takes out their sound: install it (apt-get install ffmpeg, brew install ffmpeg), or bring wav files"
        )
    paths = "AudioWAV/" + found["utterance"] + ".wav"
    clips = [(root / old, destination / new) for old, new in zip(found["path"], paths, strict=True)]
    faults = list(ordered_map(_to_wav, clips, workers=workers, description="sound of films" if progress else ""))
    lost = {path: fault for (path, _), fault in zip(clips, faults, strict=True) if fault}
    if len(lost) == len(clips):
        path, fault = next(iter(lost.items()))
        raise InputError(f"{path}: ffmpeg cannot take out its sound, nor that of any other clip: {fault}")
    for path, fault in lost.items():
        warnings.warn(f"{path}: ffmpeg cannot take out its sound, the clip will be dropped: {fault}", stacklevel=2)
    return found.assign(path=paths)


def _clips(root: Path) -> list[str]:
    """All wav files, and the flv files of other clips; beside wav files, those that git LFS did not fetch are none."""
    wavs = table.files(root, (".wav",))
    heard = {_name(path) for path in wavs}
    films = [path for path in table.files(root, (".flv",)) if _name(path) not in heard]
    return wavs + [path for path in films if not (wavs and _is_pointer(root / path))]


def _name(path: str) -> str:
    """The clip's, with a whole code for its level."""
    return re.sub("_X$", "_XX", PurePosixPath(path).stem)


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_LFS)) == _LFS


def _is_film(path: str | Path) -> bool:
    return str(path).lower().endswith(".flv")


def _to_wav(clip: tuple[Path, Path]) -> str | None:
    """Copy a wav file, or make one from a film; return why it cannot be made, None where it can."""
    source, target = clip
    try:
        with replacing(target) as temporary:
            if _is_film(source):
                # Absolute, no path is taken for an option or an address.
                given, made = str(source.resolve()), str(temporary.resolve())
                command = ["ffmpeg", "-nostdin", "-v", "error", "-i", given, *_SOUND, *_PLAIN, made]
                subprocess.run(command, check=True, capture_output=True)
            else:
                shutil.copyfile(source, temporary)  # not linked: DVC may take write access from what it keeps
    except subprocess.CalledProcessError as error:
        return textwrap.shorten(error.stderr.decode(errors="replace"), 300) or f"exit status {error.returncode}"
    return None


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
