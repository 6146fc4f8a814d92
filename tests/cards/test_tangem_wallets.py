"""The emulated Tangem, command by command: slots, signatures, proofs, backup sets."""

import hashlib

import pytest
from coincurve import PrivateKey

from cards.apdu import Command, Form
from cards.tangem import FAMILY
from cards.tangem.attestation import signed
from cards.tangem.emulator import backup_set
from cards.tangem.emulator_keys import public_key
from cards.tangem.emulator_memory import Wallet
from cards.tangem.wire import SECP256K1, Fields, Setting, seal, tlv
from tests.cards.tangem_host import (
    ATTEST_CARD,
    ATTEST_WALLET,
    CHALLENGE,
    CODE,
    CREATE,
    DIGEST,
    PASSCODE,
    PURGE,
    READ,
    RESET_BACKUP,
    SIGN,
    Host,
    creation,
    indexed,
    ready,
)


def test_every_slot_is_listed_by_pieces() -> None:
    host = ready()
    for index in range(20):
        host.card.flash.wallets[index] = Wallet(index, 2, PrivateKey().secret, bytes(32))
    found: list[int] = []
    pieces = 0
    while len(found) < 20:
        more = [indexed(len(found))] if found else []
        sw, fields = host.ask(READ, (0x23, b"\3"), *more)
        assert (sw, len(tlv(fields.items)) < 1152) == (0x9000, True)
        found += [Fields.parse(each).number(0x65) for each in fields.every(0x68)]
        pieces += 1
    assert found == list(range(20))
    assert pieces > 1


@pytest.mark.parametrize(
    ("size", "digests"),
    [(32, b""), (32, bytes(31)), (32, bytes(352)), (31, bytes(31)), (64, bytes(64))],
)
def test_what_is_no_list_of_digests_is_refused(size: int, digests: bytes) -> None:
    host = ready(delay=0)
    assert host.ask(SIGN, indexed(0), (0x51, bytes((size,))), (0x50, digests))[0] == 0x6A86


def test_ten_digests_are_signed_and_counted() -> None:
    host = ready(delay=0)
    digests = b"".join(hashlib.sha256(bytes((n,))).digest() for n in range(10))
    _, fields = host.ask(SIGN, indexed(0), (0x51, b"\x20"), (0x50, digests))
    assert (len(fields.need(0x61)), fields.number(0x63)) == (640, 10)


def test_paths_are_whole_and_allowed() -> None:
    host = ready()
    wallet = [(0x23, b"\2"), indexed(0)]
    assert host.ask(READ, *wallet, (0x6A, bytes(44)))[0] == 0x9000
    assert host.ask(READ, *wallet, (0x6A, bytes(5)))[0] == 0x6A86
    host.card.flash.settings &= ~Setting.HD_WALLETS
    assert host.ask(READ, *wallet, (0x6A, bytes(4)))[0] == 0x6A86
    assert host.ask(READ, *wallet)[0] == 0x9000
    assert host.ask(READ, (0x23, b"\2"), indexed(20))[0] == 0x6A86


def test_a_key_is_made_in_an_empty_slot_only() -> None:
    host = ready(delay=0)
    sw, fields = host.ask(CREATE, *creation(1))
    assert (sw, fields.number(2), fields.need(5)) == (0x9000, 2, SECP256K1)
    assert host.ask(CREATE, *creation(1))[0] == 0x6985
    assert host.ask(CREATE, *creation(20))[0] == 0x6A86
    assert host.ask(CREATE, indexed(2), (5, b"ed25519\0"))[0] == 0x6A86


@pytest.mark.parametrize(
    ("profile", "mode", "key", "expected"),
    [
        ("6.33", 2, bytes(31) + b"\7", 0x9000),
        ("6.33", 1, bytes(31) + b"\7", 0x6982),
        ("6.33", 2, bytes(32), 0x6A86),
        ("6.33", 2, b"\xff" * 32, 0x6A86),
        ("6.33", 2, b"", 0x6A86),
        ("4.52", 2, bytes(31) + b"\7", 0x6A86),
    ],
)
def test_which_keys_are_imported_and_how(
    profile: str, mode: int, key: bytes, expected: int
) -> None:
    host = ready(profile, delay=0)
    session = host.session(mode)
    names = [(0x10, CODE), (0x11, PASSCODE), (0x01, host.card.flash.card_id)]
    found = []
    for index in (1, 2):
        body = tlv([*names, *creation(index), (0x6F, key), (0x6B, bytes(32))])
        apdu = Command(0, CREATE, mode, data=seal(session, body)).encode(Form.EXTENDED)
        found.append(host.raw(apdu).sw)
    assert found == [expected, 0x6A89 if expected == 0x9000 else expected]
    assert host.card.flash.wallets[1].status == (0x42 if expected == 0x9000 else 1)


