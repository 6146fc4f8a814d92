"""Every number a card tells is bounded: one beyond its kind is refused, not counted with."""

from itertools import count

import pytest

from cards.apdu import Response
from cards.errors import CardError, ProtocolError
from cards.family import Surroundings
from cards.tangem.answers import parse_wallet, version_of
from cards.tangem.emulator import emulate
from cards.tangem.link import Link, Time
from cards.tangem.wire import Fields, Item, Tag, tlv
from cards.tapsigner.answers import parse_status, parse_wait
from tests.cards.test_tangem_variants import opened
from tests.sampled import in_turn, sampled

TAGS = range(1, 256)
WIDE = [b"\xff" * 200, b"\x01" + bytes(64), b"\xff" * 5, b""]


@sampled(4)
def test_a_tangem_whose_field_is_too_wide_is_refused_or_read(every: int) -> None:
    for tag in TAGS:
        for value in in_turn(WIDE, tag, every):

            def change(item: Item, wide: Item = (tag, value)) -> list[Item]:
                return [wide if item[0] == wide[0] else item]

            try:
                told = opened(emulate("6.33"), change).identity()
            except CardError:
                continue
            assert len(told.version) < 16, (tag, value)


@pytest.mark.parametrize("tag", [0x09, 0x0A])
def test_a_tangem_delay_or_setting_of_200_bytes_is_refused(tag: int) -> None:
    def change(item: Item) -> list[Item]:
        return [(item[0], b"\xff" * 200 if item[0] == tag else item[1])]

    with pytest.raises(ProtocolError, match="200 bytes"):
        opened(emulate("6.33"), change).identity()


def test_a_pause_of_200_bytes_is_refused() -> None:
    class Pausing:
        def transmit(self, apdu: bytes) -> bytes:
            if apdu[:2] == b"\x00\xa4":
                return bytes.fromhex("9000")
            return Response(tlv([(Tag.PAUSE, b"\xff" * 200)]), 0x9789).encode()

        def close(self) -> None:
            return

    shown: list[int] = []
    ticks = count()
    clock = Time(lambda: float(next(ticks)), lambda _: None)
    patient = Surroundings(progress=lambda _, seconds: shown.append(seconds))
    link = Link(Pausing(), patient, clock)
    link.select()
    with pytest.raises(ProtocolError):
        link.uid()
    assert shown == []


@pytest.mark.parametrize(
    "text", ["9" * 5000 + ".1", "1." + "9" * 400, "6.33" + "." * 50, "٦.33", "6.33d " + "x" * 99]
)
def test_a_firmware_version_is_three_short_numbers(text: str) -> None:
    with pytest.raises(ProtocolError):
        version_of(Fields.parse(tlv([(0x80, text.encode())])))


def test_a_wallet_number_is_one_byte() -> None:
    with pytest.raises(ProtocolError):
        parse_wallet(Fields.parse(tlv([(0x02, b"\x02"), (0x65, b"\x01\x00")])))


@pytest.mark.parametrize("value", [2**64 - 1, -1, True, "9", 2**32])
def test_a_tapsigner_delay_is_a_number_of_seconds(value: object) -> None:
    with pytest.raises(ProtocolError, match="auth_delay"):
        parse_wait({"auth_delay": value})


@pytest.mark.parametrize("value", [2**64 - 1, True, 0x10000])
def test_a_tapsigner_count_of_backups_is_bounded(value: object) -> None:
    known = {
        "proto": 1,
        "ver": "1.0.3",
        "pubkey": b"\2" + bytes(31) + b"\1",
        "card_nonce": bytes(16),
    }
    with pytest.raises(ProtocolError, match="num_backups"):
        parse_status({**known, "num_backups": value})
