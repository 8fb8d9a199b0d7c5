"""Cells of Markdown tables: numbers with their intervals.

number               a figure with so many digits
percent, interval    value and 95 % interval -> "12.3 [10.1, 14.2]", in percent or as it is
markdown             columns and cells of each row -> table
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def number(value: float, digits: int = 3) -> str:
    """Write a figure with so many significant digits; what is as good as 0 as 0; a dash where there is none."""
    if math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{0 if abs(value) < 1e-6 else value:.{digits}g}"


def percent(value: float, low: float, high: float) -> str:
    """A share, in percent."""
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def interval(value: float, low: float, high: float) -> str:
    """A number with two decimals; a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def markdown(columns: Sequence[str], cells: Mapping[str, Sequence[str]]) -> str:
    """Title of each row -> its cells, as a table. Bars in them are escaped, line ends become spaces."""
    lines = [_line(["", *columns]), "|---" * (len(columns) + 1) + "|"]
    return "\n".join([*lines, *(_line([row, *entries]) for row, entries in cells.items())])


def _line(cells: Sequence[str]) -> str:
    first, *others = (" ".join(cell.splitlines()).replace("|", "\\|") for cell in cells)
    return f"| {first + ' ' if first else ''}| {' | '.join(others)} |"
