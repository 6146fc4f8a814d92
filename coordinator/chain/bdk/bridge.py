"""An HTTP proxy on the loopback in front of a SOCKS5 proxy (RFC 1928).

BDK's Esplora client speaks only the first, Tor as it is shipped only the second. Names are
resolved behind the SOCKS5 proxy.
"""

import ipaddress
import socket
import threading
from contextlib import suppress

SECONDS = 60.0
CHUNK = 65_536
HEADER_MAX = 8_192
SOCKS5, NO_LOGIN, CONNECT, BY_NAME, BY_IPV4, BY_IPV6 = 5, 0, 1, 3, 1, 4
ADDRESS_SIZES = {BY_IPV4: 4, BY_IPV6: 16}
GRANTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
REFUSED = b"HTTP/1.1 502 Bad Gateway\r\n\r\n"


class Bridge:
    """Listens until it is closed; every CONNECT goes through the SOCKS5 proxy."""

    def __init__(self, host: str, port: int) -> None:
        """Listen on a port of the loopback, in a thread."""
        self._proxy = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Return how an HTTP client names it."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

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
            client.settimeout(SECONDS)
            host, port = _wanted(client)
            try:
                server = through_socks(self._proxy, host, port)
            except OSError:
                client.sendall(REFUSED)
                return
            with server:
                client.sendall(GRANTED)
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join()


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


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
