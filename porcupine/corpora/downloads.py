"""Downloads that are verified, resumed and unpacked safely.

    fetch       address and digest -> file on disk, once
    extract     .tar.gz or .zip archive -> folder, nothing outside it

A download that breaks off leaves NAME.part, and the next call asks the server for the rest.
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pooch
import requests
from tqdm import tqdm

from porcupine.errors import InputError
from porcupine.storage import replacing

_TIMEOUT_SECONDS = (30, 60)  # to connect, and between two reads
_CHUNK_BYTES = 1 << 16  # at most so much is lost where a connection breaks


def fetch(url: str, digest: str, folder: Path, *, progress: bool = False) -> Path:
    """Return the file that ``url`` names, in ``folder``: downloaded unless it is there with that digest.

    digest : "md5:…" or "sha256:…".
    A connection that breaks is taken up again as long as each try brings more of the file.
    Raises InputError where the server cannot be reached, refuses, breaks off, or sends a file with another digest
    (which is removed).
    """
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    if not name:
        raise InputError(f"{url}: the address names no file")
    partial = folder / f"{name}.part"

    def downloader(url: str, output_file: str, _: Any) -> None:
        _download(url, partial, progress=progress)
        partial.replace(output_file)

    try:
        return Path(pooch.retrieve(url, digest, fname=name, path=folder, downloader=downloader))
    except requests.RequestException as error:
        kept = f"; {partial} holds what came, the next run continues there" if partial.exists() else ""
        raise InputError(
            f"{url}: download failed ({error}){kept}. Without a network, put {name} into {folder} yourself, "
            "or point corpus.path at your copy of the corpus"
        ) from error
    except ValueError as error:
        raise InputError(f"{url}: {error} Check corpus.mirror, or try again") from error


def _download(url: str, partial: Path, *, progress: bool) -> None:
    most = partial.stat().st_size if partial.exists() else 0
    while True:
        try:
            _continue(url, partial, progress=progress)
            return
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            size = partial.stat().st_size if partial.exists() else 0
            if size <= most:
                raise
            most = size


def _continue(url: str, partial: Path, *, progress: bool) -> None:
    offset = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
        content_range = response.headers.get("Content-Range", "")
        if offset and response.status_code == 416 and content_range == f"bytes */{offset}":
            return
        resumed = response.status_code == 206 and content_range.startswith(f"bytes {offset}-")
        if offset and not resumed and response.status_code in (206, 416):
            partial.unlink()
            _continue(url, partial, progress=progress)
            return
        response.raise_for_status()
        offset = offset if resumed else 0
        length = response.headers.get("Content-Length")
        bar = tqdm(
            desc=partial.stem,
            initial=offset,
            total=offset + int(length) if length else None,
            unit="B",
            unit_scale=True,
            disable=not progress,
        )
        with bar, partial.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))


def extract(archive: Path, destination: Path) -> None:
    """Unpack ``archive`` as the folder ``destination``, replacing one that is there; on an error nothing changes.

    Raises InputError where the archive is damaged, or a member is a link, a device or outside the folder.
    """
    try:
        with replacing(destination) as temporary:
            temporary.mkdir()
            if archive.suffix == ".zip":
                _unzip(archive, temporary)
            else:
                _untar(archive, temporary)
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(
            f"{archive}: not a sound archive ({error}): delete it, so that it is downloaded again"
        ) from error


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            _require_plain(archive, member.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
        file.extractall(folder)


def _untar(archive: Path, folder: Path) -> None:
    def plain(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
        _require_plain(archive, member.name, member.isreg() or member.isdir())
        return tarfile.data_filter(member, path)

    with tarfile.open(archive) as file:
        file.extractall(folder, filter=plain)


def _require_plain(archive: Path, name: str, plain: bool) -> None:
    path = PurePosixPath(name)
    if not plain or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise InputError(f"{archive}: member {name!r} is a link or lies outside the folder: not unpacked")
