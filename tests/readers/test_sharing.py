"""One reader, several programs: who has the card, who waits, and what is said of it."""

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cards import pcsc
from cards.deadline import DeadlineTransport
from cards.detection import detect
from cards.errors import CardRemoved, CardReset, NotUnlocked, OutOfReach, WrongCard
from cards.family import EmulatedCard, Surroundings, family_named
from cards.pin import Pin
from cards.session import CardSession
from cards.transport import CardTransport
from coordinator.readers.slots import CardPrompts, Slot, ask_pin, card_in, pin_of_silent
from tests.contracts.subjects import DIGEST, LEAF, PIN, SUBJECTS, Subject, attempts
from tests.patience import SECONDS
from tests.readers.conftest import Put

SELECT_NOTHING = bytes.fromhex("00A4040005F00000000100")
OTHER_PROGRAM = Path(__file__).with_name("other_program.py")
NOBODY = "F0000000AA"
SATOCHIP = next(each for each in SUBJECTS if each.family.name == "satochip")
Beginning = Callable[[str, str], "subprocess.Popen[str]"]


@pytest.fixture
def other_program() -> Iterator[Beginning]:
    """Return what starts another program at a reader, and waits until it has had the card."""
    running: list[subprocess.Popen[str]] = []

    def begin(reader: str, mode: str) -> "subprocess.Popen[str]":
        words = [sys.executable, str(OTHER_PROGRAM), reader, NOBODY, mode]
        running.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        assert running[-1].stdout is not None
        assert running[-1].stdout.readline() == "ready\n"
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def reset(reader: str, reached: threading.Event | None = None) -> None:
    """Do what another program does that connects and leaves the card reset."""
    scard = pcsc._scard()
    with pcsc._context() as context:
        if reached is not None:
            reached.set()
        code, card, _ = scard.SCardConnect(context, reader, scard.SCARD_SHARE_SHARED, 3)
        assert code == 0
        scard.SCardDisconnect(card, scard.SCARD_RESET_CARD)


def slot_of(name: str) -> Slot:
    return Slot(
        "x",
        emulated=False,
        connect=lambda: DeadlineTransport(lambda: pcsc.ReaderTransport(name), name),
        surroundings=Surroundings(),
    )


def talk(transport: pcsc.ReaderTransport) -> None:
    """Speak to the card until it cannot be spoken to."""
    while True:
        transport.transmit(SELECT_NOTHING)


@pytest.fixture
def card() -> EmulatedCard:
    return SATOCHIP.ready()


def satochip(transport: CardTransport) -> CardSession:
    return detect(transport, Surroundings())


def test_another_program_waits_until_the_card_is_let_go(put: Put, card: EmulatedCard) -> None:
    name = put(0, card)
    session = satochip(pcsc.ReaderTransport(name))
    session.unlock(Pin(PIN))
    reached = threading.Event()
    other = threading.Thread(target=reset, args=(name, reached))
    other.start()
    assert reached.wait(SECONDS)
    assert session.sign(LEAF, DIGEST)
    assert other.is_alive()
    session.close()
    other.join(SECONDS)
    assert not other.is_alive()


def test_whoever_waited_finds_a_card_that_forgot_everything(put: Put, card: EmulatedCard) -> None:
    name = put(0, card)
    session = satochip(pcsc.ReaderTransport(name))
    session.unlock(Pin(PIN))
    heard: list[bytes] = []
    reached = threading.Event()

    def listen() -> None:
        scard = pcsc._scard()
        with pcsc._context() as context:
            reached.set()
            _, theirs, protocol = scard.SCardConnect(context, name, scard.SCARD_SHARE_SHARED, 3)
            status = list(bytes.fromhex("B03C000000"))
            heard.append(bytes(scard.SCardTransmit(theirs, pcsc._pci(scard, protocol), status)[1]))
            scard.SCardDisconnect(theirs, scard.SCARD_LEAVE_CARD)

    other = threading.Thread(target=listen)
    other.start()
    assert reached.wait(SECONDS)
    assert session.sign(LEAF, DIGEST)
    session.close()
    other.join(SECONDS)
    assert heard == [bytes.fromhex("6D00")]


