"""The emulated Satochip: which refusal comes first where several would be due."""

import hashlib

import pytest
from coincurve import PrivateKey

from cards.satochip.emulator import emulate
from tests.cards.satochip_host import (
    MIDDLE,
    NEW,
    OLD,
    PIN,
    SEED,
    SETUP,
    Host,
    card_of,
    host_of,
    ready,
)

DIGEST = hashlib.sha256(b"digest").digest()
BLOB = bytes.fromhex("000c0100") + bytes(6) + b"\0\x20" + 32 * b"\x22"
FACTOR = bytes(range(20))


@pytest.fixture
def host() -> Host:
    return ready(OLD)


@pytest.fixture
def bare() -> Host:
    """A card without a seed."""
    return ready(OLD, seeded=False)


@pytest.mark.parametrize("apdu", ["b06d000002", "b06d0000020000000000", "b0810000010000"])
def test_a_length_that_does_not_add_up_comes_before_the_channel(host: Host, apdu: str) -> None:
    assert host.plain(bytes.fromhex(apdu))[1] == 0x6700
    assert host.plain(bytes.fromhex("b06d0000020000"))[1] == 0x9C20


@pytest.mark.parametrize("ins", [0x32, 0x33, 0x35, 0x42, 0x44, 0x6C])
def test_a_command_without_a_second_parameter_takes_none(bare: Host, ins: int) -> None:
    assert bare.sw(ins, 0, 1) == 0x9C11


def test_listing_pins_takes_no_parameter(host: Host) -> None:
    assert host.sw(0x48, 1, 0, b"\0\0") == 0x9C10
    assert host.sw(0x48, 0, 1, b"\0\0") == 0x9C11
    assert host.sw(0x48, 1, 1) == 0x9C10


class TestPins:
    def test_a_default_pin_of_no_size_costs_setup_nothing(self) -> None:
        host = host_of(emulate(NEW))
        body = SETUP[5:].replace(b"\x08Muscle00", b"\3abc", 1)
        assert host.send(SETUP[:4] + bytes((len(body),)) + body)[1] == 0x9C0F
        assert host.send(SETUP.replace(b"Muscle00", b"muscle00", 1))[1] == 0x63C2

    def test_a_pin_that_is_not_blocked_comes_before_the_parameter(self, host: Host) -> None:
        assert host.sw(0x46, 0, 1, b"12345678") == 0x9C03
        for _ in range(5):
            host.sw(0x42, data=b"000000")
        assert host.sw(0x46, 0, 1, b"12345678") == 0x9C11
        assert host.sw(0x46, 2, 1, b"12345678") == 0x9C10

    def test_a_created_pin_has_a_puk_of_three_tries(self, host: Host) -> None:
        assert host.sw(0x40, 5, 1, b"\x045555\x046666") == 0x9000
        assert [host.sw(0x42, 5, 0, wrong) for wrong in (b"5556", b"5555")] == [0x63C0, 0x9C0C]
        wrong = [host.sw(0x46, 5, 0, b"6667") for _ in range(4)]
        assert wrong == [0x63C2, 0x63C1, 0x63C0, 0x9C0C]

    def test_a_created_pin_brings_nothing_else(self, host: Host) -> None:
        assert host.sw(0x40, 5, 1, b"\x045555\x046666\0") == 0x9C0F


class TestSeed:
    def test_a_seed_that_is_there_comes_before_the_size(self, host: Host) -> None:
        assert host.sw(0x6C, 65, 0, 65 * b"\0") == 0x9C17
        assert host.sw(0x6C, 64, 1, SEED) == 0x9C11

    def test_resetting_looks_at_the_pin_before_the_seed(self, bare: Host) -> None:
        assert bare.sw(0x77, 6, 0, b"000000") == 0x63C4
        assert bare.sw(0x6D) == 0x9C06
        assert bare.sw(0x77, 6, 0, PIN) == 0x9C14
        assert bare.sw(0x6D) == 0x9C14

    @pytest.mark.parametrize("pin", [b"", b"123", 17 * b"1"])
    def test_resetting_counts_no_pin_of_a_size_none_has(self, host: Host, pin: bytes) -> None:
        assert host.sw(0x77, len(pin), 0, pin) == 0x9C0F
        assert host.status()[4] == 5

    def test_resetting_logs_every_pin_out(self) -> None:
        host = ready(NEW)
        assert host.sw(0x42, 1, 0, b"9999") == 0x9000
        assert host.sw(0x77, 6, 0, PIN) == 0x9000
        assert not card_of(host)._card.power.verified

    def test_a_seed_that_is_missing_comes_before_depth_and_path(self, bare: Host) -> None:
        assert bare.sw(0x6D, 11, 0x40, 44 * b"\0") == 0x9C14
        assert bare.sw(0x6D, 2, 0x40, bytes(4)) == 0x9C14


