"""Remotes beyond what the page shows: results that nobody committed, who may not write, where passwords are."""

import servers
from clones import PAGE, stages_run
from webdav_server import USERS


def test_the_run_cache_gives_back_what_another_has_run(alice, bob, store):
    # Alice has not committed her change, so that Bob does not have its dvc.lock.
    for clone in (alice, bob):
        clone.remote(store, verify="true")
        clone.change("codebooks", seed=5)
    assert stages_run(alice.dvc("repro", "codebooks@curve")) == ["codebooks@curve"]
    alice.dvc("push", "--run-cache")
    output = bob.dvc("repro", "--pull", "codebooks@curve")
    assert stages_run(output) == [] and "Stage 'codebooks@curve' is cached - skipping run" in output
    book = "data/codebooks/curve.npz"
    assert bob.digests()[book] == alice.digests()[book]


def test_a_web_server_is_not_written_to(alice, store):
    with servers.http(store) as address:
        alice.remote(address)
        status, output = alice.attempt("push")
    assert status != 0 and list(store.iterdir()) == []
    said = "Unsupported method"
    assert said in output and said in PAGE.read_text()


def test_a_wrong_password_is_refused(alice, store):
    with servers.webdav(store) as address:
        alice.remote(address, user=USERS[0], password="guessed")
        status, output = alice.attempt("push")
    assert status != 0 and list(store.iterdir()) == []
    said = "received 401 (Not Authorized)"
    assert said in output and said in PAGE.read_text()


def test_a_password_never_gets_into_git(alice):
    alice.dvc("remote", "add", "--default", "group", "webdav://server.example/store")
    alice.dvc("remote", "modify", "--local", "group", "password", servers.PASSWORD)
    assert servers.PASSWORD in (alice.path / ".dvc" / "config.local").read_text()
    alice.commit()
    assert ".dvc/config" in alice.git("show", "--stat", "--format=")
    assert servers.PASSWORD not in alice.git("log", "--patch", "--text", "--all")
