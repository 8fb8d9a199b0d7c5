"""benchmarks/sharing.py: what it calls the same bytes, what it kills, and its page."""

import argparse
import re
import subprocess
import sys

import psutil
import pytest
from clones import PAGE
from imports import ROOT

from porcupine import storage

sys.path.append(str(ROOT / "benchmarks"))  # scripts there are no package

import sharing

PULL = {"files": 164, "mib": 2433.4, "outputs": 57, "push": 9.0, "clone": 0.5, "ran": [], "damaged": [], "changed": []}
PULLS = [
    {"table": "pull", "remote": remote, "round": number, **PULL, "pull": seconds}
    for remote, times in (("webdav", (58.0, 71.0, 40.0)), ("folder", (20.0, 30.0, 25.0)))
    for number, seconds in enumerate(times)
]
WHOLE = {"table": "whole", "seconds": 70.0, "stages": ["manifest", "codes", "figures", "page"]}
KILL = {"table": "kill", "processes": 4, "partial": 1, "status": 0, "failure": "", "differ": [], "left": []}
KILLS = [
    WHOLE,
    {**KILL, "number": 0, "moment": 40.0, "begun": ["manifest", "codes"], "again": ["codes", "figures", "page"]},
    {**KILL, "number": 1, "moment": 1.5, "begun": [], "again": ["manifest", "codes", "figures", "page"], "partial": 0},
]


REMOTES = ("folder", "WebDAV server")
FIGURES = re.compile(r"(\w+) runs killed .* all (\w+) .* ([\d.]+) GiB, in (\d+) s from a folder and (\d+) s by WebDAV")


def page(folder, command, rows, **options):
    record = {"command": "python x.py", "machine": "a machine", "minutes": 2.0, "options": options, "rows": rows}
    storage.save_json(folder / f"{command}.json", record)
    sharing.report(argparse.Namespace(results=folder, page=folder / "page.md"))
    return (folder / "page.md").read_text(encoding="utf-8")


def test_the_page_tells_medians_and_all_kills(tmp_path):
    page(tmp_path, "pull", PULLS, rounds=3)
    text = page(tmp_path, "kills", KILLS, kills=2)
    assert "| `dvc repro --pull`, WebDAV server | ≤ 60 s | 58 s: met |" in text
    assert "| folder | 9.0 (9.0, 9.0, 9.0) | 0.5 (0.5, 0.5, 0.5) | 25.0 (20.0, 30.0, 25.0) |" in text
    assert "0 of 57: met" in text and "164 files, 2 433 MiB" in " ".join(text.split())
    first, second = "| 1.5 | before the first | 4 | 0 | 0 | 4 | none |", "| 40.0 | `codes` | 4 | 1 | 2 | 3 | none |"
    assert f"{first}\n{second}" in text and "one method: 4 stages" in text
    assert text.count(": met |") == 5 + 4 and "not met" not in text


@pytest.mark.parametrize(
    ("row", "change", "said"),
    [
        (2, {"pull": 61.0}, "61 s: **not met**"),
        (5, {"ran": ["codes"]}, "1: **not met**"),
        (0, {"damaged": ["data/codes", "data/corpus"]}, "2 of 57: **not met**"),
        (3, {"changed": [" M dvc.lock"]}, "1: **not met**"),
    ],
)
def test_a_pull_that_falls_short_is_told(tmp_path, row, change, said):
    text = page(tmp_path, "pull", [*PULLS[:row], PULLS[row] | change, *PULLS[row + 1 :]], rounds=3)
    assert said in text and text.count("not met") == 1


@pytest.mark.parametrize(
    ("row", "change", "said"),
    [
        (1, {"processes": 0}, "running `make repro` | 2 | 1: **not met**"),
        (1, {"status": 2}, "completed | 2 | 1: **not met**"),
        (1, {"differ": ["dvc.lock"]}, "dvc.lock | 2 | 1: **not met**"),
        (2, {"differ": ["reports/metrics.csv"]}, "data, reports and dvc.lock | 2 | 1: **not met**"),
        (2, {"left": ["data/.codes.partial"]}, "undisturbed run | 2 | 1: **not met**"),
    ],
)
def test_a_kill_that_does_harm_is_told(tmp_path, row, change, said):
    text = page(tmp_path, "kills", [*KILLS[:row], KILLS[row] | change, *KILLS[row + 1 :]], kills=2)
    assert said in text and text.count("not met") == 1


