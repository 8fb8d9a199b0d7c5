import matplotlib
import numpy as np
import pandas as pd
import pytest
from drawn import legend, texts, titles

from porcupine import figures, storage
from porcupine.errors import InputError


def plane_table():
    """Two points of k-means, one of the original and one of a system that nobody knows."""
    columns = ["system", "setting", "order", "top1", "top1_low", "top1_high", "uar", "uar_low", "uar_high"]
    rows = [
        ("original", "", 0, 0.9, 0.85, 0.95, 0.6, 0.55, 0.66),
        ("k-means", "K = 64", 1, 0.4, 0.3, 0.5, 0.5, 0.45, 0.56),
        ("k-means", "K = 16", 0, 0.2, 0.15, 0.3, 0.4, 0.35, 0.47),
        ("vocoder", "WORLD", 0, 0.5, 0.4, 0.6, 0.55, 0.5, 0.61),
    ]
    return pd.DataFrame(rows, columns=columns).assign(top1_chance=0.05, uar_chance=1 / 3)


def confusion_table():
    """Of the original, by hand: recalls 3/4, 1 and none of sad, of whom there are none; k-means is always right."""
    rows = [
        ("original", "angry", "angry", 2),
        ("original", "angry", "angry", 1),
        ("original", "angry", "happy", 1),
        ("original", "happy", "happy", 1000),
        ("k-means, K = 16", "happy", "happy", 5),
        ("k-means, K = 16", "angry", "angry", 5),
        ("k-means, K = 16", "sad", "sad", 0),
    ]
    return pd.DataFrame(rows, columns=["condition", "emotion", "predicted", "count"])


def quality_table():
    values = {"stoi": 0.9, "mel_cepstral_distortion": 4.0, "log_spectral_distance": 8.0, "si_sdr": -20.0}
    rows = [
        {"system": system, "setting": setting, "metric": metric, "value": factor * value}
        for system, setting, factor in (("original", 0, 1.0), ("k-means", 64, 0.8), ("k-means", 16, 0.6))
        for metric, value in values.items()
    ]
    table = pd.DataFrame(rows)
    return table.assign(low=table["value"] - 0.1, high=table["value"] + 0.2)


def panels(frames=(50, 40)):
    rng = np.random.default_rng(0)
    return {f"{n} frames": rng.uniform(-80, 0, (n, 9)) for n in frames}


def spectrograms(found=None):
    return figures.spectrograms(panels() if found is None else found, hop_seconds=0.01)


TABLES = {"emotion_identity": plane_table, "confusion": confusion_table, "quality": quality_table}
DRAWINGS = {name: lambda name=name: draw(name) for name in TABLES} | {"spectrograms": spectrograms}


def draw(name, table=None):
    return getattr(figures, name)(TABLES[name]() if table is None else table)


def line(axes, label):
    """Where the markers of a label are, float [n, 2]."""
    (found,) = [one for one in axes.lines if one.get_label() == label and one.get_marker() not in ("None", None)]
    return found.get_xydata()


def whiskers(axes):
    """Ends of the whiskers, sorted, [[[x, y], [x, y]], …]."""
    return sorted(path.vertices.tolist() for lines in axes.collections for path in lines.get_paths())


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_same_figure_gives_the_same_bytes_whatever_the_settings_of_matplotlib(name, tmp_path):
    first = figures.save(DRAWINGS[name](), tmp_path / "first", dpi=40)
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "svg.fonttype": "none", "image.cmap": "jet"}):
        again = figures.save(DRAWINGS[name](), tmp_path / "again", dpi=40)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_and_its_csv_give_the_same_texts(name, tmp_path):
    storage.save_table(tmp_path / "table.csv", TABLES[name]())
    again = draw(name, storage.load_table(tmp_path / "table.csv"))
    assert [texts(axes) for axes in again.axes] == [texts(axes) for axes in draw(name).axes]


@pytest.mark.parametrize("name", TABLES)
def test_each_missing_column_is_named_and_an_empty_table_refused(name):
    table = TABLES[name]()
    for column in table.columns:
        with pytest.raises(InputError, match=f": missing column {column}"):
            draw(name, table.drop(columns=column))
    with pytest.raises(InputError, match="the table has no row, nothing to draw"):
        draw(name, table.head(0))


