import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psbt.errors import PolicyError
from psbt.keys import (
    HARDENED,
    PREFIXES,
    KeyExpression,
    Prefix,
    bip48_path,
    child,
    fingerprint,
    format_key_expression,
    format_path,
    format_xpub,
    parse_key_expression,
    parse_path,
    parse_prefixed_key,
    parse_xpub,
)
from psbt.network import Network
from tests.judges import judge
from tests.psbt.soft_vault import master

wally = judge("wallycore")
bip32 = judge("embit.bip32")
base58 = judge("embit.base58")

ROOT = master(bytes(range(16)))
PATH = bip48_path(Network.REGTEST)
ACCOUNT = ROOT.at(PATH)
EXPRESSION = KeyExpression(fingerprint(ROOT.pubkey), PATH, ACCOUNT.public())
XPUB = format_xpub(EXPRESSION.key, Network.MAINNET)
TPUB = format_xpub(EXPRESSION.key, Network.REGTEST)
paths = st.lists(st.integers(0, 2**32 - 1), max_size=6).map(tuple)


def reworded(xpub: str, at: int, new: bytes) -> str:
    """Replace bytes of an extended key and make its checksum right again."""
    data = base58.decode_check(xpub)
    return base58.encode_check(data[:at] + new + data[at + len(new) :])


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("m", ()),
        ("m/", ()),
        ("0", (0,)),
        ("m/48h/1h", (HARDENED + 48, HARDENED + 1)),
        ("48'/0/2147483647h", (HARDENED + 48, 0, 2**32 - 1)),
    ],
)
def test_a_path_is_read(text: str, path: tuple[int, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text",
    [
        "/48h",
        "48h/",
        "48h//1",
        "2147483648",
        "2147483648h",
        "-1",
        "1H",
        "1hh",
        "h",
        "٤",
        "m/m",
        "1 ",
    ],
)
def test_another_path_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match="no step of a derivation path"):
        parse_path(text)


@given(paths)
def test_a_path_is_read_as_it_was_written(path: tuple[int, ...]) -> None:
    assert parse_path(format_path(path)) == path


def test_account_paths_follow_bip48() -> None:
    assert format_path(bip48_path(Network.MAINNET)) == "48h/0h/0h/2h"
    assert format_path(bip48_path(Network.SIGNET, account=3)) == "48h/1h/3h/2h"
    assert format_path(bip48_path(Network.TESTNET4, "sh-wsh")) == "48h/1h/0h/1h"
    assert format_path(bip48_path(Network.REGTEST, "tr")) == "48h/1h/0h/3h"
    with pytest.raises(PolicyError, match="'wpkh'"):
        bip48_path(Network.REGTEST, "wpkh")
    for account in (-1, HARDENED):
        with pytest.raises(PolicyError, match=f"account {account}"):
            bip48_path(Network.REGTEST, account=account)


def test_an_extended_key_is_written_as_others_write_it() -> None:
    theirs = bip32.HDKey.from_seed(bytes(range(16))).derive(list(PATH)).to_public()
    assert theirs.to_base58() == XPUB
    assert XPUB[:4] + TPUB[:4] == "xpubtpub"
    assert parse_xpub(XPUB, Network.MAINNET) == parse_xpub(TPUB, Network.SIGNET) == EXPRESSION.key


def test_fingerprint_is_that_of_libwally() -> None:
    assert fingerprint(ROOT.pubkey) == wally.hash160(ROOT.pubkey)[:4]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (XPUB, "another network than regtest"),
        (TPUB[:-1] + ("1" if TPUB[-1] != "1" else "2"), "checksum"),
        (TPUB[:-1], "110 characters"),
        (TPUB + "1", "112 characters"),
        (TPUB[:50] + "0" + TPUB[51:], "checksum"),
        ("", "0 characters"),
        (reworded(TPUB, 45, b"\x05"), "point"),
        (reworded(TPUB, 46, b"\xff" * 32), "point"),
        (reworded(TPUB, 4, b"\x00"), "has a parent"),
        (reworded(TPUB, 4, bytes(5)), "has a parent"),
        (reworded(TPUB, 0, bytes.fromhex("02aa7ed3")), "Zpub… is for another network"),
        (reworded(TPUB, 0, bytes.fromhex("02aa7ed4")), "begins with unknown version bytes"),
        (reworded(TPUB, 0, bytes.fromhex("04358394")), "private key"),
        (reworded(TPUB, 0, bytes.fromhex("0488ade4")), "private key"),
        (reworded(TPUB, 0, bytes.fromhex("02aa7a99")), "private key"),
    ],
)
def test_another_text_is_no_extended_public_key(text: str, reason: str) -> None:
    with pytest.raises(PolicyError, match=reason) as refusal:
        parse_xpub(text, Network.REGTEST)
    assert not text or text not in str(refusal.value)


@pytest.mark.parametrize(("version", "prefix"), PREFIXES.items(), ids=str)
def test_every_prefix_of_slip132_is_the_same_key(version: bytes, prefix: Prefix) -> None:
    text = reworded(TPUB, 0, version)
    assert text.startswith(prefix.letters)
    assert parse_prefixed_key(text) == (prefix, EXPRESSION.key)
    network = Network.MAINNET if prefix.mainnet else Network.SIGNET
    assert parse_xpub(text, network) == EXPRESSION.key


