"""Readers through a real PC/SC service, with emulated cards in them."""

import threading
from itertools import cycle

import pytest

from cards import pcsc
from cards.deadline import DeadlineTransport
from cards.detection import detect
from cards.errors import CardRemoved, CardReset, NotUnlocked, ReaderNotFound, TransportError
from cards.family import Surroundings, families, family_named
from cards.pin import Pin
from cards.session import CardSession
from cards.signature import verify
from cards.transport import CardTransport, PowerCycler
from tests.contracts.subjects import DIGEST, LEAF, PIN, SUBJECTS, Subject, journey
from tests.patience import SECONDS
from tests.readers.conftest import NAMES, Put

SELECT_NOTHING = bytes.fromhex("00A4040005F00000000100")


def opened(reader: str) -> CardSession:
    return detect(pcsc.ReaderTransport(reader), Surroundings())


def test_eight_readers_hold_all_four_families_and_each_card_is_told_apart(put: Put) -> None:
    kinds = [family for family, _ in zip(cycle(families()), NAMES, strict=False)]
    names = [put(n, family.emulate(family.profiles[-1])) for n, family in enumerate(kinds)]
    sessions = [opened(name) for name in names]
    found = [session.identity() for session in sessions]
    assert [identity.family for identity in found] == [family.name for family in kinds]
    assert len({identity.card_id for identity in found}) == len(names)
    for session in sessions:
        session.close()
    assert set(names) <= set(pcsc.reader_names())


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_a_card_of_every_family_signs_through_a_reader(put: Put, subject: Subject) -> None:
    session = opened(put(0, subject.ready()))
    found = journey(session)
    assert verify(found.key.public_key, DIGEST, found.signature)
    session.close()


def test_long_commands_and_answers_get_through(put: Put) -> None:
    class Echo:
        def transmit(self, apdu: bytes) -> bytes:
            return apdu + b"\x90\x00"

        def close(self) -> None: ...

    card = pcsc.ReaderTransport(put(0, Echo))
    for size in (1, 255, 256, 1000, 4000):
        apdu = bytes.fromhex("80CB000000") + size.to_bytes(2, "big") + bytes(size) + bytes(2)
        assert card.transmit(apdu) == apdu + b"\x90\x00"
    card.close()


def test_a_card_that_is_taken_out_and_put_back_is_seen(put: Put) -> None:
    name = put(0, family_named("satochip").emulate("0.14-0.1"))
    first = pcsc.arrival(name, pcsc.ANY_CARD, 0)
    assert first is not None
    assert pcsc.arrival(name, first, 0) is None
    card = pcsc.ReaderTransport(name)
    put.readers[0].eject()
    with pytest.raises((CardRemoved, CardReset), match=name):
        talk(card)
    card.close()
    with pytest.raises(CardRemoved, match=name):
        pcsc.ReaderTransport(name)
    late: list[int | None] = []
    waiting = threading.Thread(target=lambda: late.append(pcsc.arrival(name, first, 10)))
    waiting.start()
    put.readers[0].insert()
    waiting.join()
    assert late[0] is not None
    pcsc.ReaderTransport(name).close()


def test_what_all_readers_hold_is_told_at_once_where_it_changes(put: Put) -> None:
    name = put(0, family_named("satochip").emulate("0.14-0.1"))
    before = pcsc.insertions()
    assert dict(before)[name] is not None
    assert dict(before)[f"{NAMES[1]} 00 00"] is None
    assert pcsc.insertions(before, 0.01) == before
    late: list[pcsc.Insertions] = []
    waiting = threading.Thread(target=lambda: late.append(pcsc.insertions(before, SECONDS)))
    waiting.start()
    put.readers[0].eject()
    waiting.join()
    assert dict(late[0])[name] is None
    assert pcsc.insertions(before, SECONDS) != before  # it is another already: nobody waits


def test_a_reader_whose_name_cannot_be_passed_on_counts_as_one_with_a_card(
    put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(0, family_named("satochip").emulate("0.14-0.1"))
    monkeypatch.setattr(pcsc, "_names", lambda _context: ["Läser 00 00", name])
    assert [(each, number is not None) for each, number in pcsc.insertions()] == [
        ("Läser 00 00", True),
        (name, True),
    ]


def talk(card: CardTransport) -> None:
    for _ in range(10_000):
        card.transmit(SELECT_NOTHING)


def test_an_empty_reader_and_one_that_is_not_there(put: Put) -> None:
    put(0, family_named("satochip").emulate("0.14-0.1"))
    with pytest.raises(CardRemoved, match=f"no card on reader {NAMES[1]} 00 00"):
        pcsc.ReaderTransport(f"{NAMES[1]} 00 00")
    with pytest.raises(ReaderNotFound, match="no reader Elsewhere"):
        pcsc.ReaderTransport("Elsewhere")
    with pytest.raises(ReaderNotFound):
        pcsc.arrival("Elsewhere", pcsc.ANY_CARD, 0)


def test_what_is_let_go_is_locked(put: Put) -> None:
    name = put(0, SUBJECTS[0].ready())
    session = opened(name)
    session.unlock(Pin(PIN))
    session.close()
    again = opened(name)
    with pytest.raises(NotUnlocked):
        again.xpub(LEAF)
    again.close()


def test_a_power_cycle_forgets_the_selection(put: Put) -> None:
    card = pcsc.ReaderTransport(put(0, family_named("keycard").emulate("3.2")))
    assert isinstance(card, PowerCycler)
    before = card.transmit(bytes.fromhex("00F2000000"))
    card.power_cycle()
    assert card.transmit(bytes.fromhex("00F2000000")) == before
    card.close()
    card.close()


def test_a_card_that_never_answers_is_given_up_and_the_reader_lives(put: Put) -> None:
    stuck = threading.Event()

    class Mute:
        def transmit(self, _apdu: bytes) -> bytes:
            stuck.wait(10)
            return b"\x90\x00"

        def close(self) -> None: ...

    reader = put(0, Mute)
    card: CardTransport = DeadlineTransport(lambda: pcsc.ReaderTransport(reader), "virtual", 0.2)
    with pytest.raises(TransportError, match=r"no answer for 0\.2 seconds"):
        card.transmit(SELECT_NOTHING)
    with pytest.raises(TransportError, match="given up"):
        card.transmit(SELECT_NOTHING)
    card.close()
    stuck.set()
