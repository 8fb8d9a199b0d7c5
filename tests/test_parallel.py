import math

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
