"""The secure channel's keys and cipher against published figures."""

import pytest

from cards.satochip.wire import ChannelKeys
from tests.cards.satochip_host import vectors


def figures(name: str) -> dict[str, bytes]:
    known = vectors(name).items()
    return {key: bytes.fromhex(value) for key, value in known if key not in {"kind", "source"}}


def test_keys_frame_and_answer_are_the_computed_ones() -> None:
    known = figures("secure_channel_kat")
    keys = ChannelKeys.derive(known["shared_x"])
    assert (keys.cipher_key, keys.mac_key) == (known["sc_key"], known["mac_key"])
    ciphertext = keys.encrypt(known["iv"], known["inner_apdu"])
    assert ciphertext == known["ciphertext"]
    assert keys.mac(known["iv"], ciphertext) == known["mac"]
    response = keys.encrypt(known["response_iv"], known["response_plain"])
    assert known["response_body"] == known["response_iv"] + len(response).to_bytes(2) + response
    assert keys.decrypt(known["response_iv"], response).startswith(known["response_plain"])


def test_the_cipher_is_the_published_one() -> None:
    known = figures("aes_cbc_pkcs7")
    ciphertext = ChannelKeys(known["key"], b"").encrypt(known["iv"], known["plaintext"])
    assert ciphertext == known["ciphertext"]


@pytest.mark.parametrize("size", [0, 15, 16, 17])
def test_padding_is_always_there_and_stays(size: int) -> None:
    keys = ChannelKeys(bytes(16), bytes(20))
    padded = keys.decrypt(bytes(16), keys.encrypt(bytes(16), size * b"m"))
    missing = 16 - size % 16
    assert padded == size * b"m" + missing * bytes((missing,))


def test_keys_are_not_shown() -> None:
    assert repr(ChannelKeys(b"0123456789abcdef", b"x")) == "ChannelKeys()"
