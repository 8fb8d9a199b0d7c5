"""Speed of the measures of what an attacker learns.

    python benchmarks/attacks.py eer
    python benchmarks/attacks.py report

Scores are synthetic. Each command keeps what it measured in data/attacks/, as it goes; `report` writes
reports/attacks-speed.md from what is there. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recording import Bench, Peak, Record, memory, sections, table_of, tables_of, verdict
from trainers import timed

from porcupine import storage
from porcupine.figures import style
from porcupine.privacy import evidence, verification
from porcupine.randomness import generator

ROOT = Path(__file__).parents[1]
MEASURES = (
    verification.equal_error_rate,
    evidence.min_cllr,
    evidence.linkability,
    evidence.expected_disclosure,
    evidence.worst_case_log10,
    evidence.cllr,
)


def main() -> None:
    """Run one command."""
    bench = Bench(__doc__, ROOT / "data" / "attacks")
    command = bench.command
    option = command(eer, "time intervals over speakers")
    option("--pairs", 1_000_000, "scores")
    option("--speakers", 1000, "speakers")
    option("--same", 0.05, "share of the pairs that are of one speaker")
    option("--resamples", 1000, "draws of speakers")
    option("--plain", 10, "draws that are done the obvious way, too")
    option("--rounds", 3, "median of so many, after one that does not count")
    option = command(report, "write the page")
    option("--page", ROOT / "reports" / "attacks-speed.md", "Markdown file")
    bench.run()


# ---- eer


def eer(arguments: argparse.Namespace) -> None:
    """Time the interval of each measure, then the obvious way, and compare what the draws give."""
    record = Record(arguments)
    scores, first, second = speaker_pairs(arguments.pairs, arguments.speakers, arguments.same)
    names = np.array([f"speaker {number:06d}" for number in range(arguments.speakers)])
    draws = {"rng": generator(0, "draws"), "resamples": arguments.resamples}
    before = memory("RssAnon")
    for measure in MEASURES:
        run = partial(verification.bootstrap, measure, scores, first, second, **draws)
        rounds = arguments.rounds if measure is verification.equal_error_rate else 1
        with Peak(partial(memory, "RssAnon"), every=0.01) as peak:
            seconds = [timed(run) for _ in range(rounds + 1)][1:] if rounds > 1 else [timed(run)]
        held = peak.value - before
        record.add("interval", measure=measure.__name__, seconds=statistics.median(seconds), all=seconds, memory=held)
    named = timed(lambda: verification.bootstrap(MEASURES[0], scores, names[first], names[second], **draws))
    record.add("named", seconds=named)
    for measure in MEASURES:
        record.add("plain", measure=measure.__name__, **against_plain(measure, scores, first, second, arguments))


def against_plain(
    measure: Callable[..., float],
    scores: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    arguments: argparse.Namespace,
) -> dict[str, float]:
    """Seconds of all pairs measured for each draw, greatest error of the quick way, standard deviation of the draws."""
    quick: list[float] = []

    def kept(*given: Any) -> float:
        quick.append(measure(*given))
        return quick[-1]

    draws, n_speakers = arguments.plain, arguments.speakers
    verification.bootstrap(kept, scores, first, second, rng=generator(1, "draws"), resamples=draws)
    times = generator(1, "draws").multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=draws)
    same = first == second
    exact: list[float] = []

    def plain() -> None:
        for drawn in times:
            weights = np.where(same, drawn[first], drawn[first] * drawn[second])
            exact.append(measure(scores, same, weights))

    seconds = timed(plain)
    error = np.abs(np.array(quick[1:]) - exact).max()
    return {"seconds": seconds, "error": float(error), "spread": float(np.std(exact))}


def speaker_pairs(n_pairs: int, n_speakers: int, same: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that depend on who speaks, float [N], and the two speakers of each pair, int [N]."""
    rng = generator(0, "pairs")
    first, second = rng.integers(0, n_speakers, (2, n_pairs))
    second[: round(same * n_pairs)] = first[: round(same * n_pairs)]
    offset = 0.5 * rng.standard_normal(n_speakers)
    return rng.standard_normal(n_pairs) + offset[first] + offset[second] + 2 * (first == second), first, second


# ---- report


def report(arguments: argparse.Namespace) -> None:
    """Write the page."""
    parts = ["# Speed of the attacks", "Of measures of what an attacker learns, on synthetic scores."]
    for _, section, heading, record in sections(arguments.results, SECTIONS):
        parts += [heading, *section(record["options"], tables_of(record))]
    with storage.replacing(arguments.page) as file:
        file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"wrote {arguments.page.name}")


def eer_section(options: dict[str, Any], tables: dict[str, pd.DataFrame]) -> list[str]:
    """What was aimed at, then all measures."""
    here = tables["interval"].set_index("measure")
    plain = tables["plain"].set_index("measure")
    each = plain["seconds"] / options["plain"] * options["resamples"]
    eer, named = here.loc["equal_error_rate", "seconds"], tables["named"]["seconds"].iloc[0]
    error = plain.loc["equal_error_rate", "error"]
    return [
        f"{style.grouped(options['pairs'])} pairs of {style.grouped(options['speakers'])} speakers, "
        f"{options['same']:.0%} of them of one speaker; {style.grouped(options['resamples'])} draws of the speakers. "
        "One thread.",
        table_of(
            ["", "aim", ""],
            [
                ["EER with its interval over speakers", "≤ 10 s", verdict(f"{eer:.1f} s", eer <= 10)],
                ["the same, speakers named by strings", "≤ 10 s", verdict(f"{named:.1f} s", named <= 10)],
                ["error of a draw's EER by rounding scores", "≤ 0.0001", verdict(f"{error:.1g}", error <= 1e-4)],
            ],
        ),
        "The obvious way measures all pairs again for each draw; extrapolated from "
        f"{options['plain']} draws. Both ways were given the same draws: the error is the greatest difference between "
        f"them, from rounding to some {style.grouped(verification.BINS)} scores; the spread, the standard deviation of "
        "the draws, is what it should be seen against.\n\n"
        + table_of(
            ["measure", "interval, s", "obvious way, s", "ratio", "memory, MiB", "error", "spread"],
            [
                [
                    f"`{name}`",
                    f"{row['seconds']:.1f}",
                    f"{each[name]:.0f}",
                    f"{each[name] / row['seconds']:.0f}",
                    f"{row['memory'] / 2**20:.0f}",
                    f"{plain.loc[name, 'error']:.1g}",
                    f"{plain.loc[name, 'spread']:.2g}",
                ]
                for name, row in here.iterrows()
            ],
        ),
    ]


SECTIONS = {"eer": ("Intervals over speakers", eer_section)}


if __name__ == "__main__":
    main()
