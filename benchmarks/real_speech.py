"""Run the experiment on real recordings; write reports/real-speech.md and reports/attacks.md from what it finds.

    python benchmarks/real_speech.py --corpora ../shared/corpora --vectors ../shared/vectors

Each setting runs `dvc exp run` in a clone of its own under data/real-speech/, where its artifacts stay; on a later
commit the stages that changed, and those with reports in git, run again. Settings of the embedded corpus `voices`, with
many utterances a speaker, need no folder.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import platform
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import clones
import pandas as pd
from clones import ROOT

from porcupine import storage
from porcupine.privacy.attackers import strongest


@dataclass(frozen=True)
class Setting:
    """One run: the params that differ from the default, where its data is, and what it is shown for."""

    title: str
    changes: tuple[str, ...]
    source: str | None = None
    evenness: bool = True
    attacks: bool = True


FEW = ("codebooks.methods=[vq,sfvq,tree,balanced]", "codebooks.repeats=2", "codebooks.epochs=30")
MANY = ("attack.enrolment=4", "disclosure.held=4", "attack.repeats=2")
SETTINGS = {
    "speechocean762-ge2e": Setting(
        "speechocean762, pretrained GE2E",
        ("corpus.name=folder", "encoder.name=ge2e", "embeddings.unit=utterance", "attack.enrolment=10"),
        "corpora/speechocean762",
    ),
    "speechocean762-ecapa": Setting(
        "speechocean762, ECAPA-TDNN trained on 40 % of its speakers",
        (
            "corpus.name=folder",
            "embeddings.unit=utterance",
            "attack.enrolment=10",
            "manifest.encoder_fraction=0.4",
            "encoder.epochs=30",
        ),
        "corpora/speechocean762",
    ),
    "librispeech-ge2e": Setting(
        "LibriSpeech samples, pretrained GE2E",
        (
            "corpus.name=folder",
            "encoder.name=ge2e",
            "embeddings.unit=utterance",
            "codebooks.bits=[4,5,6]",
            "manifest.test_fraction=0.6",
        ),
        "corpora/librispeech",
        attacks=False,
    ),
    "common-voice-mel": Setting(
        "Common Voice log-mel vectors, one a clip",
        ("corpus.name=vectors", "codebooks.epochs=30"),
        "vectors/common-voice-mel",
        attacks=False,
    ),
    "ravdess-ge2e": Setting(
        "RAVDESS, pretrained GE2E",
        (
            "corpus.name=ravdess",
            "encoder.name=ge2e",
            "embeddings.unit=utterance",
            "manifest.test_fraction=0.5",
            "attack.enrolment=10",
            "disclosure.held=10",
            *FEW,
        ),
        "corpora/ravdess",
        evenness=False,
    ),
    "ravdess-ecapa": Setting(
        "RAVDESS, ECAPA-TDNN trained on a third of its speakers",
        (
            "corpus.name=ravdess",
            "embeddings.unit=utterance",
            "manifest.encoder_fraction=0.33",
            "manifest.test_fraction=0.5",
            "encoder.epochs=30",
            "attack.enrolment=10",
            "disclosure.held=10",
            *FEW,
        ),
        "corpora/ravdess",
        evenness=False,
    ),
    "voices-ecapa": Setting(
        "voices, 900 speakers of 24 utterances, ECAPA-TDNN",
        ("corpus.voices.speakers=900", "corpus.voices.utterances=24", *MANY, *FEW),
        evenness=False,
    ),
    "voices-ge2e": Setting(
        "voices, 400 speakers of 24 utterances, pretrained GE2E",
        (
            "corpus.voices.speakers=400",
            "corpus.voices.utterances=24",
            "encoder.name=ge2e",
            "codebooks.bits=[4,5,6,7]",  # of 240 training speakers
            *MANY,
            *FEW,
        ),
        evenness=False,
    ),
}


DRAWN = {
    "observations": "What n utterances of a speaker disclose, and how often they find them, against n.",
    "plane": "Privacy against utility: every method, bitrate and randomised response, with Pareto fronts.",
}
"""Figures of the page on attacks, with their alternative texts."""


def main() -> None:
    """Run the settings asked for, then write the reports from all that have finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, help="folder with speechocean762/, librispeech/ and ravdess/")
    parser.add_argument("--vectors", type=Path, help="folder with common-voice-mel/")
    parser.add_argument("--only", choices=SETTINGS, action="append", help="run this setting alone; repeatable")
    parser.add_argument("--no-run", action="store_true", help="write the reports from the runs that have finished")
    parser.add_argument("--output", type=Path, default=ROOT / "reports", help="folder of the reports")
    arguments = parser.parse_args()
    folders = {"corpora": arguments.corpora, "vectors": arguments.vectors}
    for name in () if arguments.no_run else arguments.only or SETTINGS:
        source = SETTINGS[name].source
        if source is None:
            clones.run(work(name), command(name, None))
            continue
        kind, part = source.split("/")
        if folders[kind] is None or not (folders[kind] / part).is_dir():
            parser.error(f"setting {name} needs --{kind} FOLDER with {part}/ in it")
        clones.run(work(name), command(name, (folders[kind] / part).resolve()))
    finished = [name for name in SETTINGS if clones.finished(work(name))]
    even = [name for name in finished if SETTINGS[name].evenness]
    attacked = [name for name in finished if SETTINGS[name].attacks and (work(name) / "reports" / "plane.csv").exists()]
    pages = {
        "real-speech.md": [EVENNESS, spread_overview(even), *(section(name, attacks=False) for name in even)],
        "attacks.md": [ATTACKS, *attack_overviews(attacked), *(section(name, attacks=True) for name in attacked)],
    }
    with storage.replacing(arguments.output / "attacks") as folder:
        folder.mkdir()
        for name, figure in itertools.product(attacked, DRAWN):
            source = work(name) / "reports" / "figures" / f"{figure}.png"
            if source.exists():
                shutil.copy(source, folder / f"{name}-{figure}.png")
    for file, parts in pages.items():
        with storage.replacing(arguments.output / file) as page:
            page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        print(f"wrote {file}")


