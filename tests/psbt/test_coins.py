import random
from itertools import combinations
from typing import NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from psbt.coins import (
    Coin,
    Outpoint,
    Payment,
    ScriptSize,
    Selection,
    Wish,
    parse_outpoint,
    select_coins,
)
from psbt.errors import InsufficientFunds, PsbtError
from psbt.multisig import Multisig, write_multisig
from psbt.transaction import Transaction, TransactionInput, TransactionOutput
from psbt.weight import dust_limit_sats, input_weight

P2WSH = b"\x00\x20" + b"\x22" * 32
P2WPKH = b"\x00\x14" + b"\x33" * 20
TWO_OF_THREE = ScriptSize(2, 3)
VAULT_DUST = 330


def coin(number: int, value_sats: int) -> Coin:
    return Coin(Outpoint(f"{number:064x}", number % 3), value_sats, 0, number, 100)


def coins_of(*values: int) -> list[Coin]:
    return [coin(number, value) for number, value in enumerate(values)]


def pay(value_sats: int, feerate: int = 1_000, **more: object) -> Wish:
    return Wish((Payment(P2WPKH, value_sats),), feerate, **more)


def select(coins: list[Coin], wish: Wish, seed: int = 1, **more: int) -> Selection:
    return select_coins(coins, wish, TWO_OF_THREE, rng=random.Random(seed), **more)


def value(coins: object) -> int:
    return sum(coin.value_sats for coin in coins)


def signed(selection: Selection, wish: Wish, size: ScriptSize) -> Transaction:
    """Build the transaction with the longest signatures there can be."""
    script = write_multisig(Multisig(size.threshold, (b"\x02" * 33,) * size.total))
    witness = (b"", *(b"\x30" * 72,) * size.threshold, script)
    inputs = tuple(TransactionInput(c.outpoint, witness=witness) for c in selection.coins)
    paid = [TransactionOutput(p.value_sats, p.script_pubkey) for p in wish.payments]
    if wish.drain is not None:
        rest = value(selection.coins) - sum(o.value_sats for o in paid) - selection.fee_sats
        paid.append(TransactionOutput(rest, wish.drain))
    if selection.change_sats:
        paid.append(TransactionOutput(selection.change_sats, P2WSH))
    return Transaction(inputs, tuple(paid))


class Case(NamedTuple):
    coins: list[Coin]
    wish: Wish
    size: ScriptSize


@st.composite
def cases(draw: st.DrawFn, max_coins: int = 60) -> Case:
    values = draw(st.lists(st.integers(1, 10**6) | st.integers(300, 5_000), max_size=max_coins))
    total = draw(st.integers(1, 15))
    payments = draw(
        st.lists(
            st.builds(Payment, st.sampled_from([P2WSH, P2WPKH]), st.integers(330, 10**6)),
            min_size=1,
            max_size=4,
        )
    )
    coins = coins_of(*values)
    named = draw(st.sets(st.sampled_from(coins), max_size=3)) if coins else set()
    wish = Wish(
        tuple(payments),
        draw(st.integers(1, 60_000)),
        draw(st.sampled_from([None, None, None, P2WSH])),
        frozenset(coin.outpoint for coin in named),
    )
    return Case(coins, wish, ScriptSize(draw(st.integers(1, total)), total))


def selected_or_refused(case: Case, seed: int) -> Selection | InsufficientFunds:
    try:
        return select_coins(*case, rng=random.Random(seed))
    except InsufficientFunds as refusal:
        return refusal


