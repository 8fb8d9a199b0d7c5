"""List the usable utterances and split their speakers."""

from functools import partial
from pathlib import Path

import pandas as pd

from porcupine import manifest as library
from porcupine import storage
from porcupine.parallel import ordered_map
from porcupine.params import Shared
from stages.common import audio_root, run

DROPPED = ["utterance", "path", "speaker", "reason"]


def main(params: Shared, corpus: Path, manifest: Path, dropped: Path) -> None:
    """Decode every clip once; drop, with a reason, those that cannot be used."""
    if not params.corpus.has_audio:
        print("skipped: ready-made vectors have no recordings")
        storage.save_table(manifest, pd.DataFrame({"utterance": [], "role": []}, dtype=str))
        storage.save_table(dropped, pd.DataFrame(columns=DROPPED))
        return
    section = params.manifest
    utterances = storage.load_table(corpus / "utterances.parquet")
    limits = library.Limits(section.min_seconds, section.max_seconds, section.silence_dbfs)
    look = partial(_inspect, root=audio_root(corpus, params), limits=limits)
    clips = list(zip(utterances["path"], utterances["start"], utterances["stop"], strict=True))
    inspections = list(ordered_map(look, clips, workers=params.compute.workers, description="inspect"))
    kept, lost = library.build(
        utterances,
        inspections,
        encoder_fraction=section.encoder_fraction if params.encoder.trained_here else 0,
        test_fraction=section.test_fraction,
        seed=section.seed,
    )
    storage.save_table(manifest, kept)
    storage.save_table(dropped, lost[DROPPED])
    roles = kept.groupby("role")["speaker"].nunique().to_dict()
    duplicates = int(kept["digest"].duplicated().sum())
    print(f"{len(kept)} clips, {kept['seconds'].sum() / 3600:.1f} h; speakers: {roles}; exact duplicates: {duplicates}")
    if len(lost):
        print(f"{len(lost)} of {len(utterances)} clips dropped, see {dropped}")


def _inspect(clip: tuple[str, int, int], root: Path, limits: library.Limits) -> library.Inspection:
    path, start, stop = clip
    return library.inspect(root / path, start, stop, limits)


if __name__ == "__main__":
    run(main)
