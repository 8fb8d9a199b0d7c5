"""The pages of the API are built from the docstrings without a warning, and read like them."""

import importlib.util
import subprocess
import sys

import pytest
from imports import ROOT
from pages import Outline

SCRIPT = ROOT / "docs" / "api.py"


@pytest.fixture(scope="module")
def api():
    """The script as a module."""
    found = importlib.util.spec_from_file_location("api", SCRIPT)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_it_builds_without_a_word_and_needs_no_network(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    modules = [path for path in (ROOT / "porcupine").rglob("*.py") if path.name != "__init__.py"]
    for path in modules:
        if path.parent.name == "figures":  # its functions are offered by the package
            path = path.parent
        text = (tmp_path / path.relative_to(ROOT)).with_suffix(".html").read_text(encoding="utf-8")
        assert "<script src=" not in text and '<link rel="stylesheet"' not in text and 'src="http' not in text, path
    page = (tmp_path / "porcupine" / "privacy" / "occupancy.html").read_text(encoding="utf-8")
    assert "<td>worst_case_bits</td><td>-log2(min g / M); infinite where a code is empty</td>" in page
    assert "<dt>codes</dt><dd>int [..., N]. Returns int64 [..., K].</dd>" in page
    assert (tmp_path / "index.html").exists() and (tmp_path / "search.js").exists()


def test_a_docstring_is_read_as_it_is_meant(api):
    made = api.house(
        "Title.\n\n    name    what it *is*, with\n            <more> of it\n    other   `code`\n    and a line\n\n"
        "    y = x,   x > 0\n\nText in\ntwo lines:\n- one\n- two,\n  long\n\n"
        "a, b : first,\n    and on\nc : second\nReturns nothing.\nRaises E."
    )
    assert made.split("\n\n") == [
        "<p>Title.</p>",
        "<table><tr><td>name</td><td>what it <em>is</em>, with &lt;more&gt; of it</td></tr>"
        '<tr><td>other</td><td><code>code</code></td></tr><tr><td colspan="9">and a line</td></tr></table>',
        "<pre>y = x,   x &gt; 0</pre>",
        "<p>Text in two lines:</p><ul><li>one</li><li>two, long</li></ul>",
        "<dl><dt>a, b</dt><dd>first, and on</dd><dt>c</dt><dd>second</dd></dl><p>Returns nothing.</p><p>Raises E.</p>",
    ]


def test_all_docstrings_give_well_formed_pages(api):
    for path in (ROOT / "porcupine").rglob("*.py"):
        module = compile(path.read_text(encoding="utf-8"), str(path), "exec")
        for code in (module, *(constant for constant in module.co_consts if hasattr(constant, "co_consts"))):
            for text in code.co_consts:
                if isinstance(text, str) and "\n" in text:
                    Outline(api.house(text))
