import math
import os

import pytest

from porcupine.parallel import ordered_map


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    numbers = list(range(40))
    assert list(ordered_map(math.sqrt, numbers, workers=workers)) == [math.sqrt(n) for n in numbers]


def test_an_error_in_a_worker_reaches_the_caller():
    with pytest.raises(ValueError, match=r"domain|nonnegative"):
        list(ordered_map(math.sqrt, [1.0, -1.0, 4.0], workers=2))


def test_nothing_gives_nothing():
    assert list(ordered_map(math.sqrt, [])) == []


def test_relative_paths_mean_the_same_in_workers_that_have_served_another_folder(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert set(ordered_map(os.path.abspath, ["clip"] * 8, workers=2)) == {str(tmp_path / name / "clip")}
