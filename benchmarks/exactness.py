"""Are the bytes of every stage's artifacts the same with other threads, processes and machines?

    python benchmarks/exactness.py embeddings
    python benchmarks/exactness.py frames
    python benchmarks/exactness.py libraries
    python benchmarks/exactness.py report

`embeddings` takes the stages of dvc.yaml, `frames` those of kmeans-audio/dvc.yaml. A small experiment runs once, the
reference. Then each stage runs by itself on the reference's inputs under each condition, so that no difference comes
from an earlier stage, and its artifacts are compared with the reference's. At last the whole experiment runs under each
condition of `--whole`, and its figures are compared. Each command keeps what it measured in data/exactness/, as it
goes; `report` writes docs/exactness.md from what is there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.numpy
import soundfile
import yaml
from recording import Bench, Record, table_of

from porcupine import storage

ROOT = Path(__file__).parents[1]
CODE = ("porcupine/", "stages/")
MAPS = {"embeddings": Path("dvc.yaml"), "frames": Path("kmeans-audio/dvc.yaml")}

# Differences from the committed params: small, but wide enough that libraries share the work among threads.
SMALL: dict[str, dict[str, Any]] = {
    "embeddings": {
        "compute": {"workers": 1, "device": "cpu"},
        "corpus": {"voices": {"speakers": 120, "utterances": 3, "seed": 1}},
        "encoder": {"epochs": 2},
        "codebooks": {"bits": [4], "repeats": 1, "epochs": 10},
        "attack": {"bootstrap": 50},
        "attributes": {"bootstrap": 50, "permutations": 50},
        "disclosure": {"simulations": 200, "bootstrap": 50},
        "metrics": {"simulations": 200, "bootstrap": 50},
        "figures": {"dpi": 40},
    },
    "frames": {
        "compute": {"workers": 1, "device": "cpu"},
        "corpus": {"voices": {"speakers": 6, "utterances": 16, "seed": 1}},
        "folds": {"number": 3},
        "frame_codebooks": {"sizes": [32], "rounds": 4},
        "emotion": {"trees": 40, "curve": [2, 3], "bootstrap": 50},
        "identity": {"epochs": 3, "bootstrap": 50},
        "rebuild": {"clips": 2, "pitched": 1, "listen": 2, "rounds": 4},
        "codebooks": {"bits": [3]},
        "figures": {"dpi": 40},
    },
}


@dataclass(frozen=True)
class Condition:
    """What a stage runs under: environment variables and params that differ from the reference's."""

    environment: dict[str, str] = field(default_factory=dict)
    workers: int = 1


def _simd(kept: Sequence[str]) -> str:
    """NumPy's vector extensions that this machine has, those kept aside."""
    config: Any = np.show_config(mode="dicts")
    return " ".join(name for name in config["SIMD Extensions"].get("found", []) if name not in kept)


# What makes each library compute as on a processor without vector extensions beyond SSE.
LIBRARIES = {
    "NumPy": {"NPY_DISABLE_CPU_FEATURES": _simd([])},
    "OpenBLAS": {"OPENBLAS_CORETYPE": "Nehalem"},
    "PyTorch": {"ATEN_CPU_CAPABILITY": "default"},
    "oneDNN": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "MKL": {"MKL_CBWR": "COMPATIBLE"},
    "C library": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-FMA,-FMA4"},
}
AVX2 = {
    "NPY_DISABLE_CPU_FEATURES": _simd(["X86_V3"]),
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "AVX2",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F",
}
SSE = {name: value for library in LIBRARIES.values() for name, value in library.items()}
CONDITIONS = {
    "1 thread": Condition({f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}),
    "2 processes": Condition(workers=2),
    "AVX2": Condition(AVX2),
    "SSE": Condition(SSE),
}
BY_LIBRARY = {name: Condition(environment) for name, environment in LIBRARIES.items()}


