import numpy as np
import pytest

from porcupine import storage
from porcupine.errors import InputError
from porcupine.frames.scaling import Scaling, fit_scaling


def some_utterances(offset=0.0):
    rng = np.random.default_rng(0)
    return [offset + (1 + 3 * np.arange(4)) * rng.standard_normal((n, 4)) + rng.normal() for n in (5, 1, 300, 40)]


@pytest.mark.parametrize("offset", [0.0, -1e4])
def test_scaled_frames_have_mean_0_and_variance_1(offset):
    utterances = some_utterances(offset)
    scaling, whole = fit_scaling(utterances), np.concatenate(utterances)
    np.testing.assert_allclose(scaling.mean, whole.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(scaling.deviation, whole.std(axis=0), rtol=1e-4)
    scaled = scaling.apply(some_utterances()[2] + offset)
    assert scaled.dtype == np.float32
    assert fit_scaling([scaling.apply(one) for one in utterances]).deviation == pytest.approx(np.ones(4), rel=1e-2)


def test_there_and_back():
    utterances = some_utterances(-400)
    scaling = fit_scaling(utterances)
    np.testing.assert_allclose(scaling.undo(scaling.apply(utterances[3])), utterances[3], rtol=1e-5)


def test_it_can_be_saved(tmp_path):
    scaling = fit_scaling(some_utterances())
    storage.save_arrays(tmp_path / "scaling.npz", vars(scaling))
    loaded = Scaling(**storage.load_arrays(tmp_path / "scaling.npz"))
    assert loaded.apply(np.ones((1, 4))).tobytes() == scaling.apply(np.ones((1, 4))).tobytes()


@pytest.mark.parametrize(
    ("utterances", "message"),
    [
        ([], "0 frames"),
        ([np.ones((2, 3)), np.zeros((0, 3))], r"frames have shape \(0, 3\)"),
        ([np.array([[1.0, 2.0], [1.0, 3.0]])], r"2 frames with constant coefficients \[0\]"),
        ([np.array([[1.0, 2.0], [np.nan, 3.0]])], "not finite"),
    ],
)
def test_refusals(utterances, message):
    with pytest.raises(InputError, match=message):
        fit_scaling(utterances)
