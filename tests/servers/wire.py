"""HTTP for the test servers: one socket, basic authentication, and misbehaviour on demand."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from tests.servers.rpc import Reply

OPEN_PATHS = "/esplora"
BUSY = "Work queue depth exceeded"
POLL_SECONDS = 0.02


class Request(NamedTuple):
    """What came in."""

    method: str
    path: str
    body: bytes


class Answer(NamedTuple):
    """What goes out."""

    status: int
    body: bytes
    kind: str = "text/plain"

    @classmethod
    def of_json(cls, reply: Reply) -> "Answer":
        if reply.document is None:
            return cls(reply.status, b"")
        return cls(reply.status, json.dumps(reply.document).encode() + b"\n", "application/json")


@dataclass
class Mischief:
    """How the server is to misbehave next."""

    statuses: list[int] = field(default_factory=list)
    whole_answers: int = 0
    cuts: int = 0
    delay_seconds: float = 0.0

    def status(self) -> int | None:
        """Return the status to answer with instead, if one is due."""
        return self.statuses.pop(0) if self.statuses else None

    def cut(self) -> bool:
        """Tell whether this answer is to break off."""
        if not self.cuts:
            return False
        if self.whole_answers:
            self.whole_answers -= 1
            return False
        self.cuts -= 1
        return True


class Listener(ThreadingHTTPServer):
    """Holds many callers in its queue: one turned away comes back only after a second."""

    request_queue_size = 128
    # Every thread is waited for, so that no socket is left to the garbage collector.
    daemon_threads = False


class Server:
    """Answers in threads; may stop and start again on the same port."""

    def __init__(self, answer: Callable[[Request], Answer], mischief: Mischief) -> None:
        self.answer = answer
        self.mischief = mischief
        self.port = 0
        self.login = b""
        self._open: set[socket.socket] = set()
        self._http: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def start(self, login: str) -> None:
        self.login = b"Basic " + base64.b64encode(login.encode())
        self._http = Listener(("127.0.0.1", self.port), self._handler())
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(POLL_SECONDS,))
        self._thread.start()

    def stop(self) -> None:
        if self._http is None or self._thread is None:
            return
        self._http.shutdown()
        self._thread.join()
        for connection in list(self._open):
            self.hang_up(connection)
        self._http.server_close()
        self._http = None

    def hang_up(self, connection: socket.socket) -> None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # the client was quicker
            self._open.discard(connection)

    def welcome(self, connection: socket.socket) -> None:
        self._open.add(connection)

    def forget(self, connection: socket.socket) -> None:
        self._open.discard(connection)

    def authorised(self, path: str, credentials: str) -> bool:
        return path.startswith(OPEN_PATHS) or credentials.encode() == self.login

    def _handler(self) -> type["Connection"]:
        return type("ServedConnection", (Connection,), {"owner": self})


class Connection(BaseHTTPRequestHandler):
    """One connection of one client."""

    owner: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.owner.welcome(self.connection)

    def finish(self) -> None:
        self.owner.forget(self.connection)
        try:
            super().finish()
        except OSError:  # what was left to say has no listener
            self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client hung up, or the server stopped
            self.close_connection = True

    def do_GET(self) -> None:
        self._respond(b"")

    def do_POST(self) -> None:
        self._respond(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's own
        """Say nothing on the test's stderr."""

    def _respond(self, body: bytes) -> None:
        mischief = self.owner.mischief
        time.sleep(mischief.delay_seconds)
        answer = self._refusal() or self.owner.answer(Request(self.command, self.path, body))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="jsonrpc"')
        self.end_headers()
        if mischief.cut():
            self.close_connection = True
            self.wfile.write(answer.body[: len(answer.body) // 2])
        else:
            self.wfile.write(answer.body)

    def _refusal(self) -> Answer | None:
        if status := self.owner.mischief.status():
            return Answer(
                status, BUSY.encode() if status == HTTPStatus.SERVICE_UNAVAILABLE else b""
            )
        if not self.owner.authorised(self.path, self.headers.get("Authorization", "")):
            return Answer(HTTPStatus.UNAUTHORIZED, b"")
        return None
