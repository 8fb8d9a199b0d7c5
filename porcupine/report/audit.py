"""An audit for people.

sentences   what was found, in a few sentences
page        all of it on one web page
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from porcupine.figures.style import grouped
from porcupine.report.cells import number
from porcupine.report.html import (
    Card,
    Figure,
    Page,
    Section,
    environment,
    paragraph,
    records,
    render,
    table,
)
from porcupine.report.terms import definitions

if TYPE_CHECKING:
    from porcupine.audit import Audit

SHOWN = 32  # codes of a long table
_METRICS = {
    "worst_case_bits": "Worst-case disclosure, bits",
    "worst_case_plus_one_bits": "The same as published, with +1 to the counts, bits",
    "average_bits": "Average disclosure, bits",
    "kl_bits": "KL divergence of the counts from the binomial, bits",
    "std": "Std of the counts, samples",
    "sparseness": "Sparseness of the counts",
    "n_empty": "Empty codes",
    "cv_over_limit": "Spread of the cell probabilities over the sampling limit",
}
_value = partial(number, digits=4)
_TERMS = ["Disclosure of a code", "Worst-case disclosure", "Average disclosure", "Floor", "Calibrated floor"]
_TERMS += ["Spread over the sampling limit", "KL divergence", "Certificate", "Speakers who share each code"]
_TERMS += ["Within a group"]


def sentences(audit: Audit) -> list[str]:
    """What the codes disclose, whether they could be more even, what of groups, what can be promised."""
    worst = audit.metric("worst_case_bits")
    samples = f"{grouped(audit.n_samples)} samples of " if audit.n_samples > audit.n_speakers else ""
    whose = (
        f"{samples}{grouped(audit.n_speakers)} speakers, {grouped(audit.n_codewords)} codes (B = {audit.bits:.4g} bits)"
    )
    if math.isfinite(worst["value"]):
        error = worst["standard_error"]
        told = f"the rarest code discloses {worst['value']:.2f} bits"
        told += "" if math.isnan(error) else f" ± {1.96 * error:.2f}"
        told += f" about who has it, {audit.metric('average_bits')['value']:.2f} are disclosed on average."
    else:
        told = f"{int(audit.metric('n_empty')['value'])} of the codes are nobody's, so the worst case is infinite."
    prefix, floor = _best(audit)
    even = f"{floor} would show {_band(worst, prefix)} in a sample of this size"
    said = [f"{whose}: {told}", f"{even[0].upper()}{even[1:]}: {_verdict(audit)}"]
    groups = audit.worst_groups
    if len(groups):
        above = int(groups["above_floor"].sum())
        said.append(
            f"Within {above} of {len(groups)} groups of speakers the rarest code discloses more than codes that are "
            "even within the group would."
        )
    return [*said, str(audit.certificate)]


def page(audit: Audit, figures: Mapping[str, str], *, title: str, provenance: Mapping[str, Any]) -> str:
    """All of an audit as HTML.

    figures : SVG of counts, codes and, where there are groups, groups. provenance : where the codes come from.
    """
    found = sentences(audit)
    sections = [_promise(audit), _evenness(audit, figures)]
    if "groups" in figures:
        sections.append(_groups(audit, figures["groups"]))
    sections += [
        definitions(
            [
                name
                for name in _TERMS
                if audit.n_train or name not in ("Calibrated floor", "Spread over the sampling limit")
            ]
        ),
        Section(
            "How this was made",
            [
                paragraph(
                    f"Floors by {audit.simulations} draws each. The headline figures are in [audit.json](audit.json)."
                ),
                *([records("Where the codes come from", provenance, folded=False)] if provenance else []),
                records("Versions", environment()),
            ],
        ),
    ]
    question = "What do these codes disclose about the speakers who have them, and what may be promised of them?"
    return render(Page(title, question, found[:-1], _cards(audit), sections))


def _best(audit: Audit) -> tuple[str, str]:
    """The floor to compare with, and the codes that it is of."""
    if audit.n_train is None:
        return "floor", "codes that are all equally likely"
    return "calibrated", f"codes as even as {grouped(audit.n_train)} training samples allow"


def _verdict(audit: Audit) -> str:
    """What the floors of the worst case and of the spread say together."""
    if not audit.within_floor("worst_case_bits"):
        return "these disclose more."
    if not audit.within_floor("std"):
        return "the worst case is no worse, but over all codes the counts scatter more than theirs."
    return "these cannot be told from them."


def _band(row: Mapping[Hashable, Any], prefix: str) -> str:
    low, high = (number(row[f"{prefix}_{end}"], 3) for end in ("low", "high"))
    return low if low == high else f"{low} to {high}"


def _floors(audit: Audit) -> dict[str, str]:
    """Prefix and title of each floor."""
    titles = {"floor": "even codes, 95 %"}
    return titles if audit.n_train is None else titles | {"calibrated": "as even as the training set allows, 95 %"}


def _cards(audit: Audit) -> list[Card]:
    worst, promised = audit.metric("worst_case_bits"), audit.certificate
    sure = f"at {100 * (1 - promised.alpha):.4g} % confidence"
    prefix, floor = _best(audit)
    cards = [
        Card("Worst case", f"{_value(worst['value'])} bits", f"{floor}: {_band(worst, prefix)}"),
        Card("Average", f"{audit.metric('average_bits')['value']:.3f} bits", f"at most B = {audit.bits:.4g}"),
        Card(
            "Certified worst case",
            f"{math.ceil(100 * promised.bits) / 100:.2f} bits" if math.isfinite(promised.bits) else "no bound",
            f"no code discloses more, {sure}",
        ),
        Card(
            "Certified crowd",
            f"≥ {promised.k}" if promised.k else "no bound",
            f"of {grouped(promised.n_further)} further speakers share each code, {sure}",
        ),
    ]
    if audit.distortion is not None:
        cards.append(Card("Distortion", number(audit.distortion, 4), "as given, in its own units"))
    return cards


def _promise(audit: Audit) -> Section:
    made = audit.certificate
    drawn = ""
    if audit.n_speakers < audit.n_samples:
        drawn = " Of a speaker with several samples one was drawn: what holds for one code does not hold for many."
    return Section(
        "What may be promised?",
        [
            paragraph(str(made)),
            paragraph(
                "This holds only if the speakers had no part in the training of the codes, if they were drawn as those "
                "are of whom it speaks, and if the codes were not chosen among several by this audit." + drawn
            ),
        ],
    )


def _evenness(audit: Audit, figures: Mapping[str, str]) -> Section:
    worst = audit.metric("worst_case_bits")
    rows = audit.occupancy.set_index("metric").loc[
        [name for name in _METRICS if name in set(audit.occupancy["metric"])]
    ]
    columns: dict[str, Any] = {"title": ("metric", str), "value": ("value", _value), "error": ("± 95 %", _value)}
    columns |= {prefix: (title, str) for prefix, title in _floors(audit).items()}
    rows = rows.assign(title=[_METRICS[name] for name in rows.index], error=1.96 * rows["standard_error"])
    rows = rows.assign(**{prefix: [_band(row, prefix) for row in rows.to_dict("records")] for prefix in _floors(audit)})
    rarest = audit.codes.sort_values("rank").head(SHOWN)
    by_code: dict[str, Any] = {"code": ("code", str), "rank": ("rank", str)}
    by_code |= (
        {name: (name, grouped) for name in ("samples", "speakers")}
        if audit.n_speakers < audit.n_samples
        else {"speakers": ("speakers", grouped)}
    )
    by_code |= {"bits": ("disclosure, bits", _value), "band": ("even codes of this rank, 95 %, bits", str)}
    rarest = rarest.assign(
        band=[f"{_value(low)} to {_value(high)}" for low, high in rarest[["floor_low", "floor_high"]].to_numpy()]
    )
    some = f"The {SHOWN} rarest codes" if audit.n_codewords > SHOWN else "All codes"
    return Section(
        "How evenly are the codes used?",
        [
            Figure(
                figures["codes"],
                f"Disclosure of {audit.n_codewords} codes from the rarest, {_value(worst['value'])} bits, to the most "
                f"common, beside the band of equally likely codes, B = {audit.bits:.4g} bits and what is certified.",
                "Each point is a code; on the left are those whose speakers stand out most. Where they leave the grey "
                "band, the codes are less even than chance explains.",
            ),
            Figure(
                figures["counts"],
                f"Histogram of {audit.n_speakers} speakers over {audit.n_codewords} codes; between "
                f"{audit.codes['speakers'].min()} and {audit.codes['speakers'].max()} have each.",
                "Speakers on each code. Even codes stay within the grey band, 19 of 20 of them.",
            ),
            table(rows, columns, caption="Metrics beside their floors", source="occupancy.csv"),
            table(rarest, by_code, caption=some, folded=True, source="codes.csv"),
        ],
    )


def _groups(audit: Audit, svg: str) -> Section:
    groups = audit.worst_groups
    rows = groups.assign(
        error=1.96 * groups["standard_error"], band=[_band(row, "floor") for row in groups.to_dict("records")]
    )
    columns: dict[str, Any] = {
        "group": ("group", str),
        "attribute": ("attribute", str),
        "n_speakers": ("speakers", grouped),
        "value": ("worst case, bits", _value),
        "error": ("± 95 %", _value),
        "band": ("even within it, 95 %", str),
        "above_floor": ("above that", lambda above: "yes" if above else "no"),
    }
    unmeasured = audit.disclosure[audit.disclosure["metric"].isna()]
    left_out = [
        f"{row['attribute']}: {row['n_speakers']} "
        + ("without a label" if row["part"] == "missing" else "alone in a group")
        for row in unmeasured.to_dict("records")
    ]
    return Section(
        "Who is less protected?",
        [
            paragraph(
                "Codes that are even over all speakers need not be so among those of a group, and who knows the group "
                "of somebody then learns more from their code. Of many groups, one in forty is above its floor by "
                "chance."
            ),
            Figure(
                svg,
                f"Worst-case disclosure within {len(groups)} groups beside that of all speakers, with intervals and "
                "floors; the same figures are in the table below.",
                "The smaller the group, the wider and higher the floor of codes that are even within it. Open marks at "
                "the right edge are infinite: nobody of the group has some code.",
            ),
            table(rows, columns, caption="Worst case within each group", source="disclosure.csv"),
            *([paragraph(f"Not measured: {pd.Series(left_out).str.cat(sep='; ')}.")] if left_out else []),
        ],
    )
