"""Speed of the quantisers: against the paper's way, over the paper's whole grid, and out of core.

    python benchmarks/quantisers.py speed
    python benchmarks/quantisers.py grid
    python benchmarks/quantisers.py growth
    python benchmarks/quantisers.py report

The vectors are synthetic (`porcupine.population`). Each command keeps what it measured in data/quantisers/, as it goes;
`report` writes reports/quantisers-speed.md from what is there. Let nothing else run meanwhile.

`naive` is the paper's procedure written the obvious way: one codebook at a time, distances by broadcasting, gradients
by autograd, Python loops over samples and counts. `faithful` is this project's trainer of the same procedure. Training
is timed on some steps of Adam and multiplied by the number of steps in all.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from recording import GIB, Bench, Peak, Record, memory, sections, table_of, tables_of, verdict
from scipy.stats import binom
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from tqdm import tqdm
from trainers import plain_epoch, plain_start, timed

from porcupine import storage
from porcupine.figures import style
from porcupine.population import DIMENSION, draw_population, population_blocks
from porcupine.privacy import occupancy
from porcupine.privacy.summary import occupancy_table
from porcupine.quantizers import cells, kmeans, registry, tree, variants
from porcupine.quantizers.balanced import fit_balanced
from porcupine.quantizers.base import Nearest, Quantizer, distortion, global_scale
from porcupine.quantizers.kmeans import fit_kmeans
from porcupine.quantizers.sfvq import INITIAL_BITS, train_sfvq
from porcupine.quantizers.tour import fit_curve
from porcupine.quantizers.training import Training
from porcupine.quantizers.tree import fit_tree
from porcupine.quantizers.vq import train_vq
from porcupine.randomness import generator

ROOT = Path(__file__).parents[1]
FITS = {"kmeans": fit_kmeans, "curve": fit_curve, "tree": fit_tree, "balanced": fit_balanced}
LOOKS = {"kmeans": "kmeans", "curve": "curve-interval", "tree": "tree", "balanced": "balanced"}
TRAIN_SEED, TEST_SEED = 1, 2
BATCH = Training().batch_size
PAPER_REPEATS = 20
ENCODINGS = 3
"""Times of one growth point's codes, of which the median counts: they are short, and the clock varies."""
LINEAR = 1.1
"""Growth counts as linear up to this exponent."""


