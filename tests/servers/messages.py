"""Messages of Bitcoin's peer-to-peer network, version 1 of its transport."""

import time
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple

from coordinator.chain.regtest.log import MAGIC
from psbt.transaction import ByteReader, double_sha256, sized, vector

PROTOCOL = 70_016
NETWORK, WITNESS, COMPACT_FILTERS, NETWORK_LIMITED = 1, 1 << 3, 1 << 6, 1 << 10
SERVICES = NETWORK | WITNESS | COMPACT_FILTERS | NETWORK_LIMITED
AGENT = b"/cardquorum-tests/"
# What an inventory item is; a block or transaction may be asked for with its witnesses.
TRANSACTION, BLOCK, WITNESS_TRANSACTION = 1, 2, 5
WITH_WITNESS = 1 << 30
HEADER_SIZE = 24
ADDRESS = bytes(26)


class Message(NamedTuple):
    """A command and what comes with it."""

    command: str
    payload: bytes = b""

    @property
    def raw(self) -> bytes:
        """Return the message in its frame."""
        return self.framed(MAGIC)

    def framed(self, magic: bytes) -> bytes:
        """Return the message in the frame of a network."""
        checksum = double_sha256(self.payload)[:4]
        size = len(self.payload).to_bytes(4, "little")
        return magic + self.command.encode().ljust(12, b"\x00") + size + checksum + self.payload


class Item(NamedTuple):
    """Something a peer has or wants; the hash as display hex."""

    kind: int
    hash: str


class Asked(NamedTuple):
    """A stretch of the chain whose filters or their hashes are wanted (BIP 157)."""

    kind: int
    start: int
    stop: str


def read_message(stream: BinaryIO, magic: bytes = MAGIC) -> Message | None:
    """Return the next message; None where the stream ends or does not speak this protocol."""
    head = stream.read(HEADER_SIZE)
    if len(head) < HEADER_SIZE or head[:4] != magic:
        return None
    payload = stream.read(int.from_bytes(head[16:20], "little"))
    if double_sha256(payload)[:4] != head[20:24]:
        return None
    return Message(head[4:16].rstrip(b"\x00").decode(), payload)


def version(height: int, services: int = SERVICES, *, relays: bool = True) -> Message:
    """Introduce a peer whose chain is so high."""
    stamp = int(time.time()).to_bytes(8, "little")
    head = PROTOCOL.to_bytes(4, "little") + services.to_bytes(8, "little") + stamp
    nonce = bytes(8)
    tail = nonce + sized(AGENT) + height.to_bytes(4, "little") + bytes((relays,))
    return Message("version", head + ADDRESS + ADDRESS + tail)


def inventory(command: str, items: Iterable[Item]) -> Message:
    """Name things: inv, getdata or notfound."""
    return Message(command, vector(items, _item_bytes))


def read_items(payload: bytes) -> tuple[Item, ...]:
    """Read the things an inv or getdata names."""
    return ByteReader(payload).vector(lambda reader: Item(reader.number(4), read_hash(reader)))


def read_hash(reader: ByteReader) -> str:
    """Read a hash as display hex."""
    return reader.take(32)[::-1].hex()


def hash_bytes(text: str) -> bytes:
    """Return a hash as the network writes it."""
    return bytes.fromhex(text)[::-1]


def read_locator(payload: bytes) -> tuple[tuple[str, ...], str]:
    """Read the blocks a peer knows, newest first, and where it wants headers to stop."""
    reader = ByteReader(payload)
    reader.take(4)
    return reader.vector(read_hash), read_hash(reader)


def read_asked(payload: bytes) -> Asked:
    """Read what getcfilters and getcfheaders ask for."""
    reader = ByteReader(payload)
    return Asked(reader.number(1), reader.number(4), read_hash(reader))


def _item_bytes(item: Item) -> bytes:
    return item.kind.to_bytes(4, "little") + hash_bytes(item.hash)
