"""Turn recordings into log-mel spectrograms, many utterances a file."""

from functools import partial
from pathlib import Path

import numpy as np

from porcupine import audio, ragged, storage
from porcupine import features as library
from porcupine.parallel import ordered_map
from porcupine.params import Params
from stages.common import audio_root, run, skip


def main(params: Params, corpus: Path, manifest: Path, features: Path) -> None:
    """Write one array for each row of the manifest, in its order."""
    if not params.corpus.has_audio:
        return skip("ready-made vectors have no recordings", features)
    if not params.encoder.trained_here:
        return skip(f"{params.encoder.name} takes waveforms and computes its own features", features)
    rows = storage.load_table(manifest)
    clips = list(zip(rows["path"], rows["start"], rows["stop"], strict=True))
    extract = partial(_extract, root=audio_root(corpus, params), settings=params.features.model_dump())
    arrays = ordered_map(extract, clips, workers=params.compute.workers, description="features")
    ragged.write(features, arrays)
    return None


def _extract(clip: tuple[str, int, int], root: Path, settings: dict[str, float]) -> np.ndarray:
    path, start, stop = clip
    return library.log_mel(audio.read(root / path, start=start, stop=stop), **settings).astype(np.float16)


if __name__ == "__main__":
    run(main)
