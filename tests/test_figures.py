import matplotlib
import numpy as np
import pandas as pd
import pytest
from drawn import legend

from porcupine import figures
from porcupine.errors import InputError
from porcupine.figures.style import styles
from porcupine.published import published_values

VARIANTS = ("vq", "sfvq", "sfvq-faithful-nearest", "sfvq-exact-nearest", "sfvq-exact-interval")
GRID = (*VARIANTS, "kmeans", "curve-nearest", "curve-interval", "tree", "balanced")
TWO = ("vq", "sfvq-exact-interval")
WAYS = ("construction", "audit")
INFINITE = "open: infinite in some repeats"


def metrics_table(variants=TWO, bits=(4, 5, 6), n_empty=0.0):
    values = {"kl_bits": 2.0, "worst_case_plus_one_bits": 7.0, "average_bits": 3.5, "std": 20.0, "n_empty": n_empty}
    rows = [
        {"variant": variant, "bits": b, "metric": metric, "mean": mean, "low": 0.9 * mean, "high": 1.1 * mean}
        | {"n_infinite": 0, "floor_mean": 0.5 * mean, "floor_low": 0.4 * mean, "floor_high": 0.6 * mean}
        | {"calibrated_mean": 0.6 * mean, "calibrated_low": 0.5 * mean, "calibrated_high": 0.7 * mean}
        for variant in variants
        for b in bits
        for metric, mean in values.items()
    ]
    return pd.DataFrame(rows)


def tradeoff_table(spread=(2.0, 0.8), distortion=(5.0, 6.0)):
    """Two variants at two bitrates, with a range of 10 % about each mean."""
    rows = [
        {"variant": variant, "bits": b, "metric": metric, "mean": mean, "low": 0.9 * mean, "high": 1.1 * mean}
        | {"calibrated_low": 0.5, "calibrated_high": 1.5}
        for metric, means in (("cv_over_limit", spread), ("mse", distortion))
        for variant, mean in zip(TWO, means, strict=True)
        for b in (4, 5)
    ]
    return pd.DataFrame(rows)


def certificates_table():
    """Two certificates by construction, and an audit that has no bound at 5 bits."""
    cells = [
        ("tree", 4, "construction", 4.5),
        ("tree", 5, "construction", 5.75),
        ("vq", 4, "audit", 6.0),
        ("vq", 5, "audit", np.nan),
    ]
    table = pd.DataFrame(cells, columns=["variant", "bits", "way", "bits_certified"])
    return table.assign(n_evidence=np.where(table["way"] == "audit", 1000, 2142), alpha=0.05)


def history_table():
    return pd.DataFrame({"epoch": [1, 2, 3], "loss": [5.0, 3.0, 2.0], "eer": [0.2, 0.1, 0.061]})


def example():
    rng = np.random.default_rng(0)
    curve = np.stack([np.linspace(-2, 2, 8), np.zeros(8)], axis=1)
    return figures.example_2d(rng.standard_normal((200, 2)), rng.standard_normal((8, 2)), curve, curve)


DRAWINGS = {
    "example": example,
    "histograms": lambda: figures.histograms({"vq": [0, 5, 3, 8], "sfvq": [4, 4, 5, 3]}, 16),
    "metrics": lambda: figures.metrics_by_bitrate(metrics_table(bits=(4, 5)), published_values(), n_test=10_240),
    "overview": lambda: figures.overview({"vq": [0, 5, 3, 8]}, metrics_table(n_empty=1), 16),
    "encoder": lambda: figures.encoder_curves(history_table()),
    "tradeoff": lambda: figures.tradeoff(tradeoff_table()),
    "certificate": lambda: figures.certificate(certificates_table()),
}


def labels(axes):
    return [line.get_label() for line in axes.lines if not line.get_label().startswith("_")]


