"""A WebDAV server over a folder for two users, that can be told to die half-way through a transfer.

    PASSWORD=… python webdav_server.py FOLDER [METHOD N]    the Nth request of METHOD, such as PUT 5, is its last

It listens on a free port of the loopback and prints its address when it is ready.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cheroot.wsgi import Server
from wsgidav.wsgidav_app import WsgiDAVApp

USERS = ("alice", "carol")


class Mortal:
    """WSGI middleware that kills its own process half-way through the nth request of one method."""

    def __init__(self, app: Callable[..., Iterable[bytes]], method: str, n: int) -> None:
        self.app, self.method, self.left = app, method, n

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == self.method and "HTTP_AUTHORIZATION" in environ:
            self.left -= 1
            if self.left == 0 and self.method == "PUT":
                environ["wsgi.input"] = HalfABody(environ["wsgi.input"], int(environ["CONTENT_LENGTH"]))
            elif self.left == 0:
                return half_an_answer(self.app(environ, start_response))
        return self.app(environ, start_response)


class HalfABody:
    """A request's body that ends the process once half of it was read."""

    def __init__(self, body: Any, size: int) -> None:
        self.body, self.left = body, size // 2

    def read(self, size: int) -> bytes:
        chunk = self.body.read(min(size, self.left)) or die()
        self.left -= len(chunk)
        return chunk


def half_an_answer(answer: Iterable[bytes]) -> Iterator[bytes]:
    """Send half of the first chunk, then end the process."""
    chunk = next(iter(answer))
    yield chunk[: len(chunk) // 2]
    die()


def die() -> Any:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, method: str = "", n: str = "0") -> None:
    """Serve ``folder`` until killed."""
    app = WsgiDAVApp(
        {
            "provider_mapping": {"/store": folder},
            "simple_dc": {"user_mapping": {"*": {user: {"password": os.environ["PASSWORD"]} for user in USERS}}},
            "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
            "verbose": 1,
        }
    )
    server = Server(("127.0.0.1", 0), Mortal(app, method, int(n)))
    server.prepare()
    print(f"webdav://127.0.0.1:{server.bind_addr[1]}/store", flush=True)
    server.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
