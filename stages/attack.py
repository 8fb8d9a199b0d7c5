"""Attack: who is it? Name test speakers by their raw and quantised embeddings, with one threat model."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from porcupine import storage
from porcupine.errors import InputError
from porcupine.parallel import ordered_map
from porcupine.params import Params
from porcupine.privacy import attackers, exposure, ranks, threats
from porcupine.quantizers import variants
from porcupine.quantizers.base import Quantizer
from porcupine.randomness import generator
from stages import labels, methods, tables
from stages.common import run
from stages.grid import cells, variant_names

CELL = ("variant", "bits", "threat", "attacker")
COLUMNS = {
    "rates": (*CELL, "epsilon", "figure", "value", "low", "high", "chance", "n_speakers", "n_attacked", "n_probes"),
    "exposure": (*CELL, "attribute", "group", "among", "n_speakers", "n_attacked", "bits_learnt", "exposed", "top1"),
    "ranks": (*CELL, "first_rank", "last_rank", "share", "low", "high", "chance"),
    "rank_disclosure": (*CELL, "figure", "value", "low", "high"),
}
Tables = dict[str, list[pd.DataFrame]]


def main(params: Params, threat: str, embeddings: Path, codes: Path, attack: Path) -> None:
    """Write tables `rates`, `exposure`, `ranks` and `rank_disclosure`, rows for each variant, bitrate and attacker.

    The raw embedding is variant `raw` at 0 bits, met by the ignorant attacker alone.
    """
    roles = ("train", "test")
    rows = {role: storage.load_table(embeddings / f"{role}_utterances.parquet") for role in roles}
    speakers = {role: labels.speakers(table) for role, table in rows.items()}
    section = params.attack
    try:
        enrolment = attackers.enrol(speakers["test"], section.enrolment, generator(section.seed, "enrolment"))
    except InputError as error:
        print(f"skipped: {error}")
        return _write({}, attack)
    vectors = {role: storage.load_array(embeddings / f"{role}_utterances.npy") for role in roles}
    evidence = threats.Evidence(
        vectors["train"],
        speakers["train"],
        vectors["test"],
        enrolment,
        section.enrolment,
        section.attackers,
        section.seed,
    )
    if evidence.pairs is None:
        print("no two training speakers have two utterances: only attackers that need not learn from them try")
    groups = _groups(params, rows["test"], enrolment.speakers)
    measure = partial(_measure, params=params, threat=threat, groups=groups)
    found: Tables = {}
    if threat == "ignorant":
        raw = {name: [one] for name, one in threats.of_vectors(evidence).items()}
        found = measure(("raw", 0), raw)
    own: dict[tuple[str, int], Quantizer] = {}
    known = cells(params)
    if threat == "semi-informed":
        own = _own(params, evidence)
        known = [cell for cell in known if cell in own]
    look = partial(_cell, params=params, threat=threat, evidence=evidence, codes=codes, groups=groups)
    tasks = [(cell, own.get(cell)) for cell in known]
    for part in ordered_map(
        look, tasks, workers=params.compute.workers, description=f"{threat} attackers", unit="cell"
    ):
        for name, part_tables in part.items():
            found.setdefault(name, []).extend(part_tables)
    return _write(found, attack)


def _cell(
    task: tuple[tuple[str, int], Quantizer | None],
    params: Params,
    threat: str,
    evidence: threats.Evidence,
    codes: Path,
    groups: pd.DataFrame,
) -> Tables:
    """Attack one variant at one bitrate."""
    (variant, bits), own = task
    arrays = storage.load_arrays(codes / f"{variant}.npz")
    found: dict[str, list[attackers.Trials]] = {}
    for repeat in range(min(params.attack.repeats, params.codebooks.repeats)):
        book, test, train = (
            arrays[f"{part}_b{bits}"][repeat] for part in ("codebook", "test_utterances", "train_utterances")
        )
        for name, trials in threats.of_codes(threat, evidence, book, test, train, own).items():
            found.setdefault(name, []).append(trials)
    return _measure((variant, bits), found, params, threat, groups)


def _measure(
    cell: tuple[str, int],
    found: dict[str, list[attackers.Trials]],
    params: Params,
    threat: str,
    groups: pd.DataFrame,
) -> Tables:
    """Tables of one cell, attacker -> trials of each repeat: rates of all, the others of the one who finds most."""
    variant, bits = cell
    section = params.attack
    names = {"variant": variant, "bits": bits, "threat": threat}
    first = next(iter(found.values()), None)
    if first is None:
        return {}
    weights = attackers.bootstrap_weights(first[0], section.bootstrap, generator(section.seed, "bootstrap"))
    rates = []
    for attacker, trials in found.items():
        rates.append(attackers.rate_table(trials, weights).assign(**names, attacker=attacker, epsilon=np.inf))
        for epsilon in section.epsilons if bits else ():
            noisy = attackers.randomised_rates(trials, weights, epsilon, 2**bits)
            rates.append(noisy.assign(**names, attacker=attacker, epsilon=epsilon))
    table = pd.concat(rates, ignore_index=True)
    without_noise = table[(table["figure"] == "top1") & (table["epsilon"] == np.inf)]
    best = without_noise.loc[without_noise["value"].idxmax(), "attacker"]
    others = {
        "exposure": exposure.exposure_table(found[best], groups, weights),
        "ranks": ranks.rank_table(found[best], weights),
        "rank_disclosure": ranks.rank_disclosure(found[best], weights),
    }
    return {"rates": [table]} | {name: [part.assign(**names, attacker=best)] for name, part in others.items()}


def _own(params: Params, evidence: threats.Evidence) -> dict[tuple[str, int], Quantizer]:
    """The attacker's own quantisers, fitted to what he holds of the test speakers: one for each variant and bitrate."""
    enrolment = evidence.enrolment
    by_speaker = params.embeddings.unit == "speaker"
    vectors = (evidence.held if by_speaker else evidence.utterances[enrolment.held]).astype(np.float32)
    bits = [b for b in params.codebooks.bits if 2**b <= len(vectors)]
    if len(bits) < len(params.codebooks.bits):
        print(f"the attacker holds {len(vectors)} samples: quantisers of his own have {bits} bits only")
    quantizers: dict[tuple[str, int], Quantizer] = {}
    for method in params.codebooks.methods if bits else ():
        try:
            fitted = methods.fit(params, method, vectors, bits=bits, repeats=1, seed=params.attack.seed)
        except InputError as error:
            print(f"no {method} of the attacker's own: {error}")
            continue
        options = {"modes": params.resample.modes, "encodings": params.codes.encodings, "seed": params.attack.seed}
        made = {method: fitted} | variants.normalise(method, fitted, vectors, **options)
        for variant in set(made) & set(variant_names(params)):
            quantizers |= {(variant, b): one for b, (one,) in made[variant].items()}
    return quantizers


def _groups(params: Params, rows: pd.DataFrame, speakers: np.ndarray) -> pd.DataFrame:
    """Attributes of the enrolled speakers, in order: of those that do not change from one utterance to the next."""
    said_by = labels.speakers(rows)
    known = {name: labels.of(rows, name) for name in params.attributes.names}
    by_speaker = {
        name: pd.Series(values, index=said_by).groupby(level=0) for name, values in known.items() if values is not None
    }
    constant = {name: one.first() for name, one in by_speaker.items() if (one.nunique() <= 1).all()}
    return pd.DataFrame(constant, index=speakers)


def _write(found: Tables, attack: Path) -> None:
    with storage.replacing(attack) as folder:
        folder.mkdir()
        for name, columns in COLUMNS.items():
            parts = found.get(name) or [pd.DataFrame(columns=list(columns))]
            storage.save_table(folder / f"{name}.csv", tables.joined(parts, columns))


if __name__ == "__main__":
    run(main)
