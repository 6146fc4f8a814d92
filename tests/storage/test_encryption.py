"""Rows that one key opens, and the lock on that key."""

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from storage.encryption import Cost, Locked, OpeningKey, seal, unlocked
from storage.errors import PassphraseIncorrect, SealBroken
from tests.storage import rfc9180
from tests.storage.sealed import CHEAP

RFC_9180_A2 = {
    name: bytes.fromhex(value)
    for name, value in {
        "info": "4f6465206f6e2061204772656369616e2055726e",
        "skRm": "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
        "enc": "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
        "key": "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91",
        "base_nonce": "5c4d98150661b848853b547f",
        "aad": "436f756e742d30",
        "pt": "4265617574792069732074727574682c20747275746820626561757479",
        "ct": (
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db"
            "21993c62ce81883d2dd1b51a28"
        ),
    }.items()
}
"""RFC 9180, appendix A.2.1: this suite in base mode, the first encryption."""
SEALING_KEY = "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f"
SEALED = (
    "0279a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a5"
    "1a75368ab521b595ac3e802cdcb9ee9abd180bd8a23a1a56c756d7b0872ee3ae"
    "756369faf98a14f09b075e37c52f51d0886e71a722e508393c10a5fd65c24467"
    "af882cddc2d19fa666d93fa1101dec11aa"
)
"""Ours: the key is 00 to 1f, the ephemeral one was 40 to 5f."""
LOCKED = (
    "3e180da936d3dea4a4152c78eaa67161ca38a532a6c0bb56c67d30b3d3c2b735"
    "1c7cefaae69112825af665b2525f7ab4"
)
TAG = "1138ef36"


@given(st.dictionaries(st.text(), st.none() | st.text() | st.binary()), st.text())
def test_a_sealed_row_opens_with_its_key_and_as_its_row_alone(
    content: dict[str, str | bytes | None], row: str
) -> None:
    opening_key = OpeningKey()
    written = seal(opening_key.sealing_key, row, content)
    assert opening_key.open(written, row) == content
    assert seal(opening_key.sealing_key, row, content) != written
    assert (len(written) - 1 - 32 - 16) % 64 == 0
    for reader, name in ((OpeningKey(), row), (opening_key, row + "x")):
        with pytest.raises(SealBroken):
            reader.open(written, name)


def test_the_suite_is_the_one_rfc_9180_publishes_vectors_for() -> None:
    vector = RFC_9180_A2
    key, nonce = rfc9180.key_and_nonce(vector["skRm"], vector["enc"], vector["info"])
    assert (key, nonce) == (vector["key"], vector["base_nonce"])
    opened = ChaCha20Poly1305(key).decrypt(nonce, vector["ct"], vector["aad"])
    assert opened == vector["pt"]


@given(st.binary(min_size=32, max_size=32), st.text(), st.text(max_size=200))
def test_sealed_rows_are_hpke_as_the_rfc_says(raw: bytes, row: str, name: str) -> None:
    """Both ways against a reading of the RFC of our own, which the published vector holds."""
    opening_key = OpeningKey(raw)
    info = b"cardquorum row\x02" + row.encode()
    ended = cbor2.dumps({"name": name}, canonical=True) + b"\x80"
    padded = ended + bytes(-len(ended) % 64)
    written = seal(opening_key.sealing_key, row, {"name": name})
    assert written[:1] == b"\x02"
    assert rfc9180.opened(raw, written[1:], info) == padded
    theirs = rfc9180.sealed(opening_key.sealing_key, bytes(range(32)), padded, info)
    assert opening_key.open(b"\x02" + theirs, row) == {"name": name}


def test_a_row_sealed_by_this_version_opens_for_ever() -> None:
    opening_key = OpeningKey(bytes(range(32)))
    assert opening_key.sealing_key.hex() == SEALING_KEY
    assert opening_key.open(bytes.fromhex(SEALED), "location 3") == {
        "name": "bank-lyon",
        "region": "rhône",
        "access": None,
    }
    assert opening_key.tag("rhône") == TAG
    lock = Locked(bytes.fromhex(LOCKED), bytes(range(32, 64)), CHEAP)
    assert unlocked(lock, opening_key.sealing_key, b"correct horse battery").tag("rhône") == TAG


# HMAC fills a short key up with zeros and hashes a long one: scrypt cannot tell those apart.
PASSPHRASES = st.binary(max_size=63).filter(lambda typed: not typed.endswith(b"\0"))


@given(PASSPHRASES, PASSPHRASES)
def test_a_passphrase_opens_its_own_lock(passphrase: bytes, other: bytes) -> None:
    opening_key = OpeningKey()
    locked = opening_key.locked(passphrase, CHEAP)
    assert unlocked(locked, opening_key.sealing_key, passphrase).tag("a") == opening_key.tag("a")
    assert locked != opening_key.locked(passphrase, CHEAP)
    wrong = passphrase + b"x" if other == passphrase else other
    with pytest.raises(PassphraseIncorrect):
        unlocked(locked, opening_key.sealing_key, wrong)
    with pytest.raises(PassphraseIncorrect):
        unlocked(locked, OpeningKey().sealing_key, passphrase)


@pytest.mark.parametrize("content", [7, "name", ["name"], None, {"name": 7}, {7: "name"}])
def test_a_sealed_row_that_is_no_map_of_texts_is_refused(content: object) -> None:
    opening_key = OpeningKey()
    written = seal(opening_key.sealing_key, "location 1", content)
    with pytest.raises(SealBroken):
        opening_key.open(written, "location 1")


@pytest.mark.parametrize(
    "written", [b"", b"\x02", b"\x01" + bytes(112), b"\x02" + bytes(48), b"\x02" + bytes(112)]
)
def test_what_is_no_sealed_row_is_refused(written: bytes) -> None:
    with pytest.raises(SealBroken):
        OpeningKey().open(written, "location 1")


def test_regions_have_tags_only_their_opener_can_make() -> None:
    opening_key = OpeningKey()
    assert opening_key.tag("lyon") == opening_key.tag("lyon") != opening_key.tag("Lyon")
    assert OpeningKey().tag("lyon") != opening_key.tag("lyon")


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
    opening_key = OpeningKey()
    locked = opening_key.locked(b"passphrase", CHEAP)._replace(cost=cost)
    with pytest.raises(SealBroken):
        unlocked(locked, opening_key.sealing_key, b"passphrase")


@pytest.mark.parametrize(
    "change", [{"opening_key": b""}, {"opening_key": b"x" * 48}, {"salt": b""}]
)
def test_a_lock_that_was_altered_opens_nothing(change: dict[str, bytes]) -> None:
    opening_key = OpeningKey()
    locked = opening_key.locked(b"passphrase", CHEAP)._replace(**change)
    with pytest.raises((SealBroken, PassphraseIncorrect)):
        unlocked(locked, opening_key.sealing_key, b"passphrase")


@pytest.mark.parametrize(
    "content", [{"name": 1}, {1: "x"}, {"name": ["x"]}, {"name": {"a": "b"}}, {"name": True}]
)
def test_a_sealed_row_holds_texts_alone(content: dict) -> None:
    opening_key = OpeningKey()
    with pytest.raises(SealBroken):
        opening_key.open(seal(opening_key.sealing_key, "location 1", content), "location 1")


def test_a_sealed_row_nested_without_end_is_refused() -> None:
    opening_key = OpeningKey()
    content: object = "x"
    for _ in range(300):
        content = [content]
    with pytest.raises(SealBroken):
        opening_key.open(
            seal(opening_key.sealing_key, "location 1", {"name": content}), "location 1"
        )
