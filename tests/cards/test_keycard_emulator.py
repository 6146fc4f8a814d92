"""The emulated Keycard is as awkward as the card: what the text says, asked byte by byte."""

import hashlib
import json
from pathlib import Path

import pytest
from embit.bip32 import HDKey

from cards.apdu import Command
from cards.errors import CardError, NotSupported
from cards.keycard import channel, commands, wire
from cards.keycard.emulator import emulate, revive
from cards.pin import Pin
from tests.cards.keycard_host import DURESS, PIN, PUK, SEED, TRIES, Host

VECTORS = Path(__file__).parents[3] / "shared" / "cards" / "vectors.json"
PROFILES = ("3.1", "3.2", "4.0")
PAIRED = ("3.1", "3.2")
PATH = "m/48'/0'/0'/2'"
ALTERNATE_PUK = PIN + b"789012"


def host(profile: str) -> Host:
    return Host(emulate(profile).insert())


def own_point(path: str = PATH) -> bytes:
    key = HDKey.from_seed(SEED).derive(path).to_public().key
    key.compressed = False
    return key.sec()


def duress_point(path: str) -> bytes:
    master = HDKey.from_seed(SEED)
    other = HDKey(master.key, hashlib.sha256(master.chain_code).digest())
    key = other.derive(path).to_public().key
    key.compressed = False
    return key.sec()


@pytest.mark.parametrize(
    ("profile", "credentials", "pin", "tree"),
    [
        ("3.2", PIN + PUK, PIN, "own"),
        ("3.2", PIN + PUK, PUK[:6], "other"),
        ("3.2", PIN + ALTERNATE_PUK, PIN, "other"),
        ("3.1", PIN + ALTERNATE_PUK + TRIES, PIN, "other"),
        ("3.2", PIN + ALTERNATE_PUK + TRIES + DURESS, PIN, "own"),
        ("3.2", PIN + PUK + TRIES + DURESS, DURESS, "other"),
        ("4.0", PIN + PUK, PIN, "other"),
        ("4.0", PIN + PUK + TRIES, PIN, "other"),
        ("4.0", PIN + PUK + TRIES + DURESS, PIN, "own"),
        ("4.0", PIN + PUK + TRIES + DURESS, DURESS, "other"),
    ],
)
def test_which_pin_opens_which_tree(
    profile: str, credentials: bytes, pin: bytes, tree: str
) -> None:
    h = host(profile)
    h.ready(credentials, pin)
    h.load()
    assert h.point(PATH) == (duress_point(PATH) if tree == "other" else own_point())
    assert h.point("m") == own_point("m")


PROBED = [
    ("3.2", PIN + PUK, "own"),
    ("3.2", PIN + ALTERNATE_PUK, "other"),
    ("3.2", PIN + PUK + TRIES + DURESS, "own"),
    ("4.0", PIN + PUK, "other"),
    ("4.0", PIN + PUK + TRIES + DURESS, "own"),
]


@pytest.mark.parametrize("number", range(len(PROBED)))
def test_the_pin_opens_the_tree_it_opened_on_the_real_applets(number: int) -> None:
    if not VECTORS.exists():
        pytest.skip("the vectors are not beside this checkout")
    probe = json.loads(VECTORS.read_text())["keycard"]["altpin_probe"]
    assert bytes.fromhex(probe["seed"]) == SEED
    assert len(probe["results"]) == len(PROBED)
    profile, credentials, tree = PROBED[number]
    probed, given, found = probe["results"][number]
    assert probed == profile
    assert ("explicit alt PIN 654321" in given) == credentials.endswith(DURESS)
    assert ("ALTERNATE" in found) == (tree == "other")
    h = host(profile)
    h.ready(credentials)
    h.load()
    assert h.point(PATH) == (duress_point(PATH) if tree == "other" else own_point())


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "credentials",
    [
        b"",
        PIN + PUK[:-1],
        PIN[:-1] + b"a" + PUK,
        PIN + PUK + b"\3",
        PIN + PUK + b"\1\5",
        PIN + PUK + b"\x0b\5",
        PIN + PUK + b"\3\2",
        PIN + PUK + b"\3\x0d",
        PIN + PUK + TRIES + DURESS[:-1],
        PIN + PUK + TRIES + DURESS[:-1] + b"a",
    ],
)
def test_init_refuses_what_is_no_credentials(profile: str, credentials: bytes) -> None:
    assert host(profile).initialise(credentials) == 0x6A80


