"""A page of `docs` as what it is to be: commands that run one after the other, and print what it shows.

blocks   page -> its fenced blocks, in order
run      commands of a block -> what they print
holds    whether an output has the lines that a page shows
patch    apply a block that shows a change
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline import environment

_FENCED = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$(?:\n\n((?:\|[^\n]*\n)+))?", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """``kind``: sh, python, text, …; ``mark``: a second word after the fence, mostly none."""

    kind: str
    mark: str
    content: str


def blocks(page: str) -> list[Block]:
    """All blocks of a page; of kind `table`, a table that follows another block directly and shows what it printed."""
    found = []
    for kind, mark, content, table in _FENCED.findall(page):
        found += [Block(kind, mark, content)] + [Block("table", "", table)] * bool(table)
    assert len(re.findall(r"^```", page, re.MULTILINE)) == 2 * sum(block.kind != "table" for block in found)
    return found


def run(commands: str, folder: Path, places: Mapping[str, Path], *, fails: bool = False) -> str:
    """Run the commands in ``folder``; ``places`` are what the names of folders on the page stand for."""
    for name, place in places.items():
        commands = commands.replace(name, str(place))
    done = subprocess.run(
        ["sh", "-ec", commands],
        cwd=folder,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert (done.returncode != 0) == fails, done.stdout
    output = done.stdout
    for name, place in places.items():
        output = output.replace(str(place), name)
    return output


def holds(shown: str, output: str, *, numbers: bool = True) -> bool:
    """Whether the lines shown follow each other in the output, where `…` stands for anything, also for whole lines.

    numbers : whether these have to agree, too; where they are not those of every machine, they do not.
    """
    if not numbers:
        shown, output = (re.sub(r"[-+]?\d+(?:[.,]\d+)*", "#", text) for text in (shown, output))
    shown, output = (re.sub(r"[ \t]+", " ", text) for text in (shown, output))
    pattern = "".join(rf"^{re.escape(line)} ?\n" for line in shown.splitlines())
    pattern = pattern.replace(r"^… ?\n", r"(?:.*\n)*?").replace("…", ".*")
    return re.search(pattern, f"{output}\n", re.MULTILINE) is not None


def patch(change: str, folder: Path) -> None:
    """Apply a change: the file's name, then lines as of a diff, in parts that are set apart by `@@`."""
    name, *lines = change.splitlines()
    path = folder / name.removeprefix("# ")
    text = path.read_text(encoding="utf-8")
    for part in "\n".join(lines).split("\n@@\n"):
        old, new = ("\n".join(line[1:] for line in part.splitlines() if line[:1] in (" ", sign)) for sign in ("-", "+"))
        assert text.count(old) == 1, f"{name} has {text.count(old)} times\n{old}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
