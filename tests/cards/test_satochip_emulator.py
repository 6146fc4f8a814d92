"""The emulated Satochip: the order of refusals, power, selection, setup and reset."""

import hashlib

import pytest
from cryptography import x509

from cards.errors import CardError, CardRemoved, NotSupported
from cards.satochip.emulator import PROFILES, emulate, revive, uncertified
from tests.cards.satochip_host import (
    MIDDLE,
    NEW,
    OLD,
    PIN,
    PLAIN,
    PUK,
    SEED,
    SELECT,
    SETUP,
    STATUS,
    Host,
    card_of,
    fields,
    host_of,
    ready,
    signs,
)

GET_STATUS_SIZES = {OLD: 12, MIDDLE: 12, PLAIN: 16, NEW: 16}
FOREIGN_SELECT = bytes.fromhex("00a4040006f0636f696e61")


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    version: str = request.param
    return version


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(NotSupported, match=r"0\.13-0\.1"):
        emulate("0.13-0.1")


def test_status_before_setup(profile: str) -> None:
    status = Host(emulate(profile).insert()).status()
    major, minor = profile.replace("-", ".").split(".")[0:2]
    assert status[:2] == bytes((int(major), int(minor)))
    assert status[4:12] == bytes.fromhex("0000000000000001")
    assert len(status) == GET_STATUS_SIZES[profile]


@pytest.mark.parametrize(("apdu", "sw"), [("b03c010000", 0x9C10), ("b03c000100", 0x9C11)])
def test_status_takes_no_parameters(apdu: str, sw: int) -> None:
    assert Host(emulate(NEW).insert()).plain(bytes.fromhex(apdu)) == (b"", sw)


def test_class_comes_before_instruction() -> None:
    host = Host(emulate(NEW).insert())
    assert host.plain(bytes.fromhex("a0ee000000"))[1] == 0x6E00
    assert host.plain(bytes.fromhex("b0ee000000"))[1] == 0x9C20


def test_the_channel_comes_before_setup_and_setup_before_the_pin() -> None:
    host = host_of(emulate(NEW))
    assert host.plain(bytes.fromhex("b06d000000"))[1] == 0x9C20
    assert host.sw(0x6D) == 0x9C04
    assert host.sw(0xEE) == 0x9C04
    host.send(SETUP)
    assert host.sw(0xEE) == 0x6D00
    assert host.sw(0x6D) == 0x9C06
    host.sw(0x42, data=PIN)
    assert host.sw(0x6D) == 0x9C14
    assert host.send(SETUP)[1] == 0x9C07


@pytest.mark.parametrize("ins", [0x32, 0x35, 0x3D, 0x48, 0x6C, 0x6D, 0x7A, 0x93, 0x9A, 0xAD])
def test_what_matters_needs_the_pin(ins: int) -> None:
    host = host_of(emulate(NEW))
    host.send(SETUP)
    assert host.sw(ins) == 0x9C06


@pytest.mark.parametrize("apdu", ["b0810000", "b082000005", "b08200000501", "b0"])
def test_lengths_that_do_not_add_up(apdu: str) -> None:
    host = host_of(emulate(NEW))
    assert host.plain(bytes.fromhex(apdu))[1] == 0x6700


def test_a_point_off_the_curve_opens_no_channel() -> None:
    host = Host(emulate(NEW).insert())
    assert host.plain(bytes.fromhex("b081000041") + b"\4" + 64 * b"\1")[1] == 0x9C0F


def test_the_handshake_is_signed_by_the_ephemeral_key_and_by_the_authentikey() -> None:
    host = ready()
    handshake = host.open()
    ephemeral, by_itself, by_authentikey = [handshake[2:34], *fields(handshake, head=34)]
    authentikey = fields(host.call(0xAD)[0])[0]
    assert signs(ephemeral, by_itself, handshake[:34])
    assert signs(authentikey, by_authentikey, handshake[: 36 + len(by_itself)])


def test_a_new_handshake_keeps_the_login() -> None:
    host = ready()
    host.open()
    assert host.sw(0x6D) == 0x9000


def test_selecting_logs_out_and_closes_the_channel() -> None:
    host = ready()
    host.select()
    assert host.plain(host.frame(bytes.fromhex("b06d000000")))[1] == 0x9C21
    host.open()
    assert host.sw(0x6D) == 0x9C06


