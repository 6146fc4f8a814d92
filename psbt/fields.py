"""The key-value maps of a PSBT, read strictly: every rule of BIP 174, 370, 371 and 373.

A PSBT is read, written and turned from one version into the other here, as bytes; a type nobody
knows, and a proprietary one, is kept as it stands. Nothing here asks embit.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from coincurve import PublicKey

from psbt import taproot_fields
from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.taproot_fields import ORIGIN_SIZES, SIGHASH_TYPES
from psbt.transaction import (
    FINAL_SEQUENCE,
    FIRST_TIME_LOCK,
    MAX_MONEY_SATS,
    ByteReader,
    Transaction,
    TransactionInput,
    TransactionOutput,
    check_sound,
    compact_size,
    parse_unsigned,
    sized,
)

Fields = dict[bytes, bytes]

MAGIC: Final = b"psbt\xff"
VERSIONS: Final = (0, 2)

GLOBAL_UNSIGNED_TX: Final = b"\x00"
GLOBAL_XPUB: Final = b"\x01"
GLOBAL_TX_VERSION: Final = b"\x02"
GLOBAL_FALLBACK_LOCKTIME: Final = b"\x03"
GLOBAL_INPUT_COUNT: Final = b"\x04"
GLOBAL_OUTPUT_COUNT: Final = b"\x05"
GLOBAL_TX_MODIFIABLE: Final = b"\x06"
GLOBAL_SIGNED_MESSAGE: Final = b"\x09"
GLOBAL_VERSION: Final = b"\xfb"

IN_NON_WITNESS_UTXO: Final = b"\x00"
IN_WITNESS_UTXO: Final = b"\x01"
IN_REDEEM_SCRIPT: Final = b"\x04"
IN_WITNESS_SCRIPT: Final = b"\x05"
IN_BIP32_DERIVATION: Final = b"\x06"
IN_FINAL_SCRIPTSIG: Final = b"\x07"
IN_FINAL_SCRIPTWITNESS: Final = b"\x08"
IN_TAP_KEY_SIG: Final = b"\x13"
IN_TAP_SCRIPT_SIG: Final = b"\x14"
IN_TAP_LEAF_SCRIPT: Final = b"\x15"
IN_TAP_BIP32_DERIVATION: Final = b"\x16"
IN_TAP_INTERNAL_KEY: Final = b"\x17"
IN_TAP_MERKLE_ROOT: Final = b"\x18"
IN_PREVIOUS_TXID: Final = b"\x0e"
IN_OUTPUT_INDEX: Final = b"\x0f"
IN_SEQUENCE: Final = b"\x10"
IN_REQUIRED_TIME_LOCKTIME: Final = b"\x11"
IN_REQUIRED_HEIGHT_LOCKTIME: Final = b"\x12"

OUT_REDEEM_SCRIPT: Final = b"\x00"
OUT_WITNESS_SCRIPT: Final = b"\x01"
OUT_BIP32_DERIVATION: Final = b"\x02"
OUT_AMOUNT: Final = b"\x03"
OUT_SCRIPT: Final = b"\x04"
OUT_TAP_INTERNAL_KEY: Final = b"\x05"
OUT_TAP_TREE: Final = b"\x06"
OUT_TAP_BIP32_DERIVATION: Final = b"\x07"

SIZE_MAX: Final = 32 * 1024 * 1024
FIELDS_MAX: Final = 200_000
"""How many fields a PSBT may have: 955 inputs of a 15-of-15 have a fifth of them."""


class Maps(NamedTuple):
    """The maps of one PSBT in their order."""

    globals: Fields
    inputs: tuple[Fields, ...]
    outputs: tuple[Fields, ...]

    @property
    def version(self) -> int:
        """Return the version that the maps state, 0 where they state none."""
        return _number(self.globals.get(GLOBAL_VERSION, b""))

    def named(self) -> Iterator[tuple[str, Fields]]:
        """Yield every map in the order they are written, with its name for an error."""
        yield "globals", self.globals
        for index, values in enumerate(self.inputs):
            yield f"inputs[{index}]", values
        for index, values in enumerate(self.outputs):
            yield f"outputs[{index}]", values


def read(data: bytes) -> tuple[Maps, Transaction]:
    """Read a PSBT of either version: its maps, and the unsigned transaction they describe."""
    reader, own = _opened(data)
    transaction = None if _version(own) else _unsigned(own)
    counts = (
        (_count(own, GLOBAL_INPUT_COUNT), _count(own, GLOBAL_OUTPUT_COUNT))
        if transaction is None
        else (len(transaction.inputs), len(transaction.outputs))
    )
    left = FIELDS_MAX - len(own)
    found: list[list[Fields]] = [[], []]
    for scopes, (name, rules), count in zip(found, (INPUTS, OUTPUTS), counts, strict=True):
        for index in range(count):
            where = f"{name}[{index}]"
            scopes.append(read_fields(reader, where, left))
            left -= len(scopes[-1])
            _check_fields(where, scopes[-1], rules, version=_version(own))
    reader.end()
    maps = Maps(own, tuple(found[0]), tuple(found[1]))
    return maps, transaction or _constructed(maps)


def read_transaction(data: bytes) -> Transaction:
    """Return the unsigned transaction of a PSBT; of version 0 nothing else is looked at."""
    _, own = _opened(data)
    return read(data)[1] if _version(own) else _unsigned(own)


def check(maps: Maps) -> Transaction:
    """Hold maps against every rule, as when they are read; returns their transaction."""
    version = _version(maps.globals)
    _check_fields("globals", maps.globals, GLOBAL_RULES, version=version)
    for (name, rules), scopes in ((INPUTS, maps.inputs), (OUTPUTS, maps.outputs)):
        for index, values in enumerate(scopes):
            _check_fields(f"{name}[{index}]", values, rules, version=version)
    transaction = _constructed(maps) if version else _unsigned(maps.globals)
    described = (len(maps.inputs), len(maps.outputs))
    stated = (len(transaction.inputs), len(transaction.outputs))
    if version:
        own = maps.globals
        stated = (_count(own, GLOBAL_INPUT_COUNT), _count(own, GLOBAL_OUTPUT_COUNT))
    if stated != described:
        raise PsbtError(
            f"maps for {described[0]} inputs and {described[1]} outputs are there, but"
            f" the globals state {stated[0]} and {stated[1]}"
        )
    return transaction


def write(maps: Maps) -> bytes:
    """Return the bytes of a PSBT, its fields in the order they have."""
    return MAGIC + b"".join(
        b"".join(sized(key) + sized(value) for key, value in values.items()) + b"\x00"
        for _, values in maps.named()
    )


def read_fields(reader: ByteReader, name: str, most: int | None = None) -> Fields:
    """Read one map up to its separator, with so many fields at most; `name` is for the error."""
    found: Fields = {}
    limit = FIELDS_MAX if most is None else most
    while key := reader.sized():
        if key in found:
            raise PsbtError(f"{name} holds the key {key.hex()} twice")
        if len(found) == limit:
            raise PsbtError(f"more than {FIELDS_MAX} fields are too many for a PSBT")
        found[key] = reader.sized()
    return found


def as_version_0(maps: Maps, transaction: Transaction) -> Maps:
    """Return checked maps as version 0 writes them, around their own transaction.

    What only version 2 has is said by the transaction, but for what may still be changed of it.
    """
    own = {GLOBAL_UNSIGNED_TX: transaction.stripped, **_without(maps.globals, GLOBAL_RULES)}
    if not maps.version:
        return maps._replace(globals=own)
    inputs = tuple([_without(values, INPUT_RULES) for values in maps.inputs])
    return Maps(own, inputs, tuple([_without(values, OUTPUT_RULES) for values in maps.outputs]))


def as_version_2(maps: Maps, transaction: Transaction) -> Maps:
    """Return checked maps as version 2 writes them, around their own transaction.

    Nothing of it may be changed any more: the modifiable flags are left out.
    """
    own = {
        GLOBAL_TX_VERSION: transaction.version.to_bytes(4, "little"),
        GLOBAL_FALLBACK_LOCKTIME: transaction.locktime.to_bytes(4, "little"),
        GLOBAL_INPUT_COUNT: compact_size(len(transaction.inputs)),
        GLOBAL_OUTPUT_COUNT: compact_size(len(transaction.outputs)),
        GLOBAL_VERSION: (2).to_bytes(4, "little"),
    }
    inputs = [
        {
            IN_PREVIOUS_TXID: bytes.fromhex(tx_in.outpoint.txid)[::-1],
            IN_OUTPUT_INDEX: tx_in.outpoint.vout.to_bytes(4, "little"),
            IN_SEQUENCE: tx_in.sequence.to_bytes(4, "little"),
        }
        for tx_in in transaction.inputs
    ]
    outputs = [
        {
            OUT_AMOUNT: tx_out.value_sats.to_bytes(8, "little"),
            OUT_SCRIPT: tx_out.script_pubkey,
        }
        for tx_out in transaction.outputs
    ]
    return Maps(
        _sorted({**_without(maps.globals, GLOBAL_RULES), **own}),
        tuple(
            [
                _sorted({**_without(values, INPUT_RULES), **new})
                for values, new in zip(maps.inputs, inputs, strict=True)
            ]
        ),
        tuple(
            [
                _sorted({**_without(values, OUTPUT_RULES), **new})
                for values, new in zip(maps.outputs, outputs, strict=True)
            ]
        ),
    )


def filled(maps: Maps, asked: Transaction) -> Maps:
    """Return maps that came back with the lock time and sequences they leave out as they were.

    Of version 0 nothing can be left out. Who lets a field go did not ask for its default.
    """
    if maps.version != 2 or len(maps.inputs) != len(asked.inputs):
        return maps
    own = {GLOBAL_FALLBACK_LOCKTIME: asked.locktime.to_bytes(4, "little"), **maps.globals}
    inputs = [
        {IN_SEQUENCE: tx_in.sequence.to_bytes(4, "little"), **values}
        for values, tx_in in zip(maps.inputs, asked.inputs, strict=True)
    ]
    return Maps(own, tuple(inputs), maps.outputs)


def unique_id(transaction: Transaction) -> str:
    """Return what tells PSBTs apart (BIP 370): the id of the transaction without its sequences."""
    inputs = tuple(tx_in._replace(sequence=0) for tx_in in transaction.inputs)
    return replace(transaction, inputs=inputs).txid


def _opened(data: bytes) -> tuple[ByteReader, Fields]:
    """Return the global fields, and what reads on behind them."""
    if len(data) > SIZE_MAX:
        raise PsbtError(f"{len(data)} bytes are too many for a PSBT, {SIZE_MAX} are the most")
    reader = ByteReader(data)
    if reader.take(min(reader.left, len(MAGIC))) != MAGIC:
        raise PsbtError("this is not a PSBT: it does not start with the bytes psbt and ff")
    own = read_fields(reader, "globals")
    _check_fields("globals", own, GLOBAL_RULES, version=_version(own))
    return reader, own


def _version(own: Fields) -> int:
    version = _number(own.get(GLOBAL_VERSION, b""))
    if version not in VERSIONS:
        raise PsbtError(f"PSBT version {version} is not known; there are versions 0 and 2")
    return version


def _unsigned(own: Fields) -> Transaction:
    """Read the transaction without witness form, so that it may have no inputs."""
    try:
        transaction = parse_unsigned(own[GLOBAL_UNSIGNED_TX])
    except KeyError:
        raise PsbtError("globals hold no unsigned transaction") from None
    except PsbtError as error:
        raise PsbtError(
            f"the unsigned transaction is not in the form without witnesses: {error}"
        ) from error
    for index, tx_in in enumerate(transaction.inputs):
        if tx_in.script_sig:
            raise PsbtError(f"input {index} of the unsigned transaction has a script_sig")
    check_sound(transaction)
    return transaction


def _constructed(maps: Maps) -> Transaction:
    """Return the transaction that the fields of version 2 describe."""
    inputs = [
        TransactionInput(
            Outpoint(values[IN_PREVIOUS_TXID][::-1].hex(), _number(values[IN_OUTPUT_INDEX])),
            sequence=_number(values[IN_SEQUENCE]) if IN_SEQUENCE in values else FINAL_SEQUENCE,
        )
        for values in maps.inputs
    ]
    outputs = [
        TransactionOutput(_number(values[OUT_AMOUNT]), values[OUT_SCRIPT])
        for values in maps.outputs
    ]
    version = _number(maps.globals[GLOBAL_TX_VERSION])
    transaction = Transaction(tuple(inputs), tuple(outputs), version, _locktime(maps))
    check_sound(transaction)
    return transaction


def _locktime(maps: Maps) -> int:
    """Return the lock time by the rule of BIP 370: of the kind that every input allows.

    Of two kinds that all allow it is the height; where no input asks, it is the fallback.
    """
    asking = [
        values
        for values in maps.inputs
        if IN_REQUIRED_TIME_LOCKTIME in values or IN_REQUIRED_HEIGHT_LOCKTIME in values
    ]
    if not asking:
        return _number(maps.globals.get(GLOBAL_FALLBACK_LOCKTIME, b""))
    for kind in (IN_REQUIRED_HEIGHT_LOCKTIME, IN_REQUIRED_TIME_LOCKTIME):
        if all(kind in values for values in asking):
            return max(_number(values[kind]) for values in asking)
    raise PsbtError("some inputs require a lock time by height only, others by time only")


def _count(own: Fields, key: bytes) -> int:
    return ByteReader(own[key]).compact_size()


def _without(values: Fields, rules: "MapRules") -> Fields:
    """Return the fields that both versions have."""
    return {
        key: value
        for key, value in values.items()
        if key[0] not in rules.only[0] and key[0] not in rules.only[2] and key != GLOBAL_VERSION
    }


def _sorted(values: Fields) -> Fields:
    """Order fields by type; those of one type stay as they are."""
    return dict(sorted(values.items(), key=lambda item: item[0][:1]))


def _number(value: bytes) -> int:
    return int.from_bytes(value, "little")


COMPRESSED: Final = {33: (0x02, 0x03)}
PUBLIC_KEYS: Final = {**COMPRESSED, 65: (0x04,)}
HASH_SIZE: Final = 32
PUBLIC_KEY_SIZE: Final = 33
SIGNATURE_SIZES: Final = range(9, 74)  # DER of the shortest and the longest, and the sighash type


class FieldRule(NamedTuple):
    """What a field is, the sizes its key's data and its value may have, and a closer look.

    None is any size. `look` returns what is wrong, or None.
    """

    what: str
    key_sizes: "range | tuple[int, ...] | None" = (0,)
    value_sizes: "range | tuple[int, ...] | None" = None
    look: Callable[[bytes, bytes], str | None] | None = None


class MapRules(NamedTuple):
    """The fields of one kind of map, by version those that it alone has, and those it needs."""

    fields: Mapping[int, FieldRule]
    only: Mapping[int, frozenset[int]]
    needed: Mapping[int, tuple[bytes, ...]]


def _check_fields(name: str, values: Fields, rules: MapRules, *, version: int) -> None:
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
    for key in rules.needed[version]:
        if key not in values:
            raise PsbtError(f"{name} lacks {rules.fields[key[0]].what}, which version 2 needs")


def _check_field(name: str, rule: FieldRule, key: bytes, *, value: bytes) -> None:
    data = key[1:]
    if rule.key_sizes is not None and len(data) not in rule.key_sizes:
        if rule.key_sizes == (0,):
            raise PsbtError(f"{name} holds the key {key.hex()}, which should be one byte")
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
    """Read an output as far as its end."""
    reader = ByteReader(value)
    try:
        value_sats = reader.number(8)
        reader.sized()
        reader.end()
    except PsbtError as error:
        return f"that cannot be read: {error}"
    return "worth more than 21 million bitcoin" if value_sats > MAX_MONEY_SATS else None


def _stack(_: bytes, value: bytes) -> str | None:
    """Read a witness as far as its end, so that nothing goes on reading beyond it."""
    reader = ByteReader(value)
    try:
        reader.vector(ByteReader.sized)
        reader.end()
    except PsbtError as error:
        return f"that cannot be read: {error}"
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
            return f"with {key.hex()}, which is not a public key"
    return None


def _compact(_: bytes, value: bytes) -> str | None:
    reader = ByteReader(value)
    try:
        reader.compact_size()
        reader.end()
    except PsbtError as error:
        return f"that cannot be read: {error}"
    return None


def _sighash_type(_: bytes, value: bytes) -> str | None:
    kind = _number(value)
    return None if kind in SIGHASH_TYPES else f"of {kind:#x}, which is not a sighash type"


def _lock(_: bytes, value: bytes, allowed: range) -> str | None:
    lock = _number(value)
    return None if lock in allowed else f"of {lock}, not {allowed[0]} to {allowed[-1]}"


PUBLIC_KEY_SIZES: Final = tuple(PUBLIC_KEYS)
SCHNORR_SIZES: Final = (64, 65)
NONCE_KEY_SIZES: Final = (2 * PUBLIC_KEY_SIZE, 2 * PUBLIC_KEY_SIZE + HASH_SIZE)

TIME_LOCKS: Final = range(FIRST_TIME_LOCK, 1 << 32)
HEIGHT_LOCKS: Final = range(1, FIRST_TIME_LOCK)

DERIVATION: Final = FieldRule("a derivation", PUBLIC_KEY_SIZES, ORIGIN_SIZES, _public_key)
TAP_DERIVATION: Final = FieldRule(
    "a taproot derivation", (32,), None, taproot_fields.tap_derivation
)
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
    {0: (), 2: (GLOBAL_TX_VERSION, GLOBAL_INPUT_COUNT, GLOBAL_OUTPUT_COUNT)},
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
        0x13: FieldRule(
            "a Schnorr signature", (0,), SCHNORR_SIZES, taproot_fields.schnorr_signature
        ),
        0x14: FieldRule(
            "a Schnorr signature", (64,), SCHNORR_SIZES, taproot_fields.schnorr_signature
        ),
        0x15: FieldRule("a taproot leaf script", None, None, taproot_fields.control_block),
        0x16: TAP_DERIVATION,
        0x17: TAP_INTERNAL_KEY,
        0x18: FieldRule("a taproot Merkle root", (0,), (32,)),
        0x1A: PARTICIPANTS,
        0x1B: FieldRule("a MuSig2 nonce", NONCE_KEY_SIZES, (66,), _two_keys),
        0x1C: FieldRule("a MuSig2 signature", NONCE_KEY_SIZES, (32,), _two_keys),
    },
    {0: frozenset(), 2: frozenset({0x0E, 0x0F, 0x10, 0x11, 0x12})},
    {0: (), 2: (IN_PREVIOUS_TXID, IN_OUTPUT_INDEX)},
)
OUTPUT_RULES: Final = MapRules(
    {
        0x00: FieldRule("a redeem script"),
        0x01: FieldRule("a witness script"),
        0x02: DERIVATION,
        0x03: FieldRule("an amount", (0,), (8,)),
        0x04: FieldRule("a script"),
        0x05: TAP_INTERNAL_KEY,
        0x06: FieldRule("a taproot tree", (0,), None, taproot_fields.tap_tree),
        0x07: TAP_DERIVATION,
        0x08: PARTICIPANTS,
    },
    {0: frozenset(), 2: frozenset({0x03, 0x04})},
    {0: (), 2: (OUT_AMOUNT, OUT_SCRIPT)},
)
INPUTS: Final = ("inputs", INPUT_RULES)
OUTPUTS: Final = ("outputs", OUTPUT_RULES)
