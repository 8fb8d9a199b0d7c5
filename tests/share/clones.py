"""Clones of this project in which a small experiment runs, and what can be asked of them.

    reproduced    a clone in which the experiment has run, and is committed
    Clone         a repository: run commands in it, change a parameter, compare its bytes
    stages_run    the stages that a command says it ran
    PAGE          docs/sharing.md

The experiment begins with ready-made vectors, tracked by `dvc add`, and has two methods and one threat: what is under
test is storage, not mathematics.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from imports import ROOT
from pipeline import TINY, clone, dvc, environment, merged, write_params

PAGE = ROOT / "docs" / "sharing.md"
SMALL = merged(
    TINY,
    {
        "corpus": {"name": "vectors", "path": "vectors"},
        "codebooks": {"methods": ["kmeans", "curve"]},
        "attack": {"threats": ["informed"]},
    },
)


def stages_run(output: str) -> list[str]:
    """Names of the stages that DVC ran, in order."""
    return re.findall(r"^Running stage '([^']+)'", output, flags=re.MULTILINE)


@dataclass
class Clone:
    """A repository at ``path``."""

    path: Path

    def clone(self, destination: Path) -> Clone:
        """What `git clone` makes of it: everything but the data."""
        subprocess.run(["git", "clone", "--quiet", self.path, destination], check=True)
        return Clone(destination)

    def dvc(self, *arguments: str) -> str:
        """Run a DVC command that must succeed; return what it printed."""
        return dvc(self.path, *arguments)

    def attempt(self, *arguments: str) -> tuple[int, str]:
        """Run a DVC command that may fail; return its exit status and what it printed."""
        done = self.start(*arguments)
        output, _ = done.communicate()
        return done.returncode, output

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a DVC command in a session of its own."""
        return subprocess.Popen(
            ["dvc", *arguments],
            cwd=self.path,
            env=environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def git(self, *arguments: str) -> str:
        """Run a git command that must succeed; return what it printed."""
        return subprocess.run(["git", *arguments], cwd=self.path, check=True, capture_output=True).stdout.decode(
            errors="replace"
        )

    def commit(self) -> None:
        """Commit all changes."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")

    def remote(self, url: str | Path, **options: str) -> None:
        """Make ``url`` the remote that this clone uses, with ``options``; nothing of it is committed."""
        self.dvc("remote", "add", "--local", "--force", "--default", "group", str(url))
        for name, value in options.items():
            self.dvc("remote", "modify", "--local", "group", name, value)

    def change(self, section: str, **values: Any) -> None:
        """Set parameters of one section of params.yaml."""
        content = yaml.safe_load((self.path / "params.yaml").read_text())
        (self.path / "params.yaml").write_text(yaml.safe_dump(merged(content, {section: values})))

    def digests(self) -> dict[str, str]:
        """SHA-256 of every file that the experiment reads or writes, by its path, and of dvc.lock."""
        files = [file for folder in ("data", "reports", "vectors") for file in (self.path / folder).rglob("*")]
        return {
            str(file.relative_to(self.path)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in (*files, self.path / "dvc.lock")
            if file.is_file()
        }

    def object(self, output: str, store: Path) -> Path:
        """The file in ``store`` (a remote, or a cache) that holds the output of a stage, given as `stage:path`."""
        stage, path = output.split(":")
        lock = yaml.safe_load((self.path / "dvc.lock").read_text())["stages"][stage]
        (digest,) = (out["md5"] for out in lock["outs"] if out["path"] == path)
        return store / "files" / "md5" / digest[:2] / digest[2:]

    def reproduce(self) -> dict[str, float]:
        """`dvc repro`. Returns its timeline: the second at which each stage began, between "start" and "end"."""
        timeline, process, began = {"start": 0.0}, self.start("repro"), time.monotonic()
        for line in process.stdout:
            timeline |= dict.fromkeys(stages_run(line), time.monotonic() - began)
        assert process.wait() == 0
        return timeline | {"end": time.monotonic() - began}


def reproduced(folder: Path) -> Clone:
    """Run the small experiment in a fresh clone at ``folder`` and commit what it made."""
    made = Clone(clone(folder))
    for other in folder.glob("*/dvc.yaml"):
        shutil.rmtree(other.parent)  # an experiment that is not run here, whose data `dvc pull` would miss
    generator = np.random.default_rng(0)
    (folder / "vectors").mkdir()
    for name, size in (("train", 200), ("test", 100)):
        vectors = generator.standard_normal((size, 4)).astype(np.float32)
        np.save(folder / "vectors" / f"{name}_vectors.npy", vectors)
    write_params(folder, SMALL)
    made.dvc("add", "vectors")
    made.reproduce()
    made.commit()
    return made