@pytest.mark.parametrize("reusable", [True, False])
@pytest.mark.parametrize("backed_up", [0, 0x80])
def test_what_is_left_of_a_purged_slot(*, reusable: bool, backed_up: int) -> None:
    host = ready(delay=0)
    host.card.flash.wallets[0].status |= backed_up
    if not reusable:
        host.card.flash.settings &= ~Setting.REUSABLE
    assert host.ask(PURGE, indexed(0))[0] == 0x9000
    assert host.card.flash.wallets[0].status == (1 if reusable else 3 | backed_up)
    assert host.ask(PURGE, indexed(0))[0] == 0x6A88
    assert host.ask(SIGN, indexed(0), (0x51, b"\x20"), (0x50, DIGEST))[0] == 0x6A88


def test_a_permanent_wallet_stays() -> None:
    host = ready(delay=0)
    host.card.flash.settings |= Setting.PERMANENT
    assert host.ask(PURGE, indexed(0))[0] == 0x6985
    assert host.card.flash.wallets[0].loaded


@pytest.mark.parametrize("reusable", [True, False])
def test_a_backup_set_is_left_once_no_key_of_it_is(*, reusable: bool) -> None:
    card = backup_set("6.33", 2)[0]
    card.flash.delay = 0
    card.flash.wallets[1] = Wallet(1, 2, PrivateKey().secret, bytes(32))
    if not reusable:
        card.flash.settings &= ~Setting.REUSABLE
    host = Host(card)
    assert host.send(READ)[1].number(0xD1) == 1
    assert host.ask(RESET_BACKUP)[0] == 0x6985
    host.ask(PURGE, indexed(0))
    assert host.ask(RESET_BACKUP)[0] == 0x9000
    assert host.send(READ)[1].number(0xD0) == 0
    assert host.ask(RESET_BACKUP)[0] == 0x6985


@pytest.mark.parametrize("profile", FAMILY.profiles)
def test_a_backup_sets_other_cards_are_signed_for_since_6_21(profile: str) -> None:
    card = backup_set(profile, 3)[0]
    host = Host(card)
    own = public_key(card.flash.card_key)
    _, fields = host.ask(ATTEST_CARD, (0x16, CHALLENGE))
    assert not fields.every(0xD6)
    assert signed(own, CHALLENGE + fields.need(0x17), fields.need(4))
    sw, fields = host.ask(ATTEST_CARD, (0x16, CHALLENGE), (0x23, b"\1"))
    if profile == "4.52":
        assert sw == 0x6A86
        return
    siblings = b"".join(fields.every(0xD6))
    assert len(siblings) == 66
    message = CHALLENGE + fields.need(0x17) + b"BACKUP_CARDS" + siblings
    assert signed(own, message, fields.need(4))


@pytest.mark.parametrize("profile", FAMILY.profiles)
@pytest.mark.parametrize("proof", [None, b"", CHALLENGE], ids=["none", "static", "dynamic"])
def test_a_wallet_is_proved_as_it_is_asked_to_be(profile: str, proof: bytes | None) -> None:
    host = ready(profile)
    own = public_key(host.card.flash.card_key)
    key = public_key(host.card.flash.wallets[0].key)
    asked = [(0x16, CHALLENGE), indexed(0)] + [(0x14, each) for each in [proof] if each is not None]
    _, fields = host.ask(ATTEST_WALLET, *asked)
    assert signed(key, CHALLENGE + fields.need(0x17), fields.need(0x61))
    assert fields.number(0x64) == 1
    assert (fields.find(4) is None) == (proof is None)
    assert (fields.find(0x15) is not None) == (proof == CHALLENGE)
    if proof is not None:
        status = fields.find(2) or b""
        assert status == (b"\2" if profile == "6.33" else b"")
        message = key + proof + (fields.find(0x15) or b"") + status
        assert signed(own, message, fields.need(4))