@pytest.mark.parametrize("name", DRAWINGS)
def test_all_panels_say_what_they_show_and_nothing_leaves_the_figure(name):
    figure = DRAWINGS[name]()
    figure.draw_without_rendering()
    for axes in figure.axes:
        if axes.get_label() != "<colorbar>":
            assert axes.get_title(loc="left")
            assert axes.get_xlabel() or not axes.xaxis.get_tick_params()["labelbottom"]
            assert axes.get_ylabel() or not axes.yaxis.get_tick_params()["labelleft"]
        for text in (*axes.texts, axes.xaxis.label, axes.yaxis.label):
            box = text.get_window_extent()
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(("number", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (4, 2, 2), (5, 2, 3)])
def test_panels_fill_a_grid_whose_lowest_have_the_labels_of_time(number, rows, columns):
    figure = spectrograms(panels(range(30, 30 + number)))
    drawn = figure.axes[:number]
    geometry = drawn[0].get_subplotspec().get_gridspec()
    assert (geometry.nrows, geometry.ncols) == (rows, columns)
    labelled = [axes.xaxis.get_tick_params()["labelbottom"] for axes in drawn]
    assert labelled == [axes.get_xlabel() == "time (s)" for axes in drawn]
    assert sum(labelled) == columns and all(labelled[-columns:])
    assert [axes.get_ylabel() for axes in drawn] == ["" if i % columns else "frequency (kHz)" for i in range(number)]


# ---- emotion_identity


def test_systems_stand_where_their_rates_are_joined_in_order():
    (axes,) = (figure := draw("emotion_identity")).axes
    assert line(axes, "k-means").tolist() == [[0.2, 0.4], [0.4, 0.5]]
    assert line(axes, "original").tolist() == [[0.9, 0.6]]
    assert line(axes, "vocoder").tolist() == [[0.5, 0.55]]
    assert legend(figure) == ["original", "k-means", "vocoder", "chance"]


def test_both_intervals_are_drawn():
    (axes,) = draw("emotion_identity", plane_table().iloc[[1]]).axes
    assert whiskers(axes) == [[[0.3, 0.5], [0.5, 0.5]], [[0.4, 0.45], [0.4, 0.56]]]


def test_settings_stand_on_both_sides_of_the_line_by_turns():
    (axes,) = draw("emotion_identity").axes
    found = {text.get_text(): (text.xy, text.get_ha(), text.get_va()) for text in axes.texts}
    assert found["K = 16"] == ((0.2, 0.4), "right", "bottom")
    assert found["K = 64"] == ((0.4, 0.5), "left", "top")


def test_lines_stand_at_chance():
    (axes,) = draw("emotion_identity").axes
    chance = [one for one in axes.lines if one.get_label() == "chance"]
    assert [set(one.get_xdata()) for one in chance] == [{0.05}, {0, 1}]
    assert [set(one.get_ydata()) for one in chance] == [{0, 1}, {1 / 3}]


def test_identity_is_logarithmic_unless_a_rate_is_nought():
    table = plane_table()
    (axes,) = draw("emotion_identity", table).axes
    low, high = axes.get_xlim()
    assert axes.get_xscale() == "log" and 0 < low < 0.05 and high > 1
    figure = draw("emotion_identity", table.replace({"top1": {0.2: 0.0}, "top1_low": {0.15: 0.0}}))
    assert figure.axes[0].get_xscale() == "linear"
    assert line(figure.axes[0], "k-means")[0].tolist() == [0.0, 0.4]


# ---- confusion


def test_rows_are_normalised_and_counts_added_up():
    original, quantised = (figure := draw("confusion")).axes
    shares = original.images[0].get_array()
    assert np.allclose(shares, [[1, 0, 0], [0, 0, 0], [0.25, 0, 0.75]])  # happy, sad, angry
    cells = [("100 %", "1\u2009000"), ("0 %", "0"), ("0 %", "0"), ("25 %", "1"), ("0 %", "0"), ("75 %", "3")]
    assert texts(original)[:-1] == [text for cell in cells for text in cell]
    assert [label.get_text() for label in original.get_yticklabels()] == ["happy", "sad", "angry"]
    assert [label.get_text() for label in quantised.get_xticklabels()] == ["happy", "sad", "angry"]
    assert titles(figure) == ["original", "k-means, K = 16"]


def test_the_average_recall_is_over_emotions_that_there_are():
    # 3/4 of angry and all of happy: 87.5 %, whatever their numbers.
    original, quantised = draw("confusion").axes
    assert texts(original)[-1] == "average recall 88 %, n = 1\u2009004"
    assert texts(quantised)[-1] == "average recall 100 %, n = 10"


