"""Bottleneck: a space-filling quantiser inside a network, trained together with it.

    Bottleneck   torch module: noise substitution while training, codewords afterwards; encode, decode, save, load

The curve grows as `sfvq` does. Codes are intervals along it (`occurrence`), cut anew on the latest training embeddings,
so that they stay equally likely while the encoder moves.

Vali & Bäckström, "NSVQ", IEEE Access 2022, and SFVQ, Interspeech 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import safetensors
import safetensors.torch
import torch

from porcupine import storage
from porcupine.errors import InputError
from porcupine.quantizers.curve import project
from porcupine.quantizers.nsvq import noise_substitution
from porcupine.quantizers.occurrence import interval_codes, interval_thresholds, resample_curve
from porcupine.quantizers.sfvq import INITIAL_BITS, grow, initial_curve
from porcupine.quantizers.training import nearest_in_batch

FIRST_SAMPLES = 16  # embeddings that the first curve is made of, at least
NOT_SAVED = {"recent", "seen"}  # people's embeddings stay out of the file


class Bottleneck(torch.nn.Module):
    """Quantise embeddings [B, D] to 2^bits codes by their position along a curve that is trained where it stands.

    Training: each embedding x goes to the nearest x̂ of one random point a segment, and noise of the norm of x - x̂ is
    added to it. Gradients reach x and both ends of the segment, and are finite everywhere (`nsvq`). Embeddings pass
    unchanged until there were enough to start the curve, `FIRST_SAMPLES`.
    Evaluation: x becomes the codeword of its code. No gradient passes.

    The state lives in units in which embeddings have mean 0 and variance 1, by running statistics that gradients do
    not see; hence one learning rate suits every encoder. ``curve`` keeps its full size while the curve grows, so that
    optimisers need not know: corner k of the ``corners`` there are is row k · 2^bits / corners, and keeps its moments.

    Noise comes from torch's global generator on the CPU, the same on every device: `torch.manual_seed` repeats a run.
    `torch.compile` compiles what is around it and leaves it as it is, since its state decides what it computes.
    It trains in float64, float32 and bfloat16, of whatever type the embeddings are; float16 has too small a range.

    dimension : D.
    bits : in the end, >= 2; the curve starts with 2.
    grow_every : training batches between doublings.
    momentum : share of the latest batch in the running mean and variance.
    recent : embeddings of the latest batches that codes are calibrated on; None for 8192, or 4 a code if that is more.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    steps: torch.Tensor
    corners: torch.Tensor
    recent: torch.Tensor
    seen: torch.Tensor
    thresholds: torch.Tensor
    codewords: torch.Tensor
    calibrated: torch.Tensor

    def __init__(
        self, dimension: int, *, bits: int, grow_every: int = 1000, momentum: float = 0.03, recent: int | None = None
    ) -> None:
        super().__init__()
        size = 2**bits
        recent = max(8192, 4 * size) if recent is None else recent
        if dimension < 1 or bits < INITIAL_BITS or grow_every < 1 or not 0 <= momentum <= 1:
            raise InputError(
                f"dimension={dimension}, bits={bits}, grow_every={grow_every}, momentum={momentum}: "
                f"should be >= 1, >= {INITIAL_BITS}, >= 1, and between 0 and 1"
            )
        if recent < max(size, FIRST_SAMPLES):
            raise InputError(f"recent={recent}, should be >= {max(size, FIRST_SAMPLES)} to calibrate {size} codes on")
        self.grow_every, self.momentum = grow_every, momentum
        self.curve = torch.nn.Parameter(torch.zeros(size, dimension))
        buffers = {
            "mean": torch.zeros(dimension),
            "scale": torch.ones(()),
            "steps": torch.tensor(0),
            "corners": torch.tensor(0),
            "recent": torch.zeros(recent, dimension),
            "seen": torch.tensor(0),
            "thresholds": torch.zeros(size - 1, dtype=torch.float64),
            "codewords": torch.zeros(size, dimension),
            "calibrated": torch.tensor(False),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value)

    @torch.compiler.disable
    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Quantise embeddings, float [B, D] -> [B, D]. Raises InputError where they do not fit or are not finite."""
        if not self.training:
            return self.decode(self.encode(vectors)).to(vectors.dtype)
        self._check(vectors)
        self._observe(vectors.detach())
        if not self.corners:
            return vectors
        curve = self._active()
        dither, noise = torch.rand(len(curve) - 1, 1), torch.randn(vectors.shape)
        points = torch.lerp(curve[:-1], curve[1:], dither.to(curve))
        with torch.no_grad(), torch.autocast(vectors.device.type, enabled=False):
            nearest = nearest_in_batch(self._inside(vectors)[None], points[None])[0]
        quantized = self.mean + self.scale.clone() * points[nearest]
        return noise_substitution(vectors, quantized, noise.to(vectors)).to(vectors.dtype)

    @torch.compiler.disable
    def encode(self, vectors: torch.Tensor) -> torch.Tensor:
        """Codes of embeddings, float [B, D] -> int64 [B], in 0 … ``corners`` - 1, in order along the curve.

        Raises InputError where fewer embeddings than codes were seen, or these do not fit or are not finite.
        """
        self._check(vectors)
        self._calibrate_if_due()
        rank = project(_array(self._inside(vectors.detach())), _array(self._active())).rank
        codes = interval_codes(rank, self.thresholds[: int(self.corners) - 1].cpu().numpy())
        return torch.from_numpy(codes).to(vectors.device, torch.int64)

    @torch.compiler.disable
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codewords of codes, int [...] -> float [..., D], in embedding units. Raises InputError outside the codes."""
        codebook = self.codebook
        if codes.is_floating_point() or (codes.numel() and not 0 <= codes.min() <= codes.max() < len(codebook)):
            raise InputError(f"codes of dtype {codes.dtype} should be integers in 0 … K-1={len(codebook) - 1}")
        return codebook[codes.long()]

    @property
    def codebook(self) -> torch.Tensor:
        """[corners, D], in embedding units: mean of the embeddings of each code."""
        self._calibrate_if_due()
        return self.mean + self.scale * self.codewords[: int(self.corners)]

    @torch.no_grad()
    def calibrate(self, vectors: torch.Tensor | None = None) -> None:
        """Cut the curve so that each code is equally likely among ``vectors``, float [N, D]; None: the recent ones.

        That happens by itself, on the recent ones, for the first code after training, and for each call in training
        mode; cuts by other vectors last until training goes on.
        Raises InputError where there are fewer vectors than codes.
        """
        if vectors is None:
            samples = self.recent[: int(self.seen)]
        else:
            self._check(vectors)
            samples = self._inside(vectors)
        n_codes = int(self.corners)
        if not FIRST_SAMPLES >> 2 <= n_codes <= len(samples):
            raise InputError(
                f"{len(samples)} embeddings to calibrate {n_codes or 'the first'} codes on: train on more batches first"
            )
        array = _array(samples)
        rank = project(array, _array(self._active())).rank
        self.thresholds[: n_codes - 1] = torch.from_numpy(interval_thresholds(rank, n_codes))
        self.codewords[:n_codes] = torch.from_numpy(resample_curve(rank, array, n_codes))
        self.calibrated.fill_(not self.training)

    def save(self, path: str | Path) -> None:
        """Write what it takes to encode and decode as safetensors. To train on, keep `state_dict`."""
        self._calibrate_if_due()
        state = {key: value.cpu().contiguous() for key, value in self.state_dict().items() if key not in NOT_SAVED}
        with storage.replacing(path) as temporary:
            safetensors.torch.save_file(state | {"calibrated": torch.tensor(True)}, temporary)

    @classmethod
    def load(cls, path: str | Path, *, device: torch.device) -> Self:
        """Read what `save` wrote, ready to encode. Raises InputError where the file is missing or something else."""
        try:
            state = safetensors.torch.load_file(path)
            size, dimension = state["curve"].shape
            bottleneck = cls(dimension, bits=size.bit_length() - 1)
            empty = {name: bottleneck.get_buffer(name) for name in NOT_SAVED}
            bottleneck.load_state_dict(empty | state)
        except (OSError, safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise InputError(f"{path}: not a readable bottleneck ({str(error).splitlines()[0]}): train it") from error
        return bottleneck.to(device).eval()

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Move or convert, as `to` does; thresholds stay in float64, in which codes are told apart."""
        thresholds = self.thresholds
        super()._apply(fn, recurse)
        self.thresholds = thresholds.to(self.thresholds.device)
        return self

    def _check(self, vectors: torch.Tensor) -> None:
        dimension = self.curve.shape[1]
        if vectors.ndim != 2 or vectors.shape[1] != dimension or not len(vectors) or not vectors.is_floating_point():
            raise InputError(
                f"vectors have shape {list(vectors.shape)} and dtype {vectors.dtype}, should be float [B, {dimension}]"
            )
        if not torch.isfinite(vectors).all():
            raise InputError(f"vectors are not finite at step {int(self.steps)}: lower the learning rate")

    def _active(self) -> torch.Tensor:
        """The corners there are, [corners, D]."""
        return self.curve[:: len(self.curve) // int(self.corners)]

    def _inside(self, vectors: torch.Tensor) -> torch.Tensor:
        """From embedding units to those of the curve."""
        return (vectors.to(self.mean.dtype) - self.mean) / self.scale

    def _calibrate_if_due(self) -> None:
        if self.training or not self.calibrated:
            self.calibrate()

    @torch.no_grad()
    def _observe(self, vectors: torch.Tensor) -> None:
        """Update the running statistics, remember the batch, and start or grow the curve."""
        self.calibrated.fill_(False)
        if self.corners:
            mean = torch.lerp(self.mean, vectors.mean(dim=0).to(self.mean), self.momentum)
            variance = torch.lerp(self.scale**2, (vectors - mean).square().mean().to(mean), self.momentum)
            self._normalise(mean, variance)
        self._remember(self._inside(vectors))
        if self.corners:
            self.steps += 1
            if self.steps % self.grow_every == 0 and self.corners < len(self.curve):
                grown = grow(self._active()[None])[0]
                self.corners *= 2
                self._active().copy_(grown)
        elif self.seen >= FIRST_SAMPLES:
            first = self.recent[: int(self.seen)]
            curve = torch.from_numpy(initial_curve(_array(first))).to(first)
            self._normalise(first.mean(dim=0), first.var(dim=0, correction=0).mean())
            self.corners.fill_(len(curve))
            self._active().copy_(self._inside(curve))
            first.copy_(self._inside(first))

    def _normalise(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Set the units. Where embeddings are all equal, their rounding is the scale."""
        rounding = torch.finfo(mean.dtype).eps * mean.square().mean().sqrt() + torch.finfo(mean.dtype).tiny ** 0.5
        self.mean.copy_(mean)
        self.scale.copy_(variance.sqrt().maximum(rounding))

    def _remember(self, vectors: torch.Tensor) -> None:
        size = len(self.recent)
        latest = vectors[-size:]
        self.seen += len(vectors)
        place = (self.seen - len(latest) + torch.arange(len(latest), device=vectors.device)) % size
        self.recent[place] = latest.to(self.recent)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