def texts(axes):
    return " ".join(text.get_text() for text in axes.texts)


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_same_figure_gives_the_same_bytes_whatever_the_settings_of_matplotlib(name, tmp_path):
    first = figures.save(DRAWINGS[name](), tmp_path / "first", dpi=40)
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "svg.fonttype": "none"}):
        before = dict(matplotlib.rcParams)
        again = figures.save(DRAWINGS[name](), tmp_path / "again", dpi=40)
        assert dict(matplotlib.rcParams) == before
    assert [path.suffix for path in first] == [".png", ".svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_saving_a_figure_twice_gives_the_same_bytes_without_a_date(tmp_path):
    figure = figures.encoder_curves(history_table())
    first, again = (figures.save(figure, tmp_path / name, dpi=40) for name in ("run.1", "run.2"))
    assert [path.name for path in first] == ["run.1.png", "run.1.svg"]
    assert sorted(tmp_path.iterdir()) == sorted(first + again)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    png, svg = (path.read_bytes() for path in first)
    assert b"tIME" not in png and b"Creation Time" not in png and b"<dc:date>" not in svg


@pytest.mark.parametrize("name", DRAWINGS)
def test_all_axes_say_what_they_show(name):
    for axes in DRAWINGS[name]().axes:
        if axes.get_label() != "<colorbar>":
            assert axes.get_title(loc="left")
        assert axes.get_ylabel() or not axes.yaxis.get_tick_params()["labelleft"]
        assert axes.get_xlabel() or not axes.xaxis.get_tick_params()["labelbottom"] or axes.get_label() == "<colorbar>"


def test_no_two_variants_look_alike_even_without_colour():
    looks = styles([*GRID, "diveq", *(name.replace("sfvq", "sf_diveq") for name in VARIANTS[1:]), "random", "lattice"])
    assert len({look.label for look in looks.values()}) == len(looks) == 17
    assert len({(look.marker, str(look.linestyle)) for look in looks.values()}) == len(looks)
    assert len({(look.color, look.marker) for look in looks.values()}) == len(looks)


def test_variants_of_a_family_share_a_colour_and_the_encodings_of_all_a_marker():
    looks = styles(GRID)
    assert len({looks[name].color for name in VARIANTS[1:]}) == 1
    assert len({look.color for look in looks.values()}) == 5
    assert looks["curve-interval"].marker == looks["sfvq-exact-interval"].marker
    assert looks["curve-nearest"].marker == looks["sfvq-exact-nearest"].marker


def test_an_unknown_variant_has_the_same_style_in_any_order():
    assert styles(["vq", "zeta", "alpha"]) == styles(["alpha", "zeta", "vq"])
    assert list(styles(["zeta", "alpha", "vq"])) == ["vq", "alpha", "zeta"]
    assert styles(["alpha"])["alpha"].label == "alpha"


def test_the_example_has_cells_for_both_codebooks_and_none_for_the_curve():
    left, middle, right, _ = example().axes
    assert [len(axes.collections) for axes in (left, middle, right)] == [1, 0, 1]
    assert len(left.collections[0].get_paths()) == 8


def test_voronoi_cells_hold_their_codewords_and_their_shade_is_the_disclosure():
    # By hand: of four samples one is left of the middle, three are right: log2(4/1) and log2(4/3) bits.
    samples = np.array([[-1, 0], [1, 0], [1, 1], [2, 0]])
    codebook = np.array([[-1, 0], [1, 0]])
    cells = figures.example_2d(samples, codebook, codebook, codebook).axes[0].collections[0]
    assert np.allclose(cells.get_array(), [2, np.log2(4 / 3)])
    assert [path.contains_points(samples).tolist() for path in cells.get_paths()] == [
        [True, False, False, False],
        [False, True, True, True],
    ]


@pytest.mark.parametrize("codebook", [[[0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]])
def test_a_lone_codeword_or_twins_can_be_drawn(codebook):
    figure = figures.example_2d([[0, 0], [1, 2]], codebook, codebook, codebook)
    assert len(figure.axes[0].collections[0].get_paths()) == len(codebook)
    figure.draw_without_rendering()


@pytest.mark.parametrize("bad", [np.zeros((4, 3)), np.zeros(4), np.zeros((0, 2)), [[np.nan, 0.0]]])
def test_an_example_that_is_not_two_dimensional_is_refused(bad):
    good = np.array([[0.0, 0.0], [1.0, 1.0]])
    with pytest.raises(InputError, match=r"curve: shape .* must be finite numbers \[n >= 1, 2\]"):
        figures.example_2d(good, good, bad, good)


def test_a_histogram_names_its_worst_case():
    vq, sfvq = DRAWINGS["histograms"]().axes
    assert vq.get_title(loc="left") == "VQ"
    assert texts(vq) == "worst case infinite: 1 of 4 codewords empty"
    assert texts(sfvq) == "worst case 2.42 bits, no codeword empty"  # log2(16/3)


def test_a_histogram_shows_the_counts_the_even_share_and_the_empty_codeword():
    vq = DRAWINGS["histograms"]().axes[0]
    bars = next(patch for patch in vq.patches if hasattr(patch, "get_data"))
    even, empty = vq.lines
    assert bars.get_data().values.tolist() == [0, 5, 3, 8]
    assert set(even.get_ydata()) == {4}
    assert empty.get_xdata().tolist() == [0]


@pytest.mark.parametrize("count", range(1, 8))
def test_any_number_of_variants_gets_a_panel_each(count):
    figure = figures.histograms({f"method {index}": [8, 8] for index in range(count)}, 16)
    assert len(figure.axes) == count
    assert figure.axes[-1].get_xlabel() == "codeword"


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"counts\['vq'\]: sum 15, must be n_samples=16"):
        figures.histograms({"vq": [8, 7]}, 16)
    with pytest.raises(InputError, match=r"counts\['sfvq'\]: shape \[3\]"):
        figures.histograms({"vq": [8, 8], "sfvq": [8, 8, 0]}, 16)
    with pytest.raises(InputError, match="no variant"):
        figures.histograms({}, 16)


def test_every_panel_of_the_metrics_has_a_line_a_variant():
    figure = figures.metrics_by_bitrate(metrics_table(VARIANTS), n_test=1275)
    assert len(figure.axes) == 4
    for axes in figure.axes:
        assert labels(axes) == [look.label for look in styles(VARIANTS).values()]
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "linear", "log", "log"]


