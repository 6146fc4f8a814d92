"""Each fault happens at its command, once or until it is taken back, and only there."""

from collections.abc import Callable

import pytest

from cards.apdu import select as select_command
from cards.emulation import EmulatedTransport
from cards.errors import CardRemoved, CardReset, TransportError
from cards.family import family_named
from cards.faults import (
    Delayed,
    Ejected,
    Fault,
    Faulty,
    Flipped,
    Forced,
    Oversized,
    Torn,
    Truncated,
    met,
    parse,
    told,
    words_of,
)
from cards.transport import exchange
from tests.listed_faults import Listed

FIRST = bytes.fromhex("00a40400")
OTHER = bytes.fromhex("0020000000")


class Counter:
    """A chip that answers how many commands it has heard since it has had power, and how many."""

    def __init__(self) -> None:
        self.since_power = 0
        self.heard = 0

    def power_on(self) -> None:
        self.since_power = 0

    def answer(self, _apdu: bytes) -> bytes:
        self.since_power += 1
        self.heard += 1
        return bytes([self.since_power, self.heard, 0x90, 0x00])


@pytest.fixture
def chip() -> Counter:
    return Counter()


@pytest.fixture
def reader(chip: Counter) -> Callable[..., Faulty]:
    def with_faults(*faults: Fault) -> Faulty:
        return Faulty(EmulatedTransport(chip), Listed(*faults))

    return with_faults


SPOKEN = {
    "eject": Ejected(),
    "delay 250": Delayed(250),
    "tear 3 before": Torn(3, executed=False),
    "tear 1 after": Torn(1, executed=True),
    "tear 2 after 0b": Torn(2, executed=True, ins=0x0B),
    "sw 6f00": Forced(0x6F00),
    "sw 9c02 4": Forced(0x9C02, 4),
    "truncate 0": Truncated(0),
    "truncate 12 2": Truncated(12, 2),
    "oversize 300": Oversized(300),
    "oversize 1 9": Oversized(1, 9),
    "flip 17": Flipped(17),
    "flip 0 3": Flipped(0, 3),
}


@pytest.mark.parametrize("words", SPOKEN)
def test_what_is_said_is_meant_and_said_again(words: str) -> None:
    assert parse(words) == SPOKEN[words]
    assert words_of(SPOKEN[words]) == words


# fmt: off
UNSPOKEN = [
    "", "tear", "tear 0 before", "tear 1", "tear 1 during", "tear 1 after 1",
    "tear 1 after 100", "tear x after", "tear 1 after cb cb", "tear 1 after zz",
    "tear 1 before\n", "delay", "delay x", "delay 1 1", "delay 1000000", "delay 0.5", "sw 90",
    "sw 90000", "sw 9g00", "sw 9000 0", "sw 9000 1 1", "truncate", "truncate x", "flip",
    "flip 1 0", "flip 100000", "oversize", "insert now", "clear all", "eject 1", "EJECT",
    "melt",
]
# fmt: on


@pytest.mark.parametrize("words", UNSPOKEN)
def test_what_is_no_fault_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="is no fault; there is eject, insert, tear N"):
        told((), words)


def test_what_stays_is_taken_back_and_what_happens_once_adds_up() -> None:
    waiting = told(told(told((), "eject"), "delay 5"), "tear 2 after")
    assert waiting == (Ejected(), Delayed(5), Torn(2, executed=True))
    assert told(waiting, "eject") == (Delayed(5), Torn(2, executed=True), Ejected())
    assert told(waiting, "delay 7") == (Ejected(), Torn(2, executed=True), Delayed(7))
    assert told(waiting, "tear 2 after") == (*waiting, Torn(2, executed=True))
    assert told(waiting, "insert") == waiting[1:]
    assert told(waiting, "clear") == ()


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (Forced(0x6982), "6982"),
        (Truncated(0), ""),
        (Truncated(3), "010190"),
        (Truncated(9), "01019000"),
        (Oversized(2), "0101a5a59000"),
        (Flipped(0), "81019000"),
        (Flipped(15), "01009000"),
        (Flipped(31), "01019001"),
        (Flipped(32), "81019000"),
    ],
    ids=str,
)
def test_an_answer_is_garbled_once(
    reader: Callable[..., Faulty], fault: Fault, answer: str
) -> None:
    faulty = reader(fault)
    assert faulty.transmit(FIRST).hex() == answer
    assert faulty.transmit(FIRST)[2:] == b"\x90\x00"


