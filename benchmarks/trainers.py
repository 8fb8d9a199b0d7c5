"""How fast the paper's trainers run here: batched repeats and matrix products against one repeat at a time, broadcast.

    python benchmarks/trainers.py

Both sides take the same number of Adam steps on the same data in this process, in turn, after a warm-up; the ratio of
their medians is what to quote, since absolute times depend on the machine and on what else it does. `plain` is the same
trainer written the obvious way: distances to all points by broadcasting, gradients by autograd, repeats in a loop.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from porcupine.quantizers.sfvq import initial_curve, train_sfvq
from porcupine.quantizers.training import Training
from porcupine.quantizers.vq import train_vq


def main() -> None:
    """Time both trainers and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, nargs="+", default=[6, 8])
    parser.add_argument("--repeats", type=int, default=5, help="codebooks trained side by side; default: %(default)s")
    parser.add_argument("--steps", type=int, default=150, help="of Adam; default: %(default)s")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5, help="median of so many; default: %(default)s")
    arguments = parser.parse_args()
    vectors = np.random.default_rng(0).standard_normal((64 * arguments.steps, 192)).astype(np.float32)
    print("| trainer | bits | threads | here, ms a step | plain, ms a step | ratio |\n|---|---|---|---|---|---|")
    training = Training(epochs=1, repeats=arguments.repeats)
    for threads, bits, name in itertools.product(arguments.threads, arguments.bits, ("vq", "sfvq")):
        torch.set_num_threads(threads)
        here = partial(SIDES[name], vectors, bits, training)
        obvious = partial(plain, vectors, bits, training.repeats, curve=name == "sfvq")
        fast, slow = (1000 * seconds / arguments.steps for seconds in compare(here, obvious, arguments.rounds))
        print(f"| {name} | {bits} | {threads} | {fast:.2f} | {slow:.2f} | {slow / fast:.1f} |", flush=True)


def vq(vectors: np.ndarray, bits: int, training: Training) -> float:
    """Seconds of an epoch."""
    return timed(lambda: train_vq(vectors, bits=bits, training=training, seed=0))


def sfvq(vectors: np.ndarray, bits: int, training: Training) -> float:
    """Seconds of an epoch after the last doubling: all stages less all but the last."""
    return timed(lambda: train_sfvq(vectors, bits=[bits], training=training, seed=0)) - (
        timed(lambda: train_sfvq(vectors, bits=[bits - 1], training=training, seed=0))
    )


SIDES = {"vq": vq, "sfvq": sfvq}


def compare(here: Callable[[], float], obvious: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Median seconds of each, run in turn after one round that does not count."""
    pairs = [(here(), timed(obvious)) for _ in range(rounds + 1)][1:]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def timed(function: Callable[[], object]) -> float:
    """Seconds that ``function`` takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def plain(vectors: np.ndarray, bits: int, repeats: int, *, curve: bool) -> None:
    """One epoch of the trainer written the obvious way."""
    data = torch.from_numpy(vectors)
    for repeat in range(repeats):
        generator = torch.Generator().manual_seed(repeat)
        plain_epoch(data, plain_start(data, bits, generator, curve=curve), generator, curve=curve)


def plain_start(data: torch.Tensor, bits: int, generator: torch.Generator, *, curve: bool) -> torch.Tensor:
    """Codewords [K, D] to start from."""
    if not curve:
        return data[torch.randperm(len(data), generator=generator)[: 2**bits]].clone()
    corners = torch.from_numpy(initial_curve(data.numpy())).repeat_interleave(2**bits // 4, dim=0)
    return corners + 0.01 * torch.randn(corners.shape, generator=generator)


def plain_epoch(data: torch.Tensor, book: torch.Tensor, generator: torch.Generator, *, curve: bool) -> None:
    """Train one codebook in place."""
    book.requires_grad_()
    optimizer = torch.optim.Adam([book], lr=1e-2)
    for index in torch.randperm(len(data), generator=generator).split(64):
        batch = data[index]
        points = book
        if curve:
            share = torch.rand(len(book) - 1, 1, generator=generator)
            points = (1 - share) * book[:-1] + share * book[1:]
        nearest = ((batch[:, None] - points[None]) ** 2).sum(-1).argmin(dim=1)
        loss = torch.nn.functional.mse_loss(points[nearest], batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main()
