"""The second system from end to end, stage by stage on a tiny corpus."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile
from pipeline import run_in_process, write_params

from porcupine import params as schema
from porcupine import ragged, storage
from porcupine.errors import InputError
from porcupine.frames.codebook import fit_codebook
from porcupine.quantizers import fitted
from porcupine.quantizers.base import Nearest
from stages.kmeans_audio import rates, releases

MAP = "kmeans-audio/dvc.yaml"
PARAMS = "kmeans-audio/params.yaml"
TINY = {
    "compute": {"workers": 1},
    "corpus": {"voices": {"speakers": 6, "utterances": 16}},
    "folds": {"number": 3},
    "frames": {"coefficients": 12, "bands": 24},
    "frame_codebooks": {"sizes": [4, 16], "rounds": 2},
    "emotion": {"trees": 10, "curve": [2, 3], "bootstrap": 20},
    "identity": {"epochs": 2, "bootstrap": 20},
    "rebuild": {"clips": 2, "pitched": 1, "listen": 2, "rounds": 2},
    "codebooks": {"bits": [2, 3]},
    "figures": {"dpi": 40},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the tiny experiment has run."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_params(folder, TINY, file=PARAMS)
        (folder / "data/own").mkdir(parents=True)
        run_in_process(map_file=MAP)
    return folder


def test_the_experiment_ends_in_figures_a_page_and_metrics(finished):
    reports = finished / "reports" / "kmeans-audio"
    metrics = json.loads((reports / "metrics.json").read_text())
    assert 0 <= metrics["k16_top1"] <= 1 and 0 < metrics["k16_stoi"] < 1
    for name in ("plane", "confusion", "quality", "spectrograms"):
        assert (reports / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    page = (reports / "summary.md").read_text()
    assert "96 clips of 6 speakers" in page and "reported, CREMA-D" in page
    plane = pd.read_csv(reports / "figures" / "plane.csv")
    systems = list(zip(plane["system"], plane["setting"], strict=True))
    expected = [("original", 0), ("noise", 0), ("k-means", 4), ("k-means", 16)]
    assert systems == [*expected, ("embedding", 0), ("balanced", 2), ("balanced", 3)]
    assert np.allclose(plane["top1_chance"], 1 / 6) and np.allclose(plane["uar_chance"], 1 / 3)


def test_all_attackers_meet_every_system_they_can(finished):
    reports = finished / "reports" / "kmeans-audio"
    network, rebuilt = (pd.read_csv(reports / f"{name}.csv") for name in ("identity", "verification"))
    met = network.groupby(["system", "setting"])["threat"].unique().map(set).to_dict()
    both = {"ignorant", "informed"}
    assert met == {("original", 0): {"ignorant"}} | dict.fromkeys([("noise", 0), ("k-means", 4), ("k-means", 16)], both)
    found = rebuilt.groupby(["system", "setting", "threat"])["attacker"].unique().map(set).to_dict()
    assert found["original", 0, "ignorant"] == found["k-means", 16, "ignorant"] == {"ge2e-cosine", "ge2e-plda"}
    assert found["mfcc", 0, "informed"] == found["k-means", 4, "informed"] == {"ge2e-plda"}
    codes = pd.read_csv(reports / "bottleneck" / "rates.csv")
    assert set(codes.query("system == 'balanced' and threat == 'informed'")["attacker"]) == {"ge2e-plda", "ge2e-bayes"}
    assert (network["n_probes"] == codes["n_probes"].iloc[0]).all() and (rebuilt["n_probes"] == 12).all()


def test_a_codebook_has_not_seen_the_speakers_of_its_fold(finished):
    data = finished / "data" / "kmeans-audio"
    rows = storage.load_table(data / "frames" / "utterances.parquet")
    assert (rows.groupby("speaker")["fold"].nunique() == 1).all() and set(rows["fold"]) == {0, 1, 2}
    noisy = ragged.Ragged(data / "noisy")
    (books,) = fitted.load(data / "codebooks" / "4.npz").values()
    seed = schema.load(finished / PARAMS).frame_codebooks.seed
    for fold, book in enumerate(books):
        others = noisy.select(np.flatnonzero(rows["fold"] != fold))
        assert np.array_equal(book.codebook, fit_codebook(others, n_codewords=4, rounds=2, seed=seed).codebook)


def test_rebuilt_sound_lasts_as_long_and_does_not_clip(finished):
    listen = finished / "data" / "kmeans-audio" / "listen"
    originals = sorted(listen.glob("*-original.wav"))
    assert len(originals) == 2 and len(list(listen.iterdir())) == 2 * 5
    for original in originals:
        seconds = soundfile.info(original).frames
        for file in listen.glob(f"{original.name.removesuffix('original.wav')}*.wav"):
            waveform, rate = soundfile.read(file)
            assert rate == 16_000 and len(waveform) == seconds and 0 < np.abs(waveform).max() < 1
    clips = pd.read_csv(finished / "reports" / "kmeans-audio" / "clips.csv")
    assert clips.drop(columns=["voicing", "pitch_correlation", "pitch_error_cents"]).notna().all(axis=None)
    assert clips.groupby(["system", "setting"]).size().eq(12).all() and clips["voicing"].notna().sum() == 6 * 4
    quality = pd.read_csv(finished / "reports" / "kmeans-audio" / "figures" / "quality.csv")
    stoi = quality[quality["metric"] == "stoi"].set_index(["system", "setting"])["value"]
    assert stoi["k-means", 4] < stoi["k-means", 16] < stoi["mfcc", 0]


def test_the_attacker_holds_other_utterances_than_are_attacked(finished):
    rows = storage.load_table(finished / "data/kmeans-audio/frames/utterances.parquet")
    enrolment = rates.hold(schema.load(finished / PARAMS), rows)
    assert not set(enrolment.held) & set(enrolment.probes) and len(enrolment.speakers) == 6
    assert np.array_equal(enrolment.speakers[enrolment.probe_speaker], rows["speaker"].to_numpy()[enrolment.probes])


def test_a_release_is_made_by_the_codebook_of_its_fold():
    frames = [np.float32([[0.0], [4.0]]), np.float32([[4.0]])]
    books = tuple(Nearest(np.float32([[low], [low + 4]])) for low in (0.0, 1.0))
    release = releases.Release("k-means", 2, frames, np.array([0, 1]), books)
    assert release.of(0).ravel().tolist() == [0, 4] and release.of(1).ravel().tolist() == [5]
    assert release.of(0, fold=1).ravel().tolist() == [1, 5]
    with pytest.raises(InputError, match="2 utterances and 1 codebooks"):
        releases.Release("k-means", 2, frames, np.array([0, 1]), books[:1])


def test_the_same_params_give_the_same_bytes_on_more_processes(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, TINY, {"compute": {"workers": 2}}, file=PARAMS)
    (tmp_path / "data/own").mkdir(parents=True)
    run_in_process(map_file=MAP)
    for name in ("identity.csv", "verification.csv", "clips.csv", "bottleneck/rates.csv", "emotion/scores.csv"):
        first, second = (folder / "reports" / "kmeans-audio" / name for folder in (finished, tmp_path))
        assert first.read_bytes() == second.read_bytes(), name


def test_params_of_another_system_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"encoder.name='ecapa', corpus.name='voices': sound is quantised"):
        schema.check({"system": "kmeans-audio", "encoder": {"name": "ecapa"}})
    with pytest.raises(InputError, match=r"sizes=\[16, 48\] should be powers of two"):
        schema.check({"system": "kmeans-audio", "frame_codebooks": {"sizes": [16, 48]}})
    with pytest.raises(InputError, match=r"noise.epsilno=1 is not a known key; did you mean 'epsilon'"):
        schema.check({"system": "kmeans-audio", "noise": {"epsilno": 1}})
    with pytest.raises(InputError, match="system='frames' is not known"):
        schema.check({"system": "frames"})
    with pytest.raises(InputError, match="coefficients=50 should be <= bands=40"):
        schema.check({"system": "kmeans-audio", "frames": {"coefficients": 50}})