def test_worst_case_and_average_are_drawn_as_distance_from_the_bits():
    kl, worst, average, _ = figures.metrics_by_bitrate(metrics_table(["vq"], bits=[5, 4, 6]), n_test=1275).axes
    drawn = [next(line for line in axes.lines if line.get_label() == "VQ").get_ydata() for axes in (kl, worst, average)]
    assert np.allclose(drawn, [[2, 2, 2], [3, 2, 1], [0.5, 1.5, 2.5]])


def test_published_values_of_as_many_test_samples_are_in_all_panels():
    figure = figures.metrics_by_bitrate(metrics_table(), published_values(), n_test=10_240)
    for axes in figure.axes:
        assert sum("published" in label for label in labels(axes)) == 2
        assert not any(label.startswith("equally likely") for label in labels(axes))


def test_published_values_of_another_number_of_test_samples_are_beside_their_own_floor():
    figure = figures.metrics_by_bitrate(metrics_table(), published_values(), n_test=1275)
    published = [sum("M = 10\u2009240" in label for label in labels(axes)) for axes in figure.axes]
    assert published == [0, 3, 0, 0]
    assert "equally likely codes, M = 10\u2009240" in legend(figure)


def test_published_values_outside_the_bitrates_are_not_drawn():
    figure = figures.metrics_by_bitrate(metrics_table(["vq"]), published_values(), n_test=10_240)
    line = next(line for line in figure.axes[0].lines if line.get_label().startswith("SFVQ, published"))
    assert line.get_ydata().tolist() == [21.8, 10.8, 3.98]


def test_empty_codes_are_marked_as_infinite_in_the_worst_case_alone():
    table = metrics_table(["vq", "sfvq"])
    table.loc[(table["variant"] == "vq") & (table["bits"] == 6) & (table["metric"] == "n_empty"), "mean"] = 0.2
    figure = figures.metrics_by_bitrate(table, n_test=1275)
    open_points = [
        sum(len(line.get_xdata()) for line in axes.lines if line.get_markerfacecolor() == "white")
        for axes in figure.axes
    ]
    assert open_points == [0, 1, 0, 0]
    assert INFINITE in legend(figure)
    assert INFINITE not in legend(figures.metrics_by_bitrate(metrics_table(), n_test=1275))


