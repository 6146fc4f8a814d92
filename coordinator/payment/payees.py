"""Who is paid, as people type or paste it: an address with an amount, or a BIP 21 URI."""

from collections.abc import Iterable
from typing import NamedTuple

from coordinator.amounts import Amount, read_amount, script_of
from coordinator.errors import UsageError
from coordinator.interop import bip21
from coordinator.shown_text import Unit
from psbt.coins import Payment


class Payee(NamedTuple):
    """A script that is paid, the address it was written as, how much, and what it is called.

    `unit` is the one that the amount was typed in.
    """

    script_pubkey: bytes
    address: str
    value_sats: int
    label: str | None = None
    unit: Unit = "sat"

    @property
    def payment(self) -> Payment:
        """Return what is paid."""
        return Payment(self.script_pubkey, self.value_sats)


def parse_payee(text: str, network: str) -> Payee:
    """Read ADDRESS:AMOUNT or a BIP 21 URI that names its amount; raises UsageError."""
    text = text.strip()
    if not bip21.is_uri(text):
        address, colon, amount = text.rpartition(":")
        if not colon:
            raise UsageError(f"{text[:100]!r} is not ADDRESS:AMOUNT")
        return payee(address, amount, network)
    scheme, colon, rest = text.partition(":")
    body, mark, query = rest.partition("?")
    address, typed, amount = body.rpartition(":")  # an amount behind the address of a URI
    if not typed:
        return payee(text, "", network)
    return payee(f"{scheme}{colon}{address}{mark}{query}", amount, network)


def payee(address: str, amount: str, network: str) -> Payee:
    """Read an address, or a URI, and the amount beside it, which may be empty beside a URI's own.

    Raises UsageError where both name an amount and they differ.
    """
    if not bip21.is_uri(address):
        paid = read_amount(amount)
        return Payee(script_of(address, network), address, paid.sats, unit=paid.unit)
    request = bip21.read(address)
    asked = None if request.amount_sats is None else Amount(request.amount_sats, "btc")
    typed = read_amount(amount) if amount else asked
    if typed is None:
        raise UsageError("the URI names no amount: add one, as ADDRESS:AMOUNT")
    if asked is not None and asked.sats != typed.sats:
        raise UsageError(f"{typed.sats} sat are typed, the URI asks for {asked.sats} sat")
    script = script_of(request.address, network)
    return Payee(script, request.address, typed.sats, request.label, typed.unit)


def parse_address(text: str, network: str) -> bytes:
    """Return the script_pubkey of an address, or of a URI that names no amount."""
    if not bip21.is_uri(text.strip()):
        return script_of(text.strip(), network)
    request = bip21.read(text.strip())
    if request.amount_sats is not None:
        raise UsageError(f"the URI asks for {request.amount_sats} sat, where no amount is chosen")
    return script_of(request.address, network)


def common_unit(typed: Iterable[Unit]) -> Unit:
    """Return the unit that all amounts of a payment were typed in, satoshis where they differ."""
    units = set(typed)
    return units.pop() if len(units) == 1 else "sat"
