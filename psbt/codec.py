"""The one guard in front of embit: bytes, base64 and hex ↔ Psbt, strictly, of versions 0 and 2.

`fields` reads the maps, because embit accepts what BIP 174 forbids. Embit is then given one value
at a time, and what it would write must be what was read, or the PSBT is refused: nothing is lost
or changed behind our back. A Psbt is always of version 0; version 2 is a way to write it. What
embit does otherwise than expected is put right here and nowhere else, and every exception of its
becomes a PsbtError.
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
from embit.script import Script, Witness
from embit.transaction import Transaction, TransactionInput, TransactionOutput
from embit.util import secp256k1

from psbt import fields, taproot
from psbt import transaction as network
from psbt.address import script_type
from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.fields import Fields, Maps
from psbt.multisig import pushed
from psbt.transaction import ByteReader, check_amounts, parse_transaction, sized, vector

__all__ = ["DerivationPath", "EmbitBase", "InputScope", "OutputScope"]
"""What embit has that others name: it is handed on from here."""

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
    """Read a PSBT of either version from its bytes, or from base64 or hex text."""
    return _guarded(*fields.read(_binary(data)))


def parse_returned(data: bytes | str, asked: Psbt) -> Psbt:
    """Read what came back for `asked`; what version 2 may leave out stands as it was asked."""
    maps, _ = fields.read(_binary(data))
    filled = fields.filled(maps, unsigned_transaction(asked))
    return _guarded(filled, fields.check(filled))


def read_maps(data: bytes | str, version: int = 0) -> Maps:
    """Return the maps of a PSBT of either version, as this version writes them."""
    maps, transaction = fields.read(_binary(data))
    if version == 0:
        return fields.as_version_0(maps, transaction)
    return fields.as_version_2(maps, transaction)


def transaction_of(data: bytes | str) -> network.Transaction:
    """Return the unsigned transaction of a PSBT, its other fields unread: enough to show it."""
    return fields.read_transaction(_binary(data))


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
    globals_ = {fields.GLOBAL_UNSIGNED_TX: transaction.unsigned.stripped}
    return assemble(Maps(globals_, tuple(inputs), tuple({} for _ in transaction.outputs)))


def assemble(maps: Maps) -> Psbt:
    """Make a PSBT of its maps, under the same checks as when reading one."""
    return _guarded(maps, fields.check(maps))


def to_bytes(psbt: Psbt, version: int = 0) -> bytes:
    """Serialize, as version 0 or 2."""
    raw: bytes = psbt.serialize()
    return raw if version == 0 else fields.write(read_maps(raw, version))


def to_base64(psbt: Psbt, version: int = 0) -> str:
    """Serialize as text."""
    return base64.b64encode(to_bytes(psbt, version)).decode()


def unique_id(psbt: Psbt) -> str:
    """Return what tells PSBTs apart, whatever version they are and sequences they state."""
    return fields.unique_id(unsigned_transaction(psbt))


def txid(psbt: Psbt) -> str:
    """Return the id the transaction will have; signatures in a witness keep it.

    A nested input has a script_sig from its redeem script. What spends by a script_sig of
    signatures (P2SH before segwit) has its id once it is final, and until then another.
    """
    unsigned, inputs = unsigned_transaction(psbt), []
    for tx_in, psbt_in in zip(unsigned.inputs, psbt.inputs, strict=True):
        script_sig, _ = unlocking(psbt_in)
        redeem = psbt_in.redeem_script.data if psbt_in.redeem_script is not None else b""
        if psbt_in.final_scriptsig is None and script_type(redeem) in {"p2wsh", "p2wpkh"}:
            script_sig = pushed(redeem)
        inputs.append(tx_in._replace(script_sig=script_sig))
    return replace(unsigned, inputs=tuple(inputs)).txid


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


def finish_input(psbt_in: InputScope, script_sig: bytes, witness: tuple[bytes, ...]) -> None:
    """Give an input what unlocks its coin, take away what only signers needed (BIP 174).

    The spent outputs and unknown fields stay.
    """
    psbt_in.final_scriptwitness = Witness([*witness]) if witness else None
    psbt_in.final_scriptsig = Script(script_sig) if script_sig else None
    psbt_in.sighash_type = None
    psbt_in.redeem_script = psbt_in.witness_script = None
    psbt_in.partial_sigs, psbt_in.bip32_derivations = {}, {}
    psbt_in.taproot_sigs, psbt_in.taproot_bip32_derivations = {}, {}
    psbt_in.taproot_scripts = {}
    psbt_in.taproot_internal_key = psbt_in.taproot_merkle_root = None
    psbt_in.unknown = {
        key: value for key, value in psbt_in.unknown.items() if key != fields.IN_TAP_KEY_SIG
    }


def stated_signatures(psbt_in: InputScope, leaf_hash: bytes | None) -> dict[bytes, bytes]:
    """Return the signatures that an input states: by public key, or by x for one of its leaves."""
    if leaf_hash is None:
        return {key.sec(): value for key, value in psbt_in.partial_sigs.items()}
    stated = psbt_in.taproot_sigs.items()
    return {key.xonly(): value for (key, leaf), value in stated if leaf == leaf_hash}


def state_signature(
    psbt_in: InputScope, pubkey: bytes, value: bytes, *, leaf_hash: bytes | None
) -> None:
    """State a signature of an input, for one of its leaves where there is one."""
    if leaf_hash is None:
        psbt_in.partial_sigs[public_key(pubkey)] = value
    else:
        psbt_in.taproot_sigs[public_key(taproot.EVEN + pubkey[1:]), leaf_hash] = value


def leaf_scripts(psbt_in: InputScope) -> dict[bytes, bytes]:
    """Return the leaves of version C0 that an input states, each by its control block."""
    version = bytes([taproot.LEAF_VERSION])
    stated = psbt_in.taproot_scripts.items()
    return {control: value[:-1] for control, value in stated if value[-1:] == version}


def origins(scope: InputScope | OutputScope) -> list[tuple[bytes, DerivationPath]]:
    """Return the derivations a map states, by public key, of taproot by x alone."""
    leaf_keys = scope.taproot_bip32_derivations.items()
    return [
        *((key.sec(), origin) for key, origin in scope.bip32_derivations.items()),
        *((key.xonly(), origin) for key, (_, origin) in leaf_keys),
    ]


def internal_key(scope: InputScope | OutputScope) -> bytes | None:
    """Return the x of the internal key that a map states, None where it states none."""
    key = scope.taproot_internal_key
    return None if key is None else key.xonly()


def tap_tree(psbt_out: OutputScope) -> bytes | None:
    """Return the tree that an output states, as BIP 371 writes it; None where it states none."""
    tree: bytes | None = psbt_out.unknown.get(fields.OUT_TAP_TREE)
    return tree


def signs_by_key_path(psbt_in: InputScope) -> bool:
    """Tell whether an input states a signature by the key of a taproot output itself."""
    return fields.IN_TAP_KEY_SIG in psbt_in.unknown


def drop_signatures(psbt_in: InputScope) -> None:
    """Take away whatever signs an input, and what unlocks it."""
    psbt_in.partial_sigs, psbt_in.taproot_sigs = {}, {}
    psbt_in.final_scriptsig = psbt_in.final_scriptwitness = None


def is_final(psbt_in: InputScope) -> bool:
    """Tell whether an input holds what unlocks its coin."""
    script_sig = psbt_in.final_scriptsig
    return psbt_in.final_scriptwitness is not None or bool(script_sig and script_sig.data)


def unlocking(psbt_in: InputScope) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the script_sig and the witness of a final input, empty where it has none."""
    script_sig, witness = psbt_in.final_scriptsig, psbt_in.final_scriptwitness
    return script_sig.data if script_sig else b"", tuple(witness.items) if witness else ()