class TestFrames:
    """The order of checks on a frame: state, size, code, counter."""

    @pytest.fixture
    def host(self) -> Host:
        return ready()

    def test_below_eighteen_bytes(self, host: Host) -> None:
        assert host.plain(bytes.fromhex("b082000011") + bytes(17))[1] == 0x6700

    def test_before_the_handshake_even_the_size_does_not_matter(self, host: Host) -> None:
        host.select()
        assert host.plain(bytes.fromhex("b082000001") + bytes(1))[1] == 0x9C21

    def test_inconsistent_sizes(self, host: Host) -> None:
        frame = bytearray(host.frame(STATUS))
        frame[22] = 0x40
        assert host.plain(bytes(frame))[1] == 0x6700

    def test_the_code_has_twenty_bytes(self, host: Host) -> None:
        frame = bytearray(host.frame(STATUS))
        frame[-21] = 0x13
        assert host.plain(bytes(frame))[1] == 0x9C23

    @pytest.mark.parametrize("at", [5, 16, 23, -1])
    def test_a_flipped_bit_anywhere(self, host: Host, at: int) -> None:
        frame = bytearray(host.frame(STATUS))
        frame[at] ^= 1
        assert host.plain(bytes(frame))[1] == 0x9C23

    def test_an_even_counter(self, host: Host) -> None:
        assert host.plain(host.frame(STATUS, counter=0x100))[1] == 0x9C22

    def test_a_counter_that_does_not_grow(self, host: Host) -> None:
        assert host.plain(host.frame(STATUS, counter=0x101))[1] == 0x9000
        assert host.plain(host.frame(STATUS, counter=0x101))[1] == 0x9C22
        assert host.plain(host.frame(STATUS, counter=0x0FF))[1] == 0x9C22
        assert host.plain(host.frame(STATUS, counter=0x103))[1] == 0x9000

    def test_a_refused_frame_does_not_move_the_counter(self, host: Host) -> None:
        frame = bytearray(host.frame(STATUS, counter=0x1001))
        frame[-1] ^= 1
        assert host.plain(bytes(frame))[1] == 0x9C23
        assert host.plain(host.frame(STATUS, counter=0x101))[1] == 0x9000

    def test_a_ciphertext_of_no_whole_blocks(self, host: Host) -> None:
        iv = bytes(15) + b"\x65"
        for ciphertext in (b"", 15 * b"\0"):
            iv = iv[:-1] + bytes((iv[-1] + 2,))
            mac = host.keys.mac(iv, ciphertext)
            data = iv + len(ciphertext).to_bytes(2) + ciphertext + b"\0\x14" + mac
            assert host.plain(bytes((0xB0, 0x82, 0, 0, len(data))) + data)[1] == 0x9CFF

    def test_a_command_of_four_bytes(self, host: Host) -> None:
        """The padding that stands where the length should be is ignored."""
        assert host.send(bytes.fromhex("b0930001"))[1] == 0x9000

    def test_a_command_that_brings_less_than_it_announces(self, host: Host) -> None:
        assert host.send(bytes.fromhex("b042000020") + PIN)[1] == 0x6700

    def test_status_inside_is_answered_in_clear(self, host: Host) -> None:
        data, _sw = host.plain(host.frame(STATUS))
        assert data == host.status()


def test_before_selection_only_the_card_manager_answers() -> None:
    card = emulate(NEW)
    reader = card.insert()
    answers = [
        reader.transmit(bytes.fromhex(apdu)) for apdu in ("80ca9f7f", "80ca0042", "80ca0045")
    ]
    assert all(answer.endswith(b"\x90\x00") for answer in answers)
    assert reader.transmit(STATUS) == b"\x6d\x00"
    assert reader.transmit(bytes.fromhex("80ca0099")) == b"\x6d\x00"
    assert reader.transmit(FOREIGN_SELECT) == b"\x6a\x82"
    reader.transmit(SELECT)
    assert reader.transmit(bytes.fromhex("80ca9f7f")) == b"\x6e\x00"
    assert reader.transmit(bytes.fromhex("00a4040000")) == b"\x90\x00"
    assert reader.transmit(bytes.fromhex("80ca9f7f")) == answers[0]


