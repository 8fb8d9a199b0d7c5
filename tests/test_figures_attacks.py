import math

import matplotlib
import numpy as np
import pandas as pd
import pytest
from drawn import legend, texts, titles

from porcupine import figures, storage
from porcupine.errors import InputError
from porcupine.figures.style import styles

GRID = ("vq", "kmeans", "sfvq", "sfvq-faithful-nearest", "sfvq-exact-nearest", "sfvq-exact-interval")
GRID += ("curve-nearest", "curve-interval", "tree", "balanced")
TWO = ("vq", "balanced")
LABELS = ["VQ", "Balanced cells"]
CHANCE = {"top1": 0.001, "top10": 0.01, "eer": 0.5}
# threat, attacker: how many times the share of the weakest
ATTACKERS = {
    ("ignorant", "cosine"): 1,
    ("informed", "plda"): 2,
    ("informed", "mlp"): 1.5,
    ("semi-informed", "mlp"): 1.2,
}


def cells(variants=TWO, bits=(4, 5)):
    return [{"variant": variant, "bits": b} for variant in variants for b in bits]


def rates_table(variants=TWO, bits=(4, 5)):
    """Top-1 of the strongest: 2 · 0.01 · bits, 2 · 0.4 of raw embeddings. Under randomised response, a trap, always."""
    rows = []
    for cell in [{"variant": "raw", "bits": 0}, *cells(variants, bits)]:
        raw = cell["variant"] == "raw"
        for (threat, attacker), times in ATTACKERS.items():
            if raw and threat == "semi-informed":
                continue
            top1 = times * (0.4 if raw else 0.01 * cell["bits"])
            values = {"top1": top1, "top10": min(3 * top1, 0.99), "eer": 0.3 / times}
            for figure, value in values.items():
                names = {"threat": threat, "attacker": attacker, "epsilon": math.inf, "figure": figure}
                numbers = {"value": value, "low": 0.8 * value, "high": 1.2 * value, "chance": CHANCE[figure]}
                rows.append(cell | names | numbers)
                if figure != "eer" and not raw:
                    rows.append(cell | names | numbers | {"epsilon": 1.0, "value": 0.999})
    return pd.DataFrame(rows).assign(n_speakers=1000, n_attacked=1000, n_probes=2000, n_repeats=1)


