"""One clone in which a small experiment has run, and what all tests of sharing do with clones of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from clones import Clone, reproduced


@pytest.fixture(scope="session", autouse=True)
def _nobodys_settings(tmp_path_factory):
    """Neither the settings nor the index of DVC and git that the user has on this machine."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
            patch.setenv(name, str(home / name))
        patch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
        (home / "gitconfig").write_text("[user]\n\tname = test\n\temail = test@example.org\n")
        yield


@pytest.fixture(scope="session")
def origin(tmp_path_factory, _nobodys_settings) -> Clone:
    """A clone in which the experiment has run and was committed; left as it is."""
    return reproduced(tmp_path_factory.mktemp("origin") / "clone")


@pytest.fixture
def alice(origin, tmp_path) -> Clone:
    """A copy of ``origin``, its cache included, that a test may change."""
    shutil.copytree(origin.path, tmp_path / "alice", symlinks=True)
    return Clone(tmp_path / "alice")


@pytest.fixture
def bob(alice, tmp_path) -> Clone:
    """A git clone of ``alice`` that has none of her data."""
    return alice.clone(tmp_path / "bob")


@pytest.fixture
def store(tmp_path) -> Path:
    """An empty folder that outlives the servers over it."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"
