"""Variants: the ways to make codes that an experiment compares.

Most methods give one variant, of their own name. A method whose codewords lie in order along a curve gives more: by
how its codes are made equally likely (as published, exactly, or by the fit itself), and by how vectors are encoded
(`sfvq-faithful-nearest`, the paper's; `sfvq-exact-interval`; `curve-interval`).

    names       all variants of a grid
    compared    the few of them that runs are compared by
    normalise   fitted quantisers of a method -> those of its other variants
    resample    a curve and training samples -> quantiser with equally likely codes
    Interval    fitted: codebook, curve and thresholds
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from scipy.sparse import csr_matrix
from tqdm import tqdm

from porcupine.quantizers.base import Nearest, Quantizer, check_vectors
from porcupine.quantizers.curve import project
from porcupine.quantizers.occurrence import equal_shares, interval_codes, interval_thresholds
from porcupine.quantizers.samples import Samples, Vectors
from porcupine.randomness import generator

Mode = Literal["faithful", "exact"]

POLYLINES = frozenset({"sfvq", "sf_diveq"})  # methods whose codewords are the corners of a curve
CUT = frozenset({"curve"})  # methods that cut their curve into equal shares themselves
HEADLINE = ("vq", "sfvq-faithful-nearest", "balanced")  # plain, the paper's, ours: what runs are compared by


@dataclass(frozen=True)
class Interval(Quantizer):
    """A vector gets the code of the interval that its position along a curve falls in.

    codebook : float32 [K, D]; curve : float32 [C, D], its corners; thresholds : float64 [K-1], ranks along it
        (`curve.Projection`).
    """

    codebook: np.ndarray
    curve: np.ndarray
    thresholds: np.ndarray

    def encode(self, vectors: Vectors) -> np.ndarray:
        """See `Quantizer`."""
        codes = np.empty(len(samples := Samples(vectors)), dtype=np.int32)
        for rows, block in samples.blocks():
            codes[rows] = interval_codes(project(block, self.curve).rank, self.thresholds)
        return codes


def names(methods: Iterable[str], modes: Iterable[str], encodings: Iterable[str]) -> list[str]:
    """All variants of a grid. Interval codes need samples sorted along the curve, which the faithful mode does not."""
    modes, encodings = list(modes), list(encodings)
    variants = []
    for method in methods:
        if method not in CUT:
            variants.append(method)
        variants += [f"{cut}-{way}" for cut, ways in _cuts(method, modes, encodings).items() for way in ways]
    return variants


def compared(known: Iterable[str]) -> list[str]:
    """Those of `HEADLINE` that a run knows; its first and last variant, where it knows but one of them."""
    known = list(known)
    named = [name for name in HEADLINE if name in known]
    return named if len(named) > 1 else list(dict.fromkeys((known[0], known[-1])))


def _cuts(method: str, modes: Iterable[str], encodings: Iterable[str]) -> dict[str, list[str]]:
    """The equal shares that a method's curve is cut into, by the start of the variants' names, and their encodings."""
    encodings = list(encodings)
    if method in CUT:
        return {method: encodings}
    if method not in POLYLINES:
        return {}
    unsorted = [way for way in encodings if way != "interval"]
    return {f"{method}-{mode}": unsorted if mode == "faithful" else encodings for mode in modes}


def normalise(
    method: str,
    fitted: Mapping[int, Sequence[Quantizer]],
    vectors: Vectors,
    *,
    modes: Iterable[str],
    encodings: Iterable[str],
    seed: int,
    progress: bool = False,
) -> dict[str, dict[int, list[Quantizer]]]:
    """Quantisers of all variants of a method but the one of its own name: for most methods none.

    fitted : bits -> one quantiser a repeat, as `registry.fit` returns them; so are the values of the result.
    vectors : float [N, D], those that the quantisers were fitted on.
    modes, encodings : as for `names`.
    seed : of the order of equal samples; that of a repeat does not change when more are asked for.
    """
    cuts = _cuts(method, modes, encodings)
    results: dict[str, dict[int, list[Quantizer]]] = {
        f"{cut}-{way}": {bits: [] for bits in fitted} for cut, ways in cuts.items() for way in ways
    }
    grid = [(cut, bits, repeat) for cut in cuts for bits in fitted for repeat in range(len(fitted[bits]))]
    for cut, bits, repeat in tqdm(grid, desc=f"normalise {method}", unit="codebook", disable=not (progress and grid)):
        ordered = fitted[bits][repeat]
        if method in POLYLINES:
            mode = cast(Mode, cut.removeprefix(f"{method}-"))
            ordered = resample(vectors, ordered.codebook, mode, generator(seed, method, mode, bits, repeat))
        for way in cuts[cut]:
            results[f"{cut}-{way}"][bits].append(ordered if way == "interval" else Nearest(ordered.codebook))
    return results


def resample(vectors: Vectors, curve: np.ndarray, mode: Mode, rng: np.random.Generator) -> Nearest | Interval:
    """Normalise the occurrence of a curve's codewords on training samples.

    vectors : float [N, D]; curve : float [K, D].
    mode : "faithful" projects on the segments at the nearest corner and does not sort within a segment, as published,
        for codes by nearest codeword; "exact" projects on the whole curve and sorts along it, equal samples in random
        order, for codes by interval.
    """
    vectors, n_codewords = check_vectors(vectors), len(curve)
    if mode == "faithful":
        projection = project(vectors, curve, search="adjacent")
        return Nearest(_resampled(projection.segment, projection.corners, curve))
    projection = project(vectors, curve)
    shuffled = rng.permutation(len(vectors))
    codebook = _resampled(projection.rank[shuffled], projection.corners[shuffled], curve)
    return Interval(codebook, curve, interval_thresholds(projection.rank, n_codewords))


def _resampled(rank: np.ndarray, corners: csr_matrix, curve: np.ndarray) -> np.ndarray:
    """What `resample_curve` makes of the projected points, which are means of corners: they need not be formed."""
    return (equal_shares(rank, len(curve)) @ corners @ curve.astype(np.float64)).astype(np.float32)
