"""The emulated Tangem, command by command: selection, codes, delays, sessions."""

from itertools import product

import pytest

from cards.apdu import Command, Form, Response, select
from cards.tangem import FAMILY
from cards.tangem.wire import Fields, Setting, seal, tlv, unseal
from tests.cards.tangem_host import (
    CODE,
    DIGEST,
    OPEN,
    OTHER,
    PASSCODE,
    READ,
    SET_PIN,
    SIGN,
    WRONG,
    indexed,
    ready,
    setting,
)


@pytest.mark.parametrize("form", [Form.EXTENDED, Form.ISO])
@pytest.mark.parametrize("le", [None, 256])
@pytest.mark.parametrize("selected", ["selected", "not selected"])
def test_it_answers_whoever_asks(form: Form, le: int | None, selected: str) -> None:
    host = ready()
    if selected == "selected":
        assert host.raw(select(FAMILY.aid).encode()) == Response()
    command = Command(0, READ, data=tlv([(0x10, CODE), (0x23, b"\1")]), le=le)
    response = host.raw(command.encode(form))
    assert response.sw == 0x9000
    tags = [tag for tag, _ in Fields.parse(response.data).items]
    assert tags[:11] == [1, 0x20, 2, 0x80, 3, 0x0A, 0x0C, 0x30, 9, 0x66, 0x0F]
    assert {0x59, 0x5A, 0x2F, 0xD0} <= set(tags)
    for items in ([(0x10, CODE)], []):
        assert [tag for tag, _ in host.send(READ, *items)[1].items] == tags


def test_other_names_and_instructions_are_refused() -> None:
    host = ready()
    assert host.raw(select(b"D2760000").encode()).sw == 0x6A82
    for ins in (0xF4, 0xF5, 0xE7, 0xE8, 0xEF, 0xD3, 0xD5):
        assert host.ask(ins)[0] == 0x6D00
    assert host.raw(bytes.fromhex("80F20000")).sw == 0x6E00
    assert host.raw(bytes.fromhex("00F203000000")).sw == 0x6A86
    assert host.raw(bytes.fromhex("FFCA000000")).data == host.card.flash.uid


def test_an_older_card_tells_no_user_settings() -> None:
    assert ready("4.52").send(READ)[1].find(0x2F) is None


def test_a_wrong_code_is_refused_before_a_wrong_passcode() -> None:
    host = ready()
    sign = [indexed(0), (0x51, b"\x20"), (0x50, DIGEST)]
    assert host.ask(SIGN, *sign, code=WRONG, passcode=WRONG)[0] == 0x6AF1
    assert host.ask(SIGN, *sign, passcode=WRONG)[0] == 0x6AF2
    assert host.ask(READ, (0x23, b"\3"), passcode=WRONG)[0] == 0x9000


def test_six_wrong_codes_are_free_and_a_right_one_clears_them() -> None:
    host = ready()
    spent = []
    for _ in range(9):
        before = host.waited
        assert host.send(READ, (0x10, WRONG))[0] == 0x6AF1
        spent.append(host.waited - before)
    assert spent == [0] * 6 + [1, 2, 3]
    assert host.send(READ)[0] == 0x9000
    host.waited = 0
    assert host.send(READ, (0x10, WRONG))[0] == 0x6AF1
    assert host.waited == 0


def test_a_command_for_another_card_is_refused() -> None:
    host = ready()
    for items in ([], [(0x01, bytes(8))]):
        assert host.send(READ, (0x23, b"\3"), *items)[0] == 0x6A86
        assert host.send(SIGN, indexed(0), (0x51, b"\x20"), (0x50, DIGEST), *items)[0] == 0x6A86


# Delay


def test_a_pause_begins_anew_after_another_command() -> None:
    host = ready()
    names = [(0x10, CODE), (0x11, PASSCODE), (0x01, host.card.flash.card_id)]
    body = tlv([*names, indexed(0), (0x51, b"\x20"), (0x50, DIGEST)])
    apdu = Command(0, SIGN, data=body).encode(Form.EXTENDED)
    told = [Fields.parse(host.raw(apdu).data).number(0x1C) for _ in range(3)]
    assert told == [500, 400, 300]
    host.send(READ)
    assert Fields.parse(host.raw(apdu).data).number(0x1C) == 500


@pytest.mark.parametrize("mode", [1, 2])
def test_a_pause_is_told_in_clear_inside_a_session(mode: int) -> None:
    host = ready()
    key = host.session(mode)
    names = [(0x10, CODE), (0x11, PASSCODE), (0x01, host.card.flash.card_id)]
    body = tlv([*names, indexed(0), (0x51, b"\x20"), (0x50, DIGEST)])
    apdu = Command(0, SIGN, mode, data=seal(key, body)).encode(Form.EXTENDED)
    told = [host.raw(apdu) for _ in range(6)]
    assert [each.sw for each in told] == [0x9789] * 5 + [0x9000]
    assert [Fields.parse(each.data).number(0x1C) for each in told[:5]] == [500, 400, 300, 200, 100]
    assert len(Fields.parse(unseal(key, told[5].data)).need(0x61)) == 64