def test_a_value_infinite_in_all_repeats_is_marked_at_the_top():
    table = metrics_table(["vq"])
    where = (table["metric"] == "kl_bits") & (table["bits"] == 5)
    table.loc[where, ["mean", "low", "high"]] = np.nan
    table.loc[where, "n_infinite"] = 5
    figure = figures.metrics_by_bitrate(table, n_test=1275)
    (mark,) = [
        line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white" and len(line.get_xdata()) > 0
    ]
    assert mark.get_transform() == figure.axes[0].get_xaxis_transform()
    assert mark.get_xdata().tolist() == [5]
    figure.draw_without_rendering()


def test_floors_are_named_only_where_there_are_some():
    table = metrics_table()
    assert "calibrated on the training samples, 95 %" in legend(figures.metrics_by_bitrate(table, n_test=9))
    none = table.assign(calibrated_mean=np.nan, calibrated_low=np.nan, calibrated_high=np.nan)
    assert "calibrated on the training samples, 95 %" not in legend(figures.metrics_by_bitrate(none, n_test=9))


def test_a_single_bitrate_still_shows_its_floor():
    figure = figures.metrics_by_bitrate(metrics_table(bits=[6]), n_test=1275)
    floor = figure.axes[3].collections[0].get_paths()[0].get_extents()
    assert (floor.x0, floor.x1) == pytest.approx((5.7, 6.3))
    assert (floor.y0, floor.y1) == pytest.approx((8, 12))


def test_a_missing_column_or_metric_is_named():
    table = metrics_table()
    with pytest.raises(InputError, match="metrics: missing column low, floor_high"):
        figures.metrics_by_bitrate(table.drop(columns=["low", "floor_high"]), n_test=9)
    with pytest.raises(InputError, match="metrics: no row with metric 'std'"):
        figures.metrics_by_bitrate(table[table["metric"] != "std"], n_test=9)
    with pytest.raises(InputError, match="metrics: the table has no row"):
        figures.overview({"vq": [8, 8]}, table.head(0), 16)
    with pytest.raises(InputError, match="history: missing column eer"):
        figures.encoder_curves(history_table().drop(columns="eer"))
    with pytest.raises(InputError, match="metrics: no row with metric 'mse'"):
        figures.tradeoff(tradeoff_table().query("metric != 'mse'"))
    with pytest.raises(InputError, match="metrics: missing column calibrated_low"):
        figures.tradeoff(tradeoff_table().drop(columns="calibrated_low"))


def test_the_overview_sets_histograms_beside_the_worst_case():
    counts = {"sfvq-exact-interval": [4, 4, 5, 3], "vq": [0, 5, 3, 8]}
    figure = figures.overview(counts, metrics_table(VARIANTS, n_empty=1), 16)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["VQ", "SFVQ, exact, interval codes", "Worst-case disclosure"]
    assert {"B bits, the ideal", INFINITE, *(look.label for look in styles(VARIANTS).values())} <= set(legend(figure))


def points(axes):
    """Where each variant stands, by its label."""
    return {
        line.get_label(): (line.get_xdata()[0], line.get_ydata()[0])
        for line in axes.lines
        if line.get_label()[0] != "_"
    }


def test_the_trade_off_has_a_panel_a_bitrate_and_a_point_a_variant():
    # By hand: 6 / 5 of plain VQ's distortion.
    figure = figures.tradeoff(tradeoff_table())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["4 bits", "5 bits"]
    for axes in figure.axes:
        assert points(axes) == {"VQ": (1.0, 2.0), "SFVQ, exact, interval codes": (pytest.approx(1.2), 0.8)}
        assert axes.get_yscale() == "log"
        ranges = [np.ptp(path.vertices, axis=0) for lines in axes.collections for path in lines.get_paths()]
        assert np.allclose(ranges, [(0.2, 0), (0, 0.4), (0.24, 0), (0, 0.16)])
        band, limit = axes.patches[0].get_extents().transformed(axes.transData.inverted()), axes.lines[0]
        assert np.allclose([band.y0, band.y1], [0.5, 1.5])
        assert set(limit.get_ydata()) == {1}
    assert figure.axes[0].get_xlabel() == "distortion over VQ's"
    assert legend(figure)[:2] == ["VQ", "SFVQ, exact, interval codes"]


