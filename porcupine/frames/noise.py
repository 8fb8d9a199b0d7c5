"""Noise on frames, and what it promises.

    Noise         mechanism, nominal sensitivity and ε: its scale, its addition, its guarantee
    clip          frames -> frames within a bound, without which there is no guarantee
    sensitivity   bound -> by how much two clipped frames can differ at most
    Guarantee     ε and δ of a frame and of an utterance
    guarantees    noise, utterances -> what it promises as they are, and if they were clipped

The second system adds Laplace noise of scale sensitivity/ε = 0.5/0.8 = 0.625 to each coefficient. That would be
0.8-differentially private if no two frames could differ by more than 0.5, summed over the coefficients. But nothing
bounds MFCCs except the number format (from digital silence to full scale the level alone moves by more than 800):
they have no such sensitivity, and the nominal ε protects nothing formally. What holds once frames are clipped,
`Noise.guarantee` says.

A guarantee is local: it compares what comes out for one speaker's frame (or all frames of an utterance) and for any
other one, in nats. It does not cover the number of frames, nor bounds and scalings that are fitted to the speaker. It
does extend to codes and rebuilt sound, made from the noisy frames with a codebook of other speakers. Noise is fresh for
each frame: their mean over an utterance has hardly any, which is why the utterance's ε, not the frame's, counts.

Laplace: Dwork, McSherry, Nissim & Smith, "Calibrating noise to sensitivity", TCC 2006. Gaussian, exact calibration:
Balle & Wang, "Improving the Gaussian mechanism", ICML 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from porcupine.errors import InputError

MECHANISMS = ("laplace", "gaussian")


@dataclass(frozen=True)
class Guarantee:
    """Differential privacy in nats: no event is more than e^ε times likelier, but for probability δ.

    sensitivity : of a frame, in the mechanism's norm (L1 for Laplace, L2 for Gaussian); all is `inf` if this is.
    frame : (ε, δ) of each frame.
    basic : (ε, δ) of an utterance, the sums over its frames.
    advanced : (ε, δ) of an utterance. Laplace: Kairouz, Oh & Viswanath, "The composition theorem", ICML 2015, theorem
        3.4, no more than the sum; Gaussian: exact (Dong, Roth & Su, "Gaussian differential privacy", 2022).
    """

    sensitivity: float
    frame: tuple[float, float]
    basic: tuple[float, float]
    advanced: tuple[float, float]


@dataclass(frozen=True)
class Noise:
    """Noise calibrated to a nominal sensitivity, in the frames' units, and ε in nats.

    delta : of the Gaussian mechanism, and of advanced composition.
    """

    mechanism: Literal["laplace", "gaussian"] = "laplace"
    sensitivity: float = 0.5
    epsilon: float = 0.8
    delta: float = 1e-5

    def __post_init__(self) -> None:
        if self.mechanism not in MECHANISMS:
            raise InputError(f"mechanism={self.mechanism!r}: choose from {', '.join(MECHANISMS)}")
        if not (0 < self.sensitivity < math.inf and 0 < self.epsilon < math.inf and 0 < self.delta < 1):
            raise InputError(
                f"sensitivity={self.sensitivity}, epsilon={self.epsilon}, delta={self.delta}: "
                "should be positive and finite, delta below 1"
            )

    @property
    def scale(self) -> float:
        """Laplace: sensitivity/ε, by which the standard deviation is √2 larger. Gaussian: standard deviation."""
        if self.mechanism == "laplace":
            return self.sensitivity / self.epsilon
        return self.sensitivity / _gaussian_distance(self.epsilon, self.delta)

    @property
    def order(self) -> int:
        """Of the norm that the mechanism's sensitivity is in: 1 for Laplace, 2 for Gaussian."""
        return 1 if self.mechanism == "laplace" else 2

    def add(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Frames float [T', C] with independent noise on every coefficient, float32."""
        draw = rng.laplace if self.mechanism == "laplace" else rng.normal
        return (frames + draw(scale=self.scale, size=np.shape(frames))).astype(np.float32)

    def guarantee(
        self, *, n_frames: int, coefficients: int, bound: float = math.inf, order: float = math.inf
    ) -> Guarantee:
        """What holds for utterances of T' frames and C coefficients that were clipped (see `clip`) before."""
        if n_frames < 1:
            raise InputError(f"n_frames={n_frames}, must be at least 1")
        differ = sensitivity(coefficients, bound=bound, order=order, norm=self.order)
        if math.isinf(differ):
            return Guarantee(differ, (math.inf, 0.0), (math.inf, 0.0), (math.inf, 0.0))
        ratio, delta = differ / self.scale, self.delta
        if self.mechanism == "laplace":
            advanced = n_frames * ratio * math.tanh(ratio / 2) + ratio * math.sqrt(2 * n_frames * -math.log(delta))
            total = n_frames * ratio
            return Guarantee(differ, (ratio, 0.0), (total, 0.0), min((total, 0.0), (advanced, delta)))
        frame = _gaussian_epsilon(ratio, delta)
        utterance = _gaussian_epsilon(ratio * math.sqrt(n_frames), delta)
        return Guarantee(differ, (frame, delta), (n_frames * frame, min(1.0, n_frames * delta)), (utterance, delta))


def guarantees(
    noise: Noise, utterances: Sequence[np.ndarray], *, passing: Sequence[float] = (0.01, 0.5, 0.99)
) -> pd.DataFrame:
    """What the noise promises of frames as they are, and of frames that were clipped in its own norm.

    utterances : float [T'_i, C] each; passing : shares of their frames that the bounds would leave as they are.
    Returns a row a bound: bound (inf: none), passing, sensitivity, frame_epsilon, frame_delta; of the median number of
    frames, by the composition that promises more, utterance_epsilon and utterance_delta; n_frames, that number.
    """
    norms = np.concatenate([np.linalg.norm(frames, ord=noise.order, axis=1) for frames in utterances])
    n_frames = int(np.median([len(frames) for frames in utterances]))
    rows = []
    for bound in [math.inf, *(float(np.quantile(norms, share)) for share in sorted(passing, reverse=True))]:
        holds = noise.guarantee(n_frames=n_frames, coefficients=utterances[0].shape[1], bound=bound, order=noise.order)
        best = min(holds.basic, holds.advanced)
        rows.append(
            {
                "bound": bound,
                "passing": float((norms <= bound).mean()),
                "sensitivity": holds.sensitivity,
                "frame_epsilon": holds.frame[0],
                "frame_delta": holds.frame[1],
                "utterance_epsilon": best[0],
                "utterance_delta": best[1],
                "n_frames": n_frames,
            }
        )
    return pd.DataFrame(rows)


def clip(frames: np.ndarray, *, bound: float, order: float = math.inf) -> np.ndarray:
    """Frames float [T', C] taken into the ball |x|_order <= bound, float32.

    order : `inf` clips each coefficient to [-bound, bound]; 1 and 2 shorten frames whose norm is larger.
    """
    _check_ball(bound, order)
    frames = np.asarray(frames)
    if math.isinf(order):
        return np.clip(frames, -bound, bound).astype(np.float32)
    norms = np.linalg.norm(frames, ord=order, axis=-1, keepdims=True)
    return (frames * (bound / np.maximum(norms, bound))).astype(np.float32)


def sensitivity(coefficients: int, *, bound: float, order: float = math.inf, norm: float) -> float:
    """Largest distance in a norm of order ``norm`` between two frames of C coefficients clipped to |x|_order <= bound.

    2 · bound · C^max(0, 1/norm - 1/order): the diameter of the ball.
    """
    _check_ball(bound, order)
    return 2 * bound * coefficients ** max(0.0, 1 / norm - 1 / order)


def _check_ball(bound: float, order: float) -> None:
    if not bound > 0 or order not in (1, 2, math.inf):
        raise InputError(f"bound={bound}, order={order}: the bound should be positive, the order 1, 2 or inf")


def _gaussian_delta(distance: float, epsilon: float) -> float:
    """δ of two unit Gaussians at a distance (Balle & Wang, theorem 8)."""
    middle, shift = distance / 2, epsilon / distance
    return float(ndtr(middle - shift) - np.exp(epsilon + log_ndtr(-middle - shift)))


def _gaussian_epsilon(distance: float, delta: float) -> float:
    """The smallest ε >= 0 with that δ."""
    if _gaussian_delta(distance, 0) <= delta:
        return 0.0
    enough = distance**2 / 2 + distance * math.sqrt(2 * -math.log(delta))
    return float(brentq(lambda epsilon: _gaussian_delta(distance, epsilon) - delta, 0, enough))


def _gaussian_distance(epsilon: float, delta: float) -> float:
    """The largest distance with that ε and δ."""
    beyond = 1.0
    while _gaussian_delta(beyond, epsilon) < delta:
        beyond *= 2
    return float(brentq(lambda distance: _gaussian_delta(distance, epsilon) - delta, 1e-12, beyond))