@pytest.mark.parametrize("smart", [True, False])
@pytest.mark.parametrize("code", [CODE, OTHER])
@pytest.mark.parametrize("passcode", [PASSCODE, OTHER])
def test_whom_the_delay_is_for(*, smart: bool, code: bytes, passcode: bytes) -> None:
    host = ready(code=code, passcode=passcode)
    if not smart:
        host.card.flash.settings &= ~Setting.SMART_DELAY
    sign = [indexed(0), (0x51, b"\x20"), (0x50, DIGEST)]
    assert host.ask(SIGN, *sign, code=code, passcode=passcode)[0] == 0x9000
    unprotected = (code, passcode) == (CODE, PASSCODE)
    assert host.waited == (5 if unprotected or not smart else 0)


# Sessions


@pytest.mark.parametrize("mode", [1, 2])
def test_a_body_of_another_key_ends_the_session(mode: int) -> None:
    host = ready()
    key = host.session(mode)
    read = tlv([(0x10, CODE)])
    good = Command(0, READ, mode, data=seal(key, read)).encode(Form.EXTENDED)
    bad = Command(0, READ, mode, data=seal(bytes(32), read)).encode(Form.EXTENDED)
    assert host.raw(good).sw == 0x9000
    assert host.raw(bad) == Response(sw=0x6A86)
    assert host.card.flash.failures == 1
    assert host.raw(good).sw == 0x6A86
    host.session(mode)
    host.raw(select(FAMILY.aid).encode())
    assert host.raw(good).sw == 0x6A86


def test_less_encryption_than_the_settings_want_is_refused() -> None:
    host = ready()
    host.card.flash.settings &= ~Setting.UNENCRYPTED
    assert host.send(READ)[0] == 0x6982
    host.session(1)
    host.card.flash.settings &= ~Setting.FAST
    assert host.raw(Command(0, OPEN, 0, 1).encode()).sw == 0x6982
    assert host.raw(Command(0, READ, 1, data=bytes(16)).encode()).sw == 0x6982
    host.session(2)


@pytest.mark.parametrize(("mode", "half"), [(1, 15), (1, 0), (2, 65), (2, 16)])
def test_half_a_secret_is_no_half_of_a_session(mode: int, half: int) -> None:
    body = tlv([(0x1A, bytes(half))])
    assert ready().raw(Command(0, OPEN, 0, mode, body).encode()).sw == 0x6A86


@pytest.mark.parametrize(("code", "passcode"), [*product([CODE, OTHER], [PASSCODE, WRONG])])
def test_the_status_word_says_which_code_changed(code: bytes, passcode: bytes) -> None:
    host = ready(delay=0)
    expected = 0x9000 + (code != CODE) + 2 * (passcode != PASSCODE)
    assert host.ask(SET_PIN, *setting(code, passcode))[0] == expected
    assert (host.card.flash.code, host.card.flash.passcode) == (code, passcode)


@pytest.mark.parametrize(
    ("without", "more", "code", "passcode"),
    [
        (Setting.SET_CODE, 0, OTHER, PASSCODE),
        (Setting.SET_PASSCODE, 0, CODE, OTHER),
        (0, Setting.NO_DEFAULT_CODE, CODE, PASSCODE),
        (0, 0, OTHER[:31], PASSCODE),
        (0, 0, OTHER, b""),
    ],
)
def test_codes_the_settings_forbid_are_not_set(
    without: int, more: int, code: bytes, passcode: bytes
) -> None:
    host = ready(delay=0)
    host.card.flash.settings = host.card.flash.settings & ~without | more
    assert host.ask(SET_PIN, *setting(code, passcode))[0] == 0x6A86
    assert (host.card.flash.code, host.card.flash.passcode) == (CODE, PASSCODE)


def test_codes_want_their_checksum() -> None:
    host = ready(delay=0)
    assert host.ask(SET_PIN, *setting(OTHER, PASSCODE)[:2])[0] == 0x6A86
    assert host.ask(SET_PIN, *setting(OTHER, PASSCODE)[:2], (0x42, bytes(32)))[0] == 0x6A86


def test_a_tag_that_is_there_twice_is_refused() -> None:
    assert ready().send(READ, (0x10, CODE), (0x23, b"\1"), (0x23, b"\1"))[0] == 0x6A86
