"""docs/compare.md is so: its commands run in order, in a clone, and print what it shows."""

import re
import time

import numpy as np
import pytest
from imports import ROOT
from pipeline import clone, dvc
from transcript import blocks, holds, run

pytestmark = pytest.mark.flow

PAGE = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
SWEEP = ("rate-1", "rate-2", "rate-3")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each command printed, one list a block, beside what the page shows of the block; and the clone."""
    vectors, repository = tmp_path_factory.mktemp("vectors"), clone(tmp_path_factory.mktemp("clone"))
    rng = np.random.default_rng(0)
    for part, size in (("train", 2000), ("test", 1000)):
        np.save(vectors / f"{part}_vectors.npy", rng.standard_normal((size, 8), dtype=np.float32))
    found = []
    with pytest.MonkeyPatch.context() as patches:
        patches.setenv("BROWSER", "true")  # instead of one that is opened
        for kind, _, content in blocks(PAGE):
            if kind != "sh":
                found[-1][1].append(content)
                continue
            commands = re.sub(r" *\\\n *", " ", content).splitlines()
            found.append(([_run(command, repository, {"/my/vectors": vectors}) for command in commands], []))
            if "dvc queue start" in content:
                _wait(repository)
    yield found, repository
    dvc(repository, "queue", "stop", "--kill")


def _run(command, repository, places):
    # The page says of this one that it complains while the second system has not been run, and does it all the same.
    complains = command.startswith("dvc exp apply")
    output = run(command, repository, places, fails=complains)
    assert not complains or "data/kmeans-audio" in output
    return output


def _wait(repository):
    """Until the queue has worked off all."""
    deadline = time.monotonic() + 900
    while re.search("Running|Queued", status := dvc(repository, "queue", "status")):
        assert time.monotonic() < deadline, status
        time.sleep(5)
    assert status.count("Success") == len(SWEEP), status


def test_its_commands_print_what_it_shows(told):
    found, _ = told
    assert len(found) == 5
    (_, change, sweep, table, _), printed = (shown for _, shown in found), ["".join(output) for output, _ in found]
    params, metrics = change[0].split("\n\n")
    assert holds(f"{params}\n", printed[1]) and holds(metrics.splitlines()[0] + "\n", printed[1])
    for row in metrics.splitlines()[1:]:
        assert " ".join(row.split()[:2]) in " ".join(printed[1].split()), row
    queued, _ = sweep[0].split("\n\n", 1)
    assert holds("…\n".join(f"{line}\n" for line in queued.splitlines()), printed[2])
    # Which experiment is where in the tree, and how they are sorted, depends on the vectors.
    names, rows = printed[3].split("\n")[0].split(), [line.split(" | ")[0] for line in printed[3].splitlines()[2:]]
    assert names == table[0].split("\n")[0].split()
    assert sorted(re.findall(r"\[([\w-]+)\]", "".join(rows))) == ["longer", *SWEEP]


def test_a_panel_for_each_revision_is_drawn(told):
    _, repository = told
    page = (repository / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert all(word in page for word in ("HEAD", "workspace", "vega"))


def test_what_is_applied_is_in_the_workspace_and_what_is_removed_is_gone(told):
    _, repository = told
    assert "learning_rate: 0.1" in (repository / "params.yaml").read_text()
    left = dvc(repository, "exp", "list", "--name-only", "--all-commits").split()
    assert "longer" in left and "rate-3" in left and not {"rate-1", "rate-2"} & set(left)
