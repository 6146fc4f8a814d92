"""What a payment costs with so many inputs, at a fee rate of today and one of later."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from psbt.weight import (
    WEIGHT_MAX,
    ScriptSize,
    fee_at,
    input_weight,
    transaction_weight,
    vsize_of,
)

COST_SCALE: Final = 4_000  # a weight unit costs 1/4000 sat at 1 sat/kvB


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
