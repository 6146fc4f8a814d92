"""Descriptor backups of BIP 138: its published secrets, and files that lie."""

import base64
import contextlib
import itertools
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import CoordinatorError
from coordinator.interop import bip138
from psbt.transaction import sized

A = bytes.fromhex("02e6642fd69bd211f93f7f1f36ca51a26a5290eb2dd1b0d8279a87bb0d480c8443")
B = bytes.fromhex("0384526253c27c7aef56c7b71a5cd25bebb66dddda437826defc5b2568bde81f07")
C = bytes.fromhex("03c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5")
D = bytes.fromhex("02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9")
DESCRIPTOR = "wsh(sortedmulti(2,a/<0;1>/*,b/<0;1>/*))#abcdefgh"

# The published test vectors of BIP 138 0.1.1: keys, decryption secret, individual secrets by key.
SECRETS = [
    (
        [A],
        "9628546fe8fbf82fb10ff692d82953fa2db546275be9ce1b00134aff1a8bacdd",
        ["c14d5bfeb7f9709e996c6696959107d4c57d367d2aee207d5361f116e3c4708b"],
    ),
    (
        [B, A],
        "efa3c1e5a719874f5516818603cdad7ffc31c11a947c5b16b6b763ee09ea3539",
        [
            "b8c6ce74f81b0ffe7d7511824e75f95114f9b140e57bb570e5c5d807f0a5e96f",
            "b8e749fceb0dd84d20a75af4dbd6d585d89c54053f6313ac6592cbfe8c1bdd4f",
        ],
    ),
    (
        [C, A, B],
        "7f7ff0a2bbba90dbec74f423f82697e9c2311bac9dd6431882a5fdf9c4485641",
        [
            "281aff33e4b8186ac4176427b59ec3c72af96bf6ecd1ad7ed1d746103d078a17",
            "283b78bbf7aecfd999c52f51203def13e69c8eb336c90ba2518055e941b9be37",
            "f6353d50c714c43f7b86794ee21e3490af33468ef30217dd93003413e23b4c17",
        ],
    ),
]


def counting() -> Callable[[int], bytes]:
    """Return chance that is known: bytes of 1, then of 2, and so on."""
    numbers = itertools.count(1)
    return lambda size: bytes([next(numbers)]) * size


def sealed_payload(payload: bytes, *, nonce: bytes = b"\x01" * 12) -> bytes:
    """Return a backup of a payload of our own, opened by key A."""
    secret = bytes.fromhex(SECRETS[0][1])
    ciphertext = ChaCha20Poly1305(secret).encrypt(nonce, payload, None)
    entry = bytes.fromhex(SECRETS[0][2][0])
    return b"BIP138\x01\x00\x01" + entry + b"\x01" + nonce + sized(ciphertext)


def item(text: bytes) -> bytes:
    return b"\x01\x01\x7c" + sized(text)


@pytest.mark.parametrize(("keys", "secret", "individual"), SECRETS, ids=["one", "two", "three"])
def test_the_published_secrets(keys: list[bytes], secret: str, individual: list[str]) -> None:
    data = bip138.encrypt(DESCRIPTOR, [*keys, keys[0]], (), chance=counting())
    entries = {data[9 + 32 * n : 41 + 32 * n].hex() for n in range(5)}
    assert data[:9] == b"BIP138\x01\x00\x05"
    assert set(individual) <= entries
    cut = 9 + 5 * 32
    assert data[cut : cut + 1] == b"\x01"
    nonce, length = data[cut + 1 : cut + 13], data[cut + 13]
    ciphertext = data[cut + 14 :]
    assert len(ciphertext) == length
    payload = ChaCha20Poly1305(bytes.fromhex(secret)).decrypt(nonce, ciphertext, None)
    assert payload == item(DESCRIPTOR.encode())


def test_any_one_key_opens_it_and_no_other() -> None:
    data = bip138.encrypt(DESCRIPTOR, [A, B, C], (), chance=counting())
    for key in (A, B, C, A[1:]):
        assert bip138.decrypt(data, key) == [DESCRIPTOR]
        assert bip138.decrypt(base64.b64encode(data) + b"\n", key) == [DESCRIPTOR]
        assert bip138.decrypt(data + b"what follows is nobody's", key) == [DESCRIPTOR]
    with pytest.raises(CoordinatorError, match="none of the backup's 5 entries opens"):
        bip138.decrypt(data, D)