@pytest.mark.parametrize("profile", PROFILES)
def test_init_happens_once(profile: str) -> None:
    h = host(profile)
    h.ready()
    if profile == "4.0":
        assert h.command(commands.init_in_channel(PIN + PUK))[1] == 0x6D00
    else:
        h.select()
        assert h.plain(bytes.fromhex("80fe000000"))[1] == 0x6D00


@pytest.mark.parametrize("profile", PROFILES)
def test_a_wrong_pin_lowers_both_counters_and_a_right_one_restores_both(profile: str) -> None:
    card = emulate(profile)
    h = Host(card.insert())
    h.ready()
    wrong = commands.verify_pin(Pin(b"000000"))
    assert [h.command(wrong)[1] for _ in range(2)] == [0x63C2, 0x63C1]
    assert (card.flash.pin.left, card.flash.duress.left) == (1, 1)
    assert h.command(commands.verify_pin(Pin(DURESS)))[1] == 0x9000
    assert (card.flash.pin.left, card.flash.duress.left) == (3, 3)


def test_a_pairing_secret_can_be_changed_before_4() -> None:
    h = host("3.2")
    h.ready()
    change = Command(0x80, 0x21, 2, data=bytes(32))
    assert h.command(change)[1] == 0x9000
    h.select()
    assert channel.pair(h.reader, channel.default_secret()) is None
    assert channel.pair(h.reader, bytes(32)) is not None
    other = host("4.0")
    other.ready()
    assert other.command(change)[1] == 0x6A86


def test_4_carries_everything_in_its_channel() -> None:
    h = host("4.0")
    h.select()
    assert h.plain(bytes.fromhex("8018000000")) == (b"", 0x6985)
    assert h.plain(bytes.fromhex("80f2000000")) == (b"", 0x6985)
    h.open()
    data, sw = h.plain(bytes.fromhex("80f2000000"))
    assert sw == 0x9000
    assert h.channel is not None
    assert h.channel.unwrap(data).sw == 0x6985
    assert h.send(bytes.fromhex("8084100000"))[1] == 0x9000


def test_4_answers_nothing_before_init_and_means_it() -> None:
    h = host("4.0")
    h.open()
    for apdu in ("80f2000000", "80ee000000", "8020000006313233343536"):
        assert h.send(bytes.fromhex(apdu)) == (b"", 0x9000)
    data, sw = h.send(bytes.fromhex("8084200000"))
    assert (len(data), sw) == (32, 0x9000)
    assert h.command(commands.init_in_channel(PIN + PUK + TRIES + DURESS)) == (b"", 0x9000)
    assert h.command(commands.verify_pin(Pin(PIN))) == (b"", 0x9000)


def test_a_broken_tag_ends_the_channel_of_4() -> None:
    h = host("4.0")
    h.ready()
    assert h.channel is not None
    frame = bytearray(h.channel.wrap(commands.STATUS).encode())
    frame[-1] ^= 1
    assert h.plain(bytes(frame)) == (b"", 0x6982)
    assert h.plain(bytes.fromhex("80f2000000")) == (b"", 0x6985)


@pytest.mark.parametrize("profile", PAIRED)
def test_a_broken_mac_ends_the_channel_of_3(profile: str) -> None:
    h = host(profile)
    h.ready()
    assert h.channel is not None
    frame = bytearray(h.channel.wrap(commands.STATUS).encode())
    frame[5] ^= 1
    assert h.plain(bytes(frame)) == (b"", 0x6982)
    assert h.plain(bytes.fromhex("80f2000000")) == (b"", 0x6985)


