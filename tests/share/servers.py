"""Servers that the tests start on free ports of the loopback, each a process of its own that storage outlives.

webdav        reads and writes a folder for one user; may die half-way through a transfer
http          reads a folder, as any web server does
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = secrets.token_hex()  # in no file of the project


@contextmanager
def webdav(folder: Path, *, dies_at: tuple[str, int] | None = None) -> Iterator[str]:
    """Yield the address of a WebDAV server over ``folder``.

    dies_at : a method and a number, ("PUT", 5): it is killed half-way through its fifth PUT.
    """
    folder.mkdir(exist_ok=True)
    script = str(Path(__file__).with_name("webdav_server.py"))
    with _serving([script, str(folder), *map(str, dies_at or ())]) as address:
        yield address


@contextmanager
def http(folder: Path) -> Iterator[str]:
    """Yield the address of a read-only web server over ``folder``."""
    with _serving(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]) as address:
        yield address


@contextmanager
def _serving(arguments: list[str]) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PASSWORD": PASSWORD},
    )
    try:
        ready = process.stdout.readline()
        found = re.search(r"\w+://127\.0\.0\.1:\d+[\w/]*", ready)
        assert found, f"{arguments}: no address in {ready!r}"
        yield found[0]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
