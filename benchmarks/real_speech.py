"""Run the experiment on real recordings and write reports/real-speech.md: every figure in it comes from here.

    python benchmarks/real_speech.py --corpora ../shared/corpora --vectors ../shared/vectors

Each setting runs `dvc exp run` in a clone of its own under data/real-speech/, where its artifacts stay; on a later
commit the stages that changed, and those with reports in git, run again.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from porcupine import storage

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Setting:
    """One run: where its data is, and the params that differ from the default."""

    title: str
    source: str
    changes: tuple[str, ...]


SETTINGS = {
    "speechocean762-ge2e": Setting(
        "speechocean762, pretrained GE2E",
        "corpora/speechocean762",
        ("corpus.name=folder", "encoder.name=ge2e", "embeddings.unit=utterance", "attack.enrolment=10"),
    ),
    "speechocean762-ecapa": Setting(
        "speechocean762, ECAPA-TDNN trained on 40 % of its speakers",
        "corpora/speechocean762",
        (
            "corpus.name=folder",
            "embeddings.unit=utterance",
            "attack.enrolment=10",
            "manifest.encoder_fraction=0.4",
            "encoder.epochs=30",
        ),
    ),
    "librispeech-ge2e": Setting(
        "LibriSpeech samples, pretrained GE2E",
        "corpora/librispeech",
        (
            "corpus.name=folder",
            "encoder.name=ge2e",
            "embeddings.unit=utterance",
            "codebooks.bits=[4,5,6]",
            "manifest.test_fraction=0.6",
        ),
    ),
    "common-voice-mel": Setting(
        "Common Voice log-mel vectors, one a clip",
        "vectors/common-voice-mel",
        ("corpus.name=vectors", "codebooks.epochs=30"),
    ),
}


def main() -> None:
    """Run the settings asked for, then write the report from all that have finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, help="folder with speechocean762/ and librispeech/")
    parser.add_argument("--vectors", type=Path, help="folder with common-voice-mel/")
    parser.add_argument("--only", choices=SETTINGS, action="append", help="run this setting alone; repeatable")
    parser.add_argument("--no-run", action="store_true", help="write the report from the runs that have finished")
    parser.add_argument("--output", type=Path, default=ROOT / "reports" / "real-speech.md")
    arguments = parser.parse_args()
    folders = {"corpora": arguments.corpora, "vectors": arguments.vectors}
    for name in () if arguments.no_run else arguments.only or SETTINGS:
        kind, part = SETTINGS[name].source.split("/")
        if folders[kind] is None or not (folders[kind] / part).is_dir():
            parser.error(f"setting {name} needs --{kind} FOLDER with {part}/ in it")
        run(name, (folders[kind] / part).resolve())
    finished = [name for name in SETTINGS if (work(name) / "times.json").exists()]
    parts = [INTRODUCTION.format(machine=f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}")]
    parts += [overview(finished), *(section(name) for name in finished)]
    with storage.replacing(arguments.output) as file:
        file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"wrote {arguments.output}")


def work(name: str) -> Path:
    """Folder of a setting's clone."""
    return ROOT / "data" / "real-speech" / name


