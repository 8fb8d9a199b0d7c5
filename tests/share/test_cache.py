"""One cache for a group on one machine: every object is there once, and all may write."""

import os
import stat

import pytest


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o2775)  # files in it belong to its group
    return folder


def share(clone, cache):
    clone.dvc("cache", "dir", "--local", str(cache))
    clone.dvc("config", "--local", "cache.shared", "group")
    clone.dvc("config", "--local", "cache.type", "symlink")


def test_two_clones_use_one_copy_that_the_group_may_write(alice, bob, store, cache):
    alice.remote(store)
    alice.dvc("push", "--run-cache")
    carol = alice.clone(bob.path.with_name("carol"))
    before = os.umask(0o002)  # DVC sets the modes of objects, but not of the run cache that it pulls
    try:
        for clone in (bob, carol):
            share(clone, cache)
        bob.remote(store)
        bob.dvc("repro", "--pull")
        carol.dvc("checkout")  # has no remote: all is in the cache
        carol.change("certificate", calibration_fraction=0.5)
        carol.dvc("repro", "certificate")
    finally:
        os.umask(before)
    for clone in (bob, carol):
        book = clone.path / "data" / "codebooks" / "curve.npz"
        assert book.is_symlink() and book.resolve() == clone.object("codebooks@curve:data/codebooks/curve.npz", cache)
    found = list(cache.rglob("*"))
    assert not [path for path in found if path.is_dir() and not path.stat().st_mode & stat.S_IWGRP]
    objects = [path for path in found if path.is_file() and "files" in path.parts]
    assert objects and {stat.S_IMODE(path.stat().st_mode) for path in objects} == {0o444}  # nobody writes into them
    assert all(path.stat().st_mode & stat.S_IRGRP for path in found)
    assert {path.stat().st_gid for path in found} == {cache.stat().st_gid}
    assert bob.digests() == alice.digests()  # what Carol's run changed is another object
