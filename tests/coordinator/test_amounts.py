import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.amounts import parse_amount, parse_feerate
from coordinator.errors import UsageError


@pytest.mark.parametrize(
    ("text", "sats"),
    [
        ("150000", 150_000),
        ("150000sat", 150_000),
        ("0.0015btc", 150_000),
        ("1btc", 100_000_000),
        ("0.00000001btc", 1),
        ("21000000btc", 2_100_000_000_000_000),
    ],
)
def test_amounts(text: str, sats: int) -> None:
    assert parse_amount(text) == sats


@pytest.mark.parametrize(
    "text",
    ["", "0", "0btc", "-1", "1.5", "1.5sat", "1,5btc", "1 btc", "1BTC", "1e3", "0.000000001btc",
     "21000000.00000001btc", ".5btc", "5.btc", "1_000", "\u0661"],
)  # fmt: skip
def test_nothing_else_is_guessed(text: str) -> None:
    with pytest.raises(UsageError):
        parse_amount(text)


@given(st.integers(min_value=1, max_value=21_000_000 * 10**8))
def test_satoshis_and_bitcoin_agree(sats: int) -> None:
    btc = f"{sats // 10**8}.{sats % 10**8:08}btc"
    assert parse_amount(btc) == parse_amount(str(sats)) == sats


@pytest.mark.parametrize(
    ("text", "rate"), [("1", 1000), ("2.5", 2500), ("0.001", 1), ("12.345", 12_345)]
)
def test_fee_rates_are_sat_per_vbyte(text: str, rate: int) -> None:
    assert parse_feerate(text) == rate


@pytest.mark.parametrize("text", ["0", "1.2345", "-1", "", "fast", "1e3", "99999999"])
def test_fee_rates_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_feerate(text)
