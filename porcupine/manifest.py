"""The manifest: which utterances are used, how long they are, and which split their speaker is in.

    inspect   one clip on disk -> its length, peak and digest, or why it is dropped
    build     utterance table and inspections -> manifest, dropped clips
    split     speaker-disjoint roles

Columns of the manifest: those of the utterance table (`porcupine.corpora.table`), then `seconds`, `peak_dbfs`, `digest`
(of the decoded samples: equal for exact duplicates) and `role`: "encoder", "train" or "test".
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from porcupine import audio
from porcupine.errors import InputError
from porcupine.randomness import generator


@dataclass(frozen=True)
class Limits:
    """What a usable clip is."""

    min_seconds: float
    max_seconds: float
    silence_dbfs: float


@dataclass(frozen=True)
class Inspection:
    """What one clip turned out to be; ``fault`` is None where it is usable."""

    seconds: float
    peak_dbfs: float
    digest: str
    fault: str | None


def inspect(path: Path, start: int, stop: int, limits: Limits) -> Inspection:
    """Decode one clip and measure it. A clip that cannot be decoded is a fault, not an error."""
    try:
        waveform = audio.read(path, start=start, stop=stop)
    except InputError as error:
        return Inspection(float("nan"), float("nan"), "", str(error))
    fault = audio.fault(waveform, **asdict(limits))
    peak = float(np.abs(waveform).max(initial=0))
    peak_dbfs = round(20 * math.log10(peak), 3) if peak > 0 else -math.inf
    digest = hashlib.sha256(waveform.tobytes()).hexdigest()[:16]
    return Inspection(len(waveform) / audio.SAMPLE_RATE_HZ, peak_dbfs, digest, fault)


def build(
    utterances: pd.DataFrame,
    inspections: list[Inspection],
    *,
    encoder_fraction: float,
    test_fraction: float,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep the usable clips, and give each speaker a role.

    encoder_fraction : share of the speakers that train the encoder, 0 where none is trained.
    test_fraction : share of the other speakers that are for testing.
    Returns the manifest and the table of dropped clips (utterance, path, speaker, reason).
    Raises InputError where too few speakers or clips are left.
    """
    measured = pd.DataFrame([asdict(inspection) for inspection in inspections], index=utterances.index)
    faulty = measured.pop("fault")
    keep = faulty.isna()
    dropped = utterances.loc[~keep, ["utterance", "path", "speaker"]].assign(reason=faulty[~keep])
    manifest = pd.concat([utterances, measured], axis=1)[keep].reset_index(drop=True)
    if manifest.empty:
        raise InputError(f"none of {len(utterances)} clips is usable; the first: {faulty.iloc[0]}")
    roles = split(
        manifest["speaker"].unique(), encoder_fraction=encoder_fraction, test_fraction=test_fraction, seed=seed
    )
    manifest["role"] = manifest["speaker"].map(roles)
    return manifest, dropped.reset_index(drop=True)


def split(
    speakers: np.ndarray | list[str], *, encoder_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    """Give each speaker one role: "encoder", "train" or "test".

    Which speakers are in which split depends on the seed and on the set of speakers alone, not on their order.
    Raises InputError unless every split gets at least two speakers.
    """
    names = np.array(sorted(set(speakers)), dtype=object)
    n_encoder = round(encoder_fraction * len(names))
    n_test = round(test_fraction * (len(names) - n_encoder))
    sizes = {"encoder": n_encoder, "test": n_test, "train": len(names) - n_encoder - n_test}
    wanted = [role for role in sizes if role != "encoder" or encoder_fraction > 0]
    short = [role for role in wanted if sizes[role] < 2]
    if short:
        raise InputError(
            f"{len(names)} speaker(s) give the {short[0]!r} split {sizes[short[0]]}, it needs at least 2: "
            "bring more speakers, or change manifest.encoder_fraction and manifest.test_fraction"
        )
    order = generator(seed, "split").permutation(len(names))
    roles = np.repeat(list(sizes), list(sizes.values()))
    return {str(name): str(role) for name, role in zip(names[order], roles, strict=True)}
