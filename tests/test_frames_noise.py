import itertools
import math

import numpy as np
import pytest
from scipy import stats

from porcupine.errors import InputError
from porcupine.frames.noise import Noise, clip, guarantees, sensitivity
from porcupine.randomness import generator

INF = math.inf
BALLS = [(1, 0.25), (2, 1.5), (INF, 3.0)]


def test_the_default_noise_is_laplace_of_scale_0_625():
    assert Noise().scale == 0.625
    frames = np.arange(20, dtype=np.float32) - np.zeros((5000, 1), np.float32)
    drawn = Noise().add(frames, generator(0, "noise")) - frames
    assert drawn.dtype == np.float32
    assert stats.kstest(drawn.ravel(), stats.laplace(scale=0.625).cdf).pvalue > 0.01
    assert stats.kstest(drawn.ravel(), stats.laplace(scale=0.64).cdf).pvalue < 0.01
    assert stats.kstest(drawn.ravel(), stats.norm(scale=0.625 * math.sqrt(2)).cdf).pvalue < 0.01
    assert np.abs(np.corrcoef(drawn.T) - np.eye(20)).max() < 0.06


def test_gaussian_noise_has_its_scale():
    noise = Noise("gaussian", sensitivity=2, epsilon=1.5)
    drawn = noise.add(np.zeros((5000, 20)), generator(1, "noise"))
    assert stats.kstest(drawn.ravel(), stats.norm(scale=noise.scale).cdf).pvalue > 0.01


@pytest.mark.parametrize("mechanism", ["laplace", "gaussian"])
def test_seeds(mechanism):
    frames = np.ones((30, 4))
    once, again, other = (Noise(mechanism).add(frames, generator(seed, "noise", 12)) for seed in (3, 3, 4))
    assert once.tobytes() == again.tobytes()
    assert not (once == other).any()


def test_an_empty_clip_stays_empty():
    assert Noise().add(np.zeros((0, 20)), generator(0)).shape == (0, 20)


@pytest.mark.parametrize(("order", "bound"), BALLS)
def test_clipped_frames_are_within_the_bound_and_others_untouched(order, bound):
    frames = np.random.default_rng(0).standard_normal((500, 6)) * 10.0 ** np.random.default_rng(1).uniform(
        -3, 1, (500, 1)
    )
    clipped = clip(frames, bound=bound, order=order)
    before, after = (np.linalg.norm(one, ord=order, axis=1) for one in (frames, clipped))
    assert clipped.dtype == np.float32
    assert after == pytest.approx(np.minimum(before, bound), rel=1e-5)
    assert 50 < (before > bound).sum() < 450
    assert clipped[before <= bound] == pytest.approx(frames[before <= bound], rel=1e-6)


@pytest.mark.parametrize(("order", "bound"), BALLS)
@pytest.mark.parametrize("norm", [1, 2])
def test_sensitivity_is_reached_and_never_exceeded(order, bound, norm):
    found = sensitivity(6, bound=bound, order=order, norm=norm)
    extremes = [np.eye(6)[0], np.ones(6)]
    distances = [2 * bound * np.linalg.norm(x, norm) / np.linalg.norm(x, order) for x in extremes]
    assert found == pytest.approx(max(distances))
    pairs = clip(np.random.default_rng(0).standard_normal((2, 2000, 6)) * 5, bound=bound, order=order)
    assert np.linalg.norm(pairs[0] - pairs[1], ord=norm, axis=1).max() <= found * (1 + 1e-6)


@pytest.mark.parametrize("mechanism", ["laplace", "gaussian"])
def test_nothing_holds_without_a_bound(mechanism):
    promised = Noise(mechanism).guarantee(n_frames=300, coefficients=20)
    assert promised.sensitivity == INF
    assert {promised.frame, promised.basic, promised.advanced} == {(INF, 0.0)}


def test_the_nominal_epsilon_holds_for_one_frame_within_its_sensitivity():
    # |x|_1 <= 0.25: two frames differ by at most 0.5, the nominal sensitivity.
    promised = Noise().guarantee(n_frames=1, coefficients=20, bound=0.25, order=1)
    assert promised.sensitivity == 0.5
    assert promised.frame == promised.basic == promised.advanced == (pytest.approx(0.8), 0)
    gaussian = Noise("gaussian").guarantee(n_frames=1, coefficients=20, bound=0.25, order=2)
    assert gaussian.frame == gaussian.advanced == (pytest.approx(0.8), 1e-5)


def test_what_it_means_for_frames_of_unit_variance():
    # By hand: 20 coefficients in [-3, 3] differ by 120 in all; 120 / 0.625 = 192 nats a frame, 300 frames.
    promised = Noise().guarantee(n_frames=300, coefficients=20, bound=3)
    assert (promised.sensitivity, promised.frame, promised.basic) == (120, (192, 0), (57_600, 0))
    assert promised.advanced == promised.basic


