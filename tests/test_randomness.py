import numpy as np

from porcupine.randomness import generator


def test_draws_depend_on_seed_and_name_alone():
    first = generator(7, "speaker", 12).random(4)
    generator(7, "speaker", 13).random(100)
    assert np.array_equal(first, generator(7, "speaker", 12).random(4))
    for other in (generator(8, "speaker", 12), generator(7, "speaker", 13), generator(7, "clip", 12)):
        assert not np.array_equal(first, other.random(4))
