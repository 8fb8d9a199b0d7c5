"""Certificates: "no code discloses more than x bits, and each is shared by at least k of M speakers", with confidence.

    by_construction   from the gaps between thresholds that were set on calibration speakers; needs no test set
    by_audit          from the codes of held-out speakers, for any quantiser
    Certificate       what both return
    require_disjoint  training and calibration sets have no rows in common

By construction. Fit the geometry (a curve, a tree) on some speakers and set its thresholds at order statistics of n
others, at ranks fixed in advance (`quantizers.recalibration`). Whatever the data, as long as it is continuous, the
probabilities of the K codes are then exactly Dirichlet(gaps), of the gaps between the ranks, which sum to n+1, and
the counts of M further speakers beta-binomial. That the smallest of K is below a bound is at most as likely as the sum
over all K: this union bound promises 95 % where the exact law gives 95.1 %. Counts of held-out speakers may be added to
the gaps: given them, the probabilities are Dirichlet(gaps + counts).

By audit. The code of the smallest probability has at least the smallest count, so the exact binomial lower bound
(Clopper-Pearson) of the smallest count holds for all K probabilities at once, and nothing is shared among K bounds. The
M further speakers are a draw as well: given how many of all n + M have a code, those among the n are hypergeometric,
whatever its probability, which bounds those among the M. By Bonferroni that holds for all K.

Confidence is over the draw of the calibration or held-out speakers (and of the M). Each of the two statements holds
with it; both together hold with 1-2α. Speakers are drawn independently of each other from those that the certificate is
to speak for: one sample a speaker, never utterances, of which those of one speaker fall together.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta, betabinom, hypergeom

from porcupine.errors import InputError
from porcupine.privacy import occupancy


@dataclass(frozen=True)
class Certificate:
    """What holds for every one of K codes, each of two statements with confidence 1-α.

    way : how it was got; n_codewords : K; alpha : α.
    bits : worst-case disclosure is at most that; infinite where nothing can be promised.
    k : at least so many of ``n_further`` = M further speakers share each code; 0 where nothing can be promised.
    n_evidence : speakers that it rests on.
    """

    way: Literal["construction", "audit"]
    n_codewords: int
    alpha: float
    bits: float
    k: int
    n_further: int
    n_evidence: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``worst_case_bits`` is None where infinite; what cannot be promised has a ``…_reason``."""
        record: dict[str, Any] = {
            "way": self.way,
            "n_codewords": self.n_codewords,
            "confidence": round(1 - self.alpha, 12),
            "worst_case_bits": self.bits if math.isfinite(self.bits) else None,
            "smallest_set": self.k,
            "n_further_speakers": self.n_further,
            "n_evidence_speakers": self.n_evidence,
        }
        if not math.isfinite(self.bits):
            record["worst_case_bits_reason"] = self._no_bits
        if not self.k:
            record["smallest_set_reason"] = self._no_set
        return record

    def __str__(self) -> str:
        sure = f"At {100 * (1 - self.alpha):.4g} % confidence,"
        if math.isfinite(self.bits):
            told = f"no code discloses more than {math.ceil(100 * self.bits) / 100:.2f} bits about a speaker"
            told += f" (each is that of at least one in {math.ceil(2**self.bits)})"
        else:
            told = f"there is no bound on what a code discloses: {self._no_bits}"
        if self.k:
            shared = (
                f"at least {self.k} of {self.n_further} further speakers share each of the {self.n_codewords} codes"
            )
        else:
            shared = f"some code may be that of none of the next speakers: {self._no_set}"
        rests = {
            "construction": f"By construction: {self.n_evidence} speakers, none of whom shaped the cells, set the "
            "thresholds between the codes.",
            "audit": f"By audit of the codes of {self.n_evidence} speakers who took no part in the training.",
        }[self.way]
        return (
            f"{sure} {told}. {sure} {shared}. {rests} This counts speakers with one code each, never utterances: "
            "several codes of one speaker disclose more."
        )

    @property
    def _no_bits(self) -> str:
        return f"infinite: none of {self.n_evidence} held-out speakers has the rarest of {self.n_codewords} codes"

    @property
    def _no_set(self) -> str:
        if self.n_further < self.n_codewords:
            return f"{self.n_further} further speakers are fewer than {self.n_codewords} codes"
        if self.way == "audit":
            return f"too few of {self.n_evidence} held-out speakers have the rarest of {self.n_codewords} codes"
        speakers = f"{self.n_further} further and {self.n_evidence} calibration speakers"
        return f"{speakers} are too few for {self.n_codewords} codes"


