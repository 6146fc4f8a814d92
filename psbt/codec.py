"""Bytes, base64 and hex ↔ Psbt, strictly; every failure is a PsbtError.

The maps are read here, because embit accepts what BIP 174 forbids; embit is given one value
at a time and what it makes of the transaction is compared with what was read.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from typing import Final, ParamSpec, TypeVar

from embit.base import EmbitBase, EmbitError
from embit.ec import PublicKey
from embit.psbt import PSBT, DerivationPath, InputScope, OutputScope
from embit.script import Script
from embit.transaction import Transaction, TransactionInput, TransactionOutput
from embit.util import secp256k1

from psbt import fields
from psbt import transaction as network
from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.field_rules import GLOBAL_RULES, INPUT_RULES, OUTPUT_RULES, check_fields
from psbt.fields import Fields, Maps, read_fields
from psbt.transaction import (
    ByteReader,
    check_amounts,
    check_sound,
    parse_transaction,
    parse_unsigned,
    sized,
    vector,
)

__all__ = [
    "Psbt",
    "assemble",
    "copy",
    "final_psbt",
    "parse",
    "previous_transaction",
    "public_key",
    "read_maps",
    "secp_backend",
    "to_base64",
    "to_bytes",
    "transaction_of",
    "txid",
    "unsigned_transaction",
]

CACHED_KEYS: Final = 16_384

P = ParamSpec("P")
T = TypeVar("T")

EMBIT_FAILURES: Final = (
    EmbitError, ValueError, RuntimeError, AssertionError, LookupError, TypeError, ArithmeticError
)  # fmt: skip


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
    return _assembled(*_read(data))


def read_maps(data: bytes | str) -> Maps:
    """Return the maps of a PSBT of version 0 as they stand, their fields unread."""
    return _read(data)[0]


def transaction_of(data: bytes | str) -> network.Transaction:
    """Return the unsigned transaction of a PSBT, its other fields unread: enough to show it."""
    return _unsigned_transaction(_opened(data)[1])


def final_psbt(transaction: network.Transaction) -> Psbt:
    """Return a finished transaction as the PSBT it came from, as far as it tells."""
    inputs = []
    for tx_in in transaction.inputs:
        own = {}
        if tx_in.witness:
            own[fields.IN_FINAL_SCRIPTWITNESS] = vector(tx_in.witness, sized)
        if tx_in.script_sig:
            own[fields.IN_FINAL_SCRIPTSIG] = tx_in.script_sig
        inputs.append(own)
    bare = tuple(tx_in._replace(script_sig=b"", witness=()) for tx_in in transaction.inputs)
    unsigned = replace(transaction, inputs=bare)
    globals_ = {fields.GLOBAL_UNSIGNED_TX: unsigned.stripped}
    return assemble(Maps(globals_, tuple(inputs), tuple({} for _ in transaction.outputs)))


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


def _opened(data: bytes | str) -> tuple[ByteReader, Fields]:
    """Return the global fields, and what reads on behind them."""
    raw = _binary(data)
    if len(raw) > fields.SIZE_MAX:
        raise PsbtError(f"{len(raw)} bytes are too many for a PSBT, {fields.SIZE_MAX} are the most")
    reader = ByteReader(raw)
    if reader.take(min(reader.left, len(fields.MAGIC))) != fields.MAGIC:
        raise PsbtError("this is not a PSBT: it does not start with the bytes psbt and ff")
    return reader, read_fields(reader, "globals", fields.FIELDS_MAX)


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


def _read(data: bytes | str) -> tuple[Maps, network.Transaction]:
    reader, own = _opened(data)
    transaction = _unsigned_transaction(own)
    left = fields.FIELDS_MAX - len(own)
    found: dict[str, list[Fields]] = {"inputs": [], "outputs": []}
    for name, items in (("inputs", transaction.inputs), ("outputs", transaction.outputs)):
        for index in range(len(items)):
            found[name].append(read_fields(reader, f"{name}[{index}]", left))
            left -= len(found[name][-1])
    reader.end()
    return Maps(own, tuple(found["inputs"]), tuple(found["outputs"])), transaction


def _unsigned_transaction(global_fields: Fields) -> network.Transaction:
    """Read the transaction without witness form, so that it may have no inputs."""
    version = int.from_bytes(global_fields.get(fields.GLOBAL_VERSION, b""), "little")
    if version != 0:
        raise PsbtError(f"PSBT version {version} is not supported; ask for version 0")
    raw = global_fields.get(fields.GLOBAL_UNSIGNED_TX)
    if raw is None:
        raise PsbtError("globals hold no unsigned transaction")
    try:
        transaction = parse_unsigned(raw)
    except PsbtError as error:
        raise PsbtError(
            f"the unsigned transaction is not in the form without witnesses: {error}"
        ) from error
    for index, tx_in in enumerate(transaction.inputs):
        if tx_in.script_sig:
            raise PsbtError(f"input {index} of the unsigned transaction has a script_sig")
    check_sound(transaction)
    return transaction


def _assembled(maps: Maps, transaction: network.Transaction) -> Psbt:
    check_fields("globals", maps.globals, GLOBAL_RULES)
    not_kept = (fields.GLOBAL_UNSIGNED_TX, fields.GLOBAL_VERSION)
    rest = {key: value for key, value in maps.globals.items() if key not in not_kept}
    psbt = _translated("globals", Psbt, _of_embit(transaction), rest)
    previous: dict[bytes, Previous] = {}
    for index, (psbt_in, values) in enumerate(zip(psbt.inputs, maps.inputs, strict=True)):
        _fill_input(f"inputs[{index}]", psbt_in, values, previous)
    for index, (psbt_out, values) in enumerate(zip(psbt.outputs, maps.outputs, strict=True)):
        check_fields(f"outputs[{index}]", values, OUTPUT_RULES)
        _fill(f"outputs[{index}]", psbt_out, values)
    return psbt


def _fill_input(
    name: str, psbt_in: InputScope, values: Fields, previous: dict[bytes, Previous]
) -> None:
    """Fill one input; a previous transaction that several inputs share is read once."""
    check_fields(name, values, INPUT_RULES)
    raw = values.get(fields.IN_NON_WITNESS_UTXO)
    _fill(name, psbt_in, {k: v for k, v in values.items() if k != fields.IN_NON_WITNESS_UTXO})
    if raw is not None:
        if raw not in previous:
            previous[raw] = Previous(raw, _previous(name, raw))
        psbt_in.non_witness_utxo = previous[raw]
        _check_spent(name, psbt_in, previous[raw].transaction)
    _check_kept(f"{name}.witness_utxo", psbt_in.witness_utxo, values.get(fields.IN_WITNESS_UTXO))
    witness = values.get(fields.IN_FINAL_SCRIPTWITNESS)
    _check_kept(f"{name}.final_scriptwitness", psbt_in.final_scriptwitness, witness)


def _of_embit(transaction: network.Transaction) -> Transaction:
    tx_ins = [
        TransactionInput(bytes.fromhex(i.outpoint.txid), i.outpoint.vout, sequence=i.sequence)
        for i in transaction.inputs
    ]
    tx_outs = [
        TransactionOutput(o.value_sats, Script(o.script_pubkey)) for o in transaction.outputs
    ]
    return Transaction(transaction.version, tx_ins, tx_outs, transaction.locktime)


def _previous(name: str, raw: bytes) -> network.Transaction:
    try:
        transaction = parse_transaction(raw)
        check_amounts(transaction)
    except PsbtError as error:
        raise PsbtError(f"{name}.non_witness_utxo cannot be: {error}") from error
    return transaction


def _check_spent(name: str, psbt_in: InputScope, made: network.Transaction) -> None:
    """Refuse a previous transaction that did not make the output spent."""
    if made.txid != psbt_in.txid.hex():
        raise PsbtError(
            f"{name}.non_witness_utxo is {made.txid}, not the transaction it spends,"
            f" {psbt_in.txid.hex()}"
        )
    if psbt_in.vout >= len(made.outputs):
        raise PsbtError(
            f"{name}.vout is {psbt_in.vout}, but the transaction spent has"
            f" {len(made.outputs)} outputs"
        )


def _fill(name: str, scope: InputScope | OutputScope, values: Fields) -> None:
    scope.unknown = {}  # embit's scopes share their default
    kind = fields.IN_BIP32_DERIVATION
    if not isinstance(scope, InputScope):
        kind = fields.OUT_BIP32_DERIVATION
    for key, value in values.items():
        what = f"{name}, key {key.hex()}"
        if key[:1] == kind:
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
