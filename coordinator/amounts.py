"""What people type for money: amounts, fee rates, addresses, payments."""

import re
from decimal import Decimal, InvalidOperation

from coordinator.errors import UsageError
from psbt.coins import Outpoint, Payment, parse_outpoint
from psbt.errors import PsbtError
from psbt.network import Network
from psbt.policy import parse_address

SATS_PER_BTC = 100_000_000
SUPPLY_SATS = 21_000_000 * SATS_PER_BTC
FEERATE_MAX = 100_000_000


def parse_amount(text: str) -> int:
    """Read `150000`, `150000sat` or `0.0015btc` as satoshis; nothing else is guessed."""
    matched = re.fullmatch(r"(?:([0-9]{1,16})(?:sat)?|([0-9]{1,8}(?:\.[0-9]{1,8})?)btc)", text)
    if not matched:
        raise UsageError(f"{text!r} is no amount; write 150000, 150000sat or 0.0015btc")
    sats, btc = matched.groups()
    value = int(sats) if sats else int(Decimal(btc) * SATS_PER_BTC)
    if not 0 < value <= SUPPLY_SATS:
        raise UsageError(f"{text} is not between 1 sat and 21 million bitcoin")
    return value


def parse_feerate(text: str) -> int:
    """Read sat/vB with at most three decimals as sat/kvB."""
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,3})?", text):
        raise UsageError(f"{text!r} is no fee rate; write sat/vB with at most three decimals")
    try:
        rate = int(Decimal(text) * 1000)
    except InvalidOperation as failure:
        raise UsageError(f"{text!r} is no fee rate") from failure
    if not 0 < rate <= FEERATE_MAX:
        raise UsageError(f"a fee rate of {text} sat/vB is not possible")
    return rate


def script_of(address: str, network: str) -> bytes:
    """Return an address's script_pubkey; raises UsageError on what was mistyped."""
    try:
        return parse_address(address, Network(network))
    except PsbtError as failure:
        raise UsageError(str(failure)) from failure


def parse_payment(text: str, network: str) -> Payment:
    """Read ADDRESS:AMOUNT."""
    address, colon, amount = text.rpartition(":")
    if not colon:
        raise UsageError(f"{text!r} is not ADDRESS:AMOUNT")
    return Payment(script_of(address, network), parse_amount(amount))


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