def test_a_forced_status_word_keeps_the_command_from_the_card(
    reader: Callable[..., Faulty], chip: Counter
) -> None:
    faulty = reader(Forced(0x6F00, 2))
    assert [faulty.transmit(FIRST)[-2:].hex() for _ in range(3)] == ["9000", "6f00", "9000"]
    assert chip.heard == 2


@pytest.mark.parametrize(("moment", "heard"), [("before", 1), ("after", 2)])
def test_power_is_lost_before_or_after_the_card_has_done_it(
    reader: Callable[..., Faulty], chip: Counter, moment: str, heard: int
) -> None:
    faulty = reader(parse(f"tear 2 {moment}"))
    assert faulty.transmit(FIRST)[0] == 1
    for _ in range(2):
        with pytest.raises(CardRemoved):
            faulty.transmit(FIRST)
    with pytest.raises(CardRemoved):
        faulty.power_cycle()
    assert chip.heard == heard
    assert EmulatedTransport(chip).transmit(FIRST)[0] == 1


def test_commands_of_one_instruction_are_counted_alone(reader: Callable[..., Faulty]) -> None:
    faulty = reader(Torn(2, executed=False, ins=0x20))
    for apdu in (FIRST, OTHER, FIRST, FIRST):
        faulty.transmit(apdu)
    with pytest.raises(CardRemoved):
        faulty.transmit(OTHER)


def test_a_fault_that_has_happened_waits_no_more() -> None:
    faults = (Delayed(1), Torn(1, executed=True, ins=0x20), Flipped(3, 2), Truncated(1))
    assert met(faults, FIRST) == ((faults[0], faults[3]), (*faults[:2], Flipped(3, 1)))
    assert met((Ejected(),), FIRST) == ((Ejected(),), (Ejected(),))
    assert met((Torn(1, executed=True, ins=0),), b"") == ((), (Torn(1, executed=True, ins=0),))


def test_a_delay_is_slept_at_every_command(chip: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("cards.faults.time.sleep", slept.append)
    faulty = Faulty(EmulatedTransport(chip), Listed(Delayed(250)))
    for _ in range(2):
        faulty.transmit(FIRST)
    assert slept == [0.25, 0.25]


def test_a_card_ejected_while_in_use_is_gone(chip: Counter) -> None:
    waiting = Listed()
    faulty = Faulty(EmulatedTransport(chip), waiting)
    faulty.transmit(FIRST)
    waiting.faults = told(waiting.faults, "eject")
    for _ in range(2):
        with pytest.raises(CardRemoved, match="ejected"):
            faulty.transmit(FIRST)
        waiting.faults = ()
    assert chip.heard == 1


def test_a_reader_that_can_cuts_the_power(reader: Callable[..., Faulty], chip: Counter) -> None:
    faulty = reader()
    faulty.transmit(FIRST)
    faulty.power_cycle()
    assert chip.since_power == 0


def test_a_reader_that_cannot_says_so() -> None:
    class Plain:
        def transmit(self, apdu: bytes) -> bytes:
            return apdu

        def close(self) -> None:
            """Nothing to let go of."""

    faulty = Faulty(Plain(), Listed())
    with pytest.raises(TransportError, match="cannot cut"):
        faulty.power_cycle()
    faulty.close()
    faulty.close()
    with pytest.raises(CardRemoved, match="let go of"):
        faulty.transmit(FIRST)


def test_another_programs_reset_is_told_and_the_command_not_sent() -> None:
    card = family_named("satochip").emulate("0.14-0.1")
    reader = Faulty(card.insert(), Listed(parse("reset 2")))
    select = select_command(family_named("satochip").aid).encode()
    status = bytes.fromhex("B03C000000")
    assert reader.transmit(select)[-2:] == b"\x90\x00"
    with pytest.raises(CardReset) as caught:
        reader.transmit(status)
    assert not caught.value.sent
    assert reader.transmit(status) == b"\x6d\x00", "nothing is selected any more"


def test_a_card_that_vanishes_answers_nothing_and_is_gone() -> None:
    reader = Faulty(
        family_named("satochip").emulate("0.14-0.1").insert(), Listed(parse("vanish 1"))
    )
    with pytest.raises(CardRemoved, match="empty answer"):
        exchange(reader, select_command(family_named("satochip").aid))
    with pytest.raises(CardRemoved, match="put it back"):
        reader.transmit(b"\x00\xa4\x04\x00")


@pytest.mark.parametrize("words", ["reset 3", "reset 1 a4", "vanish 7"])
def test_new_faults_are_written_as_they_are_read(words: str) -> None:
    assert words_of(parse(words)) == words
