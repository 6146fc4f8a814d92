"""Who is paid, as people type or paste it: an address with an amount, or a BIP 21 URI."""

from typing import NamedTuple

from coordinator.amounts import parse_amount, script_of
from coordinator.errors import UsageError
from coordinator.interop import bip21
from psbt.coins import Payment


class Payee(NamedTuple):
    """A script that is paid, the address it was written as, how much, and what it is called."""

    script_pubkey: bytes
    address: str
    value_sats: int
    label: str | None = None

    @property
    def payment(self) -> Payment:
        """Return what is paid."""
        return Payment(self.script_pubkey, self.value_sats)


def parse_payee(text: str, network: str) -> Payee:
    """Read ADDRESS:AMOUNT or a BIP 21 URI that names its amount; raises UsageError."""
    text = text.strip()
    if bip21.is_uri(text):
        return _requested(text, network)
    address, colon, amount = text.rpartition(":")
    if not colon:
        raise UsageError(f"{text[:100]!r} is not ADDRESS:AMOUNT")
    return payee(address, amount, network)


def payee(address: str, amount: str, network: str) -> Payee:
    """Read an address, or a URI, and the amount beside it, which may be empty beside a URI's own.

    Raises UsageError where both name an amount and they differ.
    """
    if not bip21.is_uri(address):
        return Payee(script_of(address, network), address, parse_amount(amount))
    request = bip21.read(address)
    typed = parse_amount(amount) if amount else None
    wanted = {each for each in (typed, request.amount_sats) if each is not None}
    if len(wanted) > 1:
        raise UsageError(f"{typed} sat are typed, the URI asks for {request.amount_sats} sat")
    if not wanted:
        raise UsageError("the URI names no amount: add one, as ADDRESS:AMOUNT")
    script = script_of(request.address, network)
    return Payee(script, request.address, wanted.pop(), request.label)


def parse_address(text: str, network: str) -> bytes:
    """Return the script_pubkey of an address, or of a URI that names no amount."""
    if not bip21.is_uri(text.strip()):
        return script_of(text.strip(), network)
    request = bip21.read(text.strip())
    if request.amount_sats is not None:
        raise UsageError(f"the URI asks for {request.amount_sats} sat, where no amount is chosen")
    return script_of(request.address, network)


def _requested(text: str, network: str) -> Payee:
    """Read a URI, or one of an address alone with `:AMOUNT` after it."""
    scheme, colon, rest = text.partition(":")
    body, mark, query = rest.partition("?")
    address, typed, amount = body.rpartition(":")
    if not typed:
        return payee(text, "", network)
    return payee(f"{scheme}{colon}{address}{mark}{query}", amount, network)
