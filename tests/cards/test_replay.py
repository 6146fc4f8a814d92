"""A recording that refuses to differ."""

import pytest

from cards.apdu import Command
from cards.errors import CardRemoved, ProtocolError
from cards.replay import POWER_CYCLE, ReplayTransport, Step
from cards.transport import PowerCycler, exchange

STATUS, STATUS_ANSWER = bytes.fromhex("b03c000000"), bytes.fromhex("01029000")
PIN_TRY, REFUSED = bytes.fromhex("b042000006313233343536"), bytes.fromhex("63c4")


def test_it_answers_as_recorded_until_it_ends() -> None:
    replay = ReplayTransport([Step(STATUS, STATUS_ANSWER), Step(PIN_TRY, REFUSED)])
    assert exchange(replay, Command(0xB0, 0x3C, le=256)) == b"\1\2"
    assert not replay.finished()
    assert replay.transmit(PIN_TRY) == REFUSED
    assert replay.finished()
    with pytest.raises(ProtocolError, match="ends after 2 steps, not at b03c0000 of 5 bytes"):
        replay.transmit(STATUS)


def test_another_command_is_refused_and_nothing_is_played() -> None:
    replay = ReplayTransport([Step(STATUS, STATUS_ANSWER)])
    expected = "step 0 of the recording expects b03c0000 of 5 bytes, found b0420000 of 11 bytes"
    with pytest.raises(ProtocolError, match=expected):
        replay.transmit(PIN_TRY)
    assert replay.transmit(STATUS) == STATUS_ANSWER


def test_a_difference_in_the_data_is_placed_but_not_shown() -> None:
    replay = ReplayTransport([Step(PIN_TRY, REFUSED)])
    with pytest.raises(ProtocolError, match="they differ from byte 10 on") as refusal:
        replay.transmit(PIN_TRY[:-1] + b"7")
    assert "3132" not in str(refusal.value)


def test_a_power_cycle_is_a_step() -> None:
    replay = ReplayTransport([POWER_CYCLE, Step(STATUS, STATUS_ANSWER)])
    assert isinstance(replay, PowerCycler)
    with pytest.raises(ProtocolError, match="step 0 of the recording expects a power cycle, found"):
        replay.transmit(STATUS)
    replay.power_cycle()
    with pytest.raises(ProtocolError, match="expects b03c0000 of 5 bytes, found a power cycle"):
        replay.power_cycle()
    replay.transmit(STATUS)
    with pytest.raises(ProtocolError, match="ends after 2 steps, not at a power cycle"):
        replay.power_cycle()


def test_a_closed_recording_is_gone() -> None:
    replay = ReplayTransport([Step(STATUS, STATUS_ANSWER)])
    replay.close()
    replay.close()
    with pytest.raises(CardRemoved):
        replay.transmit(STATUS)
