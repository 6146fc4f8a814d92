"""Payments that change another, or move whole coins: faster, taken back, renewed, swept."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

from coordinator.errors import ChainError, FeerateTooLow, NotRipe, UsageError
from coordinator.home.stored_policies import stored_policy
from coordinator.incident import replacement
from coordinator.payment import creation, fee_bump, refresh, ripe_coins
from coordinator.payment.payees import parse_address
from coordinator.wallet import overview
from coordinator.wallet.branches import branch_lines, wait_words
from coordinator.web import fee_choice
from coordinator.web.context import Answer, Handler, Moved, Page, Route, Shown, Visit
from psbt.errors import PsbtError
from psbt.policy import PRIMARY

Made = Sequence[str]
"""The payments that were made, by their ids."""


class Move(NamedTuple):
    """What a form asks for beside the postage, and what makes the payments it asks for.

    `vault` finds the vault whose coins move; `asks` what its form shows; both from the name in
    the path. `usual` is how many blocks it may take where nobody says anything else.
    """

    title: str
    template: str
    usual: str
    vault: Callable[[Visit], str]
    asks: Callable[[Visit], dict[str, object]]
    make: Callable[[Visit, int], Made]


def _form(move: Move, visit: Visit, mistake: str | None = None) -> Answer:
    said = {
        "title": move.title,
        "vault": move.vault(visit),
        "asked": fee_choice.asked(visit.context, visit.form, move.usual),
        "given": visit.form,
        "mistake": mistake,
        **move.asks(visit),
    }
    return Shown(move.template, said, 400 if mistake else 200)


def _take(move: Move) -> Handler:
    """Return what makes the payments; whoever said when, and no rate, gets the least that works."""

    def take(visit: Visit) -> Answer:
        visit.context.opened.require_writable()
        try:
            postage = fee_choice.postage(visit.context, move.vault(visit), visit.form)
            try:
                made = move.make(visit, postage.feerate)
            except FeerateTooLow as low:
                if postage.typed:
                    raise
                made = move.make(visit, low.least_feerate)
        except (UsageError, PsbtError, NotRipe) as mistake:
            return _form(move, visit, visit.context.explain(mistake).message)
        except ChainError as away:
            said = fee_choice.without_chain(visit.context.explain(away).message)
            return _form(move, visit, said)
        return Moved(f"/pay/{made[0]}" if len(made) == 1 else "/pay")

    return take


def _vault_paying(visit: Visit) -> str:
    with visit.context.opened.ceremony(visit.path["payment"], reads=True) as (_, record):
        return record.vault.name


def _paid(visit: Visit) -> dict[str, object]:
    with visit.context.opened.ceremony(visit.path["payment"], reads=True) as (_, record):
        return {"line": overview.ceremony_line(record, 0)}


def _faster(visit: Visit, feerate: int) -> Made:
    context = visit.context
    with context.database.begin() as db:
        made = fee_bump.bump(
            context.home,
            db,
            visit.path["payment"],
            feerate=feerate,
            shrink=visit.form.get("shrink") == "yes",
            accepted=visit.accepted,
        )
        return _ids(made.created)


def _back(visit: Visit, feerate: int) -> Made:
    context, name = visit.context, visit.path["payment"]
    with context.database.begin() as db:
        made = fee_bump.cancel(context.home, db, name, feerate=feerate, accepted=visit.accepted)
        return _ids(made.created)


def _ids(*made: creation.Created) -> Made:
    return [each.ceremony for each in made if each.ceremony is not None]


def _named(visit: Visit) -> str:
    return visit.path["vault"]


def _later(visit: Visit) -> dict[str, object]:
    """Return the branches that open later, in words, and the coins that each has to wait for."""
    with visit.context.opened.vault(visit.path["vault"], reads=True) as (db, vault):
        ripe_coins.later_branch(vault, None)
        lines = branch_lines(db, vault, stored_policy(vault))
        waiting = {each.name: ripe_coins.unripe(db, vault, each.name) for each in lines}
    branches = [(each, wait_words(each)) for each in lines]
    later = [line for line in branches if line[0].wait is not None]
    return {"branches": branches, "later": later, "waiting": waiting}


def _created(visit: Visit, db: Session, orders: Sequence[creation.Order]) -> Made:
    home, accepted = visit.context.home, visit.accepted
    return _ids(*(creation.create(home, db, each, accepted=accepted) for each in orders))


def _swept(visit: Visit, feerate: int) -> Made:
    """Pay what a later branch can spend by now to an address."""
    context, name, form = visit.context, visit.path["vault"], visit.form
    script = parse_address(form.get("to", "").strip(), context.home.network)
    with context.opened.vault(name) as (db, vault):
        branch = ripe_coins.later_branch(vault, form.get("branch"))
        return _created(visit, db, [creation.Order(name, (), feerate, drain=script, branch=branch)])


def _renewed(visit: Visit, feerate: int) -> Made:
    """Pay the coins that are due, or all, to the vault itself."""
    apart, every = visit.form.get("apart") == "yes", visit.form.get("all") == "yes"
    branch = visit.form.get("branch") or PRIMARY
    with visit.context.opened.vault(visit.path["vault"]) as (db, vault):
        found = refresh.refresh(db, vault, feerate, apart=apart, every=every, branch=branch)
        return _created(visit, db, found.orders)


def _rest(visit: Visit, feerate: int) -> Made:
    """Pay what came to a replaced vault since to its successor."""
    context = visit.context
    with context.database.begin() as db:
        found = replacement.sweep(
            context.home, db, visit.path["vault"], feerate=feerate, accepted=visit.accepted
        )
    return [found.ceremony] if found.ceremony else []


def _replaced(visit: Visit) -> str:
    with visit.context.reading.begin() as db:
        return replacement.show(db, visit.path["vault"]).vault


MOVES: Final = {
    "/pay/{payment}/faster": Move(
        "Pay more postage", "move_faster.html", "1", _vault_paying, _paid, _faster
    ),
    "/pay/{payment}/back": Move(
        "Take a payment back", "move_back.html", "1", _vault_paying, _paid, _back
    ),
    "/vaults/{vault}/renew": Move(
        "Let the waits begin anew", "move_renew.html", "144", _named, _later, _renewed
    ),
    "/vaults/{vault}/sweep": Move(
        "Take the money by a later way", "move_sweep.html", "6", _named, _later, _swept
    ),
    "/happened/replace/{vault}/rest": Move(
        "Move the rest", "move_rest.html", "6", _replaced, lambda _: {}, _rest
    ),
}
PAGE: Final = Page(
    "",
    "/moves",
    tuple(Route(path, partial(_form, move), _take(move)) for path, move in MOVES.items()),
    {
        ("spend", "bump"): "/pay/{2}/faster",
        ("spend", "cancel"): "/pay/{2}/back",
        ("spend", "refresh"): "/vaults/{2}/renew",
        ("spend", "recover"): "/vaults/{2}/sweep",
        ("replace", "sweep"): "/happened/replace/{2}/rest",
    },
)
