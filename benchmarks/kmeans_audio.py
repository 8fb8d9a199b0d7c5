"""Run the second system on recordings of actors; write reports/kmeans-audio.md from what it finds.

    python benchmarks/kmeans_audio.py --corpora ../shared/corpora

Each corpus runs in a clone of its own under data/kmeans-audio-runs/, where its artifacts stay.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import shutil
from pathlib import Path

import clones
from clones import ROOT

from porcupine import storage

MAP = "kmeans-audio/dvc.yaml"
CORPORA = {"ravdess": "RAVDESS, 24 actors", "crema_d": "CREMA-D, 91 actors"}
FIGURES = {
    "plane": "Emotion recall against identification, each system with intervals.",
    "confusion": "Confusion of emotions, of original and of quantised frames.",
    "quality": "Intelligibility and distortion of the rebuilt sound against K.",
    "spectrograms": "Spectrograms of one clip: original, MFCC and back, and quantised.",
}


def main() -> None:
    """Run the corpora asked for, then write the report from all that have finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, help="folder with ravdess/ or crema_d/, or both")
    parser.add_argument("--no-run", action="store_true", help="write the report from the runs that have finished")
    parser.add_argument("--output", type=Path, default=ROOT / "reports", help="folder of the report")
    arguments = parser.parse_args()
    if not arguments.no_run:
        if arguments.corpora is None:
            parser.error("give --corpora FOLDER, or --no-run")
        present = [name for name in CORPORA if (arguments.corpora / name).is_dir()]
        if not present:
            parser.error(f"{arguments.corpora} has none of the folders {', '.join(CORPORA)}")
        for name in present:
            clones.run(work(name), command(name, (arguments.corpora / name).resolve()))
    finished = [name for name in CORPORA if clones.finished(work(name))]
    with storage.replacing(arguments.output / "kmeans-audio-figures") as folder:
        folder.mkdir()
        for name in finished:
            for figure in FIGURES:
                drawn = work(name) / "reports" / "kmeans-audio" / "figures" / f"{figure}.png"
                shutil.copy(drawn, folder / f"{name}-{figure}.png")
    with storage.replacing(arguments.output / "kmeans-audio.md") as page:
        page.write_text("\n\n".join([OPENING, *map(section, finished)]) + "\n", encoding="utf-8")
    print("wrote kmeans-audio.md")


def work(name: str) -> Path:
    """Folder of a corpus's clone."""
    return ROOT / "data" / "kmeans-audio-runs" / name


def command(name: str, source: Path | str) -> list[str]:
    """The command line that runs a corpus."""
    changes = [f"corpus.name={name}", f"corpus.path={source}"]
    options = [word for change in changes for word in ("-S", f"kmeans-audio/params.yaml:{change}")]
    return ["dvc", "exp", "run", MAP, *options]


def section(name: str) -> str:
    """A corpus's command, how long it took, its figures and its page."""
    folder = work(name)
    seconds = clones.seconds(folder, map_file=MAP)
    shown = command(name, f"../shared/corpora/{name}")
    text = (folder / "reports" / "kmeans-audio" / "summary.md").read_text(encoding="utf-8")
    _, body = text.split("\n", 1)
    figures = {figure: f"![{caption}](kmeans-audio-figures/{name}-{figure}.png)" for figure, caption in FIGURES.items()}
    for title, figure in PLACES.items():
        body = body.replace(f"## {title}\n", f"## {title}\n\n{figures[figure]}\n", 1)
    lines = [
        f"## {CORPORA[name]}",
        "```\n" + shlex.join(shown) + "\n```",
        f"Run time {sum(seconds.values()):.0f} s: "
        + ", ".join(f"{stage} {took:.0f}" for stage, took in seconds.items()),
        re.sub("^## ", "### ", body, flags=re.MULTILINE).strip(),
        figures["spectrograms"],
    ]
    return "\n\n".join(lines)


PLACES = {
    "Emotion against identity": "plane",
    "Emotions: what is reported, and what is found": "confusion",
    "What is left of the sound": "quality",
}
"""Title in the page -> figure below it."""

OPENING = f"""# K-means speech: what is left of the emotion, and of the identity

Written by `python benchmarks/kmeans_audio.py --corpora ../shared/corpora`, on {os.cpu_count()} cores,
{platform.machine()}, {platform.system()}. Each command is that of the corpus, with your own path. On synthetic
speakers: [kmeans-audio/summary.md](kmeans-audio/summary.md). How fast the parts are:
[kmeans-audio-speed.md](kmeans-audio-speed.md)."""

if __name__ == "__main__":
    main()
