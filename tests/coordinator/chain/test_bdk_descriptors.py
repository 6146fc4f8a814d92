"""What BDK is asked in place of a sorted leaf, and what its wallets learnt made one."""

import pytest

from tests.judges import judge

judge("bdkpython")

from coordinator.chain import ChainUpdate, SeenTransaction, Tip, Watch  # noqa: E402 -- with BDK alone
from coordinator.chain.bdk.descriptors import merged, spelled  # noqa: E402 -- as above
from coordinator.chain.bdk.source import BdkChain  # noqa: E402 -- as above
from coordinator.errors import ChainError  # noqa: E402 -- as above
from psbt.policy import RECEIVE, format_descriptor, vault_script  # noqa: E402 -- as above
from tests.psbt.soft_vault import soft_vault  # noqa: E402 -- as above

TXIDS = ["aa" * 32, "bb" * 32]
LEAF = soft_vault(2, 3, "tr").policy


def told(height: int, *seen: SeenTransaction, fork: int | None = None) -> ChainUpdate:
    tip = Tip(height, f"{height:064x}")
    return ChainUpdate(tip, fork, seen, (100 + height, 200 - height))


def test_what_bdk_reads_itself_stays_as_it_is() -> None:
    for script in ("wsh", "sh-wsh", "sh"):
        text = format_descriptor(soft_vault(2, 3, script).policy)
        assert spelled(text) == [text]


def test_every_address_of_a_sorted_leaf_is_one_of_an_order() -> None:
    bdk = judge("bdkpython")
    texts = spelled(format_descriptor(LEAF))
    assert len({*texts}) == 6
    found: set[bytes] = set()
    for text in texts:
        receive, _ = bdk.Descriptor(text, bdk.NetworkKind.TEST).to_single_descriptors()
        wallet = bdk.Wallet.create_single(
            receive, bdk.Network.REGTEST, bdk.Persister.new_in_memory()
        )
        kind = bdk.KeychainKind.EXTERNAL
        found |= {
            bytes(wallet.peek_address(kind, index).address.script_pubkey().to_bytes())
            for index in range(12)
        }
    assert {vault_script(LEAF, RECEIVE, index).script_pubkey for index in range(12)} <= found


def test_more_keys_than_can_be_ordered_are_refused_with_what_to_do() -> None:
    assert len(spelled(format_descriptor(soft_vault(1, 4, "tr").policy))) == 24
    with pytest.raises(ChainError, match=r"has 5; ask an Electrum or Esplora"):
        spelled(format_descriptor(soft_vault(1, 5, "tr").policy))


def test_a_transaction_in_a_block_counts_more_than_the_same_one_waiting() -> None:
    waiting, placed = (
        SeenTransaction(TXIDS[0], b"raw"),
        SeenTransaction(TXIDS[0], b"raw", 7, "cc" * 32),
    )
    other = SeenTransaction(TXIDS[1], b"more")
    for updates in ([told(8, waiting), told(9, placed, other)], [told(9, placed, other), told(8)]):
        one = merged(updates)
        assert one.tip.height == 8
        assert {*one.transactions} == {placed, other}
        assert one.reach == (108, 191)


def test_where_one_wallet_tells_again_each_of_them_does(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Watch] = []

    def synced(_chain: BdkChain, watch: Watch) -> ChainUpdate:
        asked.append(watch)
        return told(9, fork=5 if len(asked) == 2 else None)

    monkeypatch.setattr(BdkChain, "_synced", synced)
    chain = object.__new__(BdkChain)
    chain._client = None  # type: ignore[assignment] -- nobody that tells histories
    since = Tip(8, "dd" * 32)
    update = chain.sync(Watch(frozenset(), since, format_descriptor(LEAF), known=lambda: {"x": 1}))
    assert update.reorganised_to == 5
    assert [watch.since for watch in asked] == [since] * 6 + [None] * 6
    assert all(watch.known() == {} for watch in asked[6:])
    first, again = ([watch.descriptor for watch in part] for part in (asked[:6], asked[6:]))
    assert first == again == spelled(format_descriptor(LEAF))
