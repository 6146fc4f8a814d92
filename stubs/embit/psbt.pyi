from io import BytesIO
from typing import Protocol

from embit.base import EmbitBase
from embit.ec import PublicKey
from embit.script import Script, Witness
from embit.transaction import Transaction, TransactionOutput

class DerivationPath(EmbitBase):
    fingerprint: bytes
    derivation: list[int]

class Serializable(Protocol):
    def serialize(self) -> bytes: ...

class PSBTScope(EmbitBase):
    unknown: dict[bytes, bytes]
    witness_script: Script | None
    redeem_script: Script | None
    bip32_derivations: dict[PublicKey, DerivationPath]
    taproot_bip32_derivations: dict[PublicKey, tuple[list[bytes], DerivationPath]]
    taproot_internal_key: PublicKey | None
    def read_value(self, stream: BytesIO, k: bytes) -> None: ...

class InputScope(PSBTScope):
    txid: bytes
    vout: int
    sequence: int
    non_witness_utxo: Serializable | None
    witness_utxo: TransactionOutput | None
    partial_sigs: dict[PublicKey, bytes]
    taproot_sigs: dict[tuple[PublicKey, bytes], bytes]
    taproot_scripts: dict[bytes, bytes]
    taproot_merkle_root: bytes | None
    sighash_type: int | None
    final_scriptsig: Script | None
    final_scriptwitness: Witness | None
    def __init__(self, unknown: dict[bytes, bytes] = ...) -> None: ...

class OutputScope(PSBTScope):
    value: int
    script_pubkey: Script

class PSBT(EmbitBase):
    tx_version: int
    locktime: int
    inputs: list[InputScope]
    outputs: list[OutputScope]
    unknown: dict[bytes, bytes]
    xpubs: dict[EmbitBase, DerivationPath]
    def __init__(self, tx: Transaction, unknown: dict[bytes, bytes]) -> None: ...
    @property
    def tx(self) -> Transaction: ...
