"""The releases that the stages of the second system compare."""

from pathlib import Path

from porcupine import ragged, storage
from porcupine.frames.release import Release
from porcupine.params import FrameParams
from porcupine.quantizers import fitted


def load(params: FrameParams, frames: Path, noisy: Path, codebooks: Path) -> list[Release]:
    """Original, noisy, then quantised frames in the order of K."""
    folds = storage.load_table(frames / "utterances.parquet")["fold"].to_numpy()
    original, with_noise = ragged.Ragged(frames / "mfcc"), ragged.Ragged(noisy)
    releases = [Release("original", 0, original, folds), Release("noise", 0, with_noise, folds)]
    for size in sorted(params.frame_codebooks.sizes):
        (books,) = fitted.load(codebooks / f"{size}.npz").values()
        releases.append(Release("k-means", size, with_noise, folds, tuple(books)))
    return releases
