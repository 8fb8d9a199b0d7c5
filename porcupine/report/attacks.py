"""What attackers learn, as Markdown.

    rates_table          identification and verification by the strongest attacker, at each bitrate
    threats_table        how much the attacker and what they know matter, at one bitrate
    exposure_table       who is least protected
    attributes_table     what else is read from a code
    groups_table         disclosure within groups of speakers
    observations_table   several utterances of one speaker
    randomised_table     randomised response on the code
    section              of the page: all of these at one bitrate

Tables that would be long show a few variants: those of `SHOWN` among them, or else all; and of who is exposed no
attribute with more than `MOST_GROUPS` groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from porcupine.privacy.attackers import strongest
from porcupine.report.cells import interval, markdown, percent

RAW = "raw"
SHOWN = ("vq", "sfvq-faithful-nearest", "sfvq-exact-interval", "tree", "balanced")
FEWER = ("vq", "sfvq-faithful-nearest", "balanced")
MOST_GROUPS = 5
FEW_ATTACKED = " **With {} attacked speakers these rates and intervals say little.**"
_RATES = {"top1": "top-1 %", "top5": "top-5 %", "top10": "top-10 %", "eer": "EER %"}


class Tables(NamedTuple):
    """What the stages attack, attributes, disclosure and plane wrote; empty tables where they were skipped."""

    rates: pd.DataFrame
    exposure: pd.DataFrame
    ranks: pd.DataFrame
    rank_disclosure: pd.DataFrame
    attributes: pd.DataFrame
    information: pd.DataFrame
    groups: pd.DataFrame
    observations: pd.DataFrame
    plane: pd.DataFrame


def rates_table(rates: pd.DataFrame) -> str:
    """Rates of the strongest attacker in percent with 95 % intervals; a row for each system, chance last."""
    best = _in_order(strongest(rates[rates["epsilon"] == math.inf]), rates)
    lines = [f"| codes | bits | {' | '.join(_RATES.values())} | strongest, by top-1 |", "|---" * 7 + "|"]
    for (variant, bits), rows in best.groupby(["variant", "bits"], sort=False):
        by_figure = rows.set_index("figure")
        who = "{attacker}, {threat}".format(**by_figure.loc["top1"])
        cells = [percent(*by_figure.loc[name, ["value", "low", "high"]]) for name in _RATES]
        lines.append(f"| {variant} | {bits or '–'} | {' | '.join(cells)} | {who} |")
    chance = best.drop_duplicates("figure").set_index("figure")["chance"]
    lines.append(f"| *chance* | | {' | '.join(f'{100 * chance[name]:.3g}' for name in _RATES)} | |")
    return "\n".join(lines)


def threats_table(rates: pd.DataFrame, *, bits: int) -> str:
    """Top-1 identification in percent: a row for each variant, a column for each attacker and threat model."""
    rows = rates[(rates["figure"] == "top1") & (rates["epsilon"] == math.inf) & rates["bits"].isin([0, bits])]
    rows = _few(rows, besides=(RAW,))
    columns = list(rows[["threat", "attacker"]].drop_duplicates().itertuples(index=False, name=None))
    values = rows.set_index(["variant", "threat", "attacker"])
    cells = {
        variant: [
            percent(*values.loc[(variant, *column), ["value", "low", "high"]])
            if (variant, *column) in values.index
            else "–"
            for column in columns
        ]
        for variant in rows["variant"].unique()
    }
    return markdown([f"{attacker}, {threat}" for threat, attacker in columns], cells)


def exposure_table(exposure: pd.DataFrame, *, bits: int) -> str:
    """Bits that the attacker who learns most learns: of all, of each group where it is known, of the most exposed."""
    rows = exposure[
        exposure["bits"].isin([0, bits]) & (~exposure["attribute"].map(_named) | (exposure["among"] == "group"))
    ]
    rows = _in_order(_most_learnt(_few(rows, besides=(RAW,), shown=FEWER)).dropna(subset="bits_learnt"), exposure)
    n_groups = rows.groupby("attribute")["group"].transform("nunique")
    rows = rows[~(n_groups > MOST_GROUPS)]
    lines = ["| codes | speakers | among | attacked | bits learnt | of the most exposed 1 % | top-1 % | chance % |"]
    lines.append("|---" * 8 + "|")
    for row in rows.to_dict("records"):
        group = f"{row['attribute']}: {row['group']}" if _named(row["attribute"]) else "all"
        learnt = interval(row["bits_learnt"], row["bits_low"], row["bits_high"])
        exposed = interval(row["exposed"], row["exposed_low"], row["exposed_high"])
        top1 = percent(row["top1"], row["top1_low"], row["top1_high"])
        among = f"{row['among']} ({row['n_speakers']})"
        lines.append(
            f"| {row['variant']} | {group} | {among} | {row['n_attacked']} | {learnt} | {exposed} | {top1} "
            f"| {100 * row['chance']:.3g} |"
        )
    return "\n".join(lines)


def attributes_table(attributes: pd.DataFrame, information: pd.DataFrame, *, bits: int) -> str:
    """Unweighted average recall of the strongest classifier in percent, and I(code; attribute) in bits with p-value."""
    uar = attributes[(attributes["figure"] == "uar") & attributes["bits"].isin([0, bits])]
    uar = uar.loc[uar.groupby(["variant", "attribute"], sort=False)["value"].idxmax()]
    uar = _few(uar, besides=(RAW,)).set_index(["variant", "attribute"])
    told = information[information["bits"] == bits].set_index(["variant", "attribute"])
    names = list(dict.fromkeys(uar.index.get_level_values("attribute")))
    cells: dict[str, list[str]] = {}
    for variant in dict.fromkeys(uar.index.get_level_values("variant")):
        cells[variant] = []
        for name in names:
            found = (variant, name) in uar.index
            cell = percent(*uar.loc[(variant, name), ["value", "low", "high"]]) if found else "–"
            if (variant, name) in told.index and not math.isnan(told.loc[(variant, name), "bits_disclosed"]):
                row = told.loc[(variant, name)]
                cell += f"; {interval(row['bits_disclosed'], row['low'], row['high'])} bits, p {row['p_value']:.2g}"
            cells[variant].append(cell)
    chance = uar.reset_index().drop_duplicates("attribute").set_index("attribute")["chance"]
    cells["*chance*"] = [f"{100 * chance[name]:.3g}; 0 bits" for name in names]
    return markdown(names, cells)


def groups_table(groups: pd.DataFrame, *, bits: int) -> str:
    """Worst-case disclosure within each group, bits, and the floor of a code that is uniform within it."""
    rows = groups[(groups["metric"] == "worst_case_bits") & (groups["bits"] == bits)]
    rows = _few(rows)
    rows = rows[(rows["part"] == "group") | (rows["attribute"] == rows["attribute"].iloc[0])]  # one row of all
    rows = rows.assign(
        title=[
            f"{f'{attribute}: {group}' if part == 'group' else 'all'} ({n})"
            for attribute, part, group, n in zip(
                rows["attribute"], rows["part"], rows["group"], rows["n_speakers"], strict=True
            )
        ]
    )
    columns = list(rows["variant"].unique())
    cells: dict[str, list[str]] = {}
    for title, part in rows.groupby("title", sort=False):
        values = part.set_index("variant")
        cells[str(title)] = [_bits(values.loc[name, "value"], values.loc[name, "standard_error"]) for name in columns]
        low, high = values["floor_low"].min(), values["floor_high"].max()
        mean = values["floor_mean"].mean()
        cells[str(title)].append("∞" if math.isnan(mean) else interval(mean, low, high))
    return markdown([*columns, "*floor, uniform within it*"], cells)


def observations_table(observations: pd.DataFrame, *, bits: int) -> str:
    """Bits by n utterances, from below to above, with top-1; and what one code a speaker leaves."""
    rows = _few(observations[observations["bits"] == bits])
    lines = [
        "| codes | n | speakers | bits, attacker's [95 %] | at most | of the most exposed 1 % | top-1 % | chance % |"
    ]
    lines[0] += " one code kept: bits | top-1 % |"
    lines.append("|---" * 10 + "|")
    for row in rows.to_dict("records"):
        learnt = interval(row["lower"], row["lower_low"], row["lower_high"])
        kept = interval(row["one_code_lower"], row["one_code_lower_low"], row["one_code_lower_high"])
        lines.append(
            f"| {row['variant']} | {row['n']} | {row['n_speakers']} | {learnt} | {row['upper']:.2f} "
            f"| {row['exposed']:.2f} | {100 * row['top1']:.1f} | {100 * row['chance']:.3g} | {kept} "
            f"| {100 * row['one_code_top1']:.1f} |"
        )
    return "\n".join(lines)


def randomised_table(plane: pd.DataFrame, *, bits: int) -> str:
    """Randomised response on the codes: what each ε costs in distortion, and what it hides."""
    rows = _few(plane[plane["bits"] == bits])
    lines = [
        "| codes | ε | distortion, of the variance | worst case, bits | average, bits | top-1 % |",
        "|---" * 6 + "|",
    ]
    for row in rows.to_dict("records"):
        epsilon = "none" if row["epsilon"] == math.inf else f"{row['epsilon']:g}"
        worst = "∞" if not math.isfinite(row["worst_case_bits"]) else f"{row['worst_case_bits']:.2f}"
        lines.append(
            f"| {row['variant']} | {epsilon} | {row['mse']:.3f} | {worst} | {row['average_bits']:.2f} "
            f"| {percent(row['top1'], row['top1_low'], row['top1_high'])} |"
        )
    return "\n".join(lines)


def section(tables: Tables, *, bits: int) -> str:
    """All tables at one bitrate, with what to know to read them."""
    if tables.rates.empty:
        return "## Who is it?\n\nNo attack: it needs speaker labels, and test speakers with at least two utterances."
    speakers, attacked, probes = tables.rates[["n_speakers", "n_attacked", "n_probes"]].iloc[0]
    few = FEW_ATTACKED.format(attacked) if attacked < 10 else ""
    parts = [
        f"## Who is it? The strongest attacker, who holds raw recordings of all {speakers} test speakers\n\n"
        f"{probes} other utterances of {attacked} of them. 95 % intervals over resampled speakers and repeats. "
        "`raw` is the embedding before quantisation. Of the attackers, the one who does best here counts, which "
        f"flatters them a little.{few}\n\n{rates_table(tables.rates)}",
        f"## Attackers and what they know: top-1 %, {bits} bits\n\n*Ignorant*: has learnt from raw embeddings of the "
        "training speakers; *informed*: from embeddings that passed this codebook; *semi-informed*: from embeddings "
        "that passed a codebook of the same kind, fitted on the utterances that they hold.\n\n"
        + threats_table(tables.rates, bits=bits),
    ]
    if len(tables.exposure):
        parts.append(
            f"## Who is least protected? {bits} bits\n\nBits that the strongest attacker learns about who it is, on "
            "average, from below: posterior over prior among the candidates. The most exposed are those who look so in "
            "the utterances that the attacker holds, before the attack.\n\n"
            + exposure_table(tables.exposure, bits=bits)
        )
    if len(tables.attributes):
        parts.append(
            f"## What else does a code tell? {bits} bits\n\nUnweighted average recall in percent of the strongest "
            "classifier [95 % over speakers and repeats]; mutual information between code and attribute, chance taken "
            "off [95 % over speakers], and the share of permutations that show as much.\n\n"
            + attributes_table(tables.attributes, tables.information, bits=bits)
        )
    if len(tables.groups):
        parts.append(
            f"## Within a group: worst-case disclosure at {bits} bits\n\nIf one knows the group of a speaker, a code "
            "that is uniform over all may single them out. Value ± standard error, first repeat; the floor is that of "
            "codes that are uniform within the group.\n\n" + groups_table(tables.groups, bits=bits)
        )
    if len(tables.observations):
        parts.append(
            f"## Several utterances of one speaker, {bits} bits\n\nWhat n codes disclose together about who it is: at "
            "least what an attacker who counts codes learns, at most the bound (95 % confidence). Beside it, a speaker "
            "who keeps one code for all utterances.\n\n" + observations_table(tables.observations, bits=bits)
        )
    if len(tables.plane):
        parts.append(
            f"## Randomised response on the code, {bits} bits\n\nThe code with probability e^ε / (e^ε + K − 1), else "
            "any other. Disclosure and distortion are exact for the codes of the test samples; top-1 is that of the "
            "strongest attacker, who knows ε.\n\n" + randomised_table(tables.plane, bits=bits)
        )
    return "\n\n".join(parts)


def _in_order(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The rows by variant, in the order of the table, then by bits."""
    order = {name: place for place, name in enumerate(table["variant"].unique())}
    return rows.sort_values(["variant", "bits"], key=lambda column: column.replace(order), kind="stable")


def _few(rows: pd.DataFrame, besides: Iterable[str] = (), shown: Iterable[str] = SHOWN) -> pd.DataFrame:
    """The rows of the variants ``shown``, where there are any."""
    chosen = rows["variant"].isin(tuple(shown))
    return rows[chosen | rows["variant"].isin(tuple(besides))] if chosen.any() else rows


def _most_learnt(exposure: pd.DataFrame) -> pd.DataFrame:
    """Rows of the attacker who learns most about all speakers, for each variant."""
    everyone = exposure[~exposure["attribute"].map(_named)]
    best = everyone.loc[everyone.groupby("variant", sort=False)["bits_learnt"].idxmax()]
    return exposure.merge(best[["variant", "threat", "attacker"]], on=["variant", "threat", "attacker"])


def _named(label: object) -> bool:
    return isinstance(label, str) and label != ""


def _bits(value: float, error: float) -> str:
    if math.isinf(value) or math.isnan(value):
        return "∞"
    return f"{value:.2f}" + ("" if math.isnan(error) else f" ± {error:.2f}")