@pytest.mark.parametrize("aid", ["5361746f43686970", "5361746f4368697000", "5361746f43"])
def test_the_applet_is_selected_by_the_beginning_of_its_name(aid: str) -> None:
    reader = emulate(NEW).insert()
    name = bytes.fromhex(aid)
    assert reader.transmit(bytes.fromhex("00a40400") + bytes((len(name),)) + name) == b"\x90\x00"
    assert reader.transmit(STATUS)[-2:] == b"\x90\x00"


@pytest.mark.parametrize(("version", "sw"), [(OLD, 0x6A82), (MIDDLE, 0x9000), (NEW, 0x6A82)])
def test_selecting_something_else_reaches_the_selected_applet(version: str, sw: int) -> None:
    host = Host(emulate(version).insert())
    assert host.plain(FOREIGN_SELECT) == (b"", sw)
    assert len(host.status()) >= 12


def test_power_takes_channel_and_login_but_no_tries() -> None:
    host = ready()
    assert host.sw(0x42, data=b"000000") == 0x63C4
    host.reader.power_cycle()
    assert host.plain(STATUS)[1] == 0x6D00
    host.select()
    assert host.plain(host.frame(STATUS))[1] == 0x9C21
    host.open()
    assert host.status()[4] == 4
    assert host.sw(0x6D) == 0x9C06


def test_a_card_lies_on_one_reader_at_a_time() -> None:
    card = emulate(NEW)
    first = card.insert()
    second = card.insert()
    with pytest.raises(CardRemoved):
        first.transmit(SELECT)
    assert second.transmit(SELECT) == b"\x90\x00"
    second.close()
    second.close()
    with pytest.raises(CardRemoved):
        second.power_cycle()


def test_a_revived_card_is_the_same(profile: str) -> None:
    host = ready(profile)
    before = card_of(host)
    after = revive(before.state())
    again = host_of(after)
    assert again.status() == host.status()
    again.sw(0x42, data=PIN)
    host.sw(0x42, data=PIN)
    assert again.call(0x6D)[0][:66] == host.call(0x6D)[0][:66]
    assert fields(again.call(0xAD)[0])[0] == fields(host.call(0xAD)[0])[0]
    assert after.state() == before.state()


@pytest.mark.parametrize("state", [b"", b"\xa0", b"not CBOR at all", b"\xa1\x61\x61\x01", b"\x80"])
def test_what_is_no_state_is_refused(state: bytes) -> None:
    with pytest.raises(CardError, match="not the state"):
        revive(state)


def test_the_card_shows_no_secret() -> None:
    host = ready()
    card = card_of(host)
    shown = f"{card.flash!r} {card._card!r}"
    for secret in (PIN, PUK, SEED, card.flash.authentikey, card.flash.master):
        assert repr(secret)[2:-1] not in shown


