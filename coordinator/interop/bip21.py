"""A request to be paid as a URI, as QR codes and links hold it (BIP 21, BIP 321).

`bitcoin:ADDRESS?amount=0.1&label=…`: scheme and names in any case, the amount in bitcoin.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlencode

from coordinator.errors import UsageError
from coordinator.foreign_json import SUPPLY_SATS
from coordinator.shown_text import SATS_PER_BTC, btc

SCHEME: Final = "bitcoin:"
URI_MAX: Final = 8192
AMOUNT: Final = re.compile(r"([0-9]{0,8})(?:\.([0-9]{0,8}))?")
MUST: Final = "req-"
READ: Final = ("amount", "label", "message")


class Request(NamedTuple):
    """Who wants to be paid, how much in satoshis, and what for; what is None was not said."""

    address: str
    amount_sats: int | None = None
    label: str | None = None


def write(wanted: Request) -> str:
    """Return the URI that other wallets read; the amount is in bitcoin, as it says."""
    said: dict[str, str] = {}
    if wanted.amount_sats is not None:
        said["amount"] = btc(wanted.amount_sats).removesuffix(" BTC")
    if wanted.label:
        said["label"] = wanted.label
    query = urlencode(said, quote_via=quote, safe="")
    return f"{SCHEME}{wanted.address}?{query}" if query else f"{SCHEME}{wanted.address}"


def is_uri(text: str) -> bool:
    """Tell whether a text is meant as such a URI."""
    return text[: len(SCHEME)].lower() == SCHEME


def read(text: str) -> Request:
    """Read a URI; raises UsageError for one that asks for what is not done here, or is none.

    Names this program does not know are passed over unless they begin with `req-`.
    """
    if not is_uri(text):
        raise UsageError(f"{text[:40]!r} is no bitcoin: URI")
    if len(text) > URI_MAX:
        raise UsageError(f"a URI of {len(text)} characters is too long; {URI_MAX} is the most")
    body, _, query = text[len(SCHEME) :].partition("#")[0].partition("?")
    said: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        written, _, value = pair.partition("=")
        name = _unquoted(written).lower()
        if name not in READ and not name.startswith(MUST):
            continue
        value = _unquoted(value)
        if said.setdefault(name, value) != value:
            raise UsageError(f"the URI says {name} twice: {said[name]!r} and {value!r}")
    demanded = sorted(name for name in said if name.startswith(MUST))
    if demanded:
        raise UsageError(f"the URI requires {', '.join(demanded)}, which is not known here")
    address = _unquoted(body.removeprefix("//"))
    if not address:
        raise UsageError("the URI names no address on the chain")
    amount = _amount(said["amount"]) if "amount" in said else None
    return Request(address, amount, said.get("label") or said.get("message") or None)


def _unquoted(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as failure:
        raise UsageError("the URI holds what is no UTF-8") from failure


def _amount(text: str) -> int:
    """Read bitcoin as a decimal number; other than what people type it has no unit."""
    matched = AMOUNT.fullmatch(text)
    if not matched or not any(matched.groups()):
        raise UsageError(f"the URI's amount {text[:40]!r} is no number of bitcoin, such as 0.1")
    whole, part = matched[1] or "0", (matched[2] or "").ljust(8, "0")
    value = int(whole) * SATS_PER_BTC + int(part)
    if not 0 < value <= SUPPLY_SATS:
        raise UsageError(f"the URI's amount {text} is not between 1 sat and 21 million bitcoin")
    return value


def address_in(text: str) -> str:
    """Return the address that a text is, or that a URI names, whatever else it says."""
    text = text.strip()
    return read(text).address if is_uri(text) else text
