"""The emulated Keycard's keys, counters, slots and factory, in every profile."""

import pytest

from cards.apdu import Command
from cards.errors import CardError
from cards.keycard import channel, commands
from cards.keycard.emulator import blank, certificate, emulate
from cards.keycard.emulator_memory import SLOTS
from cards.pin import Pin, Secret
from tests.cards.keycard_host import PIN, PUK, Host, steps

PROFILES = ("3.1", "3.2", "4.0")
PAIRED = ("3.1", "3.2")
WRONG, NEW = Pin(b"000000"), Pin(b"111111")
DEEPEST = "m" + "/0'" * 10
SECRET_PATH = "m/43'/60'/1581'/0'/0"
RESET = bytes.fromhex("80fdaa5500")


def ready(profile: str) -> Host:
    host = Host(emulate(profile).insert())
    host.ready()
    host.load()
    return host


def export(host: Host, path: str, what: int) -> tuple[bytes, int]:
    return host.command(Command(0x80, 0xC2, 1, what, data=steps(path)))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_masters_chain_code_is_the_last_derivations_before_4(profile: str) -> None:
    host = ready(profile)
    for path in ("m/44'/0'", "m/7"):
        told, _ = export(host, path, 2)
        data, sw = export(host, "m", 2)
        if profile == "4.0":
            assert (data, sw) == (b"", 0x6985)
        else:
            assert (sw, data[-34:]) == (0x9000, told[-34:])


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("path", "what", "expected"),
    [
        (DEEPEST, 2, 0x9000),
        (DEEPEST + "/0", 2, 0x6A80),
        ("m/0", 3, 0x6A86),
        ("m/0", 0, 0x6985),
        (SECRET_PATH, 0, 0x9000),
        (SECRET_PATH[:-2], 0, 0x6985),
        (SECRET_PATH, 1, 0x9000),
        (SECRET_PATH, 2, 0x6985),
    ],
)
def test_what_is_exported(profile: str, path: str, what: int, expected: int) -> None:
    assert export(ready(profile), path, what)[1] == expected


@pytest.mark.parametrize("profile", PROFILES)
def test_without_a_pin_or_a_key_there_is_nothing(profile: str) -> None:
    host = Host(emulate(profile).insert())
    host.ready()
    asked = [commands.export_public((0,)), commands.sign((0,), bytes(32))]
    assert [host.command(each)[1] for each in asked] == [0x6985, 0x6985]
    host.load()
    host.open()
    locked = [*asked, commands.load_seed(Secret(bytes(64))), commands.REMOVE_KEY]
    assert [host.command(each)[1] for each in locked] == [0x6985] * 4
    assert host.command(commands.STATUS)[0][-1:] == b"\xff"


@pytest.mark.parametrize("profile", PROFILES)
def test_three_wrong_pins_block_and_the_puk_frees(profile: str) -> None:
    host = ready(profile)
    free = commands.unblock_pin(Secret(PUK), NEW)
    assert host.command(free)[1] == 0x6985
    assert host.command(Command(0x80, 0x20, data=b"12345a"))[1] == 0x6A80
    wrong = commands.verify_pin(WRONG)
    assert [host.command(wrong)[1] for _ in range(4)] == [0x63C2, 0x63C1, 0x63C0, 0x63C0]
    assert host.command(commands.verify_pin(Pin(PIN)))[1] == 0x63C0
    assert host.command(commands.unblock_pin(Secret(bytes(b"0" * 12)), NEW))[1] == 0x63C4
    assert host.command(free)[1] == 0x9000
    assert host.command(commands.sign((0,), bytes(32)))[1] == 0x9000
    assert host.command(commands.STATUS)[0][2:8] == bytes.fromhex("020103020105")
    host.open()
    assert host.command(commands.verify_pin(NEW))[1] == 0x9000


