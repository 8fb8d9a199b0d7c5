"""Audit of one array of codes: what do they disclose about the speakers who have them, and what may be promised?

    audit    codes -> Audit: metrics beside their floors, disclosure within groups, a certificate
    Audit    what was found; `str` says it in words, `headline` in flat figures for JSON
    write    Audit -> folder with JSON, CSV, figures, and a page that needs nothing else (`porcupine.report.audit`)

An audit counts speakers. Where some have several samples, the metrics are of all samples, with floors and errors that
respect that those of one speaker fall together; disclosure, groups and certificate are of one sample drawn from each.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from porcupine import figures, storage
from porcupine.errors import InputError
from porcupine.figures import audit as drawing
from porcupine.privacy import disclosure, floors, occupancy, summary
from porcupine.privacy.certificate import Certificate, by_audit
from porcupine.randomness import generator
from porcupine.report import audit as report

RECORD = "audit.json"
_ENDS = {"low": 0.975, "high": 0.025}  # share of infinite draws, above which that end of the 95 % band is infinite
MOST_GROUPS = 100  # of an attribute
MOST_DRAWN = 10**8  # samples drawn for a floor: fewer simulations beyond, `FEWEST_DRAWS` at least
FEWEST_DRAWS = 100


@dataclass(frozen=True)
class Audit:
    """What N codes of K disclose.

    distortion : what they cost, as it was given.
    simulations : draws behind each floor.
    codes : a row a code: `code`; `samples`, `speakers` (one sample each) and `bits` that it discloses, -log2 of its
        share of the speakers; `rank`, 1 for the rarest; `floor_low`, `floor_high`, bits (2.5 and 97.5 %) of the code of
        that rank where all are equally likely.
    occupancy : a row a metric, as in `porcupine.privacy.summary` with R = 1: value, standard_error, floors; without
        n_train no `calibrated_…` columns and no `cv_over_limit`.
    disclosure : a row a part and metric, as in `porcupine.privacy.disclosure.by_group`, and `attribute`, the column of
        the groups; all speakers come first. Of both tables, the quantiles of floors are of all draws: `…_high` is
        infinite where more than 2.5 % of these are.
    certificate : what can be promised, if the speakers had no part in the training of the code.
    """

    n_samples: int
    n_speakers: int
    n_codewords: int
    n_train: int | None
    distortion: float | None
    simulations: int
    codes: pd.DataFrame
    occupancy: pd.DataFrame
    disclosure: pd.DataFrame
    certificate: Certificate

    @property
    def bits(self) -> float:
        """B = log2 K, what even codes disclose."""
        return math.log2(self.n_codewords)

    @property
    def counts(self) -> np.ndarray:
        """Samples on each code, int [K]."""
        return self.codes["samples"].to_numpy()

    @property
    def worst_groups(self) -> pd.DataFrame:
        """Worst case within each group; `above_floor` where codes even within it would show less: these first."""
        rows = self.disclosure
        rows = rows[(rows["part"] == "group") & (rows["metric"] == "worst_case_bits")]
        order = ["above_floor", "value", "n_speakers"]
        return rows.assign(above_floor=rows["value"] > rows["floor_high"]).sort_values(
            order, ascending=False, kind="stable"
        )

    def within_floor(self, name: str) -> bool:
        """Whether a metric that is high where codes are uneven could be that of codes as even as they can be made."""
        row = self.metric(name)
        return bool(row["value"] <= row["floor_high" if self.n_train is None else "calibrated_high"])

    def metric(self, name: str) -> dict[Hashable, Any]:
        """One row of `occupancy`."""
        return self.occupancy.set_index("metric").loc[name].to_dict()

    def headline(self) -> dict[str, Any]:
        """Flat figures for JSON. What is infinite or cannot be said is None, with a `…_reason` beside it."""
        record: dict[str, Any] = {name: getattr(self, name) for name in ("n_samples", "n_speakers", "n_codewords")}
        record |= {"bits": round(self.bits, 6), "n_train": self.n_train, "distortion": self.distortion}
        worst = self.metric("worst_case_bits")
        empty = f"infinite: nobody has {int(self.metric('n_empty')['value'])} of {self.n_codewords} codes"
        _put(record, "worst_case_bits", worst["value"], empty)
        _put(record, "worst_case_standard_error", worst["standard_error"], "an empty code is too likely")
        for prefix in ("floor", "calibrated") if self.n_train is not None else ("floor",):
            _put(record, f"{prefix}_low_bits", worst[f"{prefix}_low"], "infinite: even such codes are empty")
            _put(record, f"{prefix}_high_bits", worst[f"{prefix}_high"], "infinite: even such codes may be empty")
        record["worst_case_within_floor"] = self.within_floor("worst_case_bits")
        record["spread_within_floor"] = self.within_floor("std")
        for name in ("average_bits", *(() if self.n_train is None else ("cv_over_limit",))):
            record[name] = round(self.metric(name)["value"], 6)
        record["n_empty"] = int(self.metric("n_empty")["value"])
        record["smallest_set"] = int(self.codes["speakers"].min())
        groups = self.worst_groups
        record |= {"n_groups": len(groups), "n_groups_above_floor": int(groups["above_floor"].sum())}
        if len(groups):
            most = groups.iloc[0]
            record["worst_group"] = f"{most['attribute']}: {most['group']}"
            _put(record, "worst_group_bits", most["value"], f"infinite: none of its {most['n_speakers']} has some code")
        promised = self.certificate.to_dict()
        record["confidence"] = promised["confidence"]
        _put(record, "certified_bits", promised["worst_case_bits"], promised.get("worst_case_bits_reason", ""))
        record["certified_set"] = promised["smallest_set"]
        if "smallest_set_reason" in promised:
            record["certified_set_reason"] = promised["smallest_set_reason"]
        return record | {name: promised[name] for name in ("n_further_speakers", "n_evidence_speakers")}

    def __str__(self) -> str:
        return " ".join(report.sentences(self))


def audit(
    codes: np.ndarray,
    n_codewords: int,
    *,
    n_train: int | None = None,
    groups: pd.DataFrame | None = None,
    speakers: np.ndarray | None = None,
    distortion: float | None = None,
    alpha: float = 0.05,
    population: int = 10_000,
    simulations: int = 1000,
    bootstrap: int = 200,
    seed: int = 0,
) -> Audit:
    """Measure what codes disclose.

    codes : int [N]. n_codewords : K.
    n_train : samples that the quantiser was trained on, for the calibrated floor; None where that is not known.
    groups : N rows, a column an attribute (gender, accent, …); None, NaN and "" are missing.
    speakers : [N]; None, NaN and "" are a speaker each, and so are all samples where it is None.
    distortion : anything that tells what the codes cost, such as a mean squared error; reported as it is.
    alpha : the certificate holds with confidence 1-α. population : further speakers that it speaks of.
    simulations : draws behind each floor; fewer where they were more than `MOST_DRAWN` samples.
    bootstrap : resamples of the speakers behind each standard error.
    Raises InputError where codes, groups and speakers do not fit, or an attribute has more than `MOST_GROUPS` groups.
    """
    codes = np.asarray(codes)
    if codes.ndim != 1:
        raise InputError(f"codes have shape {codes.shape}, should be [N], one a sample")
    for name, value, least in (("n_train", n_train, 1), ("simulations", simulations, 2), ("bootstrap", bootstrap, 2)):
        if value is not None and value < least:
            raise InputError(f"{name}={value}, should be >= {least}")
    if distortion is not None and not math.isfinite(distortion):
        raise InputError(f"distortion={distortion}, should be finite: leave it out where it is not known")
    counts = occupancy.count_codes(codes, n_codewords)
    labels = _labels(groups, len(codes))
    speaker = _speaker(speakers, len(codes))
    if speaker is not None:  # together in memory, which is twice as fast
        order = np.argsort(speaker, kind="stable")
        codes, speaker, labels = codes[order], speaker[order], labels.iloc[order] if len(labels) else labels
    one = slice(None) if speaker is None else _one_each(speaker, generator(seed, "one sample a speaker"))
    own = codes[one]
    draws = min(
        simulations, max(FEWEST_DRAWS, MOST_DRAWN // max(10 * n_codewords, 0 if speaker is None else len(codes)))
    )
    drawn = {"simulations": draws, "bootstrap": bootstrap}
    metrics = summary.occupancy_table(
        codes[None],
        n_codewords,
        n_train=n_train or len(codes),
        speakers=speaker,
        rng=generator(seed, "occupancy"),
        **drawn,
    )
    if n_train is None:  # what says how the codes compare with others of that training set
        metrics = metrics[metrics["metric"] != "cv_over_limit"].filter(regex="^(?!calibrated_)")
    metrics.insert(2, "value", metrics["mean"].where(metrics["n_infinite"] == 0, np.inf))
    n_speakers = np.bincount(own, minlength=n_codewords)
    named = disclosure.by_group(own, np.full(len(own), ""), n_codewords, rng=generator(seed, "all"), **drawn)
    tables = [named[named["part"] == "all"].assign(attribute="")]
    for name in labels.columns.astype(str):
        named = disclosure.by_group(
            own, labels[name].to_numpy()[one], n_codewords, rng=generator(seed, "groups", name), **drawn
        )
        tables.append(named[named["part"] != "all"].assign(attribute=name))
    by_group = pd.concat(tables, ignore_index=True)
    by_group.insert(0, "attribute", by_group.pop("attribute"))
    return Audit(
        n_samples=len(codes),
        n_speakers=len(own),
        n_codewords=int(n_codewords),
        n_train=None if n_train is None else int(n_train),
        distortion=None if distortion is None else float(distortion),
        simulations=draws,
        codes=_by_code(counts, n_speakers, draws, generator(seed, "codes")),
        occupancy=_of_all_draws(metrics.drop(columns=["mean", "low", "high", "n_infinite"]).reset_index(drop=True)),
        disclosure=_of_all_draws(by_group),
        certificate=by_audit(n_speakers, n_further=population, alpha=alpha),
    )


def write(
    audit: Audit,
    folder: str | Path,
    *,
    title: str = "Audit of codes",
    provenance: Mapping[str, Any] | None = None,
    dpi: int = 120,
) -> list[Path]:
    """Write `report.html`, `audit.json`, tables as CSV and figures to a folder, which appears whole; return the files.

    An earlier audit in the folder is replaced.

    provenance : what to say of where the codes come from; strings, numbers, None, and mappings of these.
    dpi : of the PNG figures; the page has the SVG ones.
    Raises InputError where the folder holds anything but an earlier audit.
    """
    folder = Path(folder).resolve()
    require_replaceable(folder)
    tables = {"occupancy": audit.occupancy, "disclosure": audit.disclosure, "codes": audit.codes}
    drawn = {
        "counts": drawing.counts(audit.codes["speakers"].to_numpy()),
        "codes": drawing.ranked(audit.codes, audit.certificate),
    }
    if len(audit.worst_groups):
        drawn["groups"] = drawing.groups(audit.disclosure, audit.n_codewords)
    with storage.replacing(folder) as temporary:
        temporary.mkdir()
        for name, table in tables.items():
            storage.save_table(temporary / f"{name}.csv", table)
        for name, figure in drawn.items():
            figures.save(figure, temporary / name, dpi=dpi)
        vectors = {name: (temporary / f"{name}.svg").read_text(encoding="utf-8") for name in drawn}
        page = report.page(audit, vectors, title=title, provenance=provenance or {})
        (temporary / "report.html").write_text(page, encoding="utf-8")
        names = sorted([path.name for path in temporary.iterdir()] + [RECORD])
        record = {"title": title, "headline": audit.headline(), "provenance": provenance or {}, "files": names}
        storage.save_json(temporary / RECORD, record)
    return [folder / name for name in names]


def require_replaceable(folder: Path) -> None:
    """Raise InputError where the folder holds something that no earlier audit wrote."""
    if not folder.exists():
        return
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    earlier = storage.load_json(folder / RECORD).get("files", []) if (folder / RECORD).is_file() else []
    if others := sorted(present - set(earlier)):
        raise InputError(
            f"{folder} holds {others[0]}{' and more' * (len(others) > 1)}, which no earlier audit wrote: "
            "choose another folder, or empty this one"
        )


def _labels(groups: pd.DataFrame | None, n_samples: int) -> pd.DataFrame:
    if groups is None:
        return pd.DataFrame()
    if len(groups) != n_samples:
        raise InputError(f"groups have {len(groups)} rows, should have {n_samples}, one a code")
    labels = groups.set_axis([str(name) for name in groups.columns], axis=1).astype(object)
    for name in labels.columns:
        if (labels.columns == name).sum() > 1:
            raise InputError(f"groups have two columns {name!r}: name each attribute once")
        if (n_groups := labels[name].nunique()) > MOST_GROUPS:
            raise InputError(
                f"groups: column {name!r} has {n_groups} different labels, more than {MOST_GROUPS}: "
                "leave it out, or put them together in fewer groups"
            )
    return labels


def _speaker(speakers: np.ndarray | None, n_samples: int) -> np.ndarray | None:
    """Number of the speaker of each sample, int [N]; None where each has one of its own."""
    if speakers is None:
        return None
    names = pd.Series(np.asarray(speakers, dtype=object))
    if len(names) != n_samples:
        raise InputError(f"speakers have {len(names)} entries, should have {n_samples}, one a code")
    speaker, known = pd.factorize(names.mask(names == ""))
    nameless = speaker < 0
    speaker[nameless] = len(known) + np.arange(nameless.sum())
    n_speakers = len(known) + nameless.sum()
    if n_speakers < 2:
        raise InputError("all samples are of one speaker: an audit needs at least two")
    return speaker if n_speakers < n_samples else None


def _one_each(speaker: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Index of one sample of each speaker, drawn at random, int [S], rising."""
    order = rng.permutation(len(speaker))
    return np.sort(order[np.unique(speaker[order], return_index=True)[1]])


