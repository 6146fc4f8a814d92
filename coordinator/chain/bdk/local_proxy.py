"""A way on the loopback between BDK's clients and a server: bounded, and through SOCKS5 (RFC 1928).

BDK's clients read an answer whole, however long it is; its Esplora client speaks only to HTTP
proxies, Tor as it is shipped only SOCKS5. Names are resolved behind the SOCKS5 proxy.
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

SECONDS = 60.0
CHUNK = 65_536
HEADER_MAX = 8_192
SOCKS5, NO_LOGIN, CONNECT, BY_NAME, BY_IPV4, BY_IPV6 = 5, 0, 1, 3, 1, 4
ADDRESS_SIZES = {BY_IPV4: 4, BY_IPV6: 16}
ANSWER_SIZE_MAX = 64 * 1024 * 1024
ANSWER_SECONDS = 600.0
GRANTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
REFUSED = b"HTTP/1.1 502 Bad Gateway\r\n\r\n"
SOCKS_GRANTED = bytes((SOCKS5, 0, 0, BY_IPV4)) + bytes(6)
SOCKS_REFUSED = bytes((SOCKS5, 5, 0, BY_IPV4)) + bytes(6)


class Bridge:
    """Listens until it is closed; every connection is metered, and goes through the proxy if any.

    What a client is not told stands in `fault`: that nobody is there, or why an answer was cut.
    """

    def __init__(self, proxy: tuple[str, int] | None, silence: float | None = None) -> None:
        """Listen on a port of the loopback, in a thread; `silence` ends a connection."""
        self.fault: str | None = None
        self._is_cut = False
        self._proxy = proxy
        self._silence = silence
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def place(self) -> str:
        """Return host and port as clients name them."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def address(self) -> tuple[str, int]:
        """Return where it listens."""
        host, port = self._listener.getsockname()
        return host, port

    def cut(self, fault: str) -> None:
        """End every connection and take no other, and say why."""
        self.fault, self._is_cut = fault, True
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def take_fault(self) -> str | None:
        """Return what went wrong, and begin anew."""
        fault, self.fault, self._is_cut = self.fault, None, False
        return fault

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, ValueError):
            if self._is_cut:
                return
            client.settimeout(SECONDS)
            socks = client.recv(1, socket.MSG_PEEK) == bytes((SOCKS5,))
            host, port = _wanted_of_socks(client) if socks else _wanted(client)
            try:
                if self._proxy is not None:
                    server = through_socks(self._proxy, host, port)
                else:
                    server = socket.create_connection((host, port), SECONDS)
            except OSError as failure:
                self.fault = f"cannot be reached: {failure.strerror or failure}"
                client.sendall(SOCKS_REFUSED if socks else REFUSED)
                return
            with server:
                client.sendall(SOCKS_GRANTED if socks else GRANTED)
                self._carry(client, server)

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """Carry bytes to and fro until either side ends; an answer is bounded in size and time."""
        meter = _Meter(self.cut)
        client.settimeout(None)
        server.settimeout(self._silence)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open |= {client, server}
        try:
            back = threading.Thread(target=self._back, args=(server, client, meter), daemon=True)
            back.start()
            _pump(client, server, meter.asked)
            back.join()
        finally:
            self._open -= {client, server}

    def _back(self, server: socket.socket, client: socket.socket, meter: "_Meter") -> None:
        try:
            _pump(server, client, meter.answered)
        except TimeoutError:
            self.cut(f"does not answer within {self._silence or 0:g} seconds")


class _Cut(OSError):
    """An answer went beyond its bounds."""


class _Meter:
    """Counts what is answered since the last question."""

    def __init__(self, cut: Callable[[str], None]) -> None:
        self._cut = cut
        self._size = 0
        self._began: float | None = None

    def asked(self, _: int) -> None:
        self._size, self._began = 0, None

    def answered(self, size: int) -> None:
        now = time.monotonic()
        self._began = self._began or now
        self._size += size
        if self._size > ANSWER_SIZE_MAX:
            self._refuse(f"answers with more than {ANSWER_SIZE_MAX:,} bytes")
        if now - self._began > ANSWER_SECONDS:
            self._refuse(f"does not end its answer within {ANSWER_SECONDS:g} seconds")

    def _refuse(self, fault: str) -> NoReturn:
        self._cut(fault)
        raise _Cut(fault)


def _wanted_of_socks(client: socket.socket) -> tuple[str, int]:
    """Read a greeting and a CONNECT of SOCKS5; raises ValueError for anything else."""
    stream = client.makefile("rb")
    greeting = stream.read(2)
    stream.read(int.from_bytes(greeting[1:]))
    client.sendall(bytes((SOCKS5, NO_LOGIN)))
    version, command, _, kind = stream.read(4)
    if (version, command) != (SOCKS5, CONNECT):
        raise ValueError(f"{command} is not CONNECT")
    size = ADDRESS_SIZES.get(kind) or int.from_bytes(stream.read(1))
    named, port = stream.read(size), int.from_bytes(stream.read(2), "big")
    if kind == BY_NAME:
        return named.decode("idna"), port
    return str(ipaddress.ip_address(named)), port


def _wanted(client: socket.socket) -> tuple[str, int]:
    """Read a CONNECT request; raises ValueError for anything else."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += (more := client.recv(CHUNK))
        if not more or len(head) > HEADER_MAX:
            raise ValueError("no request")
    method, target, _ = head.split(b"\r\n")[0].decode("ascii").split(" ")
    host, _, port = target.rpartition(":")
    if method != "CONNECT" or not host:
        raise ValueError(f"{method} is not CONNECT")
    return host.strip("[]"), int(port)


def through_socks(proxy: tuple[str, int], host: str, port: int) -> socket.socket:
    """Return a connection through a SOCKS5 proxy; raises OSError where it grants none."""
    server = socket.create_connection(proxy, SECONDS)
    try:
        granted = _is_granted(server, _address(host) + port.to_bytes(2, "big"))
    except OSError:
        granted = False
    if not granted:
        server.close()
        raise OSError("the proxy refuses")
    return server


def _is_granted(server: socket.socket, target: bytes) -> bool:
    """Ask a SOCKS5 proxy, without a login, for a connection to an address."""
    stream = server.makefile("rb")
    server.sendall(bytes((SOCKS5, 1, NO_LOGIN)))
    if stream.read(2) != bytes((SOCKS5, NO_LOGIN)):
        return False
    server.sendall(bytes((SOCKS5, CONNECT, 0)) + target)
    answer = stream.read(4)
    if len(answer) < 4 or answer[1] != 0:
        return False
    size = ADDRESS_SIZES.get(answer[3]) or (stream.read(1) or b"\x00")[0]
    return len(stream.read(size + 2)) == size + 2


def _address(host: str) -> bytes:
    try:
        packed = ipaddress.ip_address(host).packed
    except ValueError:
        name = host.encode("idna")
        return bytes((BY_NAME, len(name))) + name
    return bytes((BY_IPV4 if len(packed) == 4 else BY_IPV6,)) + packed


def _pump(source: socket.socket, target: socket.socket, count: Callable[[int], None]) -> None:
    """Carry bytes until either side ends; raises TimeoutError where the source is silent."""
    try:
        while data := source.recv(CHUNK):
            count(len(data))
            target.sendall(data)
    except (ConnectionError, _Cut):
        return
    finally:
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
