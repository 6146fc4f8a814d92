"""The key-value maps a PSBT is made of (BIP 174): bytes whose meaning is the codec's business."""

from typing import Final, NamedTuple

from psbt.errors import PsbtError
from psbt.transaction import ByteReader

Fields = dict[bytes, bytes]

MAGIC: Final = b"psbt\xff"

GLOBAL_UNSIGNED_TX: Final = b"\x00"
GLOBAL_XPUB: Final = b"\x01"
GLOBAL_SIGNED_MESSAGE: Final = b"\x09"
GLOBAL_VERSION: Final = b"\xfb"

IN_NON_WITNESS_UTXO: Final = b"\x00"
IN_WITNESS_UTXO: Final = b"\x01"
IN_WITNESS_SCRIPT: Final = b"\x05"
IN_BIP32_DERIVATION: Final = b"\x06"
IN_FINAL_SCRIPTSIG: Final = b"\x07"
IN_FINAL_SCRIPTWITNESS: Final = b"\x08"

OUT_WITNESS_SCRIPT: Final = b"\x01"
OUT_BIP32_DERIVATION: Final = b"\x02"


class Maps(NamedTuple):
    """The maps of one PSBT in their order."""

    globals: Fields
    inputs: tuple[Fields, ...]
    outputs: tuple[Fields, ...]


SIZE_MAX: Final = 32 * 1024 * 1024
FIELDS_MAX: Final = 200_000
"""How many fields a PSBT may have: 955 inputs of a 15-of-15 have a fifth of them."""


def read_fields(reader: ByteReader, name: str, most: int = FIELDS_MAX) -> Fields:
    """Read one map up to its separator, with so many fields at most; `name` is for the error."""
    found: Fields = {}
    while key := reader.sized():
        if key in found:
            raise PsbtError(f"{name} holds the key {key.hex()} twice")
        if len(found) == most:
            raise PsbtError(f"more than {FIELDS_MAX} fields are too many for a PSBT")
        found[key] = reader.sized()
    return found
