"""What can be told of `docs` without running the experiment; `make test-docs` runs it."""

import re
import shutil

import numpy as np
import pytest
import yaml
from imports import ROOT
from transcript import blocks, holds, patch

from porcupine import params
from porcupine.errors import InputError

PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
ADDED = {"named", "spectrum", "signs"}  # by the changes that howto.md makes


def cells(text):
    """Rows of a Markdown table, by their first cell."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.strip().splitlines()]
    return {row[0].strip("*`"): row[1:] for row in rows}


def test_the_index_names_all_pages():
    assert set(re.findall(r"\]\((\w+\.md)\)", PAGES["README.md"])) == set(PAGES) - {"README.md"}


@pytest.mark.parametrize("name", PAGES)
def test_headings_that_it_points_at_exist(name):
    for page, heading in re.findall(r"\]\(((?:[\w./]+\.md)?)#([^)]+)\)", PAGES[name]):
        text = (ROOT / "docs" / (page or name)).read_text(encoding="utf-8")
        titles = [
            re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)", text, re.M)
        ]
        assert heading in titles, (page, heading)


@pytest.mark.parametrize("name", ["tutorial.md", "howto.md", "compare.md"])
def test_the_params_that_it_sets_are_known(name):
    commands = [block.content for block in blocks(PAGES[name]) if block.kind == "sh"]
    found = re.findall(r"-S '?([\w.]+)=(\[.*?\]|[^\s']+)", "\n".join(commands))
    assert found
    for key, text in found:
        section, *names = key.split(".")
        for value in [yaml.safe_load(text)] if text.startswith("[") else map(yaml.safe_load, text.split(",")):
            value = [item for item in value if item not in ADDED] if isinstance(value, list) else value
            if str(value) in ADDED:
                continue
            for inner in reversed(names):
                value = {inner: value}
            params.check({section: value})


def test_changes_that_howto_shows_can_be_made(tmp_path):
    for kind, _, content in blocks(PAGES["howto.md"]):
        if kind == "diff":
            name = content.splitlines()[0].removeprefix("# ")
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            if not (tmp_path / name).exists():
                shutil.copy(ROOT / name, tmp_path / name)
            patch(content, tmp_path)
    changed = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.py")}
    assert len(changed) == 5
    for name, text in changed.items():
        compile(text, name, "exec")
    assert all(f'"{name}"' in changed["porcupine/params.py"] for name in ADDED)


def test_what_howto_says_of_a_missing_gpu(monkeypatch):
    from porcupine import device

    monkeypatch.setattr(device.torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError) as error:
        device.resolve("cuda")
    assert str(error.value) in PAGES["howto.md"]


def test_figures_of_methods_are_those_of_the_reports():
    evenness, attack = (
        cells(found) for found in re.findall(r"\|---\|(?:---\|)+\n((?:\| `.*\n)+)", PAGES["methods.md"])[-2:]
    )
    report = (ROOT / "reports" / "quantisers.md").read_text(encoding="utf-8")
    parts = re.split(r"^## ", report, flags=re.MULTILINE)
    for column, name in ((0, "common-voice-mel"), (2, "voices-18000"), (4, "speechocean762-ge2e")):
        part = next(part for part in parts if part.startswith(name))
        rows = cells(re.search(r"### Test distortion over that of `vq`.*?\n\n(.*?)\n\n", part, re.DOTALL)[1])
        for method, said in evenness.items():
            measured = np.array([re.findall(r"[\d.]+", cell) for cell in rows[method][:5]], dtype=float)
            for offset, values in enumerate(measured.T):
                ends = [float(end) for end in said[column + offset].split(" to ")]
                assert (ends[0], ends[-1]) == (values.min(), values.max()), (name, method)
    report = (ROOT / "reports" / "attacks.md").read_text(encoding="utf-8")
    report = report.split("\n## voices, 900 speakers")[1].split("\n## ")[0]
    for method, said in attack.items():
        assert re.findall(rf"^\| {method} \| \d \| (.*?) \|", report, re.MULTILINE)[:5] == said
    report = (ROOT / "reports" / "real-speech.md").read_text(encoding="utf-8")
    report = report.split("\n## speechocean762, pretrained")[1]
    rows = cells(re.search(r"### Distortion against uniformity.*?---\|\n(.*?)\n\n", report, re.DOTALL)[1])
    named = ("curve-nearest", 6), ("sfvq-faithful-nearest", 6), ("balanced", 6), ("curve-interval", 6), ("balanced", 4)
    few = PAGES["methods.md"].split("With several utterances of few speakers")[1].split("\n## ")[0]
    assert re.findall(r"\d\.\d+", few) == [rows[method][bits - 4].split(" / ")[1] for method, bits in named]


def test_a_page_is_read_as_it_looks():
    page = "```sh repository\necho 1\n```\n\n| a |\n|---|\n| 1 |\n\n| b |\n\n```text\n2\n```\n"
    table = "| a |\n|---|\n| 1 |\n"
    assert blocks(page) == [("sh", "repository", "echo 1\n"), ("table", "", table), ("text", "", "2\n")]
    assert not holds("b\nd\n", "a\nb\nc\nd\ne\n")
    assert all(holds("b\n…\nd\n", f"a\nb\n{between}d\ne\n") for between in ("", "c\n", "c\nc\n"))
    assert holds("x 1.5 …", "x 2.25 more", numbers=False) and not holds("x 1.5 …", "x 2.25 more")


def test_a_change_that_does_not_fit_is_refused(tmp_path):
    (tmp_path / "a.py").write_text("one\ntwo\nthree\n")
    patch("# a.py\n one\n+and a half\n@@\n-three\n+four\n", tmp_path)
    assert (tmp_path / "a.py").read_text() == "one\nand a half\ntwo\nfour\n"
    with pytest.raises(AssertionError, match="0 times"):
        patch("# a.py\n-three\n+four\n", tmp_path)
