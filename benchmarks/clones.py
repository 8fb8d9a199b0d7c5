"""Run an experiment in a clone of this repository, where its artifacts stay, and note how long each stage took.

ROOT       of the repository
run        folder, command -> its artifacts, in a clone of the last commit; nothing where that has finished before
finished   whether it has
seconds    of each stage that the clone still has
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from porcupine import storage

ROOT = Path(__file__).parents[1]


def run(folder: Path, command: Sequence[str]) -> None:
    """Run a DVC command; on a later commit the stages that changed, and those with reports in git, run again."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    times = folder / "times.json"
    if times.exists() and storage.load_json(times)["commit"] == commit.strip():
        print(f"{folder.name}: finished before")
        return
    if folder.exists():
        subprocess.run(["git", "reset", "--quiet", "--hard"], cwd=folder, check=True)
        subprocess.run(["git", "pull", "--quiet"], cwd=folder, check=True)
    else:
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    print(f"== {folder.name}", flush=True)
    # A stage that has not changed since does not run again, and keeps the time that it took.
    stages: dict[str, float] = storage.load_json(times)["seconds"] if times.exists() else {}
    storage.save_json(times, {"commit": None, "seconds": stages})  # until it has finished, reports are not its own
    began, stage = time.monotonic(), ""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, errors="replace"
    )
    for line in process.stdout or ():
        started = re.search(r"Running stage '([^']+)'", line)
        if started:
            now = time.monotonic()
            if stage:
                stages[stage] = round(now - began, 1)
                storage.save_json(times, {"commit": None, "seconds": stages})
            stage, began = started[1].rpartition(":")[2], now
            print(f"   {stage}", flush=True)
    if process.wait():
        sys.exit(f"{folder.name}: {' '.join(command[:3])} failed, see {folder}")
    if stage:
        stages[stage] = round(time.monotonic() - began, 1)
    storage.save_json(times, {"commit": commit.strip(), "seconds": stages})


def finished(folder: Path) -> bool:
    """Whether the last run came to its end."""
    times = folder / "times.json"
    return times.exists() and storage.load_json(times)["commit"] is not None


def seconds(folder: Path, *, map_file: str = "dvc.yaml") -> dict[str, float]:
    """How long each stage took when it last ran."""
    stages = yaml.safe_load((folder / map_file).read_text(encoding="utf-8"))["stages"]
    return {
        stage: took
        for stage, took in storage.load_json(folder / "times.json")["seconds"].items()
        if ("matrix" in stages.get(stage.split("@")[0], {})) == ("@" in stage)
    }
