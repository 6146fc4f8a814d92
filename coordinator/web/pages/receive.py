"""Receive: an address nobody was given before, and whether an address is ours."""

from contextlib import suppress
from typing import Final

import segno

from coordinator.amounts import parse_amount, script_of
from coordinator.errors import ChainError, NotAccepted, NotLooked, UsageError
from coordinator.home.settings import EMBEDDED_CHAIN
from coordinator.interop import bip21
from coordinator.vault import addresses, vaults
from coordinator.wallet import scans
from coordinator.web.context import Answer, Moved, Page, Route, Shown, Visit
from psbt.policy import RECEIVE
from storage import chain as chain_book
from storage import vaults as vault_book

PATH: Final = "/receive"
SHOWN_MAX: Final = 50


def choose(visit: Visit) -> Answer:
    """Show the vaults that may be paid, or the only one."""
    with visit.context.reading.begin() as db:
        open_ones = [
            each.name for each in vault_book.all_vaults(db) if addresses.closed(db, each) is None
        ]
    if len(open_ones) == 1:
        return Moved(f"{PATH}/{open_ones[0]}")
    return Shown("receive.html", {"vaults": open_ones})


def show(visit: Visit) -> Answer:
    """Ask how much is expected, and list the newest addresses with what came of each."""
    context, name = visit.context, visit.path["vault"]
    away = context.freshen()
    try:
        found = addresses.addresses(context.home, context.reading, name, newest=SHOWN_MAX)
    except NotAccepted:  # nobody compared it with the paper here: its page asks for that
        return Moved(f"/vaults/{name}")
    with context.opened.vault(name, reads=True) as (db, record):
        closed, seen = addresses.closed(db, record), scans.looked(db, record)
        count = chain_book.next_index(db, record, RECEIVE)
    said = {
        "name": name,
        "closed": closed,
        "listed": found[::-1],
        "more": max(count - SHOWN_MAX, 0),
        "looked": seen,
        "unreachable": away,
    }
    return Shown("receive_vault.html", said)


def issue(visit: Visit) -> Answer:
    """Give out the next address; what is dangerous of its vault has to be accepted first."""
    context, name = visit.context, visit.path["vault"]
    typed, label = visit.form.get("amount", "").strip(), visit.form.get("label", "").strip()
    amount = parse_amount(typed) if typed else None
    context.opened.require_writable()
    with context.asking() as opened, suppress(NotLooked, ChainError):
        opened.look_first(name)
    with context.database.begin() as db:
        fresh = addresses.fresh(
            db, context.home, name, label=label or None, accepted=visit.accepted
        )
    asked = f"?amount={amount}" if amount is not None else ""
    return Moved(f"{PATH}/{name}/{fresh.address}{asked}")


def one(visit: Visit) -> Answer:
    """Show an address so that it can be compared, and read by a telephone."""
    context, text = visit.context, visit.path["address"]
    script = script_of(text, context.home.network)
    owner = addresses.owner_of(context.home, context.reading, script, accepted=visit.accepted)
    if owner is None or owner.vault != visit.path["vault"]:
        raise UsageError("this address is not one of this vault")
    typed = visit.query.get("amount")
    amount = parse_amount(typed) if typed else None
    uri = bip21.write(bip21.Request(text, amount, owner.label))
    with context.opened.vault(owner.vault, reads=True) as (db, record):
        shown = vaults.shown(context.home, db, record)
        seen = scans.looked(db, record)
    said = {
        "address": text,
        "owner": owner,
        "amount": amount,
        "uri": uri,
        "code": segno.make(uri, error="m").svg_data_uri(scale=6, border=2),
        "approved": shown.approved,
        "embedded": context.home.chain == EMBEDDED_CHAIN,
        "looked": seen,
    }
    return Shown("receive_address.html", said)


def check(visit: Visit) -> Answer:
    """Say whether an address is ours."""
    typed = visit.query.get("address", "").strip()
    if not typed:
        return Shown("receive_check.html", {"typed": "", "owner": None, "asked": False})
    try:
        text = bip21.address_in(typed)
        script = script_of(text, visit.context.home.network)
    except UsageError as failure:
        said = {"typed": typed, "owner": None, "asked": False, "mistake": str(failure)}
        return Shown("receive_check.html", said, 400)
    context = visit.context
    owner = addresses.owner_of(context.home, context.reading, script, accepted=visit.accepted)
    return Shown("receive_check.html", {"typed": text, "owner": owner, "asked": True})


PAGE: Final = Page(
    "Receive",
    PATH,
    (
        Route(PATH, choose),
        Route("/receive/check", check),
        Route("/receive/{vault}", show, issue),
        Route("/receive/{vault}/{address}", one),
    ),
    {("address", "new"): "/receive/{2}", ("address", "list"): "/receive/{2}"},
)
