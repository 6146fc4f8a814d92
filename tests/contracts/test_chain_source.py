"""What every chain source answers, whatever stands behind it.

`coordinator/chain/README.md` shows these questions and the sources as a table.
"""

import inspect
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.chain import ChainSource, PackageSource, StatedSource
from coordinator.chain.opening import open_chain
from coordinator.errors import (
    ChainError,
    ChainUnreachable,
    NoEstimate,
    SettingsError,
    TransactionRejected,
)
from coordinator.payment import creation
from coordinator.wallet import scripts
from coordinator.wallet import sync as wallet_sync
from psbt.coins import Payment
from psbt.forms import key_uses
from psbt.policy import Branch, Wait
from psbt.transaction import parse_transaction
from storage import ceremonies as ceremony_book
from tests.contracts.books import Book
from tests.contracts.worlds import (
    FEW_AHEAD,
    NOT_ASKED,
    REAL,
    SOURCES,
    World,
    few_ahead,
    make,
    reason_not_to_ask,
    table,
)
from tests.psbt.soft_vault import PAYEE, SoftVault, soft_vault
from tests.sampled import shortened
from tests.test_house import ROOT

AS_FAR_AHEAD_AS_USUAL = {
    "test_a_fresh_scan_finds_all_there_is",
    "test_an_address_issued_since_is_looked_for_where_nothing_else_happened",
}
"""The questions that are about how many scripts are watched."""


OF_WALLETS = {"test_a_sync_without_news_derives_and_changes_nothing"}
LEAF = " leaf"
LEAVES = tuple(f"{source}{LEAF}" for source in ("electrum", "esplora"))
"""Sources that tell histories, of a vault of so many keys in a leaf that BDK cannot find it."""
OF_A_SERVER = {
    "test_a_fresh_scan_finds_all_there_is",
    "test_only_what_is_new_is_told",
    "test_a_reorganisation_takes_a_payment_away",
    "test_a_replaced_transaction_is_gone",
    "test_a_payment_is_sent_and_sent_again",
    "test_a_fee_too_low_is_refused_with_the_reason",
    "test_a_server_that_goes_away_is_named_and_nothing_is_lost",
    "test_a_server_that_lies_about_a_transaction_is_not_believed",
    "test_a_restart_in_the_middle_loses_nothing",
}
"""What `make test` asks of ElectrumX; the rest it asks of Esplora, read by the same source."""
SLOW_BY_FILTERS = {
    "test_an_address_issued_since_is_looked_for_where_nothing_else_happened",
    "test_vaults_of_every_script_are_found_and_spent_from",
}
"""What `make test` asks of all but a peer, which derives a thousand addresses for each vault."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Put each question to each source; some to some only in `make test-all`."""
    if "world" not in metafunc.fixturenames:
        return
    case = metafunc.definition.originalname
    left = {"electrum": case not in OF_A_SERVER, "p2p": case in SLOW_BY_FILTERS}
    kept = [source for source in (*SOURCES, *REAL) if not left.get(source)]
    sources = shortened((*SOURCES, *REAL, *LEAVES), *kept)
    metafunc.parametrize("world", sources, indirect=True)


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    source = request.param.removesuffix(LEAF)
    if source != request.param and request.node.originalname in OF_WALLETS:
        pytest.skip("histories are asked for scripts, which are derived for it")
    if reason := reason_not_to_ask(request.node.originalname, source):
        pytest.skip(reason)
    ahead = request.node.callspec.params.get("ahead")
    usual = request.node.originalname in AS_FAR_AHEAD_AS_USUAL or ahead == wallet_sync.LOOKAHEAD
    with make(source, tmp_path) as made, nullcontext() if usual else few_ahead():
        yield made
        for source in made.opened:
            source.close()


@pytest.fixture
def source(world: World) -> ChainSource:
    return world.open()


@pytest.fixture
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Book]:
    made = Book(tmp_path / "home")
    asked = getattr(request.node, "callspec", None)
    leaf = asked is not None and str(asked.params.get("world", "")).endswith(LEAF)
    made.add(soft=soft_vault(2, 5, "tr") if leaf else None)
    yield made
    made.close()


def test_a_fresh_scan_finds_all_there_is(world: World, source: ChainSource, book: Book) -> None:
    paid = {world.pay(book.script(index)) for index in (0, 3)}
    paid.add(world.pay(book.script(1, keychain=1)))
    world.mine()
    tip = book.sync(source)
    assert tip == world.chain.tip() == source.tip()
    assert book.coins() == dict.fromkeys(paid, tip.height)
    assert book.balance() == (210_000, 0, 0, 0)