def test_damaged_outputs_are_found(alice):
    assert sharing.damaged(alice) == []
    for name in ("data/manifest.parquet", "data/codes/kmeans.npz"):
        content = bytearray((alice.path / name).read_bytes())
        content[-1] ^= 1
        (alice.path / name).unlink()  # a link to what the cache keeps
        (alice.path / name).write_bytes(content)
    (alice.path / "data" / "embeddings" / "more").touch()
    (alice.path / "reports" / "metrics.csv").unlink()
    found = {"data/manifest.parquet", "data/codes", "data/embeddings", "reports/metrics.csv"}
    assert set(sharing.damaged(alice)) == found


def test_a_run_is_killed_in_the_stage_of_its_moment_and_repeated(tmp_path):
    # The first run never ends by itself; the timeline is not that of this run.
    commands = ["echo \"Running stage 'a':\"", "test -e .b.partial || slow=600; touch .b.partial"]
    commands += ["echo \"Running stage 'b':\"", "sleep $${slow:-0}", "echo \"Running stage 'c':\""]
    (tmp_path / "Makefile").write_text("repro:\n\t@" + "; ".join(commands) + "\n")
    timeline = {"start": 0.0, "a": 30.0, "b": 50.0, "c": 70.0, "end": 90.0}
    found = sharing.killed(sharing.Clone(tmp_path), 50.1, timeline)
    assert found.pop("processes") >= 2
    again = {"begun": ["a", "b"], "again": ["a", "b", "c"], "partial": 1}
    assert found == {"moment": 50.1, "status": 0, "failure": "", **again}


def test_a_kill_leaves_no_child(tmp_path):
    # A child in the group, and one that has left it.
    script = "sleep 600 & setsid sleep 600 & echo ready; wait"
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    process.stdout.readline()
    children = psutil.Process(process.pid).children(recursive=True)
    assert sharing.kill(process) == 1 + len(children) == 3
    assert process.returncode == -9
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert sharing.kill(process) == 0
    process.stdout.close()


def test_files_that_differ_or_are_left_are_named(tmp_path):
    first, second = (sharing.Clone(tmp_path / name) for name in ("first", "second"))
    for clone in (first, second):
        for name in ("data/a.npy", "reports/b.csv", "dvc.lock", ".dvc/tmp/lock", ".git/index"):
            (clone.path / name).parent.mkdir(parents=True, exist_ok=True)
            (clone.path / name).write_text("same")
    assert sharing.differing(first, second) == [] and sharing.paths(first) == sharing.paths(second)
    (second.path / "reports" / "b.csv").write_text("other")
    (second.path / "dvc.lock").unlink()
    (second.path / ".dvc" / "tmp" / "more").touch()
    (second.path / "data" / ".a.host-1.partial.npy").touch()
    assert sharing.differing(first, second) == ["data/.a.host-1.partial.npy", "dvc.lock", "reports/b.csv"]
    assert sharing.paths(second) - sharing.paths(first) == {"data/.a.host-1.partial.npy"}


def test_the_docs_say_what_was_measured():
    text = " ".join((ROOT / "reports" / "sharing.md").read_text(encoding="utf-8").split())
    killed, ended, gib, *seconds = FIGURES.search(" ".join(PAGE.read_text(encoding="utf-8").split())).groups()
    assert killed == ended == "twenty" and "bytes of data, reports and dvc.lock | 20 | 20: met |" in text
    mib = re.search(r"files, ([\d ]+) MiB", text)[1].replace(" ", "")
    assert float(gib) == pytest.approx(int(mib) / 1024, abs=0.05)
    assert seconds == [re.search(rf"`dvc repro --pull`, {name} \| ≤ 60 s \| (\d+) s", text)[1] for name in REMOTES]