@given(cases(), st.integers(0, 3))
@settings(max_examples=300)
def test_what_is_chosen_pays_the_wish(case: Case, seed: int) -> None:
    coins, wish, size = case
    before = list(coins)
    found = selected_or_refused(case, seed)
    if isinstance(found, InsufficientFunds):
        assert found.have_sats < found.need_sats
        assert found.have_sats <= value(coins)
        return
    assert coins == before
    assert set(found.coins) <= set(coins)
    assert len(set(found.coins)) == len(found.coins) > 0
    assert wish.must_spend <= {coin.outpoint for coin in found.coins}
    assert found.change_sats == 0 or found.change_sats >= VAULT_DUST
    transaction = signed(found, wish, size)
    assert found.vsize == transaction.vsize
    assert transaction.weight <= 400_000
    outputs = sum(output.value_sats for output in transaction.outputs)
    assert value(found.coins) == outputs + found.fee_sats
    assert found.fee_sats * 1_000 >= transaction.vsize * wish.feerate
    assert found == select_coins(coins, wish, size, rng=random.Random(seed))
    cost = input_weight(size) * wish.feerate
    for chosen in found.coins:
        assert chosen.value_sats * 4_000 > cost or chosen.outpoint in wish.must_spend


@given(cases(max_coins=7))
@settings(max_examples=200)
def test_funds_are_insufficient_only_if_no_set_of_coins_pays(case: Case) -> None:
    coins, wish, size = case
    assume(wish.drain is None)
    if isinstance(selected_or_refused(case, 1), InsufficientFunds):
        paid = sum(payment.value_sats for payment in wish.payments)
        for count in range(1, len(coins) + 1):
            for chosen in combinations(coins, count):
                if wish.must_spend <= {coin.outpoint for coin in chosen}:
                    vsize = signed(Selection(chosen, 0, 0, 0), wish, size).vsize
                    assert (value(chosen) - paid) * 1_000 < vsize * wish.feerate


@given(st.lists(st.integers(20_000, 60_000), min_size=2, max_size=7), st.data())
def test_coins_that_fit_exactly_need_no_change(values: list[int], data: st.DataObject) -> None:
    coins = coins_of(*values)
    count = data.draw(st.integers(1, len(coins)))
    exact = data.draw(st.permutations(coins))[:count]
    vsize = signed(Selection(tuple(exact), 0, 0, 0), pay(0), TWO_OF_THREE).vsize
    named = data.draw(st.sets(st.sampled_from(exact)))
    must_spend = frozenset(coin.outpoint for coin in named)
    wish = pay(value(exact) - 20 * vsize, 20_000, must_spend=must_spend)
    found = select(coins, wish, long_term_feerate=20_000)
    assert found.change_sats == 0
    assert found.fee_sats == 20 * found.vsize


def test_a_955_input_transaction_is_the_largest() -> None:
    coins = coins_of(*[10_000] * 1_200)
    found = select(coins, pay(8_900_000, 1_000))
    assert len(found.coins) >= 900
    assert signed(found, pay(8_900_000), TWO_OF_THREE).weight <= 400_000
    found = select(coins, Wish((Payment(P2WSH, 9_449_000),), 1_000))
    assert len(found.coins) == 955
    with pytest.raises(InsufficientFunds) as refusal:
        select(coins, Wish((Payment(P2WSH, 9_460_000),), 1_000))
    assert refusal.value.have_sats == 9_550_000
    drained = select(coins, Wish((), 1_000, drain=P2WSH))
    assert len(drained.coins) == 955
    assert signed(drained, Wish((), 1_000, P2WSH), TWO_OF_THREE).weight <= 400_000


def test_must_spend_coins_can_fill_a_transaction_but_no_more() -> None:
    coins = coins_of(*[10_000] * 957)
    payments = (Payment(P2WSH, 50_000),)
    for count in (955, 956):
        named = frozenset(coin.outpoint for coin in coins[:count])
        if count == 955:
            found = select(coins, Wish(payments, 1_000, must_spend=named))
            assert set(found.coins) == set(coins[:955])
            continue
        with pytest.raises(PsbtError, match="956 coins must be spent, but only 955 fit"):
            select(coins, Wish(payments, 1_000, must_spend=named))


