"""All methods by name: training vectors in, fitted quantisers of every bitrate and repeat out.

METHODS   the names
fit       method, vectors -> fitted quantisers; `fitted.save` keeps them

vq, sfvq          the paper's: nearest codeword; space-filling curve, trained by gradient
diveq, sf_diveq   their successors, by the package `diveq`
kmeans            nearest codeword, by Lloyd's algorithm
curve             intervals of equal share along a tour of balanced cells
tree              nested cells: each bit halves those of the bits before
balanced          power cells of equal share
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from threadpoolctl import threadpool_limits

from porcupine.errors import InputError, extra, nearest
from porcupine.parallel import ordered_map
from porcupine.quantizers.balanced import fit_balanced
from porcupine.quantizers.base import Nearest, Quantizer, global_scale
from porcupine.quantizers.kmeans import fit_kmeans
from porcupine.quantizers.samples import Samples, Vectors
from porcupine.quantizers.tour import fit_curve
from porcupine.quantizers.tree import Tree, fit_tree
from porcupine.randomness import generator

if TYPE_CHECKING:
    import torch

    from porcupine.quantizers.training import Training

_FITS: dict[str, Callable[..., Quantizer]] = {
    "kmeans": fit_kmeans,
    "curve": fit_curve,
    "tree": fit_tree,
    "balanced": fit_balanced,
}
METHODS = ("vq", "sfvq", *_FITS, "diveq", "sf_diveq")


def fit(
    method: str,
    vectors: Vectors,
    *,
    bits: Sequence[int],
    repeats: int = 1,
    seed: int,
    training: Training | None = None,
    replace_every: int = 100,
    replace_below: float = 0.01,
    replace_until: float = 0.8,
    device: torch.device | str = "cpu",
    cells: Mapping[int, Sequence[Quantizer]] | None = None,
    workers: int = 1,
    progress: bool = False,
) -> dict[int, list[Quantizer]]:
    """Fit one quantiser of K = 2^b codewords for each repeat at each of ``bits``.

    vectors : float [N, D], in any unit.
    bits : one or more.
    seed : the quantisers of a repeat do not change when more are asked for.
    training, device : of the methods that are trained by gradient, in memory: vq, sfvq, diveq and sf_diveq. The number
        of repeats in ``training`` is not used.
    replace_every, replace_below, replace_until : of `vq.train_vq`; the last one of `diveq.train_diveq`, too.
    cells : for method curve, what method balanced fitted for the same vectors, bits and repeats, to string on tours
        instead of cells of its own, which take most of the time of a curve (`tour.fit_curve`).
    workers : processes of the other methods, whose results do not depend on it; 0 means one a core.
    Returns bits -> one quantiser a repeat.
    Raises InputError where the method is unknown or its package missing, K > N, vectors are unusable, or cells are for
    another method or missing at a bitrate or repeat.
    """
    if method not in METHODS:
        raise InputError(f"method={method!r} is not known{nearest(method, METHODS)}")
    samples = Samples(vectors)
    samples.require(2 ** max(bits))
    given = _given(method, bits, repeats, cells) if cells is not None else {}
    if method in _FITS:
        return _fit_apart(method, vectors, bits, repeats, given, seed=seed, workers=workers, progress=progress)

    # Here, since the processes of the other methods would take longer to import torch than to fit.
    with extra("torch"):
        from porcupine.quantizers.diveq import train_diveq, train_sf_diveq
        from porcupine.quantizers.sfvq import train_sfvq
        from porcupine.quantizers.training import Training
        from porcupine.quantizers.vq import train_vq

    trainers: dict[str, Callable[..., dict[int, np.ndarray]]] = {
        "vq": partial(
            _each, train_vq, replace_every=replace_every, replace_below=replace_below, replace_until=replace_until
        ),
        "sfvq": train_sfvq,
        "diveq": partial(_each, train_diveq, replace_until=replace_until),
        "sf_diveq": train_sf_diveq,
    }
    whole = samples.whole()
    scale = global_scale(whole)
    trained = trainers[method](
        whole / whole.dtype.type(scale),
        bits=bits,
        training=replace(training or Training(), repeats=repeats),
        seed=seed,
        device=device,
        progress=progress,
    )
    return {b: [Nearest((scale * book).astype(np.float32)) for book in trained[b]] for b in bits}


def _each(train: Callable[..., np.ndarray], vectors: np.ndarray, *, bits: Sequence[int], **options: Any) -> dict:
    return {b: train(vectors, bits=b, **options) for b in bits}


def _given(
    method: str, bits: Sequence[int], repeats: int, cells: Mapping[int, Sequence[Quantizer]]
) -> dict[tuple[int, int], Quantizer]:
    """The cells by bitrate and repeat."""
    if method != "curve":
        raise InputError(f"cells={list(cells)} are for method='curve', not {method!r}: leave them out")
    lacking = [b for b in bits if len(cells.get(b, ())) < repeats]
    if lacking:
        have = {b: len(fits) for b, fits in cells.items()}
        raise InputError(f"cells={have} (bits: repeats) have too few at bits={lacking}, where repeats={repeats}")
    return {(b, repeat): cells[b][repeat] for b in bits for repeat in range(repeats)}


def _fit_apart(
    method: str,
    vectors: Vectors,
    bits: Sequence[int],
    repeats: int,
    given: Mapping[tuple[int, int], Quantizer],
    *,
    seed: int,
    workers: int,
    progress: bool,
) -> dict[int, list[Quantizer]]:
    """Fit each bitrate and repeat by itself; of a tree the deepest alone, which holds the others."""
    fitted_bits = [max(bits)] if method == "tree" else sorted(bits, reverse=True)  # the longest first
    tasks = [(b, repeat) for b in fitted_bits for repeat in range(repeats)]
    results = ordered_map(
        partial(_fit_one, method=method, vectors=vectors, seed=seed),
        [(*task, {"cells": given[task]} if task in given else {}) for task in tasks],
        workers=workers,
        description=f"fit {method}" if progress else "",
        unit="codebook",
    )
    by_task = dict(zip(tasks, results, strict=True))
    if method == "tree":
        deepest = [cast(Tree, by_task[max(bits), repeat]) for repeat in range(repeats)]
        return {b: [tree.prefix(b) for tree in deepest] for b in bits}
    return {b: [by_task[b, repeat] for repeat in range(repeats)] for b in bits}


def _fit_one(task: tuple[int, int, dict[str, Any]], method: str, vectors: Vectors, seed: int) -> Quantizer:
    bits, repeat, options = task
    with threadpool_limits(1):  # with more threads sums have another order, and results other bytes
        fit_seed = int(generator(seed, method, repeat).integers(2**63))
        return _FITS[method](vectors, bits=bits, seed=fit_seed, **options)
