"""Bytes, base64 and hex ↔ Psbt, strictly; every failure is a PsbtError.

The maps are read here, because embit accepts what BIP 174 forbids; embit is given one value
at a time and what it makes of the transaction is compared with what was read.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Final, NamedTuple, ParamSpec, TypeVar

from embit import compact
from embit.base import EmbitBase, EmbitError
from embit.ec import PublicKey
from embit.psbt import PSBT, DerivationPath, InputScope, OutputScope
from embit.transaction import Transaction, TransactionInput, TransactionOutput
from embit.util import secp256k1

from psbt import fields
from psbt import transaction as network
from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.fields import Fields, Maps, read_fields
from psbt.transaction import MAX_MONEY_SATS, ByteReader, parse_transaction, sized

__all__ = [
    "Psbt",
    "assemble",
    "copy",
    "parse",
    "previous_transaction",
    "public_key",
    "secp_backend",
    "to_base64",
    "to_bytes",
    "txid",
    "unsigned_transaction",
]

CACHED_KEYS: Final = 16_384

P = ParamSpec("P")
T = TypeVar("T")

EMBIT_FAILURES: Final = (
    EmbitError, ValueError, RuntimeError, AssertionError, LookupError, TypeError, ArithmeticError
)  # fmt: skip


class KeyRules(NamedTuple):
    """What the keys of one kind of map may be, beyond what embit checks."""

    bare: frozenset[int]  # the key is the type alone
    later: frozenset[int]  # BIP 370 keeps the type for version 2
    derivation: int  # the value is a fingerprint and a path


GLOBAL_RULES: Final = KeyRules(
    frozenset({0x00, 0x09, 0xFB}), frozenset({0x02, 0x03, 0x04, 0x05, 0x06}), 0x01
)
INPUT_RULES: Final = KeyRules(
    frozenset({0x00, 0x01, 0x03, 0x04, 0x05, 0x07, 0x08, 0x13, 0x17, 0x18}),
    frozenset({0x0E, 0x0F, 0x10, 0x11, 0x12}),
    0x06,
)
OUTPUT_RULES: Final = KeyRules(frozenset({0x00, 0x01, 0x05, 0x06}), frozenset({0x03, 0x04}), 0x02)


class Psbt(PSBT):
    """Embit's PSBT, less that it writes version 2 for 0 and a final sequence for 0."""

    @property
    def tx(self) -> Transaction:
        """The unsigned transaction; it is built at each access, so take it once."""
        tx_ins = [
            TransactionInput(psbt_in.txid, psbt_in.vout, sequence=psbt_in.sequence)
            for psbt_in in self.inputs
        ]
        tx_outs = [TransactionOutput(out.value, out.script_pubkey) for out in self.outputs]
        return Transaction(self.tx_version, tx_ins, tx_outs, self.locktime)


@dataclass(frozen=True, eq=False)
class Previous:
    """A previous transaction as embit writes it and as we read it.

    Many programs leave its witnesses out, so two with the same id are the same.
    """

    raw: bytes
    transaction: network.Transaction

    def __eq__(self, other: object) -> bool:
        """Compare what the transaction's id covers."""
        if not isinstance(other, Previous):
            return NotImplemented
        same = self.raw == other.raw
        return same or self.transaction.stripped == other.transaction.stripped

    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash(self.transaction.stripped)

    def serialize(self) -> bytes:
        """Return the bytes it was read from."""
        return self.raw


def secp_backend() -> str:
    """Name what embit computes with: `libsecp256k1`, or `python` after its silent fallback."""
    module: str = secp256k1.ec_pubkey_add.__module__
    return "libsecp256k1" if module == "embit.util.ctypes_secp256k1" else "python"


