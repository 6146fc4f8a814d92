"""Secrets in memory."""

import copy
import pickle

import pytest

from cards.pin import Pin, Secret


def test_a_secret_shows_dots() -> None:
    assert repr(Pin(b"123456")) == "Pin(••••)"
    assert "123456" not in f"{Secret(b'123456')} {vars(Secret(b'123456')).keys()}"


def test_a_closed_secret_is_overwritten() -> None:
    secret = Secret(b"123456")
    memory = secret._value
    with memoryview(memory), pytest.raises(BufferError):
        secret.close()
    assert bytes(memory) == bytes(6)
    secret.close()
    assert len(secret) == 0
    assert secret.reveal() == b""


def test_a_with_block_closes() -> None:
    with Pin(b"123456") as pin:
        assert pin.reveal() == b"123456"
    assert len(pin) == 0


def test_a_copy_lives_on_its_own() -> None:
    first = Pin(b"123456")
    second = first.copy()
    first.close()
    assert isinstance(second, Pin)
    assert second.reveal() == b"123456"


def test_a_secret_is_never_written_down() -> None:
    for write in (pickle.dumps, copy.deepcopy, copy.copy):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            write(Secret(b"123456"))
