"""A line to a server that the tests hold: it counts who waits, is slow, and is cut where told.

It reads the messages of PostgreSQL's protocol 3, as far as their borders and what they are.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

SSL_REQUEST: Final = struct.pack("!I", 80_877_103)
ANSWER_SECONDS: Final = 5.0
SIZE: Final = 65_536
ASKS: Final = frozenset({b"", b"Q", b"S", b"c", b"p"})
"""Messages after which a client waits: the first one, a query, a sync, COPY's end, a password."""
UNWAITED: Final = b"ROLLBACK\0"
"""The query that ends what wrote nothing: nobody waits for its answer."""

Told = Callable[[bytes, bytes], bool]


@dataclass
class Line:
    """A line while it stands: `port` leads to the server.

    `turns` counts how often a client waited. `cut_before` and `cut_after` are asked about each
    message of a client, by its type and body: true cuts the line before the server has it, or once
    the server has answered it, without the answer. `strike` is what happens with the cut. From the
    message on for which `hush` is true the line is `silent`: it takes what is sent, and nothing
    arrives on either side; what was connected meanwhile stays so for good.
    """

    port: int
    delay: float = 0.0
    cut_before: Told | None = None
    cut_after: Told | None = None
    hush: Told | None = None
    silent: bool = False
    strike: Callable[[], None] = lambda: None
    turns: int = 0
    cuts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def counted(self) -> int:
        """Return how often a client waited since this was last asked."""
        with self.lock:
            found, self.turns = self.turns, 0
        return found


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    """Yield a line to a port of this computer until the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    line = Line(listener.getsockname()[1])

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=_serve, args=(line, client, port), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield line
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


class _Cut(Exception):
    """The line is cut here."""


class _Silence:
    """What the server answers is dropped from here on; `answered` once it said something."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.answered = threading.Event()
        self.lasting = False


def _serve(line: Line, client: socket.socket, port: int) -> None:
    try:
        server = socket.create_connection(("127.0.0.1", port))
    except OSError:
        client.close()
        return
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    silence = _Silence()
    answers = threading.Thread(target=_answers, args=(line, server, client, silence), daemon=True)
    answers.start()
    with client, server:
        with suppress(_Cut, OSError):
            _asks(line, client, server, silence)
        for each in (server, client):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        answers.join(5)


def _asks(line: Line, client: socket.socket, server: socket.socket, silence: _Silence) -> None:
    """Carry what a client says, message by message."""
    buffer, typed = b"", False
    while data := client.recv(SIZE):
        buffer += data
        out, waits = b"", False
        while (found := _message(buffer, typed=typed)) is not None:
            kind, body, buffer = found
            typed = typed or body[4:8] != SSL_REQUEST
            line.silent = line.silent or (line.hush is not None and line.hush(kind, body[4:]))
            if line.cut_before is not None and line.cut_before(kind, body[4:]):
                line.cuts += 1
                line.strike()
                raise _Cut
            out += kind + body
            waits = waits or (kind in ASKS and body[4:] != UNWAITED)
            if line.cut_after is not None and line.cut_after(kind, body[4:]):
                line.cuts += 1
                silence.begun.set()
                server.sendall(out)
                silence.answered.wait(ANSWER_SECONDS)
                line.strike()
                raise _Cut
        if waits:
            with line.lock:
                line.turns += 1
            time.sleep(line.delay)
        silence.lasting = silence.lasting or line.silent
        if not silence.lasting:
            server.sendall(out)


def _answers(line: Line, server: socket.socket, client: socket.socket, silence: _Silence) -> None:
    with suppress(OSError):
        while data := server.recv(SIZE):
            silence.lasting = silence.lasting or line.silent
            if silence.begun.is_set():
                silence.answered.set()
            elif not silence.lasting:
                client.sendall(data)
        client.shutdown(socket.SHUT_RDWR)


def _message(buffer: bytes, *, typed: bool) -> tuple[bytes, bytes, bytes] | None:
    """Return the type, the body with its length and the rest; None where one is not whole."""
    start = 1 if typed else 0
    if len(buffer) < start + 4:
        return None
    size = struct.unpack("!I", buffer[start : start + 4])[0]
    if len(buffer) < start + size:
        return None
    return buffer[:start], buffer[start : start + size], buffer[start + size :]
