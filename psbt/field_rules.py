"""What each field of a PSBT of version 0 may hold: sizes of keys and values (BIP 174, 371, 373).

Types nobody knows pass, and so do proprietary ones: they are kept as they are.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from coincurve import PublicKey

from psbt.errors import PsbtError
from psbt.fields import Fields
from psbt.transaction import MAX_MONEY_SATS, ByteReader

COMPRESSED: Final = {33: (0x02, 0x03)}
PUBLIC_KEYS: Final = {**COMPRESSED, 65: (0x04,)}
HASH_SIZE: Final = 32
PUBLIC_KEY_SIZE: Final = 33
CONTROL_BASE: Final = 33
TREE_DEPTH_MAX: Final = 128
PATH_STEPS_MAX: Final = 255
SIGNATURE_SIZES: Final = range(9, 74)  # DER of the shortest and the longest, and the sighash type
LEAF_VERSION_BITS: Final = 0xFE


class FieldRule(NamedTuple):
    """What a field is, the sizes its key's data and its value may have, and a closer look.

    None is any size. `look` returns what is wrong, or None.
    """

    what: str
    key_sizes: "range | tuple[int, ...] | None" = (0,)
    value_sizes: "range | tuple[int, ...] | None" = None
    look: Callable[[bytes, bytes], str | None] | None = None


class MapRules(NamedTuple):
    """The fields of one kind of map, and the types that BIP 370 keeps for version 2."""

    fields: Mapping[int, FieldRule]
    later: frozenset[int]


def check_fields(name: str, values: Fields, rules: MapRules) -> None:
    """Refuse what a map of this kind cannot hold; `name` is for the error."""
    for key, value in values.items():
        kind, data = key[0], key[1:]
        if kind in rules.later:
            raise PsbtError(f"{name} holds the key {key.hex()}, which version 0 does not have")
        rule = rules.fields.get(kind)
        if rule is not None:
            _check_field(name, rule, (key, data), value)


def _check_field(name: str, rule: FieldRule, key: tuple[bytes, bytes], value: bytes) -> None:
    whole, data = key
    if rule.key_sizes is not None and len(data) not in rule.key_sizes:
        if rule.key_sizes == (0,):
            raise PsbtError(f"{name} holds the key {whole.hex()}, which should be one byte")
        raise PsbtError(f"{name} holds {rule.what} with a key of {len(data)} bytes of data")
    if rule.value_sizes is not None and len(value) not in rule.value_sizes:
        raise PsbtError(f"{name} holds {rule.what} of {len(value)} bytes")
    fault = rule.look(data, value) if rule.look else None
    if fault is not None:
        raise PsbtError(f"{name} holds {rule.what} {fault}")


def _public_key(data: bytes, _: bytes) -> str | None:
    """Look at the key's data alone: a point, written in one of its two proper ways."""
    return None if data[0] in PUBLIC_KEYS[len(data)] else f"of a key that starts with {data[0]:02x}"


def _witness_utxo(_: bytes, value: bytes) -> str | None:
    if int.from_bytes(value[:8], "little") > MAX_MONEY_SATS:
        return "worth more than 21 million bitcoin"
    return None


def _stack(_: bytes, value: bytes) -> str | None:
    """Read a witness as far as its end, so that nothing goes on reading beyond it."""
    reader = ByteReader(value)
    try:
        reader.vector(ByteReader.sized)
        reader.end()
    except PsbtError as error:
        return f"that cannot be read: {error}"
    return None


def _control_block(data: bytes, value: bytes) -> str | None:
    if not value:
        return "that is empty"
    rest, size = divmod(len(data) - CONTROL_BASE, HASH_SIZE)
    if size or not 0 <= rest <= TREE_DEPTH_MAX:
        return f"whose control block has {len(data)} bytes, not 33 and a multiple of 32"
    return None


def _tap_derivation(_: bytes, value: bytes) -> str | None:
    reader = ByteReader(value)
    try:
        reader.take(reader.compact_size() * HASH_SIZE)
    except PsbtError as error:
        return f"that cannot be read: {error}"
    if reader.left not in ORIGIN_SIZES:
        return f"whose origin has {reader.left} bytes"
    return None


def _tap_tree(_: bytes, value: bytes) -> str | None:
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


