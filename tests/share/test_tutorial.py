"""docs/tutorial.md is so: its commands run in order, in a clone, and print what it shows."""

import contextlib
import io
import re

import pytest
from imports import ROOT
from pipeline import clone
from transcript import blocks, holds, run

pytestmark = pytest.mark.flow

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each block printed, beside what the page shows of it; and the clone."""
    repository = clone(tmp_path_factory.mktemp("clone"))
    found, names = [], {}
    for kind, _, content in blocks(PAGE):
        if kind == "sh":
            found.append((run(content, repository, {}), []))
        elif kind == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.chdir(repository):
                exec(content, names)
            found.append((printed.getvalue(), []))
        else:
            found[-1][1].append(content)
    return found, repository


def without_figures(text):
    """On other processors figures differ, which of them are infinite, and which an attack changes."""
    text = re.sub(r"^(\|[^|]*\|).*", r"\1", text, flags=re.MULTILINE)
    return re.sub(r"^(reports/\S+).*\n(?:\1.*\n)*", r"\1\n", text, flags=re.MULTILINE)


def test_its_commands_print_what_it_shows(told):
    found, _ = told
    assert len(found) == 10
    for output, shown in found:
        for text in map(without_figures, shown):
            assert holds(text, without_figures(output), numbers=False), f"{text}\nis not in\n{output}"


def test_it_ends_where_it_was_committed_with_a_quantiser(told):
    _, repository = told
    assert "enrolment: 2" in run("git show HEAD:params.yaml", repository, {})
    assert "up to date" in run("dvc status dvc.yaml", repository, {})
    assert (repository / "codes-of-3-bits.npz").is_file()
