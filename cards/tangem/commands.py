"""Tangem's commands: values and pure functions, in plaintext; the link encrypts where it must.

All carry hashes of codes, so all keep their data out of logs.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cards import apdu
from cards.apdu import Command
from cards.bip32 import master_key, path_bytes
from cards.pin import Secret
from cards.session import Path
from cards.tangem import AID
from cards.tangem.wire import (
    ATTEST_FULL,
    CLA,
    READ_CARD,
    READ_WALLET,
    READ_WALLETS,
    READER_CLA,
    SECP256K1,
    SIGN_HASH,
    Ins,
    Item,
    Mode,
    Setting,
    Tag,
    tlv,
)

DEPTH_MAX = 10


@dataclass(frozen=True)
class Access:
    """What nearly every command carries: the card's id and the hashes of both codes."""

    card_id: bytes
    code: Secret
    passcode: Secret


SELECT = apdu.select(AID)
"""SELECT the wallet applet by name."""
CHIP_NUMBER = Command(READER_CLA, Ins.READER_DATA, le=256)
"""GET DATA, which the reader answers: the number of the chip on it (PC/SC, part 3)."""


def open_session(mode: Mode, ours: bytes) -> Command:
    """OPEN SESSION with our half of the secret."""
    return Command(CLA, Ins.OPEN_SESSION, 0, mode, tlv([(Tag.SESSION_A, ours)]))


def read_card(code: Secret) -> Command:
    """READ what the card says of itself; it need not be known."""
    return _command(Ins.READ, [(Tag.CODE, code.reveal()), (Tag.MODE, bytes((READ_CARD,)))])


def read_wallets(access: Access, received: int) -> Command:
    """READ the slots after those received."""
    rest = [(Tag.INDEX, bytes((received,)))] if received else []
    return _command(Ins.READ, [*_names(access), (Tag.MODE, bytes((READ_WALLETS,))), *rest])


def read_key(access: Access, index: int, path: Path) -> Command:
    """READ public key and chain code at a path below a slot's key."""
    items = [*_names(access), (Tag.MODE, bytes((READ_WALLET,))), *_place(index, path)]
    return _command(Ins.READ, items)


def sign(access: Access, index: int, path: Path, *, digests: Sequence[bytes]) -> Command:
    """SIGN digests of 32 bytes by the key at one path."""
    items = [(Tag.DIGEST_SIZE, bytes((len(digests[0]),))), (Tag.DIGESTS, b"".join(digests))]
    return _command(Ins.SIGN, [*items, *_both(access), *_place(index, path)])


def attest_card(access: Access, challenge: bytes, *, full: bool) -> Command:
    """ATTEST CARD KEY; in full it names the other cards of a backup set too."""
    items = [*_names(access), (Tag.CHALLENGE, challenge)]
    return _command(Ins.ATTEST_CARD, items + [(Tag.MODE, bytes((ATTEST_FULL,)))] * full)


def attest_wallet(access: Access, index: int, challenge: bytes) -> Command:
    """ATTEST WALLET KEY, signed by the card's key over the same challenge too."""
    items = [(Tag.CHALLENGE, challenge), *_place(index, ()), (Tag.PROVE_CARD, challenge)]
    return _command(Ins.ATTEST_WALLET, [*_names(access), *items])


def create_wallet(access: Access, index: int) -> Command:
    """CREATE WALLET in an empty slot."""
    return _command(Ins.CREATE_WALLET, _creation(access, index))


def import_seed(access: Access, index: int, seed: Secret) -> Command:
    """CREATE WALLET with the master key of a BIP 32 seed."""
    key, chain_code = master_key(seed.reveal())
    items = [(Tag.PRIVATE_KEY, key), (Tag.CHAIN_CODE, chain_code)]
    return _command(Ins.CREATE_WALLET, [*_creation(access, index), *items])


def purge_wallet(access: Access, index: int) -> Command:
    """PURGE WALLET: its key is gone for good."""
    return _command(Ins.PURGE_WALLET, [*_both(access), *_place(index, ())])


def reset_backup(access: Access) -> Command:
    """BACKUP RESET: leave the backup set."""
    return _command(Ins.BACKUP_RESET, _both(access))


def set_codes(access: Access, code: Secret, passcode: Secret) -> Command:
    """SET PIN: both codes by their hashes, changed or not, with a checksum."""
    new = code.reveal(), passcode.reveal()
    items = [
        (Tag.NEW_CODE, new[0]),
        (Tag.NEW_PASSCODE, new[1]),
        (Tag.HASH, hashlib.sha256(new[0] + new[1]).digest()),
    ]
    return _command(Ins.SET_PIN, [*_both(access), *items])


def _names(access: Access) -> list[Item]:
    return [(Tag.CODE, access.code.reveal()), (Tag.CARD_ID, access.card_id)]


def _both(access: Access) -> list[Item]:
    return [*_names(access), (Tag.PASSCODE, access.passcode.reveal())]


def _place(index: int, path: Path) -> list[Item]:
    """Name a slot, and a path below its key where there is one."""
    steps = [(Tag.PATH, path_bytes(path))] if path else []
    return [(Tag.INDEX, bytes((index,))), *steps]


def _creation(access: Access, index: int) -> list[Item]:
    return [
        *_both(access),
        (Tag.SETTINGS, Setting.REUSABLE.to_bytes(4)),
        (Tag.CURVE, SECP256K1),
        (Tag.SIGNING_METHOD, bytes((SIGN_HASH,))),
        *_place(index, ()),
    ]


def _command(ins: int, items: Sequence[Item]) -> Command:
    return Command(CLA, ins, data=tlv(items), secret=True)
