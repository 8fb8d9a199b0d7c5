"""Recalibration: thresholds on other speakers than those that shaped the cells, for certificates by construction.

    recalibrate            quantiser, vectors -> the same with new thresholds, and the gaps that certify it
    recalibrate_by_group   the same for each group of speakers
    Grouped                what that returns: codes even within each group, where encoding may know the group

Thresholds are order statistics of the n new vectors' positions, at ranks that depend on n and K alone. If the position
is continuous, the probabilities of the codes are then exactly Dirichlet(gaps), whatever its distribution and however
the geometry was found: `privacy.certificate.by_construction` takes the gaps, int [K], which sum to n+1.

Along a curve, code j lies between the ranks gap_0 + … + gap_{j-1} and gap_0 + … + gap_j. Down a tree, the sample at the
threshold of a node is used up: given its position, the others are independent on either side of it, and it is none of
them. A node of gap G, with G-1 samples left, so gives G/2 to either side, and 1 sample to its threshold.

Codewords are means of the vectors anew: intervals along a curve shift by more than their length where they are short,
and codewords left behind would cost up to a third more distortion. They have no part in the law, so all vectors at hand
may share in them. A tree, whose thresholds shift node by node, keeps its cells nearly as they were.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd

from porcupine.errors import InputError
from porcupine.quantizers.base import Quantizer
from porcupine.quantizers.cells import cell_means
from porcupine.quantizers.curve import project
from porcupine.quantizers.power import members_of
from porcupine.quantizers.samples import Samples, Vectors
from porcupine.quantizers.tour import Tour
from porcupine.quantizers.tree import Leaves, Tree
from porcupine.quantizers.variants import Interval

Cut = TypeVar("Cut", Tour, Interval, Tree)


def recalibrate(quantizer: Cut, vectors: Vectors, *, others: Vectors | None = None) -> tuple[Cut, np.ndarray]:
    """Set thresholds and codewords anew; the curve or tree itself stays.

    vectors : float [n, D], n >= K, one a speaker, none of which the quantiser was fitted on
        (`privacy.certificate.require_disjoint`).
    others : float [N, D], such as those that it was fitted on, which the codewords are means of as well.
    Returns the quantiser and its gaps int [K].
    Raises InputError where vectors tie at a threshold, or the quantiser has none.
    """
    if not isinstance(quantizer, Tour | Interval | Tree):
        raise InputError(
            f"a {type(quantizer).__name__} has no thresholds to set: only Tour, Interval and Tree can be certified by "
            "construction; certify it by audit (privacy.certificate.by_audit)"
        )
    samples = Samples(vectors)
    samples.require(quantizer.size)
    if isinstance(quantizer, Tree):
        thresholds, gaps = _halve(quantizer, samples)
    else:
        cuts = np.arange(quantizer.size + 1) * (len(samples) + 1) // quantizer.size
        thresholds, gaps = _order_statistics(_positions(quantizer, samples), cuts[1:-1]), np.diff(cuts)
    cut = replace(quantizer, thresholds=thresholds)
    everyone = samples if others is None else samples.joined(others)
    codes = cut.encode(everyone)
    means = {"codebook": cell_means(everyone, codes, quantizer.codebook)}
    if isinstance(cut, Tree):
        means["sizes"] = np.bincount(codes, minlength=cut.size)
    return replace(cut, **means), gaps


def _positions(quantizer: Tour | Interval, samples: Samples) -> np.ndarray:
    if isinstance(quantizer, Tour):
        return quantizer.position(samples)
    return np.concatenate([project(block, quantizer.curve).rank for _, block in samples.blocks()])


def _halve(tree: Tree, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds [K-1] and gaps [K] of a tree, level by level."""
    thresholds, gaps = np.empty(0), np.array([len(samples) + 1])
    node, left = np.zeros(len(samples), dtype=np.int64), np.full(len(samples), True)
    leaves, lead = Leaves(tree.sites, tree.weights), np.empty(len(samples))
    for level in range(tree.bits):
        for rows, block in leaves.blocks(samples, level):
            for number, members in enumerate(members_of(node[rows], 2**level)):
                lead[rows.start + members] = leaves.exact_lead(block[members], level, number)
        lower = (gaps + np.arange(2**level) % 2) // 2
        inside = (members[left[members]] for members in members_of(node, 2**level))
        cuts = np.array([_order_statistics(lead[i], rank) for i, rank in zip(inside, lower, strict=True)])
        left &= lead != cuts[node]
        node = 2 * node + (lead >= cuts[node])
        thresholds, gaps = np.append(thresholds, cuts), np.stack([lower, gaps - lower], axis=1).ravel()
    return thresholds, gaps


