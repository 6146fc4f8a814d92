from io import BytesIO
from typing import Self

from embit.base import EmbitBase
from embit.script import Script

class TransactionInput(EmbitBase):
    txid: bytes
    vout: int
    script_sig: Script
    sequence: int
    def __init__(self, txid: bytes, vout: int, *, sequence: int = ...) -> None: ...
    @classmethod
    def read_from(cls, stream: BytesIO) -> Self: ...

class TransactionOutput(EmbitBase):
    value: int
    script_pubkey: Script
    def __init__(self, value: int, script_pubkey: Script) -> None: ...
    @classmethod
    def read_from(cls, stream: BytesIO) -> Self: ...

class Transaction(EmbitBase):
    version: int
    vin: list[TransactionInput]
    vout: list[TransactionOutput]
    locktime: int
    def __init__(
        self,
        version: int,
        vin: list[TransactionInput],
        vout: list[TransactionOutput],
        locktime: int,
    ) -> None: ...
    def txid(self) -> bytes: ...