def parse(data: bytes | str) -> Psbt:
    """Read a PSBT of version 0 from its bytes, or from base64 or hex text."""
    reader = ByteReader(_binary(data))
    if reader.take(min(reader.left, len(fields.MAGIC))) != fields.MAGIC:
        raise PsbtError("this is not a PSBT: it does not start with the bytes psbt and ff")
    global_fields = read_fields(reader, "globals")
    transaction = _unsigned_transaction(global_fields)
    maps = Maps(
        global_fields,
        tuple(read_fields(reader, f"inputs[{index}]") for index in range(len(transaction.vin))),
        tuple(read_fields(reader, f"outputs[{index}]") for index in range(len(transaction.vout))),
    )
    reader.end()
    return _assembled(maps, transaction)


def assemble(maps: Maps) -> Psbt:
    """Make a PSBT of its maps, under the same checks as when reading one."""
    return _assembled(maps, _unsigned_transaction(maps.globals))


def to_bytes(psbt: Psbt) -> bytes:
    """Serialize."""
    return psbt.serialize()


def to_base64(psbt: Psbt) -> str:
    """Serialize as text."""
    return base64.b64encode(to_bytes(psbt)).decode()


def txid(psbt: Psbt) -> str:
    """Return the id the transaction will have: inputs are segwit, so signing keeps it."""
    return unsigned_transaction(psbt).txid


def unsigned_transaction(psbt: Psbt) -> network.Transaction:
    """Return the transaction as it will be, still without witnesses."""
    inputs = tuple(
        network.TransactionInput(Outpoint(i.txid.hex(), i.vout), sequence=i.sequence)
        for i in psbt.inputs
    )
    outputs = tuple(network.TransactionOutput(o.value, o.script_pubkey.data) for o in psbt.outputs)
    return network.Transaction(inputs, outputs, psbt.tx_version, psbt.locktime)


def copy(psbt: Psbt) -> Psbt:
    """Return a PSBT whose maps can be changed without changing `psbt`."""
    twin = _with_own_dicts(psbt)
    twin.inputs = [_with_own_dicts(psbt_in) for psbt_in in psbt.inputs]
    twin.outputs = [_with_own_dicts(psbt_out) for psbt_out in psbt.outputs]
    return twin


def previous_transaction(psbt_in: InputScope) -> network.Transaction | None:
    """Return the transaction that made the output spent, if the input holds it."""
    found = psbt_in.non_witness_utxo
    return found.transaction if isinstance(found, Previous) else None


@lru_cache(maxsize=CACHED_KEYS)
def public_key(pubkey: bytes) -> PublicKey:
    """Return embit's key; the same key is one object, which makes comparing PSBTs cheap."""
    return PublicKey.parse(pubkey)


@lru_cache(maxsize=CACHED_KEYS)
def _derivation(origin: bytes) -> DerivationPath:
    return DerivationPath.parse(origin)


def _with_own_dicts(scope: T) -> T:
    twin = object.__new__(type(scope))
    for name, value in vars(scope).items():
        setattr(twin, name, dict(value) if isinstance(value, dict) else value)
    return twin


def _binary(data: bytes | str) -> bytes:
    if isinstance(data, bytes) and data.startswith(fields.MAGIC):
        return data
    try:
        text = "".join((data.decode("ascii") if isinstance(data, bytes) else data).split())
        if text.lower().startswith(fields.MAGIC.hex()):
            return bytes.fromhex(text)
        return base64.b64decode(text, validate=True)
    except (UnicodeDecodeError, binascii.Error, ValueError) as error:
        raise PsbtError("this is not a PSBT: neither its bytes nor base64 nor hex") from error


def _unsigned_transaction(global_fields: Fields) -> Transaction:
    """Read the transaction without witness form, so that it may have no inputs."""
    version = int.from_bytes(global_fields.get(fields.GLOBAL_VERSION, b""), "little")
    if version != 0:
        raise PsbtError(f"PSBT version {version} is not supported; ask for version 0")
    raw = global_fields.get(fields.GLOBAL_UNSIGNED_TX)
    if raw is None:
        raise PsbtError("globals hold no unsigned transaction")
    transaction = _translated("the unsigned transaction", _without_witness, raw)
    if _translated("the unsigned transaction", transaction.serialize) != raw:
        raise PsbtError("the unsigned transaction is not in the form without witnesses")
    for index, tx_in in enumerate(transaction.vin):
        if tx_in.script_sig.data:
            raise PsbtError(f"input {index} of the unsigned transaction has a script_sig")
    if any(tx_out.value > MAX_MONEY_SATS for tx_out in transaction.vout):
        raise PsbtError("an output is worth more than 21 million bitcoin")
    return transaction


