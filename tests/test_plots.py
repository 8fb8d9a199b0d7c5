"""What `dvc plots` shows: the tables that the stage figures writes, in the templates of `.dvc/plots`."""

import json
import shutil
import subprocess

import pandas as pd
import pytest
import yaml
from imports import ROOT
from pipeline import environment
from tables import NO_RATES, VARIANTS, metrics_table, rates_table

from porcupine.figures.style import styles
from porcupine.quantizers import registry, variants
from stages.figures import PLOTS, plotted

ENTRIES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
PLOTS_OF_MAP = {name: plot for entry in ENTRIES for name, plot in entry.items()}
TEMPLATES = {path.stem: json.loads(path.read_text()) for path in (ROOT / ".dvc" / "plots").glob("*.json")}
BY_BITS = ("by_bits", "by_bits_log", "beyond_bits")


def objects(content):
    """All JSON objects of a specification, the innermost last."""
    if isinstance(content, dict):
        yield content
    for inner in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from objects(inner)


def looks(template):
    """The table of variants in a template, by variant."""
    (lookup,) = (step for step in template["transform"] if "lookup" in step)
    return {row["name"]: row for row in lookup["from"]["data"]["values"]}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The tables of a small run, and what `dvc plots show` makes of them."""
    folder = tmp_path_factory.mktemp("plots")
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"plots": ENTRIES}))
    tables = {f"reports/plots/{name}.csv": rows for name, rows in plotted(metrics_table(), rates_table()).items()}
    for name in ("loss", "eer"):
        tables[f"reports/encoder/plots/metrics/{name}.tsv"] = pd.DataFrame({"step": [1, 2, 10], name: [4.0, 2.0, 0.5]})
    for path, rows in tables.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        rows.to_csv(folder / path, index=False, sep="\t" if path.endswith(".tsv") else ",")
    command = ["dvc", "plots", "show", "--json", "--out", "html"]
    done = subprocess.run(command, cwd=folder, env=environment(), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return tables, json.loads(done.stdout)


def test_dvc_renders_every_plot_of_the_map(shown):
    _, found = shown
    assert not found.get("errors")
    assert set(found["data"]) == set(PLOTS_OF_MAP)
    assert all(len(plots) == 1 and plots[0]["type"] == "vega" for plots in found["data"].values())


@pytest.mark.parametrize("name", PLOTS_OF_MAP)
def test_a_rendered_plot_has_titles_and_fields_that_its_table_has(shown, name):
    tables, found = shown
    plot, spec = PLOTS_OF_MAP[name], found["data"][name][0]["content"]
    assert "<DVC_METRIC" not in json.dumps(spec)
    title = spec["title"]["text"] if isinstance(spec["title"], dict) else spec["title"]
    assert title == plot["title"]
    labels = [o["title"] for o in objects(spec) if isinstance(o.get("title"), str)]
    assert {plot["x_label"], plot["y_label"]} <= set(labels)
    ((path, column),) = plot["y"].items()
    rows = spec["data"]["values"]
    assert [float(row[column]) for row in rows] == pytest.approx(list(tables[path][column]))
    if "template" in plot:
        made = {step["as"] for o in objects(spec) for step in o.get("transform", []) if "as" in step}
        used = {o["field"] for o in objects(spec) if isinstance(o.get("field"), str)}
        assert column in used and used <= {*tables[path].columns, "rev"} | made


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_takes_titles_size_and_columns_from_dvc(name):
    text = json.dumps(TEMPLATES[name])
    for anchor in ("DATA", "TITLE", "X", "Y", "X_LABEL", "Y_LABEL", "PLOT_WIDTH", "PLOT_HEIGHT"):
        assert f"<DVC_METRIC_{anchor}>" in text


def test_templates_by_bits_differ_in_the_scale_and_in_what_is_taken_off_only():
    plain, log, beyond = (json.loads(json.dumps(TEMPLATES[name])) for name in BY_BITS)
    n_shared = len(plain["transform"])
    assert len(log["transform"]) == n_shared + 2 and len(beyond["transform"]) == n_shared + 3
    for template in (log, beyond):
        del template["transform"][n_shared:]
    assert beyond == plain
    y, y_of_log = (template["hconcat"][0]["spec"]["encoding"]["y"] for template in (plain, log))
    assert y_of_log["scale"].pop("type") == "log"
    y_of_log.clear()
    y_of_log |= y
    assert log == plain


def test_every_variant_looks_as_in_the_figures():
    table = looks(TEMPLATES["by_bits"])
    references = {name for name, row in table.items() if row["rank"] > 100}
    assert references == {"floor", "calibrated floor", "chance"}
    names = variants.names(registry.METHODS, ["faithful", "exact"], ["nearest", "interval"])
    assert set(table) - references == set(names)
    for name, look in styles(names).items():
        dash = [1, 0] if look.linestyle == "-" else list(look.linestyle[1])
        assert (table[name]["label"], table[name]["color"], table[name]["dash"]) == (look.label, look.color, dash)
    assert sorted(set(names), key=lambda name: table[name]["rank"]) == list(styles(names))


def test_the_tables_have_a_row_a_variant_and_bitrate_then_the_floors():
    metrics = metrics_table()
    tables = plotted(metrics, NO_RATES)
    assert list(tables) == list(PLOTS)
    std = tables["std"].set_index(["variant", "bits"])
    assert list(std.index) == [(name, bits) for name in (*VARIANTS, "floor", "calibrated floor") for bits in (3, 4)]
    rows = metrics.query("metric == 'std' and bits == 4").set_index("variant")
    assert list(std.loc[("vq", 4)]) == list(rows.loc["vq", ["mean", "low", "high"]])
    assert std.loc[("calibrated floor", 4), "high"] == pytest.approx(rows["calibrated_high"].mean())
    assert set(tables["mse"]["variant"]) == set(VARIANTS)  # it has no floor


def test_the_rates_are_those_of_the_strongest_attacker_then_chance():
    top1 = plotted(metrics_table(), rates_table())["top1"].set_index(["variant", "bits"])
    assert list(top1.index) == [(name, bits) for name in (*VARIANTS, "chance") for bits in (3, 4)]
    found = rates_table().query("figure == 'top1' and bits == 3 and variant == 'vq' and epsilon == inf")
    assert top1.loc[("vq", 3), "value"] == found["value"].max()
    assert list(top1.loc[("chance", 3)]) == [1 / 50] * 3
