import weakref
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.cluster import KMeans

from porcupine import ragged
from porcupine.errors import InputError
from porcupine.frames import codebook
from porcupine.frames.codebook import fit_codebook
from porcupine.quantizers import fitted
from porcupine.quantizers.base import distortion


def some_utterances(n_clusters=12, spread=1.0, seed=0, lengths=(40, 200, 1, 300, 120)):
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(0, 30, (n_clusters, 5)) - [400, 0, 0, 0, 0]
    return [
        (centers[rng.integers(n_clusters, size=length)] + rng.normal(0, spread, (length, 5))).astype(np.float32)
        for length in lengths
    ]


def mean_error(fit, utterances):
    frames = np.concatenate(utterances)
    return distortion(frames, fit.codebook, fit.encode(frames))


def test_clusters_are_found_and_codewords_are_their_means():
    utterances = some_utterances()
    fit = fit_codebook(utterances, n_codewords=12, seed=0)
    assert fit.codebook.shape == (12, 5) and fit.codebook.dtype == np.float32
    frames = np.concatenate(utterances)
    codes = fit.encode(frames)
    means = np.array([frames[codes == k].mean(axis=0) for k in range(12)])
    np.testing.assert_allclose(fit.codebook, means, rtol=1e-4, atol=1e-3)
    assert distortion(frames, fit.codebook, codes) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("n_codewords", [3, 40])
def test_it_is_as_good_as_restarts_of_k_means(n_codewords):
    utterances = some_utterances(spread=20)
    best = KMeans(n_codewords, n_init=5, random_state=1).fit(np.concatenate(utterances))
    assert mean_error(fit_codebook(utterances, n_codewords=n_codewords, seed=0), utterances) < (
        1.06 * best.inertia_ / 661 / 5
    )


def test_more_codewords_are_nearer():
    utterances = some_utterances(spread=20)
    errors = [mean_error(fit_codebook(utterances, n_codewords=k, seed=0), utterances) for k in (1, 2, 4, 16, 64, 256)]
    assert (np.diff(errors) < 0).all()
    assert errors[0] == pytest.approx(np.concatenate(utterances).var(axis=0).mean(), rel=1e-4)


def test_as_many_codewords_as_frames_lose_nothing_and_one_more_is_refused():
    utterances = some_utterances(lengths=(3, 7))
    fit = fit_codebook(utterances, n_codewords=10, seed=0)
    np.testing.assert_allclose(fit.decode(fit.encode(utterances[1])), utterances[1], rtol=1e-5)
    with pytest.raises(InputError, match="n_codewords=11, must be between 1 and 10 frames: train on more speakers"):
        fit_codebook(utterances, n_codewords=11, seed=0)


def test_seeds():
    utterances = some_utterances(spread=20)
    once, again, other = (fit_codebook(utterances, n_codewords=30, seed=seed).codebook for seed in (5, 5, 6))
    assert once.tobytes() == again.tobytes()
    assert not np.array_equal(once, other)


def test_a_memory_map_gives_the_same_as_a_list(tmp_path):
    utterances = some_utterances()
    ragged.write(tmp_path / "frames", utterances, dtype="float32")
    stored = ragged.Ragged(tmp_path / "frames")
    one, other = (fit_codebook(frames, n_codewords=12, seed=0) for frames in (utterances, stored))
    assert one.codebook.tobytes() == other.codebook.tobytes()


def test_codewords_are_means_of_all_frames_though_a_sample_shapes_the_cells(monkeypatch):
    monkeypatch.setattr(codebook, "SAMPLE_FRAMES", 200)
    utterances = some_utterances()
    fit = fit_codebook(utterances, n_codewords=12, seed=0)
    frames = np.concatenate(utterances)
    codes = fit.encode(frames)
    np.testing.assert_allclose(fit.codebook[codes[0]], frames[codes == codes[0]].mean(axis=0), rtol=1e-5)
    assert mean_error(fit, utterances) == pytest.approx(1, rel=0.1)


def test_the_sample_is_of_all_frames_without_repeats(monkeypatch):
    monkeypatch.setattr(codebook, "SAMPLE_FRAMES", 200)
    numbers = np.split(np.arange(661.0)[:, None], [40, 240, 241, 541])
    drawn = codebook._draw(numbers, [len(one) for one in numbers], np.random.default_rng(0))
    assert len(drawn) == len(np.unique(drawn)) == 200
    assert np.histogram(drawn, bins=4, range=(0, 661))[0] == pytest.approx(50, abs=20)


def test_utterances_are_read_one_at_a_time(monkeypatch):
    monkeypatch.setattr(codebook, "SAMPLE_FRAMES", 500)

    class Watched(Sequence):
        alive, most = weakref.WeakSet(), 0

        def __len__(self):
            return 60

        def __getitem__(self, i):
            if i >= 60:
                raise IndexError
            frames = np.random.default_rng(i).standard_normal((100, 3)).view(Counted)
            self.alive.add(frames)
            self.most = max(self.most, len(self.alive))
            return frames

    class Counted(np.ndarray):
        __hash__ = object.__hash__

    watched = Watched()
    assert fit_codebook(watched, n_codewords=16, seed=0).size == 16
    assert watched.most <= 3


def test_frames_that_are_all_equal_give_equal_codewords():
    fit = fit_codebook([np.full((30, 3), -7.0)], n_codewords=1, seed=0)
    assert (fit.codebook == -7).all() and (fit.encode(np.full((4, 3), -7.0)) == 0).all()


def test_it_can_be_saved(tmp_path):
    fit = fit_codebook(some_utterances(), n_codewords=12, seed=0)
    fitted.save_one(tmp_path / "codebook.npz", fit)
    frames = some_utterances(seed=1)[0]
    np.testing.assert_array_equal(fitted.load_one(tmp_path / "codebook.npz").encode(frames), fit.encode(frames))


@pytest.mark.parametrize(
    ("utterances", "message"),
    [
        ([], "between 1 and 0 frames"),
        ([np.zeros((0, 3))], "between 1 and 0 frames"),
        ([np.ones((4, 3)), np.zeros((0, 3))], r"frames have shape \(0, 3\)"),
        ([np.ones((4, 3)), np.full((2, 3), np.nan)], "not finite"),
        ([np.ones((4, 3)), np.ones((4, 2))], "dimensions"),
    ],
)
def test_refusals(utterances, message):
    with pytest.raises(InputError, match=message):
        fit_codebook(utterances, n_codewords=1, seed=0)


def test_no_codewords_are_refused():
    with pytest.raises(InputError, match="n_codewords=0"):
        fit_codebook(some_utterances(), n_codewords=0, seed=0)
