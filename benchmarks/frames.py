"""Speed of the second system: a codebook of millions of frames out of core, and what each clip costs.

    python benchmarks/frames.py codebooks
    python benchmarks/frames.py clips
    python benchmarks/frames.py report

Each command keeps what it measured in data/frames-speed/, as it goes; `report` writes reports/kmeans-audio-speed.md
from what is there. Let nothing else run meanwhile.

`here` is `porcupine.frames.codebook`. `mini-batch` is scikit-learn's MiniBatchKMeans, out of core too: one pass of
`partial_fit` over some 10 000 frames at a time. `plain` is its KMeans from k-means++ until it converges, frames in
memory; it gets a part of them, and its time is multiplied by what is left out, as if more frames needed no more rounds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from recording import GIB, Bench, Peak, Record, memory, sections, table_of, verdict
from scipy.ndimage import uniform_filter1d
from sklearn.cluster import KMeans, MiniBatchKMeans
from threadpoolctl import threadpool_limits

from porcupine import audio, ragged, storage
from porcupine.corpora import voices
from porcupine.figures.style import grouped
from porcupine.frames import codebook, mfcc, quality, rebuild
from porcupine.quantizers.base import distortion, nearest_codewords
from porcupine.randomness import generator

ROOT = Path(__file__).parents[1]
COEFFICIENTS, BANDS = 20, 40
TIMING = {"window_seconds": 0.025, "hop_seconds": 0.010}
UTTERANCE_FRAMES = 250
SOUNDS, SOUND_FRAMES = 64, 8
BATCH_UTTERANCES = 40
AIM_GIB = 2

Result = TypeVar("Result")


def main() -> None:
    """Run one command."""
    bench = Bench(__doc__, ROOT / "data" / "frames-speed")
    command = bench.command
    option = command(codebooks, "time fits and watch their memory, a process each; compare distortions")
    option("--frames", 5_000_000, "training frames")
    option("--test", 500_000, "frames of others, for the distortion")
    option("--plain", 100_000, "training frames for plain k-means")
    option("--codewords", [16, 64, 256, 512], "K")
    option("--threads", [1, 2], "threads")
    option = command(fit, "one fit, as JSON; for use by codebooks")
    option("--folder", "", "utterances, of porcupine.ragged")
    option("--side", "here", "what fits")
    option("--count", 16, "K")
    option("--threads", 1, "threads")
    option("--made", "", ".npy file for the codebook")
    option = command(clips, "time what each clip goes through, on one thread")
    option("--speakers", 30, "synthetic speakers")
    option("--utterances", 4, "of each")
    option("--codewords", [16, 64, 256, 512], "K")
    option = command(report, "write the page")
    option("--page", ROOT / "reports" / "kmeans-audio-speed.md", "Markdown file")
    bench.run()


# ---- codebooks


def codebooks(arguments: argparse.Namespace) -> None:
    """Fit each codebook in a process of its own."""
    record = Record(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, n_frames in (("train", arguments.frames), ("test", arguments.test), ("part", arguments.plain)):
            utterances = (
                draw_utterance("test" if part == "test" else "train", i) for i in range(n_frames // UTTERANCE_FRAMES)
            )
            ragged.write(folder / part, utterances, dtype="float32")
        test = joined(ragged.Ragged(folder / "test"))
        for count, n_codewords, side in itertools.product(arguments.threads, arguments.codewords, FITS):
            given, made = folder / ("part" if side == "plain" else "train"), folder / "codebook.npy"
            command = [sys.executable, __file__, "fit", "--folder", str(given), "--side", side, "--made", str(made)]
            command += ["--count", str(n_codewords), "--threads", str(count)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            codewords = storage.load_array(made)
            error = distortion(test, codewords, nearest_codewords(test, codewords))
            found = {"side": side, "codewords": n_codewords, "threads": count, "distortion": error}
            record.add("fit", **found, **json.loads(done.stdout))


def draw_utterance(part: str, i: int) -> np.ndarray:
    """Frames like those of speech: a new sound every 80 ms, glides between them, a speaker's offset, noise."""
    rng = generator(0, part, i)
    scale = 150 / np.arange(1, COEFFICIENTS + 1) ** 0.8
    sounds = generator(0, "sounds").standard_normal((SOUNDS, COEFFICIENTS))
    said = rng.integers(SOUNDS, size=-(-UTTERANCE_FRAMES // SOUND_FRAMES))
    course = uniform_filter1d(np.repeat(sounds[said], SOUND_FRAMES, axis=0)[:UTTERANCE_FRAMES], 5, axis=0)
    offset, noise = 0.3 * rng.standard_normal(COEFFICIENTS), 0.4 * rng.standard_normal(course.shape)
    return (scale * (course + offset + noise)).astype(np.float32)


def joined(utterances: ragged.Ragged) -> np.ndarray:
    """All frames in memory, and no more than that."""
    frames = np.empty((utterances.lengths.sum(), utterances[0].shape[1]), dtype=np.float32)
    for stop, utterance in zip(np.cumsum(utterances.lengths), utterances, strict=True):
        frames[stop - len(utterance) : stop] = utterance
    return frames


def fit(arguments: argparse.Namespace) -> None:
    """Fit one codebook; print seconds and bytes."""
    utterances = ragged.Ragged(arguments.folder)
    before = memory("RssAnon")
    with threadpool_limits(arguments.threads), Peak(partial(memory, "RssAnon"), every=0.01) as peak:
        began = time.perf_counter()
        found = FITS[arguments.side](utterances, arguments.count)
        seconds = time.perf_counter() - began
    storage.save_array(arguments.made, found.astype(np.float32))
    # Not ru_maxrss, which begins with the size of the process that this one was started from.
    measured = {"seconds": seconds, "anonymous": peak.value, "before": before, "resident": memory("VmHWM")}
    print(json.dumps(measured))


def here(utterances: ragged.Ragged, n_codewords: int) -> np.ndarray:
    """The codebook of `porcupine.frames.codebook`, float [K, C]."""
    return codebook.fit_codebook(utterances, n_codewords=n_codewords, seed=0).codebook


def mini_batch(utterances: ragged.Ragged, n_codewords: int) -> np.ndarray:
    """Mini-batches from disk, in order."""
    model = MiniBatchKMeans(n_codewords, n_init=1, random_state=0)
    for start in range(0, len(utterances), BATCH_UTTERANCES):
        model.partial_fit(joined(utterances[start : start + BATCH_UTTERANCES]))
    return model.cluster_centers_


def plain(utterances: ragged.Ragged, n_codewords: int) -> np.ndarray:
    """All frames in memory, until it converges."""
    return KMeans(n_codewords, n_init=1, random_state=0).fit(joined(utterances)).cluster_centers_


FITS = {"here": here, "mini-batch": mini_batch, "plain": plain}


# ---- clips


def clips(arguments: argparse.Namespace) -> None:
    """Time all steps on the same clips, after one clip that does not count."""
    record = Record(arguments)
    with tempfile.TemporaryDirectory() as name:
        table = voices.synthesize(Path(name), speakers=arguments.speakers, utterances=arguments.utterances, seed=0)
        places = table[["path", "start", "stop"]].itertuples(index=False)
        waveforms = [audio.read(Path(name) / path, start=start, stop=stop) for path, start, stop in places]
    torch.set_num_threads(1)
    with threadpool_limits(1):
        steps(waveforms[:1], arguments.codewords[:1], lambda *_, **__: None)
        steps(waveforms, arguments.codewords, record.add)


def steps(waveforms: list[np.ndarray], codewords: list[int], add: Callable[..., None]) -> None:
    """CPU seconds of each step, of all clips together."""
    size = {"clips": len(waveforms), "audio_seconds": sum(map(len, waveforms)) / audio.SAMPLE_RATE_HZ}
    seconds, frames = timed(
        lambda: [mfcc.mfcc(one, coefficients=COEFFICIENTS, bands=BANDS, **TIMING) for one in waveforms]
    )
    add("step", step="frames", seconds=seconds, **size)
    for count in codewords:
        seconds, fitted = timed(partial(codebook.fit_codebook, frames, n_codewords=count, seed=0))
        add("step", step="fit", codewords=count, seconds=seconds, **size)
        seconds, codes = timed(partial(list, map(fitted.encode, frames)))
        add("step", step="encode", codewords=count, seconds=seconds, **size)
        seconds, rebuilt = timed(partial(sound, fitted.codebook, codes, waveforms))
        add("step", step="rebuild", codewords=count, seconds=seconds, **size)
    seconds, _ = timed(lambda: [quality.compare(x, y) for x, y in zip(waveforms, rebuilt, strict=True)])
    add("step", step="quality", seconds=seconds, **size)
    few = waveforms[:10]
    seconds, _ = timed(lambda: [quality.pitch_track(one) for one in few])
    add("step", step="pitch", seconds=seconds, clips=len(few), audio_seconds=sum(map(len, few)) / audio.SAMPLE_RATE_HZ)


def sound(codewords: np.ndarray, codes: list[np.ndarray], waveforms: list[np.ndarray]) -> list[np.ndarray]:
    """Clips from the spectra of codewords, which are found once."""
    spectra = mfcc.spectra(codewords, bands=BANDS, window_seconds=TIMING["window_seconds"])
    rng = generator(0, "phases")
    return [
        rebuild.rebuild(spectra[one], n_samples=len(waveform), rng=rng, **TIMING)
        for one, waveform in zip(codes, waveforms, strict=True)
    ]


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """CPU seconds of this process that ``function`` takes, and its result."""
    began = time.process_time()
    result = function()
    return time.process_time() - began, result


# ---- report


def report(arguments: argparse.Namespace) -> None:
    """Write the page."""
    parts = ["# Speed of speech as quantised frames"]
    for _, section, heading, record in sections(arguments.results, SECTIONS):
        parts += [heading, *section(record["options"], pd.DataFrame(record["rows"]))]
    with storage.replacing(arguments.page) as file:
        file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"wrote {arguments.page.name}")


def codebooks_section(options: dict[str, Any], rows: pd.DataFrame) -> list[str]:
    """What was aimed at, then each codebook beside scikit-learn's."""
    mine = rows[rows["side"] == "here"]
    anonymous, before, resident = (mine[key].max() / GIB for key in ("anonymous", "before", "resident"))
    memory_text = f"{verdict(f'{resident:.2f} GiB', resident < AIM_GIB)} ({anonymous:.2f} GiB without the pages of "
    memory_text += f"mapped files, {before:.2f} GiB after the imports)"
    times = options["frames"] / options["plain"]
    seconds = rows["seconds"] * np.where(rows["side"] == "plain", times, 1)
    shown = rows.assign(seconds=seconds).pivot(index=["threads", "codewords"], columns="side")
    lines = []
    for (count, n_codewords), row in shown.iterrows():
        took, errors = row["seconds"], row["distortion"]
        ratios = [f"{took[side] / took['here']:.1f}" for side in ("mini-batch", "plain")]
        lines.append(
            [
                count,
                n_codewords,
                *(f"{took[side]:.0f}" for side in FITS),
                *ratios,
                *(f"{errors[side]:.1f}" for side in FITS),
            ]
        )
    headings = ["threads", "K", "here, s", "mini-batch, s", "plain, s", "mini-batch / here", "plain / here"]
    return [
        f"{grouped(options['frames'])} frames of {COEFFICIENTS} coefficients, made up, in utterances of "
        f"{UTTERANCE_FRAMES}; a process for each fit. *Here* is `porcupine.frames.codebook`, which reads them "
        f"from disk: {grouped(codebook.SAMPLE_FRAMES)} at most shape the cells, all set the codewords.",
        table_of(["", "aim", ""], [["peak memory, resident", f"< {AIM_GIB} GiB", memory_text]]),
        "*Mini-batch* is scikit-learn's MiniBatchKMeans, out of core too: one pass of `partial_fit` over "
        f"{grouped(BATCH_UTTERANCES * UTTERANCE_FRAMES)} frames at a time. *Plain* is its KMeans until it converges, "
        f"in memory: measured on {grouped(options['plain'])} frames, its seconds multiplied by {times:g} as if more "
        f"frames needed no more rounds. Distortion: mean squared error of {grouped(options['test'])} frames of other "
        "utterances.\n\n" + table_of([*headings, *(f"distortion, {side}" for side in FITS)], lines),
    ]


def clips_section(options: dict[str, Any], rows: pd.DataFrame) -> list[str]:
    """CPU milliseconds a clip."""
    each = 1000 * rows["seconds"] / rows["clips"]
    common = {step: each[rows["step"] == step].iloc[0] for step in ("frames", "quality", "pitch")}
    fits = rows.assign(each=each).dropna(subset="codewords").pivot(index="codewords", columns="step", values="each")
    first = rows.iloc[0]
    return [
        f"{first['clips']} synthetic clips of {first['audio_seconds'] / first['clips']:.1f} s on average. CPU "
        f"milliseconds a clip, one thread: its frames take {common['frames']:.1f}, the quality of one rebuilt clip "
        f"{common['quality']:.0f}, and one pitch track {common['pitch']:.0f}.",
        table_of(
            ["K", "codebook, its share of the fit", "encode", "rebuild", "together"],
            [
                [f"{count:g}", *(f"{row[step]:.2f}" for step in ("fit", "encode", "rebuild")), f"{row.sum():.0f}"]
                for count, row in fits.iterrows()
            ],
        ),
    ]


SECTIONS = {
    "codebooks": ("Codebooks of millions of frames", codebooks_section),
    "clips": ("From a clip to its rebuilt sound", clips_section),
}


if __name__ == "__main__":
    main()