def main() -> None:
    """Run one command."""
    bench = Bench(__doc__, ROOT / "data" / "exactness")
    for command, text in ((embeddings, "stages of dvc.yaml"), (frames, "stages of kmeans-audio/dvc.yaml")):
        option = bench.command(command, text)
        option("--conditions", list(CONDITIONS), "what each stage runs under")
        option("--whole", ["AVX2"], "what the whole experiment runs under")
    bench.command(libraries, "a few computations of each library")
    option = bench.command(report, "write the page")
    option("--page", ROOT / "docs" / "exactness.md", "Markdown file")
    bench.run()


# ---- What there is to run


@dataclass(frozen=True)
class Stage:
    """A stage of a map, its matrix and params filled in; paths are relative to the experiment's folder."""

    name: str
    command: list[str]
    inputs: list[str]
    outputs: list[str]


def stages_of(map_file: Path, params: dict[str, Any]) -> Iterator[Stage]:
    """Every stage of a map, in its order, one for each item of a matrix. The code is not among the inputs."""
    for name, stage in yaml.safe_load(map_file.read_text(encoding="utf-8"))["stages"].items():
        matrix = {key: _filled(value, params) for key, value in stage.get("matrix", {}).items()}
        for values in itertools.product(*matrix.values()):
            known = params | {"item": dict(zip(matrix, values, strict=True))}
            listed = [*stage["outs"], *stage.get("metrics", [])]
            inputs = [str(_filled(path, known)) for path in stage["deps"] if not path.startswith(CODE)]
            outputs = [str(_filled(next(iter(out)) if isinstance(out, dict) else out, known)) for out in listed]
            command = [str(_filled(word, known)) for word in stage["cmd"].split()]
            yield Stage("@".join(map(str, (name, *values))), command, inputs, outputs)


def _filled(text: str, known: dict[str, Any]) -> Any:
    """``text`` with its ``${a.b}`` replaced; where that is all of it, the value itself."""

    def value(found: re.Match[str]) -> Any:
        here: Any = known
        for key in found[1].split("."):
            here = here[key]
        return here

    pattern = re.compile(r"\$\{([\w.]+)\}")
    whole = pattern.fullmatch(text)
    return value(whole) if whole else pattern.sub(lambda found: str(value(found)), text)


class Experiment:
    """A map and its small params. ``name`` : key of MAPS."""

    def __init__(self, name: str) -> None:
        self.map_file = ROOT / MAPS[name]
        self.params_file = MAPS[name].with_name("params.yaml")
        self.params: dict[str, Any] = yaml.safe_load((ROOT / self.params_file).read_text(encoding="utf-8"))
        for section, changes in SMALL[name].items():
            self.params[section] = self.params.get(section, {}) | changes
        self.stages = list(stages_of(self.map_file, self.params))

    def lay(self, folder: Path, condition: Condition) -> None:
        """Write the params of a condition into ``folder``."""
        file = folder / self.params_file
        file.parent.mkdir(parents=True, exist_ok=True)
        compute = self.params["compute"] | {"workers": condition.workers}
        file.write_text(yaml.safe_dump(self.params | {"compute": compute}), encoding="utf-8")
        (folder / self.params["corpus"]["path"]).mkdir(parents=True, exist_ok=True)


# Stages of one condition are forked from a process that has imported the libraries, which takes longest.
WORKER = """
import importlib, json, os, sys
from stages.common import run
work = json.load(sys.stdin)
mains = [importlib.import_module(module).main for _, module, *_ in work]
for (folder, module, *words), main in zip(work, mains):
    child = os.fork()
    if not child:
        os.chdir(folder)
        sys.argv[1:] = words
        sys.exit(run(main))
    if os.waitpid(child, 0)[1]:
        sys.exit(f"failed: {module} {words}")
"""


