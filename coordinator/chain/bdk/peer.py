"""A short conversation with one Bitcoin peer: who it is, and handing it a transaction.

BDK's node tells neither why a peer closed the connection, nor that it has a transaction already.
"""

import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from coordinator import clock
from coordinator.chain.bdk.local_proxy import through_socks
from coordinator.chain.url import ChainUrl
from coordinator.errors import ChainError, ChainUnreachable, TransactionRejected
from psbt.errors import PsbtError
from psbt.transaction import ByteReader, double_sha256, sized

MAGICS: Final = {
    "mainnet": bytes.fromhex("f9beb4d9"),
    "testnet4": bytes.fromhex("1c163f28"),
    "signet": bytes.fromhex("0a03cf40"),
    "regtest": bytes.fromhex("fabfb5da"),
    "testnet3": bytes.fromhex("0b110907"),
}
PORTS: Final = {"mainnet": 8333, "testnet4": 48333, "signet": 38333, "regtest": 18444}
PROTOCOL: Final = 70_016
NETWORK, COMPACT_FILTERS = 1, 1 << 6
HEADER_SIZE: Final = 24
PAYLOAD_MAX: Final = 4_000_000
MESSAGES_MAX: Final = 1_000
OTHER_NETWORK_SECONDS: Final = 5
NO_ADDRESS: Final = bytes(26)


class NotUnderstood(ChainUnreachable):
    """A peer that closed the connection, or sent what cannot be read, in the handshake."""


class Conversation:
    """A connection whose handshake is done; every wait ends with its deadline.

    The peer says of itself what `services` it has, and whether it `relays` transactions.
    """

    def __init__(
        self, where: str, connection: socket.socket, magic: bytes, *, seconds: float
    ) -> None:
        """Shake hands; raises NotUnderstood."""
        self._where = where
        self._connection = connection
        self._magic = magic
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self._shake_hands()

    def hand(self, transaction: bytes) -> None:
        """Give the peer a transaction, one it has already too, and wait until it was read."""
        self._send("tx", transaction)
        nonce = secrets.token_bytes(8)
        self._send("ping", nonce)
        while self._hear("pong") != nonce:
            continue

    def _shake_hands(self) -> None:
        moment = int(clock.now().timestamp()).to_bytes(8, "little")
        head = PROTOCOL.to_bytes(4, "little") + bytes(8) + moment
        tail = secrets.token_bytes(8) + sized(b"") + bytes(4) + b"\x01"
        self._send("version", head + NO_ADDRESS + NO_ADDRESS + tail)
        try:
            reader = ByteReader(self._hear("version"))
            reader.take(4)
            self.services = reader.number(8)
            reader.take(8 + 26 + 26 + 8)
            reader.sized()
            reader.take(4)
            self.relays = reader.left == 0 or reader.number(1) != 0
        except PsbtError as failure:
            told = f"{self._where} sent a version message that cannot be read"
            raise NotUnderstood(told) from failure
        self._send("wtxidrelay", b"")
        self._send("verack", b"")
        self._hear("verack")

    def _send(self, command: str, payload: bytes) -> None:
        size, checksum = len(payload).to_bytes(4, "little"), double_sha256(payload)[:4]
        named = command.encode().ljust(12, b"\x00")
        try:
            self._connection.settimeout(self._left())
            self._connection.sendall(self._magic + named + size + checksum + payload)
        except OSError as failure:
            raise NotUnderstood(f"{self._where} closed the connection") from failure

    def _hear(self, command: str) -> bytes:
        """Return the payload of the next message of a kind; pings meanwhile are answered."""
        for _ in range(MESSAGES_MAX):
            head = self._read(HEADER_SIZE)
            size = int.from_bytes(head[16:20], "little")
            if head[:4] != self._magic or size > PAYLOAD_MAX:
                raise NotUnderstood(f"{self._where} sent a message of another network or protocol")
            payload = self._read(size)
            heard = head[4:16].rstrip(b"\x00")
            if heard == command.encode():
                return payload
            if heard == b"ping":
                self._send("pong", payload[:8])
        raise NotUnderstood(f"{self._where} sent {MESSAGES_MAX} messages and no {command}")

    def _read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            try:
                self._connection.settimeout(self._left())
                piece = self._connection.recv(size - len(found))
            except TimeoutError as failure:
                raise self._silent() from failure
            except OSError as failure:
                raise NotUnderstood(f"{self._where} closed the connection") from failure
            if not piece:
                raise NotUnderstood(f"{self._where} closed the connection")
            found += piece
        return found

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._silent()
        return left

    def _silent(self) -> NotUnderstood:
        return NotUnderstood(f"{self._where} does not answer within {self._seconds:g} seconds")


@contextmanager
def conversation(
    url: ChainUrl, network: str, seconds: float, *, speaking: str | None = None
) -> Iterator[Conversation]:
    """Talk to the peer a URL names, in the words of its network or of another one.

    Raises ChainUnreachable where nobody listens, NotUnderstood where the handshake fails.
    """
    where, place = f"peer {url.host}", (url.host, url.port or PORTS[network])
    try:
        if url.proxy is not None:
            connection = through_socks(url.proxy, *place)
        else:
            connection = socket.create_connection(place, seconds)
    except OSError as failure:
        reason = failure.strerror or failure
        raise ChainUnreachable(f"{where} cannot be reached: {reason}") from failure
    with closing(connection):
        yield Conversation(where, connection, MAGICS[speaking or network], seconds=seconds)


def hand_over(url: ChainUrl, network: str, seconds: float, *, transaction: bytes) -> None:
    """Give the peer a transaction; one that it has already is no error.

    What it thinks of it the protocol does not say.
    """
    try:
        with conversation(url, network, seconds) as talk:
            if not talk.relays:
                raise TransactionRejected(f"peer {url.host} takes no transactions (blocksonly)")
            talk.hand(transaction)
    except NotUnderstood as failure:
        raise (unsuited(url, network, seconds) or failure) from failure


def unsuited(url: ChainUrl, network: str, seconds: float) -> ChainError | None:
    """Return why a peer cannot serve a home, as far as its handshake tells; None: it could."""
    where = f"peer {url.host}"
    try:
        with conversation(url, network, seconds) as talk:
            services = talk.services
    except NotUnderstood as failure:
        return _other_network(url, network) or ChainUnreachable(
            f"{failure} in the middle of the handshake: is this a Bitcoin node that lets us in?"
        )
    except ChainUnreachable as failure:
        return failure
    missing = []
    if not services & COMPACT_FILTERS:
        missing.append("serves no compact block filters (blockfilterindex=1, peerblockfilters=1)")
    if not services & NETWORK:
        missing.append("is pruned and has only the newest blocks")
    return ChainUnreachable(f"{where} {' and '.join(missing)}") if missing else None


def _other_network(url: ChainUrl, network: str) -> ChainError | None:
    for other in MAGICS.keys() - {network}:
        try:
            with conversation(url, network, OTHER_NETWORK_SECONDS, speaking=other):
                return ChainError(f"peer {url.host} is on {other}, this home is for {network}")
        except ChainUnreachable:
            continue
    return None
