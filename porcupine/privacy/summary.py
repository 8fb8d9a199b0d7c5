"""Occupancy metrics of a grid cell in one table: mean and spread over repeats, uncertainty, and floors beside them.

Columns: `metric`, `unit`; `mean`, `low`, `high` over the repeats (2.5 and 97.5 % quantiles; over the finite values
where `n_infinite` repeats are infinite); `standard_error`, of one repeat, by resampling the test speakers; and two
floors, what perfectly uniform codes would give (`porcupine.privacy.floors`): `floor_…` for exactly equal cells, and
`calibrated_…` for cells that were set on N_train samples; each has `mean`, `low` and `high` over its finite draws,
and `infinite`, the share of infinite ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from porcupine.errors import InputError
from porcupine.privacy import floors, occupancy

LEAST_EFFECT = 1e-3  # where every speaker has all codes equally often, there is no effect to divide by

UNITS = {
    "kl_bits": "bits",
    "worst_case_bits": "bits",
    "worst_case_plus_one_bits": "bits",
    "average_bits": "bits",
    "sparseness": "",
    "std": "samples",
    "n_empty": "codes",
    "cv_over_limit": "",
}


def occupancy_table(
    codes: np.ndarray,
    n_codewords: int,
    *,
    n_train: int,
    simulations: int,
    bootstrap: int,
    rng: np.random.Generator,
    speakers: np.ndarray | None = None,
) -> pd.DataFrame:
    """Metrics of R repeats of a code, one row a metric.

    codes : int [R, N_test], of the same test samples in each repeat.
    n_train : samples that the codebook was trained on.
    speakers : [N_test], where several samples come from one speaker; None where samples are independent. The floors
        and errors then respect that samples of one speaker fall together, in the training set as in the test set.
    Raises InputError where the codes do not fit.
    """
    if codes.ndim != 2:
        raise InputError(f"codes have shape {codes.shape}, should be [R, N], one row a repeat")
    counts = occupancy.count_codes(codes, n_codewords)
    n_samples = codes.shape[1]
    if speakers is None:
        uniform = floors.binomial(n_samples, n_codewords, draws=simulations, rng=rng)
        calibrated = floors.calibrated(n_samples, n_codewords, n_train, draws=simulations, rng=rng)
        effect = 1.0
    else:
        shares = _shares(codes, simulations)

        def draw(n_independent: float | None) -> np.ndarray:
            return np.concatenate(
                [
                    floors.clustered(row, speakers, n_codewords, draws=draws, rng=rng, n_train=n_independent)
                    for row, draws in shares
                ]
            )

        uniform = draw(None)
        effect = max(floors.design_effect(uniform), LEAST_EFFECT)
        calibrated = draw(n_train / effect)
    resampled = [_resampled_counts(row, speakers, n_codewords, bootstrap, rng) for row in codes]
    limit = occupancy.sampling_limit_cv(n_codewords, n_train) * np.sqrt(effect)

    def squared_ratio(histograms: np.ndarray) -> np.ndarray:
        return occupancy.excess_variance(histograms, design_effect=effect) / limit**2

    metrics: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        **occupancy.METRICS,
        "cv_over_limit": lambda histograms: np.sqrt(np.maximum(squared_ratio(histograms), 0)),
    }
    rows = []
    for name, metric in metrics.items():
        row = {"metric": name, "unit": UNITS[name], **_spread(metric(counts))}
        row["standard_error"] = float(np.mean([_finite_std(metric(draws)) for draws in resampled]))
        for prefix, histograms in (("floor", uniform), ("calibrated", calibrated)):
            band = _spread(metric(histograms))
            row |= {f"{prefix}_{key}": band[key] for key in ("mean", "low", "high")}
            row[f"{prefix}_infinite"] = band["n_infinite"] / len(histograms)
        if name == "cv_over_limit":
            # The mean of squares is unbiased, the mean of roots cut off at 0 is not.
            for key, histograms in (("mean", counts), ("floor_mean", uniform), ("calibrated_mean", calibrated)):
                row[key] = float(np.sqrt(max(squared_ratio(histograms).mean(), 0)))
        rows.append(row)
    return pd.DataFrame(rows)


def _shares(codes: np.ndarray, simulations: int) -> list[tuple[np.ndarray, int]]:
    """Spread the simulations over the repeats."""
    return [
        (row, len(part)) for row, part in zip(codes, np.array_split(np.arange(simulations), len(codes)), strict=True)
    ]


def _resampled_counts(
    codes: np.ndarray, speakers: np.ndarray | None, n_codewords: int, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Histograms int [S, K] of test sets with speakers drawn with replacement."""
    if speakers is None:
        share = np.bincount(codes, minlength=n_codewords) / len(codes)
        return rng.multinomial(len(codes), share, size=draws)
    _, speaker = np.unique(speakers, return_inverse=True)
    n_speakers = speaker.max() + 1
    weights = rng.multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=draws)
    histograms = np.zeros((draws, n_codewords), dtype=np.int64)
    for histogram, weight in zip(histograms, weights, strict=True):
        histogram[:] = np.bincount(codes, weights=weight[speaker], minlength=n_codewords)
    return histograms


def _spread(values: np.ndarray) -> dict[str, float]:
    finite = values[np.isfinite(values)]
    n_infinite = int(values.size - finite.size)
    if not finite.size:
        return {"mean": np.nan, "low": np.nan, "high": np.nan, "n_infinite": n_infinite}
    low, high = np.quantile(finite, [0.025, 0.975])
    return {"mean": float(finite.mean()), "low": float(low), "high": float(high), "n_infinite": n_infinite}


def _finite_std(values: np.ndarray) -> float:
    """Standard deviation; NaN where more than one draw in twenty is infinite."""
    finite = values[np.isfinite(values)]
    return float(finite.std()) if finite.size >= 0.95 * values.size else float("nan")
