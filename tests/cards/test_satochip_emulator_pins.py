"""The emulated Satochip's SETUP, PINs and PUKs."""

import pytest

from cards.satochip.emulator import emulate, revive, uncertified
from tests.cards.satochip_host import (
    NEW,
    OLD,
    PIN,
    PUK,
    SETUP,
    Host,
    card_of,
    host_of,
    ready,
)

WRONG = b"000000"
OTHER = b"654321"
DEFAULT = b"Muscle00"


def prefixed(*values: bytes) -> bytes:
    return b"".join(bytes((len(value),)) + value for value in values)


def blocked(profile: str) -> Host:
    host = ready(profile)
    answers = [host.sw(0x42, data=WRONG) for _ in range(6)]
    assert answers == [0x63C4, 0x63C3, 0x63C2, 0x63C1, 0x63C0, 0x9C0C]
    return host


class TestSetup:
    def test_a_wrong_default_pin_is_counted(self) -> None:
        host = host_of(emulate(NEW))
        wrong = SETUP.replace(DEFAULT, b"muscle00")
        assert [host.send(wrong)[1] for _ in range(4)] == [0x63C2, 0x63C1, 0x63C0, 0x9C0C]
        assert host.send(SETUP)[1] == 0x9C0C

    def test_an_attempt_is_enough_to_lock_the_certificate(self) -> None:
        host = host_of(uncertified(NEW))
        assert host.sw(0x42, data=DEFAULT) == 0x9000
        assert host.sw(0x98) == 0x9000
        assert host.send(SETUP.replace(DEFAULT, b"muscle00"))[1] == 0x63C2
        assert host.sw(0x98) == 0x9C04
        assert host.send(SETUP)[1] == 0x9000
        host.sw(0x42, data=PIN)
        assert host.sw(0x98) == 0x9C40

    @pytest.mark.parametrize("bad", [b"123", 17 * b"1"])
    def test_pins_have_four_to_sixteen_bytes(self, bad: bytes) -> None:
        host = host_of(emulate(NEW))
        body = SETUP[5:].replace(prefixed(PIN), prefixed(bad))
        assert host.send(SETUP[:4] + bytes((len(body),)) + body)[1] == 0x9C0F
        assert host.status()[10] == 0

    @pytest.mark.parametrize("good", [b"1234", 16 * b"1"])
    def test_the_limits_are_allowed(self, good: bytes) -> None:
        host = host_of(emulate(NEW))
        body = SETUP[5:].replace(prefixed(PIN), prefixed(good))
        assert host.send(SETUP[:4] + bytes((len(body),)) + body)[1] == 0x9000
        assert host.sw(0x42, data=good) == 0x9000

    def test_what_is_cut_short_is_refused(self) -> None:
        host = host_of(emulate(NEW))
        body = SETUP[5:-1]
        assert host.send(SETUP[:4] + bytes((len(body),)) + body)[1] == 0x9C0F

    def test_it_leaves_nobody_logged_in(self) -> None:
        host = host_of(uncertified(NEW))
        assert host.sw(0x42, data=DEFAULT) == 0x9000
        host.send(SETUP)
        assert host.sw(0x6D) == 0x9C06
        host.sw(0x42, data=PIN)
        assert host.sw(0xFD, 0xAA, 0x55) == 0x9000
        host.send(SETUP)
        assert host.sw(0x6D) == 0x9C06

    def test_it_may_bring_a_second_factor(self) -> None:
        host = host_of(emulate(NEW))
        body = SETUP[5:] + b"\x80\x00" + bytes(20) + bytes(8)
        assert host.send(SETUP[:4] + bytes((len(body),)) + body)[1] == 0x9000
        assert host.status()[8] == 1

    def test_other_flags_bring_none(self) -> None:
        host = host_of(emulate(NEW))
        body = SETUP[5:] + b"\x40\x00"
        assert host.send(SETUP[:4] + bytes((len(body),)) + body)[1] == 0x9000
        assert host.status()[8] == 0

    @pytest.mark.parametrize("ins", [0x42, 0x98, 0x92, 0x94, 0x99])
    def test_before_it_a_personalised_card_takes_nothing_else(self, ins: int) -> None:
        assert host_of(emulate(NEW)).sw(ins) == 0x9C04

    @pytest.mark.parametrize("ins", [0x98, 0x92, 0x94, 0x99])
    def test_before_it_a_bare_card_wants_its_default_pin(self, ins: int) -> None:
        host = host_of(uncertified(NEW))
        assert host.sw(ins) == 0x9C06
        assert host.sw(0x6D) == 0x9C04


