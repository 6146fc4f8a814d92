"""The key-value maps of a PSBT, read strictly: what each may hold is in `field_rules`.

A PSBT is read, written and turned from one version into the other here, as bytes; a type nobody
knows, and a proprietary one, is kept as it stands. Nothing here asks embit.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.field_rules import (
    GLOBAL_RULES,
    INPUT_RULES,
    OUTPUT_RULES,
    MapRules,
    check_fields,
    number,
)
from psbt.transaction import (
    FINAL_SEQUENCE,
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

INPUTS: Final = ("inputs", INPUT_RULES)
OUTPUTS: Final = ("outputs", OUTPUT_RULES)
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
        return number(self.globals.get(GLOBAL_VERSION, b""))

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
            check_fields(where, scopes[-1], rules, version=_version(own))
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
    check_fields("globals", maps.globals, GLOBAL_RULES, version=version)
    for (name, rules), scopes in ((INPUTS, maps.inputs), (OUTPUTS, maps.outputs)):
        for index, values in enumerate(scopes):
            check_fields(f"{name}[{index}]", values, rules, version=version)
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
            **_without(values, INPUT_RULES),
            IN_PREVIOUS_TXID: bytes.fromhex(tx_in.outpoint.txid)[::-1],
            IN_OUTPUT_INDEX: tx_in.outpoint.vout.to_bytes(4, "little"),
            IN_SEQUENCE: tx_in.sequence.to_bytes(4, "little"),
        }
        for values, tx_in in zip(maps.inputs, transaction.inputs, strict=True)
    ]
    outputs = [
        {
            **_without(values, OUTPUT_RULES),
            OUT_AMOUNT: tx_out.value_sats.to_bytes(8, "little"),
            OUT_SCRIPT: tx_out.script_pubkey,
        }
        for values, tx_out in zip(maps.outputs, transaction.outputs, strict=True)
    ]
    globals_ = _sorted({**_without(maps.globals, GLOBAL_RULES), **own})
    return Maps(globals_, tuple(map(_sorted, inputs)), tuple(map(_sorted, outputs)))


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
    check_fields("globals", own, GLOBAL_RULES, version=_version(own))
    return reader, own


def _version(own: Fields) -> int:
    version = number(own.get(GLOBAL_VERSION, b""))
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
            Outpoint(values[IN_PREVIOUS_TXID][::-1].hex(), number(values[IN_OUTPUT_INDEX])),
            sequence=number(values[IN_SEQUENCE]) if IN_SEQUENCE in values else FINAL_SEQUENCE,
        )
        for values in maps.inputs
    ]
    outputs = [
        TransactionOutput(number(values[OUT_AMOUNT]), values[OUT_SCRIPT]) for values in maps.outputs
    ]
    version = number(maps.globals[GLOBAL_TX_VERSION])
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
        return number(maps.globals.get(GLOBAL_FALLBACK_LOCKTIME, b""))
    for kind in (IN_REQUIRED_HEIGHT_LOCKTIME, IN_REQUIRED_TIME_LOCKTIME):
        if all(kind in values for values in asking):
            return max(number(values[kind]) for values in asking)
    raise PsbtError("some inputs require a lock time by height only, others by time only")


def _count(own: Fields, key: bytes) -> int:
    return ByteReader(own[key]).compact_size()


def _without(values: Fields, rules: MapRules) -> Fields:
    """Return the fields that both versions have."""
    return {
        key: value
        for key, value in values.items()
        if key[0] not in rules.only[0] and key[0] not in rules.only[2] and key != GLOBAL_VERSION
    }


def _sorted(values: Fields) -> Fields:
    """Order fields by type; those of one type stay as they are."""
    return dict(sorted(values.items(), key=lambda item: item[0][:1]))
