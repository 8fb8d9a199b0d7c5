"""How long a second clone takes to get everything, and what twenty kills leave.

    python benchmarks/sharing.py pull --clone CLONE
    python benchmarks/sharing.py kills
    python benchmarks/sharing.py report

`pull` takes a clone of this repository in which `make repro` has ended, and changes nothing in it. `kills` runs the
small experiment of the tests, tests/share/clones.py. Servers are those of the tests, on the loopback. Each command
keeps what it measured in data/sharing/, as it goes; `report` writes reports/sharing.md from what is there. Let nothing
else run meanwhile.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import yaml
from recording import Bench, Record, sections, table_of, tables_of, verdict
from tqdm import tqdm

from porcupine import storage
from porcupine.figures import style
from porcupine.randomness import generator

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "share"))  # its `clones`, not that of the benchmarks

import servers  # noqa: E402
from clones import SMALL, Clone, stages_run  # noqa: E402
from pipeline import clone as copy_of_tree  # noqa: E402
from pipeline import environment, write_params  # noqa: E402
from webdav_server import USERS  # noqa: E402

REMOTES = {"webdav": "WebDAV server", "folder": "folder"}
AIM_SECONDS = 60
MIB = 2**20
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
PASSING = {".git", "tmp", "__pycache__"}
"""Folders of a clone that nobody compares; `tmp` is .dvc/tmp."""


def main() -> None:
    """Run one command."""
    bench = Bench(__doc__, ROOT / "data" / "sharing")
    option = bench.command(pull, "time push and pull of the whole experiment, by each kind of remote")
    option("--clone", str(ROOT), "repository in which `make repro` has ended, committed")
    option("--rounds", 3, "median of so many, each with a new remote and a new clone")
    option = bench.command(kills, "kill `make repro` at random moments, run it again, compare all bytes")
    option("--kills", 20, "runs that are killed, each in a new clone")
    option("--seed", 0, "of the moments")
    option = bench.command(report, "write the page")
    option("--page", ROOT / "reports" / "sharing.md", "Markdown file")
    bench.run()


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder, on the disk of temporary files, with settings of DVC and git of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for variable in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
            os.environ[variable] = str(folder / variable)
        os.environ["GIT_CONFIG_GLOBAL"] = str(folder / "gitconfig")
        (folder / "gitconfig").write_text("[user]\n\tname = benchmark\n\temail = benchmark@example.org\n")
        yield folder


# ---- pull


def pull(arguments: argparse.Namespace) -> None:
    """Push all to a new remote, have a new clone get it, look whether it has the same bytes and ran nothing."""
    record, source = Record(arguments), Clone(Path(arguments.clone).resolve())
    if source.git("status", "--porcelain") or damaged(source):
        sys.exit(f"{arguments.clone}: not what its last commit says: commit what `make repro` has made")
    for number in tqdm(range(arguments.rounds), desc="rounds"):
        for remote in REMOTES:
            with workplace() as folder:
                record.add("pull", remote=remote, round=number, **pulled(source, remote, folder))


def pulled(source: Clone, remote: str, folder: Path) -> dict[str, Any]:
    """Seconds of each step, what was transferred, and how the new clone differs from what was committed."""
    store, options, seconds = folder / "store", {"verify": "true"}, {}
    store.mkdir()
    if remote == "webdav":
        options |= {"user": USERS[0], "password": servers.PASSWORD}
    with servers.webdav(store) if remote == "webdav" else nullcontext(store) as address:
        # A setting of the user, so that both clones have it and neither is written to.
        source.dvc("remote", "add", "--global", "--default", "group", str(address))
        for name, value in options.items():
            source.dvc("remote", "modify", "--global", "group", name, value)
        with stopwatch(seconds, "push"):
            source.dvc("push", "--run-cache")
        with stopwatch(seconds, "clone"):
            second = source.clone(folder / "second")
        with stopwatch(seconds, "pull"):
            output = second.dvc("repro", "--pull")
    sizes = [file.stat().st_size for file in store.rglob("*") if file.is_file()]
    return seconds | {
        "files": len(sizes),
        "mib": sum(sizes) / MIB,
        "outputs": len(outputs(second)),
        "ran": stages_run(output),
        "damaged": damaged(second),
        "changed": second.git("status", "--porcelain").splitlines(),
    }


@contextmanager
def stopwatch(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Note how long the context lasted."""
    began = time.monotonic()
    yield
    seconds[name] = time.monotonic() - began


