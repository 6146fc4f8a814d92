"""What each field of a PSBT may hold: every rule of BIP 174, 370, 371 and 373.

A closer look at a value returns what is wrong with it, or None.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from coincurve import PublicKey

from psbt.coins import MAX_MONEY_SATS
from psbt.errors import PsbtError
from psbt.taproot import CONTROL_SIZE, LEAF_VERSION_BITS, TREE_DEPTH_MAX
from psbt.transaction import FIRST_TIME_LOCK, ByteReader

PUBLIC_KEYS: Final = {33: (0x02, 0x03), 65: (0x04,)}
HASH_SIZE: Final = 32
PUBLIC_KEY_SIZE: Final = 33
SIGNATURE_SIZES: Final = range(9, 74)  # DER of the shortest and the longest, and the sighash type
PUBLIC_KEY_SIZES: Final = tuple(PUBLIC_KEYS)
SCHNORR_SIZES: Final = (64, 65)
NONCE_KEY_SIZES: Final = (2 * PUBLIC_KEY_SIZE, 2 * PUBLIC_KEY_SIZE + HASH_SIZE)
PATH_STEPS_MAX: Final = 255
ORIGIN_SIZES: Final = range(4, 4 * (1 + PATH_STEPS_MAX) + 1, 4)
"""How many bytes a fingerprint and a path can have."""
SIGHASH_TYPES: Final = frozenset({0x00, 0x01, 0x02, 0x03, 0x81, 0x82, 0x83})
TIME_LOCKS: Final = range(FIRST_TIME_LOCK, 1 << 32)
HEIGHT_LOCKS: Final = range(1, FIRST_TIME_LOCK)


class FieldRule(NamedTuple):
    """What a field is, the sizes its key's data and its value may have, and a closer look.

    None is any size. `look` returns what is wrong, or None; it raises PsbtError where it cannot
    read on.
    """

    what: str
    key_sizes: "range | tuple[int, ...] | None" = (0,)
    value_sizes: "range | tuple[int, ...] | None" = None
    look: Callable[[bytes, bytes], str | None] | None = None


class MapRules(NamedTuple):
    """The fields of one kind of map, by version those that it alone has, and those it needs."""

    fields: Mapping[int, FieldRule]
    only: Mapping[int, frozenset[int]]
    needed: Mapping[int, tuple[int, ...]]


def check_fields(
    name: str, values: Mapping[bytes, bytes], rules: MapRules, *, version: int
) -> None:
    """Refuse what a map of this kind cannot hold; `name` is for the error."""
    others = rules.only[2 - version]
    for key, value in values.items():
        kind = key[0]
        if kind in others:
            raise PsbtError(
                f"{name} holds the key {key.hex()}, which version {version} does not have"
            )
        rule = rules.fields.get(kind)
        if rule is not None:
            _check_field(name, rule, key, value=value)
    for kind in rules.needed[version]:
        if bytes([kind]) not in values:
            raise PsbtError(f"{name} lacks {rules.fields[kind].what}, which version 2 needs")


def _check_field(name: str, rule: FieldRule, key: bytes, *, value: bytes) -> None:
    data = key[1:]
    if rule.key_sizes is not None and len(data) not in rule.key_sizes:
        if rule.key_sizes == (0,):
            raise PsbtError(f"{name} holds the key {key.hex()}, which should be one byte")
        raise PsbtError(f"{name} holds {rule.what} with a key of {len(data)} bytes of data")
    if rule.value_sizes is not None and len(value) not in rule.value_sizes:
        raise PsbtError(f"{name} holds {rule.what} of {len(value)} bytes")
    try:
        fault = rule.look(data, value) if rule.look else None
    except PsbtError as error:
        fault = f"that cannot be read: {error}"
    if fault is not None:
        raise PsbtError(f"{name} holds {rule.what} {fault}")


def _public_key(data: bytes, _: bytes) -> str | None:
    """Look at the key's data alone: a point, written in one of its two proper ways."""
    return None if data[0] in PUBLIC_KEYS[len(data)] else f"of a key that starts with {data[0]:02x}"


def _witness_utxo(_: bytes, value: bytes) -> str | None:
    """Read an output as far as its end."""
    reader = ByteReader(value)
    value_sats = reader.number(8)
    reader.sized()
    reader.end()
    return "worth more than 21 million bitcoin" if value_sats > MAX_MONEY_SATS else None


def _stack(_: bytes, value: bytes) -> None:
    """Read a witness as far as its end, so that nothing goes on reading beyond it."""
    reader = ByteReader(value)
    reader.vector(ByteReader.sized)
    reader.end()


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
            return f"with {key.hex()}, which is not a public key"
    return None


def _compact(_: bytes, value: bytes) -> None:
    reader = ByteReader(value)
    reader.compact_size()
    reader.end()


def _sighash_type(_: bytes, value: bytes) -> str | None:
    kind = number(value)
    return None if kind in SIGHASH_TYPES else f"of {kind:#x}, which is not a sighash type"


def _lock(_: bytes, value: bytes, allowed: range) -> str | None:
    lock = number(value)
    return None if lock in allowed else f"of {lock}, not {allowed[0]} to {allowed[-1]}"


def _control_block(data: bytes, value: bytes) -> str | None:
    """Hold a control block against the version that stands behind its leaf."""
    if not value:
        return "that is empty"
    rest, size = divmod(len(data) - CONTROL_SIZE, HASH_SIZE)
    if size or not 0 <= rest <= TREE_DEPTH_MAX:
        return f"whose control block has {len(data)} bytes, not 33 and a multiple of 32"
    if data[0] & LEAF_VERSION_BITS != value[-1]:
        return f"of version {value[-1]:02x} with a control block for {data[0]:02x}"
    return None


