"""Bitcoin Core under everything that can go wrong: one clear sentence each, exit 7."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coordinator.chain import Birthday, ChainSource, Watch
from coordinator.chain.opening import open_chain
from coordinator.chain.regtest import RegtestChain
from coordinator.errors import ChainError, ChainUnreachable, SettingsError
from psbt import consensus
from psbt.relay import CORE_30
from tests.program import run_program
from tests.servers import wire
from tests.servers.chains import mature_chain
from tests.servers.daemon import Daemon, serve
from tests.servers.vault import DESCRIPTOR, receive_script

WATCH = Watch(frozenset({receive_script(0)}), None, DESCRIPTOR, (100, 100))


@pytest.fixture
def chain(tmp_path: Path) -> RegtestChain:
    if not consensus.engine_available():
        pytest.skip("libbitcoinkernel is not installed")
    return mature_chain(tmp_path / "chain")


@pytest.fixture
def daemon(chain: RegtestChain, tmp_path: Path) -> Iterator[Daemon]:
    with serve(chain, tmp_path / "core") as daemon:
        yield daemon


def url(daemon: Daemon, option: str = "") -> str:
    port = daemon.url.rpartition(":")[2]
    return f"bitcoind+http://127.0.0.1:{port}?cookie={daemon.cookie}{option}"


def opened(daemon: Daemon, tmp_path: Path, option: str = "") -> ChainSource:
    return open_chain(url(daemon, option), tmp_path / "client", "regtest", report=heard.append)


heard: list[str] = []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "does not accept the name and password in"),
        (403, "does not let this computer ask it"),
        (503, "is overloaded"),
        (502, "answers with HTTP status 502"),
    ],
)
def test_an_http_status_is_put_in_words(
    daemon: Daemon, tmp_path: Path, status: int, said: str
) -> None:
    daemon.answer_with_status(status)
    with pytest.raises(ChainUnreachable, match=said):
        opened(daemon, tmp_path).tip()


def test_a_cookie_that_is_not_there_or_no_cookie(daemon: Daemon, tmp_path: Path) -> None:
    source = opened(daemon, tmp_path)
    daemon.cookie.write_text("no colon")
    with pytest.raises(ChainUnreachable, match="is not one line NAME:PASSWORD"):
        source.tip()
    daemon.cookie.unlink()
    with pytest.raises(ChainUnreachable, match="cannot be read"):
        source.tip()
    bare = url(daemon).split("?")[0]
    with pytest.raises(SettingsError, match="names no password"):
        open_chain(bare, tmp_path, "regtest")


def test_a_computer_the_node_refuses_is_named(daemon: Daemon, tmp_path: Path) -> None:
    daemon.answer_with_status(403, times=2)
    with pytest.raises(ChainUnreachable, match="rpcallowip"):
        opened(daemon, tmp_path).tip()


def test_a_password_never_shows(daemon: Daemon, tmp_path: Path) -> None:
    password = daemon.cookie.read_text().split(":")[1]
    daemon.answer_with_status(401)
    with pytest.raises(ChainUnreachable) as caught:
        opened(daemon, tmp_path).tip()
    assert password not in repr(caught.getrepr(style="long"))


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("syncing", "loading", "is still starting: Loading block index"),
        ("chain_name", "main", "is on mainnet, this home is for regtest"),
        ("chain_name", "test", "is on test, this home is for regtest"),
        ("syncing", "downloading", "is still catching up: block"),
    ],
)
def test_a_node_that_is_not_ready_or_not_ours(
    daemon: Daemon, tmp_path: Path, setting: str, value: str, said: str
) -> None:
    setattr(daemon, setting, value)
    with pytest.raises(ChainError, match=said):
        opened(daemon, tmp_path).sync(WATCH)


def test_a_node_that_takes_too_long(daemon: Daemon, tmp_path: Path) -> None:
    daemon.delay_seconds = 1.5
    with pytest.raises(ChainUnreachable, match="does not answer within 1 seconds"):
        opened(daemon, tmp_path, "&timeout=1").tip()


def test_a_node_that_breaks_off_or_is_gone(daemon: Daemon, tmp_path: Path) -> None:
    source = opened(daemon, tmp_path)
    daemon.cut_after(0)
    with pytest.raises(ChainUnreachable, match="broke off in the middle"):
        source.tip()
    daemon.stop()
    with pytest.raises(ChainUnreachable, match="cannot be reached"):
        source.tip()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "did not answer getblockchaininfo"),
        ({}, "did not answer getblockchaininfo"),
        ({"id": 0}, "something that is no JSON-RPC"),
        ({"id": 0, "error": "no"}, "something that is no JSON-RPC"),
        ({"id": 0, "error": {"code": "x", "message": 3}}, r"refuses getblockchaininfo: 3 \(0\)"),
        ({"id": 0, "result": None}, "is not one of Bitcoin Core's"),
        (
            {"id": 0, "result": {"chain": "regtest"}},
            r"is not one of Bitcoin Core's: .*\.blocks is missing",
        ),
        ({"id": 0, "result": {"chain": [], "headers": 1}}, "is not one of Bitcoin Core's"),
        ("text", "JSON that cannot be read"),
    ],
)
def test_an_answer_of_another_shape(tmp_path: Path, document: Any, said: str) -> None:  # noqa: ANN401 -- any JSON
    body = b"{" if document == "text" else json.dumps(document).encode()
    answer = wire.Answer(200, body, "application/json")
    server = wire.Server(lambda _: answer, wire.Mischief())
    cookie = tmp_path / "cookie"
    cookie.write_text("a:b")
    server.start("a:b")
    try:
        target = f"bitcoind+http://127.0.0.1:{server.port}?passwordfile={cookie}"
        with pytest.raises(ChainError, match=said):
            open_chain(target, tmp_path, "regtest").tip()
    finally:
        server.stop()


def test_an_old_node_answers_errors_with_status_500(tmp_path: Path) -> None:
    error = {"result": None, "error": {"code": -5, "message": "Block not found"}, "id": 0}
    answer = wire.Answer(500, json.dumps(error).encode(), "application/json")
    server = wire.Server(lambda _: answer, wire.Mischief())
    cookie = tmp_path / "cookie"
    cookie.write_text("a:b")
    server.start("a:b")
    try:
        target = f"bitcoind+http://127.0.0.1:{server.port}?cookie={cookie}"
        with pytest.raises(ChainError, match=r"Block not found \(-5\)"):
            open_chain(target, tmp_path, "regtest").tip()
    finally:
        server.stop()


def test_a_wallet_is_made_once_and_loaded_after_a_restart(
    daemon: Daemon, chain: RegtestChain, tmp_path: Path
) -> None:
    (txid,) = chain.fund(receive_script(0), 70_000)
    chain.mine(1)
    source = opened(daemon, tmp_path)
    assert [seen.txid for seen in source.sync(WATCH).transactions] == [txid]
    names = set(daemon.loaded)
    assert names == {f"cardquorum-{DESCRIPTOR[-8:]}"}
    daemon.loaded.clear()
    assert [seen.txid for seen in source.sync(WATCH).transactions] == [txid]
    assert set(daemon.loaded) == names


def test_a_scan_tells_how_far_it_is(daemon: Daemon, tmp_path: Path) -> None:
    heard.clear()
    daemon.scan_seconds = 1.2
    opened(daemon, tmp_path).sync(WATCH)
    assert any("looks through the blocks" in text and text.endswith("%") for text in heard)
    assert heard[-1] == ""


def test_a_scan_that_was_cut_off_is_made_again(
    daemon: Daemon, chain: RegtestChain, tmp_path: Path
) -> None:
    (txid,) = chain.fund(receive_script(0), 70_000)
    chain.mine(1)
    source = opened(daemon, tmp_path)
    daemon.cut_after(5)
    with pytest.raises(ChainError):
        source.sync(WATCH)
    assert not list((tmp_path / "client").glob("*.scanned"))
    assert [seen.txid for seen in source.sync(WATCH).transactions] == [txid]


def test_blocks_before_the_birthday_are_not_looked_through(
    daemon: Daemon, chain: RegtestChain, tmp_path: Path
) -> None:
    source = opened(daemon, tmp_path)
    for birthday, said in (
        (Birthday(height=500), "birthday, block 500, is not on the chain yet"),
        (Birthday(datetime(2100, 1, 1, tzinfo=UTC)), ""),
    ):
        watch = Watch(WATCH.scripts, None, DESCRIPTOR, (100, 100), birthday)
        if said:
            with pytest.raises(ChainError, match=said):
                source.sync(watch)
        else:
            assert source.sync(watch).tip == chain.tip()


def test_a_pruned_node_is_looked_through_from_its_first_block(
    daemon: Daemon, tmp_path: Path
) -> None:
    daemon.pruned_below = 50
    assert opened(daemon, tmp_path).sync(WATCH).scanned == (50, True)


def test_a_stopped_node_is_named_before_its_cookie(daemon: Daemon, tmp_path: Path) -> None:
    source = opened(daemon, tmp_path)
    daemon.stop()
    daemon.cookie.unlink()
    with pytest.raises(ChainUnreachable, match=r"no node answers at 127\.0\.0\.1:\d+"):
        source.tip()


def test_a_method_the_user_may_not_call_is_named(tmp_path: Path) -> None:
    refused = wire.Answer(403, b"", "text/plain")
    server = wire.Server(lambda _: refused, wire.Mischief())
    cookie = tmp_path / "cookie"
    cookie.write_text("a:b")
    server.start("a:b")
    try:
        target = f"bitcoind+http://127.0.0.1:{server.port}?cookie={cookie}"
        with pytest.raises(ChainUnreachable, match=r"getblockchaininfo.*\(rpcwhitelist\)"):
            open_chain(target, tmp_path, "regtest").tip()
    finally:
        server.stop()


def test_many_transactions_are_fetched_in_batches(
    daemon: Daemon, chain: RegtestChain, tmp_path: Path
) -> None:
    for _ in range(6):
        chain.fund(receive_script(0), 1_000)
    chain.mine(1)
    source = opened(daemon, tmp_path)
    assert len(source.sync(WATCH).transactions) == 6


def test_another_wallet_of_this_name_is_not_taken(daemon: Daemon, tmp_path: Path) -> None:
    source = opened(daemon, tmp_path)
    source.sync(WATCH)
    other = DESCRIPTOR.replace("sortedmulti(2", "sortedmulti(1").split("#")[0] + DESCRIPTOR[-9:]
    with pytest.raises(ChainError):
        source.sync(Watch(WATCH.scripts, None, other, (5_000, 100)))


def test_the_command_line_ends_with_7_and_a_hint(daemon: Daemon, tmp_path: Path) -> None:
    home = tmp_path / "home"
    run_program(home, "init", "--network", "regtest", "--chain", url(daemon))
    daemon.syncing = "loading"
    failed = run_program(home, "--json", "sync", check=7).document["error"]
    assert failed["code"] == "chain_unreachable"
    assert failed["hint"]
    assert "Loading block index" in failed["message"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bitcoind+http://me:secret@127.0.0.1", "holds no name and no password"),
        ("bitcoind+http://127.0.0.1?password=secret", "has an option password"),
        ("bitcoind+http://127.0.0.1?cookie=a&passwordfile=b", "not both"),
        ("bitcoind+http:", "names no host"),
        ("electrum+tcp://host", "names no port"),
        ("electrum+ssl://host:99999", "is no URL"),
        ("electrum+ssl://host:50002?gap=0", "gap=0 is no number from 1 to 10000"),
        ("electrum+ssl://host:50002?verify=maybe", "neither yes nor no"),
        ("electrum+tcp://host:50001?verify=no", "has an option verify"),
        ("esplora+http://example.org/api", "only in your own network"),
        ("electrum+ssl://host:50002?proxy=9050", "proxy=9050 is not HOST:PORT"),
        ("electrum+ssl://host:50002?proxy=a:0", "proxy=a:0 is not HOST:PORT"),
        ("none:x", "has nothing after none:"),
        ("regtest:/tmp", "has nothing after regtest:"),
        ("p2p:?gap=3", "has an option gap; p2p knows proxy, timeout"),
        ("http://x", "is not one of regtest:"),
    ],
)
def test_a_url_that_cannot_be_meant(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        open_chain(text, tmp_path, "regtest")
    assert "secret" not in str(caught.value) or "option" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("chain_name", "main", "is on mainnet, this home is for regtest"),
        ("syncing", "downloading", "is still catching up: block"),
        ("syncing", "loading", "is still starting"),
    ],
)
def test_fees_of_another_network_or_an_old_block_are_no_fees(
    daemon: Daemon, tmp_path: Path, setting: str, value: str, said: str
) -> None:
    daemon.feerate_sats_per_kvb = 5_000
    home = tmp_path / "home"
    run_program(home, "init", "--network", "regtest", "--chain", url(daemon))
    run_program(home, "fees")
    setattr(daemon, setting, value)
    failed = run_program(home, "--json", "fees", check=7).document["error"]
    assert said in failed["message"]


@pytest.mark.parametrize("estimate", [None, 5_000])
def test_no_fee_rate_is_below_what_the_mempool_takes(
    daemon: Daemon, tmp_path: Path, estimate: int | None
) -> None:
    daemon.feerate_sats_per_kvb, daemon.mempool_min_sats_per_kvb = estimate, 25_000
    home = tmp_path / "home"
    run_program(home, "init", "--network", "regtest", "--chain", url(daemon))
    told = run_program(home, "--json", "fees").document["fees"]
    assert {each["feerate"] for each in told} == {25_000}
    assert {each["source"] for each in told} == {"estimate" if estimate else "fallback"}


def test_the_node_tells_its_rules(daemon: Daemon, tmp_path: Path) -> None:
    daemon.mempool_min_sats_per_kvb = 25_000
    told = opened(daemon, tmp_path).relay()
    assert told.rules == CORE_30._replace(minimum=25_000, package_count=64)
    assert told.median_time == daemon.chain.relay().median_time