def run_stages(work: Iterable[tuple[Stage, Path]], condition: Condition) -> None:
    """Run each stage in its folder, with this repository's modules."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | condition.environment
    listed = json.dumps([[str(folder), *stage.command[2:]] for stage, folder in work])
    command = [sys.executable, "-c", WORKER]
    done = subprocess.run(command, env=environment, input=listed, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"a stage failed:\n{done.stderr[-2000:]}")


# ---- How two artifacts differ


@dataclass(frozen=True)
class Comparison:
    """How files differ from a reference's.

    files, changed : number of files that either has, and names of those whose bytes differ
    unlike : names, and what of them cannot be compared: a file that one lacks, another shape, an unknown format
    absolute : largest difference of two fractional numbers
    relative : largest difference relative to the largest magnitude of its array or column
    entries, moved : number of whole numbers (codes, counts), words and flags in changed files, and of those that
        differ; fractional numbers count here where only one of the two is finite
    """

    files: int = 0
    changed: tuple[str, ...] = ()
    unlike: dict[str, str] = field(default_factory=dict)
    absolute: float = 0.0
    relative: float = 0.0
    entries: int = 0
    moved: int = 0

    def __str__(self) -> str:
        if not self.changed:
            return "same"
        parts = [f"{self.relative:.0e}"] if self.relative else []
        parts += [f"{self.moved} of {self.entries} entries"] if self.moved else []
        parts += sorted(set(self.unlike.values())) if not parts else []
        return ", ".join(parts) or "same numbers"


def compare(reference: Path, other: Path, names: Iterable[str]) -> Comparison:
    """Compare files, and all files of folders, by their paths in two folders."""
    files = sorted({file for folder in (reference, other) for name in names for file in _files(folder, name)})
    changed = [file for file in files if _bytes(reference / file) != _bytes(other / file)]
    unlike: dict[str, str] = {}
    absolute, relative, entries, moved = 0.0, 0.0, 0, 0
    for file in changed:
        if not (reference / file).exists() or not (other / file).exists():
            unlike[file] = "extra file" if (other / file).exists() else "missing file"
            continue
        first, second = arrays_of(reference / file), arrays_of(other / file)
        if first is None or second is None:
            unlike[file] = f"other {Path(file).suffix}"
            continue
        for key in first.keys() | second.keys():
            a, b = first.get(key), second.get(key)
            if a is None or b is None or a.shape != b.shape:
                unlike[file] = "other shape"
                continue
            step, scale, apart, counted = _apart(a, b)
            absolute, relative = (max(absolute, step), max(relative, step / scale if scale else step))
            entries, moved = entries + counted, moved + apart
    return Comparison(len(files), tuple(changed), unlike, absolute, relative, entries, moved)


def _files(folder: Path, name: str) -> list[str]:
    path = folder / name
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    return [file.relative_to(folder).as_posix() for file in found if file.is_file()]


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _apart(reference: np.ndarray, other: np.ndarray) -> tuple[float, float, int, int]:
    """Largest difference of two arrays, largest magnitude of the first, entries that differ, and entries counted."""
    kinds = {reference.dtype.kind, other.dtype.kind}
    if not kinds <= set("iufb"):
        return (0.0, 0.0, int(np.sum(reference.astype(str) != other.astype(str))), reference.size)
    if "f" not in kinds:
        return 0.0, 0.0, int(np.sum(reference != other)), reference.size
    a, b = reference.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    broken = int(np.sum(~finite & (a != b) & ~(np.isnan(a) & np.isnan(b))))
    scale = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    return (float(np.abs(a[finite] - b[finite]).max(initial=0.0)), float(scale), broken, broken)


def arrays_of(path: Path) -> dict[str, np.ndarray] | None:
    """What a file holds as named arrays, columns and numbers; None of a format without."""
    match path.suffix:
        case ".npy":
            return {"": storage.load_array(path)}
        case ".npz":
            return storage.load_arrays(path)
        case ".safetensors":
            return safetensors.numpy.load_file(path)
        case ".csv" | ".parquet":
            return _columns(storage.load_table(path))
        case ".tsv":
            return _columns(pd.read_csv(path, sep="\t"))
        case ".flac" | ".wav":
            return {"": soundfile.read(path, dtype="int16")[0]}
        case ".json":
            return {".".join(key): np.asarray(value) for key, value in _leaves(storage.load_json(path))}
    return None


def _columns(table: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: table[name].to_numpy() for name in table}


def _leaves(value: Any, *keys: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, *keys, str(key))
    else:
        yield keys, "null" if value is None else value


def shifts(reference: Path, other: Path, names: Iterable[str]) -> list[dict[str, Any]]:
    """How far the figures of tables moved, in widths of the reference's 95 % intervals; a row a table that has some.

    n : figures with an interval; median, largest : of their shifts; outside : share that left the interval.
    """
    rows = []
    tables = [file for name in names for file in _files(reference, name) if file.endswith(".csv")]
    for name in tables:
        first, second = (storage.load_table(reference / name), storage.load_table(other / name))
        if len(first) != len(second):
            rows.append({"file": name, "n": 0, "median": None, "largest": None, "outside": None})
            continue
        parts = [_shift(first, second, low) for low in first if low == "low" or low.endswith("_low")]
        shift = np.concatenate([np.empty(0), *parts])
        if len(shift):
            found = {"median": float(np.median(shift)), "largest": float(shift.max())}
            rows.append({"file": name, "n": len(shift), **found, "outside": float(np.mean(shift > 0.5))})
    return rows


def _shift(first: pd.DataFrame, second: pd.DataFrame, low: str) -> np.ndarray:
    """Shifts of the column whose intervals start in the column ``low``, in widths, where there is a width."""
    named = low.removesuffix("low").rstrip("_")
    columns = [name for name in (named, "value", "mean", "share", "bits_disclosed", "bits_learnt") if name in first]
    if not columns:
        return np.empty(0)
    width = first[low.removesuffix("low") + "high"] - first[low]
    step = (first[columns[0]] - second[columns[0]]).abs()
    return (step / width)[(width > 0) & step.notna()].to_numpy(dtype=np.float64)


# ---- embeddings, frames


def embeddings(arguments: argparse.Namespace) -> None:
    """Measure the stages of dvc.yaml."""
    _measure(arguments)


def frames(arguments: argparse.Namespace) -> None:
    """Measure the stages of kmeans-audio/dvc.yaml."""
    _measure(arguments)


def _measure(arguments: argparse.Namespace) -> None:
    record = Record(arguments)
    experiment = Experiment(arguments.command)
    known = CONDITIONS | BY_LIBRARY
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        reference = folder / "reference"
        experiment.lay(reference, Condition())
        run_stages([(stage, reference) for stage in experiment.stages], Condition())
        print("the reference ran", flush=True)
        changed: set[str] = set()
        for name in [*arguments.conditions, *BY_LIBRARY]:
            stages = [stage for stage in experiment.stages if name in arguments.conditions or stage.name in changed]
            for stage, found in alone(experiment, stages, reference, known[name], folder / name):
                record.add("stage", stage=stage.name, condition=name, text=str(found), **asdict(found))
                if name == "SSE" and found.changed:
                    changed.add(stage.name)
        for name in arguments.whole:
            whole = folder / f"{name}, whole"
            experiment.lay(whole, known[name])
            run_stages([(stage, whole) for stage in experiment.stages], known[name])
            for stage in experiment.stages:
                found = compare(reference, whole, stage.outputs)
                record.add("whole", stage=stage.name, condition=name, text=str(found), **asdict(found))
                for row in shifts(reference, whole, stage.outputs):
                    record.add("shift", stage=stage.name, condition=name, **row)


def alone(
    experiment: Experiment, stages: list[Stage], reference: Path, condition: Condition, folder: Path
) -> Iterator[tuple[Stage, Comparison]]:
    """Run stages each on the reference's inputs, in a folder of its own, and compare what they write."""
    work = [(stage, folder / stage.name) for stage in stages]
    for stage, own in work:
        experiment.lay(own, condition)
        for name in stage.inputs:
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            if (reference / name).is_dir():
                shutil.copytree(reference / name, own / name, dirs_exist_ok=True)
            else:
                shutil.copyfile(reference / name, own / name)
    run_stages(work, condition)
    for stage, own in work:
        yield stage, compare(reference, own, stage.outputs)
    shutil.rmtree(folder)


