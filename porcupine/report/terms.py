"""What the words mean, for people who were not there.

definitions   some `TERMS` as a section of a page
TERMS         name -> formula ("" for none; what follows _ stands below the line) and text
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from markupsafe import Markup, escape

from porcupine.errors import InputError, nearest
from porcupine.report.html import Section, inline

TERMS = {
    "Disclosure of a code": (
        "−log_2 (g(k) / M)",
        "How much having code k tells who one is: g(k) of M speakers have it, so whoever does is one of g(k). "
        "Each bit halves the crowd that one can hide in. Of K codes that are all as frequent, each discloses "
        "B = log₂ K bits.",
    ),
    "Worst-case disclosure": (
        "−log_2 (min g / M)",
        "That of the rarest code; infinite where nobody in the sample has some code, since whoever comes next and gets "
        "it is alone. The published variant adds 1 to the count, which hides that.",
    ),
    "Average disclosure": (
        "−Σ (g/M) log_2 (g/M)",
        "The entropy of the codes: at most B, where all are as frequent. It does not see the few who are worst off.",
    ),
    "Floor": (
        "g ~ Multinomial(M, 1/K)",
        "What perfectly even codes would show in a sample of this size: even of these, some are drawn more rarely than "
        "others. The band holds 95 % of the draws. A value within it cannot be told from perfectly even codes.",
    ),
    "Calibrated floor": (
        "p ~ Dirichlet(N/K, …), g ~ Multinomial(M, p)",
        "The same for cells that are as even as N training samples can make them, which is the best that may be "
        "expected of a quantiser: the band to compare with.",
    ),
    "Spread over the sampling limit": (
        "cv / √((K − 1) / N)",
        "Relative spread of the cell probabilities, sampling noise taken off, over what N training samples allow: 1 is "
        "as even as that training set permits.",
    ),
    "KL divergence": (
        "KL(counts ‖ Binomial(M, 1/K))",
        "Distance, in bits, of the histogram of the counts from that of even codes. Flat counts are *not* binomial: "
        "read it beside its floor.",
    ),
    "Certificate": (
        "P(every code discloses at most x bits) ≥ 1 − α",
        "A promise about speakers who are still to come, at confidence 1 − α over the draw of those it rests on. "
        "*By audit*: from how many have the rarest code, of speakers who took no part in the training (an exact "
        "binomial bound). *By construction*: from thresholds that were set on speakers kept apart for that.",
    ),
    "Speakers who share each code": (
        "k of M",
        "Of M further speakers at least k have each of the codes, at the same confidence: k-anonymity for those who "
        "are to come. 0 where nothing can be promised.",
    ),
    "Within a group": (
        "−log_2 (min g / M), both counted in the group",
        "Disclosure to somebody who knows the group of a speaker already. Codes that are even over all need not be so "
        "within a group; small groups have high floors.",
    ),
    "Top-1 and chance": (
        "1 / speakers enrolled",
        "How often an attacker, who holds recordings of all speakers, names the right one at first; chance is what "
        "guessing gives. The strongest attacker counts, since weak ones flatter privacy.",
    ),
    "Equal error rate": (
        "",
        "Errors in telling same from different speakers, at the threshold where misses are as frequent as false "
        "alarms: 0 % is always right, 50 % is guessing.",
    ),
    "Distortion": (
        "mean ‖x − x̂‖² / D",
        "What quantising costs: mean squared error a dimension between the embeddings and what codes decode to.",
    ),
}


def definitions(names: Iterable[str], title: str = "What the words mean") -> Section:
    """Definitions of some terms. Raises InputError where there is none."""
    parts = []
    for name in names:
        if name not in TERMS:
            raise InputError(f"no definition of {name!r}{nearest(name, TERMS)}")
        formula, text = TERMS[name]
        lowered = Markup(re.sub(r"_(\w+)", r"<sub>\1</sub>", str(escape(formula))))
        shown = Markup('<dd class="formula">{}</dd>').format(lowered) if formula else ""
        parts.append(Markup("<dt>{}</dt>{}<dd>{}</dd>").format(name, shown, inline(text)))
    return Section(title, [Markup('<dl class="terms">{}</dl>').format(Markup("").join(parts))])
