"""The host's end of a Satochip's secure channel."""

import pytest
from coincurve import PrivateKey

from cards.errors import SecureChannelError
from cards.satochip.channel import HostChannel, agree
from cards.satochip.wire import ChannelKeys
from tests.cards.satochip_host import vectors

KEYS = ChannelKeys.derive(b"\x01" * 32)


def answer(keys: ChannelKeys, data: bytes, counter: int) -> bytes:
    iv = b"\xaa" * 12 + counter.to_bytes(4)
    ciphertext = keys.encrypt(iv, data)
    return iv + len(ciphertext).to_bytes(2) + ciphertext


def test_a_command_is_framed_as_the_vendors_client_frames_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = vectors("secure_channel_kat")
    iv = bytes.fromhex(known["iv"])
    keys = ChannelKeys.derive(bytes.fromhex(known["shared_x"]))
    monkeypatch.setattr("cards.satochip.channel.secrets.token_bytes", lambda size: iv[:size])
    channel = HostChannel(keys)
    frame = channel.wrap(bytes.fromhex(known["inner_apdu"]))
    assert frame == bytes.fromhex(known["outer_apdu"])[5:]
    body = bytes.fromhex(known["response_body"])
    assert channel.unwrap(body) == bytes.fromhex(known["response_plain"])


def test_both_ends_agree_whichever_half_the_cards_key_is_in() -> None:
    golden = vectors("ec_golden")
    host = PrivateKey.from_hex(golden["priv_a"])
    known = vectors("secure_channel_kat")
    body, plain = (bytes.fromhex(known[name]) for name in ("response_body", "response_plain"))
    for half in (b"\2", b"\3"):
        ephemeral = half + bytes.fromhex(golden["pub_b_uncompressed"])[1:33]
        channel = agree(host, ephemeral)
        channel.wrap(b"first")
        assert channel.unwrap(body) == plain


def test_every_command_counts_two_and_has_its_own_iv() -> None:
    channel = HostChannel(KEYS)
    frames = [channel.wrap(b"same") for _ in range(3)]
    assert [int.from_bytes(frame[12:16]) for frame in frames] == [1, 3, 5]
    assert len({frame[:12] for frame in frames}) == 3


def test_only_the_answer_to_the_last_command_is_opened() -> None:
    channel = HostChannel(KEYS)
    channel.wrap(b"one")
    channel.wrap(b"two")
    assert channel.unwrap(answer(KEYS, b"yes", 4)) == b"yes"
    for counter in (2, 3, 5, 6):
        with pytest.raises(SecureChannelError, match=f"answer 4, found {counter}"):
            channel.unwrap(answer(KEYS, b"yes", counter))


def test_what_is_no_frame_is_refused() -> None:
    channel = HostChannel(KEYS)
    channel.wrap(b"one")
    good = answer(KEYS, b"yes", 2)
    for bad in (b"", good[:18], good[:-1], good + b"\0", good + bytes(16)):
        with pytest.raises(SecureChannelError):
            channel.unwrap(bad)
    other = answer(ChannelKeys.derive(b"\x02" * 32), b"yes", 2)
    with pytest.raises(SecureChannelError, match="padding"):
        channel.unwrap(other)


def test_a_frame_has_room_for_207_bytes() -> None:
    channel = HostChannel(KEYS)
    assert len(channel.wrap(bytes(207))) <= 255
    with pytest.raises(ValueError, match="not 208"):
        channel.wrap(bytes(208))