# ---- libraries


def libraries(arguments: argparse.Namespace) -> None:
    """Measure what each condition changes in a few computations of each library."""
    record = Record(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        usual, other = Path(temporary) / "usual.npz", Path(temporary) / "other.npz"
        probe(usual, Condition())
        for name, condition in (CONDITIONS | BY_LIBRARY).items():
            if condition.environment:
                probe(other, condition)
                record.add("probe", condition=name, **probed(usual, other))


# What each library computes in the probe, so that a condition that does nothing is seen.
PROBE = """
import math, sys
import numpy as np, torch
rng = np.random.default_rng(0)
a, b = rng.standard_normal((2, 200, 200))
x, y = torch.from_numpy(a).float(), torch.from_numpy(b).float()
c = abs(rng.standard_normal(20_000)).tolist()
np.savez(
    sys.argv[1],
    **{
        "NumPy: exp": np.exp(a),
        "NumPy: sums": a.astype(np.float32).sum(axis=1),
        "OpenBLAS: product": a @ b,
        "PyTorch: exp": x.exp(),
        "PyTorch: softmax": x.softmax(1),
        "MKL: product": x @ y,
        "oneDNN: convolution": torch.nn.functional.conv1d(x[None], y[:32, :, None].expand(-1, -1, 5).contiguous()),
        "C library: log, sin, power": [[math.log(v), math.sin(v), v**1.3] for v in c],
    },
)
"""


def probe(target: Path, condition: Condition) -> None:
    """Compute a little with each library under a condition."""
    environment = os.environ | condition.environment
    subprocess.run([sys.executable, "-c", PROBE, target], env=environment, check=True, stderr=subprocess.DEVNULL)


def probed(usual: Path, other: Path) -> dict[str, str]:
    """Computation -> how it differs from the usual one."""
    first, second = storage.load_arrays(usual), storage.load_arrays(other)
    steps = {name: _apart(array, second[name])[:2] for name, array in first.items()}
    return {name: f"{step / scale:.0e}" if step else "same" for name, (step, scale) in steps.items()}


# ---- report

INTRODUCTION = """# Exactness beyond one run

The same inputs, params and machine give the same bytes: all randomness comes from the params' seeds, and files hold no
times. This page says what other threads, other processes and other machines do to that.

    python benchmarks/exactness.py embeddings
    python benchmarks/exactness.py frames
    python benchmarks/exactness.py libraries
    python benchmarks/exactness.py report

A small experiment runs once, on the default environment and one process: the reference. Then each stage runs by itself
on the reference's inputs under each condition, so that a difference is that stage's own, and its artifacts are compared
with the reference's, byte by byte. Other machines are stood in for by limiting what the libraries may use of this one:
AVX2 is a processor without AVX-512, SSE one of 2008. Real other machines have other numbers of cores, too, and other
architectures; they can only differ more.

A cell says `same` where all bytes are. Otherwise it gives the largest difference of any fractional number, relative to
the largest magnitude of its array or column, and how many whole numbers (codes, counts) and words differ, of those in
files that differ. The last but one column is of the whole experiment under a condition, each stage on what the stages
before it made there."""

ADVICE = """## Why, and what to do

Sums of floating-point numbers depend on their order. How many numbers a processor adds at once sets that order, and so
does how many threads share a sum; exponentials and logarithms have other last digits on other vector extensions. The
libraries choose by the machine, and none of them promises equal bytes on two. A difference in the last digit stays one
where the next step is smooth: features (stored in half precision, where the last digit is 5e-4), embeddings, sound.
It becomes another result where it is repeated or decides between nearly equal numbers: in the training of the encoder,
in cells that are annealed until they are equal, in what follows from their thresholds. How little that means for the
figures is in the tables of shifts. Codes did not differ where codebooks were the same.

- **Processes** (`compute.workers`) do not matter: what one item gives does not depend on the others, and results are
  put together in the items' order.
- **Threads** are held at one in codebooks, attackers and readings of attributes, and in the encoder at
  `encoder.threads`, one by default. Where the table shows a difference under 1 thread, pin them:
  `OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 dvc repro`.
- **Other machines:** share artifacts, do not make them again ([sharing.md](sharing.md)). DVC's cache is addressed by
  content: who pulls has the bytes that the figures were computed from, and stages that have run do not run again.
- **Figures** that were computed again elsewhere are to be compared within their intervals, not digit by digit.
- **Rounding** what is stored helps only where errors are far smaller than what is rounded to, as for a few double
  numbers. Of many embeddings some always lie so near the edge between two roundings that the last digit decides."""


def report(arguments: argparse.Namespace) -> None:
    """Write the page."""
    records: dict[str, dict[str, Any]] = {}
    for name in ("libraries", *MAPS):
        path = arguments.results / f"{name}.json"
        if path.exists():
            records[name] = storage.load_json(path)
        else:
            print(f"{name}: not measured yet")
    parts = [INTRODUCTION, *(_stages_section(MAPS[name], records[name]) for name in MAPS if name in records)]
    if "libraries" in records:
        parts.append(_libraries_section(records["libraries"]))
    parts.append(ADVICE)
    with storage.replacing(arguments.page) as file:
        file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"wrote {arguments.page.name}")