def observations_table(variants=TWO, bits=(4, 5), n=(1, 2, 5)):
    rows = [
        cell
        | {"n": one, "n_speakers": 1024 // (1 + (one > 2)), "lower": 2.0 + one, "lower_low": 1.5 + one}
        | {"lower_high": 2.4 + one, "upper": min(4.0 * one, 9), "top1": 0.05 * one, "chance": 0.001}
        | {"one_code_lower": 3.5, "one_code_upper": 4.0, "one_code_top1": 0.04}
        for cell in cells(variants, bits)
        for one in n
    ]
    return pd.DataFrame(rows)


def ranks_table(variants=TWO, bits=(4, 5)):
    """100 speakers. The strongest of two attackers: shares .4 .3 .3 0 of raw embeddings, .1 .2 .5 .2 of codes."""
    ranges = [(1, 1), (2, 10), (11, 50), (51, 100)]
    rows = []
    for cell in [{"variant": "raw", "bits": 0}, *cells(variants, bits)]:
        strong = (0.4, 0.3, 0.3, 0.0) if cell["variant"] == "raw" else (0.1, 0.2, 0.5, 0.2)
        for attacker, shares in (
            ("cosine", (0.01, 0.09, 0.4, 0.5)),
            ("plda", strong),
            ("mlp", (0.02, 0.9, 0.04, 0.04)),
        ):
            for (first, last), share in zip(ranges, shares, strict=True):
                row = {"threat": "informed", "attacker": attacker, "first_rank": first, "last_rank": last}
                row |= {"share": share, "low": 0.5 * share, "high": 1.5 * share, "chance": (last - first + 1) / 100}
                rows.append(cell | row)
    return pd.DataFrame(rows)


def groups_table(variants=TWO, bits=(4, 5)):
    """Of 5 bits, the code leaves men without one of the codewords, and the floor is infinite for a quarter of draws."""
    rows = []
    for cell in cells(variants, bits):
        for part, group, size in (("all", None, 200), ("group", "female", 120), ("group", "male", 60)):
            empty = group == "male" and cell["bits"] == 5
            row = {"attribute": "gender", "part": part, "group": group, "n_speakers": size}
            row |= {"metric": "worst_case_bits", "value": math.inf if empty else cell["bits"] + 100 / size}
            row |= {"standard_error": np.nan if empty else 0.1, "floor_low": cell["bits"] + 0.1}
            row |= {"floor_high": cell["bits"] + 0.5, "floor_infinite": 0.25 if empty else 0.0}
            rows += [cell | row, cell | row | {"metric": "average_bits", "value": 1.0}]
        rows.append(cell | {"attribute": "gender", "part": "missing", "n_speakers": 20})
    return pd.DataFrame(rows)


def exposure_table(variants=TWO, bits=(4, 5)):
    """The strongest attacker learns one bit less than the code has of all, two less of women, one less of men."""
    rows = []
    for cell in [{"variant": "raw", "bits": 0}, *cells(variants, bits)]:
        raw = cell["variant"] == "raw"
        for attacker, worse in (("cosine", 0.5), ("plda", 0.0), ("mlp", 0.2)):
            for attribute, group, among, less, size in (
                ("", "", "everyone", 1, 64),
                ("gender", "female", "everyone", 2, 40),
                ("gender", "female", "group", 2.5, 40),
                ("gender", "male", "everyone", 1, 23),
                ("gender", "male", "group", 1.5, 23),
                ("gender", "other", "everyone", np.nan, 1),
            ):
                bits_learnt = (9 if raw else cell["bits"]) - less - worse
                exposed = np.nan if raw else bits_learnt + 1
                row = {"threat": "informed", "attacker": attacker, "attribute": attribute, "group": group}
                row |= {"among": among, "n_speakers": size if among == "group" else 1024, "n_attacked": size}
                row |= {"bits_learnt": bits_learnt, "bits_low": bits_learnt - 0.1, "bits_high": bits_learnt + 0.1}
                row |= {"exposed": exposed, "exposed_low": exposed - 0.3, "exposed_high": exposed + 0.3}
                rows.append(cell | row)
    return pd.DataFrame(rows)


def plane_table():
    """By hand: of the front of top-1, all but VQ with noise and the tree."""
    columns = ["variant", "bits", "epsilon", "mse", "top1", "worst_case_bits", "emotion_uar"]
    rows = [
        ("raw", 0, math.inf, 0.0, 0.9, np.nan, 0.7),
        ("vq", 4, math.inf, 0.5, 0.1, 6.0, 0.4),
        ("vq", 4, 1.0, 1.5, 0.05, 1.0, np.nan),
        ("balanced", 4, math.inf, 0.6, 0.08, 4.5, 0.35),
        ("balanced", 4, 1.0, 1.2, 0.02, 0.9, np.nan),
        ("tree", 4, math.inf, 0.55, 0.12, math.inf, 0.45),
    ]
    table = pd.DataFrame(rows, columns=columns)
    cosine = 1 - table["mse"] / 2
    return table.assign(cosine=cosine, top1_low=0.8 * table["top1"], top1_high=1.2 * table["top1"], chance=0.001)


TABLES = {
    "attack": rates_table,
    "threats": rates_table,
    "observations": observations_table,
    "ranks": ranks_table,
    "groups": groups_table,
    "exposure": exposure_table,
    "plane": plane_table,
}


def draw(name, table=None, **options):
    return getattr(figures, name)(TABLES[name]() if table is None else table, **options)


def points(axes, label):
    """Where the markers of a label are, float [n, 2]."""
    return np.concatenate([line.get_xydata() for line in axes.lines if line.get_label() == label])


def spans(axes):
    """Ends of the whiskers that have a length, sorted, float [n, 2 ends, 2]."""
    lines = [path.vertices for lines in axes.collections for path in lines.get_paths() if len(path.vertices) == 2]
    return np.array(sorted((line for line in lines if np.ptp(line) > 0), key=lambda line: line.tolist()))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_and_its_csv_give_the_same_bytes_whatever_the_settings_of_matplotlib(name, tmp_path):
    table = TABLES[name]()
    storage.save_table(tmp_path / "table.csv", table)
    first = figures.save(draw(name, table), tmp_path / "first", dpi=40)
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "svg.fonttype": "none"}):
        again = figures.save(draw(name, storage.load_table(tmp_path / "table.csv")), tmp_path / "again", dpi=40)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