def test_a_vault_with_later_branches_is_found(
    world: World, source: ChainSource, book: Book
) -> None:
    soft = soft_vault(2, 3)
    primary = key_uses(soft.policy.keys)
    later = Branch("recovery", 1, key_uses(soft.policy.keys, primary), Wait(blocks=10))
    book.add("later", SoftVault(replace(soft.policy, recoveries=(later,)), soft.masters))
    paid = {
        world.pay(book.script(index, keychain, "later")) for index, keychain in ((0, 0), (1, 1))
    }
    world.mine()
    tip = book.sync(source, "later")
    assert book.coins("later") == dict.fromkeys(paid, tip.height)


def test_only_what_is_new_is_told(world: World, source: ChainSource, book: Book) -> None:
    world.pay(book.script(0))
    world.mine()
    book.sync(source)
    second = world.pay(book.script(1))
    book.sync(source)
    assert book.balance() == (70_000, 70_000 if world.sees_waiting else 0, 0, 0)
    world.mine()
    tip = book.sync(source)
    assert book.balance() == (140_000, 0, 0, 0)
    assert book.coins()[second] == tip.height
    assert source.sync(book.watch(tip)).transactions == ()


def test_a_sync_without_news_derives_and_changes_nothing(
    world: World, source: ChainSource, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.pay(book.script(0))
    world.mine()
    book.sync(source)
    book.sync(source)
    before, tip = book.rows(), world.chain.tip()
    with monkeypatch.context() as patched:
        patched.setattr(scripts, "derive_scripts", None)
        assert book.sync(source) == tip
    assert book.rows() == before


def test_a_state_that_is_named_changes_with_whatever_happens(
    world: World, source: ChainSource, book: Book
) -> None:
    purse, raw = world.gift()
    events = (
        lambda: world.chain.broadcast(purse.spend(purse.coins(raw), to=book.script(0)).raw),
        lambda: world.chain.broadcast(purse.spend(purse.coins(raw), fee_sats=9_000).raw),
        world.mine,
        lambda: world.chain.reorganise(world.chain.tip().height - 1),
        lambda: world.pay(book.script(1)),
        world.mine,
    )
    named = []
    for event in events:
        event()
        named.append(source.state() if isinstance(source, StatedSource) else len(named))
        if isinstance(source, StatedSource):
            assert source.state() == named[-1]
    assert len(set(named)) == len(events)


def test_an_address_issued_since_is_looked_for_where_nothing_else_happened(
    world: World, source: ChainSource, book: Book
) -> None:
    far = world.pay(book.script(150))
    world.mine()
    book.sync(source)
    known = book.coins()
    book.issue(120)
    book.sync(source)
    assert book.coins() == {far: world.chain.tip().height} | known


def test_a_mined_coin_ripens(world: World, source: ChainSource, book: Book) -> None:
    world.mine(1, book.script(0))
    book.sync(source)
    young = book.balance()
    assert young.immature_sats > 0
    assert young[:2] == (0, 0)
    world.mine(98)
    book.sync(source)
    assert book.balance() == young
    world.mine()
    book.sync(source)
    assert book.balance() == (young.immature_sats, 0, 0, 0)


def test_a_reorganisation_takes_a_payment_away(
    world: World, source: ChainSource, book: Book
) -> None:
    purse, raw = world.gift()
    before = world.chain.tip()
    paying = purse.spend(purse.coins(raw), to=book.script(0))
    world.chain.broadcast(paying.raw)
    world.mine()
    book.sync(source)
    assert book.balance().confirmed_sats == 199_000
    world.chain.reorganise(before.height)
    world.chain.broadcast(purse.spend(purse.coins(raw), fee_sats=9_000).raw)
    world.mine()
    tip = book.sync(source)
    assert tip == world.chain.tip()
    assert book.balance().confirmed_sats == 0
    # Filters tell what is in blocks: that a payment became impossible they do not.
    assert book.balance().pending_sats == (0 if world.sees_waiting else 199_000)


def test_a_payment_moves_to_another_block(world: World, source: ChainSource, book: Book) -> None:
    before = world.chain.tip()
    paid = world.pay(book.script(0))
    world.mine()
    book.sync(source)
    world.chain.reorganise(before.height)
    world.settle()
    book.sync(source)
    assert book.coins() == {paid: None}
    world.mine()
    tip = book.sync(source)
    assert book.coins() == {paid: tip.height}


def test_a_replaced_transaction_is_gone(world: World, source: ChainSource, book: Book) -> None:
    purse, raw = world.gift()
    world.chain.broadcast(purse.spend(purse.coins(raw), to=book.script(0)).raw)
    world.settle()
    book.sync(source)
    assert book.balance() == (0, 199_000, 0, 0)
    better = purse.spend(purse.coins(raw), fee_sats=9_000, to=book.script(1))
    world.chain.broadcast(better.raw)
    world.settle()
    book.sync(source)
    assert book.balance() == (0, 191_000, 0, 0)
    assert book.coins() == {better.txid: None}


def test_a_reserved_coin_spent_elsewhere_ends_its_ceremony(
    world: World, source: ChainSource, book: Book
) -> None:
    world.pay(book.script(0), 100_000)
    world.mine()
    book.sync(source)
    order = creation.Order("v", (Payment(PAYEE, 20_000),), 2_000)
    with book.database.begin() as db:
        opened = creation.create(book.home, db, order, accepted=["policy_not_approved"])
    world.chain.broadcast(book.payment(PAYEE, 30_000))
    world.settle()
    book.sync(source)
    world.mine()
    book.sync(source)
    assert opened.ceremony is not None
    with book.database.begin() as db:
        assert ceremony_book.ceremony_named(db, opened.ceremony).state == "replaced"
    assert book.balance() == (69_000, 0, 0, 0)


@pytest.mark.parametrize(
    "ahead", [FEW_AHEAD, pytest.param(wallet_sync.LOOKAHEAD, marks=pytest.mark.matrix)]
)
def test_payments_beyond_the_gap_are_found_step_by_step(
    world: World, source: ChainSource, book: Book, ahead: int
) -> None:
    step = ahead * 9 // 10
    first, second, third = (world.pay(book.script(step * number)) for number in (1, 2, 3))
    world.mine()
    book.sync(source)
    assert set(book.coins()) == {first, second, third}
    later = world.pay(book.script(step * 4))
    world.mine()
    book.sync(source)
    assert set(book.coins()) == {first, second, third, later}


def test_two_vaults_are_kept_apart(world: World, source: ChainSource, book: Book) -> None:
    book.add("w", soft_vault(1, 2))
    world.pay(book.script(0), 100_000)
    world.mine()
    for name in ("v", "w"):
        book.sync(source, name)
    assert book.balance("w") == (0, 0, 0, 0)
    world.chain.broadcast(book.payment(book.script(4, name="w"), 30_000))
    world.mine()
    for name in ("v", "w"):
        book.sync(source, name)
    assert book.balance() == (69_000, 0, 0, 0)
    assert book.balance("w") == (30_000, 0, 0, 0)


OTHER_SCRIPTS = {
    "nested": soft_vault(2, 3, "sh-wsh"),
    "legacy": soft_vault(1, 2, "sh"),
    "unsorted": soft_vault(2, 2, sorted_keys=False),
    "leaf": soft_vault(2, 3, "tr"),
}
FURTHER_SCRIPTS = {
    "nested-unsorted": soft_vault(3, 4, "sh-wsh", sorted_keys=False),
    "legacy-unsorted": soft_vault(2, 3, "sh", sorted_keys=False),
    "legacy-of-fifteen": soft_vault(14, 15, "sh"),
    "nested-of-fifteen": soft_vault(15, 15, "sh-wsh"),
    "unsorted-of-fifteen": soft_vault(15, 15, sorted_keys=False),
}


@pytest.mark.parametrize(
    "vaults", [OTHER_SCRIPTS, pytest.param(FURTHER_SCRIPTS, marks=pytest.mark.matrix)]
)
def test_vaults_of_every_script_are_found_and_spent_from(
    world: World, source: ChainSource, book: Book, vaults: dict[str, SoftVault]
) -> None:
    for name, soft in vaults.items():
        book.add(name, soft)
        world.pay(book.script(0, name=name), 100_000)
        world.pay(book.script(2, keychain=1, name=name), 50_000)
    world.mine()
    for name in vaults:
        book.sync(source, name)
        assert book.balance(name) == (150_000, 0, 0, 0)
        source.broadcast(book.payment(PAYEE, 30_000, fee_sats=4_000, name=name))
    world.settle()
    world.mine()
    for name in vaults:
        book.sync(source, name)
        assert book.balance(name) == (150_000 - 34_000, 0, 0, 0)
        assert len(book.coins(name)) == 2


def test_a_restart_in_the_middle_loses_nothing(
    world: World, source: ChainSource, book: Book
) -> None:
    first = world.pay(book.script(0))
    world.mine()
    lose_power(book, source)
    assert book.coins() == {}
    source.close()
    again = world.open()
    book.sync(again)
    assert set(book.coins()) == {first}
    second = world.pay(book.script(1))
    world.stop()
    world.start()
    world.settle()
    lose_power(book, again)
    book.sync(world.open())
    assert set(book.coins()) == ({first, second} if world.sees_waiting else {first})
    world.mine()
    lose_power(book, again)
    book.sync(world.open())
    assert set(book.coins()) == {first, second}
    assert book.balance() == (140_000, 0, 0, 0)


def test_a_server_that_lies_about_a_transaction_is_not_believed(
    world: World, source: ChainSource, book: Book
) -> None:
    assert world.daemon is not None
    _, other = world.gift()
    txid = world.pay(book.script(0))
    world.mine()
    world.daemon.lie(txid, other)
    # BDK leaves out what is not what its name says; the rest is refused here.
    with suppress(ChainError):
        book.sync(source)
    assert book.coins() == {}
    world.daemon.lies.clear()
    book.sync(world.open())
    assert set(book.coins()) == {txid}


def test_a_server_that_goes_away_is_named_and_nothing_is_lost(
    world: World, source: ChainSource, book: Book
) -> None:
    first = world.pay(book.script(0))
    world.mine()
    book.sync(source)
    second = world.pay(book.script(1))
    world.mine()
    world.stop()
    with pytest.raises(ChainUnreachable):
        book.sync(source)
    assert set(book.coins()) == {first}
    world.start()
    world.settle()
    world.cut()
    try:
        book.sync(source)
    except ChainUnreachable:
        assert set(book.coins()) == {first}
        world.start()
        book.sync(world.open())
    assert set(book.coins()) == {first, second}


def test_a_payment_is_sent_and_sent_again(world: World, source: ChainSource, book: Book) -> None:
    world.pay(book.script(0), 100_000)
    world.mine()
    book.sync(source)
    raw = book.payment(PAYEE, 30_000)
    txid = parse_transaction(raw).txid
    assert source.broadcast(raw) == txid
    assert source.broadcast(raw) == txid
    world.settle()
    assert world.chain.mempool() == [txid]
    book.sync(source)
    assert book.balance() == (0, 69_000, 0, 0)
    world.mine()
    assert book.sync(source) == world.chain.tip()
    assert book.balance() == (69_000, 0, 0, 0)


def test_what_is_no_transaction_is_rejected(source: ChainSource) -> None:
    with pytest.raises(TransactionRejected) as caught:
        source.broadcast(b"no transaction")
    assert caught.value.reason


def test_a_fee_too_low_is_refused_with_the_reason(
    world: World, source: ChainSource, book: Book
) -> None:
    world.pay(book.script(0), 100_000)
    world.mine()
    book.sync(source)
    with pytest.raises(TransactionRejected, match="min relay fee not met"):
        source.broadcast(book.payment(PAYEE, 30_000, fee_sats=10))
    assert world.chain.mempool() == []


def test_fee_rates_are_at_least_the_relay_rate(world: World, source: ChainSource) -> None:
    with pytest.raises(ChainError):
        source.feerate(0)
    if world.daemon is not None:
        world.daemon.feerate_sats_per_kvb = 12_345
        assert source.feerate(6) == 12_345
        world.daemon.feerate_sats_per_kvb = None
    if world.source == "regtest":
        assert source.feerate(1) >= source.feerate(144) >= 1_000
    elif world.source != "electrum":
        with pytest.raises(NoEstimate):
            source.feerate(6)


def test_a_package_is_weighed_with_its_ancestors(
    world: World, source: ChainSource, book: Book
) -> None:
    assert isinstance(source, PackageSource)
    purse, raw = world.gift()
    parent = purse.spend(purse.coins(raw))
    child = purse.spend(purse.coins(parent.raw), fee_sats=5_000, to=book.script(0))
    world.chain.broadcast(parent.raw)
    world.chain.broadcast(child.raw)
    world.settle()
    assert source.package(parent.txid) == (parent.vsize, 1_000)
    alone, both = (child.vsize, 5_000), (parent.vsize + child.vsize, 6_000)
    # Electrum's protocol does not tell which parents wait.
    assert source.package(child.txid) == (alone if world.source == "electrum" else both)
    with pytest.raises(ChainError):
        source.package("00" * 32)


def test_an_unknown_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the chain is not one of regtest:"):
        open_chain("gopher://x", tmp_path, "regtest")


def test_closing_twice_does_no_harm(source: ChainSource) -> None:
    source.close()
    source.close()


def lose_power(book: Book, source: ChainSource) -> None:
    """Sync, and lose power before the database commits."""
    with book.database() as db:
        wallet_sync.sync(db, book.vault(db), source)
        db.rollback()


def test_the_table_in_the_documents_is_this_suite() -> None:
    readme = (ROOT / "coordinator" / "chain" / "README.md").read_text()
    cases = [name for name, what in globals().items() if asks_a_world(name, what)]
    assert {case for case, _ in NOT_ASKED} <= set(cases)
    assert "\n".join(table(cases)) in readme


def asks_a_world(name: str, what: object) -> bool:
    asks = inspect.isfunction(what) and {"world", "source"} & set(
        inspect.signature(what).parameters
    )
    return name.startswith("test_") and bool(asks)
