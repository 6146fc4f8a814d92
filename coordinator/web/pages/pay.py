"""Pay: from a wish to a block: what is paid, a review, cards that sign, sent, deep enough."""

import hmac
from contextlib import suppress
from typing import Final

from sqlalchemy.orm import Session

from coordinator.errors import (
    ChainError,
    ChainUnreachable,
    CoordinatorError,
    NotRipe,
    UsageError,
)
from coordinator.guide.payments import payments
from coordinator.home import statement_checks
from coordinator.home.settings import EMBEDDED_CHAIN, OFFLINE
from coordinator.home.stored_policies import stored_policy
from coordinator.interop.bip21 import is_uri
from coordinator.notices import Notice, of_review
from coordinator.payment import ceremonies, creation
from coordinator.payment.ceremonies import Consent
from coordinator.payment.payees import Payee, parse_address, payee
from coordinator.payment.reviews import seen_again
from coordinator.readers import choice
from coordinator.vault import addresses
from coordinator.wallet import labels, overview
from coordinator.wallet.branches import branch_lines, wait_words
from coordinator.wallet.coins import tip_height
from coordinator.wallet.news import FINAL_CONFIRMATIONS
from coordinator.wallet.overview import CeremonyLine
from coordinator.web import fee_choice
from coordinator.web.attendant import CHANGED, PageAttendant, digest
from coordinator.web.context import Answer, Handler, Moved, Page, Route, Shown, Visit
from coordinator.web.offered_cards import patiently, slots_of, told
from coordinator.web.tasks import Conversation, Done, Task
from psbt.errors import PsbtError
from psbt.policy import PRIMARY
from psbt.review import Review
from storage import vaults as vault_book

PATH: Final = "/pay"


def choose(visit: Visit) -> Answer:
    """Show the payments that are not final, and the vaults that can pay."""
    context = visit.context
    away = context.freshen()
    with context.reading.begin() as db:
        vaults = [each for each in vault_book.all_vaults(db) if each.retired_at is None]
        waiting = list(payments(context.home, db, vaults))
        names = [each.name for each in vaults]
    lines = [each for each in overview.ceremonies(context.home, context.reading) if each.final][:20]
    said = {"waiting": waiting, "names": names, "done": lines, "unreachable": away}
    return Shown("pay.html", said)


def ask(visit: Visit, mistake: str | None = None) -> Answer:
    """Ask who is paid, how much, and when it shall arrive."""
    context, name = visit.context, visit.path["vault"]
    with context.opened.vault(name, reads=True) as (db, vault):
        lines = branch_lines(db, vault, stored_policy(vault))
        others = [
            each.name
            for each in vault_book.all_vaults(db)
            if each.name != name and addresses.closed(db, each) is None
        ]
    said = {
        "name": name,
        "others": others,
        "branches": [(each, wait_words(each)) for each in lines] if len(lines) > 1 else [],
        "asked": fee_choice.asked(context, visit.form),
        "given": visit.form,
        "mistake": mistake,
    }
    return Shown("pay_new.html", said, 400 if mistake else 200)


def create(visit: Visit) -> Answer:
    """Choose coins and build the payment; what was mistyped is said above the form."""
    context = visit.context
    context.opened.require_writable()
    try:
        made = _created(visit)
    except (UsageError, NotRipe, PsbtError) as mistake:
        return ask(visit, context.explain(mistake).message)
    except ChainError as away:
        return ask(visit, fee_choice.without_chain(context.explain(away).message))
    return Moved(f"{PATH}/{made}")


def _created(visit: Visit) -> str:
    context, name, form = visit.context, visit.path["vault"], visit.form
    everything = form.get("all") == "yes"
    postage = fee_choice.postage(context, name, form)
    with context.database.begin() as db:
        paid = _payee(visit, db, everything=everything)
        called = paid.label or form.get("note", "").strip()
        if called:
            labels.name_addresses(context.home, db, {paid.address: called})
        order = creation.Order(
            vault=name,
            payments=() if everything else (paid.payment,),
            feerate=postage.feerate,
            drain=paid.script_pubkey if everything else None,
            branch=form.get("branch") or PRIMARY,
            unit=paid.unit,
        )
        made = creation.create(context.home, db, order, accepted=visit.accepted)
    if made.ceremony is None:
        raise CoordinatorError("no payment was opened")
    return made.ceremony


def _payee(visit: Visit, db: Session, *, everything: bool) -> Payee:
    """Return who is paid: an address, a request (BIP 21), or an own vault by its name."""
    home = visit.context.home
    to, amount = (visit.form.get(word, "").strip() for word in ("to", "amount"))
    if any(each.name == to for each in vault_book.all_vaults(db)):
        to = addresses.fresh(db, home, to, label=None, accepted=visit.accepted).address
    if everything:
        return Payee(parse_address(to, home.network), to, 0)
    if not amount and not is_uri(to):
        raise UsageError("say how much is paid, or tick that it is everything")
    return payee(to, amount, home.network)


