"""Disclosure: what a code tells about the speaker who has it, code by code and group by group.

    code_bits        -log2(g/M) of each code
    smallest_set     how many speakers share the rarest code
    worst_off_set    how many share the code of a speaker who is worse off than 99 % of all
    effective_codes  2^entropy: as many equally likely codes would disclose as much on average
    by_group         these and the disclosure within each group of speakers, beside their floors

All but the last take counts int [..., K] of M *speakers*, one code each, and return [...]: of utterances, a set of ten
may be one person. An empty code counts: its disclosure is infinite and the smallest set has 0 speakers, since whoever
comes next and gets it is alone. It is nobody's own code, though, so `worst_off_set` is at least 1.
`occupancy` has the worst case and the average.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from porcupine.errors import InputError
from porcupine.privacy import floors, occupancy, summary


def code_bits(counts: np.ndarray) -> np.ndarray:
    """Disclosure of each code, -log2(g/M), in bits; infinite where it is empty. Returns float [..., K]."""
    counts, n_speakers = occupancy._check(counts)
    with np.errstate(divide="ignore"):
        return -np.log2(counts / n_speakers[..., None])


def smallest_set(counts: np.ndarray) -> np.ndarray:
    """Speakers on the rarest code (k of k-anonymity); 0 where a code is empty."""
    counts, _ = occupancy._check(counts)
    return counts.min(axis=-1)


def worst_off_set(counts: np.ndarray, *, share: float = 0.01) -> np.ndarray:
    """Quantile over speakers, not codes, of how many share one's own code, oneself included.

    share : of the speakers that may be worse off; all others are in sets of at least the size returned.
    Raises InputError where it is outside 0 … 1.
    """
    counts, n_speakers = occupancy._check(counts)
    if not 0 < share <= 1:
        raise InputError(f"share={share}, should be above 0 and at most 1: a share of the speakers")
    sizes = np.sort(counts, axis=-1)
    wanted = share * n_speakers * (1 - 1e-12)  # 0.07 · 100 is above 7
    first = np.argmax(np.cumsum(sizes, axis=-1) >= wanted[..., None], axis=-1)
    return np.take_along_axis(sizes, first[..., None], axis=-1)[..., 0]


def effective_codes(counts: np.ndarray) -> np.ndarray:
    """How many equally likely codes would have this entropy: K where flat, 1 where one code takes all."""
    return 2 ** occupancy.average_bits(counts)


METRICS = {
    "worst_case_bits": occupancy.worst_case_bits,
    "average_bits": occupancy.average_bits,
    "effective_codes": effective_codes,
    "smallest_set": smallest_set,
    "worst_off_set": worst_off_set,
    "n_empty": occupancy.n_empty,
}
UNITS = {
    "worst_case_bits": "bits",
    "average_bits": "bits",
    "effective_codes": "codes",
    "smallest_set": "speakers",
    "worst_off_set": "speakers",
    "n_empty": "codes",
}


def by_group(
    codes: np.ndarray,
    groups: np.ndarray,
    n_codewords: int,
    *,
    simulations: int,
    bootstrap: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """What a code discloses about a speaker whose group one knows (gender, accent, …), and about one of unknown group.

    A code that is uniform over all speakers is not uniform within a group: there, rare codes are rarer.

    codes : int [M], one a speaker; groups : [M], label of each; None, NaN and "" are missing.
    Returns a row for each part and metric of `METRICS`: `part` ("all", labels or not; "group"; "missing"), `group`,
    `n_speakers`, `metric`, `unit`, `value`; `standard_error` by resampling the speakers of the part (NaN where more
    than one draw in twenty is infinite); `floor_mean`, `floor_low`, `floor_high` (2.5 and 97.5 %) and `floor_infinite`,
    of a code that is uniform within the part at its size, as in `summary`. Speakers without a label, and groups of one
    speaker, have a single row that counts them, without a metric.
    Raises InputError where codes and groups do not fit.
    """
    codes, labels = np.asarray(codes), pd.Series(groups, dtype=object)
    if codes.ndim != 1 or len(labels) != len(codes):
        raise InputError(f"codes {codes.shape} and groups ({len(labels)},) should be vectors of one length")
    missing = (labels.isna() | (labels == "")).to_numpy()
    names = labels.astype(str).to_numpy()
    parts: list[tuple[str, str | None, np.ndarray]] = [("all", None, np.full(len(codes), True))]
    parts += [("group", name, ~missing & (names == name)) for name in sorted(set(names[~missing]))]
    parts += [("missing", None, missing)] if missing.any() else []
    rows: list[dict[str, object]] = []
    for part, name, inside in parts:
        size = int(inside.sum())
        row: dict[str, object] = {"part": part, "group": name, "n_speakers": size}
        if part == "missing" or size < 2:
            rows.append(row)
        else:
            rows += [row | one for one in _measure(codes[inside], n_codewords, simulations, bootstrap, rng)]
    return pd.DataFrame(rows)


def _measure(
    codes: np.ndarray, n_codewords: int, simulations: int, bootstrap: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    counts = occupancy.count_codes(codes, n_codewords)
    uniform = floors.binomial(len(codes), n_codewords, draws=simulations, rng=rng)
    resampled = rng.multinomial(len(codes), counts / len(codes), size=bootstrap)
    rows = []
    for name, metric in METRICS.items():
        band = summary._spread(metric(uniform))
        row = {"metric": name, "unit": UNITS[name], "value": float(metric(counts))}
        row["standard_error"] = summary._finite_std(metric(resampled))
        row |= {f"floor_{key}": band[key] for key in ("mean", "low", "high")}
        rows.append(row | {"floor_infinite": band["n_infinite"] / simulations})
    return rows