def main() -> None:
    """Run one command."""
    bench = Bench(__doc__, ROOT / "data" / "quantisers")
    command = bench.command
    bitrates = list(range(4, 11))
    option = command(speed, "time fits, and what follows them, against the paper's way")
    option("--train", 50_000, "training samples")
    option("--test", 10_240, "test samples")
    option("--bits", 6, "of the comparison")
    option("--bitrates", bitrates, "of the comparison of balanced cells and tree")
    option("--quality-bits", [6], "at which the paper's trainers really train, for their distortion")
    option("--epochs", [5, 10, 30, 100], "of the paper's trainers")
    option("--repeats", 1, "codebooks behind each distortion")
    option("--steps", 200, "of Adam that are timed")
    option("--rounds", 3, "median of so many, after one that does not count")
    option("--threads", [1, 2], "threads")
    option = command(grid, "time the paper's whole grid")
    option("--train", 79_984, "training samples")
    option("--test", 10_240, "test samples")
    option("--bits", bitrates, "bitrates")
    option("--repeats", PAPER_REPEATS, "repeats")
    option("--workers", 2, "processes that fit")
    option("--epochs", 100, "of the paper's trainers, whose time is extrapolated")
    option("--steps", 40, "of Adam that are timed for that")
    option = command(growth, "time fits and encoding against N, K and D, on memory-mapped samples, a process each")
    option("--rows", [*(2**exponent for exponent in range(15, 21)), 2_000_000], "samples N")
    option("--bits", bitrates, "bitrates, at the base of the other two")
    option("--dimensions", [48, 96, 192, 384], "dimensions D, at the base of the other two")
    option("--base", [2**17, 6, 192], "N, bits and D of the sweeps of the others")
    option("--threads", 1, "threads")
    option = command(point, "one point of growth, as JSON; for use by growth")
    option("--vectors", "", ".npy file, float [N, D]")
    option("--method", "kmeans", "what to fit")
    option("--rows", 2**15, "samples, the first of the file")
    option("--bits", 6, "bitrate")
    option("--threads", 1, "threads")
    option = command(report, "write the page and its figure")
    option("--page", ROOT / "reports" / "quantisers-speed.md", "Markdown file")
    bench.run()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Limit numpy, scikit-learn and torch to so many threads."""
    with threadpool_limits(count):
        torch.set_num_threads(count)
        yield


# ---- speed


def speed(arguments: argparse.Namespace) -> None:
    """Time all sides in turn, then train as the paper does, for the distortion it reaches."""
    record = Record(arguments)
    train = draw_population(arguments.train, seed=TRAIN_SEED)
    test = draw_population(arguments.test, seed=TEST_SEED)
    scale = np.float32(global_scale(train))
    train, test = train / scale, test / scale
    for bits in sorted({arguments.bits, max(arguments.bitrates)}):
        record.add("rounds", bits=bits, rounds=kmeans_rounds(train, bits))
    for count in arguments.threads:
        with threads(count):
            sides = speed_sides(train, test, arguments)
            seconds: dict[tuple[str, int], list[float]] = {side: [] for side in sides}
            for number in range(arguments.rounds + 1):
                for side, run in tqdm(sides.items(), desc=f"{count} threads, round {number}", unit="side"):
                    seconds[side].append(run())
            for (side, bits), values in seconds.items():
                record.add(
                    "time", side=side, bits=bits, threads=count, seconds=statistics.median(values[1:]), all=values[1:]
                )
    with threads(max(arguments.threads)):
        for row in quality(train, test, arguments):
            record.add("quality", **row)


def speed_sides(
    train: np.ndarray, test: np.ndarray, arguments: argparse.Namespace
) -> dict[tuple[str, int], Callable[[], float]]:
    """(What, bits) -> run it and return its seconds. Trainers take ``steps`` steps, SFVQ so many a stage."""
    bits, bitrates, deepest = arguments.bits, arguments.bitrates, max(arguments.bitrates)
    part = train[: BATCH * arguments.steps]
    epoch = Training(epochs=1)
    sides: dict[tuple[str, int], Callable[[], float]] = {}

    def add(side: str, at: int, run: Callable[..., object], **options: Any) -> None:
        sides[side, at] = lambda: timed(lambda: run(bits=at, **options))

    sides["naive vq", bits] = partial(naive_epoch, part, bits, curve=False)
    add("faithful vq", bits, train_vq, vectors=part, training=epoch, seed=0)
    add("kmeans", bits, fit_kmeans, vectors=train, seed=0)
    add("curve", bits, fit_curve, vectors=train, seed=0)
    for stage in range(INITIAL_BITS, max(bits, deepest) + 1):
        sides["naive sfvq stage", stage] = partial(naive_epoch, part, stage, curve=True)
    for b in sorted({bits, *bitrates}):
        sides["faithful sfvq", b] = partial(timed, partial(train_sfvq, part, bits=[b], training=epoch, seed=0))
        add("balanced", b, fit_balanced, vectors=train, seed=0)
    add("kmeans", deepest, fit_kmeans, vectors=train, seed=0)
    sides["tree", deepest] = lambda: timed(lambda: all_trees(train, bitrates))
    sides |= {(name, bits): run for name, run in after_fit(train, test, bits).items()}
    for b in {bits, deepest}:
        sides["product", b] = partial(product, train, b)
    return sides


def naive_epoch(part: np.ndarray, bits: int, *, curve: bool) -> float:
    """Seconds of an epoch of the naive trainer, without its start."""
    data, rng = torch.from_numpy(part), torch.Generator().manual_seed(0)
    book = plain_start(data, bits, rng, curve=curve)
    return timed(lambda: plain_epoch(data, book, rng, curve=curve))


def all_trees(train: np.ndarray, bitrates: list[int]) -> list[Quantizer]:
    """One fit, and its prefixes at all bitrates."""
    tree = fit_tree(train, bits=max(bitrates), seed=0)
    return [tree.prefix(b) for b in bitrates]


def product(train: np.ndarray, bits: int) -> float:
    """Seconds of the product [N, D] · [D, K] in float32, in blocks as encoding has them."""
    codebook = np.ascontiguousarray(train[: 2**bits].T)
    step = max(1, 2**22 // 2**bits)
    scores = np.empty((step, 2**bits), dtype=np.float32)
    return timed(
        lambda: [
            np.matmul(train[first : first + step], codebook, out=scores[: len(train) - first])
            for first in range(0, len(train), step)
        ]
    )


def gflops(train: np.ndarray, bits: int) -> float:
    """Speed of that product: the machine's, which changes with what else it does."""
    return 2e-9 * train.size * 2**bits / statistics.median(product(train, bits) for _ in range(3))


def kmeans_rounds(train: np.ndarray, bits: int) -> int:
    """Rounds that `fit_kmeans` takes here on all samples."""
    rounds = []

    class Counted(KMeans):
        def fit(self, *arguments: Any) -> KMeans:
            super().fit(*arguments)
            rounds.append(int(self.n_iter_))
            return self

    with mock.patch.object(kmeans, "KMeans", Counted):
        fit_kmeans(train, bits=bits, seed=0)
    return rounds[-1]


def after_fit(train: np.ndarray, test: np.ndarray, bits: int) -> dict[str, Callable[[], float]]:
    """Normalisation, encoding and metrics of one codebook, naive and here; both must agree."""
    curve = fit_curve(train, bits=bits, seed=0).codebook
    book = variants.resample(train, curve, "faithful", generator(0)).codebook
    codes = Nearest(book).encode(test)
    counts = occupancy.count_codes(codes, 2**bits)
    ours = {
        "normalisation": lambda: variants.resample(train, curve, "faithful", generator(0)).codebook,
        "encoding": lambda: Nearest(book).encode(test),
        "metrics": lambda: np.array([float(metric(counts)) for metric in METRICS]),
    }
    naive = {
        "normalisation": lambda: naive_resample(train, curve),
        "encoding": lambda: naive_nearest(test, book),
        "metrics": lambda: naive_metrics(codes, 2**bits),
    }
    for name in ours:
        agree = np.isclose(ours[name](), naive[name](), rtol=1e-3, atol=1e-4).mean()
        if agree < 0.999:
            raise SystemExit(f"{name}: only {agree:.2%} of the naive values agree")
    return {
        f"{way}{name}": partial(timed, run)
        for way, parts in (("naive ", naive), ("", ours))
        for name, run in parts.items()
    }


