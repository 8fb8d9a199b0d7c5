"""Identity: a small convolutional network that knows a closed set of speakers, and names who is speaking.

    enrol_by_content    utterances -> which the attacker holds, which are attacked, with different words
    train_identifier    frames and speakers -> Identifier, which scores all speakers for other frames

An ignorant attacker trains on original frames, an informed one on frames that are treated like the attacked ones. The
scores are for `porcupine.privacy.attackers.identification`, as those of other attackers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from porcupine.errors import InputError
from porcupine.privacy.attackers import Enrolment
from porcupine.randomness import generator

_LAYERS = ((64, 5, 2), (64, 3, 1), (128, 3, 2))  # channels, width and step (in frames) of each convolution
_MIN_DEVIATION = 1e-6


def enrol_by_content(
    speakers: Sequence[str] | np.ndarray,
    contents: Sequence[Any] | np.ndarray,
    rng: np.random.Generator,
    *,
    held_share: float = 0.5,
) -> Enrolment:
    """Draw which contents the attacker holds, of all speakers alike; utterances of the others are probes.

    speakers : str [N]; contents : [N], what is said, such as the text or the number of the repetition.
    held_share : of the contents, rounded, but at least one is held and one is not.
    Raises InputError where there are fewer than two contents or speakers, or nothing of a speaker is held; then
    `porcupine.privacy.attackers.enrol` may do.
    """
    words = np.asarray(contents, dtype=str)
    names, speaker = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    if len(words) != len(speaker):
        raise InputError(f"{len(words)} contents for {len(speaker)} utterances, should match")
    different = np.unique(words)
    if len(different) < 2 or len(names) < 2:
        raise InputError(
            f"{len(different)} content(s) of {len(names)} speaker(s): at least two of each are needed, so that the "
            "attacker holds other words than are attacked"
        )
    n_held = int(np.clip(round(held_share * len(different)), 1, len(different) - 1))
    is_held = np.isin(words, rng.permutation(different)[:n_held])
    held, probes = np.flatnonzero(is_held), np.flatnonzero(~is_held)
    without = np.setdiff1d(np.arange(len(names)), speaker[held])
    if len(without):
        raise InputError(
            f"speaker {str(names[without[0]])!r} says none of the {n_held} contents that the attacker holds: raise "
            f"held_share={held_share}, or draw utterances by porcupine.privacy.attackers.enrol"
        )
    return Enrolment(names, held, speaker[held], probes, speaker[probes])


class Identifier:
    """A trained network. ``network`` is in evaluation mode from here on, on ``device``."""

    def __init__(self, network: _Network, *, device: torch.device) -> None:
        self.network = network.eval().to(device)
        self.device = device

    def scores(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Logarithms of the probabilities of all speakers, in nats: float32 [P, M].

        frames : P utterances, float [T', C] each, heard whole.
        Raises InputError where there are none, or one has other coefficients than the training's or is not finite.
        """
        if not len(frames):
            raise InputError("no utterances to score: give at least one")
        for i, utterance in enumerate(frames):
            _check(utterance, len(self.network.mean), i)
        with torch.inference_mode():
            heard = [self.network(torch.from_numpy(_tensor(one)[None]).to(self.device)) for one in frames]
            return torch.log_softmax(torch.cat(heard), dim=1).cpu().numpy()


def train_identifier(
    frames: Sequence[np.ndarray],
    speaker: np.ndarray,
    *,
    seed: int,
    device: torch.device,
    epochs: int = 40,
    crop_frames: int = 100,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    on_epoch: Callable[[dict[str, float]], None] = lambda record: None,
) -> Identifier:
    """Train on random crops of the utterances.

    frames : N utterances, MFCC or log-mel, float [T', C] each; one that is shorter than a crop is repeated.
    speaker : int [N], 0 … M - 1, each of them at least once.
    on_epoch : given ``epoch`` (from 1), ``loss`` (mean, in nats) and ``accuracy`` (on the crops) after each epoch.
    The same arguments give the same weights on the same CPU.
    Raises InputError where labels do not match or name fewer than two speakers, or frames are unusable.
    """
    speaker = np.asarray(speaker)
    if len(frames) != len(speaker) or not len(frames):
        raise InputError(f"{len(frames)} utterances of frames and {len(speaker)} speaker labels should match")
    n_speakers = int(speaker.max()) + 1
    if n_speakers < 2 or not np.array_equal(np.unique(speaker), np.arange(n_speakers)):
        raise InputError(f"speakers {np.unique(speaker)} should be 0 … M - 1, M >= 2, each with an utterance")
    n_coefficients = frames[0].shape[-1]
    for i, utterance in enumerate(frames):
        _check(utterance, n_coefficients, i)
    rng = generator(seed, "crops")
    batches = -(-len(frames) // batch_size)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = _Network(*_moments(frames), n_speakers).to(device)
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * batches)
        for epoch in range(1, epochs + 1):
            loss_sum = right = 0.0
            for chosen in np.array_split(rng.permutation(len(frames)), batches):
                crops = np.stack([_crop(frames[i], crop_frames, rng) for i in chosen])
                target = torch.from_numpy(speaker[chosen]).to(device)
                logits = network(torch.from_numpy(crops).to(device))
                loss = nn.functional.cross_entropy(logits, target, label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                loss_sum += loss.item() * len(chosen)
                right += (logits.argmax(dim=1) == target).sum().item()
            on_epoch({"epoch": epoch, "loss": loss_sum / len(frames), "accuracy": right / len(frames)})
    return Identifier(network, device=device)


class _Network(nn.Module):
    """Frames [N, T', C] -> scores [N, M]: standardised, convolved, and their moments over time weighed.

    mean, deviation : float [C], of the training.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, mean: np.ndarray, deviation: np.ndarray, n_speakers: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("deviation", torch.from_numpy(deviation.astype(np.float32)))
        layers: list[nn.Module] = []
        channels = len(mean)
        for wider, width, step in _LAYERS:
            convolution = nn.Conv1d(channels, wider, width, stride=step, padding=width // 2)
            layers += [convolution, nn.BatchNorm1d(wider), nn.ReLU()]
            channels = wider
        self.layers = nn.Sequential(*layers)
        self.decide = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * channels, n_speakers))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        hidden = self.layers(((frames - self.mean) / self.deviation).transpose(1, 2))
        deviation = (hidden.var(dim=2, correction=0) + 1e-4).sqrt()
        return self.decide(torch.cat([hidden.mean(dim=2), deviation], dim=1))


def _moments(frames: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each coefficient, float64 [C]."""
    count = sum(len(utterance) for utterance in frames)
    mean = np.sum([utterance.sum(axis=0, dtype=np.float64) for utterance in frames], axis=0) / count
    squares = np.sum([np.square(utterance - mean).sum(axis=0) for utterance in frames], axis=0)
    return mean, np.maximum(np.sqrt(squares / count), _MIN_DEVIATION)


def _crop(utterance: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    start = rng.integers(max(1, len(utterance) - length + 1))
    return _tensor(np.take(utterance, np.arange(start, start + length), axis=0, mode="wrap"))


def _tensor(frames: np.ndarray) -> np.ndarray:
    return np.array(frames, dtype=np.float32)


def _check(utterance: np.ndarray, n_coefficients: int, i: int) -> None:
    if utterance.ndim != 2 or not len(utterance) or utterance.shape[1] != n_coefficients:
        raise InputError(f"utterance {i} has frames of shape {utterance.shape}, should be [T' >= 1, {n_coefficients}]")
    if not np.isfinite(utterance).all():
        raise InputError(f"utterance {i} has frames that are not finite")