def test_must_spend_coins_take_room_from_the_others() -> None:
    coins = coins_of(*[10_000] * 1_200)
    named = frozenset(coin.outpoint for coin in coins[:500])
    for value_sats, fits in ((9_449_000, True), (9_460_000, False)):
        wish = Wish((Payment(P2WSH, value_sats),), 1_000, must_spend=named)
        if fits:
            assert len(select(coins, wish).coins) == 955
            continue
        with pytest.raises(InsufficientFunds):
            select(coins, wish)


def test_outputs_may_leave_room_for_a_single_coin() -> None:
    payments = (Payment(P2WSH, 330),) * 2_320
    found = select(coins_of(2_000_000), Wish(payments, 1_000))
    assert len(found.coins) == 1


def test_all_bitcoin_there_will_be_are_too_many_to_have_but_not_to_wish() -> None:
    with pytest.raises(InsufficientFunds):
        select(coins_of(10**6), pay(21 * 10**14))


def test_the_lowest_rates_are_rates() -> None:
    found = select(coins_of(100_000), pay(50_000, 1), long_term_feerate=1)
    assert found.fee_sats == 1
    with pytest.raises(PsbtError, match="fee rate of 0"):
        select(coins_of(100_000), pay(50_000), long_term_feerate=0)


def test_numbers_of_a_shortfall_are_true() -> None:
    vsize = 10.5 + 2 * input_weight(TWO_OF_THREE) / 4 + 31
    need = 100_000 + -(-2_000 * int(-(-vsize // 1)) // 1_000)
    with pytest.raises(InsufficientFunds) as refusal:
        select(coins_of(50_000, 30_000, 208), pay(100_000, 2_000))
    assert (refusal.value.have_sats, refusal.value.need_sats) == (80_000, need)
    assert str(refusal.value) == f"{need} sats are needed, 80000 can be spent"
    missing = need - 80_000
    with pytest.raises(InsufficientFunds):
        select(coins_of(50_000, 30_000 + missing - 1), pay(100_000, 2_000))
    found = select(coins_of(50_000, 30_000 + missing), pay(100_000, 2_000))
    assert (found.fee_sats, found.change_sats) == (need - 100_000, 0)


def test_without_any_coin_nothing_can_be_spent() -> None:
    for wish in (pay(1_000), Wish((), 1_000, drain=P2WSH)):
        with pytest.raises(InsufficientFunds) as refusal:
            select([], wish)
        assert refusal.value.have_sats == 0


def test_a_coin_that_costs_more_than_it_brings_is_left() -> None:
    worthless, worthy = input_weight(TWO_OF_THREE) * 10 // 4, 1_046
    coins = coins_of(100_000, worthless, worthy)
    drained = select(coins, Wish((), 10_000, drain=P2WSH))
    assert drained.coins == (coins[2], coins[0])
    named = frozenset({coins[1].outpoint})
    assert coins[1] in select(coins, pay(50_000, 10_000, must_spend=named)).coins


def test_change_is_paid_only_where_it_is_worth_having() -> None:
    vsize = signed(Selection(tuple(coins_of(0)), 0, 330, 0), pay(0), TWO_OF_THREE).vsize
    least = -(-input_weight(TWO_OF_THREE) // 4) * 10 + 1
    for missing, change in ((0, least), (1, 0)):
        found = select(coins_of(50_000 + vsize + least - missing), pay(50_000))
        assert found.change_sats == change
        assert found.fee_sats == (vsize if change else vsize + least - missing)
    cheap = select(coins_of(50_000 + vsize + VAULT_DUST), pay(50_000), long_term_feerate=1_000)
    assert cheap.change_sats == VAULT_DUST
    cheap = select(coins_of(50_000 + vsize + VAULT_DUST - 1), pay(50_000), long_term_feerate=1_000)
    assert cheap.change_sats == 0


def test_high_rates_take_the_fewest_coins() -> None:
    coins = coins_of(*[30_000] * 50, 2_000_000)
    found = select(coins, pay(1_000_000, 50_000))
    assert found.coins == (coins[-1],)


def test_low_rates_may_take_more_coins_than_the_fewest() -> None:
    coins = coins_of(*[30_000 + 7 * n for n in range(80)], 2_000_000)
    counts = [len(select(coins, pay(1_000_000, 1_000), seed).coins) for seed in range(5)]
    assert max(counts) > 1


def test_a_drain_takes_all_or_only_the_named_coins() -> None:
    coins = coins_of(40_000, 50_000, 60_000)
    found = select(coins, Wish((), 2_000, drain=P2WPKH))
    assert set(found.coins) == set(coins)
    assert (found.change_sats, found.fee_sats) == (0, 2 * found.vsize)
    named = frozenset({coins[1].outpoint})
    assert select(coins, Wish((), 2_000, P2WPKH, named)).coins == (coins[1],)
    both = select(coins, Wish((Payment(P2WSH, 20_000),), 2_000, P2WPKH))
    assert set(both.coins) == set(coins)


def test_a_drain_leaves_no_dust() -> None:
    fee = select(coins_of(50_000), Wish((), 1_000, drain=P2WPKH)).fee_sats
    limit = dust_limit_sats(P2WPKH)
    assert select(coins_of(fee + limit), Wish((), 1_000, drain=P2WPKH)).fee_sats == fee
    with pytest.raises(InsufficientFunds) as refusal:
        select(coins_of(fee + limit - 1), Wish((), 1_000, drain=P2WPKH))
    assert refusal.value.need_sats == fee + limit


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (Wish((), 1_000), "nothing to pay"),
        (pay(100_000, 0), "fee rate of 0"),
        (pay(100_000, -5), "fee rate of -5"),
        (pay(293), "293 sats is dust, nodes relay 294"),
        (Wish((Payment(P2WSH, 329),), 1_000), "329 sats is dust, nodes relay 330"),
        (pay(21 * 10**14 + 1), "more than there will ever be"),
        (pay(1_000, must_spend=frozenset({Outpoint("ab" * 32, 7)})), f"{'ab' * 32}:7 cannot"),
        (Wish((Payment(P2WSH, 330),) * 2_322, 1_000), "2322 outputs leave no room"),
    ],
)
def test_what_no_transaction_can_do_is_refused(wish: Wish, reason: str) -> None:
    with pytest.raises(PsbtError, match=reason):
        select(coins_of(10**6), wish)


def test_an_op_return_may_be_worth_nothing() -> None:
    wish = Wish((Payment(b"\x6a\x04data", 0), Payment(P2WPKH, 294)), 1_000)
    assert select(coins_of(100_000), wish).change_sats > 0


def test_many_outputs_are_counted_in_three_bytes() -> None:
    for count in (251, 252, 253):
        wish = Wish((Payment(P2WPKH, 1_000),) * count, 3_000)
        found = select(coins_of(*[40_000] * 300), wish)
        assert found.vsize == signed(found, wish, TWO_OF_THREE).vsize


def test_the_choice_is_the_rngs() -> None:
    coins = coins_of(*[30_000 + 101 * n for n in range(300)])
    wish = pay(2_000_000, 1_000)
    found = {select(coins, wish, seed) for seed in range(6)}
    assert len(found) > 1


def test_outpoints_are_read_as_they_are_written() -> None:
    outpoint = Outpoint("0f" * 32, 12)
    assert str(outpoint) == f"{'0f' * 32}:12"
    assert parse_outpoint(str(outpoint)) == parse_outpoint(str(outpoint).upper()) == outpoint
    assert parse_outpoint("0f" * 32 + ":4294967295").vout == 2**32 - 1


@pytest.mark.parametrize(
    "text", ["", "0f" * 32, "0f" * 31 + ":0", "0g" * 32 + ":0", "0f" * 32 + ":4294967296",
             "0f" * 32 + ":-1", "0f" * 32 + ":0 ", "0f" * 32 + ":"]
)  # fmt: skip
def test_another_text_is_no_outpoint(text: str) -> None:
    with pytest.raises(PsbtError, match="is no coin"):
        parse_outpoint(text)
