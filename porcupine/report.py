"""Tables for people: the headline of a run, and its results as Markdown.

headline              the figures to compare two runs by, for `dvc metrics diff`
certificate_headline  likewise, of the certificates
tradeoff_table        distortion against uniformity at each bitrate
certificate_table     what is certified of each variant at one bitrate, or why nothing
certificate_sentence  that of one variant in words
occupancy_table       a metric at each bitrate beside its floors
attack_table          identification and verification rates at each bitrate
summary               all of them on one page
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from porcupine.privacy.certificate import Certificate

SECTIONS = {
    "worst_case_bits": "Worst-case disclosure, bits (−log2 of the share of the rarest code; ∞: some code is empty)",
    "worst_case_plus_one_bits": "Worst-case disclosure as published, bits (with +1, which hides empty codes)",
    "average_bits": "Average disclosure, bits",
    "kl_bits": "KL divergence of the counts from the binomial, bits",
    "std": "Std of the counts, samples",
    "cv_over_limit": "Spread of the cell probabilities over the sampling limit (1: as even as the training set allows)",
    "n_empty": "Empty codes",
    "mse": "Distortion, mean squared error a dimension, squared embedding units",
}

FEW_ATTACKED = " **With {} attacked speakers these rates and intervals say little.**"


def headline(metrics: pd.DataFrame, attack: pd.DataFrame, *, n_train: int, n_test: int) -> dict[str, Any]:
    """Name the figures to compare two runs by: those of each variant at the highest bitrate that this sample can tell.

    metrics, attack : the tables of the stages of that name. Infinite values are None, with a reason beside them.
    """
    bits = _highest_telling_bits(metrics)
    record: dict[str, Any] = {"bits": bits, "n_train": n_train, "n_test": n_test}
    raw = attack[attack["variant"] == "raw"].set_index("figure")["value"]
    if len(raw):
        record["raw"] = {name: round(float(raw[name]), 6) for name in ("top1", "eer")}
    for variant in metrics["variant"].unique():
        rows = metrics[(metrics["variant"] == variant) & (metrics["bits"] == bits)].set_index("metric")
        entry: dict[str, Any] = {}
        for name in ("worst_case_bits", "worst_case_plus_one_bits", "cv_over_limit"):
            n_infinite = int(rows.loc[name, "n_infinite"])
            entry[name] = None if n_infinite else round(float(rows.loc[name, "mean"]), 6)
            if n_infinite:
                entry[f"{name}_reason"] = f"infinite: some codes are empty in {n_infinite} repeats"
        attacked = attack[(attack["variant"] == variant) & (attack["bits"] == bits)].set_index("figure")["value"]
        entry |= {name: round(float(attacked[name]), 6) for name in ("top1", "eer") if name in attacked}
        record[variant] = entry
    return record


def certificate_headline(certificates: pd.DataFrame, *, bits: int) -> dict[str, Any]:
    """Name the bits and the speakers a code that are certified of each variant at a bitrate, each way.

    certificates : the table of the stage of that name. What cannot be promised is None, with a reason beside it.
    """
    record: dict[str, Any] = {"bits": bits}
    for row in _certified_at(certificates, bits).to_dict("records"):
        entry, way = record.setdefault(row["variant"], {}), row["way"]
        entry[f"{way}_bits"] = None if pd.isna(row["bits_certified"]) else round(row["bits_certified"], 6)
        entry[f"{way}_k"] = None if pd.isna(row["k"]) else int(row["k"])
        if row["reason"]:
            entry[f"{way}_reason"] = row["reason"]
    return record


def _highest_telling_bits(metrics: pd.DataFrame) -> int:
    """Highest bitrate at which under 1 in 20 calibrated uniform codes would have an empty cell; else the lowest."""
    worst = metrics[metrics["metric"] == "worst_case_bits"].groupby("bits")["calibrated_infinite"].max()
    telling = worst.index[worst < 0.05]
    return int(telling.max() if len(telling) else worst.index.min())


def tradeoff_table(metrics: pd.DataFrame, *, reference: str = "vq") -> str:
    """Distortion and spread as Markdown: a row for each variant, a cell `distortion / cv_over_limit` for each bitrate.

    Distortion is relative to that of the variant ``reference`` at the bitrate; absolute where there is none.
    """
    distortion, spread = (
        metrics[metrics["metric"] == metric].pivot(index="variant", columns="bits", values="mean")
        for metric in ("mse", "cv_over_limit")
    )
    if reference in distortion.index:
        distortion = distortion / distortion.loc[reference]
    lines = ["| | " + " | ".join(f"{b} bits" for b in distortion) + " |", "|---" * (len(distortion.columns) + 1) + "|"]
    for variant in metrics["variant"].unique():
        pairs = zip(distortion.loc[variant], spread.loc[variant], strict=True)
        lines.append(f"| {variant} | " + " | ".join(f"{error:.3f} / {cv:.2f}" for error, cv in pairs) + " |")
    return "\n".join(lines)


def certificate_table(certificates: pd.DataFrame, *, bits: int) -> str:
    """Certificates at one bitrate as Markdown: a row for each variant and way, then the reasons where there is none."""
    rows = _certified_at(certificates, bits)
    lines = ["| codes | by | certified bits | k | distortion | speakers behind it |", "|---" * 6 + "|"]
    for row in rows.to_dict("records"):
        told = ["none" if pd.isna(row["bits_certified"]) else f"{math.ceil(100 * row['bits_certified']) / 100:.2f}"]
        told += ["none" if pd.isna(row["k"]) or row["k"] == 0 else str(int(row["k"]))]
        told += ["none" if pd.isna(row["mse"]) else _number(row["mse"], 4)]
        lines.append(f"| {row['variant']} | {row['way']} | {' | '.join(told)} | {row['n_evidence']} |")
    lines.append(f"| *ideal* | | {bits} | {rows['k_ideal'].iloc[0]} | | |")
    refused = rows[rows["reason"] != ""].groupby(["way", "reason"], sort=False)
    why = [f"- {', '.join(these['variant'])}, by {way}: {reason}." for (way, reason), these in refused]
    return "\n".join([*lines, *(["", *why] if why else [])])


def certificate_sentence(certificates: pd.DataFrame, *, bits: int) -> str:
    """What one may say of the codes of a bitrate, of the variant of least distortion; empty where nothing.

    By construction where there is one, since its bits are known before the data; never chosen by its own audit.
    """
    rows = _certified_at(certificates, bits).dropna(subset="bits_certified")
    if rows.empty:
        return ""
    best = rows.sort_values(["way", "mse"], ascending=[False, True]).iloc[0]
    made = Certificate(
        best["way"],
        2**bits,
        best["alpha"],
        best["bits_certified"],
        int(best["k"]),
        best["population"],
        best["n_evidence"],
    )
    return f"> `{best['variant']}`, {bits} bits: {made}"


def _certified_at(certificates: pd.DataFrame, bits: int) -> pd.DataFrame:
    rows = certificates[certificates["bits"] == bits]
    return rows.assign(reason=rows["reason"].astype(object).fillna(""))  # as stored: NaN where there is none


def occupancy_table(metrics: pd.DataFrame, metric: str, *, digits: int = 3) -> str:
    """One metric as Markdown: a row for each variant with mean [95 % of repeats] ± standard error, and the floors."""
    rows = metrics[metrics["metric"] == metric]
    bits = sorted(rows["bits"].unique())
    lines = ["| | " + " | ".join(f"{b} bits" for b in bits) + " |", "|---" * (len(bits) + 1) + "|"]
    for variant in rows["variant"].unique():
        cells = [_cell(rows, variant, b, digits) for b in bits]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    if rows["floor_mean"].notna().any():
        for prefix, label in (
            ("floor", "floor, uniform codes"),
            ("calibrated", "floor, calibrated on the training set"),
        ):
            cells = [_floor_cell(rows[rows["bits"] == b], prefix, digits) for b in bits]
            lines.append(f"| *{label}* | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(rows: pd.DataFrame, variant: str, bits: int, digits: int) -> str:
    row = rows[(rows["variant"] == variant) & (rows["bits"] == bits)].iloc[0]
    if math.isnan(row["mean"]):
        return "∞"
    text = f"{_number(row['mean'], digits)} [{_number(row['low'], digits)}, {_number(row['high'], digits)}]"
    if not math.isnan(row.get("standard_error", math.nan)):
        text += f" ± {_number(row['standard_error'], digits)}"
    return text + (f" (∞ in {int(row['n_infinite'])})" if row["n_infinite"] else "")


def _floor_cell(rows: pd.DataFrame, prefix: str, digits: int) -> str:
    # With clustered samples each variant has its own floor; the widest is shown.
    mean, low, high = rows[f"{prefix}_mean"].mean(), rows[f"{prefix}_low"].min(), rows[f"{prefix}_high"].max()
    infinite = rows[f"{prefix}_infinite"].max()
    if math.isnan(mean):
        return "∞"
    text = f"{_number(mean, digits)} [{_number(low, digits)}, {_number(high, digits)}]"
    return text + (f" (∞ in {100 * infinite:.3g} %)" if infinite else "")


def attack_table(attack: pd.DataFrame) -> str:
    """Rates as Markdown, in percent with 95 % intervals; a row for each system, chance last."""
    names = {"top1": "top-1 %", "top5": "top-5 %", "eer": "EER %"}
    lines = ["| codes | bits | " + " | ".join(names.values()) + " |", "|---|---|---|---|---|"]
    for (variant, bits), rows in attack.groupby(["variant", "bits"], sort=False):
        percent = 100 * rows.set_index("figure").loc[list(names), ["value", "low", "high"]]
        cells = [f"{value:.1f} [{low:.1f}, {high:.1f}]" for value, low, high in percent.to_numpy()]
        lines.append(f"| {variant} | {bits or '–'} | " + " | ".join(cells) + " |")
    chance = attack.drop_duplicates("figure").set_index("figure")["chance"]
    lines.append("| *chance* | | " + " | ".join(f"{100 * chance[f]:.3g}" for f in names) + " |")
    return "\n".join(lines)


def _number(value: float, digits: int) -> str:
    return f"{0 if abs(value) < 1e-6 else value:.{digits}g}"


def summary(
    metrics: pd.DataFrame, attack: pd.DataFrame, certificates: pd.DataFrame, *, corpus: str, n_test: int
) -> str:
    """All results of a run, the tables of three stages, as one Markdown page."""
    parts = [
        f"# Results on `{corpus}`, {n_test} test samples",
        "Each cell: mean over the repeats [their 2.5 and 97.5 % quantiles] ± standard error of one repeat, by "
        "resampling the test speakers. Floors: what perfectly uniform codes give in a sample of this size, mean "
        "[95 % band]. *∞ in*: so many repeats, or draws of a floor, are infinite and left out of the mean.",
    ]
    relative = "relative to that of `vq`" if (metrics["variant"] == "vq").any() else "squared embedding units"
    parts.append(
        f"## Distortion against uniformity\n\nMeans over the repeats: distortion, {relative} / spread of the cell "
        f"probabilities over the sampling limit (1: as even as the training set allows).\n\n{tradeoff_table(metrics)}"
    )
    parts.append(_certificate_section(certificates, _highest_telling_bits(metrics)))
    parts += [f"## {title}\n\n{occupancy_table(metrics, metric)}" for metric, title in SECTIONS.items()]
    if len(attack):
        speakers, attacked, probes = attack[["n_speakers", "n_attacked", "n_probes"]].iloc[0]
        few = FEW_ATTACKED.format(attacked) if attacked < 10 else ""
        parts.append(
            f"## Who is it? Attacker with raw enrolment of all {speakers} test speakers\n\n"
            f"{probes} other utterances of {attacked} of them. 95 % intervals over resampled speakers and repeats. "
            f"`raw` is the embedding before quantisation.{few}\n\n" + attack_table(attack)
        )
    else:
        parts.append(
            "## Who is it?\n\nNo attack: it needs speaker labels, and test speakers with at least two utterances."
        )
    return "\n\n".join(parts) + "\n"


def _certificate_section(certificates: pd.DataFrame, bits: int) -> str:
    title = f"## May these codes be released? Certificates at {bits} bits"
    if certificates.empty:
        return f"{title}\n\nNone: a certificate counts speakers, with one sample each, in one part of the data each."
    alpha, population = certificates[["alpha", "population"]].iloc[0]
    return (
        f"{title}\n\nAt {100 * (1 - alpha):.4g} % confidence no code discloses more than the certified bits about a "
        f"speaker, and at least k of {population:.0f} further speakers share each code; each of the two, and each row, "
        "by itself. *Construction*: thresholds from training speakers who did not shape the cells; its bits follow "
        "from their number alone. *Audit*: by the codes of the test speakers, first repeat. Choose the variant before "
        "its audit: the best of several promises more than it holds. Samples without a speaker label count as a "
        f"speaker each.\n\n{certificate_table(certificates, bits=bits)}"
        f"\n\n{certificate_sentence(certificates, bits=bits)}"
    ).rstrip()
