"""A closer look at the taproot fields of a PSBT (BIP 371): each returns what is wrong, or None."""

from typing import Final

from psbt.errors import PsbtError
from psbt.transaction import ByteReader

HASH_SIZE: Final = 32
PATH_STEPS_MAX: Final = 255
ORIGIN_SIZES: Final = range(4, 4 * (1 + PATH_STEPS_MAX) + 1, 4)
"""How many bytes a fingerprint and a path can have."""
SIGHASH_TYPES: Final = frozenset({0x00, 0x01, 0x02, 0x03, 0x81, 0x82, 0x83})
SCHNORR_SIZE: Final = 64
CONTROL_BASE: Final = 33
TREE_DEPTH_MAX: Final = 128
LEAF_VERSION_BITS: Final = 0xFE


def control_block(data: bytes, value: bytes) -> str | None:
    """Hold a control block against the version that stands behind its leaf."""
    if not value:
        return "that is empty"
    rest, size = divmod(len(data) - CONTROL_BASE, HASH_SIZE)
    if size or not 0 <= rest <= TREE_DEPTH_MAX:
        return f"whose control block has {len(data)} bytes, not 33 and a multiple of 32"
    if data[0] & LEAF_VERSION_BITS != value[-1]:
        return f"of version {value[-1]:02x} with a control block for {data[0]:02x}"
    return None


def schnorr_signature(_: bytes, value: bytes) -> str | None:
    """Refuse a sighash type that BIP 341 has not; DEFAULT is said by no byte at all."""
    kind = value[SCHNORR_SIZE:]
    if kind and (not kind[0] or kind[0] not in SIGHASH_TYPES):
        return f"of the unknown sighash type {kind.hex()}"
    return None


def tap_derivation(_: bytes, value: bytes) -> str | None:
    """Read the leaves a key stands in, and where it comes from."""
    reader = ByteReader(value)
    try:
        reader.take(reader.compact_size() * HASH_SIZE)
    except PsbtError as error:
        return f"that cannot be read: {error}"
    if reader.left not in ORIGIN_SIZES:
        return f"whose origin has {reader.left} bytes"
    return None


def tap_tree(_: bytes, value: bytes) -> str | None:
    """Read the leaves from left to right: together they must fill the tree, none too many."""
    reader, open_at = ByteReader(value), [0]
    try:
        while reader.left:
            depth, version = reader.number(1), reader.number(1)
            reader.sized()
            fault = _leaf_fault(depth, version, open_at)
            if fault is not None:
                return fault
    except PsbtError as error:
        return f"that cannot be read: {error}"
    if not value:
        return "that is empty"
    return "with branches that have no leaf" if open_at else None


def _leaf_fault(depth: int, version: int, open_at: list[int]) -> str | None:
    """Put a leaf where the tree is open next; `open_at` are the depths still without one."""
    if depth > TREE_DEPTH_MAX:
        return f"with a leaf at depth {depth}"
    if version & ~LEAF_VERSION_BITS:
        return f"with a leaf of version {version:02x}"
    if not open_at or depth < open_at[-1]:
        return "with more leaves than it has room for"
    top = open_at.pop()
    open_at.extend(range(top + 1, depth + 1))
    return None