@pytest.mark.parametrize("name", [name for name in TABLES if name not in ("groups", "exposure")])
def test_the_order_of_the_rows_does_not_matter(name):
    first, again = draw(name), draw(name, TABLES[name]().iloc[::-1])
    for left, right in zip(first.axes, again.axes, strict=True):
        assert len(left.lines) == len(right.lines) > 0
        for line, other in zip(left.lines, right.lines, strict=True):
            assert sorted(line.get_xydata().tolist()) == sorted(other.get_xydata().tolist())
    assert legend(first) == legend(again)


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_column_is_named_and_an_empty_table_refused(name):
    table = TABLES[name]()
    with pytest.raises(InputError, match=": missing column bits"):
        draw(name, table.drop(columns="bits"))
    with pytest.raises(InputError, match="the table has no row, nothing to draw"):
        draw(name, table.head(0))


@pytest.mark.parametrize("name", TABLES)
def test_raw_embeddings_alone_are_nothing_to_draw(name):
    table = TABLES[name]()
    with pytest.raises(InputError, match="no quantised variant"):
        draw(name, table.head(3).assign(variant="raw"))


@pytest.mark.parametrize("name", ["threats", "observations", "ranks", "groups", "exposure"])
def test_a_few_variants_at_one_bitrate_can_be_chosen(name):
    table = TABLES[name](variants=GRID, bits=(4, 5, 6))
    few = ["VQ", "SFVQ, paper's resampling", "Balanced cells"]
    shown = draw(name, table, bits=6)
    assert "6 bits, 64 codewords" in [text for axes in shown.axes for text in texts(axes)]
    assert [label for label in titles(shown) + legend(shown) if label in few] == few
    assert "k-means" in titles(figure := draw(name, table, variants=["kmeans"])) + legend(figure)
    assert "VQ" not in titles(figure) + legend(figure)
    others = table[table["variant"].isin(["raw", "tree", "kmeans"])]
    assert "Tree, nested codes" in titles(figure := draw(name, others)) + legend(figure)
    with pytest.raises(InputError, match="no row of bits=7; choose from 4, 5, 6"):
        draw(name, table, bits=7)
    with pytest.raises(InputError, match="no variant 'balance' of 5 bits; did you mean 'balanced'"):
        draw(name, table, variants=["balance"], bits=5)


@pytest.mark.parametrize("name", ["attack", "threats", "observations", "ranks", "groups", "exposure"])
def test_many_variants_and_bitrates_fit_and_the_legend_stands_outside(name):
    table = TABLES[name](variants=GRID, bits=(4, 5, 6, 7, 8))
    figure = draw(name, table, **{} if name == "attack" else {"variants": GRID[:5]})
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_window_extent()
        assert min(box.width, box.height) > 0.7 * figure.dpi
        assert not box.overlaps(figure.legends[0].get_window_extent())
        assert axes.get_xlabel() or not axes.xaxis.get_tick_params()["labelbottom"]
        for text in axes.texts:
            assert figure.bbox.x1 >= text.get_window_extent().x1


# ---- attack and threats


def test_the_attack_draws_the_strongest_attacker_of_each_figure_on_the_code_as_it_is():
    top1, top10, eer = (figure := draw("attack")).axes
    for axes, values in ((top1, [0.08, 0.10]), (top10, [0.24, 0.30]), (eer, [0.15, 0.15])):
        for label in LABELS:
            assert np.allclose(points(axes, label)[:, 1], values)
        low, high = spans(axes)[:, :, 1].T
        assert np.allclose(sorted(low), sorted(2 * [0.8 * value for value in values]))
        assert np.allclose(high, 1.5 * low)
        assert axes.get_yscale() == "log"
    assert [set(points(axes, "not quantised")[:, 1]) for axes in (top1, eer)] == [{0.8}, {0.15}]
    assert [set(points(axes, "chance")[:, 1]) for axes in (top1, top10, eer)] == [{0.001}, {0.01}, {0.5}]
    assert legend(figure) == [*LABELS, "not quantised", "chance"]
    assert "1\u2009000 speakers, 2\u2009000 probes" in figure.legends[0].get_title().get_text()


