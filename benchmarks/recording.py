"""What benchmarks share: command lines, raw results kept as they come, memory, tables.

Bench        commands with options; each keeps its raw results in a folder
Record       raw results of one command, in a JSON file
Peak         greatest value of something while it is watched
memory       of this process
sections     of a page, from the raw results of its commands
tables_of    rows of a record, by table
table_of     Markdown table
verdict      a value and whether it is what was aimed at
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import sklearn
import torch

from porcupine import storage

GIB = 2**30

Section = Callable[[dict[str, Any], Any], list[str]]
"""Options and rows of a record -> parts of a page."""


class Bench:
    """Commands of a script. ``results`` : default folder of raw results."""

    def __init__(self, description: str | None, results: Path) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        self._parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
        self._commands = self._parser.add_subparsers(dest="command", required=True)
        self._results = results

    def command(self, run: Callable[[argparse.Namespace], None], text: str) -> Callable[..., None]:
        """Add the command ``run.__name__``; returns what adds an option to it: name, default, text."""
        sub = self._commands.add_parser(run.__name__, help=text, description=text)
        sub.set_defaults(run=run)
        sub.add_argument("--results", type=Path, default=self._results, help="folder of raw results")

        def option(name: str, default: Any, text: str) -> None:
            many = {"nargs": "+"} if isinstance(default, list) else {}
            kind = type(default[0] if many else default)
            shown = " ".join(map(str, default)) if many else default
            sub.add_argument(name, type=kind, default=default, help=f"{text}; default: {shown}", **many)

        return option

    def run(self) -> None:
        """Read the command line and run its command."""
        arguments = self._parser.parse_args()
        arguments.run(arguments)


class Record:
    """Raw results of one command, in a JSON file that is written again with each row."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.path = arguments.results / f"{arguments.command}.json"
        self.began = time.monotonic()
        options = {key: value for key, value in vars(arguments).items() if key not in ("run", "results", "command")}
        command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
        self.content = {"command": command, "machine": machine(), "options": options, "rows": []}

    def add(self, table: str, **row: Any) -> None:
        """Keep a row and print it."""
        self.content["rows"].append({"table": table, **row})
        self.content["minutes"] = (time.monotonic() - self.began) / 60
        storage.save_json(self.path, self.content)
        shown = ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in row.items()
            if not isinstance(value, list)
        )
        print(f"{60 * self.content['minutes']:6.0f} s  {table}: {shown}", flush=True)


def machine() -> str:
    """What the times depend on."""
    cpu = next((line.split(":")[1].strip() for line in lines_of("/proc/cpuinfo") if line.startswith("model name")), "")
    memory = psutil.virtual_memory().total / GIB
    return (
        f"{os.cpu_count()} cores ({cpu or platform.processor()}, {platform.machine()}), {memory:.0f} GiB of memory, "
        f"{platform.system()}, load {os.getloadavg()[0]:.1f} before; Python {platform.python_version()}, "
        f"torch {torch.__version__.split('+')[0]}, "
        f"numpy {np.__version__}, scikit-learn {sklearn.__version__}"
    )


def lines_of(path: str) -> list[str]:
    """Lines of a file of /proc."""
    return Path(path).read_text(encoding="utf-8").splitlines()


class Peak:
    """Greatest ``read()`` while the context lasts, by a thread that samples it."""

    def __init__(self, read: Callable[[], int], *, every: float) -> None:
        self.value = read()
        self._read, self._every, self._stop = read, every, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            self.value = max(self.value, self._read())

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.value = max(self.value, self._read())


def memory(field: str) -> int:
    """Bytes of this process: RssAnon, what it holds itself; VmHWM, the peak with mapped files."""
    return next(int(line.split()[1]) for line in lines_of("/proc/self/status") if line.startswith(field)) * 1024


def sections(results: Path, known: Mapping[str, tuple[str, Section]]) -> Iterator[tuple[str, Section, str, Any]]:
    """Yield name, section, heading and record of each command that was measured; say which was not.

    known : name of the command -> title, and what makes the section of its record.
    """
    for name, (title, section) in known.items():
        path = results / f"{name}.json"
        if not path.exists():
            print(f"{name}: not measured yet")
            continue
        record = storage.load_json(path)
        took = f"`{record['command']}`: {record['minutes']:.1f} minutes on {record['machine']}."
        yield name, section, f"## {title}\n\n{took}", record


def tables_of(record: Any) -> dict[str, pd.DataFrame]:
    """Rows of a record by their table, each with its own columns alone."""
    rows = pd.DataFrame(record["rows"])
    return {str(table): part.dropna(axis=1, how="all") for table, part in rows.groupby("table")}


def table_of(columns: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [columns, ["---"] * len(columns), *rows])


def verdict(value: str, met: bool) -> str:
    """A value and whether it is what was aimed at."""
    return f"{value}: {'met' if met else '**not met**'}"
