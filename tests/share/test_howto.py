"""docs/howto.md is so: in a clone, its modules and changes are made, its commands run, and print what it shows."""

import pandas as pd
import pytest
import torch
from imports import ROOT
from pipeline import TINY, clone, write_params
from transcript import blocks, holds, patch, run

pytestmark = pytest.mark.flow

PAGE = (ROOT / "docs" / "howto.md").read_text(encoding="utf-8")
SMALL = {"attack": {"threats": ["informed", "semi-informed"]}}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each block of commands printed, beside what the page shows of it; and the clone."""
    place, repository = tmp_path_factory.mktemp("my"), clone(tmp_path_factory.mktemp("clone"))
    write_params(repository, TINY, SMALL)
    places = {f"/my/{name}": place / name for name in ("recordings", "embeddings.npy", "report")}
    found, names, last = [], {}, ""
    with pytest.MonkeyPatch.context() as patches:
        patches.chdir(place)
        for kind, _, content in blocks(PAGE):
            if kind == "sh":
                lacking = "device=cuda" in content and not torch.cuda.is_available()
                found.append((content, run(content, repository, places, fails=lacking), []))
            elif kind == "text" and last == "sh":
                found[-1][2].append(content)
            elif kind == "diff":
                patch(content, repository)
            elif kind == "python":
                exec(content, names)
                if content.startswith("# porcupine/"):
                    (repository / content.split()[1]).write_text(content.split("\n", 1)[1])
            last = kind
    return found, repository


def test_its_commands_print_what_it_shows(told):
    found, _ = told
    assert len(found) == PAGE.count("```sh") == 7
    for commands, output, shown in found:
        for text in shown:
            refused = text.startswith("device='cuda'")  # after the name of the stage
            assert (refused and torch.cuda.is_available()) or holds(f"{'…' * refused}{text}", output), output
        if "pytest" in commands:
            assert " passed" in output


def test_what_it_adds_takes_part_in_the_experiment(told):
    _, repository = told
    manifest = pd.read_parquet(repository / "data" / "manifest.parquet")
    assert manifest["speaker"].nunique() == 24 and manifest["emotion"].notna().all()
    rates = pd.read_csv(repository / "reports" / "attack" / "semi-informed" / "rates.csv")
    assert {"vq", "signs"} <= set(rates["variant"])
    metrics = pd.read_csv(repository / "reports" / "metrics.csv")
    assert set(metrics["variant"]) == {"vq", "signs"}