def test_no_variant_hides_another_in_the_attack():
    # Ten variants stand within 0.8 of a bitrate's place, in their order, all apart.
    axes = draw("attack", rates_table(GRID)).axes[-1]
    places = np.array([points(axes, look.label)[:, 0] for look in styles(GRID).values()])
    assert np.allclose(np.diff(places, axis=0), 0.08)
    assert np.allclose(places.mean(axis=0), [0, 1])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4", "5"]


def test_the_attack_can_do_without_raw_embeddings_and_with_rates_of_nought_or_unknown():
    table = rates_table().query("variant != 'raw'").reset_index(drop=True)
    table.loc[table["bits"] == 4, ["value", "low"]] = 0.0
    table.loc[(table["attacker"] == "plda") & (table["figure"] == "eer"), "value"] = np.nan
    figure = draw("attack", table)
    assert "not quantised" not in legend(figure)
    assert figure.axes[0].get_ylim()[0] > 0
    assert np.allclose(points(figure.axes[2], "VQ")[:, 1], [0.0, 0.2])
    figure.draw_without_rendering()


@pytest.mark.parametrize("name", ["attack", "threats"])
def test_raw_embeddings_of_unknown_rates_are_left_out(name):
    table = rates_table()
    table.loc[table["variant"] == "raw", ["value", "low", "high"]] = np.nan
    figure = draw(name, table)
    assert "not quantised" not in legend(figure) and "Not quantised" not in titles(figure)


def test_a_missing_figure_of_the_attack_is_named():
    with pytest.raises(InputError, match="rates: no quantised variant with figure 'top10', must have top1, top10, eer"):
        draw("attack", rates_table().query("figure != 'top10'"))


def test_threats_are_drawn_by_attacker_and_model_beside_raw_embeddings_and_chance():
    raw, vq, balanced = (figure := draw("threats", bits=4)).axes
    assert titles(figure) == ["Not quantised", *LABELS]
    assert [label.get_text() for label in raw.get_yticklabels()] == ["cosine", "PLDA", "neural net"]
    for axes in (vq, balanced):
        ignorant, semi, informed = (
            points(axes, name)
            for name in (
                "ignorant: raw embeddings",
                "semi-informed: codes of his own quantiser",
                "informed: codes of this quantiser",
            )
        )
        assert np.allclose(ignorant[:, 0], 0.04) and np.allclose(ignorant[:, 1].round(), 0)
        assert np.allclose(semi[:, 0], 0.048) and np.allclose(semi[:, 1].round(), 2)
        assert np.allclose(informed[:, 0], [0.08, 0.06]) and np.allclose(informed[:, 1].round(), [1, 2])
        assert texts(axes) == ["8 %", "4 bits, 16 codewords"]
        assert {tuple(line.get_xdata()) for line in axes.lines[:2]} == {(0.8, 0.8), (0.001, 0.001)}
        assert np.allclose(spans(axes)[:, :, 0], np.outer([0.04, 0.048, 0.06, 0.08], [0.8, 1.2]))
    assert texts(raw) == ["80 %", "the embedding itself"]


