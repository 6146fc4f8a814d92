"""Compact filters of blocks: what a light client matches its scripts against (BIP 158)."""

from collections.abc import Iterable, Iterator, Mapping

from coordinator.chain.regtest.blocks import Block, Header, merkle_root
from psbt.coins import Outpoint
from psbt.transaction import (
    NULL_OUTPOINT,
    Transaction,
    TransactionInput,
    TransactionOutput,
    compact_size,
    double_sha256,
)

REMAINDER_BITS = 19
RARITY = 784_931
OP_RETURN = 0x6A
MASK = (1 << 64) - 1
SIP_SEEDS = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
HEADLINE = b"The Times 03/Jan/2009 Chancellor on brink of second bailout for banks"
GENESIS_PUBKEY = bytes.fromhex(
    "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6"
    "49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"
)


def genesis() -> Block:
    """Return regtest's first block, whose coin nobody can spend."""
    signed = b"\x04\xff\xff\x00\x1d\x01\x04" + bytes((len(HEADLINE),)) + HEADLINE
    source = TransactionInput(NULL_OUTPOINT, signed)
    paid = TransactionOutput(50 * 100_000_000, b"\x41" + GENESIS_PUBKEY + b"\xac")
    coinbase = Transaction((source,), (paid,), version=1)
    root = merkle_root([coinbase.txid])
    return Block(Header("00" * 32, root, 1296688602, nonce=2, version=1), (coinbase,))


def spent_scripts(block: Block, scripts: Mapping[Outpoint, bytes]) -> list[bytes]:
    """Return the script of every coin a block spends, out of all scripts there ever were."""
    spending = [transaction for transaction in block.transactions if not transaction.is_coinbase]
    return [scripts[spent.outpoint] for transaction in spending for spent in transaction.inputs]


def basic_filter(block: Block, spent: Iterable[bytes]) -> bytes:
    """Return the filter of a block that spends coins locked with these scripts."""
    made = (output.script_pubkey for item in block.transactions for output in item.outputs)
    payable = (script for script in made if script[:1] != bytes((OP_RETURN,)))
    scripts = {script for script in (*payable, *spent) if script}
    return compact_size(len(scripts)) + _golomb(_hashed(block.hash, scripts))


def filter_hash(filtered: bytes) -> bytes:
    """Return what a filter's header commits to."""
    return double_sha256(filtered)


def filter_header(filtered: bytes, previous: bytes) -> bytes:
    """Return the header that chains a filter to the one before it (BIP 157)."""
    return double_sha256(filter_hash(filtered) + previous)


def siphash(key: bytes, data: bytes) -> int:
    """Return SipHash-2-4: two rounds a word, four at the end."""
    halves = (int.from_bytes(key[:8], "little"), int.from_bytes(key[8:16], "little")) * 2
    state = [seed ^ half for seed, half in zip(SIP_SEEDS, halves, strict=True)]
    padded = data + bytes(-(len(data) + 1) % 8) + bytes((len(data) & 0xFF,))
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        state[3] ^= word
        state = _mixed(_mixed(state))
        state[0] ^= word
    state[2] ^= 0xFF
    for _ in range(4):
        state = _mixed(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _mixed(state: list[int]) -> list[int]:
    a, b, c, d = state
    a, c = (a + b) & MASK, (c + d) & MASK
    b, d = _rotated(b, 13) ^ a, _rotated(d, 16) ^ c
    a = _rotated(a, 32)
    a, c = (a + d) & MASK, (c + b) & MASK
    d, b = _rotated(d, 21) ^ a, _rotated(b, 17) ^ c
    return [a, b, _rotated(c, 32), d]


def _rotated(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (64 - bits))) & MASK


def _hashed(block_hash: str, scripts: set[bytes]) -> Iterator[int]:
    """Yield the scripts' places in the filter's range, in order."""
    key = bytes.fromhex(block_hash)[::-1][:16]
    size = len(scripts) * RARITY
    yield from sorted(siphash(key, script) * size >> 64 for script in scripts)


def _golomb(values: Iterable[int]) -> bytes:
    """Write the steps between values: how many whole strides in ones, and the rest in bits."""
    bits, last = "", 0
    for value in values:
        strides, rest = divmod(value - last, 1 << REMAINDER_BITS)
        bits += "1" * strides + "0" + f"{rest:0{REMAINDER_BITS}b}"
        last = value
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""
