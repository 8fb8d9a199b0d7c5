import hashlib
import http.server
import io
import stat
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from porcupine.corpora import downloads
from porcupine.errors import InputError

CONTENT = bytes(range(256)) * 4000
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` under any address, and lists the ranges asked for."""

    content = CONTENT
    ranges = True  # honours Range
    drop_after = None  # bytes of the body after which it hangs up
    drops = 0  # how many answers it breaks off so
    asked: list


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        if "absent" in self.path:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.drop_after is not None and server.drops > 0:
            server.drops -= 1
            body = body[: server.drop_after]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def address(server, name="data.bin"):
    return f"http://127.0.0.1:{server.server_port}/files/{name}"


def test_a_file_is_fetched_once(server, tmp_path):
    cache = tmp_path / "cache"
    path = downloads.fetch(address(server), DIGEST, cache)
    assert path == cache / "data.bin" and path.read_bytes() == CONTENT
    assert downloads.fetch(address(server), DIGEST, cache) == path
    assert server.asked == [None]
    assert [entry.name for entry in cache.iterdir()] == ["data.bin"]


def test_a_file_put_there_by_hand_is_used(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    downloads.fetch(address(server), DIGEST, tmp_path)
    assert server.asked == []


def test_md5_digests_are_understood(server, tmp_path):
    digest = "md5:" + hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert downloads.fetch(address(server), digest, tmp_path).read_bytes() == CONTENT


def test_a_killed_download_continues_where_it_stopped(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    assert downloads.fetch(address(server), DIGEST, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_a_server_without_ranges_sends_it_all_again(server, tmp_path):
    server.ranges = False
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    assert downloads.fetch(address(server), DIGEST, tmp_path).read_bytes() == CONTENT


def test_a_partial_file_that_is_whole_needs_no_more_bytes(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert downloads.fetch(address(server), DIGEST, tmp_path).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_a_partial_file_that_is_too_long_is_started_anew(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"x")
    assert downloads.fetch(address(server), DIGEST, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] is None


def test_a_connection_that_breaks_is_taken_up_again(server, tmp_path):
    server.drop_after, server.drops = 300_000, 3
    assert downloads.fetch(address(server), DIGEST, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 4 and server.asked[0] is None and server.asked[-1].startswith("bytes=")


def test_a_connection_that_brings_nothing_more_keeps_what_came(server, tmp_path):
    server.ranges, server.drop_after, server.drops = False, 300_000, 2
    with pytest.raises(InputError, match=r"download failed .* holds what came, the next run continues there"):
        downloads.fetch(address(server), DIGEST, tmp_path)
    kept = (tmp_path / "data.bin.part").read_bytes()
    assert 0 < len(kept) <= 300_000 and CONTENT.startswith(kept)
    server.ranges = True
    assert downloads.fetch(address(server), DIGEST, tmp_path).read_bytes() == CONTENT


def test_a_wrong_file_is_refused_and_removed(server, tmp_path):
    server.content = b"<html>Please log in</html>"
    got = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(InputError) as error:
        downloads.fetch(address(server), DIGEST, tmp_path)
    for part in ("data.bin", DIGEST.removeprefix("sha256:"), got, "corpus.mirror"):
        assert part in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/data.bin", "gopher://localhost/data.bin", "data.bin"])
def test_an_address_out_of_reach_says_what_else_to_do(tmp_path, monkeypatch, url):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(InputError, match=r"download failed .*put data.bin into .* yourself"):
        downloads.fetch(url, DIGEST, tmp_path)


def test_a_file_that_the_server_lacks_is_an_input_error(server, tmp_path):
    with pytest.raises(InputError, match="404"):
        downloads.fetch(address(server, "absent.zip"), DIGEST, tmp_path)
    with pytest.raises(InputError, match="names no file"):
        downloads.fetch("http://127.0.0.1/", DIGEST, tmp_path)


def tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for member in members:
            member.size = 2 if member.isreg() else 0
            file.addfile(member, io.BytesIO(b"hi"))
    return path


def member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_a_tar_and_a_zip_unpack_alike(tmp_path):
    tar(tmp_path / "a.tar.gz", member("x/y.txt"), member("x/z", tarfile.DIRTYPE))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("x/y.txt", "hi")
    for archive in ("a.tar.gz", "a.zip"):
        downloads.extract(tmp_path / archive, tmp_path / "out")
        assert (tmp_path / "out/x/y.txt").read_text() == "hi"
    assert not (tmp_path / "out/x/z").exists()  # the second archive replaced the first


@pytest.mark.parametrize(
    "bad",
    [
        member("../evil.txt"),
        member("x/../../evil.txt"),
        member("/tmp/evil.txt"),
        member("link", tarfile.SYMTYPE, "/etc"),
        member("link", tarfile.LNKTYPE, "good.txt"),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=["up", "inner up", "absolute", "symbolic link", "hard link", "pipe"],
)
def test_a_tar_that_reaches_outside_is_refused_whole(tmp_path, bad):
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = tar(inner / "a.tar.gz", member("good.txt"), bad)
    with pytest.raises(InputError, match="not unpacked"):
        downloads.extract(archive, inner / "out")
    assert [entry.name for entry in inner.iterdir()] == ["a.tar.gz"]
    assert not (tmp_path / "evil.txt").exists()


@pytest.mark.parametrize("name", ["../evil.txt", "x/../../evil.txt", "/tmp/evil.txt", "..\\evil.txt", "link"])
def test_a_zip_that_reaches_outside_is_refused_whole(tmp_path, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    info = zipfile.ZipInfo("x")
    info.filename = name
    info.external_attr = ((stat.S_IFLNK if name == "link" else stat.S_IFREG) | 0o777) << 16
    with zipfile.ZipFile(inner / "a.zip", "w") as file:
        file.writestr("good.txt", "hi")
        file.writestr(info, "/etc")
    with pytest.raises(InputError, match="not unpacked"):
        downloads.extract(inner / "a.zip", inner / "out")
    assert [entry.name for entry in inner.iterdir()] == ["a.zip"]
    assert not (tmp_path / "evil.txt").exists()


def test_a_damaged_archive_is_an_input_error(tmp_path):
    whole = tar(tmp_path / "a.tar.gz", member("x.txt")).read_bytes()
    for content in (whole[:-20], b"not an archive", b""):
        (tmp_path / "a.tar.gz").write_bytes(content)
        with pytest.raises(InputError, match="not a sound archive"):
            downloads.extract(tmp_path / "a.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()
