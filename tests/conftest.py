"""Importing `stages` first sets how torch's threads wait, before any test imports torch."""

import sys

import pytest

import stages  # noqa: F401


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems():
    # Hypothesis asks every loaded module for its file, at which speechbrain's lazy ones import what is not installed.
    lazy = sys.modules.get("speechbrain.utils.importutils")
    if lazy is not None:
        lazy.LazyModule.__file__ = None