def _order_statistics(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """The values [N] at the ranks, 1 … N. Raises InputError where others are equal to one of them."""
    values = np.sort(values)
    chosen = values[ranks - 1]
    n_equal = np.max(np.searchsorted(values, chosen, side="right") - np.searchsorted(values, chosen))
    if n_equal > 1:
        raise InputError(
            f"{n_equal} of {len(values)} calibration vectors tie at a threshold: no code parts them, and the law of "
            "its share is lost; drop duplicates (of a speaker, of silence), here and where it is used, or certify "
            "by audit"
        )
    return chosen


@dataclass(frozen=True)
class Grouped:
    """Quantisers of one geometry, each with the thresholds and codewords of a group of speakers.

    Codes are even within each group, hence tell nothing of it, to those who know the group and to those who do not;
    whoever encodes or decodes must know it, and what is decoded shows it.

    of : group -> quantiser.
    """

    of: Mapping[str, Quantizer]

    def encode(self, vectors: Vectors, groups: np.ndarray) -> np.ndarray:
        """Codes of vectors: float [N, D] and their groups [N] -> int32 [N]. Raises InputError on an unknown group."""
        samples = Samples(vectors)
        codes = np.empty(len(samples), dtype=np.int32)
        for group, rows in _rows_of(groups, len(samples), self.of).items():
            codes[rows] = self.of[group].encode(samples.rows(rows))
        return codes

    def decode(self, codes: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Vectors of codes: int [N] and their groups [N] -> float32 [N, D]. Raises InputError as `encode` does."""
        parts = _rows_of(groups, len(codes), self.of)
        vectors = np.concatenate([self.of[group].decode(codes[rows]) for group, rows in parts.items()])
        return vectors[np.argsort(np.concatenate(list(parts.values())))]


def recalibrate_by_group(quantizer: Cut, vectors: Vectors, groups: np.ndarray) -> tuple[Grouped, dict[str, np.ndarray]]:
    """Recalibrate for each group. groups : [n], labels. Returns `Grouped`, and gaps int [K] by group.

    Raises InputError as `recalibrate` does for any group, and where labels are missing.
    """
    samples = Samples(vectors)
    of: dict[str, Quantizer] = {}
    gaps: dict[str, np.ndarray] = {}
    for group, rows in _rows_of(groups, len(samples)).items():
        try:
            of[group], gaps[group] = recalibrate(quantizer, samples.rows(rows))
        except InputError as error:
            raise InputError(f"group {group!r}: {error}") from error
    return Grouped(of), gaps


def _rows_of(groups: np.ndarray, n_samples: int, known: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Rows int [n], rising, of each group."""
    labels = pd.Series(groups, dtype=object)
    if len(labels) != n_samples:
        raise InputError(f"groups of {len(labels)} samples for {n_samples} vectors: give one label a vector")
    missing = labels.isna() | (labels == "")
    if missing.any():
        raise InputError(f"groups of {missing.sum()} of {n_samples} vectors are missing: leave these vectors out")
    labels = labels.astype(str)
    unknown = set(labels) - set(labels if known is None else known)
    if unknown:
        raise InputError(f"groups {', '.join(sorted(unknown))} have no thresholds, only {', '.join(known or ())} have")
    return {group: np.flatnonzero(labels == group) for group in sorted(set(labels))}
