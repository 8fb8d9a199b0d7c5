"""Distortion and uniformity of all quantisers over random splits of real vectors, and reports/quantisers.md.

    python benchmarks/quantiser_quality.py run common-voice-mel ../shared/vectors/common-voice-mel/*_vectors.npy
    python benchmarks/quantiser_quality.py run voices data/embeddings/train.npy data/embeddings/test.npy --epochs 30
    python benchmarks/quantiser_quality.py report

`run` pools the arrays, drops exact duplicates, and for each split trains and tests every method; results go to
reports/quantisers/splits/, one file a split, and splits that are there are not run again, but for what `--again` names.
`report` writes the page and its figures from all of them. The paper's trainers take most of the time: 5-10 minutes a
split on one core; what they made is kept in data/quantisers/.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.linalg import solveh_banded
from threadpoolctl import threadpool_limits

from porcupine import storage
from porcupine.figures import style
from porcupine.privacy import floors, occupancy
from porcupine.quantizers import variants
from porcupine.quantizers.balanced import PowerCells, fit_balanced
from porcupine.quantizers.base import Nearest, Quantizer, distortion, global_scale
from porcupine.quantizers.cells import cell_means
from porcupine.quantizers.curve import project
from porcupine.quantizers.diveq import train_diveq, train_sf_diveq
from porcupine.quantizers.kmeans import fit_kmeans
from porcupine.quantizers.samples import Samples
from porcupine.quantizers.sfvq import train_sfvq
from porcupine.quantizers.tour import fit_curve, short_path
from porcupine.quantizers.training import Training
from porcupine.quantizers.tree import fit_tree
from porcupine.quantizers.vq import train_vq
from porcupine.randomness import generator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "reports" / "quantisers.md"
RESULTS = ROOT / "reports" / "quantisers" / "splits"
KEPT = ROOT / "data" / "quantisers"
BITS = range(4, 11)
MIN_SHARE = 8  # training samples a code, fewer of which say nothing about a method
DRAWS = 2000  # of each floor
PARTIAL = (0.0, 0.25, 0.5, 0.75)  # of the balanced weights: the trade-off between distortion and uniformity


def main() -> None:
    """Run the splits of one set of vectors, or write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run", help="measure all methods on one set of vectors")
    runner.add_argument("name")
    runner.add_argument("vectors", type=Path, nargs="+", help=".npy, float [N, D]; several are pooled")
    runner.add_argument("--splits", type=int, default=8, help="default: %(default)s")
    runner.add_argument("--test-fraction", type=float, default=0.2, help="default: %(default)s")
    runner.add_argument("--epochs", type=int, default=100, help="of the paper's trainers; default: %(default)s")
    again = "measure these once more in splits that were measured before; repeatable"
    runner.add_argument("--again", action="append", choices=FAMILIES, default=[], help=again)
    only = "measure these and no others; repeatable"
    runner.add_argument("--only", action="append", choices=FAMILIES, default=[], help=only)
    runner.add_argument("--diveq-splits", type=int, default=0, help="with the slow diveq methods; default: %(default)s")
    commands.add_parser("report", help="write reports/quantisers.md and its figures")
    arguments = parser.parse_args()
    if arguments.command == "report":
        return report()
    vectors = np.unique(np.concatenate([np.load(path).astype(np.float32) for path in arguments.vectors]), axis=0)
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for split in range(arguments.splits):
            run(vectors, split, arguments)
    return None


def run(vectors: np.ndarray, split: int, arguments: argparse.Namespace) -> None:
    """Measure one split: the families that were not measured before, or are to be again."""
    target = RESULTS / f"{arguments.name}-{split}.csv"
    families = arguments.only or list(FAMILIES)
    before = pd.DataFrame()
    if target.exists():
        families, before = [one for one in FAMILIES if one in arguments.again], storage.load_table(target)
        if not families:
            print(f"{target.name}: measured before")
            return
    order = np.random.default_rng(split).permutation(len(vectors))
    n_train = round((1 - arguments.test_fraction) * len(vectors))
    train, test = vectors[order[:n_train]], vectors[order[n_train:]]
    scale = np.float32(global_scale(train))
    train, test = train / scale, test / scale
    bits = [b for b in BITS if 2**b * MIN_SHARE <= n_train]
    rows = []
    began = time.monotonic()
    made = itertools.chain.from_iterable(FAMILIES[one](train, bits, split, arguments) for one in families)
    for method, b, quantiser in made:
        rows.append({"method": method, "bits": b} | measure(quantiser, train, test, b, split))
        print(f"{time.monotonic() - began:6.0f} s  {arguments.name} {split}: {method}, {b} bits", flush=True)
    table = pd.DataFrame(rows).assign(
        split=split, n_train=n_train, n_test=len(test), dimension=vectors.shape[1], epochs=arguments.epochs
    )
    if len(before):
        table = pd.concat([before[~before["method"].isin(table["method"])], table], ignore_index=True)
    storage.save_table(target, table)


