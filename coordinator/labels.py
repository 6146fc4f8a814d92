"""What the owner calls things of the chain, and which coins must not be spent."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from coordinator.amounts import parse_coin, script_of
from coordinator.batch import Row
from coordinator.errors import UsageError
from coordinator.interop import bip329
from coordinator.interop.bip329 import LABEL_MAX, Entry
from coordinator.settings import Home
from psbt.errors import PsbtError
from psbt.keys import parse_xpub
from psbt.network import Network
from storage import chain as chain_book
from storage import labels as label_book

TXID = re.compile("[0-9a-f]{64}")
PUBKEY = re.compile("0[23][0-9a-f]{64}|[0-9a-f]{64}|04[0-9a-f]{128}")
COIN = re.compile("([0-9a-f]{64}):(0|[1-9][0-9]{0,9})")
LARGEST = 2**32


class Imported(NamedTuple):
    """How many labels a file had, how many of them changed something, and lines left out."""

    labels: int
    changed: int
    unknown: int


def kind_of(home: Home, ref: str) -> str:
    """Return what a reference is of, by its form: tx, output, addr or xpub; raises UsageError."""
    if TXID.fullmatch(ref):
        return "tx"
    if COIN.fullmatch(ref):
        parse_coin(ref)
        return "output"
    if ref[1:4] == "pub":
        return "xpub" if _is_xpub(home, ref) else _refuse(ref)
    script_of(ref, home.network)
    return "addr"


def _is_xpub(home: Home, ref: str) -> bool:
    try:
        parse_xpub(ref, Network(home.network))
    except PsbtError:
        return False
    return True


def _refuse(ref: str) -> str:
    raise UsageError(f"{ref!r} is no txid, coin, address or xpub")


def set_label(home: Home, db: Session, ref: str, text: str) -> dict[str, Any]:
    """Call a thing so; an empty text takes its label away. Raises UsageError."""
    if len(text) > LABEL_MAX:
        raise UsageError(f"a label of {len(text)} characters is too long; {LABEL_MAX} is the most")
    kept = label_book.labelled(db, kind_of(home, ref), ref)
    kept.label = text or None
    return {"type": kept.type, "ref": kept.ref, "label": kept.label}


def name_addresses(home: Home, db: Session, rows: Iterable[Row]) -> None:
    """Call the addresses of a table what it calls them."""
    for row in rows:
        if row.label:
            set_label(home, db, row.address, row.label)


def freeze(db: Session, outpoint: str, *, frozen: bool) -> dict[str, Any]:
    """Keep a coin of a vault from being spent, or let it be again; raises UsageError."""
    coin = parse_coin(outpoint)
    if chain_book.coin_at(db, coin.txid, coin.vout) is None:
        raise UsageError(f"coin {outpoint} is no coin of a vault here")
    label_book.labelled(db, "output", str(coin)).spendable = not frozen
    return {"outpoint": str(coin), "frozen": frozen}


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
    changed = 0
    for entry in entries:
        _refuse_wrong_ref(entry)
        kept = label_book.labelled(db, entry.type, entry.ref)
        before = (kept.label, kept.origin, kept.spendable)
        kept.label = kept.label if entry.label is None else entry.label[:LABEL_MAX] or None
        kept.origin = entry.origin or kept.origin
        kept.spendable = kept.spendable if entry.spendable is None else entry.spendable
        changed += (kept.label, kept.origin, kept.spendable) != before
    return Imported(len(entries), changed, unknown)


def _refuse_wrong_ref(entry: Entry) -> None:
    """Refuse a reference that is none of its type; other networks' addresses and keys are kept."""
    forms = {"tx": TXID, "input": COIN, "output": COIN, "pubkey": PUBKEY}
    form = forms.get(entry.type)
    if form is not None and not form.fullmatch(entry.ref):
        raise UsageError(f"{entry.ref!r} is no {entry.type}")
    if entry.type in {"input", "output"} and int(entry.ref.partition(":")[2]) >= LARGEST:
        raise UsageError(f"{entry.ref!r} is no {entry.type}")
