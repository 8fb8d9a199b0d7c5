"""The whole experiment on one web page.

index     summary, tables and figures of a run -> HTML
FIGURES   which figures it shows, where, with what a reader has to know
FILES     tables of a run, which it may link to
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas as pd
from markupsafe import Markup

from porcupine.figures.style import grouped, styles
from porcupine.privacy.attackers import strongest
from porcupine.report import attacks
from porcupine.report.cells import interval, number, percent
from porcupine.report.headline import highest_telling_bits
from porcupine.report.html import (
    Card,
    Figure,
    Page,
    Section,
    Table,
    environment,
    listing,
    markdown,
    paragraph,
    records,
    render,
)
from porcupine.report.occupancy import SECTIONS, _floor_cell
from porcupine.report.terms import TERMS, definitions

GLANCE, EVENNESS = "At a glance", "How evenly are the codes used?"
_WORST = "worst_case_bits"


class Shown(NamedTuple):
    """Start of the title of the section that a figure belongs to; what it shows, and how to read it."""

    section: str
    alt: str
    caption: str


FIGURES = {
    "overview": Shown(
        GLANCE,
        "Left: histograms of the test speakers over the codewords of a few quantisers. Right: their worst-case "
        "disclosure against the length of the code, beside the bands of even codes.",
        "Left: speakers on each codeword. Right: what the rarest code discloses. A variant within the hatched band "
        "cannot be told from codes as even as the training set allows; the dotted line is out of reach of any sample.",
    ),
    "tradeoff": Shown(
        "Distortion against",
        "Distortion against the spread of the cell probabilities, a panel a bitrate, a point a variant.",
        "Down and to the left is better on both counts; within the grey band the spread is what sampling explains.",
    ),
    "example": Shown(
        "Distortion against",
        "Three panels with the same two-dimensional samples: scattered codewords of VQ, a space-filling curve, and the "
        "curve with its codewords moved so that each has the same share of the samples.",
        "In two dimensions: codewords of VQ, corners of a space-filling curve, and codewords spread along that curve "
        "so that all are as frequent.",
    ),
    "histograms": Shown(
        EVENNESS,
        "Histograms of the test speakers over the codewords, a panel a variant, with the band of equally likely codes.",
        "Of even codes, 19 in 20 stay within the grey band. Crosses mark codewords that nobody has.",
    ),
    "metrics": Shown(
        EVENNESS,
        "Four panels of KL divergence, worst case, average disclosure and Std of the counts against the length of the "
        "code for all variants, beside the bands of even codes; the same figures are in the tables below.",
        "Worst case and average as their distance from B bits. Open marks: infinite in some repeats.",
    ),
    "certificate": Shown(
        "May these codes",
        "Certified bits beyond the length of the code against that length, a line a variant, a panel for certificates "
        "by construction and one for those by audit.",
        "How far above the ideal the promise is. Open marks at the top: nothing can be promised.",
    ),
    "attack": Shown(
        "Who is it?",
        "Three panels against the length of the code: speaker found first, among the first ten, and equal error rate "
        "of the strongest attacker, for all variants, raw embeddings and chance.",
        "How often the strongest attacker is right, with 95 % intervals, between raw embeddings and chance.",
    ),
    "threats": Shown(
        "Attackers and what they know",
        "Rate at which the speaker is found first, by attacker and by what they have learnt from; a panel for raw "
        "embeddings and one for each variant.",
        "Each point is an attacker; the rate of the strongest is written out.",
    ),
    "ranks": Shown(
        "Attackers and what they know",
        "Histogram, a panel a variant, of the rank at which the strongest attacker places the true speaker, as "
        "multiples of what guessing gives, beside that of raw embeddings.",
        "How many times as often as by chance the true speaker has each rank. By guessing, all bars would end at 1.",
    ),
    "exposure": Shown(
        "Who is least protected?",
        "Bits that the strongest attacker learns about each group of speakers, of all in it and of its most exposed "
        "1 %, for raw embeddings and each variant; the same figures are in the table below.",
        "Left: on average over a group. Right: for the 1 % of it who look most exposed beforehand.",
    ),
    "groups": Shown(
        "Within a group",
        "Worst-case disclosure within each group of speakers, a panel a variant, with the band of codes that are even "
        "within the group; longer codes are in the table below.",
        "What a code tells those who know the group. Open marks at the edge are infinite: nobody of the group has some "
        "code.",
    ),
    "observations": Shown(
        "Several utterances",
        "Bits disclosed and share of speakers found by several utterances of one speaker, a panel a variant, for fresh "
        "codes and for one code kept for all.",
        "Each utterance that is coded anew may tell more; one code that is kept for all tells no more than once.",
    ),
    "plane": Shown(
        "Randomised response",
        "Privacy against utility of all variants and lengths, with randomised response on the codes and the fronts "
        "that nothing else dominates.",
        "What privacy costs: noise on the code is one way to buy it, shorter codes are another.",
    ),
    "encoder": Shown(
        "How this was made",
        "Training loss, learning rate and equal error rate on held-out speakers of the encoder against the epoch.",
        "Training of the encoder that made the embeddings.",
    ),
}


FILES = {
    "metrics.csv": "how evenly codes are used: all variants, bitrates and metrics, with errors and floors",
    "certificate.csv": "what may be promised",
    "attributes.csv": "what classifiers read from codes",
    "information.csv": "mutual information between codes and attributes",
    "groups.csv": "disclosure within groups",
    "observations.csv": "several utterances of one speaker",
    "plane.csv": "privacy against utility, with randomised response",
    "dropped.csv": "recordings that could not be used, and why",
    "metrics.json": "the headline",
}


@dataclass(frozen=True)
class _Found:
    """The headline: rows of one bitrate, of the variants named."""

    bits: int
    labels: dict[str, str]
    worst: dict[str, dict[Hashable, Any]]
    floor: str
    certified: pd.DataFrame
    top1: dict[str, dict[Hashable, Any]]

    @property
    def chance(self) -> float:
        return next(iter(self.top1.values()))["chance"]

    @property
    def first(self) -> str:
        return next(iter(self.labels))

    @property
    def last(self) -> str:
        return next(reversed(self.labels))


def index(
    summary: str,
    metrics: pd.DataFrame,
    certified: pd.DataFrame,
    rates: pd.DataFrame,
    *,
    corpus: str,
    n_test: int,
    figures: Mapping[str, str],
    params: Mapping[str, Any],
    files: Mapping[str, str],
) -> str:
    """All results of a run as one HTML page.

    summary : the Markdown of `porcupine.report.page.summary`, of which all texts and tables are shown.
    metrics, certified, rates : tables of the stages metrics, certificate and attack, behind the headline.
    figures : name -> SVG, of those in `FIGURES`; others are left out.
    params : nested. files : relative address -> what is in it.
    """
    found = _find(metrics, certified, rates)
    intro = summary.partition("\n## ")[0].partition("\n\n")[2]
    sections = [
        Section(GLANCE, [_glance(found), _names(metrics)]),
        *_grouped(markdown(summary, corners={"Within a group": "speakers"}), intro),
        definitions(TERMS),
        Section(
            "How this was made",
            [
                paragraph("Everything behind this page, relative to it:"),
                listing(f"[{address}]({address}): {what}" for address, what in files.items()),
                records("Parameters", params, header=("parameter", "value")),
                records("Versions", environment(), header=("package", "version")),
            ],
        ),
    ]
    return render(
        Page(
            f"Codes of speaker embeddings: what do they disclose? Results on {corpus}",
            "A speaker embedding passes a quantiser, and only the code is released. How much does the code tell about "
            "who is speaking, is that more than chance explains, and what can be promised before the release?",
            _answer(found, n_test),
            _cards(found),
            [replace(section, blocks=_with_figures(section, figures)) for section in sections],
        )
    )


def _find(metrics: pd.DataFrame, certified: pd.DataFrame, rates: pd.DataFrame) -> _Found:
    bits = highest_telling_bits(metrics)
    worst = metrics[(metrics["metric"] == _WORST) & (metrics["bits"] == bits)]
    looks = styles(worst["variant"])
    few = [name for name in looks if name in attacks.FEWER] or list(looks)
    if len(rates):
        rates = rates[(rates["figure"] == "top1") & (rates["epsilon"] == math.inf) & rates["bits"].isin([0, bits])]
    return _Found(
        bits=bits,
        labels={name: looks[name].label for name in few},
        worst=_by_variant(worst),
        floor=_floor_cell(worst, "calibrated", 3),
        certified=certified[certified["bits"] == bits],
        top1=_by_variant(strongest(rates)) if len(rates) else {},
    )


def _by_variant(rows: pd.DataFrame) -> dict[str, dict[Hashable, Any]]:
    return {row["variant"]: row for row in rows.to_dict("records")}


def _grouped(sections: list[Section], intro: str) -> list[Section]:
    """The sections of single metrics as one, with a table each."""
    titles = set(SECTIONS.values())
    single = [section for section in sections if section.title in titles]
    tables = [
        replace(block, titled=False) if isinstance(block, Table) else block for it in single for block in it.blocks
    ]
    found = []
    for section in sections:
        if section.title not in titles:
            found.append(section)
        elif section is single[0]:
            found.append(Section(EVENNESS, [paragraph(intro), *tables]))
    return found


def _with_figures(section: Section, figures: Mapping[str, str]) -> list[Markup | Figure | Table]:
    """Its blocks, with its figures after the text that opens it."""
    drawn = [
        Figure(figures[name], shown.alt, shown.caption)
        for name, shown in FIGURES.items()
        if name in figures and section.title.startswith(shown.section)
    ]
    opens = int(bool(section.blocks) and isinstance(section.blocks[0], Markup))
    return [*section.blocks[:opens], *drawn, *section.blocks[opens:]]


def _bits(row: Mapping[Hashable, Any]) -> str:
    """Value with the range of the repeats."""
    if math.isnan(row["mean"]):
        return "∞"
    told = interval(row["mean"], row["low"], row["high"])
    return f"∞ in {int(row['n_infinite'])} repeats, else {told}" if row["n_infinite"] else told


def _glance(found: _Found) -> Table:
    """A row a variant; below, the best possible."""
    header = ["codes", "worst case, bits", "certified by audit, bits", "shared by at least"]
    rows = [[label, _bits(found.worst[name]), *_audited(found, name)] for name, label in found.labels.items()]
    ideal = str(int(found.certified["k_ideal"].iloc[0])) if len(found.certified) else "–"
    foot = [["as even as the training set allows", found.floor, "–", ideal]]
    if len(found.top1):
        header.append("speaker found first, %")
        for name, row in zip(found.labels, rows, strict=True):
            row.append(_share(found, name))
        foot[0].append("–")
        rows.append(["raw embeddings", "–", "–", "–", _share(found, attacks.RAW)])
        foot.append(["chance", "–", "–", "–", f"{100 * found.chance:.3g}"])
    return Table(f"{found.bits} bits, {grouped(2**found.bits)} codewords", header, rows, foot)


def _names(metrics: pd.DataFrame) -> Table:
    """What the variants are called in the figures, by their names in the tables."""
    looks = styles(metrics["variant"])
    return records(
        "Names of the variants", {name: look.label for name, look in looks.items()}, header=("table", "figure")
    )


def _audited(found: _Found, name: str) -> list[str]:
    """Bits and speakers a code that its audit certifies."""
    rows = found.certified[(found.certified["variant"] == name) & (found.certified["way"] == "audit")]
    if rows.empty:
        return ["–", "–"]
    bits, shared = rows[["bits_certified", "k"]].iloc[0]
    return ["none" if pd.isna(bits) else _rounded_up(bits), str(int(shared)) if shared else "none"]


def _rounded_up(bits: float) -> str:
    return f"{math.ceil(100 * bits) / 100:.2f}"


def _share(found: _Found, name: str) -> str:
    return percent(*(found.top1[name][it] for it in ("value", "low", "high"))) if name in found.top1 else "–"


def _answer(found: _Found, n_test: int) -> list[str]:
    told = "; ".join(f"{label}: {_bits(found.worst[name])}" for name, label in found.labels.items())
    said = [
        f"At {found.bits} bits, on {grouped(n_test)} test samples, the rarest code discloses so many bits about its "
        f"speaker [95 % of the repeats]: {told}. Codes as even as this training set allows would show "
        f"{found.floor}."
    ]
    if len(found.top1):
        label, name = found.labels[found.last], found.last
        said.append(
            f"The strongest attacker names {_share(found, attacks.RAW)} % of the speakers from raw embeddings, and "
            f"{_share(found, name)} % from codes ({label}); chance is {100 * found.chance:.3g} %."
        )
    return said


def _cards(found: _Found) -> list[Card]:
    cards = []
    for name in dict.fromkeys((found.first, found.last)):
        row = found.worst[name]
        value = "∞" if row["n_infinite"] else number(row["mean"])
        cards.append(Card(f"Worst case, {found.labels[name]}", f"{value} bits", _bits(row)))
    cards.append(
        Card("Worst case, the best that the training set allows", f"{found.floor.split()[0]} bits", found.floor)
    )
    made = found.certified[found.certified["way"] == "construction"].dropna(subset="bits_certified")
    if len(made):
        least = made.sort_values("mse").iloc[0]
        label = styles([least["variant"]])[least["variant"]].label
        shared = f"at least {int(least['k'])} of {grouped(least['population'])} share each code"
        cards.append(Card("Certified worst case", f"{_rounded_up(least['bits_certified'])} bits", f"{label}; {shared}"))
    if len(found.top1):
        name = found.last
        shares = " → ".join(f"{100 * found.top1[it]['value']:.2g}" for it in (attacks.RAW, name)) + " %"
        chance = f"raw embeddings → codes; chance {100 * found.chance:.3g} %"
        cards.append(Card(f"Speaker found first, {found.labels[name]}", shares, chance))
    return cards