def test_an_attacker_and_a_threat_that_nobody_knows_are_drawn_under_their_names():
    table = rates_table().replace({"threat": {"informed": "omniscient"}, "attacker": {"plda": "oracle"}})
    figure = draw("threats", table)
    assert "omniscient" in legend(figure)
    assert "oracle" in [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_threats_can_do_without_raw_embeddings():
    figure = draw("threats", rates_table().query("variant != 'raw'"))
    assert titles(figure) == LABELS and "not quantised" not in legend(figure)


# ---- observations


def test_the_disclosure_of_n_utterances_is_a_band_from_the_attacker_to_the_bound():
    figure = draw("observations", bits=4)
    assert titles(figure)[:2] == LABELS
    for axes in figure.axes[:2]:
        corners = {tuple(corner) for corner in axes.collections[0].get_paths()[0].vertices.round(6)}
        assert corners == {(1, 3), (2, 4), (5, 7), (1, 4), (2, 8), (5, 9)}
        assert points(axes, "at least").tolist() == [[1, 3], [2, 4], [5, 7]]
        assert points(axes, "at most").tolist() == [[1, 4], [2, 8], [5, 9]]
        assert points(axes, "log2 M").tolist() == [[1, 10], [2, 10], [5, 9]]
        assert points(axes, "one code").tolist() == [[1, 3.5], [2, 3.5], [5, 3.5]]
        assert np.allclose(spans(axes)[:, :, 1], [[2.5, 3.4], [3.5, 4.4], [6.5, 7.4]])
    assert [label.get_text() for label in figure.axes[2].get_xticklabels()] == ["1", "2", "5"]
    assert "M = 512 to 1\u2009024 speakers" in figure.legends[0].get_title().get_text()


def test_the_rate_of_n_utterances_stands_beside_chance_and_one_code():
    axes = draw("observations", bits=4).axes[2]
    assert np.allclose(points(axes, "top-1"), [[1, 0.05], [2, 0.1], [5, 0.25]])
    assert set(points(axes, "chance")[:, 1]) == {0.001}
    assert set(points(axes, "one code")[:, 1]) == {0.04}
    assert texts(axes) == ["5.0 %", "25 %"]
    assert len(spans(axes)) == 0


def test_intervals_of_the_rate_and_the_raw_embedding_are_drawn_where_they_are_known():
    table = observations_table().assign(top1_low=0.01, top1_high=0.3)
    figure = draw("observations", table, raw=0.9)
    assert np.allclose(spans(figure.axes[2])[:, :, 1], [0.01, 0.3])
    assert set(points(figure.axes[2], "raw")[:, 1]) == {0.9}
    assert "one utterance, not quantised" in legend(figure)


def test_several_bitrates_have_a_column_each():
    figure = draw("observations", bits=(4, 5), variants=["vq"])
    assert titles(figure)[:2] == ["VQ", "VQ"]
    assert [texts(axes) for axes in figure.axes[:2]] == [["4 bits, 16 codewords"], ["5 bits, 32 codewords"]]


def test_a_single_observation_still_has_a_band():
    axes = draw("observations", observations_table(n=(1,))).axes[0]
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.x0, band.y0, band.x1, band.y1) == pytest.approx((0.8, 3, 1.25, 4))
    assert points(axes, "at least").tolist() == [[1, 3]]


# ---- ranks


def test_ranks_are_drawn_as_multiples_of_chance_for_whom_finds_most():
    # By hand: shares over 1, 9, 40 and 50 of 100 ranks.
    figure = draw("ranks")
    for axes, label in zip(figure.axes, LABELS, strict=True):
        codes, raw = (patch for patch in axes.patches if hasattr(patch, "get_data"))
        assert (codes.get_label(), raw.get_label()) == (label, "not quantised")
        assert np.allclose(codes.get_data().values, [10, 2 / 9 * 10, 1.25, 0.4])
        assert np.allclose(codes.get_data().edges, [0.5, 1.5, 10.5, 50.5, 100.5])
        assert codes.get_data().baseline == 1
        assert np.allclose(raw.get_data().values[:3], [40, 10 / 3, 0.75])
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        whiskers = axes.collections[0].get_paths()
        assert np.allclose(whiskers[0].vertices[:, 1], [5, 15])
    assert figure.axes[0].get_xlabel() == "rank of the true speaker, of 100"


def test_a_rank_that_does_not_occur_is_an_open_marker_at_the_edge():
    figure = draw("ranks")
    axes = figure.axes[0]
    (mark,) = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert mark.get_ydata().tolist() == [axes.get_ylim()[0]] and 50.5 < mark.get_xdata()[0] < 100.5
    assert legend(figure) == ["not quantised", "chance", "open: does not occur"]
    assert legend(draw("ranks", ranks_table().query("variant != 'raw'"))) == ["chance"]


# ---- groups and exposure


