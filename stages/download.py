"""Bring the corpus: make it, download it, or index the user's own folder."""

from pathlib import Path

from porcupine import storage
from porcupine.corpora import registry, vectors
from porcupine.params import Shared
from stages.common import run


def main(params: Shared, corpus: Path) -> None:
    """Write `utterances.parquet`, and `audio/` where the audio is made or downloaded, or the vectors as given."""
    if not params.corpus.has_audio:
        given = vectors.load(params.corpus.path)
        storage.save_array(corpus / "train.npy", given.train)
        storage.save_array(corpus / "test.npy", given.test)
        storage.save_table(corpus / "train.parquet", given.train_table)
        storage.save_table(corpus / "test.parquet", given.test_table)
        print(f"{len(given.train)} train and {len(given.test)} test vectors of {given.train.shape[1]} dimensions")
        return
    table = registry.prepare(params.corpus, corpus / "audio", workers=params.compute.workers, progress=True)
    storage.save_table(corpus / "utterances.parquet", table)
    print(f"{params.corpus.name}: {len(table)} utterances of {table['speaker'].nunique()} speakers")


if __name__ == "__main__":
    run(main)