def test_neither_the_number_of_keys_nor_the_order_shows() -> None:
    two, three = (
        bip138.encrypt(DESCRIPTOR, keys, (), chance=counting()) for keys in ([A, B], [A, B, C])
    )
    assert len(two) == len(three)
    entries = [three[9 + 32 * n : 41 + 32 * n] for n in range(5)]
    assert entries == sorted(entries)
    six = bip138.encrypt(DESCRIPTOR, [bytes([n]) * 32 for n in range(1, 7)], (), chance=counting())
    assert six[8] == 10
    crowd = [n.to_bytes(32, "big") for n in range(1, 257)]
    assert (
        bip138.encrypt(DESCRIPTOR, crowd[:200], (), chance=lambda size: bytes([7]) * size)[8] == 255
    )
    with pytest.raises(CoordinatorError, match="256 keys"):
        bip138.encrypt(DESCRIPTOR, crowd, (), chance=counting())


def test_paths_are_written_once_and_sorted() -> None:
    paths = [(0x80000030, 1), (0x80000030, 1), (5,), ()]
    data = bip138.encrypt(DESCRIPTOR, [A], paths, chance=counting())
    assert data[7:23].hex() == "02" + "0100000005" + "028000003000000001" + "05"
    assert bip138.decrypt(data, A) == [DESCRIPTOR]


def test_a_key_that_everybody_knows_opens_nothing() -> None:
    data = bip138.encrypt(DESCRIPTOR, [A, bip138.NOBODYS_KEY], (), chance=counting())
    assert bip138.decrypt(data, A) == [DESCRIPTOR]
    with pytest.raises(CoordinatorError):
        bip138.decrypt(data, bip138.NOBODYS_KEY)
    with pytest.raises(CoordinatorError, match="no key"):
        bip138.encrypt(DESCRIPTOR, [bip138.NOBODYS_KEY], (), chance=counting())


def test_a_nonce_of_zeros_is_neither_made_nor_read() -> None:
    given_bytes = iter([bytes(12), b"\x09" * 12, *[bytes([n]) * 32 for n in range(4)]])
    data = bip138.encrypt(DESCRIPTOR, [A], (), chance=lambda _: next(given_bytes))
    assert b"\x09" * 12 in data
    with pytest.raises(CoordinatorError, match="nonce of zeros"):
        bip138.decrypt(sealed_payload(item(b"x"), nonce=bytes(12)), A)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (item(b"one"), ["one"]),
        (item(b"one") + item(b"two"), ["one", "two"]),
        (item(b"one") + bytes(100), ["one"]),
        (b"\x03\x00" + sized(b"a note") + item(b"one"), ["one"]),
        (b"\x7f\x02ab" + sized(b"unknown") + item(b"one"), ["one"]),
        (b"\x01\x01\x49" + sized(b"labels") + item(b"one"), ["one"]),
        (
            item(json.dumps({"version": 1, "descriptor_sets": [{"descriptor": "d"}]}).encode()),
            ["d"],
        ),
    ],
)
def test_payloads_of_other_wallets(payload: bytes, expected: list[str]) -> None:
    assert bip138.decrypt(sealed_payload(payload), A) == expected


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (bytes(5), "no descriptor"),
        (b"\x03\x00" + sized(b"a note"), "no descriptor"),
        (b"\x80" + item(b"one"), "kind 128"),
        (b"\x01\x01\x7c\x05abc", "damaged"),
        (b"\x02\x09abc", "damaged"),
        (item(b"\xff\xfe"), "cannot be read"),
        (item(b"{}"), "cannot be read"),
        (item(b'{"descriptor_sets": 5}'), "cannot be read"),
        (item(b"{"), "cannot be read"),
    ],
)
def test_payloads_that_cannot_be_used(payload: bytes, reason: str) -> None:
    with pytest.raises(CoordinatorError, match=reason):
        bip138.decrypt(sealed_payload(payload), A)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged|no descriptor backup"),
        (b"not base64 at all!", "no descriptor backup"),
        (base64.b64encode(b"PSBT  something else"), "no descriptor backup"),
        (b"BIP138\x02", "version 2"),
        (b"BIP138\x01\x00\x00\x02", "cipher 2"),
        (b"BIP138\x01\x05", "damaged"),
    ],
)
def test_files_that_are_something_else(data: bytes, reason: str) -> None:
    with pytest.raises(CoordinatorError, match=reason):
        bip138.decrypt(data, A)


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=7))
def test_one_bit_flipped_anywhere_never_gives_another_descriptor(place: int, bit: int) -> None:
    data = bytearray(bip138.encrypt(DESCRIPTOR, [A, B], [(1, 2)], chance=counting()))
    data[place % len(data)] ^= 1 << bit
    with contextlib.suppress(CoordinatorError):
        assert bip138.decrypt(bytes(data), A) == [DESCRIPTOR]


@given(st.integers(min_value=0, max_value=300))
def test_a_file_cut_short_is_refused(length: int) -> None:
    data = bip138.encrypt(DESCRIPTOR, [A, B], (), chance=counting())
    if length < len(data):
        with pytest.raises(CoordinatorError):
            bip138.decrypt(data[:length], A)