def _schnorr_signature(_: bytes, value: bytes) -> str | None:
    """Refuse a sighash type that BIP 341 has not; DEFAULT is said by no byte at all."""
    kind = value[SCHNORR_SIZES[0] :]
    if kind and (not kind[0] or kind[0] not in SIGHASH_TYPES):
        return f"of the unknown sighash type {kind.hex()}"
    return None


def _tap_derivation(_: bytes, value: bytes) -> str | None:
    """Read the leaves a key stands in, and where it comes from."""
    reader = ByteReader(value)
    reader.take(reader.compact_size() * HASH_SIZE)
    if reader.left not in ORIGIN_SIZES:
        return f"whose origin has {reader.left} bytes"
    return None


def _tap_tree(_: bytes, value: bytes) -> str | None:
    """Read the leaves from left to right: together they must fill the tree, none too many.

    Each is put where the tree is open next; `open_at` are the depths still without one.
    """
    reader, open_at = ByteReader(value), [0]
    while reader.left:
        depth, version = reader.number(1), reader.number(1)
        reader.sized()
        if depth > TREE_DEPTH_MAX:
            return f"with a leaf at depth {depth}"
        if version & ~LEAF_VERSION_BITS:
            return f"with a leaf of version {version:02x}"
        if not open_at or depth < open_at[-1]:
            return "with more leaves than it has room for"
        top = open_at.pop()
        open_at.extend(range(top + 1, depth + 1))
    if not value:
        return "that is empty"
    return "with branches that have no leaf" if open_at else None


def number(value: bytes) -> int:
    """Read an unsigned integer, as PSBTs write them."""
    return int.from_bytes(value, "little")


DERIVATION: Final = FieldRule("a derivation", PUBLIC_KEY_SIZES, ORIGIN_SIZES, _public_key)
TAP_DERIVATION: Final = FieldRule("a taproot derivation", (32,), None, _tap_derivation)
TAP_INTERNAL_KEY: Final = FieldRule("a taproot internal key", (0,), (32,))
PARTICIPANTS: Final = FieldRule("MuSig2 participants", (PUBLIC_KEY_SIZE,), None, _participants)

GLOBAL_RULES: Final = MapRules(
    {
        0x00: FieldRule("an unsigned transaction"),
        0x01: FieldRule("a derivation", (78,), ORIGIN_SIZES),
        0x02: FieldRule("a transaction version", (0,), (4,)),
        0x03: FieldRule("a fallback lock time", (0,), (4,)),
        0x04: FieldRule("an input count", (0,), None, _compact),
        0x05: FieldRule("an output count", (0,), None, _compact),
        0x06: FieldRule("modifiable flags", (0,), (1,)),
        0x09: FieldRule("a message to sign"),
        0xFB: FieldRule("a version", (0,), (4,)),
    },
    {0: frozenset({0x00}), 2: frozenset({0x02, 0x03, 0x04, 0x05, 0x06})},
    {0: (), 2: (0x02, 0x04, 0x05)},
)
INPUT_RULES: Final = MapRules(
    {
        0x00: FieldRule("a previous transaction"),
        0x01: FieldRule("a spent output", (0,), None, _witness_utxo),
        0x02: FieldRule("a signature", PUBLIC_KEY_SIZES, SIGNATURE_SIZES, _public_key),
        0x03: FieldRule("a sighash type", (0,), (4,), _sighash_type),
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
        0x0E: FieldRule("a previous transaction id", (0,), (HASH_SIZE,)),
        0x0F: FieldRule("an output index", (0,), (4,)),
        0x10: FieldRule("a sequence", (0,), (4,)),
        0x11: FieldRule("a required lock time", (0,), (4,), partial(_lock, allowed=TIME_LOCKS)),
        0x12: FieldRule("a required lock height", (0,), (4,), partial(_lock, allowed=HEIGHT_LOCKS)),
        0x13: FieldRule("a Schnorr signature", (0,), SCHNORR_SIZES, _schnorr_signature),
        0x14: FieldRule("a Schnorr signature", (64,), SCHNORR_SIZES, _schnorr_signature),
        0x15: FieldRule("a taproot leaf script", None, None, _control_block),
        0x16: TAP_DERIVATION,
        0x17: TAP_INTERNAL_KEY,
        0x18: FieldRule("a taproot Merkle root", (0,), (32,)),
        0x1A: PARTICIPANTS,
        0x1B: FieldRule("a MuSig2 nonce", NONCE_KEY_SIZES, (66,), _two_keys),
        0x1C: FieldRule("a MuSig2 signature", NONCE_KEY_SIZES, (32,), _two_keys),
    },
    {0: frozenset(), 2: frozenset({0x0E, 0x0F, 0x10, 0x11, 0x12})},
    {0: (), 2: (0x0E, 0x0F)},
)
OUTPUT_RULES: Final = MapRules(
    {
        0x00: FieldRule("a redeem script"),
        0x01: FieldRule("a witness script"),
        0x02: DERIVATION,
        0x03: FieldRule("an amount", (0,), (8,)),
        0x04: FieldRule("a script"),
        0x05: TAP_INTERNAL_KEY,
        0x06: FieldRule("a taproot tree", (0,), None, _tap_tree),
        0x07: TAP_DERIVATION,
        0x08: PARTICIPANTS,
    },
    {0: frozenset(), 2: frozenset({0x03, 0x04})},
    {0: (), 2: (0x03, 0x04)},
)