class TestReset:
    """Factory reset: five signals up to 0.15, one command since 0.16."""

    SIGNAL = bytes.fromhex("b0ff000000")

    def signal(self, host: Host) -> int:
        host.reader.power_cycle()
        host.select()
        return host.plain(self.SIGNAL)[1]

    @pytest.mark.parametrize("version", [OLD, MIDDLE])
    def test_five_signals_erase_what_is_the_owners(self, version: str) -> None:
        host = ready(version)
        card = card_of(host)
        authentikey, certificate = card.flash.authentikey, card.flash.certificate
        host.call(0x3D, data=b"\x05label")
        host.call(0x79, data=bytes(28))
        host.call(0x32, 1, 0, bytes.fromhex("000c0100") + bytes(6) + b"\0\x20" + 32 * b"\1")
        signals = [self.signal(host) for _ in range(5)]
        assert signals == [0xFF04, 0xFF03, 0xFF02, 0xFF01, 0xFF00]
        assert host.status()[4:12] == bytes.fromhex("0000000000000001")
        assert (card.flash.label, card.flash.slots, card.flash.cache) == (b"", {}, {})
        assert (card.flash.authentikey, card.flash.certificate) == (authentikey, certificate)
        host.open()
        assert host.send(SETUP)[1] == 0x9000

    def test_any_other_command_begins_the_count_again(self) -> None:
        host = ready(OLD)
        assert self.signal(host) == 0xFF04
        assert self.signal(host) == 0xFF03
        host.reader.power_cycle()
        host.select()
        host.status()
        assert self.signal(host) == 0xFF04

    def test_a_wrong_class_or_a_selection_is_no_command(self) -> None:
        host = ready(OLD)
        assert self.signal(host) == 0xFF04
        host.reader.power_cycle()
        host.select()
        host.select()
        host.plain(bytes.fromhex("a0ee000000"))
        assert host.plain(self.SIGNAL)[1] == 0xFF03

    def test_a_second_signal_in_one_power_cycle_begins_the_count_again(self) -> None:
        host = ready(OLD)
        assert self.signal(host) == 0xFF04
        assert host.plain(self.SIGNAL)[1] == 0xFFFF
        assert self.signal(host) == 0xFF04

    def test_a_signal_after_another_command_is_refused(self) -> None:
        host = ready(OLD)
        assert host.plain(self.SIGNAL)[1] == 0xFFFF

    def test_the_count_survives_the_power(self) -> None:
        host = ready(OLD)
        assert self.signal(host) == 0xFF04
        revived = Host(revive(card_of(host).state()).insert())
        assert revived.plain(self.SIGNAL)[1] == 0xFF03

    def test_the_newest_card_takes_no_signals(self) -> None:
        assert self.signal(ready(NEW)) == 0x9C20

    def test_one_command_resets_the_newest(self) -> None:
        host = ready(NEW)
        assert host.sw(0xFD, 0xAA, 0x54) == 0x9C11
        assert host.sw(0xFD, 0xAB, 0x55) == 0x9C10
        assert host.sw(0xFD, 0xAA, 0x55) == 0x9000
        assert host.status()[10] == 0
        assert host.sw(0x6D) == 0x9C04

    @pytest.mark.parametrize("version", [OLD, MIDDLE])
    def test_older_cards_do_not_know_it(self, version: str) -> None:
        assert ready(version).sw(0xFD, 0xAA, 0x55) == 0x6D00

    def test_pin_one_and_the_limits_of_the_puks_outlive_it(self) -> None:
        host = ready(NEW)
        host.sw(0xFD, 0xAA, 0x55)
        other = bytearray(SETUP)
        at = other.index(b"Muscle00") + len(b"Muscle00")
        other[at : at + 2] = bytes((7, 9))
        assert host.send(bytes(other))[1] == 0x9000
        assert host.status()[4:8] == bytes((7, 3, 1, 1))

    def test_the_factory_pin_has_as_many_tries_as_the_one_it_replaces(self) -> None:
        host = ready(NEW)
        host.sw(0xFD, 0xAA, 0x55)
        wrong = SETUP.replace(b"Muscle00", b"muscle00", 1)
        assert [host.send(wrong)[1] for _ in range(2)] == [0x63C4, 0x63C3]

    def test_a_blocked_pin_is_free_again(self) -> None:
        host = ready(OLD)
        for _ in range(5):
            host.sw(0x42, data=b"000000")
        assert [self.signal(host) for _ in range(5)][-1] == 0xFF00
        host.open()
        assert host.send(SETUP)[1] == 0x9000
        assert host.sw(0x42, data=PIN) == 0x9000

    def test_other_pins_and_the_size_of_the_cache_outlive_it(self) -> None:
        host = ready(NEW)
        host.sw(0x40, 5, 9, b"\x045555\x046666")
        host.sw(0xFD, 0xAA, 0x55)
        smaller = bytearray(SETUP)
        assert smaller[-7:-5] == b"\0\x20"
        smaller[-6] = 3
        assert host.send(bytes(smaller))[1] == 0x9000
        host.sw(0x42, data=PIN)
        assert host.call(0x48, data=b"\0\0")[0] == b"\0\x23"
        assert host.sw(0x42, 5, 0, b"5555") == 0x9000
        assert host.call(0x74)[0] == b"\0\x20\0\0"


def test_a_card_is_certified_for_its_serial_numbers(profile: str) -> None:
    card = emulate(profile)
    certificate = x509.load_der_x509_certificate(card.flash.certificate)
    (name,) = certificate.subject
    reader = card.insert()
    answers = [reader.transmit(bytes.fromhex(a))[:-2] for a in ("80ca9f7f", "80ca0042", "80ca0045")]
    digest = hashlib.sha1(b"".join(answers), usedforsecurity=False).hexdigest()
    assert name.value == digest.upper()
    assert card.flash.personalised
    assert uncertified(profile).flash.certificate == b""
