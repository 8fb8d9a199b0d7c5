"""Certificates for people.

headline   bits and speakers a code that are certified, for `dvc metrics diff`
table      what is certified of each variant at one bitrate, or why nothing
sentence   that of one variant in words
section    of the page
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from porcupine.privacy.certificate import Certificate
from porcupine.quantizers.variants import HEADLINE
from porcupine.report.cells import number


def headline(certificates: pd.DataFrame, *, bits: int) -> dict[str, Any]:
    """Name the bits and the speakers a code that are certified at a bitrate.

    certificates : the table of the stage of that name. Named are all by construction and, by audit, the variants that
        are `porcupine.quantizers.variants.HEADLINE`; where a run has none of these, all.
    What cannot be promised is None, with a reason beside it.
    """
    record: dict[str, Any] = {"bits": bits}
    rows = _certified_at(certificates, bits)
    shown = rows["variant"].isin(HEADLINE)
    for row in (rows[shown | (rows["way"] == "construction")] if shown.any() else rows).to_dict("records"):
        entry, way = record.setdefault(row["variant"], {}), row["way"]
        entry[f"{way}_bits"] = None if pd.isna(row["bits_certified"]) else round(row["bits_certified"], 6)
        entry[f"{way}_k"] = None if pd.isna(row["k"]) else int(row["k"])
        if row["reason"]:
            entry[f"{way}_reason"] = row["reason"]
    return record


def table(certificates: pd.DataFrame, *, bits: int) -> str:
    """Certificates at one bitrate as Markdown: a row for each variant and way, then the reasons where there is none."""
    rows = _certified_at(certificates, bits)
    lines = ["| codes | by | certified bits | k | distortion | speakers behind it |", "|---" * 6 + "|"]
    for row in rows.to_dict("records"):
        told = ["none" if pd.isna(row["bits_certified"]) else f"{math.ceil(100 * row['bits_certified']) / 100:.2f}"]
        told += ["none" if pd.isna(row["k"]) or row["k"] == 0 else str(int(row["k"]))]
        told += ["none" if pd.isna(row["mse"]) else number(row["mse"], 4)]
        lines.append(f"| {row['variant']} | {row['way']} | {' | '.join(told)} | {row['n_evidence']} |")
    lines.append(f"| *ideal* | | {bits} | {rows['k_ideal'].iloc[0]} | | |")
    refused = rows[rows["reason"] != ""].groupby(["way", "reason"], sort=False)
    why = [f"- {', '.join(these['variant'])}, by {way}: {reason}." for (way, reason), these in refused]
    return "\n".join([*lines, *(["", *why] if why else [])])


def sentence(certificates: pd.DataFrame, *, bits: int) -> str:
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


def section(certificates: pd.DataFrame, bits: int) -> str:
    """What may be promised at one bitrate, under a title."""
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
        f"speaker each.\n\n{table(certificates, bits=bits)}"
        f"\n\n{sentence(certificates, bits=bits)}"
    ).rstrip()
