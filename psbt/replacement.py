"""What a payment that replaces another must pay (BIP 125), and a child for its parents (CPFP)."""

from collections.abc import Sequence
from typing import NamedTuple

from psbt.errors import PsbtError
from psbt.relay import CORE_30
from psbt.weight import dust_limit_sats, fee_at


class Replaced(NamedTuple):
    """A payment that shall give way: fee and virtual bytes, and the fees of what builds on it.

    `step` is what nodes ask for relaying anew, in sat/kvB.
    """

    fee_sats: int
    vsize: int
    descendants_sats: int = 0
    step: int = CORE_30.replacement_step

    def least_fee(self, vsize: int) -> int:
        """Return the least fee of a replacement of this size that nodes take in its place.

        It pays for all it pushes out and for being relayed itself, at a higher rate.
        """
        all_out = self.fee_sats + self.descendants_sats + fee_at(self.step, vsize)
        higher_rate = self.fee_sats * vsize // self.vsize + 1
        return max(all_out, higher_rate)


class Rival(NamedTuple):
    """A waiting payment that spends a coin of this one; `fee_sats` None is not known."""

    txid: str
    vsize: int
    fee_sats: int | None
    descendants_sats: int = 0


def least_fee_against(
    rivals: Sequence[Rival], vsize: int, step: int = CORE_30.replacement_step
) -> int:
    """Return the least fee of a payment of this size that nodes take in place of all rivals."""
    known = [
        Replaced(rival.fee_sats, rival.vsize, rival.descendants_sats, step)
        for rival in rivals
        if rival.fee_sats is not None
    ]
    if not known:
        return 0
    paid = sum(each.fee_sats + each.descendants_sats for each in known)
    first = known[0]._replace(descendants_sats=paid - known[0].fee_sats)
    return max(each.least_fee(vsize) for each in (first, *known))


class Ancestors(NamedTuple):
    """Waiting transactions that a child pays for: their virtual bytes and fees together."""

    vsize: int
    fee_sats: int


def least_feerate(replaced: Replaced, vsize: int) -> int:
    """Return the least rate in sat/kvB at which a replacement of this size is taken."""
    return (replaced.least_fee(vsize) - 1) * 1_000 // vsize + 1


def child_fee(ancestors: Ancestors, vsize: int, feerate: int) -> int:
    """Return what a child of this size must pay so that all together pay the rate (sat/kvB)."""
    return fee_at(feerate, ancestors.vsize + vsize) - ancestors.fee_sats


def most_feerate(ancestors: Ancestors, vsize: int, value_sats: int, *, script_pubkey: bytes) -> int:
    """Return the highest rate in sat/kvB that coins of this value can raise the ancestors to.

    What is left for the child's output is no dust. Raises PsbtError where nothing is left.
    """
    spare = value_sats - dust_limit_sats(script_pubkey)
    if spare <= 0:
        raise PsbtError(f"coins of {value_sats} sats leave nothing to pay a fee with")
    return (spare + ancestors.fee_sats) * 1_000 // (ancestors.vsize + vsize)
