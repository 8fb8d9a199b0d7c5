"""The map of the experiment agrees with the code and the params."""

import ast

import pytest
import yaml
from imports import ROOT, closure

from porcupine import params
from stages.grid import variant_names

MAP = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = MAP["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize("name", STAGES)
def test_python_deps_are_exactly_the_modules_imported(name):
    listed = [dep for dep in STAGES[name]["deps"] if dep.endswith(".py")]
    imported = closure(ROOT / "stages" / f"{name}.py")
    assert sorted(listed) == sorted(imported), (
        f"dvc.yaml, stage {name}: add {sorted(imported - set(listed))}, remove {sorted(set(listed) - imported)}"
    )


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_is_described_and_its_params_exist(name):
    stage = STAGES[name]
    assert stage["desc"] and stage["cmd"].startswith(f"python -m stages.{name} ")
    for key in stage["params"]:
        value = PARAMS
        for part in key.split("."):
            value = value[part]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_tracks_every_section_of_the_params_that_it_reads(name):
    # `params.codebooks.bits` in the script must be covered by `codebooks` or `codebooks.bits` in dvc.yaml.
    # Where and on how many processes the work runs does not belong to the experiment; the device does.
    tree = ast.parse((ROOT / "stages" / f"{name}.py").read_text())
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    }
    tracked = {key.split(".")[0] for key in STAGES[name]["params"]}
    assert read - {"compute"} <= tracked


def test_a_stage_reads_only_what_an_earlier_one_wrote():
    written = {"${corpus.path}"}
    for stage in STAGES.values():
        for dep in stage["deps"]:
            assert dep.endswith(".py") or any(out == dep or out.startswith(f"{dep}/") for out in written), dep
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]:
            written.add(out if isinstance(out, str) else next(iter(out)))


def test_plots_show_all_variants_of_the_committed_params():
    named = variant_names(params.load(ROOT / "params.yaml"))
    curves = [curves for plot in MAP["plots"] for entry in plot.values() for curves in entry["y"].values()]
    shown = [[name for name in names if "floor" not in name] for names in curves if isinstance(names, list)]
    assert len(shown) == 9
    assert all(sorted(names) == sorted(named) for names in shown)


def test_the_closure_sees_through_packages_and_functions(tmp_path):
    found = closure(ROOT / "stages" / "embeddings.py")
    assert "porcupine/encoders/ge2e.py" in found  # imported inside a function of the registry
    assert "porcupine/encoders/__init__.py" not in found  # a docstring alone
    assert "porcupine/quantizers/vq.py" not in found