METRICS = (occupancy.kl_bits, occupancy.worst_case_plus_one_bits, occupancy.average_bits, occupancy.std)


def naive_nearest(vectors: np.ndarray, codebook: np.ndarray, block: int = 256) -> np.ndarray:
    """Nearest codewords by broadcasting."""
    parts = [vectors[first : first + block] for first in range(0, len(vectors), block)]
    return np.concatenate([((part[:, None] - codebook[None]) ** 2).sum(axis=2).argmin(axis=1) for part in parts])


def naive_resample(vectors: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """The paper's normalisation, sample by sample: project, walk along the curve, average N/K samples each."""
    projected: list[list[np.ndarray]] = [[] for _ in curve]
    nearest = naive_nearest(vectors, curve)
    vectors, curve = vectors.astype(np.float64), curve.astype(np.float64)  # ties at the corners stay ties
    for x, corner in zip(vectors, nearest, strict=True):
        best = None
        for k in range(max(corner - 1, 0), min(corner + 1, len(curve) - 1)):
            along = curve[k + 1] - curve[k]
            share = min(max(float((x - curve[k]) @ along / (along @ along)), 0.0), 1.0)
            point = curve[k] + share * along
            distance = float(((x - point) ** 2).sum())
            if best is None or distance < best[0] * (1 - 1e-13):  # a tie at a corner stays with the first
                best = distance, k, point
        projected[best[1]].append(best[2])
    size = len(vectors) / len(curve)
    codebook = np.zeros(curve.shape)
    k, room = 0, size
    for point in itertools.chain.from_iterable(projected):
        left = 1.0
        if left > room and k < len(curve) - 1:
            codebook[k] += room * point
            left -= room
            k, room = k + 1, size
        codebook[k] += left * point
        room -= left
    return codebook / size


def naive_metrics(codes: np.ndarray, n_codewords: int) -> np.ndarray:
    """KL, worst case (+1), average and Std, count by count."""
    counts = [0] * n_codewords
    for code in codes:
        counts[code] += 1
    kl = average = squares = 0.0
    for value in set(counts):
        share = counts.count(value) / n_codewords
        kl += share * (math.log2(share) - binom.logpmf(value, len(codes), 1 / n_codewords) / math.log(2))
    for count in counts:
        squares += (count - len(codes) / n_codewords) ** 2
        if count:
            average -= count / len(codes) * math.log2(count / len(codes))
    return np.array([kl, -math.log2((min(counts) + 1) / len(codes)), average, math.sqrt(squares / n_codewords)])


def quality(train: np.ndarray, test: np.ndarray, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Test distortion of all, relative to the variance; the paper's trainers after each number of epochs."""

    def row(method: str, bits: int, quantisers: Sequence[Quantizer], epochs: int | None = None) -> dict[str, Any]:
        codes = [one.encode(test) for one in quantisers]
        errors = [distortion(test, one.codebook, code) for one, code in zip(quantisers, codes, strict=True)]
        std = occupancy.std(occupancy.count_codes(np.stack(codes), 2**bits))
        return {
            "method": method,
            "bits": bits,
            "epochs": epochs,
            "mse": float(np.mean(errors)),
            "std": float(std.mean()),
        }

    seeds = range(arguments.repeats)
    for bits in arguments.quality_bits:
        yield row("kmeans", bits, [fit_kmeans(train, bits=bits, seed=seed) for seed in seeds])
        yield row("balanced", bits, [fit_balanced(train, bits=bits, seed=seed) for seed in seeds])
        curves = [fit_curve(train, bits=bits, seed=seed) for seed in seeds]
        yield row("curve", bits, curves)
        yield row("curve, nearest", bits, [curve.nearest() for curve in curves])
    for epochs in arguments.epochs:
        training = Training(epochs=epochs, repeats=arguments.repeats)
        for bits in arguments.quality_bits:
            books = train_vq(train, bits=bits, training=training, seed=0, progress=True)
            yield row("vq", bits, [Nearest(book) for book in books], epochs)
        trained = train_sfvq(train, bits=arguments.quality_bits, training=training, seed=0, progress=True)
        for bits, some in trained.items():
            cuts = [
                variants.resample(train, curve, "faithful", generator(0, repeat)) for repeat, curve in enumerate(some)
            ]
            yield row("sfvq", bits, cuts, epochs)


def dense_products(method: str, n: int, d: int, bits: int, rounds: int) -> float:
    """Floating-point operations of the matrix products in a fit: of k-means all, of the others at least."""
    k = 2**bits
    if method == "kmeans":
        return 2.0 * n * d * k * (rounds + 1)
    schedule = tree._SCHEDULE if method == "tree" else cells.Schedule()
    near, early = min(cells._NEIGHBOURS, k), min(n, cells._EARLY_SAMPLES + schedule.early * k)
    anneal = 2 * (schedule.rounds[0] * early + schedule.rounds[1] * n) * near + n * k
    shares = n * k if method == "tree" else 2 * (n * k + n * near)  # thresholds, or weights
    means = 0 if method == "tree" else n * k
    return 2.0 * d * (anneal + shares + means)


# ---- grid


GRID_PRODUCT_BITS = 10


def grid(arguments: argparse.Namespace) -> None:
    """Fit, encode and measure all bitrates and repeats, and extrapolate the paper's trainers."""
    record = Record(arguments)
    train = draw_population(arguments.train, seed=TRAIN_SEED)
    test = draw_population(arguments.test, seed=TEST_SEED)
    with threads(arguments.workers):
        fitted: dict[str, dict[int, list[Any]]] = {}
        with Peak(proportional_memory, every=1.0) as peak:  # five times as often takes a sixth of a core
            for method in ("kmeans", "balanced", "curve", "tree"):
                cells = {"cells": fitted["balanced"]} if method == "curve" else {}
                with threads(1):
                    rate = gflops(train, GRID_PRODUCT_BITS)
                fitted[method], seconds = grid_method(method, train, test, arguments, **cells)
                record.add("method", method=method, gflops=rate, **seconds)
        record.add("memory", peak_gib=peak.value / GIB)
        scaled = train / np.float32(global_scale(train))
        part = scaled[: BATCH * arguments.steps]
        epoch = Training(epochs=1, repeats=arguments.repeats)
        for name, run in {
            "vq": lambda: [train_vq(part, bits=b, training=epoch, seed=0) for b in arguments.bits],
            "sfvq": lambda: train_sfvq(part, bits=arguments.bits, training=epoch, seed=0),
        }.items():
            run()
            seconds = timed(run) / arguments.steps * steps_of_epoch(arguments.train)
            record.add("trainer", method=name, seconds_an_epoch=seconds)


def grid_method(
    method: str, train: np.ndarray, test: np.ndarray, arguments: argparse.Namespace, **given: Any
) -> tuple[dict[int, list[Any]], dict[str, float]]:
    """Fitted quantisers; seconds of fits, codes and metrics."""
    fitted: dict[int, list[Any]] = {}
    codes: dict[int, np.ndarray] = {}

    def fit() -> None:
        options = {"bits": arguments.bits, "repeats": arguments.repeats, "workers": arguments.workers}
        fitted.update(registry.fit(method, train, seed=0, progress=True, **options, **given))

    def encode() -> None:
        most = max(arguments.bits)
        for b in sorted(arguments.bits, reverse=True):
            nested = method == "tree" and b < most  # a tree's codes of fewer bits are the first bits of the longest
            codes[b] = codes[most] >> (most - b) if nested else np.stack([one.encode(test) for one in fitted[b]])

    def measure() -> None:
        for b in arguments.bits:
            rng = generator(0, method, b)
            occupancy_table(codes[b], 2**b, n_train=len(train), simulations=1000, bootstrap=200, rng=rng)

    return fitted, {"fit_seconds": timed(fit), "codes_seconds": timed(encode), "metrics_seconds": timed(measure)}


def steps_of_epoch(n_samples: int) -> int:
    """Batches of an epoch."""
    return -(-n_samples // BATCH)


def proportional_memory() -> int:
    """Bytes in memory of this process and its workers, pages that several share counted once."""
    total = 0
    for process in (own := psutil.Process(), *own.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:  # ended meanwhile
            continue
    return total


# ---- growth


def growth(arguments: argparse.Namespace) -> None:
    """Measure each point in a process of its own."""
    record = Record(arguments)
    n, b, d = arguments.base
    points = {(rows, b, d) for rows in arguments.rows}
    points |= {(n, bits, d) for bits in arguments.bits} | {(n, b, dimension) for dimension in arguments.dimensions}
    for dimension in sorted({d, *arguments.dimensions}):
        here = sorted(point[:2] for point in points if point[2] == dimension)
        path = arguments.results / f"growth-{dimension}.npy"
        write_population(path, max(rows for rows, _ in here), dimension)
        for (rows, bits), method in itertools.product(here, FITS):
            command = [sys.executable, __file__, "point", "--vectors", str(path), "--method", method]
            command += ["--rows", str(rows), "--bits", str(bits), "--threads", str(arguments.threads)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            measured = json.loads(done.stdout)
            record.add("point", method=method, rows=rows, bits=bits, dimension=dimension, **measured)


def write_population(path: Path, rows: int, dimension: int) -> None:
    """Write a population block by block, unless the file holds enough already."""
    if path.exists() and len(storage.load_array(path, mmap=True)) >= rows:
        return
    with storage.replacing(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=(rows, dimension))
        start = 0
        for block in population_blocks(rows, dimension=dimension, seed=TRAIN_SEED):
            array[start : start + len(block)] = block
            start += len(block)
        array.flush()


def point(arguments: argparse.Namespace) -> None:
    """Fit and encode memory-mapped samples; print seconds and bytes."""
    vectors = storage.load_array(arguments.vectors, mmap=True)[: arguments.rows]
    before = memory("RssAnon")
    with threads(arguments.threads), Peak(partial(memory, "RssAnon"), every=0.01) as peak:
        began = time.perf_counter()
        quantiser = FITS[arguments.method](vectors, bits=arguments.bits, seed=0)
        fitted = time.perf_counter()
        encoding = statistics.median(timed(lambda: quantiser.encode(vectors)) for _ in range(ENCODINGS))
    measured = {"fit_seconds": fitted - began, "encode_seconds": encoding}
    # Not ru_maxrss, which begins with the size of the process that this one was started from.
    print(json.dumps(measured | {"anonymous": peak.value, "anonymous_before": before, "resident": memory("VmHWM")}))


# ---- report


def report(arguments: argparse.Namespace) -> None:
    """Write the page, and the figure in a folder beside it."""
    folder = arguments.page.parent
    figure = folder / "quantisers" / "growth.png"
    parts = ["# Speed of the quantisers", INTRODUCTION]
    for name, section, heading, record in sections(arguments.results, SECTIONS):
        tables = tables_of(record)
        parts += [heading, *section(record["options"], tables)]
        if name == "growth":
            with storage.replacing(figure) as temporary:
                draw_growth(record["options"], tables["point"]).savefig(temporary, dpi=120)
            parts.append(f"![Seconds against N, K and D, memory against N]({figure.relative_to(folder)})")
    with storage.replacing(arguments.page) as file:
        file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"wrote {arguments.page.name}")


INTRODUCTION = """Synthetic speaker embeddings (`porcupine.population`). *Naive* is the paper's procedure written the
obvious way: one codebook at a time, distances by broadcasting, gradients by autograd, Python loops over samples and
counts; *faithful* is the trainer of the same procedure here (`porcupine.quantizers.vq` and `sfvq`), of one codebook."""


def threads_of(count: int) -> str:
    """1 thread, 2 threads."""
    return f"{count} thread{'s' if count > 1 else ''}"


def span(values: list[int]) -> str:
    """4–10."""
    return f"{min(values)}–{max(values)}" if len(values) > 1 else str(values[0])


PAIRS = {"sfvq": ("curve", 80), "vq": ("kmeans", 40)}
"""Trainer -> fit that takes its place, and how many times faster than the naive trainer it should be."""
AFTER = ("normalisation", "encoding", "metrics")


class Speed:
    """What `speed` measured: seconds by (side, bits, threads), mse by (method, bits, epochs), 0 epochs for fits."""

    def __init__(self, options: dict[str, Any], tables: dict[str, pd.DataFrame]) -> None:
        self.options, self.bits, self.deepest = options, options["bits"], max(options["bitrates"])
        self.epochs = sorted(options["epochs"])
        self.seconds = tables["time"].set_index(["side", "bits", "threads"])["seconds"].to_dict()
        self.rounds = tables["rounds"].astype({"bits": int, "rounds": int}).set_index("bits")["rounds"].to_dict()
        quality = tables.get("quality", pd.DataFrame(columns=["method", "bits", "mse"])).reindex(
            columns=["method", "bits", "epochs", "mse"]
        )
        self.mse = quality.fillna({"epochs": 0}).set_index(["method", "bits", "epochs"])["mse"].to_dict()

    def training(self, way: str, method: str, bits: int, count: int) -> float:
        """Seconds of an epoch, from those of some steps."""
        if (way, method) == ("naive", "sfvq"):
            seconds = sum(self.seconds["naive sfvq stage", b, count] for b in range(INITIAL_BITS, bits + 1))
        else:
            seconds = self.seconds[f"{way} {method}", bits, count]
        return seconds / self.options["steps"] * steps_of_epoch(self.options["train"])

    def fewest(self, trainer: str, ours: str, bits: int) -> tuple[int, str]:
        """Epochs after which a trainer is as good as a fit, all of them if it never is; and which of the two."""
        if (ours, bits, 0) not in self.mse:
            return self.epochs[0], "not trained"
        for epochs in self.epochs:
            if self.mse.get((trainer, bits, epochs), math.inf) <= self.mse[ours, bits, 0]:
                return epochs, "as good"
        return self.epochs[-1], "never as good"

    def ratio(self, trainer: str, ours: str, bits: int, count: int) -> float:
        """Seconds of the naive trainer, for that many epochs, over those of a fit."""
        epochs, _ = self.fewest(trainer, ours, bits)
        return epochs * self.training("naive", trainer, bits, count) / self.seconds[ours, bits, count]

    def after(self, way: str, count: int) -> float:
        """Seconds of all that follows a fit."""
        return sum(self.seconds[way + name, self.bits, count] for name in AFTER)


def speed_section(options: dict[str, Any], tables: dict[str, pd.DataFrame]) -> list[str]:
    """What was aimed at, then where it comes from."""
    found = Speed(options, tables)
    bits, deepest, counts = found.bits, found.deepest, options["threads"]
    aims: list[tuple[str, str, float, Callable[[int], float]]] = []
    for trainer, (ours, least) in PAIRS.items():
        epochs, why = found.fewest(trainer, ours, bits)
        text = f"{ours}, times as fast as naive {trainer} of {epochs} epochs ({why})"
        aims.append((text, "≥", least, partial(found.ratio, trainer, ours, bits)))
    aims += [
        (
            "normalisation, encoding and metrics, times as fast as naive",
            "≥",
            20,
            lambda count: found.after("naive ", count) / found.after("", count),
        ),
        (
            f"balanced, times as fast as naive sfvq, least of {span(options['bitrates'])} bits",
            "≥",
            10,
            lambda count: min(found.ratio("sfvq", "balanced", b, count) for b in options["bitrates"]),
        ),
        (
            f"tree for {span(options['bitrates'])} bits over one k-means of {deepest} bits",
            "≤",
            1.5,
            lambda count: found.seconds["tree", deepest, count] / found.seconds["kmeans", deepest, count],
        ),
    ]
    rows = [
        [text, f"{sign} {aim:g}"]
        + [verdict(f"{value:.3g}", value >= aim if sign == "≥" else value <= aim) for value in map(of, counts)]
        for text, sign, aim, of in aims
    ]
    return [
        f"N = {style.grouped(options['train'])} training and {style.grouped(options['test'])} test samples of "
        f"{DIMENSION} dimensions; {bits} bits where nothing else is said. All sides ran in turn in one process; "
        f"seconds are medians of {options['rounds']} rounds after one that does not count. Training times are those of "
        f"{options['steps']} steps of Adam times the number of steps, {steps_of_epoch(options['train'])} an epoch; "
        f"SFVQ trains so long in each stage from {INITIAL_BITS} bits on. The naive VQ does not replace unused "
        "codewords, which makes it faster.",
        table_of(["", "aim", *map(threads_of, counts)], rows),
        *(text for trainer, (ours, _) in PAIRS.items() for text in against(found, trainer, ours)),
        after_section(found),
        balanced_section(found),
        limit_section(found),
    ]


def against(found: Speed, trainer: str, ours: str) -> list[str]:
    """Distortion and time of a trainer by its epochs, beside a fit."""
    bits, counts = found.bits, found.options["threads"]
    text = f"### {ours} against {trainer}\n\n{ours}: "
    text += ", ".join(f"{found.seconds[ours, bits, count]:.2f} s with {threads_of(count)}" for count in counts)
    if (ours, bits, 0) in found.mse:
        text += f"; test MSE {found.mse[ours, bits, 0]:.4f} of the variance"
    if ours == "curve" and ("curve, nearest", bits, 0) in found.mse:
        text += f" ({found.mse['curve, nearest', bits, 0]:.4f} by the nearest codeword instead of the interval)"
    if trainer == "sfvq":
        text += ". sfvq: after the paper's resampling, nearest codeword"
    chosen, why = found.fewest(trainer, ours, bits)
    rows = []
    for count, epochs in itertools.product(counts, found.epochs):
        naive, faithful = (epochs * found.training(way, trainer, bits, count) for way in ("naive", "faithful"))
        here, mse = found.seconds[ours, bits, count], found.mse.get((trainer, bits, epochs), math.nan)
        row = [count, epochs, f"{mse:.4f}", *(f"{x:.3g}" for x in (naive, faithful, naive / here, faithful / here))]
        rows.append([f"**{cell}**" for cell in row] if epochs == chosen else row)
    head = ["threads", "epochs", "test MSE", "naive, s", "faithful, s", f"naive / {ours}", f"faithful / {ours}"]
    return [f"{text}. Bold: the row to quote ({why}).", table_of(head, rows)]


def after_section(found: Speed) -> str:
    """Normalisation, encoding and metrics."""
    rows = []
    for count, name in itertools.product(found.options["threads"], AFTER):
        naive, here = (found.seconds[way + name, found.bits, count] for way in ("naive ", ""))
        rows.append([count, name, *(f"{x:.3g}" for x in (naive, here, naive / here))])
    return (
        "### After the fit\n\nThe paper's resampling of a curve on the training samples, nearest codewords of the test "
        "samples, and KL, worst case, average and Std of their counts; the results of both sides agree.\n\n"
        + table_of(["threads", "part", "naive, s", "here, s", "ratio"], rows)
    )


def balanced_section(found: Speed) -> str:
    """Balanced cells at every bitrate."""
    rows = []
    for count, b in itertools.product(found.options["threads"], found.options["bitrates"]):
        here, naive = found.seconds["balanced", b, count], found.training("naive", "sfvq", b, count)
        epochs, why = found.fewest("sfvq", "balanced", b)
        ratio = found.ratio("sfvq", "balanced", b, count)
        rows.append([count, b, f"{here:.2f}", f"{naive:.2f}", f"{epochs} ({why})", f"{ratio:.3g}"])
    return (
        "### Balanced cells at every bitrate\n\nAgainst the naive SFVQ of as many epochs as it needs to be as good, of "
        "all where it never is, of the fewest where it was not trained.\n\n"
        + table_of(["threads", "bits", "balanced, s", "naive sfvq, s an epoch", "epochs", "ratio"], rows)
    )


def limit_section(found: Speed) -> str:
    """What the matrix products alone would take."""
    n, rows = found.options["train"], []
    fits = dict.fromkeys(
        [(name, found.bits) for name in ("kmeans", "curve", "balanced")]
        + [(name, found.deepest) for name in ("kmeans", "balanced", "tree")]
    )
    for count, (method, b) in itertools.product(found.options["threads"], fits):
        rate = 2 * n * DIMENSION * 2**b / found.seconds["product", b, count]
        least = dense_products(method, n, DIMENSION, b, found.rounds[b]) / rate
        here = found.seconds[method, b, count]
        rows.append([count, method, b, f"{rate / 1e9:.0f}", f"{least:.3g}", f"{here:.3g}", f"{least / here:.0%}"])
    each = " and ".join(f"{found.rounds[b]} at {b} bits" for b in sorted(found.rounds))
    return (
        "### How far from the limit\n\nSeconds that the matrix products of a fit would take alone, at the measured "
        "speed of a float32 product of all samples and all codewords. K-means does this in each round "
        f"({each}); the others multiply by the {cells._NEIGHBOURS} sites nearest to a cell in most rounds, so their "
        "number is a lower bound, and spend the rest on memberships and weights. Products are shared by all threads; "
        "memberships and weights take one, so a second thread gains k-means much and the others little. Fits side by "
        "side, a process each, use both (`repeats` and `workers`, as in the grid below).\n\n"
        + table_of(["threads", "fit", "bits", "GFLOP/s", "products alone, s", "fit, s", "share"], rows)
    )


def grid_section(options: dict[str, Any], tables: dict[str, pd.DataFrame]) -> list[str]:
    """Minutes and memory."""
    methods = tables["method"].set_index("method").drop(columns="table")
    rates = methods.pop("gflops")
    methods.loc["all"] = methods.sum()
    methods["all"] = methods.sum(axis=1)
    repeats = options["repeats"]
    minutes = float(methods.loc["all", "all"]) / 60 * PAPER_REPEATS / repeats
    told = f"{minutes:.1f} minutes" + (
        f" (from {repeats} of {PAPER_REPEATS} repeats)" if repeats < PAPER_REPEATS else ""
    )
    peak = float(tables["memory"]["peak_gib"].iloc[0]) if "memory" in tables else math.nan
    hours = tables["trainer"].set_index("method")["seconds_an_epoch"] * options["epochs"] / 3600
    each = " and ".join(f"{value:.1f} hours for {name}" for name, value in hours.items())
    aims = [
        ["the whole grid", "≤ 15 minutes", verdict(told, minutes <= 15)],
        ["memory of the process and its workers together", "≤ 4 GiB", verdict(f"{peak:.2f} GiB", peak <= 4)],
    ]
    return [
        f"{style.grouped(options['train'])} training and {style.grouped(options['test'])} test samples of "
        f"{DIMENSION} dimensions, {span(options['bits'])} bits, {options['repeats']} repeats; {options['workers']} "
        "processes of one thread each. A tree is fitted once a repeat, for all bitrates; curves are strung from the "
        "balanced cells. Codes are those of the test samples; metrics come with their floors, which all repeats share, "
        "and standard errors. Memory is the most of one look a second, pages that processes share counted once.",
        table_of(["", "aim", ""], aims),
        table_of(
            ["method", *(name.removesuffix("_seconds") + ", s" for name in methods.columns)],
            [[name, *(f"{value:.1f}" for value in row)] for name, row in methods.iterrows()],
        ),
        f"Before each method, one thread multiplied all samples by 2^{GRID_PRODUCT_BITS} codewords, in float32, at "
        f"{', '.join(f'{rate:.0f}' for rate in rates)} GFLOP/s: so fast, or slow, was the machine meanwhile.",
        f"The paper's trainers as they are here, {options['repeats']} repeats side by side, {options['epochs']} epochs "
        f"a bitrate or growth stage, {threads_of(options['workers'])}, were not run but extrapolated from "
        f"{options['steps']} steps of each: {each}.",
    ]


VARIED = {"N": ("rows", "rows"), "K": ("bits", "codewords"), "D": ("dimensions", "dimension")}
"""Sweep -> its option, and its column among the points."""


def sweep_of(name: str, options: dict[str, Any], points: pd.DataFrame) -> tuple[pd.Series, pd.DataFrame]:
    """Abscissa of a sweep, and the points where nothing else varies."""
    points = points.assign(codewords=2 ** points["bits"].astype(int))
    option, column = VARIED[name]
    n, b, d = options["base"]
    base = {"rows": n, "codewords": 2**b, "dimension": d}
    wanted = [2**b for b in options[option]] if name == "K" else options[option]
    keep = points[column].isin(wanted)
    for other in set(base) - {column}:
        keep &= points[other] == base[other]
    part = points[keep].sort_values(column)
    return part[column], part


def exponents(x: pd.Series, seconds: pd.Series) -> list[float]:
    """Slopes in log-log, over the whole range and over its last factor of 4."""
    parts = [x > 0, x >= x.max() / 4]
    return [float(np.polyfit(np.log(x[part]), np.log(seconds[part]), 1)[0]) for part in parts if x[part].nunique() > 1]


def growth_section(options: dict[str, Any], tables: dict[str, pd.DataFrame]) -> list[str]:
    """What was aimed at, exponents, and the points against N."""
    points = tables["point"]
    n, b, d = options["base"]
    aims, slopes = [], {method: [method] for method in FITS}
    for name in VARIED:
        greatest = -math.inf
        for method in FITS:
            x, part = sweep_of(name, options, points[points["method"] == method])
            for what in SECONDS:
                found = exponents(x, part[what])
                slopes[method].append(" / ".join(f"{slope:.2f}" for slope in found))
                greatest = max([greatest, *found])
        aims.append([f"greatest exponent of {name}", f"≤ {LINEAR:g}", verdict(f"{greatest:.2f}", greatest <= LINEAR)])
    most = points[points["rows"] == points["rows"].max()]
    anonymous, resident = (most[key].max() / GIB for key in ("anonymous", "resident"))
    text = verdict(f"{anonymous:.2f} GiB", anonymous < 2) + f" ({resident:.2f} GiB with the pages of the mapped file)"
    aims.append([f"anonymous memory at N = {style.grouped(int(points['rows'].max()))}", "< 2 GiB", text])
    rows = []
    for _, row in sweep_of("N", options, points)[1].sort_values(["method", "rows"]).iterrows():
        sizes = [f"{row[key] / 2**20:.0f}" for key in ("anonymous", "resident")]
        rows.append([row["method"], style.grouped(row["rows"]), *(f"{row[key]:.2f}" for key in SECONDS), *sizes])
    return [
        f"A process for each point, {threads_of(options['threads'])}, reading a memory map that the page cache may "
        f"hold: a fit, then the codes of all N (median of three passes). N varies at {b} bits and D = {d}; K and D at "
        f"N = {style.grouped(n)}. At most {style.grouped(cells.GEOMETRY_SAMPLES)} samples shape the cells; all set "
        "what else is fitted.",
        table_of(["", "aim", ""], aims),
        "Exponents: slopes of seconds in log-log, over the whole range / its last factor of 4. Below 1: costs that do "
        f"not grow still matter. Up to {LINEAR:g} counts as linear.\n\n"
        + table_of(["", *(f"{what}, {name}" for name in VARIED for what in ("fit", "codes"))], list(slopes.values())),
        "Anonymous memory is what the process itself holds (sampled each 10 ms), "
        f"{points['anonymous_before'].median() / 2**20:.0f} MiB after the imports. Resident memory (the kernel's peak) "
        "adds shared libraries and the pages read of the mapped file; these the kernel drops where it needs room.\n\n"
        + table_of(["", "N", "fit, s", "codes, s", "anonymous, MiB", "resident, MiB"], rows),
    ]


SECONDS = ("fit_seconds", "encode_seconds")


@style.styled
def draw_growth(options: dict[str, Any], points: pd.DataFrame) -> Figure:
    """Seconds against N, K and D; memory against N."""
    figure, panels = plt.subplots(2, 2, figsize=(9.6, 7.2), layout="constrained")
    looks = {method: style.styles([name])[name] for method, name in LOOKS.items()}
    titles = {"N": "samples N", "K": "codewords K", "D": "dimensions D"}

    def lines(axes: Axes, name: str, thick: str, thin: str, unit: float) -> tuple[pd.Series, pd.DataFrame]:
        for method, look in looks.items():
            x, part = sweep_of(name, options, points[points["method"] == method])
            axes.plot(x, part[thick] / unit, label=look.label, **look.line)
            axes.plot(x, part[thin] / unit, **look.line | {"linestyle": "-", "linewidth": 0.9, "markersize": 3.5})
        axes.set_xlabel(titles[name])
        return sweep_of(name, options, points)

    for axes, name in zip(panels.flat, VARIED, strict=False):
        x, part = lines(axes, name, *SECONDS, 1)
        guide(axes, x, part[SECONDS[0]])
        axes.set_title(f"Time against {titles[name]}")
        axes.set_ylabel("seconds")
        style.log_scale(axes)
        log_ticks(axes, x)
    axes = panels[1, 1]
    x, _ = lines(axes, "N", "anonymous", "resident", GIB)
    axes.axhline(2, color=style.GREY, linewidth=0.9, linestyle=":")
    axes.set_title("Memory against samples N")
    axes.set_ylabel("peak, GiB")
    axes.set_ylim(bottom=0)
    log_ticks(axes, x)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(handles))
    note = "Thick: fits, and anonymous memory. Thin: codes of all N samples, and memory with pages of the mapped file."
    figure.supxlabel(note, fontsize=9, color=style.GREY, x=0.01, ha="left")
    return figure


def guide(axes: Axes, x: pd.Series, seconds: pd.Series) -> None:
    """A line of slope 1, above the points."""
    ends = np.array([x.min(), x.max()], dtype=float)
    height = 1.6 * float((seconds / x).max())
    axes.plot(ends, height * ends, color=style.GREY, linewidth=0.9, linestyle=(0, (2, 2)), label="slope 1")


def log_ticks(axes: Axes, x: pd.Series) -> None:
    """Logarithmic abscissa with ticks at the points, every other one where they are many."""
    axes.set_xscale("log")
    ticks = sorted(x.unique())[:: 1 + (x.nunique() > 5)]
    axes.set_xticks(ticks, [short(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="y")


def short(number: float) -> str:
    """65536 -> 66k."""
    return f"{number / 1e6:.3g}M" if number >= 1e6 else f"{number / 1e3:.0f}k" if number >= 1e4 else f"{number:g}"


SECTIONS = {
    "speed": ("Against the paper's way", speed_section),
    "grid": ("The paper's whole grid", grid_section),
    "growth": ("Growth, out of core", growth_section),
}


if __name__ == "__main__":
    main()