def slim_input(psbt_in: InputScope, spent: network.TransactionOutput) -> None:
    """Have an input state the output it spends instead of the transaction that made it."""
    psbt_in.witness_utxo = TransactionOutput(spent.value_sats, Script(spent.script_pubkey))
    psbt_in.non_witness_utxo = None


def previous_transaction(psbt_in: InputScope) -> network.Transaction | None:
    """Return the transaction that made the output spent, if the input holds it."""
    found = psbt_in.non_witness_utxo
    return found.transaction if isinstance(found, Previous) else None


class _WrittenKey(PublicKey):
    """embit's key that keeps the bytes it was read from: embit's own writes them at each look."""

    written: bytes

    def sec(self) -> bytes:
        """Return the key in SEC 1's form: 33 bytes, or 65 where it is not compressed."""
        return self.written


@lru_cache(maxsize=CACHED_KEYS)
def public_key(pubkey: bytes) -> PublicKey:
    """Return embit's key; the same key is one object, which makes comparing PSBTs cheap."""
    key = _WrittenKey.parse(pubkey)
    key.written = pubkey
    return key


_derivation = lru_cache(maxsize=CACHED_KEYS)(DerivationPath.parse)


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


def _guarded(given: Maps, transaction: network.Transaction) -> Psbt:
    """Build embit's PSBT of maps that were checked; what it would write must be those maps."""
    maps = fields.as_version_0(given, transaction)
    rest = {key: value for key, value in maps.globals.items() if key != fields.GLOBAL_UNSIGNED_TX}
    psbt = _translated("globals", Psbt, _of_embit(transaction), rest)
    previous: dict[bytes, Previous] = {}
    for index, (psbt_in, values) in enumerate(zip(psbt.inputs, maps.inputs, strict=True)):
        _fill_input(f"inputs[{index}]", psbt_in, values, previous=previous)
    for index, (psbt_out, values) in enumerate(zip(psbt.outputs, maps.outputs, strict=True)):
        _fill(f"outputs[{index}]", psbt_out, values)
    written = ByteReader(_translated("globals", psbt.serialize))
    written.take(len(fields.MAGIC))
    for name, values in maps.named():
        if fields.read_fields(written, name) != values:
            raise PsbtError(f"{name} would not be written as it was read")
    return psbt