def _participants(data: bytes, value: bytes) -> str | None:
    if not value or len(value) % PUBLIC_KEY_SIZE:
        return f"of {len(value)} bytes, not a multiple of {PUBLIC_KEY_SIZE}"
    keys = [value[at : at + PUBLIC_KEY_SIZE] for at in range(0, len(value), PUBLIC_KEY_SIZE)]
    return _points(data, *keys)


def _two_keys(data: bytes, _: bytes) -> str | None:
    return _points(data[:PUBLIC_KEY_SIZE], data[PUBLIC_KEY_SIZE : 2 * PUBLIC_KEY_SIZE])


def _points(*keys: bytes) -> str | None:
    for key in keys:
        try:
            PublicKey(key)
        except ValueError:
            return f"with the key {key.hex()}, which is none"
    return None


ORIGIN_SIZES: Final = range(4, 4 * (1 + PATH_STEPS_MAX) + 1, 4)
PUBLIC_KEY_SIZES: Final = tuple(PUBLIC_KEYS)
SCHNORR_SIZES: Final = (64, 65)
NONCE_KEY_SIZES: Final = (2 * PUBLIC_KEY_SIZE, 2 * PUBLIC_KEY_SIZE + HASH_SIZE)

DERIVATION: Final = FieldRule("a derivation", PUBLIC_KEY_SIZES, ORIGIN_SIZES, _public_key)
TAP_DERIVATION: Final = FieldRule("a taproot derivation", (32,), None, _tap_derivation)
TAP_INTERNAL_KEY: Final = FieldRule("a taproot internal key", (0,), (32,))
PARTICIPANTS: Final = FieldRule("MuSig2 participants", (PUBLIC_KEY_SIZE,), None, _participants)

GLOBAL_RULES: Final = MapRules(
    {
        0x00: FieldRule("an unsigned transaction"),
        0x01: FieldRule("a derivation", (78,), ORIGIN_SIZES),
        0x09: FieldRule("a message to sign"),
        0xFB: FieldRule("a version", (0,), (4,)),
    },
    frozenset({0x02, 0x03, 0x04, 0x05, 0x06}),
)
INPUT_RULES: Final = MapRules(
    {
        0x00: FieldRule("a previous transaction"),
        0x01: FieldRule("a spent output", (0,), None, _witness_utxo),
        0x02: FieldRule("a signature", PUBLIC_KEY_SIZES, SIGNATURE_SIZES, _public_key),
        0x03: FieldRule("a sighash type", (0,), (4,)),
        0x04: FieldRule("a redeem script"),
        0x05: FieldRule("a witness script"),
        0x06: DERIVATION,
        0x07: FieldRule("a final script_sig"),
        0x08: FieldRule("a final witness", (0,), None, _stack),
        0x09: FieldRule("a proof of reserves commitment"),
        0x0A: FieldRule("a preimage of RIPEMD-160", (20,)),
        0x0B: FieldRule("a preimage of SHA-256", (32,)),
        0x0C: FieldRule("a preimage of HASH160", (20,)),
        0x0D: FieldRule("a preimage of HASH256", (32,)),
        0x13: FieldRule("a Schnorr signature", (0,), SCHNORR_SIZES),
        0x14: FieldRule("a Schnorr signature", (64,), SCHNORR_SIZES),
        0x15: FieldRule("a taproot leaf script", None, None, _control_block),
        0x16: TAP_DERIVATION,
        0x17: TAP_INTERNAL_KEY,
        0x18: FieldRule("a taproot Merkle root", (0,), (32,)),
        0x1A: PARTICIPANTS,
        0x1B: FieldRule("a MuSig2 nonce", NONCE_KEY_SIZES, (66,), _two_keys),
        0x1C: FieldRule("a MuSig2 signature", NONCE_KEY_SIZES, (32,), _two_keys),
    },
    frozenset({0x0E, 0x0F, 0x10, 0x11, 0x12}),
)
OUTPUT_RULES: Final = MapRules(
    {
        0x00: FieldRule("a redeem script"),
        0x01: FieldRule("a witness script"),
        0x02: DERIVATION,
        0x05: TAP_INTERNAL_KEY,
        0x06: FieldRule("a taproot tree", (0,), None, _tap_tree),
        0x07: TAP_DERIVATION,
        0x08: PARTICIPANTS,
    },
    frozenset({0x03, 0x04}),
)
