"""Plane: privacy against utility, one point for each system.

pareto_front   which points no other one beats at both
utility        vectors, codebook, codes -> distortion and cosine that randomised response leaves, exactly
plane_table    codes of every system, rates and attributes -> one row for each system and ε

With x a vector, c_k the codewords, and every code reported as another one with probability p each (ε = inf: never), a
report is the code itself with probability 1 - K p, or else any of the K codes, equally likely. The squared error is so

    (1 - K p) |x - c_code|² + p Σ_k |x - c_k|²

whatever the codebook, and the cosine likewise. `randomised_response` has the noise, and what a report discloses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from porcupine.errors import InputError
from porcupine.privacy.occupancy import count_codes
from porcupine.privacy.randomised_response import disclosure, keep_probability
from porcupine.quantizers.base import check_vectors, global_scale

COLUMNS = ["variant", "bits", "epsilon", "mse", "cosine", "top1", "top1_low", "top1_high", "chance"]
COLUMNS += ["worst_case_bits", "average_bits"]
_MEASURED = ["mse", "cosine", "worst_case_bits", "average_bits"]


class Cell(NamedTuple):
    """A system: R repeats of a quantiser, codebooks float [R, K, D], and codes int [R, N] of the vectors."""

    variant: str
    bits: int
    codebooks: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class Utility:
    """What is left of the vectors, float [E], one for each ε.

    mse : squared error relative to the variance of the vectors: 0 for the vectors themselves, 1 for their mean.
    cosine : mean cosine between vector and codeword, both less the mean of the vectors; 0 for the mean.
    """

    mse: np.ndarray
    cosine: np.ndarray


def pareto_front(cost: np.ndarray | pd.Series, harm: np.ndarray | pd.Series) -> np.ndarray:
    """Whether no other point is as good in both and better in one. float [N], float [N], both best small -> bool [N].

    Equal points are on the front together, or not at all; points with NaN are not, nor do they beat any.
    """
    cost, harm = np.asarray(cost, dtype=float), np.asarray(harm, dtype=float)
    if cost.ndim != 1 or cost.shape != harm.shape:
        raise InputError(f"cost {cost.shape} and harm {harm.shape} should be vectors of one length")
    as_good = (cost[:, None] <= cost) & (harm[:, None] <= harm)
    better = (cost[:, None] < cost) | (harm[:, None] < harm)
    return ~(as_good & better).any(axis=0) & ~np.isnan(cost) & ~np.isnan(harm)


def utility(
    vectors: np.ndarray, codebook: np.ndarray, codes: np.ndarray, *, epsilons: Sequence[float] = (np.inf,)
) -> Utility:
    """Distortion and cosine of codes that pass K-ary randomised response, expected over its noise, exactly.

    vectors : float [N, D]; codebook : float [K, D]; codes : int [N]. epsilons : in nats; inf for the codes themselves.
    Raises InputError where these do not fit, or all vectors are equal.
    """
    variance = global_scale(check_vectors(vectors)) ** 2
    codes, n_codewords = np.asarray(codes), len(check_vectors(codebook, name="codewords"))
    count_codes(codes, n_codewords)
    if codes.shape != vectors.shape[:1] or codebook.shape[1] != vectors.shape[1]:
        raise InputError(f"vectors {vectors.shape}, codebook {codebook.shape} and codes {codes.shape} do not fit")
    center = vectors.mean(axis=0, dtype=np.float64)
    vectors, codebook = vectors - center, codebook - center
    own_mse = float(((vectors - codebook[codes]) ** 2).mean()) / variance
    any_mse = 1 + float((codebook**2).mean()) / variance
    directions, of_codes = _unit(vectors), _unit(codebook)
    own_cosine = float((directions * of_codes[codes]).sum(axis=1).mean())
    any_cosine = float(directions.mean(axis=0) @ of_codes.mean(axis=0))
    keep = np.array([keep_probability(n_codewords, epsilon) for epsilon in epsilons])
    noise = n_codewords * (1 - keep) / (n_codewords - 1)
    return Utility(mse=(1 - noise) * own_mse + noise * any_mse, cosine=(1 - noise) * own_cosine + noise * any_cosine)


def plane_table(
    vectors: np.ndarray,
    cells: Iterable[Cell],
    rates: pd.DataFrame,
    *,
    epsilons: Sequence[float] = (),
    attributes: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Assemble the points: the raw embedding (variant "raw", 0 bits), then each system as it is and under noise.

    vectors : float [N, D], best one a speaker: disclosure counts them.
    epsilons : of randomised response on the codes, in nats; inf, the code itself, is always there.
    rates : variant, bits, epsilon, figure, value, low, high, chance, of any threats and attackers; of figure "top1" the
        highest value counts, hence a little more than any attacker could be sure of beforehand.
    attributes : variant, bits, attribute, figure, value, likewise of figure "uar", without noise; None for none.
    Returns columns `COLUMNS`, then ATTRIBUTE_uar for each attribute: mse and cosine as in `utility`, disclosure in bits
    as in `randomised_response.disclosure`, all means over the repeats; NaN where nothing is known, as the disclosure of
    the raw embedding; infinite worst case where a code is empty in any repeat.
    Raises InputError where tables lack columns or arrays do not fit.
    """
    noise = sorted({*map(float, epsilons), np.inf}, reverse=True)
    points = [pd.DataFrame({"variant": ["raw"], "bits": 0, "epsilon": np.inf, "mse": 0.0, "cosine": 1.0})]
    points += [_points(vectors, cell, noise) for cell in cells]
    table = pd.concat(points, ignore_index=True).reindex(columns=["variant", "bits", "epsilon", *_MEASURED])
    keys = ["variant", "bits", "epsilon"]
    best = _strongest(rates, "top1", keys, ["value", "low", "high", "chance"])
    best = best.rename(columns={"value": "top1", "low": "top1_low", "high": "top1_high"})
    table = table.merge(best, on=keys, how="left")[COLUMNS]
    if attributes is not None:
        told = _strongest(attributes, "uar", ["variant", "bits", "attribute"], ["value"])
        wide = told.pivot(index=["variant", "bits"], columns="attribute", values="value").add_suffix("_uar")
        table = table.merge(wide.reset_index().assign(epsilon=np.inf), on=keys, how="left")
    return table


