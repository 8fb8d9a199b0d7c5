"""Run the experiment on small params: in a temporary clone under DVC, or stage by stage in this process."""

from __future__ import annotations

import importlib
import inspect
import itertools
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from imports import ROOT

from porcupine import params as schema

TINY: dict[str, Any] = {
    "compute": {"workers": 1},
    "corpus": {"voices": {"speakers": 60, "utterances": 3}},
    "manifest": {"min_seconds": 1.0, "encoder_fraction": 0.2},
    "features": {"bands": 24},
    "encoder": {"channels": 8, "dimension": 16, "epochs": 2, "batch_size": 8, "validation_fraction": 0.25},
    "codebooks": {
        "methods": ["vq", "sfvq", "curve", "tree", "balanced"],
        "bits": [2, 3],
        "repeats": 2,
        "epochs": 3,
        "batch_size": 16,
    },
    "attack": {"enrolment": 1, "epsilons": [2], "bootstrap": 20},
    "attributes": {"bootstrap": 20, "permutations": 20},
    "disclosure": {"observed": [1, 2], "simulations": 100, "bootstrap": 20},
    "metrics": {"simulations": 100, "bootstrap": 20},
    "figures": {"dpi": 40},
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` laid over it, section by section."""
    result = dict(base)
    for key, value in changes.items():
        result[key] = merged(base[key], value) if isinstance(value, dict) and key in base else value
    return result


def write_params(folder: Path, *changes: dict[str, Any], file: str = "params.yaml") -> None:
    """Write committed params with changes into ``folder``."""
    content = yaml.safe_load((ROOT / file).read_text())
    for change in changes:
        content = merged(content, change)
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(yaml.safe_dump(content))


def clone(destination: Path) -> Path:
    """Copy the working tree, without what git ignores, into a fresh repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and not name.startswith("reports/") and Path(name).name != "dvc.lock":
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            (destination / name).write_bytes((ROOT / name).read_bytes())
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "clone"]):
        subprocess.run([*git, *command], cwd=destination, check=True)
    return destination


def environment() -> dict[str, str]:
    """Environment in which `python` and `dvc` are those that run the tests."""
    return os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "DVC_NO_ANALYTICS": "1",
    }


def dvc(folder: Path, *arguments: str) -> str:
    """Run a DVC command in ``folder`` and return what it printed."""
    done = subprocess.run(
        ["dvc", *arguments], cwd=folder, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def run_in_process(*, map_file: str = "dvc.yaml", upto: str | None = None) -> None:
    """Run the stages of a map in the current folder, on the params that lie there."""
    for name, stage in yaml.safe_load((ROOT / map_file).read_text())["stages"].items():
        _, _, module, *words = shlex.split(stage["cmd"])
        file = "params.yaml"
        if "--params" in words:
            file = words[words.index("--params") + 1]
            del words[words.index("--params") :]
        content, params = yaml.safe_load(Path(file).read_text()), schema.load(file)
        main = importlib.import_module(module).main
        types = [p.annotation for p in list(inspect.signature(main, eval_str=True).parameters.values())[1:]]
        matrix = stage.get("matrix", {})
        values = [content[v[2:-1].split(".")[0]][v[2:-1].split(".")[1]] for v in matrix.values()]
        for item in itertools.product(*values):
            filled = words
            for key, value in zip(matrix, item, strict=True):
                filled = [word.replace(f"${{item.{key}}}", str(value)) for word in filled]
            main(params, *(kind(word) for kind, word in zip(types, filled, strict=True)))
        if name == upto:
            return