def by_construction(
    gaps: np.ndarray, *, n_further: int, alpha: float = 0.05, speakers: np.ndarray | None = None
) -> Certificate:
    """Certify a quantiser whose thresholds are order statistics of n calibration speakers.

    gaps : int [K], between the ranks of the thresholds, which sum to n+1 (`quantizers.recalibration.recalibrate`).
    n_further : M. alpha : α.
    speakers : [n], of the calibration samples, to check that each has one.
    Raises InputError where gaps are not that, or α is not a probability, or a speaker comes twice.
    """
    gaps = np.asarray(gaps)
    if gaps.ndim != 1 or len(gaps) < 2 or not np.issubdtype(gaps.dtype, np.integer) or gaps.min() < 1:
        raise InputError(f"gaps of dtype {gaps.dtype} and shape {gaps.shape} should be K >= 2 integers >= 1")
    n_evidence, n_codewords = int(gaps.sum()) - 1, len(gaps)
    _check(n_further, alpha, speakers, n_evidence)
    gap, times = np.unique(gaps, return_counts=True)
    rest = n_evidence + 1 - gap

    def excess(bits: float) -> float:
        return float(times @ beta.cdf(2**-bits, gap, rest)) - alpha

    # The smallest of K probabilities is at most 1/K, and each is below x with a chance of at most n x.
    bits = brentq(excess, np.log2(n_codewords), np.log2(n_codewords * (n_evidence + 1) / alpha), xtol=1e-9)
    below = betabinom.pmf(np.arange(n_further // n_codewords)[:, None], n_further, gap, rest)
    k = int(np.searchsorted(np.cumsum(below @ times), alpha, side="right"))
    return Certificate("construction", n_codewords, alpha, float(bits), k, n_further, n_evidence)


def by_audit(
    counts: np.ndarray, *, n_further: int, alpha: float = 0.05, speakers: np.ndarray | None = None
) -> Certificate:
    """Certify any quantiser by the codes of n held-out speakers, who took no part in its training.

    counts : int [K], how many of them have each code.
    n_further : M. alpha : α.
    speakers : [n], of the samples that were counted, to check that each has one.
    Raises InputError where counts are not that, or α is not a probability, or a speaker comes twice.
    """
    counts, total = occupancy._check(counts)
    if counts.ndim != 1:
        raise InputError(f"counts have shape {counts.shape}, should be [K]: audit one quantiser at a time")
    n_evidence, n_codewords, rarest = int(total), len(counts), int(counts.min())
    _check(n_further, alpha, speakers, n_evidence)
    bits = -np.log2(beta.ppf(alpha, rarest, n_evidence - rarest + 1)) if rarest else math.inf

    def chance(shared: int) -> float:
        """Of so many held-out speakers or more on a code, given that ``shared`` further ones have it."""
        return float(hypergeom.sf(rarest - 1, n_evidence + n_further, rarest + shared, n_evidence))

    k = bisect_right(range(n_further // n_codewords), alpha / n_codewords, key=chance)
    return Certificate("audit", n_codewords, alpha, float(bits), k, n_further, n_evidence)


def require_disjoint(training: np.ndarray, calibration: np.ndarray) -> None:
    """Raise InputError where rows of the calibration set are rows of the training set as well.

    Both are vectors float [N, D], compared in float32, or ids [N].
    """
    known, asked = set(_rows(training)), _rows(calibration)
    shared = sum(row in known for row in asked)
    if shared:
        raise InputError(
            f"{shared} of {len(asked)} rows of the calibration set are in the training set: a certificate by "
            "construction needs other speakers than those that shaped the cells; split by speaker, or drop these rows"
        )


def _rows(rows: np.ndarray) -> list[object]:
    rows = np.asarray(rows)
    if rows.ndim == 1:
        return rows.tolist()
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.floating):
        raise InputError(f"rows of dtype {rows.dtype} and shape {rows.shape} should be vectors [N, D] or ids [N]")
    return [row.tobytes() for row in rows.astype(np.float32) + np.float32(0)]  # -0 becomes 0


def _check(n_further: int, alpha: float, speakers: np.ndarray | None, n_evidence: int) -> None:
    if not 0 < alpha < 1:
        raise InputError(f"alpha={alpha}, should lie between 0 and 1: 0.05 gives 95 % confidence")
    if n_further < 1:
        raise InputError(f"n_further={n_further}, should be at least 1 speaker")
    if speakers is None:
        return
    speakers = np.asarray(speakers)
    if speakers.shape != (n_evidence,):
        raise InputError(f"speakers have shape {speakers.shape}, should be [{n_evidence}], one a sample")
    n_different = len(np.unique(speakers))
    if n_different < n_evidence:
        raise InputError(
            f"{n_evidence} samples come from {n_different} speakers: a certificate counts speakers, never utterances; "
            "keep one sample a speaker, such as the mean of their embeddings"
        )