def outputs(clone: Clone) -> dict[str, str]:
    """Path -> MD5 of each output that dvc.lock names, stages aside that the map no longer has."""
    names = clone.dvc("stage", "list", "--name-only", "dvc.yaml").split()
    lock = yaml.safe_load((clone.path / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    return {out["path"]: out["md5"] for name in names for out in lock[name]["outs"]}


def damaged(clone: Clone) -> list[str]:
    """Outputs that are missing or not of the bytes that dvc.lock names, read anew."""
    return [path for path, expected in outputs(clone).items() if digest(clone.path / path) != expected]


def digest(path: Path) -> str:
    """MD5 of a file, or of the listing of a folder, as DVC writes it; empty where there is none."""
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        listing = [{"md5": digest(files[name]), "relpath": name} for name in sorted(files)]
        return hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


# ---- kills


def kills(arguments: argparse.Namespace) -> None:
    """Run the small experiment undisturbed, then again and again, killed once and repeated."""
    record = Record(arguments)
    os.environ.update(ONE_THREAD)
    with workplace() as folder:
        origin = prepared(folder / "origin")
        whole = unspoilt(origin, folder / "whole")
        timeline = whole.reproduce()
        record.add("whole", seconds=timeline["end"], stages=[*timeline][1:-1])
        rng = generator(arguments.seed, "kills")
        for number in tqdm(range(arguments.kills), desc="kills"):
            with tempfile.TemporaryDirectory(dir=folder) as name:
                clone = unspoilt(origin, Path(name) / "clone")
                found = killed(clone, rng.uniform(0, timeline["end"]), timeline)
                left = sorted(paths(clone) - paths(whole))
                record.add("kill", number=number, **found, differ=differing(clone, whole), left=left)


def prepared(folder: Path) -> Clone:
    """A repository with the small experiment, in which nothing has run; its vectors are tracked by DVC."""
    made = Clone(copy_of_tree(folder))
    for name, size in (("train", 200), ("test", 100)):
        vectors = generator(0, name).standard_normal((size, 4)).astype("float32")
        storage.save_array(folder / "vectors" / f"{name}_vectors.npy", vectors)
    write_params(folder, SMALL, {"codebooks": {"methods": ["curve"]}})
    made.dvc("add", "vectors")
    made.commit()
    return made


def unspoilt(origin: Clone, folder: Path) -> Clone:
    """A new git clone of ``origin``, and its vectors."""
    shutil.copytree(origin.path / "vectors", origin.clone(folder).path / "vectors")
    return Clone(folder)


def start(clone: Clone) -> subprocess.Popen[str]:
    """Start `make repro` in a session of its own, with the environment that runs this instead of building another."""
    return subprocess.Popen(
        ["make", "--old-file=.venv/.ready", "repro"],
        cwd=clone.path,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def killed(clone: Clone, moment: float, timeline: dict[str, float]) -> dict[str, Any]:
    """Kill `make repro` at a moment, in seconds of the timeline, and run it again to its end.

    The moment counts from the start of the stage that it falls in, however long earlier ones have taken this time.
    Returns how many processes it was by then, 0 where it had ended; the stages that had begun; how many files were
    partly written; exit status and stages of the second run, and how its output ends where it failed.
    """
    current = max((name for name in timeline if timeline[name] <= moment), key=[*timeline].index)
    process, printed = start(clone), ""
    while current not in ["start", *stages_run(printed)] and (line := process.stdout.readline()):
        printed += line
    with suppress(subprocess.TimeoutExpired):
        process.wait(moment - timeline[current])
    n_processes = kill(process)
    begun = stages_run(printed + process.communicate()[0])
    partial = sum(1 for _ in clone.path.rglob(".*.partial*"))
    second = start(clone)
    output, _ = second.communicate()
    return {
        "moment": moment,
        "processes": n_processes,
        "begun": begun,
        "partial": partial,
        "status": second.returncode,
        "again": stages_run(output),
        "failure": output[-2000:] if second.returncode else "",
    }


def kill(process: subprocess.Popen[bytes]) -> int:
    """Kill a process with its group and all that it has started; return how many there were, once they are gone."""
    if process.poll() is not None:
        return 0
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()
    psutil.wait_procs(children, timeout=60)  # DVC holds the lock of a process until its number is free
    return 1 + len(children)


def differing(clone: Clone, other: Clone) -> list[str]:
    """Files that the experiment reads or writes, dvc.lock among them, that are not the same in two clones."""
    first, second = clone.digests(), other.digests()
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def paths(clone: Clone) -> set[str]:
    """All files of a clone, those of git and of running processes aside."""
    files = (file.relative_to(clone.path) for file in clone.path.rglob("*") if file.is_file())
    return {file.as_posix() for file in files if not PASSING & set(file.parts)}


# ---- report


def report(arguments: argparse.Namespace) -> None:
    """Write the page."""
    parts = ["# Sharing, measured", "Of what [docs/sharing.md](../docs/sharing.md) promises."]
    for _, section, heading, record in sections(arguments.results, SECTIONS):
        parts += [heading, *section(record["options"], tables_of(record))]
    with storage.replacing(arguments.page) as file:
        file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"wrote {arguments.page.name}")


def pull_section(options: dict[str, Any], tables: dict[str, pd.DataFrame]) -> list[str]:
    """What was aimed at, then the seconds of each step."""
    rows = tables["pull"]
    n_outputs = int(rows["outputs"].iloc[0])
    aims, steps = [], []
    for remote, title in REMOTES.items():
        here = rows[rows["remote"] == remote]
        median = statistics.median(here["pull"])
        aim = f"≤ {AIM_SECONDS} s"
        aims.append([f"`dvc repro --pull`, {title}", aim, verdict(f"{median:.0f} s", median <= AIM_SECONDS)])
        steps.append([title, *(spread(here[step]) for step in ("push", "clone", "pull"))])
    for title, column, of in (
        ("stages that it ran", "ran", ""),
        ("outputs not of the bytes that dvc.lock names", "damaged", f" of {n_outputs}"),
        ("files that `git status` names", "changed", ""),
    ):
        most = max(map(len, rows[column]))
        aims.append([title, "0", verdict(f"{most}{of}", most == 0)])
    return [
        "The default experiment: a clone in which it has run pushes all to a new remote; a new clone gets it, objects "
        f"checked on arrival (`verify`), {options['rounds']} times, the medians count. "
        f"{rows['files'].iloc[0]:.0f} files, {style.grouped(round(rows['mib'].iloc[0]))} MiB. "
        "Server, store and clones share one machine and one disk: no network is in these times.",
        table_of(["", "aim", ""], aims),
        table_of(["remote", "`dvc push --run-cache`, s", "`git clone`, s", "`dvc repro --pull`, s"], steps),
    ]


def spread(seconds: pd.Series) -> str:
    """Median, and all values."""
    return f"{statistics.median(seconds):.1f} ({', '.join(f'{value:.1f}' for value in seconds)})"


def kills_section(options: dict[str, Any], tables: dict[str, pd.DataFrame]) -> list[str]:
    """What was aimed at, then every kill."""
    rows, whole = tables["kill"], tables["whole"].iloc[0]
    total = options["kills"]
    counts = {
        "kills that met a running `make repro`": int((rows["processes"] > 0).sum()),
        "runs that the same command completed": int((rows["status"] == 0).sum()),
        "ends with the same bytes of data, reports and dvc.lock": sum(not names for names in rows["differ"]),
        "ends with no file more than the undisturbed run": sum(not names for names in rows["left"]),
    }
    aims = [[title, total, verdict(str(count), count == total)] for title, count in counts.items()]
    return [
        f"The small experiment of the tests, of one method: {len(whole['stages'])} stages of a "
        f"thread each, {whole['seconds']:.0f} s undisturbed. Each run begins in a "
        "new clone without results and is killed once, with all processes that it has started, at a moment drawn "
        "uniformly over the undisturbed run, counted from the start of the stage that it falls in; the same command "
        "follows, to its end. Two things stand in: instead of building an environment of its own, `make repro` uses "
        "the one that runs the benchmark; and the vectors are copied.",
        table_of(["", "aim", ""], aims),
        table_of(
            ["at, s", "stage", "processes", "files partly written", "stages begun", "run thereafter", "other bytes"],
            [
                [
                    f"{row['moment']:.1f}",
                    f"`{row['begun'][-1]}`" if row["begun"] else "before the first",
                    f"{row['processes']:.0f}",
                    f"{row['partial']:.0f}",
                    len(row["begun"]),
                    len(row["again"]),
                    ", ".join(row["differ"]) or "none",
                ]
                for _, row in rows.sort_values("moment").iterrows()
            ],
        ),
    ]


SECTIONS = {
    "pull": ("A second clone gets everything", pull_section),
    "kills": ("Killed runs", kills_section),
}


if __name__ == "__main__":
    main()
