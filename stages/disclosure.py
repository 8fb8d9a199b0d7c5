"""Disclosure beyond one code of one crowd: within groups of speakers, and by several utterances of one speaker."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from porcupine import storage
from porcupine.parallel import ordered_map
from porcupine.params import Params
from porcupine.privacy import disclosure, observations
from porcupine.randomness import generator
from stages import labels, tables
from stages.common import run
from stages.grid import cells

GROUPS = ("variant", "bits", "attribute", "part", "group", "n_speakers", "metric", "value")
OBSERVATIONS = ("variant", "bits", "n", "n_speakers", "lower", "lower_low", "lower_high", "upper")


def main(params: Params, embeddings: Path, codes: Path, groups: Path, observed: Path) -> None:
    """Write a table of `disclosure.by_group` and one of `observations.observation_table`, of the first repeat."""
    storage.save_table(groups, _groups(params, embeddings, codes))
    storage.save_table(observed, _observations(params, embeddings, codes))


def _groups(params: Params, embeddings: Path, codes: Path) -> pd.DataFrame:
    samples = storage.load_table(embeddings / "test.parquet")
    if "speaker" in samples and samples["speaker"].duplicated().any():
        print("groups skipped: a speaker with several samples would count several times")
        return pd.DataFrame(columns=list(GROUPS))
    section = params.disclosure
    parts = [pd.DataFrame(columns=list(GROUPS))]
    for attribute in params.attributes.names:
        known = labels.of(samples, attribute)
        for variant, bits in cells(params) if known is not None else ():
            table = disclosure.by_group(
                storage.load_arrays(codes / f"{variant}.npz")[f"test_b{bits}"][0],
                known,
                2**bits,
                simulations=section.simulations,
                bootstrap=section.bootstrap,
                rng=generator(section.seed, attribute, variant, bits),
            )
            parts.append(table.assign(variant=variant, bits=bits, attribute=attribute))
    return tables.joined(parts, GROUPS)


def _observations(params: Params, embeddings: Path, codes: Path) -> pd.DataFrame:
    section = params.disclosure
    speakers = labels.speakers(storage.load_table(embeddings / "test_utterances.parquet"))
    n_beside = np.unique(speakers, return_counts=True)[1] - section.held
    observed = [n for n in section.observed if (n_beside >= n).sum() >= 2]
    if not observed:
        print(f"observations skipped: no two test speakers have an utterance beside the held={section.held}")
        return pd.DataFrame(columns=list(OBSERVATIONS))
    look = partial(_observe, params=params, speakers=speakers, observed=observed, codes=codes)
    parts = ordered_map(
        look, cells(params), workers=params.compute.workers, description="several utterances", unit="cell"
    )
    return tables.joined(list(parts), OBSERVATIONS)


def _observe(
    cell: tuple[str, int], params: Params, speakers: np.ndarray, observed: list[int], codes: Path
) -> pd.DataFrame:
    variant, bits = cell
    section = params.disclosure
    arrays = storage.load_arrays(codes / f"{variant}.npz")
    table = observations.observation_table(
        arrays[f"test_utterances_b{bits}"][0],
        speakers,
        2**bits,
        held=section.held,
        sequences=section.sequences,
        bootstrap=section.bootstrap,
        rng=generator(section.seed, "observations"),  # the same utterances of all variants
        observed=observed,
        codebook=arrays[f"codebook_b{bits}"][0],
    )
    return table.assign(variant=variant, bits=bits)


if __name__ == "__main__":
    run(main)
