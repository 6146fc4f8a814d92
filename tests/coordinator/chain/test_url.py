"""A chain URL is understood or refused; what was typed into it is never told again."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.chain.url import OPTIONS, ChainUrl, parse_url
from coordinator.errors import SettingsError
from tests.program import run_program

UNDERSTOOD = {
    "p2p:192.168.1.5:8333": ("p2p://192.168.1.5:8333", "192.168.1.5", 8333),
    "p2p:peer": ("p2p://peer", "peer", None),
    "p2p:": ("p2p:", "", None),
    "p2p:?timeout=5": ("p2p:?timeout=5", "", None),
    "P2P://Peer.Local:8333": ("p2p://peer.local:8333", "peer.local", 8333),
    " p2p://peer:8333 ": ("p2p://peer:8333", "peer", 8333),
    "p2p:[2001:db8::1]:8333": ("p2p://[2001:db8::1]:8333", "2001:db8::1", 8333),
    "bitcoind+http:node:8332?cookie=/a": ("bitcoind+http://node:8332?cookie=/a", "node", 8332),
    "bitcoind+http://node/": ("bitcoind+http://node", "node", None),
    "electrum+tcp:host.onion:50001": ("electrum+tcp://host.onion:50001", "host.onion", 50001),
    "esplora+https:host/api": ("esplora+https://host/api", "host", None),
    "NONE:": ("none:", "", None),
    "Regtest:": ("regtest:", "", None),
}
REFUSED = {
    "p2p:/192.168.1.5:8333": "two slashes stand",
    "p2p:///192.168.1.5": "two slashes stand",
    "p2p://": "names no host.*p2p: alone asks",
    "p2p://:8333": "names no host",
    "p2p:8333": "no IPv4 address",
    "p2p:192.168.1.500:8333": "no IPv4 address",
    "p2p:192.168.1:8333": "no IPv4 address",
    "p2p://192.168.1.5:": "a port is a number from 1 to 65535",
    "p2p://192.168.1.5:0": "a port is a number from 1 to 65535",
    "p2p://192.168.1.5:65536": "a port is a number from 1 to 65535",
    "p2p://192.168.1.5:\uff18\uff13": "a port is a number from 1 to 65535",
    "p2p://192.168.1.5:8333/path": "has a path",
    "p2p://192.168.1.5:8333#x": "has a #",
    "p2p://192.168.1.5 :8333": "no name and no address",
    "p2p://192.168.1.5,10.0.0.1": "no name and no address",
    "p2p://2001:db8::1": "stands in brackets",
    "p2p://[2001:db8::g]:8333": "no IPv6 address",
    "p2p://[fe80::1%eth0]:8333": "no IPv6 address",
    "p2p://peer\n:8333": "control characters",
    "p2p://peer\t:8333": "control characters",
    "p2p://peer:8333?timeout=5&timeout=6": "twice",
    "p2p://peer:8333?timeout": "has a value that is not understood",
    "p2p": "is not one of regtest:",
    "192.168.1.5:8333": "is not one of regtest:",
    "": "is not one of regtest:",
    "bitcoind+http:/host:8332": "two slashes stand",
    "bitcoind+http://host:8332/wallet/x?cookie=/a": "has a path",
    "bitcoind+http://host?cookie=": "has a value that is not understood",
    "bitcoind+http://host?cookie=a%00b": "has a value that is not understood",
    "bitcoind+http://host?cookie=a%0ab": "has a value that is not understood",
    "bitcoind+http://host?cookie=me:secret": "no name and no password",
    "electrum+ssl:host": "names no port",
    "electrum+ssl:host:50002?proxy=me:secret@127.0.0.1:9050": "the proxy is not HOST:PORT",
    "none:/": "has nothing after",
    "regtest://": "has nothing after",
}
SECRET = "hunter2SECRET"
TYPED = [
    "{scheme}://me:{secret}@host:8332",
    "{scheme}://{secret}@host",
    "{scheme}:me:{secret}@host:8332",
    "{scheme}:/me:{secret}@host",
    "{scheme}://me:{secret}",
    "{scheme}://me:pa#{secret}@host:8332",
    "{scheme}://me:pa/{secret}@host:8332",
    "{scheme}://me:pa?{secret}@host:8332",
    "{scheme}://me:8332?{secret}@host:8332",
    "{scheme}://[{secret}]:8332",
    "{scheme}://host:{secret}?cookie=/a",
    "{scheme}://host:8332?password={secret}",
    "{scheme}://host:8332?rpcpassword={secret}",
    "{scheme}://host:8332?rpcuser=me&rpcpassword={secret}",
    "{scheme}://host:8332?{secret}",
    "{scheme}://host:8332?{secret}=x",
    "{scheme}://host:8332?timeout={secret}",
    "{scheme}://host:8332?gap={secret}",
    "{scheme}://host:8332?verify={secret}",
    "{scheme}://host:8332?proxy=me:{secret}@127.0.0.1:9050",
    "{scheme}://host:8332?proxy={secret}",
    "{scheme}://host:8332?cookie=me:{secret}",
    "{scheme}://host:8332?passwordfile=me:{secret}",
    "{scheme}://host:8332/{secret}",
    "{scheme}://host:8332/me:{secret}@x",
    "{secret}://host:8332",
    "{scheme} ://me:{secret}@host",
    "me:{secret}@host:8332",
    "{secret}",
    "http://me:{secret}@host:8332",
]


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_what_can_only_be_meant_one_way_is_understood(text: str) -> None:
    found = parse_url(text)
    assert (found.text, found.host, found.port) == UNDERSTOOD[text]
    assert parse_url(found.text) == found


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_meant_is_refused_and_asks_no_strangers(text: str) -> None:
    with pytest.raises(SettingsError, match=REFUSED[text]):
        parse_url(text)


@pytest.mark.parametrize("scheme", OPTIONS)
@pytest.mark.parametrize("typed", TYPED)
def test_a_password_typed_into_a_url_is_never_told_again(typed: str, scheme: str) -> None:
    text = typed.format(scheme=scheme, secret=SECRET)
    try:
        found = parse_url(text)
    except SettingsError as refusal:
        told: BaseException | None = refusal
        while told is not None:
            assert SECRET.lower() not in str(told).lower()
            told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
    else:
        # An Esplora server's path is its own.
        assert found.scheme.startswith("esplora")
        assert found.path == f"/{SECRET}"


def test_the_program_does_not_tell_it_either(tmp_path: Path) -> None:
    for typed in TYPED:
        text = typed.format(scheme="bitcoind+http", secret=SECRET)
        ended = run_program(
            tmp_path / "home", "init", "--network", "regtest", "--chain", text, check=2
        )
        assert SECRET.lower() not in (ended.out + ended.err).lower()


@given(st.sampled_from(sorted(OPTIONS)), st.text(string.printable, max_size=40))
def test_any_text_is_understood_as_it_is_kept_or_refused(scheme: str, rest: str) -> None:
    try:
        found = parse_url(f"{scheme}:{rest}")
    except SettingsError as refusal:
        assert str(refusal).isprintable()  # noqa: PT017 -- most are refused
        return
    assert isinstance(found, ChainUrl)
    assert parse_url(found.text) == found
    assert found.host or scheme in {"none", "regtest"} or rest.strip().partition("?")[0] == ""


def test_a_word_where_a_file_should_be_named_is_not_told_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    text = f"bitcoind+http://127.0.0.1:1?cookie={SECRET}&timeout=1"
    run_program(home, "init", "--network", "regtest", "--chain", text)
    ended = run_program(home, "sync", check=7)
    assert SECRET not in ended.out + ended.err
    assert "the file that the chain URL names" in ended.err
