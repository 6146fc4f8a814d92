"""Choosing coins, fee and change.

All coins of a vault cost the same to spend, so the fee depends on their number alone.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from random import Random
from typing import Final, NamedTuple

from psbt.errors import InsufficientFunds, PsbtError
from psbt.input_costs import COST_SCALE, Terms
from psbt.subsets import Window, subsets_within
from psbt.weight import ScriptSize, dust_limit_sats, output_size

__all__ = [
    "Coin",
    "Outpoint",
    "Payment",
    "ScriptSize",
    "Selection",
    "Wish",
    "dust_limit_sats",
    "inputs_max",
    "parse_outpoint",
    "select_coins",
]

LONG_TERM_FEERATE: Final = 10_000
MAX_SATS: Final = 21_000_000 * 100_000_000
CHANGELESS_TRIED: Final = 64

OUTPOINT = re.compile(r"([0-9a-fA-F]{64}):([0-9]{1,10})")
VALUE = attrgetter("value_sats")


class Outpoint(NamedTuple):
    """A coin's name: the transaction that made it, as display hex, and the output's number."""

    txid: str
    vout: int

    def __str__(self) -> str:
        """Write `txid:vout`."""
        return f"{self.txid}:{self.vout}"


@dataclass(frozen=True, slots=True)
class Coin:
    """An output of the vault that can be spent; `height` None is unconfirmed."""

    outpoint: Outpoint
    value_sats: int
    keychain: int
    index: int
    height: int | None


class Payment(NamedTuple):
    """An amount for an output script."""

    script_pubkey: bytes
    value_sats: int


class Selection(NamedTuple):
    """The coins to spend and where their value goes; `change_sats` 0 is no change output."""

    coins: tuple[Coin, ...]
    fee_sats: int
    change_sats: int
    vsize: int


class Wish(NamedTuple):
    """What is to be paid, at which rate (sat/kvB).

    `drain` is a script that takes what the coins leave: those of `must_spend`, else all.
    """

    payments: tuple[Payment, ...]
    feerate: int
    drain: bytes | None = None
    must_spend: frozenset[Outpoint] = frozenset()


def parse_outpoint(text: str) -> Outpoint:
    """Read `txid:vout`."""
    matched = OUTPOINT.fullmatch(text)
    if not matched or int(matched[2]) > 0xFFFFFFFF:
        raise PsbtError(f"{text!r} is no coin; write TXID:NUMBER")
    return Outpoint(matched[1].lower(), int(matched[2]))


def select_coins(
    coins: Sequence[Coin],
    wish: Wish,
    policy_size: ScriptSize,
    *,
    rng: Random,
    long_term_feerate: int = LONG_TERM_FEERATE,
) -> Selection:
    """Choose coins that pay the wish at its rate or a little above, with the least waste.

    Waste is what spending now costs over spending later, and change or what is given up for
    having none. Coins that cost more than they bring are left unless they must be spent; a
    drain of more coins than fit takes the most valuable. Raises InsufficientFunds.
    """
    terms = _terms(wish, policy_size, long_term_feerate)
    named, others = _parted(coins, wish.must_spend)
    room = terms.inputs_max - len(named)
    if room < 0:
        raise PsbtError(f"{len(named)} coins must be spent, but only {terms.inputs_max} fit")
    ranked = _worth_spending(others, terms)
    if wish.drain is not None:
        return _drained(named or _largest(ranked, room), wish.drain, terms)
    candidates = _candidates(named, ranked, terms, rng=rng)
    settled = [found for chosen in candidates if (found := _settled(chosen, terms))]
    if not settled:
        spendable = _value(named) + _value(_largest(ranked, room))
        raise InsufficientFunds(spendable, terms.need(len(named) + min(room, len(ranked))))
    return min(settled, key=lambda selection: _waste(selection, terms))


def inputs_max(wish: Wish, policy_size: ScriptSize) -> int:
    """Return how many coins fit into one standard transaction that pays the wish, with change."""
    return _terms(wish, policy_size, LONG_TERM_FEERATE).inputs_max


def _terms(wish: Wish, size: ScriptSize, long_term_feerate: int) -> Terms:
    """Refuse what no transaction can do, and reckon what the rest costs."""
    if wish.feerate < 1 or long_term_feerate < 1:
        least = min(wish.feerate, long_term_feerate)
        raise PsbtError(f"a fee rate of {least} sat/kvB is not possible")
    scripts = [payment.script_pubkey for payment in wish.payments]
    scripts += [] if wish.drain is None else [wish.drain]
    if not scripts:
        raise PsbtError("there is nothing to pay")
    for payment in wish.payments:
        _check_payment(payment)
    sizes = [output_size(script) for script in scripts]
    paid_sats = sum(payment.value_sats for payment in wish.payments)
    terms = Terms(paid_sats, len(sizes), sum(sizes), size, wish.feerate, long_term_feerate)
    if terms.inputs_max < 1:
        raise PsbtError(f"{len(sizes)} outputs leave no room for a coin in one transaction")
    return terms


def _check_payment(payment: Payment) -> None:
    limit = dust_limit_sats(payment.script_pubkey)
    if payment.value_sats < limit:
        raise PsbtError(
            f"a payment of {payment.value_sats} sats is dust, nodes relay {limit} sats or more"
        )
    if payment.value_sats > MAX_SATS:
        raise PsbtError(f"a payment of {payment.value_sats} sats is more than there will ever be")


def _parted(
    coins: Sequence[Coin], must_spend: frozenset[Outpoint]
) -> tuple[list[Coin], Sequence[Coin]]:
    """Return the coins that must be spent, and the others."""
    if not must_spend:
        return [], coins
    named = [coin for coin in coins if coin.outpoint in must_spend]
    missing = must_spend.difference(coin.outpoint for coin in named)
    if missing:
        raise PsbtError(f"the coin {min(missing)} cannot be spent")
    return named, [coin for coin in coins if coin.outpoint not in must_spend]


def _worth_spending(coins: Sequence[Coin], terms: Terms) -> list[Coin]:
    """Return the coins that bring more than they cost, ascending."""
    ranked = sorted(coins, key=VALUE)
    return ranked[bisect_right(ranked, terms.input_cost // COST_SCALE, key=VALUE) :]


def _largest(ranked: list[Coin], count: int) -> list[Coin]:
    return ranked[max(0, len(ranked) - count) :]


def _drained(chosen: list[Coin], drain: bytes, terms: Terms) -> Selection:
    have, need = _value(chosen), terms.need(len(chosen)) + dust_limit_sats(drain)
    if not chosen or have < need:
        raise InsufficientFunds(have, need)
    return Selection(tuple(chosen), terms.fee(len(chosen)), 0, terms.vsize(len(chosen)))


def _candidates(
    named: list[Coin], ranked: list[Coin], terms: Terms, *, rng: Random
) -> Iterator[list[Coin]]:
    """Yield sets of coins that may pay: exact ones, the fewest, and random ones."""
    room = terms.inputs_max - len(named)
    yield from _changeless(named, ranked, terms)
    largest = _largest(ranked, room)[::-1]
    drawn = rng.sample(ranked, min(room, len(ranked)))
    for order in (largest, drawn):
        for change in (False, True):
            yield _enough(named, order, terms, change=change)


def _changeless(named: list[Coin], ranked: list[Coin], terms: Terms) -> Iterator[list[Coin]]:
    """Yield sets whose excess is less than change would cost; a few may turn out not to be."""
    cost = terms.input_cost
    numbers = [value_sats * COST_SCALE - cost for value_sats in map(VALUE, ranked)]
    missing = (terms.paid_sats - _value(named)) * COST_SCALE
    low = missing + terms.weight(len(named)) * terms.feerate
    high = low + (terms.need(1, change=True) - terms.need(1)) * COST_SCALE
    window = Window(low, high, terms.inputs_max - len(named))
    for places in islice(subsets_within(numbers, window), CHANGELESS_TRIED):
        yield named + [ranked[place] for place in places]


def _enough(named: list[Coin], order: Sequence[Coin], terms: Terms, *, change: bool) -> list[Coin]:
    """Return the named coins and as many of the others, in their order, as it takes."""
    have = _value(named)
    for taken, coin in enumerate(order):
        if have >= terms.need(len(named) + taken, change=change):
            return named + list(order[:taken])
        have += coin.value_sats
    return [*named, *order]


def _settled(chosen: list[Coin], terms: Terms) -> Selection | None:
    """Divide what the coins bring into payments, fee and change; None if it is too little."""
    inputs, left = len(chosen), _value(chosen) - terms.paid_sats
    if left < terms.fee(inputs):
        return None
    fee_sats = terms.fee(inputs, change=True)
    if left - fee_sats < terms.least_change:
        return Selection(tuple(chosen), left, 0, terms.vsize(inputs))
    vsize = terms.vsize(inputs, change=True)
    return Selection(tuple(chosen), fee_sats, left - fee_sats, vsize)


def _waste(selection: Selection, terms: Terms) -> int:
    """Return what is spent beyond what must be, now or when the change is spent."""
    inputs = len(selection.coins)
    beyond = selection.fee_sats - terms.fee(inputs)
    if selection.change_sats:
        beyond += terms.spending_later
    sooner = terms.feerate - terms.long_term_feerate
    return inputs * terms.input_weight * sooner + beyond * COST_SCALE


def _value(coins: Iterable[Coin]) -> int:
    return sum(coin.value_sats for coin in coins)
