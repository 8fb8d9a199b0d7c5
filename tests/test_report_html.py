import re
import subprocess
import sys
from urllib.parse import unquote

import matplotlib
import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup
from pages import Outline, check

from porcupine import figures
from porcupine.audit import audit, write
from porcupine.errors import InputError
from porcupine.report import cells, html, terms

EVIL = '<script>alert("x")</script>|`&*$\\frac{$'


@pytest.fixture(scope="module")
def svg(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figure")
    figures.save(figures.histograms({"vq": [0, 5, 3, 8]}, 16), folder / "one", dpi=20)
    return (folder / "one.svg").read_text(encoding="utf-8")


def page(*blocks, title="Title", sections=()):
    return html.render(html.Page(title, "Why?", ["Because."], [], [html.Section("First", blocks), *sections]))


def test_a_page_is_well_formed_and_needs_nothing_else(svg):
    blocks = [
        html.paragraph("Some *text* with a [link](data.csv)."),
        html.Figure(svg, "a histogram of four codewords", "Caption"),
        html.Table("Numbers", ["name", "value"], [["a", "1"]], [["floor", "0"]]),
        html.Table("More", ["name", "value"], [["a", "1"]], folded=True, source="more.csv"),
    ]
    source = page(*blocks, sections=[terms.definitions(terms.TERMS)])
    assert [row[0] for row in check(source).rows()[0]] == ["name", "a", "floor"]
    assert source == page(*blocks, sections=[terms.definitions(terms.TERMS)])


def test_whatever_is_not_markup_is_escaped(svg):
    table = html.Table(EVIL, [EVIL, EVIL], [[EVIL, EVIL]], source=EVIL)
    source = page(
        html.paragraph(EVIL),
        html.listing([EVIL]),
        html.Figure(svg, EVIL, EVIL),
        table,
        html.records(EVIL, {EVIL: {EVIL: EVIL}}),
        title=EVIL,
        sections=html.markdown(f"## {EVIL}\n\n{EVIL}\n\n> {EVIL}\n\n| | b |\n|---|---|\n| {EVIL} | 1 |"),
    )
    found = Outline(source)
    assert len(found.all("script")) == 1 and "alert" not in found.all("script")[0]["text"]
    assert found.all("h1")[0]["text"] == EVIL and found.all("img")[0]["attributes"]["alt"] == EVIL


def test_a_hostile_name_keeps_to_its_cell_of_a_markdown_table():
    text = cells.markdown(["b", EVIL], {EVIL: ["1", "2"], "a|b": ["|", "3"]})
    rows = Outline(page(sections=html.markdown(f"## Title\n\n{text}"))).rows()[-1]
    assert rows == [["codes", "b", EVIL], [EVIL, "1", "2"], ["a|b", "|", "3"]]


def test_a_hostile_group_is_shown_by_name(tmp_path):
    codes = np.repeat(np.arange(4), [10, 20, 30, 40])
    groups = pd.DataFrame({EVIL: [EVIL] * 50 + ["other"] * 50})
    found = audit(codes, 4, groups=groups, speakers=np.arange(100) // 2, n_train=300, simulations=20, bootstrap=5)
    write(found, tmp_path / "out", title=EVIL, provenance={EVIL: EVIL}, dpi=20)
    outline = check((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert len(outline.all("script")) == 1
    assert any(row[:2] == [EVIL, EVIL] for table in outline.rows() for row in table)
    linked = {link["attributes"]["href"] for link in outline.all("a")}
    assert {target for target in linked if target[0] != "#"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_a_figure_keeps_its_picture(svg):
    figure = html.Figure(svg, "alt", "caption")
    kept = unquote(figure.address.removeprefix("data:image/svg+xml,"))
    assert kept.startswith("<svg") and "w3.org/Graphics" not in kept and "<metadata>" not in kept
    assert len(figure.address) < len(svg)
    for mark in ("<path", "<use", "<clipPath"):
        assert kept.count(mark) == svg.count(mark) > 0
    assert not re.search(r'["&\'<>#]', figure.address)
    # By hand: matplotlib's points are 1/72 inch, a browser's pixels 1/96.
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()
    assert figure.size == (round(float(width) * 96 / 72), round(float(height) * 96 / 72))


def test_paths_are_rounded_and_nothing_else():
    source = '<svg viewBox="0 0 72 72"><path d="M 1.23456 -7.5 L 10 0.999"/><g transform="scale(0.015625)"/></svg>'
    kept = unquote(html.Figure(source, "", "").address)
    assert 'd="M 1.23 -7.5 L 10 0.99"' in kept and "scale(0.015625)" in kept


def test_what_is_no_svg_of_ours_is_refused():
    with pytest.raises(InputError, match="viewBox"):
        _ = html.Figure("<svg></svg>", "alt", "caption").size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a *b* **c** `d*e*`", "a <em>b</em> <strong>c</strong> <code>d*e*</code>"),
        ("1 < 2 & [4.46, 4.9] (∞ in 4)", "1 &lt; 2 &amp; [4.46, 4.9] (∞ in 4)"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("[a](b.csv)", '<a href="b.csv">a</a>'),
        ("**With *one* in**", "<strong>With <em>one</em> in</strong>"),
        ("*[95 % band]*", "<em>[95 % band]</em>"),
    ],
)
def test_inline_marks(text, expected):
    assert html.inline(text) == expected


def test_markdown_becomes_sections():
    text = "# Page\n\nIntro\n\n## One, two\n\nText *here*.\n\n| | 4 bits |\n|---|---|\n| vq | 1 |\n| *floor* | 0 |\n"
    text += "- vq: why\n- tree: why not\n\n## Within a group\n\n> `tree`: a promise\n\n| | b |\n|---|---|\n| x |\n"
    one, two = html.markdown(text, corners={"Within": "speakers"})
    assert (one.title, one.short, one.id, two.id) == ("One, two", "One", "one", "within-a-group")
    paragraph, table, items = one.blocks
    assert paragraph == "<p>Text <em>here</em>.</p>" and items == "<ul><li>vq: why</li><li>tree: why not</li></ul>"
    assert (table.header, table.rows, table.foot) == (["codes", "4 bits"], [["vq", "1"]], [["<em>floor</em>", "0"]])
    assert two.blocks[0] == "<blockquote><p><code>tree</code>: a promise</p></blockquote>"
    assert two.blocks[1].header == ["speakers", "b"] and two.blocks[1].rows == [["x", ""]]


def test_records_are_flat_and_say_what_is_missing():
    table = html.records("Parameters", {"a": {"b": [1, 2], "c": None}, "d": "text", "e": True})
    assert table.rows == [("a.b", "1, 2"), ("a.c", "–"), ("d", "text"), ("e", "True")]


def test_two_sections_of_one_anchor_are_refused():
    with pytest.raises(InputError, match="anchor 'first'"):
        page(sections=[html.Section("First, again", [])])


def test_definitions_lower_their_indices_and_know_their_names():
    (shown,) = terms.definitions(["Worst-case disclosure"]).blocks
    assert "−log<sub>2</sub> (min g / M)" in shown
    with pytest.raises(InputError, match="did you mean 'Floor'"):
        terms.definitions(["Flor"])


def test_the_environment_names_what_results_depend_on():
    found = html.environment()
    assert found["matplotlib"] == matplotlib.__version__ and found["python"].startswith("3.")


def contrast(one, other):
    """Ratio of the relative luminances of two colours #rrggbb (WCAG 2)."""
    light = []
    for colour in (one, other):
        parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        light.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_text_has_contrast_in_light_and_in_dark():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    style = Outline(page()).all("style")[0]["text"]
    schemes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)
    ]
    for scheme in schemes[:2]:
        assert len(scheme) == 7
        for text in ("ink", "quiet", "accent"):
            for ground in ("ground", "raised", "stripe"):
                assert contrast(scheme[text], scheme[ground]) >= 4.5, (text, ground)


def test_an_audit_does_not_load_torch():
    code = "import sys, porcupine.audit; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_markup_is_not_escaped_twice():
    assert "<em>1</em>" in page(html.Table("t", ["a"], [[Markup("<em>1</em>")]]))
