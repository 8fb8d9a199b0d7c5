"""Draw the paper's figures, the training and attack curves, and write the summary."""

from pathlib import Path

import numpy as np
import pandas as pd

from porcupine import figures as library
from porcupine import storage
from porcupine.params import Params
from porcupine.privacy.attackers import strongest
from porcupine.privacy.occupancy import count_codes
from porcupine.published import published_values
from porcupine.quantizers import variants
from porcupine.quantizers.sfvq import train_sfvq
from porcupine.quantizers.training import Training
from porcupine.quantizers.vq import train_vq
from porcupine.randomness import generator
from porcupine.report import page as report
from porcupine.report.attacks import Tables
from porcupine.report.headline import highest_telling_bits
from stages import tables
from stages.common import run
from stages.grid import variant_names

EXAMPLE_BITS = 5
PLOTS = ("kl_bits", "worst_case_plus_one_bits", "average_bits", "std", "cv_over_limit", "mse")


def main(params: Params, codes: Path, reports: Path, figures: Path, plots: Path, summary: Path) -> None:
    """Write PNG and SVG figures, the CSVs that `dvc plots` shows, and a Markdown summary."""
    table, certified = (storage.load_table(reports / f"{name}.csv") for name in ("metrics", "certificate"))
    attacked = _attacked(params, reports)
    counts = _counts(params, codes)
    n_test = int(next(iter(counts.values())).sum())
    bits, few = highest_telling_bits(table), variants.compared(counts)
    drawn = {
        "example": library.example_2d(**_example(params.figures.seed)),
        "histograms": library.histograms(counts, n_test),
        "metrics": library.metrics_by_bitrate(table, published_values(), n_test=n_test),
        "tradeoff": library.tradeoff(table),
        "overview": library.overview({name: counts[name] for name in few}, table[table["variant"].isin(few)], n_test),
    }
    if (reports / "encoder" / "plots").is_dir():
        drawn["encoder"] = library.encoder_curves(_history(reports / "encoder"))
    if len(certified):
        drawn["certificate"] = library.certificate(certified)
    if len(attacked.rates):
        drawn["attack"] = library.attack(attacked.rates)
        drawn["threats"] = library.threats(attacked.rates, bits=bits)
        drawn["ranks"] = library.ranks(attacked.ranks, bits=bits)
        drawn["exposure"] = library.exposure(attacked.exposure, bits=bits)
        drawn["plane"] = library.plane(attacked.plane)
    if len(attacked.groups):
        drawn["groups"] = library.groups(attacked.groups)
    if len(attacked.observations):
        drawn["observations"] = library.observations(attacked.observations, bits=bits)
    with storage.replacing(figures) as folder:
        folder.mkdir()
        for name, figure in drawn.items():
            library.save(figure, folder / name, dpi=params.figures.dpi)
    with storage.replacing(plots) as folder:
        folder.mkdir()
        for name, curves in plotted(table, attacked.rates).items():
            storage.save_table(folder / f"{name}.csv", curves)
    with storage.replacing(summary) as file:
        page = report.summary(table, certified, attacked, corpus=params.corpus.name, n_test=n_test)
        file.write_text(page, encoding="utf-8")


def _attacked(params: Params, reports: Path) -> Tables:
    """Tables of the stages attack, attributes, disclosure and plane."""
    by_threat = ("rates", "exposure", "ranks", "rank_disclosure")
    found = {name: tables.of_attacks(params, reports / "attack", name) for name in by_threat}
    found |= {name: storage.load_table(reports / f"{name}.csv") for name in Tables._fields if name not in by_threat}
    return Tables(**found)


def _counts(params: Params, codes: Path) -> dict[str, np.ndarray]:
    """Histograms of the first repeat, at the middle bitrate."""
    bits = sorted(params.codebooks.bits)[len(params.codebooks.bits) // 2]
    first = {name: storage.load_arrays(codes / f"{name}.npz")[f"test_b{bits}"][0] for name in variant_names(params)}
    return {name: count_codes(row, 2**bits) for name, row in first.items()}


def _example(seed: int) -> dict[str, np.ndarray]:
    """Two-dimensional Gaussian samples with what each quantiser makes of them."""
    rng = generator(seed, "example")
    samples = rng.standard_normal((4000, 2)).astype(np.float32)
    training = Training(epochs=20)
    curve = train_sfvq(samples, bits=[EXAMPLE_BITS], training=training, seed=seed)[EXAMPLE_BITS][0]
    return {
        "samples": samples,
        "vq_codebook": train_vq(samples, bits=EXAMPLE_BITS, training=training, seed=seed)[0],
        "curve": curve,
        "resampled": variants.resample(samples, curve, "exact", rng).codebook,
    }


def _history(curves: Path) -> pd.DataFrame:
    columns = []
    for name in ("loss", "eer", "learning_rate"):
        column = pd.read_csv(curves / "plots" / "metrics" / f"{name}.tsv", sep="\t")
        columns.append(column.rename(columns={"step": "epoch"}).set_index("epoch"))
    return pd.concat(columns, axis=1).reset_index()


def plotted(metrics: pd.DataFrame, rates: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What `dvc plots` shows, by name: a row for each variant and bitrate, then those of floors or chance.

    Columns: variant, bits; mean, of metrics, or value, of the strongest attacker; low, high.
    """
    best = strongest(rates[(rates["epsilon"] == np.inf) & (rates["variant"] != "raw")])
    return {name: _with_floors(metrics[metrics["metric"] == name]) for name in PLOTS} | {
        str(name): _with_chance(rows) for name, rows in best.groupby("figure", sort=False)
    }


def _with_floors(rows: pd.DataFrame) -> pd.DataFrame:
    columns = ["variant", "bits", "mean", "low", "high"]
    parts = [rows[columns]]
    for floor, prefix in (("floor", "floor"), ("calibrated floor", "calibrated")):
        named = {f"{prefix}_{column}": column for column in columns[2:]}
        over_variants = rows.groupby("bits")[list(named)].mean().rename(columns=named).reset_index()
        parts.append(over_variants.assign(variant=floor)[columns])
    return pd.concat(parts).dropna()


def _with_chance(rates: pd.DataFrame) -> pd.DataFrame:
    columns = ["variant", "bits", "value", "low", "high"]
    chance = rates.drop_duplicates("bits")[["bits", "chance"]]
    chance = chance.assign(variant="chance", **dict.fromkeys(columns[2:], chance["chance"]))
    return pd.concat([rates[columns], chance[columns]])


if __name__ == "__main__":
    run(main)