Made = Iterator[tuple[str, int, Quantizer]]


def cell_methods(train: np.ndarray, bits: list[int], split: int, arguments: argparse.Namespace) -> Made:
    """The fits of one bitrate, with their ablations."""
    for b in bits:
        kmeans = fit_kmeans(train, bits=b, seed=split)
        yield "kmeans", b, kmeans
        yield from ((f"ablation: {name}", b, curve) for name, curve in ablations(train, kmeans, split))
        balanced = fit_balanced(train, bits=b, seed=split)
        yield "balanced", b, balanced
        for share in PARTIAL:
            partial = PowerCells(balanced.sites, balanced.sites, share * balanced.weights)
            means = cell_means(Samples(train), partial.encode(train), partial.codebook)
            yield f"balanced, {share:g} of the weights", b, PowerCells(means, partial.sites, partial.weights)
        yield "balanced, exact", b, fit_balanced(train, bits=b, seed=split, exact=True)
        curve = fit_curve(train, bits=b, seed=split)
        yield "curve-interval", b, curve
        yield "curve-nearest", b, curve.nearest()


def tree_method(train: np.ndarray, bits: list[int], split: int, arguments: argparse.Namespace) -> Made:
    """One fit, cut at every bitrate."""
    tree = fit_tree(train, bits=max(bits), seed=split)
    yield from (("tree", b, tree.prefix(b)) for b in bits)


def paper_methods(train: np.ndarray, bits: list[int], split: int, arguments: argparse.Namespace) -> Made:
    """The paper's trainers, with every normalisation, and for some splits their successors."""
    training = Training(epochs=arguments.epochs)
    books = faithful(train, bits, split, training, arguments.name)
    for b in bits:
        yield "vq", b, Nearest(books[f"vq{b}"])
        yield from (("sfvq" + name, b, cut) for name, cut in cuts(train, books[f"sfvq{b}"], split))
    if split < arguments.diveq_splits:
        for b in bits:
            yield "diveq", b, Nearest(train_diveq(train, bits=b, training=training, seed=split)[0])
            curves = train_sf_diveq(train, bits=[b], training=training, seed=split)
            yield from (("sf_diveq" + name, b, cut) for name, cut in cuts(train, curves[b][0], split))


FAMILIES = {"cells": cell_methods, "tree": tree_method, "paper": paper_methods}


def cuts(train: np.ndarray, curve: np.ndarray, split: int) -> Iterator[tuple[str, Quantizer]]:
    """A trained curve, and what occurrence normalisation makes of it."""
    yield "", Nearest(curve)
    yield "-faithful-nearest", variants.resample(train, curve, "faithful", generator(split, "faithful"))
    exact = variants.resample(train, curve, "exact", generator(split, "exact"))
    yield "-exact-nearest", Nearest(exact.codebook)
    yield "-exact-interval", exact


def faithful(train: np.ndarray, bits: list[int], split: int, training: Training, name: str) -> dict[str, np.ndarray]:
    """The paper's codebooks and curves of a split; kept, since they take long."""
    kept = KEPT / f"{name}-{split}-faithful.npz"
    if not kept.exists():
        books = {f"vq{b}": train_vq(train, bits=b, training=training, seed=split)[0] for b in bits}
        curves = train_sfvq(train, bits=bits, training=training, seed=split)
        storage.save_arrays(kept, books | {f"sfvq{b}": curve[0] for b, curve in curves.items()})
    return storage.load_arrays(kept)


def ablations(train: np.ndarray, kmeans: Nearest, split: int) -> Iterator[tuple[str, Quantizer]]:
    """Other ways to a curve: k-means on a short tour, then principal-curve updates; the nearest segment, intervals."""
    curve = kmeans.codebook[short_path(kmeans.codebook)]
    yield "k-means, tour, polyline", variants.resample(train, curve, "exact", generator(split, "tour"))
    for _ in range(10):
        curve = principal_update(train, curve)
    yield "principal curve", variants.resample(train, curve, "exact", generator(split, "principal"))