def _without_witness(raw: bytes) -> Transaction:
    stream = BytesIO(raw)
    version = int.from_bytes(stream.read(4), "little")
    tx_ins = [TransactionInput.read_from(stream) for _ in range(compact.read_from(stream))]
    tx_outs = [TransactionOutput.read_from(stream) for _ in range(compact.read_from(stream))]
    locktime = int.from_bytes(stream.read(4), "little")
    return Transaction(version, tx_ins, tx_outs, locktime)


def _assembled(maps: Maps, transaction: Transaction) -> Psbt:
    _check_fields("globals", maps.globals, GLOBAL_RULES)
    not_kept = (fields.GLOBAL_UNSIGNED_TX, fields.GLOBAL_VERSION)
    rest = {key: value for key, value in maps.globals.items() if key not in not_kept}
    psbt = _translated("globals", Psbt, transaction, rest)
    previous: dict[bytes, Previous] = {}
    for index, (psbt_in, values) in enumerate(zip(psbt.inputs, maps.inputs, strict=True)):
        _fill_input(f"inputs[{index}]", psbt_in, values, previous)
    for index, (psbt_out, values) in enumerate(zip(psbt.outputs, maps.outputs, strict=True)):
        _check_fields(f"outputs[{index}]", values, OUTPUT_RULES)
        _fill(f"outputs[{index}]", psbt_out, values)
    return psbt


def _check_fields(name: str, values: Fields, rules: KeyRules) -> None:
    for key, value in values.items():
        if key[0] in rules.bare and len(key) != 1:
            raise PsbtError(f"{name} holds the key {key.hex()}, which should be one byte")
        if key[0] in rules.later:
            raise PsbtError(f"{name} holds the key {key.hex()}, which version 0 does not have")
        if key[0] == rules.derivation and (not value or len(value) % 4):
            raise PsbtError(f"{name} holds a derivation of {len(value)} bytes")


def _fill_input(
    name: str, psbt_in: InputScope, values: Fields, previous: dict[bytes, Previous]
) -> None:
    """Fill one input; a previous transaction that several inputs share is read once."""
    _check_fields(name, values, INPUT_RULES)
    raw = values.get(fields.IN_NON_WITNESS_UTXO)
    _fill(name, psbt_in, {k: v for k, v in values.items() if k != fields.IN_NON_WITNESS_UTXO})
    if raw is not None:
        if raw not in previous:
            previous[raw] = Previous(raw, parse_transaction(raw))
        psbt_in.non_witness_utxo = previous[raw]
    _check_kept(f"{name}.witness_utxo", psbt_in.witness_utxo, values.get(fields.IN_WITNESS_UTXO))
    witness = values.get(fields.IN_FINAL_SCRIPTWITNESS)
    _check_kept(f"{name}.final_scriptwitness", psbt_in.final_scriptwitness, witness)


def _fill(name: str, scope: InputScope | OutputScope, values: Fields) -> None:
    scope.unknown = {}  # embit's scopes share their default
    kind = INPUT_RULES.derivation if isinstance(scope, InputScope) else OUTPUT_RULES.derivation
    for key, value in values.items():
        what = f"{name}, key {key.hex()}"
        if key[0] == kind:
            pubkey = _translated(what, public_key, key[1:])
            scope.bip32_derivations[pubkey] = _derivation(value)
        else:
            _translated(what, scope.read_value, BytesIO(sized(value)), key)


def _check_kept(name: str, found: EmbitBase | None, raw: bytes | None) -> None:
    """Refuse what embit reads although it is too short or not in its shortest form."""
    if found is not None and found.serialize() != raw:
        raise PsbtError(f"{name} is not what its length says")


def _translated(what: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return call(*args, **kwargs)
    except EMBIT_FAILURES as error:
        raise PsbtError(f"{what} cannot be read") from error
