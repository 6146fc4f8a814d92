"""Choosing coins, fee and change.

All coins of a vault cost the same to spend, so the fee depends on their number alone.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice
from operator import attrgetter
from random import Random
from typing import Final, NamedTuple

from psbt.errors import InsufficientFunds, PsbtError
from psbt.weight import (
    WEIGHT_MAX,
    ScriptSize,
    dust_limit_sats,
    fee_at,
    input_weight,
    output_size,
    transaction_weight,
    vsize_of,
)

LONG_TERM_FEERATE: Final = 10_000
MAX_MONEY_SATS: Final = 21_000_000 * 100_000_000
CHANGELESS_TRIED: Final = 64
STEPS_MAX: Final = 10_000
COST_SCALE: Final = 4_000  # a weight unit costs 1/4000 sat at 1 sat/kvB

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


@dataclass(frozen=True)
class Terms:
    """The outputs to pay for, the script of the vault that pays, and the rates in sat/kvB."""

    paid_sats: int
    outputs: int
    outputs_size: int
    size: ScriptSize
    feerate: int
    long_term_feerate: int

    @cached_property
    def input_weight(self) -> int:
        """Return the weight of each input."""
        return input_weight(self.size)

    def weight(self, inputs: int, *, change: bool = False) -> int:
        """Return the weight of the signed transaction."""
        outputs, size = self.outputs, self.outputs_size
        if change:
            outputs, size = outputs + 1, size + self.size.output
        return transaction_weight(inputs, self.input_weight, outputs, outputs_size=size)

    def vsize(self, inputs: int, *, change: bool = False) -> int:
        """Return the size of the signed transaction in virtual bytes."""
        return vsize_of(self.weight(inputs, change=change))

    def fee(self, inputs: int, *, change: bool = False) -> int:
        """Return the fee in satoshis."""
        return fee_at(self.feerate, self.vsize(inputs, change=change))

    def need(self, inputs: int, *, change: bool = False) -> int:
        """Return what so many coins must be worth together, with change worth having or without."""
        need = self.paid_sats + self.fee(inputs, change=change)
        return need + self.least_change if change else need

    @property
    def input_cost(self) -> int:
        """Return what an input costs, in 1/4000 sat: so it is exact."""
        return self.input_weight * self.feerate

    @property
    def spending_later(self) -> int:
        """Return what it costs in satoshis to spend the change at the rate of later."""
        return fee_at(self.long_term_feerate, vsize_of(self.input_weight))

    @property
    def least_change(self) -> int:
        """Return the least change worth having: no dust, and more than its own spending costs."""
        return max(self.size.dust_sats, self.spending_later + 1)

    @property
    def inputs_max(self) -> int:
        """Return how many inputs fit into a standard transaction that has change."""
        inputs = (WEIGHT_MAX - self.weight(0, change=True)) // self.input_weight
        fits = self.weight(inputs, change=True) <= WEIGHT_MAX
        return inputs if fits else inputs - 1


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
    ranked = sorted(others, key=VALUE)
    ranked = ranked[bisect_right(ranked, terms.input_cost // COST_SCALE, key=VALUE) :]
    if wish.drain is not None:
        chosen = named or _largest(ranked, room)
        have, need = _value(chosen), terms.need(len(chosen)) + dust_limit_sats(wish.drain)
        if not chosen or have < need:
            raise InsufficientFunds(have, need)
        return Selection(tuple(chosen), terms.fee(len(chosen)), 0, terms.vsize(len(chosen)))
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
    for script, value_sats in wish.payments:
        limit = dust_limit_sats(script)
        if value_sats < limit:
            raise PsbtError(
                f"a payment of {value_sats} sats is dust, nodes relay {limit} sats or more"
            )
        if value_sats > MAX_MONEY_SATS:
            raise PsbtError(f"a payment of {value_sats} sats is more than there will ever be")
    sizes = [output_size(script) for script in scripts]
    paid_sats = sum(payment.value_sats for payment in wish.payments)
    terms = Terms(paid_sats, len(sizes), sum(sizes), size, wish.feerate, long_term_feerate)
    if terms.inputs_max < 1:
        raise PsbtError(f"{len(sizes)} outputs leave no room for a coin in one transaction")
    return terms


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


def _largest(ranked: list[Coin], count: int) -> list[Coin]:
    return ranked[max(0, len(ranked) - count) :]


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
    found = subsets_within(numbers, low, high, most=terms.inputs_max - len(named))
    for places in islice(found, CHANGELESS_TRIED):
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


def subsets_within(
    numbers: Sequence[int], low: int, high: int, *, most: int, steps: int = STEPS_MAX
) -> Iterator[tuple[int, ...]]:
    """Yield the places of at most so many numbers that add up to something from low to high.

    The numbers are positive and ascending. Large ones are tried first; of several equal ones
    only one choice is tried, and nothing is added to what is enough. Gives up after so many steps.
    """
    sums = [0, *accumulate(numbers)]
    chosen: list[int] = []
    total, end = 0, len(numbers)
    for _ in range(steps):
        end = bisect_right(numbers, high - total, 0, end)
        if total >= low:
            yield tuple(chosen)
        elif total + sums[end] >= low and len(chosen) < most:
            end -= 1
            chosen.append(end)
            total += numbers[end]
            continue
        if not chosen:
            return
        left_out = chosen.pop()
        total -= numbers[left_out]
        end = bisect_left(numbers, numbers[left_out], 0, left_out)


def _value(coins: Iterable[Coin]) -> int:
    return sum(coin.value_sats for coin in coins)