def test_all_true_emotions_have_a_row_and_unknown_ones_come_last():
    table = confusion_table().replace({"sad": "bored"})
    first = draw("confusion", table).axes[0]
    assert [label.get_text() for label in first.get_yticklabels()] == ["happy", "angry", "bored"]
    assert first.get_ylim() == (2.5, -0.5) and first.get_xlim() == (-0.5, 2.5)


def test_dark_cells_have_white_text():
    texts_of = {text.get_text(): text.get_color() for text in draw("confusion").axes[0].texts}
    assert texts_of["75 %"] == "white" and texts_of["25 %"] != "white"


@pytest.mark.parametrize("count", [-1, np.nan])
def test_counts_that_are_none_are_refused(count):
    with pytest.raises(InputError, match="confusions: count="):
        draw("confusion", confusion_table().assign(count=count))


# ---- spectrograms


def test_spectrograms_share_axes_in_seconds_and_khz_and_one_scale():
    found = panels()
    first, second, bar = spectrograms(found).axes
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["50 frames", "40 frames"]
    assert first.get_xlim() == second.get_xlim() == pytest.approx((0, 0.49))
    assert first.get_ylim() == second.get_ylim() == (0, 8)
    limits = min(map(np.min, found.values())), max(map(np.max, found.values()))
    assert first.images[0].get_clim() == second.images[0].get_clim() == limits
    assert bar.get_ylabel() == "dB"


def test_a_tone_is_drawn_where_it_is():
    # Frame 20 of 50, at 0.2 s; bin 3 of 0 … 8, at 3 kHz.
    decibels = np.full((50, 9), -80.0)
    decibels[20, 3] = 0
    (image,) = spectrograms({"tone": decibels}).axes[0].images
    left, right, bottom, top = image.get_extent()
    bin_, frame = np.unravel_index(image.get_array().argmax(), image.get_array().shape)
    assert image.origin == "lower"
    assert left + (frame + 0.5) * (right - left) / 50 == pytest.approx(0.2)
    assert bottom + (bin_ + 0.5) * (top - bottom) / 9 == pytest.approx(3)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, "0 spectrograms"),
        ({"K = 16": np.zeros(5)}, r"K = 16: spectrogram of shape \(5,\)"),
        ({"K = 16": np.zeros((0, 9))}, r"shape \(0, 9\)"),
        ({"K = 16": np.full((5, 9), -np.inf)}, "should be .* finite"),
    ],
)
def test_what_is_no_spectrogram_is_refused(found, message):
    with pytest.raises(InputError, match=message):
        spectrograms(found)
    with pytest.raises(InputError, match="hop_seconds=0"):
        figures.spectrograms(panels(), hop_seconds=0)


# ---- quality


def test_measures_are_drawn_against_k_with_their_intervals():
    figure = draw("quality")
    assert titles(figure) == ["Intelligibility", "Mel-cepstral distortion", "Log-spectral distance"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["STOI", "dB", "dB"]
    assert [texts(axes) for axes in figure.axes] == [["best is high"], ["best is low"], ["best is low"]]
    distortion = figure.axes[1]
    assert np.allclose(line(distortion, "k-means"), [[16, 2.4], [64, 3.2]])
    expected = [[[16, 2.3], [16, 2.6]], [[64, 3.1], [64, 3.4]]]
    assert np.allclose(whiskers(distortion), expected)
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["16", "64"]
    assert legend(figure) == ["original", "k-means"]


def test_what_passed_no_codebook_is_a_line_with_a_band():
    axes = draw("quality").axes[0]
    (flat,) = [one for one in axes.lines if one.get_label() == "original" and one.get_marker() == "None"]
    assert set(flat.get_ydata()) == {0.9}
    (band,) = axes.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((0.8, 1.1))


def test_quality_without_codebooks_or_with_unknown_values():
    table = quality_table()
    draw("quality", table[table["setting"] == 0]).draw_without_rendering()
    table.loc[(table["metric"] == "stoi") & (table["setting"] == 16), "value"] = np.nan
    assert line(draw("quality", table).axes[0], "k-means")[:, 0].tolist() == [64]


def test_quality_without_a_known_measure_is_refused():
    with pytest.raises(InputError, match="quality: none of the metrics stoi, "):
        draw("quality", quality_table().query("metric == 'si_sdr'"))