def test_groups_stand_under_all_speakers_each_beside_its_own_floor():
    figure = draw("groups", bits=4)
    assert titles(figure) == LABELS
    for axes, label in zip(figure.axes, LABELS, strict=True):
        assert np.allclose(points(axes, label), [(4.5, 0), (4 + 100 / 120, 2), (4 + 100 / 60, 3)])
        floors = [(patch.get_x(), patch.get_width(), patch.get_y() + patch.get_height() / 2) for patch in axes.patches]
        assert np.allclose(floors, [(4.1, 0.4, 0), (4.1, 0.4, 2), (4.1, 0.4, 3)])
        assert np.allclose(np.ptp(spans(axes)[:, :, 0], axis=1), 2 * 1.96 * 0.1)
        assert [line.get_xdata()[0] for line in axes.lines[:2]] == [4, 4.5]
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert ticks == ["all (200)", "gender", "female (120)", "male (60)"]


def test_an_infinite_group_is_an_open_marker_and_its_floor_has_no_end():
    figure = draw("groups", bits=5)
    axes = figure.axes[0]
    (mark,) = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert mark.get_xydata().tolist() == [[axes.get_xlim()[1], 3]]
    assert "open: infinite, a code is empty" in legend(figure)
    ends = [patch.get_x() + patch.get_width() for patch in axes.patches]
    assert np.allclose(ends, [5.5, 5.5, axes.get_xlim()[1]])
    assert "open: infinite, a code is empty" not in legend(draw("groups", bits=4))


def test_groups_show_the_longest_code_for_which_no_group_is_too_small():
    assert texts(draw("groups").axes[0]) == ["4 bits, 16 codewords"]
    none_fits = groups_table().assign(floor_infinite=0.5, floor_low=np.nan, floor_high=np.nan)
    figure = draw("groups", none_fits)
    assert texts(figure.axes[0]) == ["4 bits, 16 codewords"]
    figure.draw_without_rendering()


def test_a_code_that_is_empty_even_over_all_speakers_can_be_drawn():
    figure = draw("groups", groups_table().assign(value=math.inf), bits=4)
    assert sum(line.get_markerfacecolor() == "white" for line in figure.axes[0].lines) == 3
    figure.draw_without_rendering()


def test_exposure_is_of_the_attacker_who_learns_most_and_leaves_out_whom_nobody_attacked():
    learnt, exposed = (figure := draw("exposure", bits=4)).axes
    for label in LABELS:
        assert np.allclose(points(learnt, label)[:, 0], [3, 2, 3])
        assert np.allclose(points(learnt, label)[:, 1].round(), [0, 2, 3])
        assert np.allclose(points(exposed, label)[:, 0], [4, 3, 4])
    assert np.allclose(points(learnt, "not quantised")[:, 0], [8, 7, 8])
    assert np.isnan(points(exposed, "not quantised")[:, 0]).all()
    assert np.allclose(np.ptp(spans(learnt)[:, :, 0], axis=1), 0.2)
    assert [line.get_xdata()[0] for line in learnt.lines[:2]] == [0, 10]
    ticks = [label.get_text() for label in learnt.get_yticklabels()]
    assert ticks == ["all (64)", "gender", "female (40)", "male (23)"]
    assert legend(figure) == ["not quantised", *LABELS, "chance", "log$_2$ M: known who it is"]


def test_exposure_can_be_among_the_group():
    assert np.allclose(points(draw("exposure", bits=4, among="group").axes[0], "VQ")[:, 0], [3, 1.5, 2.5])
    with pytest.raises(InputError, match="exposure: no row among 'groups'; did you mean 'group'"):
        draw("exposure", among="groups")


# ---- plane


