"""Put privacy against utility: every variant, bitrate and randomised response."""

from pathlib import Path

import numpy as np

from porcupine import storage
from porcupine.params import Params
from porcupine.privacy import plane as library
from stages import tables
from stages.common import run
from stages.grid import cells


def main(params: Params, embeddings: Path, codes: Path, attack: Path, attributes: Path, plane: Path) -> None:
    """Write a row for each system and ε; see `library.plane_table`."""

    def cell(variant: str, bits: int) -> library.Cell:
        arrays = storage.load_arrays(codes / f"{variant}.npz")
        return library.Cell(variant, bits, arrays[f"codebook_b{bits}"], arrays[f"test_b{bits}"])

    table = library.plane_table(
        storage.load_array(embeddings / "test.npy").astype(np.float64),
        (cell(variant, bits) for variant, bits in cells(params)),
        tables.of_attacks(params, attack, "rates"),
        epsilons=params.attack.epsilons,
        attributes=storage.load_table(attributes),
    )
    storage.save_table(plane, table)


if __name__ == "__main__":
    run(main)
