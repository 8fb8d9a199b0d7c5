import pandas as pd

from porcupine.report import kmeans_audio
from porcupine.report.cells import interval, markdown, number, percent


def scores_table():
    rows = []
    for system, setting, trained_on, uar in (
        ("original", 0, "itself", 0.75),
        ("k-means", 64, "itself", 0.70),
        ("k-means", 64, "original", 0.50),
    ):
        names = {"system": system, "setting": setting, "trained_on": trained_on, "emotions": "few"}
        figures = [("accuracy", None), ("uar", None)]
        figures += [(figure, word) for figure in ("precision", "recall", "f1") for word in ("angry", "happy", "sad")]
        rows += [names | {"figure": figure, "emotion": word, "value": uar} for figure, word in figures]
    return pd.DataFrame(rows).assign(low=0.1, high=0.9, chance=1 / 3)


def test_cells():
    assert percent(0.1234, 0.1, 0.2) == "12.3 [10.0, 20.0]"
    assert interval(1.234, 1, 2) == "1.23 [1.00, 2.00]" and interval(float("nan"), 0, 0) == "–"
    assert [number(value) for value in (1234.5, 1e-9, float("nan"), float("inf"))] == ["1.23e+03", "0", "–", "∞"]
    assert markdown(["a", "b"], {"x": ["1", "2"]}) == "| | a | b |\n|---|---|---|\n| x | 1 | 2 |"
    assert markdown(["a|b"], {"x\ny": ["|"]}) == "| | a\\|b |\n|---|---|\n| x y | \\| |"


def test_the_reported_scores_stand_above_those_found():
    reported, found = kmeans_audio.published(scores_table(), ("angry", "happy", "sad")).splitlines()[2:]
    assert reported == "| reported, CREMA-D | 0.76 / 0.89 / 0.82 | 0.73 / 0.68 / 0.70 | 0.94 / 0.84 / 0.88 | 0.78 |"
    assert found == "| found | 0.75 / 0.75 / 0.75 | 0.75 / 0.75 / 0.75 | 0.75 / 0.75 / 0.75 | 0.75 [0.10, 0.90] |"


def test_the_plane_as_a_table_with_forests_of_both_kinds():
    plane = pd.DataFrame({"system": ["original", "k-means"], "setting": [0, 64], "top1": [0.97, 0.455]}).assign(
        top1_low=0.4, top1_high=1.0, uar=[0.75, 0.70], uar_low=0.1, uar_high=0.9, attacker="cnn", threat="informed"
    )
    lines = kmeans_audio.overview(plane, scores_table()).splitlines()
    assert lines[2] == "| `original` | 97.0 [40.0, 100.0] | cnn, informed | 75.0 [10.0, 90.0] | – |"
    assert lines[3].endswith("| 45.5 [40.0, 100.0] | cnn, informed | 70.0 [10.0, 90.0] | 50.0 [10.0, 90.0] |")
    assert "`k-means`, K = 64" in lines[3] and kmeans_audio.name_of("balanced", 6) == "`balanced`, 6 bits"


def test_a_measure_that_a_system_lacks_is_a_dash():
    rows = [("mfcc", 0, "stoi", 0.9), ("mfcc", 0, "voicing", 0.8), ("k-means", 16, "stoi", 0.6)]
    table = pd.DataFrame(rows, columns=["system", "setting", "metric", "value"]).assign(low=0.5, high=1.0)
    assert kmeans_audio.sound(table).splitlines()[-1] == "| `k-means`, K = 16 | 0.6 [0.5, 1] | – |"


def test_what_noise_promises_names_bounds_by_the_frames_that_pass():
    table = pd.DataFrame(
        {
            "bound": [float("inf"), 2.0],
            "passing": [1.0, 0.99],
            "sensitivity": [float("inf"), 4.0],
            "frame_epsilon": [float("inf"), 6.4],
            "frame_delta": [0.0, 0.0],
            "utterance_epsilon": [float("inf"), 900.0],
            "utterance_delta": [0.0, 1e-5],
        }
    )
    lines = kmeans_audio.promises(table).splitlines()
    assert lines[2] == "| as they are | ∞ | ∞ | ∞ | ∞ |"
    assert lines[3] == "| 99 % pass | 2 | 4 | 6.4 | 900 (1e-05) |"
