"""Letters that one key opens, and the lock on that key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import PassphraseIncorrect, SealBroken
from storage.letters import Cost, Locked, Opener, letter, unlocked
from tests.storage.sealed import CHEAP


@given(st.dictionaries(st.text(), st.none() | st.text() | st.binary()), st.text())
def test_every_letter_is_read_by_its_opener_alone(
    content: dict[str, str | bytes | None], row: str
) -> None:
    opener = Opener()
    written = letter(opener.sealing_key, row, content)
    assert opener.read(written, row) == content
    assert letter(opener.sealing_key, row, content) != written
    assert (len(written) - 1 - 32 - 16) % 64 == 0
    for reader, name in ((Opener(), row), (opener, row + "x")):
        with pytest.raises(SealBroken):
            reader.read(written, name)


# HMAC fills a short key up with zeros and hashes a long one: scrypt cannot tell those apart.
PASSPHRASES = st.binary(max_size=63).filter(lambda typed: not typed.endswith(b"\0"))


@given(PASSPHRASES, PASSPHRASES)
def test_a_passphrase_opens_its_own_lock(passphrase: bytes, other: bytes) -> None:
    opener = Opener()
    locked = opener.locked(passphrase, CHEAP)
    assert unlocked(locked, opener.sealing_key, passphrase).tag("a") == opener.tag("a")
    assert locked != opener.locked(passphrase, CHEAP)
    wrong = passphrase + b"x" if other == passphrase else other
    with pytest.raises(PassphraseIncorrect):
        unlocked(locked, opener.sealing_key, wrong)
    with pytest.raises(PassphraseIncorrect):
        unlocked(locked, Opener().sealing_key, passphrase)


@pytest.mark.parametrize("content", [7, "name", ["name"], None, {"name": 7}, {7: "name"}])
def test_a_letter_that_says_something_else_is_refused(content: object) -> None:
    opener = Opener()
    written = letter(opener.sealing_key, "location 1", content)
    with pytest.raises(SealBroken):
        opener.read(written, "location 1")


@pytest.mark.parametrize("written", [b"", b"\x01", bytes(33), bytes(100)])
def test_what_is_no_letter_is_refused(written: bytes) -> None:
    with pytest.raises(SealBroken):
        Opener().read(written, "location 1")


def test_regions_have_tags_only_their_opener_can_make() -> None:
    opener = Opener()
    assert opener.tag("lyon") == opener.tag("lyon") != opener.tag("Lyon")
    assert Opener().tag("lyon") != opener.tag("lyon")


@pytest.mark.parametrize("n", [0, 1, 1 << 21])
def test_a_lock_that_would_eat_the_memory_is_refused(n: int) -> None:
    with pytest.raises(SealBroken):
        unlocked(Locked(bytes(48), bytes(32), Cost(n=n)), bytes(32), b"x")


@pytest.mark.parametrize(
    "cost",
    [
        Cost(3, 8, 1),
        Cost(0, 8, 1),
        Cost(-2, 8, 1),
        Cost(1 << 40, 8, 1),
        Cost(16, 1 << 40, 1),
        Cost(16, 0, 1),
        Cost(16, -1, 1),
        Cost(16, 8, 0),
        Cost(16, 8, 1 << 40),
        Cost(1 << 20, 1 << 4, 1),
    ],
)
def test_numbers_no_computer_bears_are_refused_before_they_are_tried(cost: Cost) -> None:
    opener = Opener()
    locked = opener.locked(b"passphrase", CHEAP)._replace(cost=cost)
    with pytest.raises(SealBroken):
        unlocked(locked, opener.sealing_key, b"passphrase")


@pytest.mark.parametrize(
    "change", [{"opening_key": b""}, {"opening_key": b"x" * 48}, {"salt": b""}]
)
def test_a_lock_that_was_altered_opens_nothing(change: dict[str, bytes]) -> None:
    opener = Opener()
    locked = opener.locked(b"passphrase", CHEAP)._replace(**change)
    with pytest.raises((SealBroken, PassphraseIncorrect)):
        unlocked(locked, opener.sealing_key, b"passphrase")


@pytest.mark.parametrize(
    "content", [{"name": 1}, {1: "x"}, {"name": ["x"]}, {"name": {"a": "b"}}, {"name": True}]
)
def test_a_letter_holds_texts_alone(content: dict) -> None:
    opener = Opener()
    with pytest.raises(SealBroken):
        opener.read(letter(opener.sealing_key, "location 1", content), "location 1")


def test_a_letter_nested_without_end_is_refused() -> None:
    opener = Opener()
    content: object = "x"
    for _ in range(300):
        content = [content]
    with pytest.raises(SealBroken):
        opener.read(letter(opener.sealing_key, "location 1", {"name": content}), "location 1")