def test_a_card_is_let_go_while_a_person_is_asked_and_known_again(
    put: Put, card: EmulatedCard
) -> None:
    name = put(0, card)
    transport = pcsc.ReaderTransport(name)
    session = satochip(transport)
    before = session.identity()
    session.pause()
    assert not transport.held
    reset(name)
    assert session.identity() == before
    session.unlock(Pin(PIN))
    assert session.sign(LEAF, DIGEST)
    session.pause()
    again = satochip(pcsc.ReaderTransport(name))
    with pytest.raises(NotUnlocked):
        again.xpub(LEAF)
    session.close()
    again.close()


def test_a_card_swapped_while_a_person_is_asked_is_not_taken_for_the_first(put: Put) -> None:
    name = put(0, SATOCHIP.ready())
    session = satochip(pcsc.ReaderTransport(name))
    session.pause()
    put(0, SATOCHIP.ready(1))
    with pytest.raises(WrongCard):
        session.identity()
    session.close()


def test_a_reader_kept_by_another_program_is_waited_for_then_given_up(
    put: Put, card: EmulatedCard, other_program: Beginning
) -> None:
    name = put(0, card)
    other_program(name, "keep")
    said: list[str] = []
    ours = DeadlineTransport(lambda: pcsc.ReaderTransport(name, 1.5), name, take_seconds=1.5)
    ours.tell_contention(said.append)
    began = time.monotonic()
    with pytest.raises(OutOfReach, match="another program keeps reader"):
        ours.transmit(SELECT_NOTHING)
    assert 1.0 < time.monotonic() - began < SECONDS
    assert said == [f"another program uses reader {name}; waiting for it"]
    ours.close()


def test_a_reader_that_is_let_go_in_time_is_used(
    put: Put, card: EmulatedCard, other_program: Beginning
) -> None:
    name = put(0, card)
    keeper = other_program(name, "keep")
    threading.Timer(0.8, keeper.kill).start()
    ours = pcsc.ReaderTransport(name)
    assert ours.contended
    assert ours.transmit(SELECT_NOTHING)
    ours.close()


def test_a_transaction_of_another_program_is_given_up_in_time(put: Put, card: EmulatedCard) -> None:
    name = put(0, card)
    theirs = pcsc.ReaderTransport(name)
    ours = DeadlineTransport(lambda: pcsc.ReaderTransport(name), name, take_seconds=0.3)
    with pytest.raises(OutOfReach, match="another program keeps reader"):
        ours.transmit(SELECT_NOTHING)
    assert theirs.transmit(SELECT_NOTHING)
    theirs.close()
    for overdue in threading.enumerate():  # its call gets the card now, and leaves it
        if overdue.name == f"card {name}":
            overdue.join(SECONDS)
    again = pcsc.ReaderTransport(name)
    assert again.transmit(SELECT_NOTHING)
    again.close()


def test_a_card_in_use_elsewhere_is_shared_and_said_once(put: Put, card: EmulatedCard) -> None:
    name = put(0, card)
    said: list[str] = []
    scard = pcsc._scard()
    with pcsc._context() as context:
        _, theirs, _ = scard.SCardConnect(context, name, scard.SCARD_SHARE_SHARED, 3)
        ours = DeadlineTransport(lambda: pcsc.ReaderTransport(name), name)
        ours.tell_contention(said.append)
        for _ in range(3):
            ours.transmit(SELECT_NOTHING)
        ours.close()
        scard.SCardDisconnect(theirs, scard.SCARD_LEAVE_CARD)
    assert said == [f"another program uses reader {name} too; it has to wait meanwhile"]


