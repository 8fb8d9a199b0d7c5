"""Certificate: what may be promised of every code before it is released, and what the promise costs."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from porcupine import storage
from porcupine.errors import InputError
from porcupine.params import Params
from porcupine.privacy.certificate import Certificate, by_audit, by_construction, require_disjoint
from porcupine.privacy.occupancy import count_codes
from porcupine.quantizers import fitted, registry
from porcupine.quantizers.base import distortion
from porcupine.quantizers.recalibration import recalibrate
from porcupine.randomness import generator
from porcupine.report import certificates as report
from stages.common import run, skip
from stages.grid import cells, variant_names

COLUMNS = ["variant", "bits", "way", "bits_certified", "k", "k_ideal", "mse"]
COLUMNS += ["n_evidence", "alpha", "population", "reason"]
CONSTRUCTED = {"curve-interval": "curve", "tree": "tree"}  # sfvq-exact-interval could be, but trains for long


def main(
    params: Params, embeddings: Path, codes: Path, metrics: Path, certified: Path, table: Path, headline: Path
) -> None:
    """Write a row for each variant, bitrate and way, and `VARIANT.npz`: the quantisers certified by construction.

    By audit: the first repeat, since one quantiser is released, on the test speakers. By construction: fitted anew on
    some of the training speakers, with thresholds from the others, measured on the test speakers.
    """
    tables = [storage.load_table(embeddings / f"{name}.parquet") for name in ("train", "test")]
    speakers = pd.concat(tables).get("speaker", pd.Series(dtype=str)).dropna()
    if speakers.duplicated().any():
        return _skip("some speaker has several samples, and a certificate counts speakers", certified, table, headline)
    train, test = (storage.load_array(embeddings / f"{name}.npy") for name in ("train", "test"))
    terms = {"n_further": params.certificate.population, "alpha": params.certificate.alpha}
    rows = []
    for variant, bits in cells(params):
        arrays = storage.load_arrays(codes / f"{variant}.npz")
        code, book = arrays[f"test_b{bits}"][0], arrays[f"codebook_b{bits}"][0]
        made = by_audit(count_codes(code, 2**bits), **terms)
        rows.append(_row(variant, bits, made, distortion(test, book, code)))
    with storage.replacing(certified) as folder:
        folder.mkdir()
        for variant in CONSTRUCTED:
            if variant in variant_names(params):
                rows += _construct(params, variant, train, test, folder, terms)
    certificates = pd.DataFrame(rows).assign(
        k_ideal=lambda rows: params.certificate.population // 2 ** rows["bits"],
        alpha=params.certificate.alpha,
        population=params.certificate.population,
    )
    certificates = certificates[COLUMNS].astype({"k": "Int64"})
    storage.save_table(table, certificates)
    storage.save_json(headline, report.headline(certificates, bits=storage.load_json(metrics)["bits"]))
    return None


def _construct(
    params: Params, variant: str, train: np.ndarray, test: np.ndarray, folder: Path, terms: dict[str, Any]
) -> list[dict[str, Any]]:
    """Fit, recalibrate, certify and keep one variant; where that cannot be, the rows say why."""
    section = params.certificate
    order = generator(section.seed, "calibration").permutation(len(train))
    calibration, geometry = np.split(train[order], [round(section.calibration_fraction * len(train))])
    none = {"variant": variant, "way": "construction", "n_evidence": len(calibration)}
    try:
        require_disjoint(geometry, calibration)
        fits = registry.fit(
            CONSTRUCTED[variant],
            geometry,
            bits=params.codebooks.bits,
            seed=section.seed,
            workers=params.compute.workers,
            progress=True,
        )
    except InputError as error:
        return [{**none, "bits": bits, "reason": str(error)} for bits in params.codebooks.bits]
    rows, kept = [], {}
    for bits, (quantizer,) in fits.items():
        try:
            cut, gaps = recalibrate(quantizer, calibration, others=geometry)
        except InputError as error:
            rows.append({**none, "bits": bits, "reason": str(error)})
            continue
        kept[bits] = [cut]
        rows.append(
            _row(variant, bits, by_construction(gaps, **terms), distortion(test, cut.codebook, cut.encode(test)))
        )
    if kept:
        fitted.save(folder / f"{variant}.npz", kept)
    return rows


def _row(variant: str, bits: int, made: Certificate, mse: float) -> dict[str, Any]:
    record = made.to_dict()
    return {
        "variant": variant,
        "bits": bits,
        "way": made.way,
        "bits_certified": record["worst_case_bits"],
        "k": made.k,
        "mse": mse,
        "n_evidence": made.n_evidence,
        "reason": "; ".join(record[key] for key in record if key.endswith("_reason")),
    }


def _skip(reason: str, certified: Path, table: Path, headline: Path) -> None:
    skip(reason, certified)
    storage.save_table(table, pd.DataFrame(columns=COLUMNS))
    storage.save_json(headline, {"skipped": reason})


if __name__ == "__main__":
    run(main)
