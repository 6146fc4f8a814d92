"""What the owner calls things of the chain, and which coins must not be spent."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator.amounts import parse_coin, script_of
from coordinator.errors import UsageError
from coordinator.home.settings import Home
from coordinator.interop import bip329
from coordinator.interop.bip21 import address_in
from coordinator.interop.bip329 import LABEL_MAX, Entry
from psbt.errors import PsbtError
from psbt.keys import format_xpub, parse_xpub
from psbt.network import Network
from storage import chain as chain_book
from storage import labels as label_book

TXID = re.compile("[0-9a-fA-F]{64}")
PUBKEY = re.compile("(?:0[23])?[0-9a-fA-F]{64}|04[0-9a-fA-F]{128}")
COIN = re.compile("[0-9a-fA-F]{64}:(?:0|[1-9][0-9]{0,9})")
HRPS = {network.hrp for network in Network}
FORMS = {"tx": TXID, "pubkey": PUBKEY, "input": COIN, "output": COIN}


class Imported(NamedTuple):
    """How many labels a file had, how many of them changed something, and lines left out."""

    labels: int
    changed: int
    unknown: int


class Reference(NamedTuple):
    """What a label is of, as it is written here: one thing has one reference."""

    type: str
    ref: str


def reference(home: Home, text: str) -> Reference:
    """Return what a person means by a txid, coin, address, URI or xpub; raises UsageError."""
    text = text.strip()
    if TXID.fullmatch(text):
        return Reference("tx", text.lower())
    if COIN.fullmatch(text):
        return Reference("output", str(parse_coin(text)))
    if text[1:4] == "pub":
        xpub = canonical_xpub(text, Network(home.network))
        if xpub is None:
            raise UsageError(f"{text[:120]!r} is no txid, coin, address or xpub")
        return Reference("xpub", xpub)
    address = address_in(text)
    script_of(address, home.network)
    return Reference("addr", canonical_address(address))


class Named(NamedTuple):
    """What a thing is called from now on, nothing where its label was taken away."""

    type: str
    ref: str
    label: str | None


class Frozen(NamedTuple):
    """Whether a coin is kept from being spent."""

    outpoint: str
    frozen: bool


def set_label(home: Home, db: Session, ref: str, *, text: str) -> Named:
    """Call a thing so; an empty text takes its label away. Raises UsageError."""
    if len(text) > LABEL_MAX:
        raise UsageError(f"a label of {len(text)} characters is too long; {LABEL_MAX} is the most")
    kept = label_book.labelled(db, *reference(home, ref))
    kept.label = text or None
    return Named(kept.type, kept.ref, kept.label)


def name_addresses(home: Home, db: Session, names: Mapping[str, str]) -> None:
    """Call the addresses that are paid what the table or the URI calls them."""
    for address, name in names.items():
        set_label(home, db, address, text=name[:LABEL_MAX])


def freeze(db: Session, outpoint: str, *, frozen: bool) -> Frozen:
    """Keep a coin of a vault from being spent, or let it be again; raises UsageError."""
    coin = parse_coin(outpoint)
    if chain_book.coin_at(db, coin.txid, coin.vout) is None:
        raise UsageError(f"coin {outpoint} is no coin of a vault here")
    label_book.labelled(db, "output", str(coin)).spendable = not frozen
    return Frozen(str(coin), frozen)


def exported(db: Session) -> str:
    """Return every label as the lines of BIP 329."""
    kept = (
        Entry(each.type, each.ref, each.label, each.origin, each.spendable)
        for each in label_book.all_labels(db)
        if each.label is not None or each.spendable is not None
    )
    return bip329.written(kept)


def import_text(db: Session, text: str) -> Imported:
    """Take the labels of a file, all or none; what a line leaves out stays as it is.

    Raises UsageError that names the line that is wrong.
    """
    entries, unknown = bip329.read(text)
    known = {(kept.type, kept.ref): kept for kept in label_book.all_labels(db)}
    changed = 0
    for entry in entries:
        named = entry.type, _canonical(entry)
        kept = known.get(named)
        if kept is None:
            kept = known[named] = label_book.add(db, *named)
        before = (kept.label, kept.origin, kept.spendable)
        kept.label = kept.label if entry.label is None else entry.label[:LABEL_MAX] or None
        kept.origin = entry.origin or kept.origin
        kept.spendable = kept.spendable if entry.spendable is None else entry.spendable
        changed += (kept.label, kept.origin, kept.spendable) != before
    return Imported(len(entries), changed, unknown)


def _canonical(entry: Entry) -> str:
    """Return a reference as it is written here; raises UsageError where it is none of its type.

    Other networks' addresses and keys are kept, too.
    """
    ref = entry.ref.strip()
    match entry.type:
        case "addr":
            return canonical_address(ref)
        case "xpub":
            found = (canonical_xpub(ref, network) for network in Network)
            return next(filter(None, found), ref)
        case kind:
            if not FORMS[kind].fullmatch(ref):
                raise UsageError(f"{ref[:140]!r} is no {kind}")
            return ref.lower() if kind in {"tx", "pubkey"} else str(parse_coin(ref))


def canonical_address(text: str) -> str:
    """Return an address as it is written here: SegWit ones may be in capitals elsewhere."""
    small = text.lower()
    capital = text == text.upper() and small.rpartition("1")[0] in HRPS
    return small if capital else text


def canonical_xpub(text: str, network: Network) -> str | None:
    """Return an extended public key in the one way it is written; None where it is none."""
    try:
        return format_xpub(parse_xpub(text, network), network)
    except PsbtError:
        return None