def work(name: str) -> Path:
    """Folder of a setting's clone."""
    return ROOT / "data" / "real-speech" / name


def command(name: str, source: Path | str | None) -> list[str]:
    """The command line of a setting."""
    changes = [*([] if source is None else [f"corpus.path={source}"]), *SETTINGS[name].changes]
    return ["dvc", "exp", "run", *(word for change in changes for word in ("-S", change))]


def spread_overview(names: list[str]) -> str:
    """How even codes are, all settings at 6 bits in one table."""
    columns = ["vq", "sfvq-faithful-nearest", "sfvq-exact-interval", "curve-interval", "tree", "balanced"]
    lines = [
        "At 6 bits: spread of the cell probabilities over the sampling limit (1: as even as the training set allows).",
        "",
        f"| | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name in names:
        spread = table_of(name, "metrics.csv").set_index(["metric", "bits", "variant"])
        places = [("cv_over_limit", 6, column) for column in columns]
        cells = [f"{spread.loc[place, 'mean']:.2f}" if place in spread.index else "–" for place in places]
        lines.append(f"| {SETTINGS[name].title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def attack_overviews(names: list[str]) -> list[str]:
    """All settings at 6 bits: the strongest attacker, then several utterances of one speaker."""
    columns = ["raw", "vq", "sfvq-faithful-nearest", "sfvq-exact-interval", "balanced"]
    lines = [
        "## The strongest attacker at 6 bits: top-1 %",
        "",
        f"| | {' | '.join(columns)} | chance | attacked speakers |",
        "|---" * (len(columns) + 3) + "|",
    ]
    for name in names:
        rates = rates_of(name)
        best = strongest(rates[rates["epsilon"] == math.inf]).set_index(["figure", "bits", "variant"])
        found = [best.loc[("top1", 6 * (column != "raw"), column)] for column in columns]
        cells = [f"{100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]" for row in found]
        size = found[0]
        lines.append(
            f"| {SETTINGS[name].title} | {' | '.join(cells)} | {100 * size['chance']:.1f} | {size['n_attacked']:.0f} |"
        )
    tables = {name: table_of(name, "observations.csv") for name in names}
    numbers = sorted({n for table in tables.values() for n in table["n"]})
    seen = [
        "## Several utterances of one speaker: balanced codes of 6 bits",
        "",
        "Bits that n codes disclose together about who it is, from below (what an attacker who counts codes learns) to "
        "above (95 % confidence), and how often he is right, in %; last, if the speaker keeps one code for all.",
        "",
        f"| | {' | '.join(f'n = {n}' for n in numbers)} | one code kept |",
        "|---" * (len(numbers) + 2) + "|",
    ]
    for name, table in tables.items():
        rows = table[(table["variant"] == "balanced") & (table["bits"] == 6)].set_index("n")
        cells = [
            f"{row['lower']:.1f} – {row['upper']:.1f}; {100 * row['top1']:.0f} %" if row is not None else "–"
            for row in (rows.loc[n] if n in rows.index else None for n in numbers)
        ]
        kept = rows.iloc[-1]
        cells.append(
            f"{kept['one_code_lower']:.1f} – {kept['one_code_upper']:.1f}; {100 * kept['one_code_top1']:.0f} %"
        )
        seen.append(f"| {SETTINGS[name].title} | {' | '.join(cells)} |")
    return ["\n".join(lines), "\n".join(seen)]


def rates_of(name: str) -> pd.DataFrame:
    """Rates of a setting, over all threat models."""
    folders = sorted((work(name) / "reports" / "attack").iterdir())
    return pd.concat([storage.load_table(folder / "rates.csv") for folder in folders], ignore_index=True)


def table_of(name: str, file: str) -> pd.DataFrame:
    """A table among the reports of a setting."""
    return storage.load_table(work(name) / "reports" / file)


def section(name: str, *, attacks: bool) -> str:
    """A setting's command, how long it took, and the part of its summary that is about attacks, or the other."""
    folder, setting = work(name), SETTINGS[name]
    seconds = clones.seconds(folder)
    source = None if setting.source is None else f"../{setting.source}"
    lines = [f"## {setting.title}", "```\n" + shlex.join(command(name, source)) + "\n```"]
    trained = folder / "reports" / "encoder" / "metrics.json"
    if trained.exists():
        lines.append(f"Encoder's EER on its own held-out speakers: {100 * storage.load_json(trained)['eer']:.1f} %.")
    lines.append(
        f"Run time {sum(seconds.values()):.0f} s: "
        + ", ".join(f"{stage} {took:.0f}" for stage, took in seconds.items())
    )
    dropped = table_of(name, "dropped.csv")["reason"].str.split(":").str[0].value_counts()
    if len(dropped):
        lines.append("Clips dropped: " + ", ".join(f"{count} {reason}" for reason, count in dropped.items()) + ".")
    headline = storage.load_json(folder / "reports" / "metrics.json")
    lines.append(f"{headline['n_train']} training and {headline['n_test']} test samples.")
    summary = (folder / "reports" / "summary.md").read_text(encoding="utf-8")
    _, body = summary.split("\n", 1)
    even, who, attacked = body.partition("## Who is it?")
    body = who + attacked if attacks else even
    if attacks:
        drawn = [figure for figure in DRAWN if (folder / "reports" / "figures" / f"{figure}.png").exists()]
        lines += [f"![{DRAWN[figure]}](attacks/{name}-{figure}.png)" for figure in drawn]
    return "\n\n".join(lines) + "\n\n" + re.sub("^## ", "### ", body, flags=re.MULTILINE).strip()


MACHINE = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
COMMAND = "python benchmarks/real_speech.py --corpora ../shared/corpora --vectors ../shared/vectors"
EVENNESS = f"""# Real recordings: how evenly codes are used

Written by `{COMMAND}`, on {MACHINE}.
Each command is that of the setting, with your own path. Speakers of test, training and encoder are disjoint. Where
samples are utterances, floors and errors respect that those of one speaker fall together; with a few dozen test
speakers the floors are wide, and even uniform codes have empty cells. What attackers learn from the same codes:
[attacks.md](attacks.md)."""
ATTACKS = f"""# What attackers learn from codes

Written by `{COMMAND}`, on {MACHINE}.
Each command is that of the setting, with your own path. Speakers of test, training and encoder are disjoint. How evenly
the codes are used: [real-speech.md](real-speech.md)."""

if __name__ == "__main__":
    main()