def test_the_plane_has_a_point_a_system_and_noise_is_open_and_joined():
    figure = draw("plane")
    assert titles(figure) == ["Identification", "Worst-case disclosure", "Identification and emotion"]
    top1, worst, emotion = figure.axes
    assert points(top1, "vq").tolist() == [[0.5, 0.1]] and points(top1, "vq, noisy").tolist() == [[1.5, 0.05]]
    assert points(worst, "vq").tolist() == [[0.5, 6.0]] and points(worst, "vq, noisy").tolist() == [[1.5, 1.0]]
    assert points(emotion, "vq").tolist() == [[0.4, 0.1]] and points(emotion, "vq, noisy").tolist() == []
    assert points(top1, "not quantised").tolist() == [[0, 0.9]]
    assert points(emotion, "not quantised").tolist() == [[0.7, 0.9]]
    assert points(worst, "not quantised").tolist() == []
    assert points(top1, "others").tolist() == [[0.55, 0.12]]
    joined = [line.get_xydata().tolist() for line in top1.lines if line.get_linewidth() == 0.6]
    assert joined == [[[0.5, 0.1], [1.5, 0.05]], [[0.6, 0.08], [1.2, 0.02]]]
    noisy = next(line for line in top1.lines if line.get_label() == "vq, noisy")
    assert noisy.get_markerfacecolor() == "white"
    assert set(points(top1, "chance")[:, 1]) == {0.001}
    assert np.allclose(sorted(span[0, 1] for span in spans(top1)), 0.8 * np.array([0.02, 0.05, 0.08, 0.1]))
    assert "open: randomised response, ε = 1" in legend(figure)


def test_the_front_steps_over_the_points_that_none_beats():
    top1, worst, emotion = draw("plane").axes
    assert points(top1, "front").tolist() == [[0, 0.9], [0.5, 0.1], [0.6, 0.08], [1.2, 0.02]]
    assert points(worst, "front").tolist() == [[0.5, 6.0], [0.6, 4.5], [1.2, 0.9]]
    assert points(emotion, "front").tolist() == [[0.35, 0.08], [0.4, 0.1], [0.45, 0.12], [0.7, 0.9]]
    styles_of = [
        next(line for line in axes.lines if line.get_label() == "front").get_drawstyle() for axes in (top1, emotion)
    ]
    assert styles_of == ["steps-post", "steps-pre"]


@pytest.mark.parametrize("unknown", [math.inf, np.nan])
def test_an_infinite_worst_case_is_at_the_top(unknown):
    table = plane_table().replace({"worst_case_bits": {math.inf: unknown}})
    figure = draw("plane", table, variants=["tree", "vq"])
    worst = figure.axes[1]
    (mark,) = [line for line in worst.lines if line.get_label() == "infinite" and len(line.get_xdata())]
    assert mark.get_transform() == worst.get_xaxis_transform() and mark.get_xdata().tolist() == [0.55]
    assert "at the top: infinite, a code is empty" in legend(figure)
    assert "at the top: infinite, a code is empty" not in legend(draw("plane", table.query("variant != 'tree'")))
    everything = draw("plane", table.assign(worst_case_bits=unknown))
    everything.draw_without_rendering()


def test_the_plane_without_attribute_noise_or_raw_embeddings():
    table = plane_table().query("variant != 'raw' and epsilon == inf")
    figure = draw("plane", table.drop(columns="emotion_uar"))
    assert len(figure.axes) == 2
    assert {"not quantised", "open: randomised response, ε = 1"}.isdisjoint(legend(figure))
    assert len(draw("plane", table, attribute="accent").axes) == 2
    assert len(draw("plane", table.rename(columns={"emotion_uar": "accent_uar"}), attribute="accent").axes) == 3


def test_the_utility_may_be_the_cosine_of_which_the_loss_is_drawn():
    axes = draw("plane", utility="cosine").axes[0]
    assert np.allclose(points(axes, "vq"), [[0.25, 0.1]])
    assert np.allclose(points(axes, "not quantised"), [[0, 0.9]])
    with pytest.raises(InputError, match="utility='loudness', must be one of mse, cosine"):
        draw("plane", utility="loudness")
    with pytest.raises(InputError, match="plane: missing column cosine"):
        draw("plane", plane_table().drop(columns="cosine"), utility="cosine")


def test_a_longer_code_has_a_larger_marker():
    longer = plane_table().query("variant == 'vq'").assign(bits=8, mse=0.4, top1=0.2)
    axes = draw("plane", pd.concat([plane_table(), longer])).axes[0]
    sizes = {line.get_xdata()[0]: line.get_markersize() for line in axes.lines if line.get_label() == "vq"}
    assert sizes[0.5] < sizes[0.4]


def test_an_unknown_variant_of_the_plane_is_named():
    with pytest.raises(InputError, match="plane: no variant 'balance'; did you mean 'balanced'"):
        draw("plane", variants=["balance"])
