"""What Bitcoin Core 30 relays, rule by rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psbt.coins import Outpoint
from psbt.relay import (
    CORE_30,
    CoinAge,
    NodeView,
    Refusal,
    RelayRules,
    WaitingTransaction,
    fee_refusals,
    form_refusals,
    lock_refusals,
    output_kind,
    package_refusals,
    relay_vsize,
    sigops,
)
from psbt.transaction import Transaction, TransactionInput, TransactionOutput

KEY = b"\x02" + b"\x11" * 32
LONG_KEY = b"\x04" + b"\x11" * 64
COIN = Outpoint("ab" * 32, 0)
P2WSH = b"\x00\x20" + bytes(32)
TIP, NOW = 1_000, 1_700_000_000
FINAL, RBF = 0xFFFFFFFF, 0xFFFFFFFD


def bare(threshold: int, keys: list[bytes], total: int | None = None) -> bytes:
    pushed = b"".join(bytes((len(key),)) + key for key in keys)
    count = len(keys) if total is None else total
    return bytes((0x50 + threshold,)) + pushed + bytes((0x50 + count, 0xAE))


KINDS = {
    "p2pk": b"\x21" + KEY + b"\xac",
    "p2pk of a long key": b"\x41" + LONG_KEY + b"\xac",
    "p2pk of no key": b"\x21\x05" + bytes(32) + b"\xac",
    "p2pk of a key not pushed": b"\x20" + KEY + b"\xac",
    "multisig 1 of 3": bare(1, [KEY] * 3),
    "multisig 3 of 3, one key long": bare(3, [KEY, LONG_KEY, KEY]),
    "multisig 1 of 4": bare(1, [KEY] * 4),
    "multisig 2 of 1": bare(2, [KEY]),
    "multisig of no key": bare(1, [b"\x05" * 33]),
    "multisig with the wrong count": bare(1, [KEY, KEY], total=3),
    "anchor": bytes.fromhex("51024e73"),
    "later witness": b"\x60\x28" + bytes(40),
    "witness 0 of 30 bytes": b"\x00\x1e" + bytes(30),
    "witness of 41 bytes": b"\x52\x29" + bytes(41),
    "data": b"\x6a\x04note",
    "no data": b"\x6a",
    "data in several pushes": b"\x6a\x04note\x4c\x02ab\x4d\x02\x00cd\x4e\x01\x00\x00\x00e\x60\x50",
    "data that is cut off": b"\x6a\x05note",
    "data with an operation": b"\x6a\xac",
    "p2wsh": P2WSH,
    "p2tr": b"\x51\x20" + bytes(32),
    "p2sh": b"\xa9\x14" + bytes(20) + b"\x87",
    "anyone": b"\x51",
    "nothing": b"",
}
STANDARD = {
    "p2pk": "p2pk",
    "p2pk of a long key": "p2pk",
    "multisig 1 of 3": "multisig",
    "multisig 3 of 3, one key long": "multisig",
    "anchor": "witness",
    "later witness": "witness",
    "data": "data",
    "no data": "data",
    "data in several pushes": "data",
    "p2wsh": "p2wsh",
    "p2tr": "p2tr",
    "p2sh": "p2sh",
}


@pytest.mark.parametrize("name", KINDS)
def test_an_output_is_what_core_takes_it_for(name: str) -> None:
    assert output_kind(KINDS[name]) == STANDARD.get(name, "nonstandard")


def paying(*outputs: tuple[int, bytes], version: int = 2) -> Transaction:
    made = tuple(TransactionOutput(value, script) for value, script in outputs)
    return Transaction((TransactionInput(COIN, sequence=RBF),), made, version)


def codes(refusals: object) -> list[str]:
    return [each.code for each in refusals if isinstance(each, Refusal)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("version", "said"), [(0, "0"), (1, None), (3, None), (4, "4"), (0xFFFFFFFF, "-1")]
)
def test_versions_1_to_3_are_relayed(version: int, said: str | None) -> None:
    found = list(form_refusals(paying((1_000, P2WSH), version=version), 600))
    assert [each.message.rpartition(" ")[2] for each in found] == ([said] if said else [])
    assert all(each.code == "nonstandard_version" for each in found)


def test_data_is_bounded_over_all_outputs() -> None:
    half = b"\x6a\x4d" + (50_000 - 4).to_bytes(2, "little") + bytes(50_000 - 4)
    assert codes(form_refusals(paying((0, half), (0, half)), 400_000)) == []
    one_more = paying((0, half), (0, half), (0, b"\x6a"))
    assert codes(form_refusals(one_more, 400_000)) == ["too_much_data"]
    strict = RelayRules(datacarrier_size=83)
    assert codes(form_refusals(paying((0, half)), 1_000, strict)) == ["too_much_data"]


@pytest.mark.parametrize(
    ("script", "limit"),
    [(P2WSH, 330), (bytes.fromhex("51024e73"), 240), (b"\x21" + KEY + b"\xac", 576), (b"\x6a", 0)],
)
def test_dust_depends_on_the_script(script: bytes, limit: int) -> None:
    other = 1_000, P2WSH
    assert codes(form_refusals(paying((limit, script), other), 600)) == []
    if limit:
        assert codes(form_refusals(paying((limit - 1, script), other), 600)) == ["dust"]


def test_bare_multisig_may_be_refused_by_a_node() -> None:
    payment = paying((1_000, bare(1, [KEY])))
    assert codes(form_refusals(payment, 600)) == []
    strict = RelayRules(bare_multisig=False)
    assert [each.reason for each in form_refusals(payment, 600, strict)] == ["bare-multisig"]


@given(st.integers(100, 100_000), st.integers(1, 5_000))
def test_the_least_fee_is_relayed_and_one_less_is_not(vsize: int, minimum: int) -> None:
    rules = CORE_30._replace(minimum=minimum)
    least = -(-vsize * minimum // 1_000)
    assert codes(fee_refusals(least, vsize, rules)) == []
    assert codes(fee_refusals(least - 1, vsize, rules)) == ["below_relay_minimum"]


def test_a_fee_no_node_sends_is_said() -> None:
    assert codes(fee_refusals(2_000_000, 200)) == []
    assert codes(fee_refusals(2_000_001, 200)) == ["absurd_fee"]


def test_many_signature_checks_weigh() -> None:
    assert sigops(bare(1, [KEY])) == 20
    assert sigops(bare(1, [KEY] * 3), accurate=True) == 3
    assert relay_vsize(400, 80) == 400
    assert relay_vsize(4_000, 80) == 1_000


def locked(sequence: int, locktime: int = 0, version: int = 2, **ages: CoinAge) -> list[Refusal]:
    item = TransactionInput(COIN, sequence=sequence)
    payment = Transaction((item,), (TransactionOutput(1_000, P2WSH),), version, locktime)
    coins = {COIN: ages.get("coin", CoinAge(TIP - 9, NOW - 5_120))}
    return list(lock_refusals(payment, TIP, NodeView(median_time=NOW, coins=coins)))


@pytest.mark.parametrize(
    ("sequence", "locktime", "said"),
    [
        (RBF, TIP, None),
        (RBF, TIP + 1, "it is locked until block 1002, about 2023-11-14"),
        (FINAL, TIP + 1, None),
        (RBF, NOW - 1, None),
        (RBF, NOW, "it is locked until 2023-11-14 22:13 UTC, by the time of blocks"),
        (FINAL, 0xFFFFFFFF, None),
        (RBF, 0xFFFFFFFF, "it is locked until 2106-02-07 06:28 UTC, by the time of blocks"),
    ],
)
def test_a_lock_time_counts_where_an_input_is_not_final(
    sequence: int, locktime: int, said: str | None
) -> None:
    assert [each.message for each in locked(sequence, locktime)] == ([said] if said else [])


@pytest.mark.parametrize(
    ("sequence", "code"),
    [
        (10, None),
        (11, "coin_locked"),
        (65_535, "coin_locked"),
        (1 << 31 | 65_535, None),
        (1 << 22 | 10, None),
        (1 << 22 | 11, "coin_locked"),
        (1 << 16 | 10, None),
    ],
)
def test_a_relative_lock_opens_with_the_coins_age(sequence: int, code: str | None) -> None:
    assert codes(locked(sequence)) == ([code] if code else [])
    assert codes(locked(sequence, version=1)) == []


def test_a_relative_lock_says_when_it_opens() -> None:
    (blocks,) = locked(65_535)
    assert blocks.message.endswith(
        "is locked for 65535 blocks: until block 66526, about 2025-02-11"
    )
    (seconds,) = locked(1 << 22 | 20)
    assert seconds.message.endswith("for 10240 seconds: until 2023-11-14 23:38 UTC")


def test_a_waiting_coin_has_not_begun_to_age() -> None:
    waiting = CoinAge(None)
    assert (
        codes(locked(1, coin=waiting))
        == codes(locked(1 << 22 | 1, coin=waiting))
        == ["coin_locked"]
    )
    assert codes(locked(0, coin=waiting)) == []


@pytest.mark.parametrize(("height", "code"), [(TIP - 99, None), (TIP - 98, "immature_coin")])
def test_a_newly_mined_coin_ripens(height: int, code: str | None) -> None:
    found = locked(RBF, coin=CoinAge(height, NOW, coinbase=True))
    assert codes(found) == ([code] if code else [])
    assert all(f"from block {height + 100} on" in each.message for each in found)


def line(length: int, version: int = 2) -> dict[str, WaitingTransaction]:
    """Return so many waiting transactions, each building on the one before."""
    return {
        f"{place:064x}": WaitingTransaction(version, 100, frozenset({f"{place - 1:064x}"}))
        for place in range(length)
    }


def building(
    waiting: dict[str, WaitingTransaction], version: int = 2, vsize: int = 200
) -> list[str]:
    item = TransactionInput(Outpoint(list(waiting)[-1], 0), sequence=RBF)
    payment = Transaction((item,), (TransactionOutput(1_000, P2WSH),), version)
    return codes(package_refusals(payment, vsize, NodeView(waiting=waiting)))


def test_a_line_of_waiting_transactions_is_bounded() -> None:
    assert building(line(24)) == []
    assert building(line(25)) == ["long_chain"]
    assert building(line(1), vsize=100_901) == ["long_chain"]


def test_version_3_waits_with_one_small_child() -> None:
    assert building(line(1, version=3), version=3, vsize=1_000) == []
    assert building(line(1, version=3), version=3, vsize=1_001) == ["version_3_rules"]
    assert building(line(2, version=3), version=3) == ["version_3_rules"]
    assert building(line(1, version=3), version=2) == ["version_3_rules"]
    assert building(line(1, version=2), version=3) == ["version_3_rules"]


def test_without_a_tip_only_a_height_that_is_not_mined_yet_is_a_lock() -> None:
    moment = 1_760_000_000
    view = NodeView(median_time=moment)
    item = TransactionInput(COIN, sequence=RBF)
    for height, codes in ((918_000, []), (1_200_000, ["locked"])):
        payment = Transaction((item,), (TransactionOutput(1_000, P2WSH),), 2, height)
        assert [each.code for each in lock_refusals(payment, None, view)] == codes
