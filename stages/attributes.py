"""Read gender, age group, accent, emotion, … from embeddings and from codes."""

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from porcupine import storage
from porcupine.errors import InputError
from porcupine.parallel import ordered_map
from porcupine.params import Params
from porcupine.privacy import attributes as library
from porcupine.randomness import generator
from stages import labels, tables
from stages.common import run
from stages.grid import cells

TOLD = ("variant", "bits", "threat", "attacker", "attribute", "figure", "value", "low", "high", "chance")
DISCLOSED = ("variant", "bits", "attribute", "bits_disclosed", "low", "high", "chance_bits", "p_value", "reason")


def main(params: Params, embeddings: Path, codes: Path, attributes: Path, information: Path) -> None:
    """Write what attackers make of each attribute that the corpus has, and what codes disclose about it in bits."""
    told, disclosed = [pd.DataFrame(columns=list(TOLD))], [pd.DataFrame(columns=list(DISCLOSED))]
    train, test = (storage.load_table(embeddings / f"{role}_utterances.parquet") for role in ("train", "test"))
    vectors = {role: storage.load_array(embeddings / f"{role}_utterances.npy") for role in ("train", "test")}
    for name in params.attributes.names:
        known, asked = (labels.of(rows, name) for rows in (train, test))
        if asked is None:
            print(f"{name}: the corpus does not say")
            continue
        speakers = labels.speakers(test)
        disclosed.append(_disclosed(params, name, asked, speakers, codes))
        try:
            told += _told(params, name, known, asked, speakers, vectors, codes)
        except InputError as error:
            print(f"{name} is not guessed: {error}")
    storage.save_table(attributes, tables.joined(told, TOLD))
    storage.save_table(information, tables.joined(disclosed, DISCLOSED))


def _disclosed(params: Params, name: str, asked: np.ndarray, speakers: np.ndarray, codes: Path) -> pd.DataFrame:
    """What the codes of the first repeat disclose about an attribute, a row a cell."""
    section = params.attributes

    def row(cell: tuple[str, int]) -> dict[str, object]:
        variant, bits = cell
        code = storage.load_arrays(codes / f"{variant}.npz")[f"test_utterances_b{bits}"][0]
        rng = generator(section.seed, name, variant, bits)
        found = library.information_row(code, asked, speakers, permutations=section.permutations, rng=rng)
        return {"variant": variant, "bits": bits, "attribute": name} | found

    rows = ordered_map(row, cells(params), workers=1, description=f"bits about {name}", unit="cell")
    return pd.DataFrame(list(rows))


def _told(
    params: Params,
    name: str,
    known: np.ndarray | None,
    asked: np.ndarray,
    speakers: np.ndarray,
    vectors: dict[str, np.ndarray],
    codes: Path,
) -> list[pd.DataFrame]:
    """What attackers make of an attribute, a table for each cell and threat."""
    if known is None:
        raise InputError("the training utterances are not labelled")
    section = params.attributes
    raw = library.fit_raw(vectors["train"], known, rng=generator(section.seed, name, "network"))

    def table(readings: list[library.Reading], rows: np.ndarray, variant: str, bits: int, threat: str) -> pd.DataFrame:
        draws = generator(section.seed, name, "bootstrap")
        found = library.attribute_table(readings, rows, asked, speakers, bootstrap=section.bootstrap, rng=draws)
        return found.assign(variant=variant, bits=bits, threat=threat, attribute=name)

    told = [table([raw.predict(vectors["test"])], np.arange(len(asked))[None], "raw", 0, "ignorant")]
    for variant, bits in tqdm(cells(params), desc=name, unit="cell"):
        arrays = storage.load_arrays(codes / f"{variant}.npz")
        parts = ("codebook", "train_utterances", "test_utterances")
        books, learnt, rows = (arrays[f"{part}_b{bits}"] for part in parts)
        told.append(table([raw.predict(book) for book in books], rows, variant, bits, "ignorant"))
        released = [library.fit_released(book, code, known) for book, code in zip(books, learnt, strict=True)]
        told.append(table(released, rows, variant, bits, "informed"))
    return told


if __name__ == "__main__":
    run(main)