def _points(vectors: np.ndarray, cell: Cell, epsilons: Sequence[float]) -> pd.DataFrame:
    """Rows of one system, one for each ε: means over its repeats."""
    if len(cell.codebooks) != len(cell.codes) or not len(cell.codes):
        raise InputError(
            f"{cell.variant} at {cell.bits} bits: {len(cell.codebooks)} codebooks and codes of {len(cell.codes)} "
            "repeats, should be as many, one at least"
        )
    repeats = []
    for codebook, codes in zip(cell.codebooks, cell.codes, strict=True):
        left = utility(vectors, codebook, codes, epsilons=epsilons)
        shares = count_codes(codes, len(codebook)) / len(codes)
        told = [disclosure(shares, epsilon) for epsilon in epsilons]
        worst, average = (np.array(bits) for bits in zip(*((one.worst, one.average) for one in told), strict=True))
        repeats.append(np.stack([left.mse, left.cosine, worst, average]))
    means = dict(zip(_MEASURED, np.mean(repeats, axis=0), strict=True))
    return pd.DataFrame({"variant": cell.variant, "bits": cell.bits, "epsilon": epsilons} | means)


def _strongest(table: pd.DataFrame, figure: str, keys: list[str], columns: list[str]) -> pd.DataFrame:
    """Of the rows of one figure, the one of the highest value for each of the keys."""
    lacking = [name for name in ("figure", *keys, *columns) if name not in table]
    if lacking:
        raise InputError(f"the table of {figure} lacks the column {lacking[0]!r}: it has {', '.join(table.columns)}")
    types = {"bits": int, "epsilon": float} | dict.fromkeys(columns, float)
    rows = table.loc[table["figure"] == figure, [*keys, *columns]]
    rows = rows.astype({name: kind for name, kind in types.items() if name in rows})
    return rows.sort_values("value", ascending=False, kind="stable").drop_duplicates(keys)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [N, D] of length 1, but for those of length 0."""
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norm, where=norm > 0, out=np.zeros_like(vectors))