def test_a_card_that_is_idle_is_kept_alive_by_the_thread_that_owns_it(
    put: Put, card: EmulatedCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cards.deadline.KEEP_ALIVE", 0.05)
    asked = queue.SimpleQueue[str]()
    name = put(0, card)
    scard = pcsc._scard()
    status = scard.SCardStatus
    monkeypatch.setattr(
        scard,
        "SCardStatus",
        lambda held: asked.put(threading.current_thread().name) or status(held),
    )
    ours = DeadlineTransport(lambda: pcsc.ReaderTransport(name), name)
    ours.transmit(SELECT_NOTHING)
    assert {asked.get(timeout=SECONDS) for _ in range(3)} == {f"card {name}"}
    ours.pause()
    while not asked.empty():
        asked.get()
    with pytest.raises(queue.Empty):
        asked.get(timeout=4 * 0.05)
    ours.close()


def test_an_intruder_without_pause_never_gets_between(
    put: Put, card: EmulatedCard, other_program: Beginning
) -> None:
    name = put(0, card)
    intruder = other_program(name, "intrude")
    for _ in range(5):
        session = satochip(DeadlineTransport(lambda: pcsc.ReaderTransport(name), name))
        session.unlock(Pin(PIN))
        assert session.sign(LEAF, DIGEST)
        session.close()
    assert intruder.poll() is None


def test_a_removed_card_is_not_taken_again(put: Put, card: EmulatedCard) -> None:
    name = put(0, card)
    ours = pcsc.ReaderTransport(name)
    put.readers[0].eject()
    with pytest.raises((CardRemoved, CardReset)):
        talk(ours)
    with pytest.raises(CardRemoved):
        ours.transmit(SELECT_NOTHING)
    ours.close()


def test_an_empty_answer_is_a_removal(
    put: Put, card: EmulatedCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = pcsc.ReaderTransport(put(0, card))
    monkeypatch.setattr(pcsc._scard(), "SCardTransmit", lambda *_: (0, []))
    with pytest.raises(CardRemoved, match="empty answer"):
        ours.transmit(SELECT_NOTHING)
    ours.close()


@pytest.mark.parametrize(
    ("code", "sent"), [(0x80100068, False), (0x80100067, True), (0x8010000F, True)]
)
def test_a_reset_by_another_is_told_and_the_card_taken_again(
    put: Put, card: EmulatedCard, monkeypatch: pytest.MonkeyPatch, code: int, *, sent: bool
) -> None:
    ours = pcsc.ReaderTransport(put(0, card))
    with monkeypatch.context() as racing:
        racing.setattr(pcsc._scard(), "SCardTransmit", lambda *_: (code - (1 << 32), []))
        with pytest.raises(CardReset, match="reset by another program") as caught:
            ours.transmit(SELECT_NOTHING)
    assert caught.value.sent is sent
    assert ours.contended
    assert ours.transmit(SELECT_NOTHING)
    ours.close()


def test_a_card_is_recognised_between_the_resets_of_an_intruder(
    put: Put, other_program: Beginning
) -> None:
    name = put(0, family_named("keycard").emulate("3.2"))
    other_program(name, "intrude")
    for _ in range(5):
        transport = DeadlineTransport(lambda: pcsc.ReaderTransport(name), name)
        session = detect(transport, Surroundings())
        assert session.family == "keycard"
        session.close()


class TypingPerson:
    """Somebody who types a PIN; other things happen at the reader meanwhile."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = meanwhile
        self.asked = 0

    def types(self) -> bool:
        return True

    def pin_for(self, _label: str, _card: object) -> Pin:
        self.asked += 1
        self.meanwhile()
        return Pin(PIN)


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_other_programs_have_the_card_while_a_pin_is_typed(put: Put, subject: Subject) -> None:
    name = put(0, subject.ready())
    slot = slot_of(name)
    person = TypingPerson(lambda: reset(name))
    with card_in(slot) as session, ExitStack() as wiped:
        prompts = CardPrompts(person, "x")
        if pin_of_silent(session, prompts, Speechless(person), wiped=wiped) is None:
            with ask_pin(session, "x", person, last_attempt=False) as pin:
                session.unlock(pin)
        assert session.sign(LEAF, DIGEST)
    assert person.asked == 1


class Speechless:
    """The same person, who is told nothing."""

    def __init__(self, person: TypingPerson) -> None:
        self.types, self.pin_for = person.types, person.pin_for

    def say(self, _text: str) -> None: ...


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_a_card_swapped_while_a_pin_is_typed_never_gets_it(put: Put, subject: Subject) -> None:
    if not subject.family.identified_before_pin:
        pytest.skip("nobody can tell such a card from another before its PIN")
    other = subject.ready(1)
    before = attempts(subject, other)
    name = put(0, subject.ready())
    slot = slot_of(name)
    person = TypingPerson(lambda: put(0, other))
    with pytest.raises(WrongCard), card_in(slot) as session:
        ask_pin(session, "x", person, last_attempt=False)
    put.readers[0].close()
    assert attempts(subject, other) == before
