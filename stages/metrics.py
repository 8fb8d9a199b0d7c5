"""Measure occupancy beside its sampling floors, and name the headline figures."""

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from porcupine import storage
from porcupine.params import Params
from porcupine.privacy.summary import occupancy_table
from porcupine.quantizers.base import distortion
from porcupine.randomness import generator
from porcupine.report import headline as report
from stages import tables
from stages.common import run
from stages.grid import cells


def main(params: Params, embeddings: Path, codes: Path, attack: Path, table: Path, headline: Path) -> None:
    """Write the full table (a row for each variant, bitrate and metric) and the headline of the highest bitrate."""
    section = params.metrics
    test = storage.load_array(embeddings / "test.npy")
    n_train = len(storage.load_array(embeddings / "train.npy", mmap=True))
    speakers = _clusters(storage.load_table(embeddings / "test.parquet"))
    parts = []
    for variant, bits in tqdm(cells(params), desc="metrics", unit="cell"):
        arrays = storage.load_arrays(codes / f"{variant}.npz")
        codes_of_test = arrays[f"test_b{bits}"]
        rows = occupancy_table(
            codes_of_test,
            2**bits,
            n_train=n_train,
            simulations=section.simulations,
            bootstrap=section.bootstrap,
            rng=generator(section.seed, variant, bits),
            speakers=speakers,
        )
        errors = [
            distortion(test, book, code) for book, code in zip(arrays[f"codebook_b{bits}"], codes_of_test, strict=True)
        ]
        low, high = np.quantile(errors, [0.025, 0.975])
        mse = {"metric": "mse", "unit": "squared embedding units a dimension", "mean": np.mean(errors)}
        rows = pd.concat([rows, pd.DataFrame([mse | {"low": low, "high": high, "n_infinite": 0}])])
        rows.insert(0, "variant", variant)
        rows.insert(1, "bits", bits)
        rows.insert(2, "n_codewords", 2**bits)
        parts.append(rows)
    metrics = pd.concat(parts)
    storage.save_table(table, metrics)
    storage.save_json(
        headline,
        report.headline(metrics, tables.of_attacks(params, attack, "rates"), n_train=n_train, n_test=len(test)),
    )


def _clusters(table: pd.DataFrame) -> np.ndarray | None:
    """Speakers of the test samples, where some speaker has several."""
    if "speaker" not in table or not table["speaker"].duplicated().any():
        return None
    return table["speaker"].to_numpy()


if __name__ == "__main__":
    run(main)