def test_laplace_densities_are_apart_by_epsilon():
    noise, coefficients = Noise(sensitivity=1.0, epsilon=0.7), 3
    epsilon, _ = noise.guarantee(n_frames=1, coefficients=coefficients, bound=0.4).frame
    corners = [np.array(corner) for corner in itertools.product([-0.4, 0.4], repeat=coefficients)]
    outputs = np.random.default_rng(0).normal(0, 3, (2000, coefficients))
    log_densities = [stats.laplace(x, noise.scale).logpdf(outputs).sum(axis=1) for x in corners]
    assert np.ptp(log_densities, axis=0).max() == pytest.approx(epsilon)


def gaussian_delta(distance, epsilon):
    """∫ max(p - e^ε q, 0) by summation."""
    grid = np.linspace(-12, 12 + distance, 200_001)
    p, q = stats.norm(distance).pdf(grid), stats.norm(0).pdf(grid)
    return np.maximum(p - np.exp(epsilon) * q, 0).sum() * (grid[1] - grid[0])


@pytest.mark.parametrize(("epsilon", "delta"), [(0.8, 1e-5), (0.05, 1e-3), (4.0, 1e-6)])
def test_gaussian_noise_is_calibrated(epsilon, delta):
    noise = Noise("gaussian", sensitivity=0.5, epsilon=epsilon, delta=delta)
    assert gaussian_delta(0.5 / noise.scale, epsilon) == pytest.approx(delta, rel=1e-3)
    # The classical calibration adds more noise, where it holds at all.
    assert epsilon > 1 or noise.scale < math.sqrt(2 * math.log(1.25 / delta)) * 0.5 / epsilon


@pytest.mark.parametrize("n_frames", [1, 40])
def test_gaussian_frames_compose_exactly(n_frames):
    noise = Noise("gaussian")
    promised = noise.guarantee(n_frames=n_frames, coefficients=4, bound=0.25)
    # All frames at the far corner: one Gaussian at the distance over all frames.
    epsilon, delta = promised.advanced
    assert gaussian_delta(math.sqrt(n_frames) * 1.0 / noise.scale, epsilon) == pytest.approx(delta, rel=1e-3)
    assert promised.basic == (pytest.approx(n_frames * promised.frame[0]), pytest.approx(n_frames * 1e-5))


@pytest.mark.parametrize("frame_epsilon", [0.05, 0.8, 3.0])
def test_advanced_composition_of_laplace_holds_and_helps(frame_epsilon):
    # The worst case of k mechanisms of one ε is k reports of one bit: two binomials, compared exactly.
    k = 200
    noise = Noise(sensitivity=1, epsilon=frame_epsilon)
    promised = noise.guarantee(n_frames=k, coefficients=5, bound=0.5, order=1)
    epsilon, delta = promised.advanced
    keep, n = 1 / (1 + math.exp(-frame_epsilon)), np.arange(k + 1)
    p, q = stats.binom(k, keep).logpmf(n), stats.binom(k, 1 - keep).logpmf(n)
    beyond = np.exp(p) - np.exp(epsilon + q)
    assert beyond[beyond > 0].sum() <= delta + 1e-12
    assert promised.basic == (pytest.approx(k * frame_epsilon), 0)
    assert epsilon < k * frame_epsilon if frame_epsilon < 1 else epsilon <= k * frame_epsilon


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Noise("cauchy"), "mechanism='cauchy': choose from laplace, gaussian"),
        (lambda: Noise(epsilon=0), "epsilon=0"),
        (lambda: Noise(sensitivity=-1), "sensitivity=-1"),
        (lambda: Noise(sensitivity=INF), "sensitivity=inf"),
        (lambda: Noise(delta=1), "delta=1"),
        (lambda: clip(np.ones((2, 2)), bound=0), "bound=0"),
        (lambda: clip(np.ones((2, 2)), bound=1, order=3), "order=3"),
        (lambda: Noise().guarantee(n_frames=0, coefficients=20), "n_frames=0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(("mechanism", "order"), [("laplace", 1), ("gaussian", 2)])
def test_what_is_promised_for_each_bound(mechanism, order):
    utterances = [np.random.default_rng(seed).standard_normal((length, 4)) for seed, length in enumerate((9, 10, 50))]
    noise = Noise(mechanism)
    table = guarantees(noise, utterances, passing=(0.5, 0.9))
    assert table["bound"].iloc[0] == INF and (table.loc[0, ["sensitivity", "utterance_epsilon"]] == INF).all()
    norms = np.linalg.norm(np.concatenate(utterances), ord=order, axis=1)
    for row, share in zip(table.iloc[1:].to_dict("records"), (0.9, 0.5), strict=True):
        assert row["bound"] == pytest.approx(np.quantile(norms, share))
        assert row["passing"] == pytest.approx(share, abs=0.02)
        promised = noise.guarantee(n_frames=10, coefficients=4, bound=row["bound"], order=order)
        assert row["sensitivity"] == pytest.approx(2 * row["bound"]) == promised.sensitivity
        assert (row["frame_epsilon"], row["frame_delta"]) == promised.frame and row["n_frames"] == 10
        assert row["utterance_epsilon"] == min(promised.basic[0], promised.advanced[0])
