"""The 75 recorded steps of a real applet (0.12-0.6), played against the emulator one by one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cards.satochip.emulator import SatochipEmulator, uncertified
from tests.cards.satochip_host import Host, fields, signs, signs_digest

RECORDING = Path(__file__).parents[3] / "shared" / "cards" / "transcripts.json"
PROFILE = "0.12-0.6"
DIGEST = 32 * b"\x11"
Check = Callable[["Played", bytes, bytes], bool]


class Played(NamedTuple):
    """The card so far: its host, its own authentikey, and the key it used last."""

    host: Host
    card: SatochipEmulator
    keys: list[bytes]


def test_the_whole_recording_is_played(steps: list[dict[str, Any]]) -> None:
    assert len(steps) == 75
    played = start()
    for number, step in enumerate(steps):
        data, sw = play(played, step, number)
        assert f"{sw:04x}" == step["sw"], f"step {number}: {step['note']}"
        check_data(played, step, number, data)


@pytest.fixture
def steps() -> list[dict[str, Any]]:
    if not RECORDING.exists():
        pytest.skip("the recordings are not beside this checkout")
    recorded: list[dict[str, Any]] = json.loads(RECORDING.read_text())[f"satochip_{PROFILE}"]
    return recorded


def start() -> Played:
    """The recorded applet had not been personalised: its certificate is empty."""
    card = uncertified(PROFILE)
    return Played(Host(card.insert()), card, [])


def play(played: Played, step: dict[str, Any], number: int) -> tuple[bytes, int]:
    """Send a step: as recorded, in our channel, or rebuilt where it was made for other keys."""
    host = played.host
    if "(card reset)" in step["note"]:
        host.reader.power_cycle()
    apdu = bytes.fromhex(step["c"])
    if number in REBUILT:
        return host.plain(REBUILT[number](host))
    if not step["sc"]:
        return host.plain(apdu)
    if number == FIRST_IN_CHANNEL:
        host.open()
    return host.send(apdu)


def check_data(played: Played, step: dict[str, Any], number: int, data: bytes) -> None:
    recorded = bytes.fromhex(step["r"])
    if number in RANDOM:
        assert data != recorded, f"step {number} is random"
        assert RANDOM[number](played, recorded, data), f"step {number}: {step['note']}"
    else:
        assert data == recorded, f"step {number}: {step['note']}"


def authentikey_block(played: Played, _recorded: bytes, data: bytes) -> bool:
    """x of the card's own authentikey, signed by itself."""
    x, signature = fields(data)
    played.keys[:1] = [x]
    return len(x) == 32 and signs(x, signature, data[:34])


def same_authentikey(played: Played, recorded: bytes, data: bytes) -> bool:
    before = played.keys[0]
    return authentikey_block(played, recorded, data) and played.keys[0] == before


def extended_key(played: Played, recorded: bytes, data: bytes) -> bool:
    """Chain code and x are the recorded ones; both signatures are new and verify."""
    x, by_itself, by_authentikey = fields(data, head=32)
    played.keys[1:] = [x]
    signed = 32 + 2 + 32
    return (
        data[:signed] == recorded[:signed]
        and signs(x, by_itself, data[:signed])
        and signs(played.keys[0], by_authentikey, data[: signed + 2 + len(by_itself)])
    )


def signature_by_last_key(played: Played, _recorded: bytes, data: bytes) -> bool:
    return signs_digest(played.keys[1], data, DIGEST)


def slot_key(played: Played, recorded: bytes, data: bytes) -> bool:
    """The slot's x is the recorded one."""
    x, signature = fields(data)
    played.keys[1:] = [x]
    return data[:34] == recorded[:34] and signs(x, signature, data[:34])


def challenge(played: Played, _recorded: bytes, data: bytes) -> bool:
    (signature,) = fields(data, head=32)
    return signs(played.keys[0], signature, b"Challenge:" + data[:32] + 32 * b"\x33")


RANDOM: dict[int, Check] = {
    17: authentikey_block,
    20: same_authentikey,
    22: extended_key,
    23: extended_key,
    26: extended_key,
    27: signature_by_last_key,
    32: slot_key,
    33: signature_by_last_key,
    38: challenge,
}
"""The steps whose data is random, and how its shape is checked; all others are compared whole."""

FIRST_IN_CHANNEL = 7
LOGOUT = bytes.fromhex("b060000000")


def bad_mac(host: Host) -> bytes:
    frame = host.frame(LOGOUT, counter=0x63)
    return frame[:-1] + bytes((frame[-1] ^ 1,))


def good(host: Host) -> bytes:
    return host.frame(LOGOUT, counter=0x65)


def replayed(host: Host) -> bytes:
    return host.last_frame


def after_select(host: Host) -> bytes:
    return host.frame(LOGOUT, counter=0x67)


REBUILT: dict[int, Callable[[Host], bytes]] = {
    58: bad_mac,
    59: good,
    60: replayed,
    62: after_select,
}
"""The steps recorded under their own session keys: the same flaw under ours."""


def test_the_flaws_are_the_recorded_ones(steps: list[dict[str, Any]]) -> None:
    """Each rebuilt step has the recorded counter, and as many bytes as the recorded one."""
    host = start().host
    host.open()
    for number, rebuild in REBUILT.items():
        recorded, ours = bytes.fromhex(steps[number]["c"]), rebuild(host)
        assert (ours[:5], ours[17:23]) == (recorded[:5], recorded[17:23])
        assert len(ours) == len(recorded)
