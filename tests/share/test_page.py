"""docs/sharing.md is so: its commands run in order, and print what it shows."""

from __future__ import annotations

import re
import subprocess
from contextlib import ExitStack

import pytest
import servers
from clones import PAGE, Clone
from pipeline import environment

SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE))
BLOCK = re.compile(r"^```(?:sh (\w+)|text)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


class World:
    """Homes of the people on the page, and the places that its addresses stand for."""

    def __init__(self, folder, places):
        self.folder, self.places = folder, places

    def repository(self, who):
        return self.folder / who / "porcupine"

    def run(self, who, commands):
        """Run one block as ``who``, in their repository once they have one; return the output in the page's words."""
        home = self.folder / who
        home.mkdir(exist_ok=True)
        for name, place in self.places.items():
            commands = commands.replace(name, str(place))
        done = subprocess.run(
            ["sh", "-ec", commands],
            cwd=self.repository(who) if self.repository(who).exists() else home,
            env=environment() | {"PASSWORD": servers.PASSWORD},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout
        output = done.stdout
        for name, place in self.places.items():
            output = output.replace(str(place), name)
        return output


@pytest.fixture(scope="module")
def world(origin, tmp_path_factory):
    """Alice has run the experiment and pushed the code; the others have nothing yet."""
    folder = tmp_path_factory.mktemp("world")
    for name in ("alice", "hub.git", "porcupine", "store"):
        (folder / name).mkdir()
    subprocess.run(["cp", "-a", origin.path, folder / "alice" / "porcupine"], check=True)
    alice = Clone(folder / "alice" / "porcupine")
    subprocess.run(["git", "init", "--quiet", "--bare", folder / "hub.git"], check=True)
    alice.git("remote", "add", "origin", str(folder / "hub.git"))
    alice.git("push", "--quiet", "--set-upstream", "origin", "HEAD")
    alice.git("--git-dir", str(folder / "hub.git"), "symbolic-ref", "HEAD", alice.git("symbolic-ref", "HEAD").strip())
    with ExitStack() as stack:
        yield World(
            folder,
            {
                "https://git.example/porcupine.git": folder / "hub.git",
                "webdav://server.example/store": stack.enter_context(servers.webdav(folder / "store")),
                "http://server.example/porcupine": stack.enter_context(servers.http(folder / "porcupine")),
                "/srv/porcupine": folder / "porcupine",
                "/srv/cache": folder / "cache",
            },
        )


@pytest.mark.parametrize("section", SECTIONS)
def test_its_commands_print_what_it_shows(section, world):
    blocks = BLOCK.findall(SECTIONS[section])
    assert blocks
    output = None
    for who, content in blocks:
        if who:
            output = world.run(who, content)
        else:
            pattern = "".join(rf"^{re.escape(line)}\n" for line in content.splitlines())
            pattern = pattern.replace(r"^…\n", r"(?:.*\n)*?").replace("…", ".*")
            assert re.search(pattern, output, flags=re.MULTILINE), f"{content}\nis not in\n{output}"


def test_all_who_pulled_have_the_same_bytes(world):
    made = Clone(world.repository("alice")).digests()
    assert len(made) > 40
    for who in ("bob", "carol", "dave", "erin", "frank"):
        assert Clone(world.repository(who)).digests() == made, who


def test_nobody_committed_the_password(world):
    assert servers.PASSWORD in (world.repository("alice") / ".dvc" / "config.local").read_text()
    for who in ("alice", "carol"):
        assert servers.PASSWORD not in Clone(world.repository(who)).git("log", "--patch", "--text", "--all")


def test_whose_blocks_it_has_and_no_other_fences():
    assert {who for who, _ in BLOCK.findall(PAGE.read_text())} >= {"alice", "bob", ""}
    assert len(re.findall("^```", PAGE.read_text(), flags=re.MULTILINE)) == 2 * len(BLOCK.findall(PAGE.read_text()))
