"""What people type for money: amounts, fee rates, addresses, coins."""

import re
from decimal import Decimal
from typing import NamedTuple

from coordinator.errors import UsageError
from coordinator.foreign_json import SUPPLY_SATS
from coordinator.shown_text import SATS_PER_BTC, Unit
from psbt.coins import Outpoint, parse_outpoint
from psbt.errors import PsbtError
from psbt.network import Network
from psbt.policy import parse_address

FEERATE_MAX = 100_000_000
TYPED_MAX = 60
BITCOIN = ("btc", "xbt", "bitcoin", "bitcoins", "\u20bf")
SATOSHI = ("sat", "sats", "satoshi", "satoshis")
BLANKS = re.compile(r"\s")
AMOUNT = re.compile(
    rf"(?P<number>[0-9.,\s]*[0-9.,])\s*(?P<unit>(?:{'|'.join(BITCOIN + SATOSHI)})?)", re.IGNORECASE
)
NUMBER = re.compile(r"(?:[0-9]{1,16}|[0-9]{1,3}(?:\s[0-9]{3}){1,5})?(?:(?<=[0-9])|\.[0-9]{1,8})")
FEERATE = re.compile(
    r"((?:[0-9]{1,7})?(?:(?<=[0-9])|\.[0-9]{1,3}))\s*(?:sats?/vb(?:yte)?)?", re.IGNORECASE
)


class Amount(NamedTuple):
    """An amount of money, and the unit it was typed in."""

    sats: int
    unit: Unit = "sat"


def parse_amount(text: str) -> int:
    """Read an amount as satoshis; raises UsageError as `read_amount` does."""
    return read_amount(text).sats


def read_amount(text: str) -> Amount:
    """Read an amount and its unit: `150000`, `150 000 sat`, `0.0015 BTC`; nothing is guessed.

    Digits may be grouped in threes by blanks of any kind, as this program prints them; units are
    read in any case, and a bare number is satoshis. Raises UsageError; what a comma may mean it
    asks.
    """
    matched = AMOUNT.fullmatch(text.strip()) if len(text) <= TYPED_MAX else None
    if matched and "," in matched["number"]:
        raise UsageError(_asked_about(text.strip(), matched["number"], matched["unit"]))
    if not matched or not NUMBER.fullmatch(matched["number"]):
        shown = repr(text[:TYPED_MAX])
        raise UsageError(f"{shown} is no amount; write 150000, 150 000 sat or 0.0015 BTC")
    digits = BLANKS.sub("", matched["number"])
    value = _in_sats(digits, matched["unit"])
    if value is None:
        raise UsageError(f"{text!r} is no whole number of satoshis; write 150000 or 0.0015 BTC")
    if not 0 < value <= SUPPLY_SATS:
        raise UsageError(f"{text} is not between 1 sat and 21 million bitcoin")
    return Amount(value, "btc" if matched["unit"].lower() in BITCOIN else "sat")


def _in_sats(digits: str, unit: str) -> int | None:
    """Return a number without blanks as satoshis; None where it has parts of one."""
    value = Decimal(digits) * (SATS_PER_BTC if unit.lower() in BITCOIN else 1)
    whole = "." not in digits or unit.lower() in BITCOIN
    return int(value) if whole and value == int(value) else None


def _asked_about(text: str, number: str, unit: str) -> str:
    """Return the sentence that asks what a comma means, with each reading and its worth."""
    number = BLANKS.sub("", number)
    readings = [number.replace(",", "").lstrip("0")]
    if number.count(",") == 1 and number.rfind(",") > number.rfind("."):
        readings.insert(0, number.replace(".", "").replace(",", "."))
    found = []
    for reading in filter(NUMBER.fullmatch, readings):
        named = unit.lower() or ("btc" if "." in reading else "sat")
        worth = _in_sats(reading, named)
        if worth is not None:
            found.append(f"{reading}{named} ({worth:,} sat)".replace(",", " "))
    ask = f"write {' or '.join(found)}" if found else "write it with a point"
    return f"{text!r} may mean more than one amount because of its comma: {ask}"


def parse_feerate(text: str) -> int:
    """Read sat/vB with at most three decimals, the unit beside it or not, as sat/kvB."""
    matched = FEERATE.fullmatch(text.strip()) if len(text) <= TYPED_MAX else None
    if not matched:
        shown = repr(text[:TYPED_MAX])
        point = f"; its comma is not read: write {text.strip().replace(',', '.')} for a fraction"
        comma = point if len(text) <= TYPED_MAX and text.count(",") == 1 else ""
        raise UsageError(f"{shown} is no fee rate; write sat/vB with at most three decimals{comma}")
    rate = int(Decimal(matched[1]) * 1000)
    if not 0 < rate <= FEERATE_MAX:
        raise UsageError(f"a fee rate of {text} sat/vB is not possible")
    return rate


def script_of(address: str, network: str) -> bytes:
    """Return an address's script_pubkey; raises UsageError on what was mistyped."""
    try:
        return parse_address(address, Network(network))
    except PsbtError as failure:
        raise UsageError(str(failure)) from failure


def parse_txid(text: str) -> str:
    """Read a transaction's name: 64 hex digits."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise UsageError(f"{text!r} is no transaction; write its 64 hex digits")
    return text.lower()


def parse_coin(text: str) -> Outpoint:
    """Read txid:n; raises UsageError."""
    try:
        return parse_outpoint(text)
    except PsbtError as failure:
        raise UsageError(str(failure)) from failure
