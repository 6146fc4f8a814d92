"""The 69 recorded steps of a real applet (3.2), played against the emulator one by one."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cards.keycard import answers, commands
from cards.keycard.emulator import KeycardEmulator, blank
from cards.pin import Pin
from cards.signature import verify
from tests.cards.keycard_host import PIN, PUK, Host

RECORDING = Path(__file__).parents[3] / "shared" / "cards" / "transcripts.json"
DIGEST = 32 * b"\x11"
NONCE = 32 * b"\x44"
IDENTITY = 32 * b"\x07"
NEW_PIN = b"111111"
SELECT = 0xA4
INIT_BEFORE = 7
AFTER_SECOND_OPENING = 65
REFUSED_IN_CHANNEL = 66
Check = Callable[[bytes, bytes], bool]


@pytest.fixture
def steps() -> list[dict[str, Any]]:
    if not RECORDING.exists():
        pytest.skip("the recordings are not beside this checkout")
    recordings = json.loads(RECORDING.read_text())
    assert recordings["keycard_identity_priv"] == IDENTITY.hex()
    recorded: list[dict[str, Any]] = recordings["keycard_3.2"]
    return recorded


def test_the_whole_recording_is_played(steps: list[dict[str, Any]]) -> None:
    assert len(steps) == 69
    card = blank("3.2")
    host = Host(card.insert())
    for number, step in enumerate(steps):
        prepare(host, card, step, number)
        data, sw = play(host, step, number)
        assert f"{sw:04x}" == step["sw"], f"step {number}: {step['note']}"
        check(step, number, data)


def prepare(host: Host, card: KeycardEmulator, step: dict[str, Any], number: int) -> None:
    """Do what the recording leaves out: INIT, and opening the channel."""
    if number == INIT_BEFORE:
        assert host.initialise(PIN + PUK) == 0x9000
        card.flash.uid = bytes.fromhex(step["r"])[4:20]
    if step["sc"] and host.channel is None:
        host.open()
        if number == AFTER_SECOND_OPENING:
            assert host.command(commands.verify_pin(Pin(NEW_PIN)))[1] == 0x9000


def play(host: Host, step: dict[str, Any], number: int) -> tuple[bytes, int]:
    apdu = bytes.fromhex(step["c"])
    if step["sc"]:
        return host.send(apdu)
    if apdu[1] == SELECT:
        host.channel = None
    data, sw = host.plain(apdu)
    if number == REFUSED_IN_CHANNEL:
        assert host.channel is not None
        assert host.channel.unwrap(data).sw == 0x6A86
    return data, sw


def check(step: dict[str, Any], number: int, data: bytes) -> None:
    recorded = bytes.fromhex(step["r"])
    if number in RANDOM:
        assert data != recorded, f"step {number} is random"
        assert RANDOM[number](recorded, data), f"step {number}: {step['note']}"
    else:
        assert data == recorded, f"step {number}: {step['note']}"


def selected(recorded: bytes, data: bytes) -> bool:
    """All but the card's channel key is the recorded one."""
    key = answers.parse_select(recorded).point
    return data == recorded.replace(key, answers.parse_select(data).point)


def identified(recorded: bytes, data: bytes) -> bool:
    proof, expected = answers.parse_proof(data), answers.parse_proof(recorded)
    key = answers.parse_certificate(proof.certificate).key
    return proof.certificate == expected.certificate and verify(key, NONCE, proof.signature)


def signed(recorded: bytes, data: bytes) -> bool:
    found, expected = answers.parse_signature(data), answers.parse_signature(recorded)
    return found.public_key == expected.public_key and verify(
        found.public_key, DIGEST, found.signature
    )


def same_size(recorded: bytes, data: bytes) -> bool:
    return len(data) == len(recorded)


def words(recorded: bytes, data: bytes) -> bool:
    """Twelve word numbers whose last four bits are the checksum."""
    bits = 0
    for at in range(0, len(data), 2):
        bits = bits << 11 | int.from_bytes(data[at : at + 2])
    checksum = hashlib.sha256((bits >> 4).to_bytes(16)).digest()[0] >> 4
    return len(data) == len(recorded) and bits & 0xF == checksum


RANDOM: dict[int, Check] = {
    4: selected,
    5: identified,
    7: selected,
    8: identified,
    13: same_size,
    20: words,
    42: signed,
    44: signed,
    46: signed,
    51: signed,
    64: selected,
    66: same_size,
    68: selected,
}
"""The steps whose data is random, and how its shape is checked; all others are compared whole."""
