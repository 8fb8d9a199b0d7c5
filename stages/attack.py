"""Attack: identify and verify test speakers from raw and from quantised embeddings."""

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from porcupine import storage
from porcupine.params import Params
from porcupine.privacy import attackers
from porcupine.randomness import generator
from stages.common import run
from stages.grid import cells

COLUMNS = ["variant", "bits", "figure", "value", "low", "high", "chance", "n_speakers", "n_attacked", "n_probes"]


def main(params: Params, embeddings: Path, codes: Path, attack: Path) -> None:
    """Write one row for each variant, bitrate and figure; the raw embedding is variant `raw` at 0 bits."""
    if not (embeddings / "utterances.npy").exists():
        return _skip("without speaker labels there is nobody to identify", attack)
    vectors = storage.load_array(embeddings / "utterances.npy")
    speakers = storage.load_table(embeddings / "utterances.parquet")["speaker"]
    if not speakers.duplicated().any():
        return _skip("no test speaker has a second utterance: one to enrol, one to probe", attack)
    center = storage.load_array(embeddings / "train.npy").mean(axis=0)
    section = params.attack
    enrolment = attackers.enrol(speakers.to_numpy(), section.enrolment, generator(section.seed, "enrolment"))
    enrolled = enrolment.mean_embeddings(vectors)

    def tally(probes) -> attackers.Tally:
        return attackers.tally(attackers.cosine_scores(probes, enrolled, center=center), enrolment.probe_speaker)

    raw = tally(vectors[enrolment.probes])
    weights = attackers.bootstrap_weights(raw, section.bootstrap, generator(section.seed, "bootstrap"))
    tables = [attackers.attack_table([raw], weights).assign(variant="raw", bits=0)]
    for variant, bits in tqdm(cells(params), desc="attack", unit="cell"):
        arrays = storage.load_arrays(codes / f"{variant}.npz")
        books, quantised = arrays[f"codebook_b{bits}"], arrays[f"utterances_b{bits}"][:, enrolment.probes]
        tallies = [tally(book[code]) for book, code in zip(books, quantised, strict=True)]
        tables.append(attackers.attack_table(tallies, weights).assign(variant=variant, bits=bits))
    storage.save_table(attack, pd.concat(tables)[COLUMNS])
    return None


def _skip(reason: str, attack: Path) -> None:
    print(f"skipped: {reason}")
    storage.save_table(attack, pd.DataFrame(columns=COLUMNS))


if __name__ == "__main__":
    run(main)
