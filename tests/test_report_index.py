import re

import pandas as pd
import pytest
from imports import ROOT
from pages import check
from tables import NO_CERTIFICATES, NO_RATES, attacked, certificates_table, metrics_table, rates_table

from porcupine.report import page
from porcupine.report.index import FIGURES, index

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 36"><path d="M 0 0 L 72 36"/></svg>'


def build(metrics=None, certified=None, rates=None, figures=(), **changes):
    metrics = metrics_table() if metrics is None else metrics
    certified = certificates_table() if certified is None else certified
    rates = rates_table() if rates is None else rates
    summary = page.summary(metrics, certified, attacked(rates=rates), corpus="voices", n_test=400)
    given = {"corpus": "voices", "n_test": 400, "params": {}, "files": {}} | changes
    return index(summary, metrics, certified, rates, figures=dict.fromkeys(figures, SVG), **given)


def test_the_page_holds_every_table_of_the_summary():
    summary = page.summary(
        metrics_table(), certificates_table(), attacked(rates=rates_table()), corpus="voices", n_test=400
    )
    shown = {cell for table in check(build()).rows() for row in table for cell in row}
    cells = {cell.strip().strip("*") for line in summary.splitlines() if line[:1] == "|" for cell in line.split("|")}
    assert {cell for cell in cells if cell.strip("-")} <= shown | {"∞ in"}


def test_the_headline_stands_beside_its_floor():
    metrics, rates = metrics_table(), rates_table()
    outline = check(build(metrics, rates=rates))
    glance = {row[0]: row for row in outline.rows()[0]}
    rows = metrics[(metrics["metric"] == "worst_case_bits") & (metrics["bits"] == 4)].set_index("variant")
    # The highest code of plain VQ is empty in one repeat.
    mean, low, high = rows.loc["vq", ["mean", "low", "high"]]
    assert glance["VQ"][1] == f"∞ in 1 repeats, else {mean:.2f} [{low:.2f}, {high:.2f}]"
    assert glance["VQ"][2:4] == ["none", "none"]
    floor = glance["as even as the training set allows"]
    assert float(floor[1].split()[0]) == pytest.approx(rows["calibrated_mean"].mean(), rel=0.005)
    assert floor[3] == str(10_000 // 16)
    best = rates.query("variant == 'vq' and bits == 4 and figure == 'top1' and attacker == 'plda' and epsilon > 9")
    assert glance["VQ"][4].split()[0] == f"{100 * best['value'].item():.1f}"
    assert glance["chance"][4] == "2"  # one of 50 speakers
    answer = next(element["text"] for element in outline.all("div") if element["attributes"].get("class") == "answer")
    assert "At 4 bits" in answer and glance["VQ"][1] in answer and floor[1] in answer
    cards = " ".join(element["text"] for element in outline.all("dl")[:1])
    assert "Curve, interval codes" in cards and "4.57 bits" in cards  # of the least distortion by construction


def test_a_run_without_attack_or_certificate_has_a_page():
    outline = check(build(certified=NO_CERTIFICATES, rates=NO_RATES))
    text = outline.all("main")[0]["text"]
    assert "No attack: it needs speaker labels" in text and "None: a certificate counts speakers" in text
    assert "The strongest attacker names" not in text
    assert check(build(rates=pd.DataFrame()))


def test_every_figure_has_its_place():
    outline = check(build(figures=["overview", "tradeoff", "metrics", "attack", "encoder", "unknown"]))
    assert [image["attributes"]["alt"][:4] for image in outline.all("img")] == ["Left", "Dist", "Four", "Thre", "Trai"]
    for shown in FIGURES.values():
        assert len(shown.alt) > 40 and len(shown.caption) > 30


def test_the_places_of_figures_are_sections_of_the_committed_summary():
    titles = re.findall(r"^## (.*)", (ROOT / "reports" / "summary.md").read_text(encoding="utf-8"), re.MULTILINE)
    titles += [heading["text"] for heading in check(build()).all("h2")]
    for name, shown in FIGURES.items():
        assert any(title.startswith(shown.section) for title in titles), name


def test_params_and_files_are_named():
    outline = check(build(params={"codebooks": {"bits": [3, 4]}}, files={"metrics.csv": "all metrics"}))
    assert ["codebooks.bits", "3, 4"] in [row for table in outline.rows() for row in table]
    assert "metrics.csv" in {link["attributes"]["href"] for link in outline.all("a")}


def test_the_same_tables_give_the_same_page():
    assert build(figures=["attack"]) == build(figures=["attack"])
