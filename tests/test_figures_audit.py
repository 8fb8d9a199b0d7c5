import math

import numpy as np
import pandas as pd
import pytest

from porcupine.audit import audit
from porcupine.errors import InputError
from porcupine.figures import audit as drawing

FAST = {"simulations": 50, "bootstrap": 10}


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def line(axes, value, *, horizontal):
    """Whether a line across the axes stands at a value."""
    lines = [(one.get_ydata() if horizontal else one.get_xdata()) for one in axes.lines]
    return any(len(set(np.ravel(at))) == 1 and np.ravel(at)[0] == pytest.approx(value) for at in lines if len(at))


def test_codes_stand_by_rank_beside_ideal_and_certificate():
    found = audit(np.repeat(np.arange(3), [30, 10, 60]), 3, **FAST)
    figure = drawing.ranked(found.codes, found.certificate)
    (axes,) = figure.axes
    # By hand: 10, 30 and 60 of 100 speakers.
    points = next(one for one in axes.lines if one.get_label() == "These codes")
    assert points.get_xdata().tolist() == [1, 2, 3]
    assert points.get_ydata() == pytest.approx(-np.log2([0.1, 0.3, 0.6]))
    assert line(axes, math.log2(3), horizontal=True) and line(axes, found.certificate.bits, horizontal=True)
    told = math.ceil(100 * found.certificate.bits) / 100
    assert f"certified at 95 %: {told:.2f}" in labels(figure) and "infinite: nobody has it" not in labels(figure)


def test_codes_that_nobody_has_are_open_marks_at_the_top():
    found = audit(np.repeat(np.arange(4), 25), 6, **FAST)
    figure = drawing.ranked(found.codes, found.certificate)
    (axes,) = figure.axes
    marks = axes.lines[-1]
    assert marks.get_xdata().tolist() == [1, 2] and set(marks.get_ydata()) == {axes.get_ylim()[1]}
    assert "infinite: nobody has it" in labels(figure) and not any("certified" in label for label in labels(figure))


def test_of_many_codes_the_rarest_and_the_most_common_are_drawn(monkeypatch):
    monkeypatch.setattr(drawing, "MOST_DRAWN", 10)
    found = audit(np.random.default_rng(0).integers(0, 100, 5000), 100, **FAST)
    points = next(
        one for one in drawing.ranked(found.codes, found.certificate).axes[0].lines if len(one.get_xdata()) == 10
    )
    assert points.get_xdata()[[0, -1]].tolist() == [1, 100]
    assert drawing.counts(found.counts).axes[0].patches[0].get_rasterized()


def test_counts_are_those_of_the_speakers():
    axes = drawing.counts(np.array([3, 0, 5])).axes[0]
    assert axes.patches[-1].get_data().values.tolist() == [3, 0, 5] and axes.get_ylabel() == "speakers"


def test_groups_stand_below_all_speakers():
    groups = pd.DataFrame({"kind": ["a"] * 60 + ["b"] * 40})
    found = audit(np.arange(100) % 3, 3, groups=groups, **FAST)
    figure = drawing.groups(found.disclosure, 3)
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["all (100)", "kind", "a (60)", "b (40)"]
    points = next(one for one in axes.lines if one.get_marker() == "o")
    # By hand: 33 of 100, 20 of 60 and 13 of 40 have the rarest code.
    assert points.get_xdata() == pytest.approx(np.log2([100 / 33, 60 / 20, 40 / 13]))
    assert points.get_ydata().tolist() == [0, 2, 3]
    assert line(axes, math.log2(3), horizontal=False) and "open: infinite, a code is empty" not in labels(figure)


def test_a_group_without_some_code_has_an_open_mark_at_the_edge():
    groups = pd.DataFrame({"kind": ["a"] * 50 + ["b"] * 50})
    found = audit(np.arange(100) // 25, 4, groups=groups, **FAST)
    figure = drawing.groups(found.disclosure, 4)
    marks = figure.axes[0].lines[-1]
    assert marks.get_ydata().tolist() == [2, 3] and set(marks.get_xdata()) == {figure.axes[0].get_xlim()[1]}


def test_what_lacks_a_column_is_refused():
    with pytest.raises(InputError, match="codes: missing column floor_low"):
        drawing.ranked(pd.DataFrame({"rank": [1], "bits": [1.0], "floor_high": [1.0]}), None)
    with pytest.raises(InputError, match="disclosure: missing column"):
        drawing.groups(pd.DataFrame({"attribute": ["a"]}), 4)
