"""Commands and responses as values, and the one function that sends."""

import logging

import pytest

from cards.apdu import SW_OK, Command, Form, Response, select
from cards.errors import ProtocolError, StatusWordError
from cards.replay import ReplayTransport, Step
from cards.transport import exchange, transmit

HEADER = bytes((0x80, 0xCA, 1, 2))


def command(data: bytes = b"", le: int | None = None) -> Command:
    return Command(*HEADER, data=data, le=le)


@pytest.mark.parametrize(
    ("data", "le", "tail"),
    [
        (b"", None, b""),
        (b"", 1, b"\x01"),
        (b"", 256, b"\0"),
        (b"ab", None, b"\x02ab"),
        (b"ab", 256, b"\x02ab\0"),
        (b"x" * 255, None, b"\xff" + b"x" * 255),
        (b"x" * 256, None, b"\0\x01\0" + b"x" * 256),
        (b"ab", 257, b"\0\0\x02ab\x01\x01"),
        (b"", 257, b"\0\x01\x01"),
        (b"", 65536, b"\0\0\0"),
        (b"ab", 65536, b"\0\0\x02ab\0\0"),
    ],
)
def test_a_command_is_written_and_read_back(data: bytes, le: int | None, tail: bytes) -> None:
    assert command(data, le).encode() == HEADER + tail
    assert Command.parse(HEADER + tail) == command(data, le)


def test_old_applets_get_a_fifth_byte() -> None:
    assert command().encode(Form.P3) == HEADER + b"\0"
    assert command(b"a").encode(Form.P3) == HEADER + b"\x01a"
    assert command(le=3).encode(Form.P3) == HEADER + b"\x03"


def test_no_apdu_holds_more_than_two_bytes_can_count() -> None:
    assert len(command(bytes(0xFFFF)).encode()) == 7 + 0xFFFF
    with pytest.raises(ValueError, match="65535 bytes, not 65536"):
        command(bytes(0x10000)).encode()


@pytest.mark.parametrize(
    "tail", [b"\x02a", b"\x01ab3", b"\0\0\x02a", b"\0\0\x01a\0", b"\0\0\x01a\0\0\0"]
)
def test_lengths_that_do_not_add_up_are_refused(tail: bytes) -> None:
    with pytest.raises(ProtocolError):
        Command.parse(HEADER + tail)


def test_a_header_alone_is_a_command_and_less_is_not() -> None:
    assert Command.parse(HEADER) == command()
    with pytest.raises(ProtocolError):
        Command.parse(HEADER[:3])


def test_a_response_is_data_and_status() -> None:
    assert Response.parse(b"ab\x90\0") == Response(b"ab", SW_OK)
    assert Response(b"ab", 0x6A82).encode() == b"ab\x6a\x82"
    with pytest.raises(ProtocolError):
        Response.parse(b"\x90")


def test_a_secret_command_shows_no_data() -> None:
    shown = repr(Command(0xB0, 0x42, data=b"123456", secret=True))
    assert "313233" not in shown
    assert "123456" not in shown
    assert "6 secret bytes" in shown
    assert "313233" in repr(Command(0xB0, 0x42, data=b"123456"))


def test_more_data_is_fetched_and_a_wrong_length_mended() -> None:
    reader = ReplayTransport(
        [
            Step(HEADER + b"\0", b"\x6c\x05"),
            Step(HEADER + b"\x05", b"abc\x61\x02"),
            Step(bytes.fromhex("80c0000002"), b"de\x90\0"),
        ]
    )
    assert exchange(reader, command(le=256)) == b"abcde"
    assert reader.finished()


@pytest.mark.parametrize("le", [None, 256])
def test_a_command_with_data_is_never_sent_twice(le: int | None) -> None:
    once = Command(0x80, 0x10, data=b"data", le=le)
    assert transmit(ReplayTransport([Step(once.encode(), b"\x6c\x05")]), once).sw == 0x6C05


def test_a_length_of_256_is_asked_for_whole() -> None:
    steps = [Step(HEADER + b"\x05", b"\x6c\0"), Step(HEADER + b"\0", b"abc\x90\0")]
    assert exchange(ReplayTransport(steps), command(le=5)) == b"abc"


@pytest.mark.parametrize(
    ("size", "told"), [(1, "after 256 answers"), (60_000, "120000 bytes, 65536 are the most")]
)
def test_an_endless_answer_is_refused(size: int, told: str) -> None:
    class Endless:
        def transmit(self, _apdu: bytes) -> bytes:
            return b"x" * size + b"\x61\0"

        def close(self) -> None:
            pass

    with pytest.raises(ProtocolError, match=told):
        transmit(Endless(), command())


def test_a_refusal_is_an_answer_or_an_error() -> None:
    apdu = select(b"name")
    assert apdu.encode() == bytes.fromhex("00a40400046e616d65")
    steps = [Step(apdu.encode(), b"\x6a\x82")] * 2
    reader = ReplayTransport(steps)
    assert transmit(reader, apdu).sw == 0x6A82
    with pytest.raises(StatusWordError, match="6A82") as caught:
        exchange(reader, apdu)
    assert (caught.value.sw, caught.value.ins) == (0x6A82, 0xA4)


def test_the_log_names_a_secret_command_and_not_its_data(
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = Command(0xB0, 0x42, data=b"123456", secret=True)
    with caplog.at_level(logging.DEBUG):
        transmit(ReplayTransport([Step(secret.encode(), b"\x90\0")]), secret)
    assert "B0 42" in caplog.text
    assert "313233343536" not in caplog.text
