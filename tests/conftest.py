"""Importing `stages` first sets how torch's threads wait, before any test imports torch."""

import stages  # noqa: F401
