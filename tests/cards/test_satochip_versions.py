"""Satochips too old to be driven, and statuses of every length a version sent."""

import pytest

from cards.errors import NotSupported, ProtocolError
from cards.family import Surroundings
from cards.satochip import answers
from cards.satochip.link import Link

FRESH = bytes.fromhex("000c00060000000000000001")


class Old:
    """A card that selects and answers every question with this status."""

    def __init__(self, status: bytes) -> None:
        self.status = status
        self.asked: list[int] = []

    def transmit(self, apdu: bytes) -> bytes:
        self.asked.append(apdu[1])
        return (b"" if apdu[1] == 0xA4 else self.status) + b"\x90\x00"

    def close(self) -> None:
        """Nothing holds it."""


@pytest.mark.parametrize("size", [2, 8, 9, 12])
@pytest.mark.parametrize("version", [(0, 10), (0, 11)])
def test_a_version_before_0_12_is_named_whatever_its_status_lacks(
    version: tuple[int, int], size: int
) -> None:
    card = Old(bytes((*version, 0, 4)).ljust(size, b"\5")[:size])
    with pytest.raises(NotSupported, match=r"versions before 0\.12"):
        Link(card, Surroundings())
    assert card.asked == [0xA4, 0x3C]


@pytest.mark.parametrize("size", [0, 1, 11])
def test_a_status_that_was_cut_is_no_status(size: int) -> None:
    with pytest.raises(ProtocolError, match=f"{size} bytes"):
        answers.parse_status(FRESH[:size])


def test_a_first_and_a_later_version_are_read() -> None:
    assert answers.parse_status(FRESH).version_text == "0.12-0.6"
    later = answers.parse_status(b"\1\0\0\2" + FRESH[4:] + bytes(4))
    assert (later.version, later.setup_done) == ((1, 0), False)