def _fill_input(
    name: str, psbt_in: InputScope, values: Fields, *, previous: dict[bytes, Previous]
) -> None:
    """Fill one input; a previous transaction that several inputs share is read once."""
    _fill(name, psbt_in, values)
    raw = values.get(fields.IN_NON_WITNESS_UTXO)
    if raw is None:
        return
    if raw not in previous:
        try:
            previous[raw] = Previous(raw, parse_transaction(raw))
            check_amounts(previous[raw].transaction)
        except PsbtError as error:
            raise PsbtError(f"{name}.non_witness_utxo cannot be: {error}") from error
    psbt_in.non_witness_utxo = previous[raw]
    _check_spent(name, psbt_in, previous[raw].transaction)


def _of_embit(transaction: network.Transaction) -> Transaction:
    tx_ins = [
        TransactionInput(bytes.fromhex(i.outpoint.txid), i.outpoint.vout, sequence=i.sequence)
        for i in transaction.inputs
    ]
    tx_outs = [
        TransactionOutput(o.value_sats, Script(o.script_pubkey)) for o in transaction.outputs
    ]
    return Transaction(transaction.version, tx_ins, tx_outs, transaction.locktime)


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
    """Give embit one value after the other, but the previous transaction, which it reads slowly."""
    scope.unknown = {}  # embit's scopes share their default
    of_input = isinstance(scope, InputScope)
    derivation = fields.IN_BIP32_DERIVATION if of_input else fields.OUT_BIP32_DERIVATION
    for key, value in values.items():
        try:
            if key[:1] == derivation:
                scope.bip32_derivations[public_key(key[1:])] = _derivation(value)
            elif not (of_input and key == fields.IN_NON_WITNESS_UTXO):
                scope.read_value(BytesIO(sized(value)), key)
        except EMBIT_FAILURES as error:
            raise PsbtError(f"{name}, key {key.hex()} cannot be read") from error


def _translated(what: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return call(*args, **kwargs)
    except EMBIT_FAILURES as error:
        raise PsbtError(f"{what} cannot be read") from error