def principal_update(train: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Corners that minimise the squared distance of the samples to their points on the polyline: tridiagonal."""
    place = project(train, curve)
    share, start = place.position - place.segment, place.segment
    diagonal = np.bincount(start, (1 - share) ** 2, len(curve)) + np.bincount(start + 1, share**2, len(curve))
    beside = np.bincount(start, share * (1 - share), len(curve))
    sums = np.zeros(curve.shape)
    np.add.at(sums, start, (1 - share)[:, None] * train)
    np.add.at(sums, start + 1, share[:, None] * train)
    ridge = 1e-3 * diagonal.mean()
    banded = np.stack([np.concatenate([[0], beside[:-1]]), diagonal + ridge])
    return solveh_banded(banded, sums + ridge * curve).astype(np.float32)


def measure(quantiser: Quantizer, train: np.ndarray, test: np.ndarray, bits: int, split: int) -> dict[str, float]:
    """Distortion and uniformity of the test codes, and whether they lie in the band of a calibrated uniform code."""
    codes, n_codes, n_train, n_test = quantiser.encode(test), 2**bits, len(train), len(test)
    counts = occupancy.count_codes(codes, n_codes)
    limit = occupancy.sampling_limit_cv(n_codes, n_train)
    sizes = occupancy.count_codes(quantiser.encode(train), n_codes)
    row = {
        "mse": distortion(test, quantiser.codebook, codes),
        "cv_over_limit_squared": float(occupancy.excess_variance(counts)) / limit**2,
        "std": float(occupancy.std(counts)),
        "worst_case_bits": float(occupancy.worst_case_bits(counts)),
        "train_deviation": float(np.abs(sizes - n_train / n_codes).max()),
    }
    rng = generator(0, "floors", bits, split)
    for name, draws in (
        ("binomial", floors.binomial(n_test, n_codes, draws=DRAWS, rng=rng)),
        ("calibrated", floors.calibrated(n_test, n_codes, n_train, draws=DRAWS, rng=rng)),
    ):
        for metric, values in (("std", occupancy.std(draws)), ("worst_case_bits", occupancy.worst_case_bits(draws))):
            row[f"{name}_{metric}"] = float(np.median(values))
            if name == "calibrated":  # better than the band counts as inside
                row[f"{metric}_in_band"] = float(row[metric] <= np.quantile(values, 0.975, method="higher"))
    return row


def report() -> None:
    """Write the page and a figure for each set of vectors."""
    parts = [INTRODUCTION.format(machine=f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}")]
    for name in sorted({re.sub(r"-\d+$", "", path.stem) for path in RESULTS.glob("*-[0-9].csv")}):
        table = pd.concat([complete(path) for path in sorted(RESULTS.glob(f"{name}-[0-9].csv"))])
        figure = PAGE.parent / "quantisers" / f"tradeoff-{name}.png"
        with storage.replacing(figure) as temporary:
            draw(table).savefig(temporary, dpi=120)
        parts.append(section(name, table, figure.relative_to(PAGE.parent).as_posix()))
    with storage.replacing(PAGE) as file:
        file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


def complete(path: Path) -> pd.DataFrame:
    """The measurements of a split; exits where a family of methods is missing."""
    table = storage.load_table(path)
    for family, method in (("cells", "balanced"), ("tree", "tree"), ("paper", "vq")):
        if method not in set(table["method"]):
            raise SystemExit(f"{path.name} has no {method}: run it once more with --again {family}")
    return table


def section(name: str, table: pd.DataFrame, figure: str) -> str:
    """What one set of vectors shows."""
    first, methods = table.iloc[0], list(table["method"].unique())
    ablated = [m for m in methods if m.startswith("ablation")]
    partly = [m for m in methods if "of the weights" in m]
    both = [distortion_over_vq, spread]
    return "\n\n".join(
        [
            f"## {name}",
            f"{table['split'].nunique()} random splits into {first['n_train']} training and {first['n_test']} test "
            f"vectors of {first['dimension']} dimensions; the paper's trainers ran {first['epochs']} epochs a bitrate.",
            f"![Distortion against uniformity of every method at each bitrate]({figure})",
            "### What was aimed at",
            targets(table),
            f"A code whose spread is 1.15, the aim from 9 bits on, is in the band of `std` in "
            f"{in_band_at(1.15, table)} % of runs at {_listed(sorted(table['bits'].unique()))} bits.",
            "### Test distortion over that of `vq`, and, in brackets, spread of the cells over the sampling limit",
            grid(table, [m for m in methods if m not in ablated + partly], both),
            "### Worst-case disclosure, bits",
            grid(table, [m for m in methods if m not in ablated + partly], [worst_case]) + "\n" + floor_rows(table),
            "### The price of uniformity",
            "Balanced cells with a share of their weights, to be read as the second table. With none of them, each "
            "vector goes to the nearest site: what is left is the price of the sites that even cells ask for. "
            "Where `balanced` misses its aim this is why: both parts are small, but they are there at every start.",
            grid(table, [*partly, "balanced", "balanced, exact"], both),
            "### Ways to a curve",
            "Interval codes along other curves: k-means codewords on a short tour, samples projected exactly on its "
            "segments; and the same after ten principal-curve updates.",
            grid(table, [*ablated, "curve-interval"], both),
        ]
    )


def grid(table: pd.DataFrame, methods: list[str], cells: list[Callable[[pd.DataFrame, pd.DataFrame], str]]) -> str:
    """A row for each method, a column for each bitrate; further cells in brackets."""
    bits = sorted(table["bits"].unique())
    lines = ["| | " + " | ".join(f"{b} bits" for b in bits) + " |", "|---" * (len(bits) + 1) + "|"]
    for method in methods:
        row = []
        for b in bits:
            rows = table[(table["method"] == method) & (table["bits"] == b)]
            texts = [cell(rows, table) for cell in cells]
            row.append(texts[0] + "".join(f" ({text})" for text in texts[1:]))
        lines.append(f"| {method.removeprefix('ablation: ')} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def ratios(rows: pd.DataFrame, table: pd.DataFrame, reference: str = "vq") -> np.ndarray:
    """Distortion of each split over that of the reference in the same split."""
    base = table[(table["method"] == reference) & (table["bits"] == rows["bits"].iloc[0])].set_index("split")["mse"]
    return rows["mse"].to_numpy() / base.loc[rows["split"]].to_numpy()


def distortion_over_vq(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """Mean over the splits."""
    return f"{ratios(rows, table).mean():.3f}"


def spread(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """See `spread_of`."""
    return f"{spread_of(rows):.2f}"


def spread_of(rows: pd.DataFrame) -> float:
    """Cv over its limit: root of the mean square, which is unbiased, as a mean of roots cut off at 0 is not."""
    return _root(rows["cv_over_limit_squared"].mean())


def spread_with_error(rows: pd.DataFrame) -> tuple[float, float]:
    """`spread_of`, and by how much it rises if the mean square rises by its standard error over the splits."""
    squares = rows["cv_over_limit_squared"]
    return spread_of(rows), _root(squares.mean() + squares.sem()) - spread_of(rows)


def _root(square: float) -> float:
    return float(np.sqrt(max(square, 0)))


def worst_case(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """Mean over the splits where it is finite."""
    finite = rows["worst_case_bits"][np.isfinite(rows["worst_case_bits"])]
    n_infinite = len(rows) - len(finite)
    return (f"{finite.mean():.2f}" if len(finite) else "∞") + (f" (∞ in {n_infinite})" if n_infinite else "")


def floor_rows(table: pd.DataFrame) -> str:
    """Medians of both floors."""
    lines = []
    for label, column in (
        ("uniform codes", "binomial_worst_case_bits"),
        ("calibrated on the training set", "calibrated_worst_case_bits"),
    ):
        medians = table.groupby("bits")[column].mean()
        lines.append(f"| *floor, {label}* | " + " | ".join(f"{m:.2f}".replace("inf", "∞") for m in medians) + " |")
    return "\n".join(lines)


def targets(table: pd.DataFrame) -> str:
    """Each aim with what was reached: the least favourable bitrate of its range."""
    lines = ["| | bits | aim | reached, worst bitrate | |", "|---|---|---|---|---|"]
    for method, reference, aims in (
        ("balanced", "vq", (1.01, 1.01)),
        ("curve-interval", "sfvq-faithful-nearest", (0.97, 0.99)),
        ("tree", "vq", (1.06, 1.10)),
    ):

        def ratio(b: int, method: str = method, reference: str = reference) -> tuple[float, float]:
            values = ratios(_rows(table, method, b), table, reference)
            return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))

        def same_of_vq(b: int, reference: str = reference) -> str:
            return f"; `vq` itself {ratios(_rows(table, 'vq', b), table, reference).mean():.3f}"

        beside = same_of_vq if reference != "vq" else None
        lines += _aims(f"distortion, `{method}` over `{reference}`", aims, ratio, table, beside)
    for method in UNIFORM:
        lines += _aims(
            f"spread over its limit, `{method}`",
            (1.10, 1.15),
            lambda b, m=method: spread_with_error(_rows(table, m, b)),
            table,
        )
    for metric in ("std", "worst_case_bits"):
        for method in UNIFORM:
            for part in filter(None, _ranges(table)):
                inside = np.concatenate([_rows(table, method, b)[f"{metric}_in_band"] for b in part])
                error = np.sqrt(inside.mean() * (1 - inside.mean()) / len(inside))
                lines.append(
                    f"| runs with `{metric}` in the calibrated band, `{method}` | {part[0]}-{part[-1]} | ≥ 90 % | "
                    f"{100 * inside.mean():.0f} % of {len(inside)} | {_verdict(0.9 - inside.mean(), error)} |"
                )
    return "\n".join(lines)


def _aims(
    label: str,
    aims: tuple[float, float],
    value: Callable[[int], tuple[float, float]],
    table: pd.DataFrame,
    beside: Callable[[int], str] | None = None,
) -> list[str]:
    """A row for each range of bitrates; ``value`` returns what was reached and its standard error."""
    lines = []
    for aim, part in zip(aims, _ranges(table), strict=True):
        if part:
            worst = max(part, key=lambda b: value(b)[0])
            reached, error = value(worst)
            lines.append(
                f"| {label} | {part[0]}-{part[-1]} | ≤ {aim:.2f} | {reached:.3f} ± {error:.3f} at {worst} bits"
                f"{beside(worst) if beside else ''} | {_verdict(reached - aim, error)} |"
            )
    return lines


def in_band_at(spread: float, table: pd.DataFrame) -> str:
    """How many runs of a code of that spread fall in the band of `std`, at each bitrate."""
    first, shares = table.iloc[0], []
    for b in sorted(table["bits"].unique()):
        even, uneven = (
            occupancy.std(
                floors.calibrated(first["n_test"], 2**b, round(n), draws=DRAWS, rng=generator(0, "band", int(b), n))
            )
            for n in (first["n_train"], first["n_train"] / spread**2)
        )
        shares.append(f"{100 * np.mean(uneven <= np.quantile(even, 0.975, method='higher')):.0f}")
    return _listed(shares)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _ranges(table: pd.DataFrame) -> tuple[list[int], list[int]]:
    bits = [int(b) for b in sorted(table["bits"].unique())]
    return [b for b in bits if b <= 8], [b for b in bits if b > 8]


def _rows(table: pd.DataFrame, method: str, bits: int) -> pd.DataFrame:
    return table[(table["method"] == method) & (table["bits"] == bits)]


def _verdict(missed_by: float, error: float) -> str:
    if missed_by <= 0:
        return "met"
    return "**not met**" + (", by less than its error" if missed_by <= error else "")


@style.styled
def draw(table: pd.DataFrame) -> Figure:
    """Distortion over that of `vq` against spread over the sampling limit, a panel for each bitrate."""
    bits = sorted(table["bits"].unique())
    columns = min(4, len(bits))
    figure, panels = plt.subplots(
        -(-len(bits) // columns),
        columns,
        figsize=(12.5, 3.3 * -(-len(bits) // columns)),
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    for panel, b in itertools.zip_longest(panels.flat, bits):
        if b is None:
            panel.set_axis_off()
            continue
        points = {
            m: (spread_of(rows), ratios(rows, table).mean()) for m, rows in table[table["bits"] == b].groupby("method")
        }
        path = [points[f"balanced, {share:g} of the weights"] for share in PARTIAL] + [points["balanced"]]
        panel.plot(*np.maximum(np.array(path).T, [[LEAST], [0]]), color=style.GREY, linewidth=1, zorder=1)
        for method, (label, color, marker) in SHOWN.items():
            if method in points:
                x, y = points[method]
                panel.plot(max(x, LEAST), y, marker, color=color, label=label, linestyle="none", markersize=7)
        panel.axvline(1, color=style.GREY, linestyle=":", linewidth=1)
        panel.set_xscale("log")
        panel.set_xticks([0.3, 1, 3, 10], ["0.3", "1", "3", "10"])
        panel.set_xticks([], minor=True)
        panel.tick_params(labelbottom=True)
        panel.set_title(f"{b} bits")
    figure.supxlabel(
        "spread of the cell probabilities over the sampling limit (1: equal shares of the training set)", fontsize=10
    )
    figure.supylabel("test distortion over that of vq", fontsize=10)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    handles.append(plt.Line2D([], [], color=style.GREY, linewidth=1))
    figure.legend(handles, [*labels, "0 to all of the balanced weights"], loc="outside upper center", ncols=5)
    return figure


UNIFORM = ("balanced", "balanced, exact", "curve-interval", "tree")
LEAST = 0.3  # a spread below it is drawn there
SHOWN = {
    "vq": ("vq, the paper's", "#000000", "s"),
    "kmeans": ("kmeans", "#000000", "x"),
    "sfvq": ("sfvq, as trained", "#D55E00", "s"),
    "sfvq-faithful-nearest": ("sfvq, the paper's resampling", "#D55E00", "o"),
    "sfvq-exact-nearest": ("sfvq, exact, nearest", "#D55E00", "^"),
    "sfvq-exact-interval": ("sfvq, exact, interval", "#D55E00", "D"),
    "curve-nearest": ("curve, nearest", "#0072B2", "^"),
    "curve-interval": ("curve, interval", "#0072B2", "D"),
    "tree": ("tree", "#009E73", "P"),
    "balanced": ("balanced", "#CC79A7", "o"),
    "balanced, exact": ("balanced, exact", "#CC79A7", "*"),
    "diveq": ("diveq", "#E69F00", "s"),
    "sf_diveq-exact-interval": ("sf_diveq, exact, interval", "#E69F00", "D"),
}
INTRODUCTION = """# Quantisers: distortion against uniformity

Written by `python benchmarks/quantiser_quality.py report` from runs on {machine}:

```
python benchmarks/quantiser_quality.py run common-voice-mel ../shared/vectors/common-voice-mel/*_vectors.npy
python benchmarks/quantiser_quality.py run speechocean762-ge2e ONE/embeddings/{{train,test}}.npy --diveq-splits 1
python benchmarks/quantiser_quality.py run voices-18000 OTHER/embeddings/{{train,test}}.npy --epochs 30 --diveq-splits 1
```

with paths of your own: `data/` after `dvc exp run embeddings` with `-S corpus.name=folder -S
corpus.path=…/speechocean762 -S encoder.name=ge2e -S embeddings.unit=utterance`, and with `-S
corpus.voices.speakers=20000 -S corpus.voices.utterances=2 -S manifest.encoder_fraction=0.1`, which are synthetic
speakers. Vectors are pooled, exact duplicates dropped, and split anew for each run. Codewords that hold fewer than 8
training vectors on average are not asked for. *Spread*: relative spread of the true cell probabilities, binomial noise
removed, over √((K−1)/N_train), the spread that a code has whose cells hold exactly equal shares of N_train samples; it
is the root of the mean square over the splits, and 0 where that is below what sampling alone makes. *In the band*: not
above the 97.5 % quantile of what such a code shows on a test set of this size. ±: standard error over the splits; the
worst bitrate is also the least lucky one. `balanced` cells are set on smoothed memberships, `balanced, exact` cells
hold equal shares of the training set.

Where an aim is missed:

- *Distortion of `balanced`*: the price of uniformity, shown for each set below. Most of it is paid for the sites, and
  is there even if their weights are dropped.
- *Distortion of `curve-interval`*: beside each ratio stands that of `vq`, which is as uneven as it likes. Where that
  misses the aim too, the paper's curve has so little to lose that no even code can beat it by as much.
- *Evenness of exact cells* (`balanced, exact`, `curve-interval`) where few samples share a code: cells that hold equal
  shares of the training set to a sample follow its chance clusters. Smoothed cells (`balanced`) do not, and keep within
  the band; the price is that shares of the training set are not exact. A curve through them, `fit_curve(…,
  exact=False)`, has their codes, in order along it.
- *Spread at few bits, or of few vectors*: the ± says how little 8 splits tell there; codes are in the band all the
  same. The worst, of `tree` on speechocean762 at 6 bits, is 1.03 ± 0.06 over 48 splits (`--only tree --splits 48`)."""


if __name__ == "__main__":
    main()
