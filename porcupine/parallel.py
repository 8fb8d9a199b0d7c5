"""One function over many items, on several processes, results in order, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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

    workers : processes; 0 means one a core, 1 means this process.
    description : label of the progress bar; empty for no bar.
    """
    results: Iterable[Any]
    if workers == 1 or len(items) < 2:
        results = map(function, items)
    else:
        pool = joblib.Parallel(n_jobs=workers or -1, return_as="generator", batch_size="auto")
        results = pool(joblib.delayed(function)(item) for item in items)
    yield from tqdm(results, desc=description, total=len(items), unit=unit, disable=not description)