def _by_code(samples: np.ndarray, speakers: np.ndarray, draws: int, rng: np.random.Generator) -> pd.DataFrame:
    uniform = floors.binomial(int(speakers.sum()), len(speakers), draws=draws, rng=rng)
    place = np.argsort(np.argsort(speakers, kind="stable"))
    bits = np.sort(disclosure.code_bits(uniform), axis=1)[:, ::-1]
    low, high = np.quantile(bits, [0.025, 0.975], axis=0, method="nearest")  # no average with what is infinite
    return pd.DataFrame(
        {
            "code": np.arange(len(speakers)),
            "samples": samples,
            "speakers": speakers,
            "bits": disclosure.code_bits(speakers),
            "rank": place + 1,
            "floor_low": low[place],
            "floor_high": high[place],
        }
    )


def _of_all_draws(table: pd.DataFrame) -> pd.DataFrame:
    """The quantiles of floors with their infinite draws."""
    for share in table.columns[table.columns.str.endswith("_infinite")]:
        for end, most in _ENDS.items():
            name = share.replace("infinite", end)
            table = table.assign(**{name: table[name].mask(table[share] > most, np.inf)})
    return table


def _put(record: dict[str, Any], name: str, value: float | None, reason: str) -> None:
    finite = value is not None and math.isfinite(value)
    record[name] = round(float(value), 6) if finite and value is not None else None
    if not finite:
        record[f"{name}_reason"] = reason