@pytest.mark.parametrize(
    ("apdu", "sw"),
    [
        ("80c00000200" + "1" * 63, 0x6B00),
        ("80c00101200" + "1" * 63, 0x6A81),
        ("80c00102200" + "1" * 63, 0x6A81),
        ("80c2010200", 0x6985),
        ("80d1000000", 0x6D00),
        ("80c1000000", 0x6D00),
        ("80fe000000", 0x6D00),
        ("80c440000484fd1d48", 0x6A80),
        ("80c400000884fd1d4880000000", 0x6A80),
        ("80c440000884fd1d4800000000", 0x6A80),
        ("80c44000088000002c80000000", 0x6A80),
    ],
)
def test_what_4_refuses(apdu: str, sw: int) -> None:
    h = host("4.0")
    h.ready()
    h.load()
    assert h.send(bytes.fromhex(apdu)) == (b"", sw)


@pytest.mark.parametrize("size", [16, 32, 63])
def test_3_1_takes_seeds_of_64_bytes_only(size: int) -> None:
    h = host("3.1")
    h.ready()
    assert h.send(bytes((0x80, 0xD0, 3, 0, size)) + bytes(range(size)))[1] == 0x6A80
    other = host("3.2")
    other.ready()
    assert other.send(bytes((0x80, 0xD0, 3, 0, size)) + bytes(range(size)))[1] == 0x9000


@pytest.mark.parametrize("profile", PROFILES)
def test_a_key_without_a_chain_code_has_no_children(profile: str) -> None:
    h = host(profile)
    h.ready()
    key = Command(0x80, 0xD0, 1, data=bytes.fromhex("a1228120") + b"\7" * 32)
    assert h.command(key)[1] == 0x9000
    assert h.command(commands.sign((), bytes(32)))[1] == 0x9000
    assert h.command(commands.sign((1,), bytes(32)))[1] == 0x6985


def test_3_2_pairs_as_it_is_told() -> None:
    h = host("3.2")
    h.ready()
    h.select()
    assert h.plain(bytes.fromhex("8012000020") + bytes(32))[1] == 0x9000
    assert h.plain(bytes.fromhex("801200001f") + bytes(31))[1] == 0x6A80
    for _ in range(9):
        assert channel.pair(h.reader, channel.default_secret()) is not None
    assert h.plain(bytes.fromhex("8012000220") + bytes(32))[1] == 0x6A84
    passing = channel.pair(h.reader, channel.default_secret())
    assert passing is not None
    assert not passing.lasting
    h.select()
    assert h.plain(bytes.fromhex("8010ff0041") + wire_point())[1] == 0x6A86


def wire_point() -> bytes:
    return own_point("m")


def test_a_low_s_that_was_turned_keeps_its_zeros() -> None:
    """About one signature in 512 is not DER as the books have it."""
    h = host("4.0")
    h.ready()
    h.load()
    shapes = set()
    for number in range(400):
        data, sw = h.command(commands.sign((), hashlib.sha256(bytes((number % 256, 1))).digest()))
        assert sw == 0x9000
        shapes.add(len(data))
    assert len(shapes) > 1


def test_an_open_channel_takes_no_pairing_and_says_so_inside() -> None:
    h = host("3.2")
    h.ready()
    data, sw = h.plain(bytes.fromhex("8012000020") + bytes(32))
    assert sw == 0x9000
    assert h.channel is not None
    assert h.channel.unwrap(data).sw == 0x6985
    assert h.command(commands.STATUS)[1] == 0x9000


@pytest.mark.parametrize("state", [b"", b"\xa0", b"no card", b"\x82\x01\x02"])
def test_only_a_cards_state_is_revived(state: bytes) -> None:
    with pytest.raises(CardError, match="state"):
        revive(state)


def test_other_versions_are_not_emulated() -> None:
    with pytest.raises(NotSupported, match=r"3\.0"):
        emulate("3.0")


@pytest.mark.parametrize("aid", ["", "a0000008", "a00000080400010201", "a0000008040001010100"])
def test_other_applets_are_not_found(aid: str) -> None:
    name = bytes.fromhex(aid)
    h = host("3.2")
    assert h.plain(bytes((0, 0xA4, 4, 0, len(name))) + name) == (b"", wire.Sw.NOT_FOUND)