def show(visit: Visit, mistake: str | None = None) -> Answer:
    """Show a payment: what it pays, who has signed, what comes next, how deep it lies."""
    context, name = visit.context, visit.path["payment"]
    away = context.freshen()
    review, warnings, damaged = None, list[Notice](), None
    with context.opened.ceremony(name, reads=True) as (db, record):
        who = statement_checks.opened_by(context.home, db, record)
        line = overview.ceremony_line(record, tip_height(db, record.vault), who)
        found = payments(context.home, db, [record.vault])
        cards_known = bool(choice.labels_of_vault(db, record.vault.name, record.branch))
        standing = next((each for each in found if each.line.id == line.id), None)
        try:
            seen, review, damaged = seen_again(db, record)
            warnings = of_review(review.warnings) if review is not None else []
        except PsbtError as failure:
            seen, damaged = None, str(failure)
    said = {
        "line": line,
        "seen": seen,
        "review": review,
        "warnings": warnings,
        "damaged": damaged,
        "cards_known": cards_known,
        "standing": standing,
        "final": FINAL_CONFIRMATIONS,
        "embedded": context.home.chain == EMBEDDED_CHAIN,
        "seen_as": _seen_as(line, review),
        "mistake": mistake,
        "unreachable": away,
    }
    return Shown("pay_one.html", said, 409 if mistake else 200)


def _seen_as(line: CeremonyLine, review: Review | None) -> str:
    """Return what a consent given on the payment's page is for: the review, and who signed."""
    return digest((review, line.state, bool(line.signatures)))


def _as_it_was_shown(take: Handler) -> Handler:
    """Return what takes a consent only for what was shown: what changed is shown again."""

    def checked(visit: Visit) -> Answer:
        visit.context.opened.require_writable()
        visit.context.freshen()
        name = visit.path["payment"]
        with visit.context.opened.ceremony(name, reads=True) as (db, record):
            line = overview.ceremony_line(record, tip_height(db, record.vault))
            review = None
            with suppress(PsbtError):
                review = seen_again(db, record).review
            now = _seen_as(line, review)
        same = hmac.compare_digest(visit.form.get("seen", "").encode(), now.encode())
        return take(visit) if same else show(visit, CHANGED)

    return checked


def sign(visit: Visit) -> Answer:
    """Have the cards sign, after the review is agreed to on the page of the task."""
    context, name, form = visit.context, visit.path["payment"], visit.form
    txid, accepted = form.get("txid", "").strip() or None, visit.accepted
    last = form.get("last") == "yes"
    with context.opened.ceremony(name, reads=True) as (_, record):
        vault, branch = record.vault.name, record.branch

    def work(conversation: Conversation) -> Done:
        context.opened.require_writable()
        context.freshen(vault)
        person = PageAttendant(conversation)
        outcomes, seen = ceremonies.sign(
            context.home,
            context.database,
            name,
            offered=slots_of(context, vault, branch),
            attendant=person,
            wait_policy=patiently(person, last_attempt=last),
            consent=Consent(txid, accepted),
        )
        lines = told(outcomes, context.explain)
        if not any(each.signatures for each in outcomes) and not seen.complete:
            raise CoordinatorError(f"no card signed: {'; '.join(lines)}")
        rest = "the rest can sign another day" if not seen.complete else "that is enough: send it"
        return Done(
            f"{seen.have} of {seen.need} have signed; {rest}", tuple(lines), f"{PATH}/{name}"
        )

    path = f"{PATH}/{name}"
    title = f"Sign payment {name} of vault {vault}"
    task = Task(title, f"cardquorum spend sign {name}", path, work)
    task.again, task.carried = f"{path}/sign", visit.carried
    return context.begin(task)


def send(visit: Visit) -> Answer:
    """Put the payment together, check it, and send it."""
    context, name, accepted = visit.context, visit.path["payment"], visit.accepted

    def work(conversation: Conversation) -> Done:
        task = conversation.task
        context.opened.require_writable()
        with context.opened.ceremony(name, reads=True) as (_, record):
            state = record.state
        if state in {"collecting", "complete"}:
            done = ceremonies.finalize(context.home, context.database, name, accepted=accepted)
            conversation.say(f"put together and checked: {done.consensus}")
            if done.hex is None:
                raise CoordinatorError("others have yet to sign their part: send it to them")
        if context.home.chain == OFFLINE:
            raise CoordinatorError("this home has no chain source: send it from another computer")
        with context.asking() as opened:
            try:
                sent = ceremonies.broadcast(
                    context.home, context.database, name, chain=opened.chain, accepted=accepted
                )
            except ChainUnreachable:
                conversation.tell(lambda: setattr(task, "may_be_sent", True))
                raise
        return Done("it was sent", (f"its number is {sent.txid}",), f"{PATH}/{name}")

    path = f"{PATH}/{name}"
    command = f"cardquorum spend finalize {name} && cardquorum spend broadcast {name}"
    task = Task(f"Send payment {name}", command, path, work)
    task.again, task.carried = f"{path}/send", visit.carried
    return context.begin(task)


def give_up(visit: Visit) -> Answer:
    """Give a payment up; its coins are free again."""
    name = visit.path["payment"]
    ceremonies.abandon(visit.context.database, name)
    return Moved(f"{PATH}/{name}")


PAGE: Final = Page(
    "Pay",
    PATH,
    (
        Route(PATH, choose),
        Route("/pay/new/{vault}", ask, create),
        Route("/pay/{payment}", show),
        Route("/pay/{payment}/sign", take=sign),
        Route("/pay/{payment}/send", take=_as_it_was_shown(send)),
        Route("/pay/{payment}/give-up", take=_as_it_was_shown(give_up)),
    ),
    {
        ("spend", "create"): "/pay/new/{2}",
        ("spend", "sign"): "/pay/{2}",
        ("spend", "finalize"): "/pay/{2}",
        ("spend", "broadcast"): "/pay/{2}",
        ("spend", "abandon"): "/pay/{2}",
        ("spend", "show"): "/pay/{2}",
        ("spend", "list"): PATH,
    },
)
