"""Errors that name the thing, its value and what to do.

InputError   what the user gave cannot be used
nearest      misspelt name -> what was meant
extra        context manager: imports of packages that only some installations have
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Something the user gave (a file, a parameter, a corpus) cannot be used; the message says what to change."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the valid name closest to ``name``, else the list of valid names."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; choose from {', '.join(names)}"


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import what the extra ``name`` of this package installs; where it is missing, InputError says how to get it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(f"the package {error.name} is not installed: pip install 'porcupine[{name}]'") from error
