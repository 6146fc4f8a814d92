"""Tangem's commands: one pure function each, in plaintext; the link encrypts where it must.

All carry hashes of codes, so all keep their data out of logs.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from cards import apdu
from cards.apdu import Command
from cards.pin import Secret
from cards.session import Path
from cards.tangem import AID, tlv
from cards.tangem.wire import (
    ATTEST_FULL,
    CLA,
    INS_ATTEST_CARD,
    INS_ATTEST_WALLET,
    INS_BACKUP_RESET,
    INS_CREATE_WALLET,
    INS_OPEN_SESSION,
    INS_PURGE_WALLET,
    INS_READ,
    INS_READER_DATA,
    INS_SET_PIN,
    INS_SIGN,
    READ_CARD,
    READ_WALLET,
    READ_WALLETS,
    READER_CLA,
    SECP256K1,
    SETTING_REUSABLE,
    SIGN_HASH,
    TAG_CARD_ID,
    TAG_CHAIN_CODE,
    TAG_CHALLENGE,
    TAG_CODE,
    TAG_CURVE,
    TAG_DIGEST_SIZE,
    TAG_DIGESTS,
    TAG_HASH,
    TAG_INDEX,
    TAG_MODE,
    TAG_NEW_CODE,
    TAG_NEW_PASSCODE,
    TAG_PASSCODE,
    TAG_PATH,
    TAG_PRIVATE_KEY,
    TAG_PROVE_CARD,
    TAG_SESSION_A,
    TAG_SETTINGS,
    TAG_SIGNING_METHOD,
    Mode,
)

DEPTH_MAX = 10
_SEED_KEY = b"Bitcoin seed"


@dataclass(frozen=True)
class Access:
    """What nearly every command carries: the card's id and the hashes of both codes."""

    card_id: bytes
    code: Secret
    passcode: Secret


def select() -> Command:
    """SELECT the wallet applet by name."""
    return apdu.select(AID)


def chip_number() -> Command:
    """GET DATA, which the reader answers: the number of the chip on it (PC/SC, part 3)."""
    return Command(READER_CLA, INS_READER_DATA, le=256)


def open_session(mode: Mode, ours: bytes) -> Command:
    """OPEN SESSION with our half of the secret."""
    return Command(CLA, INS_OPEN_SESSION, 0, mode, tlv.encode([(TAG_SESSION_A, ours)]))


def read_card(code: Secret) -> Command:
    """READ what the card says of itself; it need not be known."""
    return _command(INS_READ, [(TAG_CODE, code.reveal()), (TAG_MODE, bytes((READ_CARD,)))])


def read_wallets(access: Access, received: int) -> Command:
    """READ the slots after those received."""
    rest = [(TAG_INDEX, bytes((received,)))] if received else []
    return _command(INS_READ, [*_names(access), (TAG_MODE, bytes((READ_WALLETS,))), *rest])


def read_key(access: Access, index: int, path: Path) -> Command:
    """READ public key and chain code at a path below a slot's key."""
    return _command(
        INS_READ,
        [*_names(access), (TAG_MODE, bytes((READ_WALLET,))), *_place(index, path)],
    )


def sign(access: Access, index: int, path: Path, digests: Sequence[bytes]) -> Command:
    """SIGN digests of 32 bytes by the key at one path."""
    items = [
        (TAG_DIGEST_SIZE, bytes((len(digests[0]),))),
        (TAG_DIGESTS, b"".join(digests)),
    ]
    return _command(INS_SIGN, [*items, *_both(access), *_place(index, path)])


def attest_card(access: Access, challenge: bytes, *, full: bool) -> Command:
    """ATTEST CARD KEY; in full it names the other cards of a backup set too."""
    items = [*_names(access), (TAG_CHALLENGE, challenge)]
    return _command(INS_ATTEST_CARD, items + [(TAG_MODE, bytes((ATTEST_FULL,)))] * full)


def attest_wallet(access: Access, index: int, challenge: bytes) -> Command:
    """ATTEST WALLET KEY, signed by the card's key over the same challenge too."""
    items = [(TAG_CHALLENGE, challenge), *_place(index, ()), (TAG_PROVE_CARD, challenge)]
    return _command(INS_ATTEST_WALLET, [*_names(access), *items])


def create_wallet(access: Access, index: int) -> Command:
    """CREATE WALLET in an empty slot."""
    return _command(INS_CREATE_WALLET, _creation(access, index))


def import_seed(access: Access, index: int, seed: Secret) -> Command:
    """CREATE WALLET with the master key of a BIP 32 seed."""
    master = hmac.digest(_SEED_KEY, seed.reveal(), "sha512")
    items = [(TAG_PRIVATE_KEY, master[:32]), (TAG_CHAIN_CODE, master[32:])]
    return _command(INS_CREATE_WALLET, [*_creation(access, index), *items])


def purge_wallet(access: Access, index: int) -> Command:
    """PURGE WALLET: its key is gone for good."""
    return _command(INS_PURGE_WALLET, [*_both(access), *_place(index, ())])


def reset_backup(access: Access) -> Command:
    """BACKUP RESET: leave the backup set."""
    return _command(INS_BACKUP_RESET, _both(access))


def set_codes(access: Access, code: Secret, passcode: Secret) -> Command:
    """SET PIN: both codes by their hashes, changed or not, with a checksum."""
    new = code.reveal(), passcode.reveal()
    items = [
        (TAG_NEW_CODE, new[0]),
        (TAG_NEW_PASSCODE, new[1]),
        (TAG_HASH, hashlib.sha256(new[0] + new[1]).digest()),
    ]
    return _command(INS_SET_PIN, [*_both(access), *items])


def encode_path(path: Path) -> bytes:
    """Return a path's steps, four bytes each."""
    return b"".join(step.to_bytes(4) for step in path)


def _names(access: Access) -> list[tlv.Item]:
    return [(TAG_CODE, access.code.reveal()), (TAG_CARD_ID, access.card_id)]


def _both(access: Access) -> list[tlv.Item]:
    return [*_names(access), (TAG_PASSCODE, access.passcode.reveal())]


def _place(index: int, path: Path) -> list[tlv.Item]:
    """Name a slot, and a path below its key where there is one."""
    steps = [(TAG_PATH, encode_path(path))] if path else []
    return [(TAG_INDEX, bytes((index,))), *steps]


def _creation(access: Access, index: int) -> list[tlv.Item]:
    return [
        *_both(access),
        (TAG_SETTINGS, SETTING_REUSABLE.to_bytes(4)),
        (TAG_CURVE, SECP256K1),
        (TAG_SIGNING_METHOD, bytes((SIGN_HASH,))),
        *_place(index, ()),
    ]


def _command(ins: int, items: Sequence[tlv.Item]) -> Command:
    return Command(CLA, ins, data=tlv.encode(items), secret=True)
