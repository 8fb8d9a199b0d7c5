"""Importing `stages` first sets how torch's threads wait, before any test imports torch."""

import sys

import pytest

import stages  # noqa: F401

LONGEST = ("test_pipeline.py", "test_tutorial.py", "test_kmeans_audio.py")


@pytest.fixture
def one_thread():
    """Threads only wait for each other on tensors as small as those of tests."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)  # first, so that no core waits for them at the end
    # Hypothesis asks every loaded module for its file, at which speechbrain's lazy ones import what is not installed.
    lazy = sys.modules.get("speechbrain.utils.importutils")
    if lazy is not None:
        lazy.LazyModule.__file__ = None
