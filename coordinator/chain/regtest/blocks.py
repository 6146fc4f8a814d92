"""Blocks of the regtest network: reading, building, mining."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from psbt.transaction import (
    NULL_OUTPOINT,
    ByteReader,
    Transaction,
    TransactionInput,
    TransactionOutput,
    double_sha256,
    read_transaction,
    sized,
    vector,
)

GENESIS_HASH = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
GENESIS_TIME = 1296688602
SUBSIDY_SATS = 50 * 100_000_000
HALVING_BLOCKS = 150
MATURITY_BLOCKS = 100
MAX_BLOCK_WEIGHT = 4_000_000
EASIEST_BITS = 0x207FFFFF
EASIEST_TARGET = 0x7FFFFF << 232
VERSION_BITS = 0x20000000
COMMITMENT_PREFIX = bytes.fromhex("6a24aa21a9ed")
WITNESS_NONCE = bytes(32)


class Header(NamedTuple):
    """A block header; hashes as display hex."""

    previous: str
    merkle_root: bytes
    time: int
    nonce: int = 0
    bits: int = EASIEST_BITS
    version: int = VERSION_BITS

    @property
    def raw(self) -> bytes:
        """Return the 80 bytes."""
        numbers = b"".join(n.to_bytes(4, "little") for n in (self.time, self.bits, self.nonce))
        version = self.version.to_bytes(4, "little")
        return version + bytes.fromhex(self.previous)[::-1] + self.merkle_root + numbers


@dataclass(frozen=True)
class Block:
    """A header and its transactions, the coinbase first."""

    header: Header
    transactions: tuple[Transaction, ...]

    @cached_property
    def hash(self) -> str:
        """Return the block's hash as display hex."""
        return double_sha256(self.header.raw)[::-1].hex()

    @cached_property
    def raw(self) -> bytes:
        """Return the network serialization."""
        return self.header.raw + vector(self.transactions, lambda transaction: transaction.raw)

    @property
    def weight(self) -> int:
        """Return the block's weight in weight units."""
        stripped = self.header.raw + vector(self.transactions, lambda item: item.stripped)
        return 3 * len(stripped) + len(self.raw)

    @property
    def proof_of_work(self) -> bool:
        """Tell whether the hash is low enough for regtest."""
        return self.header.bits == EASIEST_BITS and int(self.hash, 16) <= EASIEST_TARGET

    @property
    def whole(self) -> bool:
        """Tell whether the transactions are those the header commits to."""
        return self.header.merkle_root == merkle_root([t.txid for t in self.transactions])


class Template(NamedTuple):
    """What a new block is made from."""

    previous: str
    height: int
    time: int
    script_pubkey: bytes
    fees_sats: int = 0
    transactions: tuple[Transaction, ...] = ()


def parse_block(raw: bytes) -> Block:
    """Read a whole block; raises PsbtError for anything else."""
    reader = ByteReader(raw)
    version = reader.number(4)
    previous, root = reader.take(32)[::-1].hex(), reader.take(32)
    time, bits, nonce = reader.number(4), reader.number(4), reader.number(4)
    header = Header(previous, root, time, nonce, bits, version)
    block = Block(header, reader.vector(read_transaction))
    reader.end()
    return block


def mine_block(template: Template) -> Block:
    """Return a block with its coinbase and a nonce that proves the work."""
    script = height_script(template.height) + b"\x00"
    source = TransactionInput(NULL_OUTPOINT, script, witness=(WITNESS_NONCE,))
    reward = subsidy(template.height) + template.fees_sats
    paid = TransactionOutput(reward, template.script_pubkey)
    committed = TransactionOutput(0, COMMITMENT_PREFIX + commitment(template.transactions))
    transactions = (Transaction((source,), (paid, committed)), *template.transactions)
    root = merkle_root([transaction.txid for transaction in transactions])
    block = Block(Header(template.previous, root, template.time), transactions)
    while not block.proof_of_work:
        block = replace(block, header=block.header._replace(nonce=block.header.nonce + 1))
    return block


def subsidy(height: int) -> int:
    """Return how many satoshis a block creates."""
    return SUBSIDY_SATS >> (height // HALVING_BLOCKS)


def merkle_root(ids: Sequence[str]) -> bytes:
    """Return the root over txids or wtxids given as display hex."""
    level = [bytes.fromhex(item)[::-1] for item in ids]
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [double_sha256(a + b) for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0] if level else bytes(32)


def commitment(transactions: Sequence[Transaction]) -> bytes:
    """Return the witness commitment over the transactions after the coinbase (BIP 141)."""
    ids = ["00" * 32, *(transaction.wtxid for transaction in transactions)]
    return double_sha256(merkle_root(ids) + WITNESS_NONCE)


def height_script(height: int) -> bytes:
    """Return the start of a coinbase's script: its height as a minimal push (BIP 34)."""
    if height <= 16:
        return bytes((0x50 + height,))
    return sized(height.to_bytes(height.bit_length() // 8 + 1, "little"))
