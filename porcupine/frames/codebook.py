"""A codebook of frames: k-means that never holds more than a sample of them.

    fit_codebook    utterances -> `quantizers.base.Nearest`, which encodes, decodes and can be saved

Frames are taken as they are. The level, coefficient 0, has most of the variance and gets most of the codewords, and
that is right: distance between raw frames is distance between log spectra. With all coefficients scaled to unit
variance k-means spends as much on the last ones, and STOI of the rebuilt sound falls by 0.1 (RAVDESS, K = 16 … 512).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus
from threadpoolctl import threadpool_limits

from porcupine.errors import InputError
from porcupine.quantizers.base import Nearest, nearest_blocks
from porcupine.quantizers.samples import Samples
from porcupine.randomness import generator

SAMPLE_FRAMES = 2**17
"""Of all frames, so many at most shape the cells; all of them set the codewords."""

_SEED_FRAMES = 2**14  # of those, the codewords are chosen from


def fit_codebook(utterances: Sequence[np.ndarray], *, n_codewords: int, seed: int, rounds: int = 10) -> Nearest:
    """Fit K codewords to frames of training speakers: k-means++, Lloyd's algorithm on a sample, means of all frames.

    utterances : float [T'_i, C] each, such as a `ragged.Ragged`; read one at a time, three times.
    n_codewords : K, at most the number of frames.
    rounds : of Lloyd's algorithm.
    Raises InputError where K exceeds the frames, or an utterance is empty or not finite.
    """
    lengths = [len(frames) for frames in utterances]
    if not 1 <= n_codewords <= sum(lengths):
        raise InputError(
            f"n_codewords={n_codewords}, must be between 1 and {sum(lengths)} frames: "
            "train on more speakers or ask for fewer codewords"
        )
    rng = generator(seed, "frame codebook", n_codewords)
    sample = _draw(utterances, lengths, rng)
    few = sample[rng.permutation(len(sample))[: max(_SEED_FRAMES, n_codewords)]]
    start, _ = kmeans_plusplus(few, n_codewords, random_state=int(rng.integers(2**31)))
    with threadpool_limits(1):  # with more threads sums have another order, and results other bytes
        lloyd = KMeans(n_codewords, init=start, n_init=1, max_iter=rounds, random_state=0)
        codebook = lloyd.fit(sample).cluster_centers_
    return Nearest(_means(utterances, codebook))


def _draw(utterances: Sequence[np.ndarray], lengths: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """At most SAMPLE_FRAMES of all frames, without replacement, float32 [n, C], checked."""
    n_frames = sum(lengths)
    drawn = np.zeros(n_frames, dtype=bool)
    drawn[rng.choice(n_frames, min(n_frames, SAMPLE_FRAMES), replace=False, shuffle=False)] = True
    stops = np.cumsum(lengths)
    parts = (frames[drawn[stop - len(frames) : stop]] for stop, frames in zip(stops, utterances, strict=True))
    return Samples([part for part in parts if len(part)], name="frames").whole()


def _means(utterances: Sequence[np.ndarray], codebook: np.ndarray) -> np.ndarray:
    """Mean of all frames nearest to each codeword, float32 [K, C]; the codeword itself where there are none."""
    sums, sizes = np.zeros(codebook.shape), np.zeros(len(codebook))
    columns = np.arange(codebook.shape[1])
    for frames in utterances:
        for _, codes, block in nearest_blocks(Samples(frames, name="frames"), codebook):
            cells = codes[:, None] * len(columns) + columns
            sums += np.bincount(cells.ravel(), block.ravel(), sums.size).reshape(sums.shape)
            sizes += np.bincount(codes, minlength=len(codebook))
    return np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], codebook).astype(np.float32)
