"""What the README says is so."""

import io
import re
import subprocess

import pandas as pd
import pytest
import yaml
from imports import ROOT

from porcupine import params

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_commands_are_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"^make ([\w-]+)", README, flags=re.MULTILINE))
    assert named >= {"repro", "test"}
    for target in named:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_params_that_it_sets_are_valid():
    for command in re.findall(r"dvc exp run (?:.|\\\n)+", README):
        changes = {}
        for file, key, value in re.findall(r"-S '?(?:([\w./-]+):)?([\w.]+)=([^\s']+)", command):
            section, name = key.split(".", 1)
            changes.setdefault(section, {})[name] = yaml.safe_load(value)
            changes |= {"system": "kmeans-audio"} if file == "kmeans-audio/params.yaml" else {}
        assert changes
        params.check(changes)


def test_its_python_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile("\n".join(blocks), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"worst case 5\.\d\d bits of 5", printed)
    assert re.search(r"no code discloses more than 5\.\d\d bits", printed)


def test_files_that_it_points_at_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://doi.org/") or (ROOT / target).exists(), target


@pytest.mark.parametrize(
    ("variant", "text"),
    [
        ("vq", r"rarest VQ codeword discloses ([\d.]+) bits"),
        ("sfvq-faithful-nearest", r"paper's normalisation ([\d.]+) \["),
        ("balanced", r"rarest balanced cell discloses ([\d.]+) bits"),
    ],
)
def test_its_result_is_that_of_the_committed_report(variant, text):
    # Of the commit, not of the working tree: whoever changes a param and runs the experiment has other results there.
    shown = subprocess.run(["git", "show", "HEAD:reports/metrics.csv"], cwd=ROOT, capture_output=True, text=True)
    if shown.returncode:
        pytest.skip("not a git checkout with committed reports")
    table = pd.read_csv(io.StringIO(shown.stdout)).set_index(["variant", "bits", "metric"])
    assert float(re.search(text, " ".join(README.split()))[1]) == pytest.approx(
        table.loc[(variant, 6, "worst_case_bits"), "mean"], abs=0.006
    )


def test_its_several_utterances_are_those_of_the_report_on_attacks():
    text, page = " ".join(README.split()), (ROOT / "reports" / "attacks.md").read_text(encoding="utf-8")
    rows = {
        n: row.split(" | ") for n, row in re.findall(r"^\| balanced \| (\d+) \| (30[56] \| .*) \|$", page, re.MULTILINE)
    }
    one, twenty, least = re.search(
        r"one utterance names (\d+) % and twenty name (\d+) % .* at least ([\d.]+) of", text
    ).groups()
    assert (float(one), float(twenty)) == pytest.approx((float(rows["1"][4]), float(rows["20"][4])), abs=0.6)
    assert float(least) == pytest.approx(float(rows["20"][1].split()[0]), abs=0.06)
    kept, fresh = re.search(r"right in (\d+) % \(ten fresh codes: (\d+) %\)", text).groups()
    row = re.search(r"^\| speechocean762, pretrained GE2E \| .*– .*$", page, re.MULTILINE)[0]
    assert re.findall(r"; (\d+) %", row)[-2:] == [fresh, kept]


def test_its_quantised_speech_is_that_of_the_report_on_ravdess():
    text, page = " ".join(README.split()), (ROOT / "reports" / "kmeans-audio.md").read_text(encoding="utf-8")
    section = page.split("\n## ")[1]
    assert section.startswith("RAVDESS")
    rows = {
        row.split(" | ")[0]: [float(cell.split()[0]) for cell in re.findall(r"[\d.]+ \[[\d., ]+\]", row)]
        for row in re.findall(r"^\| (`.*) \|$", section.split("### Emotions")[0], re.MULTILINE)
    }
    said = re.search(
        r"original frames tell the emotion in (\d+) % .* and the speaker in (\d+) %; "
        r"those of K = 16 words in (\d+) % and (\d+) %, of 512 in (\d+) % and (\d+) %",
        text,
    )
    found = [rows[name][i] for name in ("`original`", "`k-means`, K = 16", "`k-means`, K = 512") for i in (1, 0)]
    assert [float(number) for number in said.groups()] == pytest.approx(found, abs=0.6)
    ignorant = re.search(r"\| `k-means`, K = 16 \| ([\d.]+) \[", section.split("### Who is it?")[1])[1]
    assert float(re.search(r"has heard only originals finds (\d+) %", text)[1]) == pytest.approx(
        float(ignorant), abs=0.6
    )
