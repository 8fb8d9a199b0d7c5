"""One function over many items, on several processes, results in order, with a progress bar."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import joblib
from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int = 0,
    description: str = "",
    unit: str = "clip",
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in the items' order whatever finishes first.

    workers : processes; 0 means one a core, 1 means this process. Relative paths mean in them what they mean here.
    description : label of the progress bar; empty for no bar.
    """
    results: Iterable[Any]
    if workers == 1 or len(items) < 2:
        results = map(function, items)
    else:
        pool = joblib.Parallel(n_jobs=workers or -1, return_as="generator", batch_size="auto")
        results = pool(joblib.delayed(_run_in)(Path.cwd(), function, item) for item in items)
    yield from tqdm(results, desc=description, total=len(items), unit=unit, disable=not description)


def _run_in(folder: Path, function: Callable[[Item], Result], item: Item) -> Result:
    """Workers outlive a call, and keep the current folder of the first."""
    if Path.cwd() != folder:
        os.chdir(folder)
    return function(item)
