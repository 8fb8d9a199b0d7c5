"""DiVeQ and SF-DiVeQ: gradients reach the codewords through noise along the direction of the quantisation error.

The quantisation is that of the authors' package `diveq`, the batches, the rate and its halving are those of
`training.Training`. The package draws from torch's global generators, which are seeded for each repeat and restored.
Vali, Bäckström & Solin, "DiVeQ: differentiable vector quantization using the reparameterization trick",
arXiv 2509.26469.

    train_diveq      vectors -> codebooks
    train_sf_diveq   vectors -> curves at several bitrates, one run each
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.nn.functional import mse_loss
from tqdm import tqdm

from porcupine.errors import InputError
from porcupine.quantizers.base import check_vectors
from porcupine.quantizers.training import Training

INITIAL_BATCHES = 50  # that SF-DiVeQ starts its corners from: the package's `avg_iters`


def train_diveq(
    vectors: np.ndarray,
    *,
    bits: int,
    training: Training,
    seed: int,
    replace_until: float = 0.8,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> np.ndarray:
    """Train R codebooks of K = 2^bits codewords, one after another.

    The package starts all codewords near the origin, so the vectors are centred for it.

    vectors : float [N, D], of unit variance (`base.global_scale`).
    replace_until : fraction of the training up to which the package replaces unused codewords, as in `vq.train_vq`.
    Returns float32 [R, K, D].
    Raises InputError where K > N, vectors are not finite or the package is missing.
    """
    package = _package()
    vectors = check_vectors(vectors, n_codewords=2**bits)
    center = vectors.mean(axis=0)
    data = torch.from_numpy(vectors - center).to(device)

    def start(_: np.random.Generator) -> Any:
        return package.DIVEQ(2**bits, data.shape[1], allow_warning=False, verbose=False).to(device)

    def after(module: Any, step: int, n_steps: int) -> None:
        module.codebook_reset = step < replace_until * n_steps

    return center + _train(start, data, training, name="diveq", bits=bits, seed=seed, progress=progress, after=after)


def train_sf_diveq(
    vectors: np.ndarray,
    *,
    bits: Sequence[int],
    training: Training,
    seed: int,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> dict[int, np.ndarray]:
    """Train R curves at each bitrate, each from its start: the package does not grow curves.

    vectors : float [N, D], of unit variance (`base.global_scale`).
    bits : each >= 1.
    Returns the curve of each of ``bits``: float32 [R, 2^b, D], corners in order along the curve.
    Raises InputError where 2^max(bits) > N, vectors are not finite or the package is missing.
    """
    if not bits or min(bits) < 1:
        raise InputError(f"bits={list(bits)}: a curve needs at least 2 corners, 1 bit")
    package = _package()
    data = torch.from_numpy(check_vectors(vectors, n_codewords=2 ** max(bits))).to(device)

    def train(n_bits: int) -> np.ndarray:
        n_initial = max(INITIAL_BATCHES * training.batch_size, 2**n_bits)

        def start(rng: np.random.Generator) -> Any:
            module = package.SFDIVEQ(2**n_bits, data.shape[1], skip_iters=2, avg_iters=1, allow_warning=False)
            # A call that does not yet quantise sets the corners to means of its input; made here, it costs no step.
            module.to(device)(data[torch.from_numpy(rng.permutation(len(data))[:n_initial]).to(device)])
            return module

        return _train(start, data, training, name="sf-diveq", bits=n_bits, seed=seed, progress=progress)

    return {n_bits: train(n_bits) for n_bits in sorted(set(bits))}


def _train(
    start: Callable[[np.random.Generator], Any],
    data: torch.Tensor,
    training: Training,
    *,
    name: str,
    bits: int,
    seed: int,
    progress: bool,
    after: Callable[[Any, int, int], None] | None = None,
) -> np.ndarray:
    """Train R modules, one after another, by the error of their output. Returns their codebooks, float32 [R, K, D].

    start : makes a module; after : called with the module, steps done and steps in all.
    """
    codebooks = []
    total = training.epochs * training.repeats
    with tqdm(total=total, desc=f"{name} {bits} bits", unit="epoch", disable=not progress) as bar:
        for rng in training.generators(seed, name, bits):
            with _seeded(rng):
                codebooks.append(_train_module(start(rng), data, training, rng, bar, after))
    return np.stack(codebooks)


def _train_module(
    module: Any,
    data: torch.Tensor,
    training: Training,
    rng: np.random.Generator,
    bar: tqdm,
    after: Callable[[Any, int, int], None] | None,
) -> np.ndarray:
    codebook = module.codebook.detach()[None]  # shares its memory

    def gradient(batch: torch.Tensor, _: int) -> torch.Tensor:
        loss = mse_loss(module(batch[0])[0], batch[0])
        return torch.autograd.grad(loss, module.codebook)[0][None]

    end_batch = partial(after, module) if after else None
    training.run(data, codebook, gradient, rngs=[rng], bar=bar, end_batch=end_batch)
    return codebook[0].cpu().numpy()


@contextmanager
def _seeded(rng: np.random.Generator) -> Iterator[None]:
    """Let torch's global generators, which the package draws from, depend on ``rng`` alone, and restore them."""
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**63)))
        yield


def _package() -> ModuleType:
    try:
        import diveq
    except ImportError as error:
        raise InputError("the package diveq is not installed: pip install 'porcupine[diveq]'") from error
    return diveq
