import pytest
from hypothesis import given
from hypothesis import strategies as st

from psbt.errors import PsbtError
from psbt.replacement import Ancestors, Replaced, child_fee, least_feerate, most_feerate
from psbt.weight import dust_limit_sats, fee_at

SIZES = st.integers(100, 100_000)
FEES = st.integers(0, 10_000_000)
OURS = b"\x00\x20" + bytes(32)


@given(FEES, SIZES, FEES, SIZES, st.sampled_from([100, 1_000]))
def test_the_least_fee_is_the_least_that_nodes_take(
    fee: int, size: int, descendants: int, vsize: int, step: int
) -> None:
    def taken(paid: int) -> bool:
        pays_for_all = paid >= fee + descendants + fee_at(step, vsize)
        return pays_for_all and paid * size > fee * vsize

    least = Replaced(fee, size, descendants, step).least_fee(vsize)
    assert taken(least)
    assert not taken(least - 1)


@given(FEES, SIZES, SIZES)
def test_the_least_rate_is_enough_and_one_less_is_not(fee: int, size: int, vsize: int) -> None:
    replaced = Replaced(fee, size)
    rate = least_feerate(replaced, vsize)
    assert fee_at(rate, vsize) >= replaced.least_fee(vsize)
    assert fee_at(rate - 1, vsize) < replaced.least_fee(vsize)


@given(SIZES, FEES, SIZES, st.integers(1, 1_000_000))
def test_a_child_raises_its_package_to_the_rate_exactly(
    size: int, fee: int, vsize: int, feerate: int
) -> None:
    together = fee + child_fee(Ancestors(size, fee), vsize, feerate)
    assert together * 1_000 >= feerate * (size + vsize) > (together - 1) * 1_000


@given(SIZES, FEES, SIZES, st.integers(1_000, 100_000_000))
def test_the_highest_rate_leaves_no_dust(size: int, fee: int, vsize: int, value: int) -> None:
    ancestors = Ancestors(size, fee)
    most = most_feerate(ancestors, vsize, value, script_pubkey=OURS)
    limit = dust_limit_sats(OURS)
    assert value - child_fee(ancestors, vsize, most) >= limit
    assert value - child_fee(ancestors, vsize, most + 1) < limit


def test_a_coin_of_dust_pays_for_no_parent() -> None:
    with pytest.raises(PsbtError, match="330 sats leave nothing"):
        most_feerate(Ancestors(200, 200), 150, 330, script_pubkey=OURS)
