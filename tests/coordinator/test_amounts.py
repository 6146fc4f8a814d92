import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.amounts import parse_amount, parse_feerate, read_amount
from coordinator.cli.output import sats
from coordinator.errors import UsageError
from coordinator.interop import bip21


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("150000", 150_000),
        ("150000sat", 150_000),
        ("0.0015btc", 150_000),
        ("1btc", 100_000_000),
        ("0.00000001btc", 1),
        ("21000000btc", 2_100_000_000_000_000),
        ("150 000 sat", 150_000),
        ("150\u00a0000\u00a0sat", 150_000),
        ("2\u2009100\u202f000\u2007000 sats", 2_100_000_000),
        ("0.1 BTC", 10_000_000),
        (".1btc", 10_000_000),
        ("1BTC", 100_000_000),
        ("1 btc", 100_000_000),
        ("0.5 Bitcoin", 50_000_000),
        (" 12 Satoshis ", 12),
        ("1 000.5 XBT", 100_050_000_000),
    ],
)
def test_an_amount_is_read_in_its_unit(text: str, value: int) -> None:
    assert parse_amount(text) == value
    bitcoin = any(letter in text.lower() for letter in "bx")
    assert read_amount(text) == (value, "btc" if bitcoin else "sat")


@pytest.mark.parametrize(
    "text",
    ["", "0", "0btc", "-1", "1.5", "1.5sat", "1e3", "0.000000001btc",
     "21000000.00000001btc", "5.btc", ".btc",
     "1.0 sat", "1 0 sat", "1 00 000 sat", "1000 000 sat", "1 mBTC", "btc", "sat", "1 sat btc",
     "1'000", "\uff11", "9" * 5000, "1" + " 000" * 20, "1 000 "  + "x" * 99, "1_000", "\u0661"],
)  # fmt: skip
def test_nothing_else_is_guessed(text: str) -> None:
    with pytest.raises(UsageError):
        parse_amount(text)


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("0,1", ["0.1btc (10 000 000 sat)", "1sat (1 sat)"]),
        ("0,1 BTC", ["0.1btc (10 000 000 sat)", "1btc (100 000 000 sat)"]),
        ("1,000", ["1.000btc (100 000 000 sat)", "1000sat (1 000 sat)"]),
        ("1,000btc", ["1.000btc (100 000 000 sat)", "1000btc (100 000 000 000 sat)"]),
        ("1,000,000", ["1000000sat (1 000 000 sat)"]),
        ("1.000,5 btc", ["1000.5btc (100 050 000 000 sat)"]),
        ("1,000.5btc", ["1000.5btc (100 050 000 000 sat)"]),
        (",", []),
    ],
)
def test_a_comma_is_asked_about(text: str, readings: list[str]) -> None:
    with pytest.raises(UsageError, match="comma") as refused:
        parse_amount(text)
    for reading in readings:
        assert reading in str(refused.value)
        assert parse_amount(reading.partition(" (")[0])


@given(st.integers(min_value=1, max_value=21_000_000 * 10**8))
def test_what_the_program_prints_it_reads(amount: int) -> None:
    assert parse_amount(sats(amount)) == amount
    uri = bip21.write(bip21.Request("x", amount))
    assert parse_amount(uri.partition("amount=")[2] + " BTC") == amount


@given(st.text(max_size=80))
def test_any_text_is_an_amount_or_misuse(text: str) -> None:
    for parse in (parse_amount, parse_feerate):
        try:
            assert parse(text) > 0
        except UsageError as refused:
            told = str(refused)
            assert len(told) < 500


@given(st.integers(min_value=1, max_value=21_000_000 * 10**8))
def test_satoshis_and_bitcoin_agree(value: int) -> None:
    btc = f"{value // 10**8}.{value % 10**8:08}btc"
    assert parse_amount(btc) == parse_amount(str(value)) == value


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1", 1000),
        ("2.5", 2500),
        ("0.001", 1),
        ("12.345", 12_345),
        (".5", 500),
        ("5.0 sat/vB", 5000),
    ],
)
def test_fee_rates_are_sat_per_vbyte(text: str, rate: int) -> None:
    assert parse_feerate(text) == rate


@pytest.mark.parametrize(
    "text", ["0", "1.2345", "-1", "", "fast", "1e3", "99999999", "1,5", ".", "5 btc"]
)
def test_fee_rates_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_feerate(text)