def run(name: str, source: Path) -> None:
    """Run a setting in its clone, and note how long each stage took."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    folder = work(name)
    times = folder / "times.json"
    if times.exists() and storage.load_json(times)["commit"] == commit.strip():
        print(f"{name}: finished before")
        return
    if folder.exists():
        subprocess.run(["git", "reset", "--quiet", "--hard"], cwd=folder, check=True)
        subprocess.run(["git", "pull", "--quiet"], cwd=folder, check=True)
    else:
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    print(f"== {name}", flush=True)
    # A stage that has not changed since does not run again, and keeps the time that it took.
    stages: dict[str, float] = storage.load_json(times)["seconds"] if times.exists() else {}
    began, stage = time.monotonic(), ""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        command(name, source), cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, errors="replace"
    )
    for line in process.stdout or ():
        started = re.search(r"Running stage '([^']+)'", line)
        if started:
            now = time.monotonic()
            if stage:
                stages[stage] = round(now - began, 1)
            stage, began = started[1], now
            print(f"   {stage}", flush=True)
    if process.wait():
        sys.exit(f"{name}: dvc exp run failed, see {folder}")
    if stage:
        stages[stage] = round(time.monotonic() - began, 1)
    storage.save_json(times, {"commit": commit.strip(), "seconds": stages})


def command(name: str, source: Path | str) -> list[str]:
    """The command line of a setting."""
    changes = [f"corpus.path={source}", *SETTINGS[name].changes]
    return ["dvc", "exp", "run", *(word for change in changes for word in ("-S", change))]


def overview(names: list[str]) -> str:
    """All settings at 6 bits in one table."""
    columns = ["vq", "sfvq-faithful-nearest", "sfvq-exact-interval"]
    lines = [
        "At 6 bits: spread of the cell probabilities over the sampling limit (1: as even as the training set allows), "
        "and share of the probes whose speaker the attacker finds first.",
        "| | spread: "
        + " | ".join(columns)
        + " | top-1: raw | "
        + " | ".join(columns)
        + " | chance | attacked speakers |",
        "|---" * (2 * len(columns) + 4) + "|",
    ]
    for name in names:
        reports = work(name) / "reports"
        spread = storage.load_table(reports / "metrics.csv").set_index(["metric", "bits", "variant"])
        cells = [f"{spread.loc[('cv_over_limit', 6, column), 'mean']:.2f}" for column in columns]
        attack = storage.load_table(reports / "attack.csv").set_index(["figure", "bits", "variant"])
        if len(attack):
            found = [attack.loc[("top1", 6 * (column != "raw"), column)] for column in ("raw", *columns)]
            cells += [f"{100 * row['value']:.1f} %" for row in found] + [
                f"{100 * found[0]['chance']:.1f} %",
                f"{found[0]['n_attacked']:.0f}",
            ]
        else:
            cells += ["–"] * (len(columns) + 3)
        lines.append(f"| {SETTINGS[name].title} | " + " | ".join(cells) + " |")
    return lines[0] + "\n\n" + "\n".join(lines[1:])


def section(name: str) -> str:
    """A setting's results, its command, and how long it took."""
    folder, setting = work(name), SETTINGS[name]
    seconds = storage.load_json(folder / "times.json")["seconds"]
    lines = [f"## {setting.title}", "```\n" + shlex.join(command(name, f"../{setting.source}")) + "\n```"]
    attack = storage.load_table(folder / "reports" / "attack.csv")
    raw = attack[attack["variant"] == "raw"].set_index("figure")
    if len(raw):
        eer = raw.loc["eer"]
        lines.append(
            f"Verification EER of the raw embedding: {100 * eer['value']:.1f} % "
            f"[{100 * eer['low']:.1f}, {100 * eer['high']:.1f}]."
        )
    trained = folder / "reports" / "encoder" / "metrics.json"
    if trained.exists():
        lines.append(f"Encoder's EER on its own held-out speakers: {100 * storage.load_json(trained)['eer']:.1f} %.")
    lines.append(
        f"Run time {sum(seconds.values()):.0f} s: "
        + ", ".join(f"{stage} {took:.0f}" for stage, took in seconds.items())
    )
    summary = (folder / "reports" / "summary.md").read_text(encoding="utf-8")
    _, body = summary.split("\n", 1)
    dropped = storage.load_table(folder / "reports" / "dropped.csv")["reason"].str.split(":").str[0].value_counts()
    if len(dropped):
        lines.append("Clips dropped: " + ", ".join(f"{count} {reason}" for reason, count in dropped.items()) + ".")
    headline = storage.load_json(folder / "reports" / "metrics.json")
    lines.append(f"{headline['n_train']} training and {headline['n_test']} test samples.")
    return "\n\n".join(lines) + "\n" + re.sub("^## ", "### ", body, flags=re.MULTILINE).rstrip()


INTRODUCTION = """# Real recordings

Written by `python benchmarks/real_speech.py --corpora ../shared/corpora --vectors ../shared/vectors`, on {machine}.
Each command is that of the setting, with your own path. Speakers of test, training and encoder are disjoint. Where
samples are utterances, floors and errors respect that those of one speaker fall together; with a few dozen test
speakers the floors are wide, and even uniform codes have empty cells."""

if __name__ == "__main__":
    main()
