"""The hash, the fingerprint and the child a driver needs."""

import pytest

from cards.bip32 import fingerprint, public_child
from cards.ripemd160 import ripemd160

MASTER = bytes.fromhex("0339a36013301597daef41fbe593a02cc513d0b55527ec2df1050e2e8ff49c85c2")


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
        ("abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        ("message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"),
        ("1234567890" * 8, "9b752e45573d4b39f4dbd3323cab82bf63326bfb"),
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "b0e20b6e3116640286ed3a87a5713079b21f5189",
        ),
    ],
)
def test_ripemd160_is_the_published_one(text: str, digest: str) -> None:
    assert ripemd160(text.encode()).hex() == digest


def test_a_fingerprint_is_that_of_bip_32() -> None:
    assert fingerprint(MASTER).hex() == "3442193e"


def test_a_child_is_that_of_bip_32() -> None:
    parent = bytes.fromhex("035a784662a4a20a65bf6aab9ae98a6c068a81c52e4b032c0fb5400c706cfccc56")
    chain_code = bytes.fromhex("47fdacbd0f1097043b78c63c20c34ef4ed9a111d980047ad16282c7ae6236141")
    child, below = public_child(parent, chain_code, 1)
    assert child.hex() == "03501e454bf00751f24b1b489aa925215d66af2234e3891c3b21a52bedb3cd711c"
    assert below.hex() == "2a7857631386ba23dacac34180dd1983734e444fdbf774041578e9b6adb37c19"