TABLES = ("stage", "whole")  # each stage by itself; each on what the stages before it made


def _stages_section(map_file: Path, record: dict[str, Any]) -> str:
    rows = pd.DataFrame(record["rows"])
    conditions = record["options"]["conditions"]
    texts = [rows[rows["table"] == name].pivot(index="stage", columns="condition", values="text") for name in TABLES]
    cells = texts[0].join(texts[1].add_suffix(", whole"))
    stages = rows.loc[rows["table"] == "stage", "stage"].unique()
    by = cells[[name for name in BY_LIBRARY if name in cells]]
    cells["why"] = (by.notna() & (by != "same")).apply(lambda row: ", ".join(by.columns[row]), axis=1)
    shown = [*conditions, *(name for name in cells if name.endswith(", whole")), "why"]
    exact = [f"{np.sum(cells[name] == 'same')} under {name}" for name in conditions]
    parts = [
        f"## Stages of {map_file.as_posix()}",
        f"Of {len(stages)} stages, those that write the same bytes: {', '.join(exact)}.\n\n"
        f"`{record['command']}`: {record['minutes']:.0f} minutes on {record['machine']}.",
        table_of(
            ["stage", *shown[:-1], "SSE: by which library"],
            [[f"`{stage}`", *cells.loc[stage, shown]] for stage in stages],
        ),
    ]
    shifted = rows[rows["table"] == "shift"]
    for condition in shifted["condition"].unique():
        here = shifted[(shifted["condition"] == condition) & (shifted["n"] > 0)]
        parts += [
            f"The whole experiment under {condition}: how far its figures are from the reference's, in widths of their "
            "95 % intervals.",
            table_of(
                ["table", "figures", "median shift", "largest", "outside their interval"],
                [
                    [
                        f"`{r['file']}`",
                        f"{r['n']:.0f}",
                        f"{r['median']:.2g}",
                        f"{r['largest']:.2g}",
                        f"{r['outside']:.1%}",
                    ]
                    for _, r in here.iterrows()
                ],
            ),
        ]
    return "\n\n".join(parts)


def _libraries_section(record: dict[str, Any]) -> str:
    rows = [{key: value for key, value in row.items() if key not in ("table", "condition")} for row in record["rows"]]
    settings = (CONDITIONS | BY_LIBRARY).items()
    set_by = [[name, "<br>".join(f"`{k}={v}`" for k, v in one.environment.items())] for name, one in settings]
    return "\n\n".join(
        [
            "## What each condition sets, and reaches",
            "From NumPy's list of extensions the script takes those of the machine it runs on.",
            table_of(["condition", "environment"], [row for row in set_by if row[1]]),
            "A few computations of each library, compared with those under no condition: one that reached nothing "
            "would be the same everywhere, and say nothing above.",
            table_of(
                ["condition", *rows[0]],
                [[row["condition"], *one.values()] for row, one in zip(record["rows"], rows, strict=True)],
            ),
        ]
    )


if __name__ == "__main__":
    main()
