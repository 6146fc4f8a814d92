"""A SOCKS5 proxy (RFC 1928) on the loopback that counts whom it was asked for."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

NO_LOGIN, CONNECT, IPV4, NAME = 0, 1, 1, 3
GRANTED = bytes((5, 0, 0, IPV4)) + bytes(6)


@dataclass
class Proxy:
    """Where it listens, and the hosts it was asked for."""

    port: int
    asked: list[tuple[str, int]] = field(default_factory=list)


@contextmanager
def serve() -> Iterator[Proxy]:
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = Proxy(listener.getsockname()[1])
    threading.Thread(target=_accept, args=(listener, proxy), daemon=True).start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(listener: socket.socket, proxy: Proxy) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, proxy), daemon=True).start()


def _serve(client: socket.socket, proxy: Proxy) -> None:
    with client, suppress(OSError):
        stream = client.makefile("rb")
        stream.read(stream.read(2)[1])
        client.sendall(bytes((5, NO_LOGIN)))
        _, command, _, kind = stream.read(4)
        size = 4 if kind == IPV4 else stream.read(1)[0]
        raw = stream.read(size)
        host = socket.inet_ntoa(raw) if kind == IPV4 else raw.decode()
        port = int.from_bytes(stream.read(2), "big")
        proxy.asked.append((host, port))
        if command != CONNECT:
            return
        with socket.create_connection((host, port)) as server:
            client.sendall(GRANTED)
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
