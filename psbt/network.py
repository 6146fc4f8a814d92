"""The networks a vault can live on, and what each writes in front of keys and addresses."""

from enum import StrEnum
from typing import NamedTuple


class Marks(NamedTuple):
    """What tells one network's keys and addresses from another's."""

    hrp: str
    coin_type: int
    xpub_version: bytes
    p2pkh_prefix: bytes
    p2sh_prefix: bytes


class Network(StrEnum):
    """A Bitcoin network."""

    MAINNET = "mainnet"
    TESTNET4 = "testnet4"
    SIGNET = "signet"
    REGTEST = "regtest"

    @property
    def hrp(self) -> str:
        """Return what a segwit address starts with (BIP 173)."""
        return MARKS[self].hrp

    @property
    def coin_type(self) -> int:
        """Return the coin type of derivation paths (BIP 44)."""
        return MARKS[self].coin_type

    @property
    def xpub_version(self) -> bytes:
        """Return the version bytes of an extended public key (BIP 32)."""
        return MARKS[self].xpub_version

    @property
    def p2pkh_prefix(self) -> bytes:
        """Return the version byte of a base58 address that pays to a key's hash."""
        return MARKS[self].p2pkh_prefix

    @property
    def p2sh_prefix(self) -> bytes:
        """Return the version byte of a base58 address that pays to a script's hash."""
        return MARKS[self].p2sh_prefix


XPUB = bytes.fromhex("0488b21e")
TPUB = bytes.fromhex("043587cf")
MARKS = {
    Network.MAINNET: Marks("bc", 0, XPUB, b"\x00", b"\x05"),
    Network.TESTNET4: Marks("tb", 1, TPUB, b"\x6f", b"\xc4"),
    Network.SIGNET: Marks("tb", 1, TPUB, b"\x6f", b"\xc4"),
    Network.REGTEST: Marks("bcrt", 1, TPUB, b"\x6f", b"\xc4"),
}