def test_a_prefix_that_names_another_script_is_refused() -> None:
    origin = f"[{EXPRESSION.fingerprint.hex()}/48h/1h/0h/2h]"
    vpub = origin + reworded(TPUB, 0, bytes.fromhex("02575483"))
    upub = origin + reworded(TPUB, 0, bytes.fromhex("024289ef"))
    assert parse_key_expression(vpub, Network.REGTEST, "wsh") == EXPRESSION
    assert parse_key_expression(upub, Network.REGTEST) == EXPRESSION
    with pytest.raises(PolicyError, match=r"Upub \(SLIP 132\) is for sh-wsh, not for wsh"):
        parse_key_expression(upub, Network.REGTEST, "wsh")


def test_a_key_may_be_its_own_origin() -> None:
    own = fingerprint(EXPRESSION.key.public_key)
    assert parse_key_expression(f"[{own.hex()}]{TPUB}", Network.REGTEST).path == ()
    with pytest.raises(PolicyError, match="0 steps, the key has depth 4"):
        parse_key_expression(f"[01234567]{TPUB}", Network.REGTEST)


@given(st.integers(0, HARDENED - 1))
def test_a_child_is_that_of_the_private_key_and_of_libwally(index: int) -> None:
    found = child(EXPRESSION.key, index)
    assert found == ACCOUNT.child(index).public()
    parent = wally.bip32_key_from_base58(TPUB)
    theirs = wally.bip32_key_from_parent(parent, index, wally.BIP32_FLAG_KEY_PUBLIC)
    assert wally.bip32_key_to_base58(theirs, wally.BIP32_FLAG_KEY_PUBLIC) == format_xpub(
        found, Network.REGTEST
    )


@pytest.mark.parametrize("index", [-1, HARDENED])
def test_a_public_key_has_no_hardened_child(index: int) -> None:
    with pytest.raises(PolicyError, match=f"no child {index}"):
        child(EXPRESSION.key, index)


def test_the_last_of_all_keys_is_one() -> None:
    last = EXPRESSION.key._replace(depth=255, child_number=2**32 - 1)
    assert parse_xpub(format_xpub(last, Network.SIGNET), Network.SIGNET) == last


def test_the_deepest_key_has_no_children() -> None:
    deepest = EXPRESSION.key._replace(depth=255)
    with pytest.raises(PolicyError, match="depth 255"):
        child(deepest, 0)
    assert child(deepest._replace(depth=254), 0).depth == 255


def test_a_key_expression_is_read_as_it_was_written() -> None:
    text = format_key_expression(EXPRESSION, Network.REGTEST)
    assert text == f"[{EXPRESSION.fingerprint.hex()}/48h/1h/0h/2h]{TPUB}"
    assert parse_key_expression(text, Network.REGTEST) == EXPRESSION
    assert (
        parse_key_expression(text[:24].replace("h", "'") + text[24:], Network.REGTEST) == EXPRESSION
    )
    assert parse_key_expression(text[:9].upper() + text[9:], Network.REGTEST) == EXPRESSION


def test_a_master_key_has_no_path() -> None:
    expression = KeyExpression(fingerprint(ROOT.pubkey), (), ROOT.public())
    text = format_key_expression(expression, Network.MAINNET)
    assert text.startswith(f"[{expression.fingerprint.hex()}]xpub")
    assert parse_key_expression(text, Network.MAINNET) == expression


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TPUB, "must be written as"),
        (f"[]{TPUB}", "must be written as"),
        (f"[0123456/48h]{TPUB}", "must be written as"),
        (f"[01234567/48h]{TPUB} ", "must be written as"),
        (f"[01234567/]{TPUB}", "must be written as"),
        (f"[01234567/48h/1h/0h]{TPUB}", "3 steps, the key has depth 4"),
        (f"[01234567/48h/1h/0h/2]{TPUB}", "which is number 2h"),
        (f"[01234567/48h/1x/0h/2h]{TPUB}", "'1x' is no step"),
        (f"[01234567/48h/1h/0h/2h]{XPUB}", "another network"),
        ("[01234567/48h]tprv8ZgxMBicQKsPd", "private key"),
    ],
)
def test_another_key_expression_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PolicyError, match=reason):
        parse_key_expression(text, Network.REGTEST)


def test_an_origin_must_not_be_another_keys() -> None:
    own, stranger = fingerprint(ROOT.pubkey), b"\x01\x02\x03\x04"
    for path in ((), (7,)):
        key = ROOT.at(path).public()
        good = format_key_expression(KeyExpression(own, path, key), Network.REGTEST)
        assert parse_key_expression(good, Network.REGTEST).fingerprint == own
        bad = format_key_expression(KeyExpression(stranger, path, key), Network.REGTEST)
        with pytest.raises(PolicyError, match=re.escape(f"another key than {own.hex()}")):
            parse_key_expression(bad, Network.REGTEST)


@given(st.text(max_size=130))
def test_no_text_fails_otherwise_than_with_a_policy_error(text: str) -> None:
    for parse in (parse_xpub, parse_key_expression):
        with pytest.raises(PolicyError):
            parse(text, Network.REGTEST)
