"""What goes wrong is said, loses nothing, and the next try ends with the same bytes.

Runs that are killed: tests/test_pipeline.py kills one five times, `benchmarks/sharing.py kills` twenty.
"""

import re
import shutil
import subprocess

import pytest
import servers
from clones import PAGE, stages_run
from pipeline import environment
from webdav_server import USERS

LOGIN = {"user": USERS[0], "password": servers.PASSWORD, "jobs": "1"}
GONE = "Server disconnected without sending a response", "Connection reset by peer"  # whichever is noticed first
SWEEP = re.search(r"```sh store\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[1]


def says(messages, output):
    """Whether DVC printed one of the messages, all of which the page explains."""
    messages = (messages,) if isinstance(messages, str) else messages
    for message in messages:
        assert message in PAGE.read_text(), f"docs/sharing.md does not explain {message!r}"
    assert any(message in output for message in messages), output
    return True


def sweep(store):
    """Run the page's command that removes damaged objects; return what it printed."""
    return subprocess.run(["sh", "-ec", SWEEP], cwd=store, check=True, text=True, capture_output=True).stdout


def objects(folder):
    """All objects in a store or cache, by their names."""
    return {file.parent.name + file.name for file in (folder / "files").rglob("*") if file.is_file()}


def test_a_server_dies_in_the_middle_of_a_push(alice, bob, store):
    with servers.webdav(store, dies_at=("PUT", 15)) as address:
        alice.remote(address, **LOGIN)
        status, output = alice.attempt("push", "--run-cache")
    assert status != 0 and says(GONE, output)
    assert 0 < len(objects(store)) < len(objects(alice.path / ".dvc" / "cache"))
    assert len(sweep(store).split()) == 1  # half of an object, under the name of the whole
    with servers.webdav(store) as address:
        alice.remote(address, **LOGIN)
        alice.dvc("push", "--run-cache")
        assert sweep(store) == ""
        bob.remote(address, **LOGIN)
        bob.dvc("pull")
    assert bob.digests() == alice.digests()


def test_a_server_dies_in_the_middle_of_a_pull(alice, bob, store):
    alice.remote(store)
    alice.dvc("push")
    with servers.webdav(store, dies_at=("GET", 20)) as address:
        bob.remote(address, verify="true", **LOGIN)
        status, output = bob.attempt("pull")
    assert status != 0 and says("peer closed connection without sending complete message body", output)
    had = objects(bob.path / ".dvc" / "cache")
    assert had and sweep(bob.path / ".dvc" / "cache") == ""  # without `verify` half an object would be among them
    with servers.webdav(store) as address:
        bob.remote(address, verify="true", **LOGIN)
        fetched = re.search(r"(\d+) files? fetched", bob.dvc("pull"))[1]
    assert int(fetched) <= len(objects(store)) - len(had)  # what had arrived is not fetched again
    assert bob.digests() == alice.digests()


def test_a_corrupt_object_is_found_by_verify_only(alice, bob, store):
    alice.remote(store)
    alice.dvc("push")
    damaged = alice.object("codebooks@curve:data/codebooks/curve.npz", store)
    content = bytearray(damaged.read_bytes())
    content[100] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(content)
    carol = alice.clone(bob.path.with_name("carol"))
    bob.remote(store)
    bob.dvc("pull")
    assert bob.digests() != alice.digests()  # believed, and wrong
    carol.remote(store, verify="true")
    status, output = carol.attempt("pull")
    assert status != 0 and says("failed to pull data from the cloud - Checkout failed for following targets", output)
    assert "data/codebooks/curve.npz" in output
    assert stages_run(carol.dvc("repro", "--pull", "resample")) == ["codebooks@curve"]
    assert carol.digests() == alice.digests()
    assert sweep(store).split() == [str(damaged.relative_to(store))]
    alice.dvc("push")
    assert damaged.exists() and sweep(store) == ""


def on_a_small_disk(clone, folder, kilobytes, command):
    """Run a command twice with a file system of its own at a folder of the clone: a small one, then an ample one.

    Returns two pairs of exit status and output, and what was left in the folder after the first.
    """
    script = f"""
        mount -t tmpfs -o size={kilobytes}k none {folder}
        {command}; echo "= $?"; ls -A {folder}; echo =
        mount -o remount,size=64m {folder}
        {command}; echo "= $?"
    """
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "mount", "-t", "tmpfs", "none", "/mnt"]).returncode:
        pytest.skip("may not mount a small disk here")
    (clone.path / folder).mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [*namespace, "sh", "-c", script],
        cwd=clone.path,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    first, status, left, second, final = re.fullmatch(
        r"(.*)^= (\d+)\n(.*)^=\n(.*)^= (\d+)\n", done.stdout, flags=re.DOTALL | re.MULTILINE
    ).groups()
    return (int(status), first), (int(final), second), left.split()


def test_a_pull_on_to_a_full_disk(alice, bob, store):
    alice.remote(store)
    alice.dvc("push")
    bob.remote(store)
    (status, first), (final, _), _ = on_a_small_disk(bob, ".dvc/cache", 48, "dvc pull")
    assert status != 0 and says("No space left on device", first) and says("files failed to download", first)
    assert final == 0
    assert bob.digests() == alice.digests()


def test_a_stage_on_a_full_disk(alice):
    alice.change("codebooks", repeats=20)
    shutil.rmtree(alice.path / "data" / "codebooks")
    (status, first), (final, second), left = on_a_small_disk(alice, "data/codebooks", 8, "dvc repro codebooks@curve")
    assert status != 0 and says("No space left on device", first)
    assert says("failed to reproduce", first)
    assert left == []
    assert final == 0 and stages_run(second) == ["codebooks@curve"]


def test_two_runs_in_one_clone(alice):
    alice.change("certificate", calibration_fraction=0.5)
    first = alice.start("repro", "certificate")
    next(line for line in first.stdout if stages_run(line))
    status, output = alice.attempt("repro", "certificate")
    assert status != 0 and says("is busy, it is being blocked by", output) and str(first.pid) in output
    first.communicate()
    assert first.returncode == 0
    assert stages_run(alice.dvc("repro", "certificate")) == []
