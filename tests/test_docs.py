"""The pages of `docs` say what is so."""

import re

import pytest
from imports import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_python_runs_and_prints_the_text_that_follows_it(page, capsys, tmp_path, monkeypatch):
    # All blocks of a page share names, in an empty folder.
    monkeypatch.chdir(tmp_path)
    text, names = page.read_text(encoding="utf-8"), {}
    for block in BLOCK.finditer(text):
        code, printed = block.groups()
        lines_before = text.count("\n", 0, block.start(1))
        exec(compile("\n" * lines_before + code, str(page), "exec"), names)
        assert capsys.readouterr().out == (printed or "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_it_points_at_exist(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target
