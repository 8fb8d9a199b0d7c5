"""The maps of the experiments agree with the code and the params."""

import ast
import shlex

import pytest
import yaml
from imports import MAPS as FILES
from imports import ROOT, closure, with_deps

from porcupine.report.index import FILES as LINKED
from stages.figures import PLOTS

MAPS = {name: yaml.safe_load((ROOT / name).read_text()) for name in FILES}
STAGES = [(name, stage) for name, content in MAPS.items() for stage in content["stages"]]


def stage_of(map_file, name):
    """A stage, its script, its params file, and the keys of it that are tracked."""
    stage = MAPS[map_file]["stages"][name]
    python, flag, module, *words = shlex.split(stage["cmd"])
    assert (python, flag) == ("python", "-m")
    script = ROOT / f"{module.replace('.', '/')}.py"
    if "--params" not in words:
        return stage, script, "params.yaml", stage["params"]
    ((file, keys),) = stage["params"][0].items()
    assert file == words[words.index("--params") + 1]
    return stage, script, file, keys


@pytest.mark.parametrize(("map_file", "name"), STAGES)
def test_python_deps_are_exactly_the_modules_imported(map_file, name):
    stage, script, _, _ = stage_of(map_file, name)
    listed = [dep for dep in stage["deps"] if dep.endswith(".py")]
    imported = closure(script)
    assert sorted(listed) == sorted(imported), (
        f"{map_file}, stage {name}: add {sorted(imported - set(listed))}, remove {sorted(set(listed) - imported)}; "
        "python tests/imports.py does"
    )


@pytest.mark.parametrize("map_file", MAPS)
def test_deps_are_written_into_a_map_and_nothing_else_is_changed(map_file):
    content = (ROOT / map_file).read_text(encoding="utf-8")
    lacking, added = content.replace("      - porcupine/storage.py\n", ""), "      - porcupine/files.py\n"
    assert lacking != content and with_deps(lacking.replace("      - porcupine/errors.py\n", added)) == content


@pytest.mark.parametrize(("map_file", "name"), STAGES)
def test_every_stage_is_described_and_its_params_exist(map_file, name):
    stage, script, file, keys = stage_of(map_file, name)
    assert stage["desc"] and script.stem == name
    content = yaml.safe_load((ROOT / file).read_text())  # DVC knows no defaults
    for key in keys:
        value = content
        for part in key.split("."):
            value = value[part]


@pytest.mark.parametrize(("map_file", "name"), STAGES)
def test_a_stage_tracks_every_section_of_the_params_that_it_reads(map_file, name):
    # `params.codebooks.bits` in the script must be covered by `codebooks` or `codebooks.bits` in the map; so must what
    # the other scripts read that it imports. Where and on how many processes the work runs does not belong to the
    # experiment; the device does.
    _, script, _, keys = stage_of(map_file, name)
    scripts = [ROOT / path for path in closure(script) if path.startswith("stages/kmeans_audio/")]
    read = {
        node.attr
        for source in {script, *scripts}
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    }
    assert read - {"compute"} <= {key.split(".")[0] for key in keys}


@pytest.mark.parametrize("map_file", MAPS)
def test_a_stage_reads_only_what_an_earlier_one_wrote(map_file):
    written = {"${corpus.path}"}
    for stage in MAPS[map_file]["stages"].values():
        for dep in stage["deps"]:
            within = any(out == dep or out.startswith(f"{dep}/") for out in written)
            assert dep.startswith(("porcupine/", "stages/")) or within, dep
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]:
            written.add(out if isinstance(out, str) else next(iter(out)))


def test_all_tables_that_the_page_links_to_are_written_by_a_stage():
    stages = MAPS["dvc.yaml"]["stages"].values()
    outs = [out for stage in stages for out in [*stage.get("outs", []), *stage.get("metrics", [])]]
    assert {f"reports/{name}" for name in LINKED} <= {out if isinstance(out, str) else next(iter(out)) for out in outs}


def test_every_plot_names_a_template_that_exists_and_a_table_that_a_stage_writes():
    plots = {name: plot for entry in MAPS["dvc.yaml"]["plots"] for name, plot in entry.items()}
    assert set(plots) == {*PLOTS, "top1", "top5", "eer", "encoder_eer", "encoder_loss"}
    for name, plot in plots.items():
        assert "template" not in plot or (ROOT / ".dvc" / "plots" / f"{plot['template']}.json").is_file()
        ((path, column),) = plot["y"].items()
        if name.startswith("encoder"):
            assert path == f"reports/encoder/plots/metrics/{column}.tsv"
        else:
            assert (path, column) == (f"reports/plots/{name}.csv", "mean" if name in PLOTS else "value")


def test_the_closure_sees_through_packages_and_functions(tmp_path):
    found = closure(ROOT / "stages" / "embeddings.py")
    assert "porcupine/encoders/ge2e.py" in found  # imported inside a function of the registry
    assert "porcupine/encoders/__init__.py" not in found  # a docstring alone
    assert "porcupine/quantizers/vq.py" not in found
