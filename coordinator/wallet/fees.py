"""Fee rates: what the chain estimates, and what is taken where it knows nothing."""

from collections.abc import Callable
from typing import Final, NamedTuple

from coordinator.chain import ChainSource
from coordinator.errors import NoEstimate, UsageError
from coordinator.home.settings import OFFLINE, Home

TARGETS: Final = (1, 3, 6, 12, 24, 144)
FALLBACK_FEERATE: Final = 10_000
"""Ten sat/vB is also the long-term rate of coin selection: enough on most days and never much money
lost; a payment that waits too long can be bumped."""
TYPED, ESTIMATE, FALLBACK = "typed", "estimate", "fallback"


class Rate(NamedTuple):
    """A fee rate in sat/kvB, and whose word it is: typed, the chain's estimate, or the fallback."""

    feerate: int
    source: str


class Estimate(NamedTuple):
    """The fee rate for confirming within so many blocks."""

    target: int
    feerate: int
    source: str


def rate_for(home: Home, open_chain: Callable[[], ChainSource], target: int) -> Rate:
    """Return the chain's fee rate for a target, or the fallback where it knows none.

    Neither is below what the chain relays.

    Raises UsageError where there is no chain to ask, ChainUnreachable where it does not answer.
    """
    if home.chain == OFFLINE:
        raise UsageError(
            "this home asks no chain and knows no fee rate: a payment takes one with --feerate"
        )
    chain = open_chain()
    try:
        return Rate(chain.feerate(target), ESTIMATE)
    except NoEstimate:
        return Rate(max(FALLBACK_FEERATE, chain.relay().rules.minimum), FALLBACK)


def estimates(home: Home, open_chain: Callable[[], ChainSource]) -> list[Estimate]:
    """Return the fee rate for every usual target; raises as `rate_for` does."""
    return [Estimate(target, *rate_for(home, open_chain, target)) for target in TARGETS]
