"""Transactions in the network's serialization, read strictly and written back byte for byte."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

from psbt.coins import MAX_MONEY_SATS, Outpoint
from psbt.errors import PsbtError
from psbt.weight import WITNESS_SCALE, vsize_of

SIZE_MAX = 4_000_000
"""What a block weighs at most: no transaction has more bytes."""
WITNESS_MARKER = b"\x00\x01"
FINAL_SEQUENCE = 0xFFFFFFFF
SEQUENCE_NO_LOCK, SEQUENCE_IS_TIME, SEQUENCE_MASK = 1 << 31, 1 << 22, 0xFFFF
SEQUENCE_SECONDS = 512
"""What a sequence counts in where it is a time (BIP 68)."""
FIRST_TIME_LOCK = 500_000_000
"""The least lock time that is a time in seconds; what is below is a block height."""
NULL_OUTPOINT = Outpoint("00" * 32, 0xFFFFFFFF)

T = TypeVar("T")


class TransactionInput(NamedTuple):
    """The coin spent, and what unlocks it."""

    outpoint: Outpoint
    script_sig: bytes = b""
    sequence: int = FINAL_SEQUENCE
    witness: tuple[bytes, ...] = ()


class TransactionOutput(NamedTuple):
    """An amount and the script it is locked with."""

    value_sats: int
    script_pubkey: bytes


NOTHING_PAID = TransactionOutput(0, b"\x6a")
"""The one output of a transaction that only signs a message (BIP 322)."""


@dataclass(frozen=True)
class Transaction:
    """A transaction; every number derived from it is computed once."""

    inputs: tuple[TransactionInput, ...]
    outputs: tuple[TransactionOutput, ...]
    version: int = 2
    locktime: int = 0

    @cached_property
    def stripped(self) -> bytes:
        """Return the serialization without witnesses."""
        return b"".join((self._version_bytes, self._body, self._locktime_bytes))

    @cached_property
    def raw(self) -> bytes:
        """Return the network serialization."""
        if not self.has_witness:
            return self.stripped
        witnesses = (vector(i.witness, sized) for i in self.inputs)
        parts = (self._version_bytes, WITNESS_MARKER, self._body, *witnesses, self._locktime_bytes)
        return b"".join(parts)

    @cached_property
    def txid(self) -> str:
        """Return the id the network speaks of: display hex, witnesses left out."""
        return double_sha256(self.stripped)[::-1].hex()

    @cached_property
    def wtxid(self) -> str:
        """Return the id that covers the witnesses too, as display hex."""
        return double_sha256(self.raw)[::-1].hex()

    @cached_property
    def weight(self) -> int:
        """Return the weight in weight units (BIP 141)."""
        return len(self.stripped) * (WITNESS_SCALE - 1) + len(self.raw)

    @property
    def vsize(self) -> int:
        """Return the weight in virtual bytes, rounded up."""
        return vsize_of(self.weight)

    @property
    def unsigned(self) -> "Transaction":
        """Return the transaction without what unlocks its inputs."""
        inputs = tuple([i._replace(script_sig=b"", witness=()) for i in self.inputs])
        return replace(self, inputs=inputs)

    @property
    def has_witness(self) -> bool:
        """Tell whether any input has a witness."""
        return any(i.witness for i in self.inputs)

    @property
    def is_coinbase(self) -> bool:
        """Tell whether this creates coins from nothing."""
        return len(self.inputs) == 1 and self.inputs[0].outpoint == NULL_OUTPOINT

    @property
    def _version_bytes(self) -> bytes:
        return self.version.to_bytes(4, "little")

    @property
    def _locktime_bytes(self) -> bytes:
        return self.locktime.to_bytes(4, "little")

    @cached_property
    def _body(self) -> bytes:
        return vector(self.inputs, _input_bytes) + vector(self.outputs, output_bytes)


class ByteReader:
    """Reads little-endian fields one after the other; raises PsbtError where the data ends."""

    def __init__(self, data: bytes) -> None:
        """Start at the first byte."""
        self._data = data
        self.position = 0

    @property
    def left(self) -> int:
        """Return how many bytes were not read yet."""
        return len(self._data) - self.position

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        start = self.position
        end = start + size
        if end > len(self._data):
            raise PsbtError(f"{size} bytes are announced at {start}, {self.left} are left")
        self.position = end
        return self._data[start:end]

    def number(self, size: int) -> int:
        """Return the next unsigned integer."""
        return int.from_bytes(self.take(size), "little")

    def compact_size(self) -> int:
        """Return the next compact size; a longer form than needed is refused."""
        first = self.take(1)[0]
        if first < 0xFD:
            return first
        size = 2 << (first - 0xFD)
        value = self.number(size)
        if value < (0xFD if size == 2 else 1 << (size * 4)):
            raise PsbtError(f"the length {value} is written in {size} bytes, more than it needs")
        return value

    def sized(self) -> bytes:
        """Return the next bytes after their length."""
        return self.take(self.compact_size())

    def vector(self, read: Callable[["ByteReader"], T]) -> tuple[T, ...]:
        """Return the next items after their count."""
        return tuple([read(self) for _ in range(self.compact_size())])

    def end(self) -> None:
        """Refuse anything that follows."""
        if self.left:
            raise PsbtError(f"{self.left} bytes follow the end")


def parse_transaction(raw: bytes) -> Transaction:
    """Read a whole transaction; raises PsbtError for anything the network would not read."""
    if len(raw) > SIZE_MAX:
        raise PsbtError(f"a transaction of {len(raw)} bytes fits into no block")
    reader = ByteReader(raw)
    transaction = read_transaction(reader)
    reader.end()
    return transaction


def parse_unsigned(raw: bytes) -> Transaction:
    """Read a whole transaction in the form without witnesses; it may have no inputs."""
    reader = ByteReader(raw)
    version = reader.number(4)
    inputs, outputs = reader.vector(_read_input), reader.vector(_read_output)
    transaction = Transaction(inputs, outputs, version, reader.number(4))
    reader.end()
    return transaction


def check_sound(transaction: Transaction) -> None:
    """Refuse what no payment can be: a coin spent twice or made of nothing, too large amounts.

    Of no inputs or outputs nothing is said: a PSBT may still be growing.
    """
    spent: set[Outpoint] = set()
    for index, tx_in in enumerate(transaction.inputs):
        if tx_in.outpoint in spent:
            raise PsbtError(f"input {index} spends coin {tx_in.outpoint}, as another input does")
        if tx_in.outpoint.vout == NULL_OUTPOINT.vout:
            raise PsbtError(f"input {index} spends no coin: it makes new ones, as miners do")
        spent.add(tx_in.outpoint)
    check_amounts(transaction)


def check_amounts(transaction: Transaction) -> None:
    """Refuse outputs that are worth more than all bitcoin, each or together."""
    paid = [tx_out.value_sats for tx_out in transaction.outputs]
    if max(paid, default=0) > MAX_MONEY_SATS:
        raise PsbtError(f"an output of {max(paid)} sats is worth more than 21 million bitcoin")
    if sum(paid) > MAX_MONEY_SATS:
        raise PsbtError(f"outputs of {sum(paid)} sats are worth more than 21 million bitcoin")


def read_transaction(reader: ByteReader) -> Transaction:
    """Read the next transaction."""
    version = reader.number(4)
    inputs = reader.vector(_read_input)
    with_witness = not inputs
    if with_witness:
        if reader.number(1) != WITNESS_MARKER[1]:
            raise PsbtError("a transaction without inputs, or with an unknown marker")
        inputs = reader.vector(_read_input)
    outputs = reader.vector(_read_output)
    if with_witness:
        inputs = tuple([i._replace(witness=reader.vector(ByteReader.sized)) for i in inputs])
        if not any(i.witness for i in inputs):
            raise PsbtError("a transaction in witness form has no witness")
    return Transaction(inputs, outputs, version, reader.number(4))


def compact_size(value: int) -> bytes:
    """Return a count or length as the network writes it."""
    if value < 0xFD:
        return bytes((value,))
    for marker, size in ((0xFD, 2), (0xFE, 4), (0xFF, 8)):
        if value < 1 << (size * 8):
            return bytes((marker,)) + value.to_bytes(size, "little")
    raise PsbtError(f"the length {value} is too large")


def sized(data: bytes) -> bytes:
    """Return bytes after their length."""
    return compact_size(len(data)) + data


def vector(items: Iterable[T], write: Callable[[T], bytes]) -> bytes:
    """Return items after their count."""
    written = [write(item) for item in items]
    return compact_size(len(written)) + b"".join(written)


def double_sha256(data: bytes) -> bytes:
    """Return SHA-256 of SHA-256."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def _read_input(reader: ByteReader) -> TransactionInput:
    outpoint = Outpoint(reader.take(32)[::-1].hex(), reader.number(4))
    return TransactionInput(outpoint, reader.sized(), reader.number(4))


def _read_output(reader: ByteReader) -> TransactionOutput:
    return TransactionOutput(reader.number(8), reader.sized())


def _input_bytes(item: TransactionInput) -> bytes:
    outpoint, sequence = outpoint_bytes(item), item.sequence.to_bytes(4, "little")
    return outpoint + sized(item.script_sig) + sequence


def outpoint_bytes(item: TransactionInput) -> bytes:
    """Return the coin that an input spends as it stands in a transaction, in 36 bytes."""
    txid, vout = item.outpoint
    return bytes.fromhex(txid)[::-1] + vout.to_bytes(4, "little")


def output_bytes(item: TransactionOutput) -> bytes:
    """Return an output as it stands in a transaction, and in what is hashed of it."""
    return item.value_sats.to_bytes(8, "little") + sized(item.script_pubkey)
