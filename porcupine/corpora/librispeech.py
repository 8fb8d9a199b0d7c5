"""LibriSpeech: 2 484 readers of audio books, 960 hours (Panayotov et al., ICASSP 2015; CC BY 4.0).

    index       …/SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac -> utterance table
    download    the archives of some subsets -> a folder that `index` reads

`gender` comes from SPEAKERS.TXT, `text` from the chapters' *.trans.txt, where they are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from porcupine.corpora import downloads, table
from porcupine.errors import InputError, nearest

ADDRESS = "https://www.openslr.org/resources/12"
ARCHIVES = {
    "dev-clean": "sha256:76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    "dev-other": "sha256:12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    "test-clean": "sha256:39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    "test-other": "sha256:d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    "train-clean-100": "sha256:d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    "train-clean-360": "sha256:146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    "train-other-500": "sha256:ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
}
DEFAULT = ("train-clean-100",)

_CLIP = r"(?:(?:^|/)(?P<subset>[^/]+)/)?(?P<speaker>\d+)/(?P<chapter>\d+)/(?P<utterance>\d+-\d+-\d+)\.flac$"


def index(root: Path) -> pd.DataFrame:
    """Return the utterance table of the folder `LibriSpeech`, of one above it or of one subset.

    Raises InputError where no file is named and placed as in LibriSpeech.
    """
    paths = pd.Series(table.files(root, (".flac", ".trans.txt", "speakers.txt")), dtype=str)
    found = paths.str.extract(_CLIP)
    found = found.assign(path=paths).drop(columns="chapter").dropna(subset="utterance")
    if found.empty:
        raise InputError(f"{root}: no files like LibriSpeech/dev-clean/84/121123/84-121123-0000.flac")
    sexes: dict[str, str] = {}
    texts: dict[str, str] = {}
    for path in paths[~paths.str.endswith(".flac")]:
        if path.endswith(".trans.txt"):
            texts |= _transcripts(root / path)
        else:
            sexes |= _sexes(root / path)
    found["gender"] = table.genders(found["speaker"].map(sexes).astype(str)) if sexes else None
    found["text"] = found["utterance"].map(texts)
    return table.check(found, name=str(root))


def _transcripts(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: text for name, _, text in (line.partition(" ") for line in lines) if text}


def _sexes(path: Path) -> dict[str, str]:
    # ";ID |SEX| SUBSET |MINUTES| NAME", where a name may hold the separator: "|CBW|Simon".
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if "|" in line and not line.startswith(";")]
    return {row[0].strip(): row[1].strip() for row in rows}


def download(
    destination: Path, subsets: Sequence[str], *, cache: Path, mirror: str | None = None, progress: bool = False
) -> None:
    """Fetch the archives of ``subsets`` (default: train-clean-100, 251 speakers, 6.3 GB) and unpack them.

    Raises InputError where a subset is not one of LibriSpeech, or as `downloads.fetch`.
    """
    chosen = tuple(subsets) or DEFAULT
    for subset in chosen:
        if subset not in ARCHIVES:
            raise InputError(f"corpus.subsets: {subset!r} is not part of LibriSpeech{nearest(subset, ARCHIVES)}")
    for subset in chosen:
        archive = downloads.fetch(
            f"{(mirror or ADDRESS).rstrip('/')}/{subset}.tar.gz", ARCHIVES[subset], cache, progress=progress
        )
        downloads.extract(archive, destination / subset)