def test_without_plain_vq_the_distortion_is_absolute():
    table = tradeoff_table().query("variant != 'vq'")
    figure = figures.tradeoff(table)
    assert points(figure.axes[0]) == {"SFVQ, exact, interval codes": (6.0, 0.8)}
    assert figure.axes[0].get_xlabel() == "distortion, mean squared error"


def test_a_spread_of_nought_is_an_open_marker_at_the_edge():
    figure = figures.tradeoff(tradeoff_table(spread=(2.0, 0.0)))
    axes = figure.axes[0]
    _, y = points(axes)["SFVQ, exact, interval codes"]
    assert y == axes.get_ylim()[0] > 0
    (mark,) = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert mark.get_ydata()[0] == y
    assert "open: not above sampling noise" in legend(figure)
    assert "open: not above sampling noise" not in legend(figures.tradeoff(tradeoff_table()))
    figures.tradeoff(tradeoff_table(spread=(0.0, 0.0))).draw_without_rendering()


def test_certificates_are_drawn_as_distance_from_the_bits_a_panel_a_way():
    figure = figures.certificate(certificates_table())
    construction, audit = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["By construction", "By audit"]
    assert [texts(axes) for axes in figure.axes] == [
        "from 2\u2009142 calibration speakers",
        "from 1\u2009000 held-out speakers",
    ]
    for axes, label, excess in ((construction, "Tree, nested codes", [0.5, 0.75]), (audit, "VQ", [2.0, np.nan])):
        (line,) = [line for line in axes.lines if line.get_label() == label]
        assert np.array_equal(line.get_ydata(), excess, equal_nan=True)
        assert set(axes.lines[0].get_ydata()) == {0}
    (mark,) = [line for line in audit.lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    assert mark.get_xdata().tolist() == [5.0] and mark.get_ydata().tolist() == [0.97]
    assert legend(figure) == ["VQ", "Tree, nested codes", "B = log$_2$ K, the ideal", "open: no bound"]


def test_audits_alone_have_one_panel_and_no_open_marker_where_all_bind():
    figure = figures.certificate(certificates_table().query("bits == 4 and way == 'audit'"))
    assert len(figure.axes) == 1 and "open: no bound" not in legend(figure)


@pytest.mark.parametrize("name", ["histograms", "metrics", "overview", "tradeoff", "certificate"])
def test_the_whole_grid_fits_into_each_figure(name):
    counts = {variant: [8, 8] for variant in GRID}
    table = metrics_table(GRID, bits=(4, 5, 6, 7, 8))
    everything = pd.concat(
        [table, *(table.query("metric == 'std'").assign(metric=m) for m in ("mse", "cv_over_limit"))]
    )
    figure = {
        "histograms": lambda: figures.histograms(counts, 16),
        "metrics": lambda: figures.metrics_by_bitrate(table, published_values(), n_test=10_240),
        "overview": lambda: figures.overview({"vq": [8, 8], "tree": [8, 8]}, table, 16),
        "tradeoff": lambda: figures.tradeoff(everything),
        "certificate": lambda: figures.certificate(
            pd.concat(
                table.query("metric == 'std'").assign(way=w, bits_certified=9, n_evidence=9, alpha=0.05) for w in WAYS
            )
        ),
    }[name]()
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_window_extent()
        assert min(box.width, box.height) > 0.7 * figure.dpi
        assert not box.overlaps(figure.legends[0].get_window_extent())


def test_the_encoder_s_last_equal_error_rate_is_written_out():
    figure = figures.encoder_curves(history_table())
    assert texts(figure.axes[1]) == "6.1 %"
    assert figure.axes[0].lines[0].get_ydata().tolist() == [5, 3, 2]
