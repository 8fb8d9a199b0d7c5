"""The experiment from end to end: under DVC in a temporary clone, and stage by stage on other corpora."""

import json
import os
import re
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from pipeline import TINY, clone, dvc, environment, run_in_process, write_params

from porcupine import params as schema
from porcupine import storage
from porcupine.errors import InputError
from porcupine.quantizers import fitted, registry
from porcupine.quantizers.base import distortion
from porcupine.quantizers.recalibration import recalibrate
from stages import certificate


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A clone in which the tiny experiment has run."""
    folder = clone(tmp_path_factory.mktemp("finished"))
    write_params(folder, TINY)
    dvc(folder, "repro")
    return folder


def test_the_experiment_ends_in_figures_and_metrics(finished):
    reports = finished / "reports"
    metrics = json.loads((reports / "metrics.json").read_text())
    assert metrics["bits"] in (2, 3) and metrics["n_train"] + metrics["n_test"] == 48
    assert 0 < metrics["raw"]["top1"] <= 1
    assert {"vq", "sfvq-faithful-nearest", "balanced"} < set(metrics) and "<h1" in (reports / "index.html").read_text()
    table = pd.read_csv(reports / "metrics.csv")
    assert set(table["bits"]) == {2, 3} and table.loc[table["metric"] != "mse", "calibrated_mean"].notna().all()
    drawn = ("example", "histograms", "metrics", "tradeoff", "overview", "encoder", "certificate")
    drawn += ("attack", "threats", "ranks", "exposure", "plane", "groups", "observations")
    for name in drawn:
        assert (reports / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (reports / "figures" / f"{name}.svg").read_text()
    met = {}
    for threat in ("ignorant", "informed", "semi-informed"):
        rates = pd.read_csv(reports / "attack" / threat / "rates.csv")
        assert set(rates["variant"]) == set(table["variant"]) | ({"raw"} if threat == "ignorant" else set())
        assert set(rates["epsilon"]) == {2, np.inf} and set(rates["threat"]) == {threat}
        met[threat] = set(rates["attacker"])
    assert met == {
        "ignorant": {"cosine", "plda", "mlp"},
        "informed": {"plda", "mlp", "bayes"},
        "semi-informed": {"plda", "mlp", "bayes"},
    }
    plane = pd.read_csv(reports / "plane.csv")
    assert plane["top1"].notna().all() and "gender_uar" in plane
    assert set(pd.read_csv(reports / "observations.csv")["n"]) == {1}
    assert {"gender", "age_group", "accent"} <= set(pd.read_csv(reports / "groups.csv")["attribute"])
    assert {"vq", "sfvq-faithful-nearest", "curve-interval", "tree", "balanced"} < set(table["variant"])
    summary = (reports / "summary.md").read_text()
    assert "worst-case" in summary.lower() and "share each of the" in summary
    certificates = pd.read_csv(reports / "certificate.csv")
    assert set(certificates.query("way == 'audit'")["variant"]) == set(table["variant"])
    constructed = certificates.query("way == 'construction'")
    assert set(constructed["variant"]) == {"curve-interval", "tree"}
    # So few speakers may tie at the ends of a curve, where a threshold then falls; a tree has no ends.
    assert constructed.query("variant == 'tree'")["bits_certified"].notna().all()
    assert (constructed["bits_certified"].notna() ^ constructed["reason"].fillna("").str.contains("tie at")).all()
    assert json.loads((reports / "certificate.json").read_text())["bits"] == metrics["bits"]


def test_nothing_runs_again_without_a_change(finished):
    assert "up to date" in dvc(finished, "repro")


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(finished, tmp_path):
    folder = tmp_path / "second"
    subprocess.run(["git", "clone", "--quiet", finished, folder], check=True)
    write_params(folder, TINY)
    for stage in ("download", "features", "encoder", "codebooks@sfvq", "codes"):
        _kill_in_stage(folder, stage)
    dvc(folder, "repro")
    first, second = (yaml.safe_load((path / "dvc.lock").read_text()) for path in (finished, folder))
    assert first == second


def _kill_in_stage(folder, stage):
    """Start the run, and kill it and all it started a moment after ``stage`` began."""
    process = subprocess.Popen(
        ["dvc", "repro"], cwd=folder, env=environment(), text=True, stdout=subprocess.PIPE, start_new_session=True
    )
    for line in process.stdout:
        if f"Running stage '{stage}'" in line:
            time.sleep(2.5)  # in which the stage is importing or working
            break
    else:
        pytest.fail(f"stage {stage} did not run")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_new_bitrate_reruns_the_codebooks_and_what_follows_only(finished):
    write_params(finished, TINY, {"codebooks": {"bits": [2, 3, 4]}})
    output = dvc(finished, "repro")
    ran = re.findall(r"Running stage '([^']+)'", output)
    assert ran == [
        *(f"codebooks@{method}" for method in TINY["codebooks"]["methods"]),
        *("resample", "codes", "attack@ignorant", "attack@informed", "attack@semi-informed"),
        *("attributes", "disclosure", "plane", "metrics", "certificate", "figures", "page"),
    ]
    assert set(pd.read_csv(finished / "reports" / "metrics.csv")["bits"]) == {2, 3, 4}


def test_vectors_enter_at_the_codebooks(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    given = tmp_path / "given"
    given.mkdir()
    for name, size in (("train", 300), ("test", 120)):
        np.save(given / f"{name}_vectors.npy", rng.standard_normal((size, 6)).astype(np.float16))
    pd.DataFrame({"gender": ["male", "female"] * 60}).to_csv(given / "test_metadata.csv", index=False)
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, TINY, {"corpus": {"name": "vectors", "path": str(given)}})
    run_in_process()
    metrics = storage.load_json("reports/metrics.json")
    assert (metrics["n_train"], metrics["n_test"]) == (300, 120) and "raw" not in metrics
    assert len(storage.load_table("reports/attack/informed/rates.csv")) == 0
    assert (storage.load_table("reports/information.csv")["attribute"] == "gender").all()  # it needs no training label
    assert "skipped" in storage.load_json("data/features/skipped.json")


def _write_clips(folder, n_speakers, per_speaker, rng):
    """Speakers that differ in the pitch of a buzz."""
    for speaker in range(n_speakers):
        (folder / f"s{speaker:02d}").mkdir(parents=True)
        for clip in range(per_speaker):
            seconds = np.arange(int(16_000 * rng.uniform(1.0, 1.6))) / 16_000
            buzz = np.sign(np.sin(2 * np.pi * (90 + 12 * speaker) * seconds)) * 0.2
            wave = buzz + 0.02 * rng.standard_normal(len(seconds))
            soundfile.write(folder / f"s{speaker:02d}" / f"{clip}.wav", wave, 16_000)


def test_a_folder_of_recordings_by_utterance_with_a_pretrained_encoder(tmp_path, monkeypatch):
    clips = tmp_path / "clips"
    _write_clips(clips, 12, 4, np.random.default_rng(0))
    (clips / "s03" / "0.wav").write_bytes(b"RIFF, but not really")
    soundfile.write(clips / "s04" / "1.wav", np.zeros(16_000), 16_000)
    monkeypatch.chdir(tmp_path)
    change = {"corpus": {"name": "folder", "path": str(clips)}, "encoder": {"name": "ge2e"}}
    write_params(tmp_path, TINY, change, {"embeddings": {"unit": "utterance"}})
    run_in_process()
    dropped = storage.load_table("reports/dropped.csv").set_index("path")["reason"]
    assert sorted(dropped.index) == ["s03/0.wav", "s04/1.wav"]
    assert "silent" in dropped["s04/1.wav"]
    metrics = storage.load_json("reports/metrics.json")
    assert metrics["n_train"] + metrics["n_test"] == 46
    assert metrics["raw"]["top1"] > 0.6  # chance is 1/3
    table = storage.load_table("reports/metrics.csv").set_index(["variant", "bits", "metric"])
    assert "several samples" in storage.load_json("reports/certificate.json")["skipped"]
    assert len(storage.load_table("reports/certificate.csv")) == 0
    assert (tmp_path / "data" / "certified").is_dir()
    # Four utterances a speaker fall together, so the floor is above the binomial one, sqrt(M/K (1 - 1/K)).
    n_test = metrics["n_test"]
    assert table.loc[("vq", 2, "std"), "floor_mean"] > 1.2 * np.sqrt(n_test / 4 * 3 / 4)


def test_one_recording_a_speaker_gives_metrics_without_an_attack(tmp_path, monkeypatch, capsys):
    clips = tmp_path / "clips"
    _write_clips(clips, 16, 1, np.random.default_rng(0))
    monkeypatch.chdir(tmp_path)
    write_params(
        tmp_path,
        TINY,
        {"corpus": {"name": "folder", "path": str(clips)}, "encoder": {"name": "ge2e"}, "codebooks": {"bits": [2]}},
    )
    run_in_process()
    assert "skipped: each of 6 test speakers has one utterance" in capsys.readouterr().out
    metrics = storage.load_json("reports/metrics.json")
    assert metrics["n_train"] + metrics["n_test"] == 16 and "raw" not in metrics


def certify(folder, train, test, *, speakers=None, bits=(2,)):
    """Run the certificate stage alone on the codes of a tree; return its table."""
    params = schema.check({"codebooks": {"methods": ["tree"], "bits": bits}, "compute": {"workers": 1}})
    for name, vectors in (("train", train), ("test", test)):
        storage.save_array(folder / "embeddings" / f"{name}.npy", vectors.astype(np.float32))
        table = pd.DataFrame({"speaker": speakers[name]} if speakers else {"gender": ["female"] * len(vectors)})
        storage.save_table(folder / "embeddings" / f"{name}.parquet", table)
    arrays = {}
    for b, (tree,) in registry.fit("tree", train, bits=bits, seed=0).items():
        arrays |= {f"test_b{b}": tree.encode(test)[None], f"codebook_b{b}": tree.codebook[None]}
    storage.save_arrays(folder / "codes" / "tree.npz", arrays)
    storage.save_json(folder / "metrics.json", {"bits": 2})
    names = ("embeddings", "codes", "metrics.json", "certified", "table.csv", "headline.json")
    certificate.main(params, *(folder / name for name in names))
    return storage.load_table(folder / "table.csv")


def test_what_is_certified_by_construction_is_kept(tmp_path):
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((400, 3)), rng.standard_normal((100, 3))
    rows = certify(tmp_path, train, test).set_index("way")
    assert rows["n_evidence"].to_dict() == {"audit": 100, "construction": 280}
    assert (rows["bits_certified"] > 2).all() and (rows["k"] > 0).all() and set(rows["k_ideal"]) == {2500}
    (kept,) = fitted.load(tmp_path / "certified" / "tree.npz")[2]
    assert distortion(test, kept.codebook, kept.encode(test)) == pytest.approx(rows.loc["construction", "mse"])


def test_vectors_that_come_twice_have_no_certificate_by_construction_but_a_reason(tmp_path):
    rng = np.random.default_rng(0)
    rows = certify(tmp_path, rng.standard_normal((200, 3)).repeat(2, axis=0), rng.standard_normal((100, 3)))
    made = rows.set_index("way").loc["construction"]
    assert pd.isna(made["bits_certified"]) and "are in the training set" in made["reason"]
    assert storage.load_json(tmp_path / "headline.json")["tree"]["construction_bits"] is None
    assert list((tmp_path / "certified").iterdir()) == []


def test_a_tie_at_a_threshold_costs_the_certificate_of_that_bitrate_alone(tmp_path, monkeypatch):
    def tied(quantizer, vectors, **options):
        if quantizer.size == 8:
            raise InputError("7 of 280 calibration vectors tie at a threshold")
        return recalibrate(quantizer, vectors, **options)

    monkeypatch.setattr(certificate, "recalibrate", tied)
    rng = np.random.default_rng(0)
    rows = certify(tmp_path, rng.standard_normal((400, 3)), rng.standard_normal((100, 3)), bits=(2, 3))
    made = rows.query("way == 'construction'").set_index("bits")
    assert made["bits_certified"].notna().to_dict() == {2: True, 3: False}
    assert "tie at a threshold" in made.loc[3, "reason"]
    assert list(fitted.load(tmp_path / "certified" / "tree.npz")) == [2]


@pytest.mark.parametrize("train", [range(50, 450), [*range(100, 499), 100]], ids=["in both parts", "twice"])
def test_a_speaker_with_several_samples_means_no_certificate(tmp_path, train):
    rng = np.random.default_rng(0)
    speakers = {"train": [str(one) for one in train], "test": [str(one) for one in range(100)]}
    assert certify(tmp_path, rng.standard_normal((400, 3)), rng.standard_normal((100, 3)), speakers=speakers).empty
    assert "several samples" in storage.load_json(tmp_path / "headline.json")["skipped"]


def test_too_few_samples_for_the_bits_is_one_clear_line(tmp_path, monkeypatch):
    given = tmp_path / "given"
    given.mkdir()
    for name in ("train", "test"):
        np.save(given / f"{name}_vectors.npy", np.random.default_rng(0).standard_normal((20, 3)))
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, TINY, {"corpus": {"name": "vectors", "path": str(given)}}, {"codebooks": {"bits": [2, 6]}})
    with pytest.raises(InputError, match="n_codewords=64, must be between 1 and N=20 samples"):
        run_in_process()
    assert not list((tmp_path / "data").glob("codebooks/*"))


def test_a_stage_script_ends_with_the_message_alone(tmp_path):
    folder = clone(tmp_path)
    write_params(folder, {"codebooks": {"epoch": 3}})
    done = subprocess.run(
        ["python", "-m", "stages.metrics", *["x"] * 5], cwd=folder, env=environment(), text=True, capture_output=True
    )
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith("params.yaml: codebooks.epoch=3 is not a known key; did you mean 'epochs'?")
    )
    assert "Traceback" not in done.stderr


def test_an_added_clip_is_noticed(tmp_path):
    folder = clone(tmp_path)
    clips = tmp_path / "clips"
    _write_clips(clips, 8, 1, np.random.default_rng(0))
    write_params(folder, TINY, {"corpus": {"name": "folder", "path": str(clips)}, "encoder": {"name": "ge2e"}})
    dvc(folder, "repro", "manifest")
    soundfile.write(clips / "s00" / "new.wav", np.random.default_rng(1).uniform(-0.5, 0.5, 32_000), 16_000)
    dvc(folder, "repro", "manifest")
    assert "s00/new" in set(storage.load_table(folder / "data" / "manifest.parquet")["utterance"])
