"""The Tangem driver on cards that write, list or forbid what others do not."""

from collections.abc import Callable

import pytest
from coincurve import PrivateKey

from cards.apdu import Response
from cards.errors import CardNotInitialised, NotSupported, NotUnlocked, ProtocolError
from cards.family import Surroundings, TransientMemory
from cards.pin import Pin
from cards.signature import verify
from cards.tangem.emulator import TangemEmulator, backup_set, emulate
from cards.tangem.emulator_memory import Wallet
from cards.tangem.session import TangemSession, open_session
from cards.tangem.wire import Fields, Item, Setting, tlv
from tests.cards.tangem_host import DIGEST
from tests.contracts.wires import Wire

PIN = b"493817"
PATH = (48 | 0x80000000, 0, 5)


def coded(card: TangemEmulator) -> TangemEmulator:
    session = open_session(card.insert(), Surroundings())
    session.initialise({"pin": Pin(PIN)})
    session.close()
    return card


def with_keys(*slots: int) -> TangemEmulator:
    """A card with a code, and with keys in these slots."""
    card = coded(emulate("6.33"))
    for slot in slots:
        card.flash.wallets[slot] = Wallet(slot, 2, PrivateKey().secret, bytes(32))
    return card


def rewritten(change: Callable[[Item], list[Item]]) -> Callable[[bytes], bytes]:
    """Return a card's other hand: every field of an answer written anew, lists in it too."""

    def rewrite(data: bytes) -> bytes:
        items = [
            (tag, rewrite(value) if tag == 0x68 else value) for tag, value in Fields.parse(data)[0]
        ]
        return tlv([new for item in items for new in change(item)])

    def answered(answer: bytes) -> bytes:
        response = Response.parse(answer)
        return Response(rewrite(response.data), response.sw).encode()

    return answered


def opened(card: TangemEmulator, change: Callable[[Item], list[Item]]) -> TangemSession:
    wire = Wire(card)
    wire.change = dict.fromkeys(range(100), rewritten(change))
    return open_session(wire, Surroundings())


def test_a_curve_without_its_closing_zero_is_known() -> None:
    session = opened(
        with_keys(0), lambda item: [(item[0], item[1].rstrip(b"\0") if item[0] == 5 else item[1])]
    )
    session.unlock(Pin(PIN))
    assert verify(session.xpub(PATH).public_key, DIGEST, session.sign(PATH, DIGEST))


def test_a_key_in_the_last_slot_is_found() -> None:
    card = with_keys(*range(20))
    for wallet in card.flash.wallets[:19]:
        wallet.status = 3
    session = open_session(card.insert(), Surroundings())
    session.unlock(Pin(PIN))
    assert verify(session.xpub(PATH).public_key, DIGEST, session.sign(PATH, DIGEST))
    assert card.flash.wallets[19].signed == 1


def test_a_full_card_takes_no_key() -> None:
    card = with_keys(*range(20))
    for wallet in card.flash.wallets:
        wallet.status = 3
    session = open_session(card.insert(), Surroundings())
    session.unlock(Pin(PIN))
    with pytest.raises(NotSupported, match="none of its 20 slots"):
        session.generate_key()


def test_asking_who_a_locked_card_is_is_no_wrong_code() -> None:
    card, memory = with_keys(0), TransientMemory()
    session = open_session(card.insert(), Surroundings(memory=memory))
    assert card.flash.failures == 1
    for _ in range(3):
        with pytest.raises(NotUnlocked):
            session.identity()
    session.unlock(Pin(PIN))
    session = open_session(card.insert(), Surroundings(memory=memory))
    for _ in range(3):
        session.identity()
    assert card.flash.failures == 1


@pytest.mark.parametrize("setting", [Setting.PERMANENT, Setting.NO_DEFAULT_CODE])
def test_a_card_that_cannot_be_reset_whole_is_not_begun_with(setting: int) -> None:
    card = with_keys(0)
    card.flash.settings |= setting
    session = open_session(card.insert(), Surroundings())
    session.unlock(Pin(PIN))
    with pytest.raises(NotSupported, match="settings"):
        session.reset()
    assert card.flash.wallets[0].loaded


def test_a_card_of_a_set_is_reset_though_its_slots_are_used_up() -> None:
    card = coded(backup_set("6.33", 2)[0])
    card.flash.settings &= ~Setting.REUSABLE
    session = open_session(card.insert(), Surroundings())
    session.unlock(Pin(PIN))
    session.reset()
    assert card.flash.wallets[0].status == 0x83
    assert (card.flash.backup_status, card.flash.code_is_default) == (0, True)
    with pytest.raises(CardNotInitialised):
        session.xpub(())


def test_the_chips_number_comes_from_the_reader_where_the_card_leaves_it_out() -> None:
    card = with_keys(0)
    card.flash.settings &= ~Setting.UNENCRYPTED
    wire = Wire(card)

    def without_number(answer: bytes) -> bytes:
        if wire.sent[-1][1] != 0xFF or wire.sent[-1][0] == 0xFF:
            return answer
        return rewritten(lambda item: [] if item[0] == 0x0B else [item])(answer)

    wire.change = dict.fromkeys(range(100), without_number)
    session = open_session(wire, Surroundings())
    session.unlock(Pin(PIN))
    assert len(session.sign(PATH, DIGEST)) == 64
    assert bytes.fromhex("FFCA000000") in wire.sent


def test_a_set_that_does_not_say_how_large_it_is_is_refused() -> None:
    with pytest.raises(ProtocolError, match="D1"):
        opened(backup_set("6.33", 2)[0], lambda item: [] if item[0] == 0xD1 else [item])