@pytest.mark.parametrize("profile", PROFILES)
def test_after_five_wrong_puks_only_a_factory_reset_helps(profile: str) -> None:
    host = ready(profile)
    for _ in range(3):
        host.command(commands.verify_pin(WRONG))
    wrong = commands.unblock_pin(Secret(bytes(b"0" * 12)), NEW)
    assert [host.command(wrong)[1] for _ in range(5)] == [0x63C4, 0x63C3, 0x63C2, 0x63C1, 0x63C0]
    assert host.command(commands.unblock_pin(Secret(PUK), NEW))[1] == 0x63C0
    host.select()
    assert host.plain(bytes.fromhex("80fd5aa500"))[1] == 0x6A86
    assert host.plain(RESET)[1] == 0x9000
    host.paired = None
    host.ready()
    assert host.command(commands.STATUS)[0][-1:] == b"\0"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_factory_reset_leaves_the_identity(profile: str) -> None:
    card = emulate(profile)
    host = Host(card.insert())
    host.ready()
    before = card.flash.certificate
    host.select()
    assert host.plain(RESET) == (b"", 0x9000)
    assert (card.flash.certificate, card.flash.initialised) == (before, False)
    assert (card.flash.pairings, card.flash.key) == ({}, b"")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_factory_certifies_a_card_once(profile: str) -> None:
    host = Host(blank(profile).insert())
    ident = bytes.fromhex("00a4040008a000000804000104")
    assert host.plain(ident) == (b"", 0x9000)
    identity = bytes(31) + b"\7"
    load = bytes.fromhex("80e2000082") + certificate(identity) + identity
    assert [host.plain(load)[1] for _ in range(2)] == [0x9000, 0x6985]
    assert host.plain(ident) == (certificate(identity), 0x9000)
    host.ready()


@pytest.mark.parametrize("profile", PAIRED)
def test_slots_are_counted_taken_and_freed(profile: str) -> None:
    card = emulate(profile)
    host = Host(card.insert())
    host.ready()
    for _ in range(SLOTS[profile] - 1):
        host.select()
        channel.pair(host.reader, channel.default_secret())
    host.select()
    assert len(card.flash.pairings) == SLOTS[profile] == {"3.1": 5, "3.2": 10}[profile]
    if profile == "3.1":
        with pytest.raises(CardError, match="slot"):
            channel.pair(host.reader, channel.default_secret())
    host.open()
    assert host.command(commands.unpair(1))[1] == 0x6985
    host.command(commands.verify_pin(Pin(PIN)))
    assert host.command(commands.unpair(1))[1] == 0x9000
    assert 1 not in card.flash.pairings
    assert host.command(commands.unpair(SLOTS[profile]))[1] == 0x6A86


@pytest.mark.parametrize("profile", PAIRED)
def test_pairings_and_channels_are_begun_in_order(profile: str) -> None:
    host = Host(emulate(profile).insert())
    host.ready()
    point = host.select().point
    last = commands.pair_last(bytes(32)).encode()
    assert host.plain(last)[1] == 0x6A86
    assert host.plain(commands.pair_first(bytes(32)).encode())[1] == 0x9000
    assert host.plain(last)[1] == 0x6982
    assert host.plain(last)[1] == 0x6A86
    assert host.plain(commands.mutually_authenticate(bytes(32)).encode())[1] == 0x6985
    assert host.plain(commands.open_paired(4, point).encode())[1] == 0x6A86
    assert host.plain(commands.open_paired(0, b"\4" + bytes(64)).encode())[1] == 0x6A80
    assert host.plain(commands.open_paired(0, point[:64]).encode())[1] == 0x6A80


@pytest.mark.parametrize("profile", PROFILES)
def test_the_current_path_is_told_before_4(profile: str) -> None:
    host = ready(profile)
    path = steps("m/44'/7")
    kept = Command(0x80, 0xC2, 2, 1, data=path)
    current = Command(0x80, 0xF2, 1)
    if profile == "4.0":
        assert [host.command(each)[1] for each in (kept, current)] == [0x6A86, 0x6A86]
        return
    assert host.command(kept)[1] == 0x9000
    assert host.command(current) == (path, 0x9000)
    assert host.command(Command(0x80, 0xF2, 2))[1] == 0x6A86