class TestSigning:
    def test_number_then_size_then_seed_then_slot(self, bare: Host) -> None:
        assert bare.sw(0x7A, 0x10, 0, b"") == 0x9C10
        assert bare.sw(0x7A, 0xFF, 0, DIGEST[1:]) == 0x6700
        assert bare.sw(0x7A, 0, 0, DIGEST[1:]) == 0x6700
        assert bare.sw(0x7A, 0xFF, 0, DIGEST) == 0x9C14
        assert bare.sw(0x7A, 0, 0, DIGEST) == 0x9C10

    def test_a_slot_signs_without_a_seed(self, bare: Host) -> None:
        assert bare.sw(0x32, 15, 0, BLOB) == 0x9000
        assert bare.sw(0x7A, 15, 0, DIGEST) == 0x9000

    def test_the_second_factor_comes_before_the_slot(self, host: Host) -> None:
        host.sw(0x79, data=FACTOR + bytes(8))
        assert host.sw(0x7A, 3, 0, DIGEST) == 0x6700
        assert host.sw(0x7A, 3, 0, DIGEST + b"\x80\0" + bytes(20)) == 0x9C0B
        assert host.sw(0x7A, 3, 0, DIGEST + b"\x40\0" + bytes(19)) == 0x6700

    @pytest.mark.parametrize("profile", [MIDDLE, NEW])
    def test_a_tweak_asks_number_then_seed_then_size_then_slot(self, profile: str) -> None:
        host = ready(profile, seeded=False)
        assert host.sw(0x7C, 0x10, 0, b"") == 0x9C10
        assert host.sw(0x7C, 0xFF, 0, b"\x1f") == 0x9C14
        assert host.sw(0x7C, 0, 0, b"\x1f" + bytes(31)) == 0x6700
        assert host.sw(0x7C, 0, 0, b"\x20" + bytes(32)) == 0x9C10


def test_a_key_is_read_before_its_slot_is_looked_at(host: Host) -> None:
    assert host.sw(0x32, 0, 0, BLOB) == 0x9000
    assert host.sw(0x32, 0, 0, BLOB[:-1]) == 0x9C0F
    assert host.sw(0x32, 0, 0, BLOB) == 0x9C10
    assert host.sw(0x32, 16, 0, b"") == 0x9C10


def test_without_a_second_factor_a_short_answer_is_still_too_short(host: Host) -> None:
    assert host.sw(0x78, data=bytes(19)) == 0x6700
    assert host.sw(0x78, data=bytes(20)) == 0x9C19


def test_an_empty_label_erases_it(host: Host) -> None:
    host.sw(0x3D, data=b"\5label")
    assert host.sw(0x3D) == 0x9000
    assert host.call(0x3D, 0, 1)[0] == b"\0"


def test_no_certificate_has_no_pieces() -> None:
    host = ready(NEW)
    card_of(host).flash.certificate = b""
    assert host.sw(0x93, 0, 2, bytes(4)) == 0x6700


class TestImports:
    """What a SeedKeeper sends is looked at in this order: trust, kind, room, form, code."""

    def trusting(self, *, seeded: bool) -> Host:
        host = ready(NEW, seeded=False)
        point = PrivateKey(32 * b"\x77").public_key.format(compressed=False)
        assert host.sw(0xAA, data=b"\0\x41" + point) == 0x9000
        if seeded:
            assert host.sw(0x6C, 64, 0, SEED) == 0x9000
        return host

    def test_room_comes_before_form_and_code(self) -> None:
        seeded, bare = self.trusting(seeded=True), self.trusting(seeded=False)
        header = b"\x10" + bytes(11)
        assert seeded.sw(0xAC, data=header) == 0x9C17
        assert bare.sw(0xAC, data=header) == 0x9C0F
        assert bare.sw(0xAC, data=header + bytes(18) + b"\x14" + bytes(20)) == 0x9C33
        bare.sw(0x79, data=FACTOR + bytes(8))
        assert bare.sw(0xAC, data=b"\xb0" + header[1:]) == 0x9C18
        assert bare.sw(0xAC, data=b"\xb1" + header[1:]) == 0x9C0F

    def test_a_code_of_another_size(self) -> None:
        data = b"\x10" + bytes(11) + bytes(18) + b"\x13" + bytes(19)
        assert self.trusting(seeded=False).sw(0xAC, data=data) == 0x9C0F

    def test_a_trusted_point_off_the_curve(self) -> None:
        host = ready(NEW, seeded=False)
        assert host.sw(0xAA, data=b"\0\x41\4" + 64 * b"\1") == 0x9000
        data = b"\x10" + bytes(11) + bytes(18) + b"\x14" + bytes(20)
        assert host.sw(0xAC, data=data) == 0x9C0F