class TestVerify:
    def test_a_size_no_pin_has_costs_nothing(self) -> None:
        host = ready()
        for bad in (b"", b"123", 17 * b"1"):
            assert host.sw(0x42, data=bad) == 0x9C0F
        assert host.status()[4] == 5

    def test_a_wrong_pin_logs_out(self) -> None:
        host = ready()
        assert host.sw(0x42, data=WRONG) == 0x63C4
        assert host.sw(0x6D) == 0x9C06

    def test_the_right_pin_gives_the_tries_back(self) -> None:
        host = ready()
        host.sw(0x42, data=WRONG)
        assert host.status()[4] == 4
        assert host.sw(0x42, data=PIN) == 0x9000
        assert host.status()[4] == 5

    def test_a_blocked_pin_stays_blocked_for_the_right_pin_and_for_ever(self) -> None:
        host = blocked(NEW)
        assert host.sw(0x42, data=PIN) == 0x9C0C
        again = host_of(revive(card_of(host).state()))
        assert again.sw(0x42, data=PIN) == 0x9C0C
        assert again.status()[4] == 0

    def test_there_are_two_pins_and_the_other_one_opens_nothing(self) -> None:
        host = ready()
        host.sw(0x60)
        assert host.sw(0x42, p1=1, data=b"9999") == 0x9000
        assert host.sw(0x6D) == 0x9C06
        assert host.sw(0x42, p1=2, data=b"9999") == 0x9C10
        assert host.sw(0x42, p2=1, data=PIN) == 0x9C11


class TestChange:
    def test_it_logs_out_and_holds(self) -> None:
        host = ready()
        assert host.sw(0x44, data=prefixed(PIN, OTHER)) == 0x9000
        assert host.sw(0x6D) == 0x9C06
        assert host.sw(0x42, data=PIN) == 0x63C4
        assert host.sw(0x42, data=OTHER) == 0x9000

    def test_a_wrong_old_pin_is_counted(self) -> None:
        host = ready()
        assert host.sw(0x44, data=prefixed(WRONG, OTHER)) == 0x63C4
        assert host.sw(0x42, data=PIN) == 0x9000

    @pytest.mark.parametrize(
        "data", [prefixed(PIN, b"123"), prefixed(b"123", OTHER), prefixed(PIN), prefixed(PIN)[:-1]]
    )
    def test_bad_sizes_cost_nothing(self, data: bytes) -> None:
        host = ready()
        assert host.sw(0x44, data=data) == 0x9C0F
        assert host.status()[4] == 5


class TestUnblock:
    def test_only_what_is_blocked(self) -> None:
        host = ready()
        assert host.sw(0x46, data=PUK) == 0x9C03
        assert host.status()[5] == 3

    def test_up_to_0_15_the_old_pin_comes_back(self) -> None:
        host = blocked(OLD)
        assert host.sw(0x46, data=PUK) == 0x9000
        assert host.sw(0x6D) == 0x9C06
        assert host.status()[4:6] == bytes((5, 3))
        assert host.sw(0x42, data=PIN) == 0x9000

    @pytest.mark.parametrize(("data", "pin"), [([PUK], PIN), ([PUK, OTHER], OTHER)])
    def test_since_0_16_a_new_pin_may_come_with_it(self, data: list[bytes], pin: bytes) -> None:
        host = blocked(NEW)
        assert host.sw(0x46, data=prefixed(*data)) == 0x9000
        assert host.sw(0x42, data=pin) == 0x9000

    def test_since_0_16_the_bare_puk_is_no_form(self) -> None:
        host = blocked(NEW)
        assert host.sw(0x46, data=PUK) == 0x9C0F
        assert host.status()[5] == 3

    @pytest.mark.parametrize("new", [b"123", 17 * b"1"])
    def test_a_new_pin_of_a_bad_size_costs_nothing(self, new: bytes) -> None:
        host = blocked(NEW)
        assert host.sw(0x46, data=prefixed(PUK, new)) == 0x9C0F
        assert host.status()[4:6] == bytes((0, 3))

    @pytest.mark.parametrize("puk", [b"123", 17 * b"1"])
    def test_a_size_no_puk_has_costs_nothing(self, puk: bytes) -> None:
        host = blocked(OLD)
        assert host.sw(0x46, data=puk) == 0x9C0F
        assert host.status()[5] == 3

    def test_a_wrong_puk_is_counted_until_nothing_helps(self) -> None:
        host = blocked(OLD)
        answers = [host.sw(0x46, data=b"87654321") for _ in range(4)]
        assert answers == [0x63C2, 0x63C1, 0x63C0, 0x9C0C]
        assert host.sw(0x46, data=PUK) == 0x9C0C
        assert host.sw(0x42, data=PIN) == 0x9C0C


def test_pins_are_created_and_listed() -> None:
    host = ready()
    assert host.call(0x48, data=b"\0\0") == (b"\0\3", 0x9000)
    assert host.sw(0x48) == 0x6700
    assert host.sw(0x40, 5, 15, prefixed(b"5555", b"6666")) == 0x9000
    assert host.call(0x48, data=b"\0\0") == (b"\0\x23", 0x9000)
    assert host.sw(0x40, 5, 15, prefixed(b"5555", b"6666")) == 0x9C10
    assert host.sw(0x40, 8, 15, prefixed(b"5555", b"6666")) == 0x9C10
    assert host.sw(0x40, 6, 0, prefixed(b"5555", b"6666")) == 0x9C0F
    assert host.sw(0x42, p1=5, data=b"5555") == 0x9000
    assert host.sw(0x42, p1=5, data=b"5556") == 0x63CE


def test_more_tries_than_a_digit_shows() -> None:
    host = ready()
    assert host.sw(0x40, 4, 40, prefixed(b"5555", b"6666")) == 0x9000
    assert host.sw(0x42, p1=4, data=b"5556") == 0x63CF


def test_logout_forgets_the_login() -> None:
    host = ready()
    assert host.sw(0x60) == 0x9000
    assert host.sw(0x6D) == 0x9C06
