"""Today: how things stand in one sentence, what to do next, what the vaults hold."""

from datetime import datetime
from typing import Final, NamedTuple

from coordinator.chain import ChainSource
from coordinator.errors import ChainUnreachable
from coordinator.guide import arrival
from coordinator.guide import status as standing
from coordinator.guide.payments import Standing
from coordinator.guide.status import Status
from coordinator.notices import Severity
from coordinator.wallet import overview
from coordinator.wallet.balance import Owned
from coordinator.web.context import Answer, Page, Route, Shown, Visit
from coordinator.web.tasks import Conversation, Done, Task
from storage import chain as chain_book
from storage import vaults as vault_book

LATER_SHOWN: Final = 5


class Money(NamedTuple):
    """What a vault holds, and when it was last looked up."""

    name: str
    owned: Owned
    looked_at: datetime | None


class Verdict(NamedTuple):
    """How things stand, in one sentence."""

    severity: str
    sentence: str


def show(visit: Visit) -> Answer:
    """Show how things stand, the most dangerous first."""
    context = visit.context
    unreachable = context.freshen()

    def chain() -> ChainSource:
        if unreachable is not None:  # it was asked just now
            raise ChainUnreachable(str(unreachable)) from unreachable
        return context.opened.chain

    with context.asking():
        seen = standing.status(context.home, context.reading, chain)
    with context.reading.begin() as db:
        last = {each.name: chain_book.last_sync(db, each) for each in vault_book.all_vaults(db)}
    looked = {name: known.at for name, known in last.items() if known is not None}
    first = next((step for step in seen.next if step.severity is not Severity.INFO), None)
    first = first or next(iter(seen.next), None)
    said = {
        "seen": seen,
        "verdict": verdict(seen),
        "first": first,
        "later": [step for step in seen.next if step is not first][:LATER_SHOWN],
        "more": max(len(seen.next) - 1 - LATER_SHOWN, 0),
        "money": [Money(name, owned, looked.get(name)) for name, owned in seen.vaults],
        "payments": [(each, _said(each)) for each in seen.ceremonies],
        "unreachable": unreachable,
        "reasons": [each for each in arrival.TOLD.items() if each[0] is not arrival.Reason.NEW],
    }
    return Shown("today.html", said)


def verdict(seen: Status) -> Verdict:
    """Return how things stand, for somebody who looks at nothing else."""
    if seen.dangers or any(step.severity is Severity.DANGER for step in seen.next):
        return Verdict("danger", "Something is dangerous. Do the first step below, today.")
    if any(step.severity is Severity.WARNING for step in seen.next) or seen.news:
        return Verdict("warning", "Nothing is in danger. Something waits for you.")
    if not seen.vaults:
        return Verdict("info", "There is no vault yet. Begin with the first step below.")
    if seen.safe:
        return Verdict("good", "All is well. Nothing is in danger, and nothing waits for you.")
    return Verdict("info", "Nothing is in danger. Your vault is not finished yet.")


def _said(payment: Standing) -> str:
    """Say where a payment stands."""
    line = payment.line
    if payment.damaged is not None:
        return f"damaged, it cannot be signed: {payment.damaged}"
    if line.state == "collecting":
        return f"{payment.have} of {payment.need} cards have signed"
    if line.state == "complete":
        return payment.signed
    if line.state == "final":
        return "finished, not sent yet"
    if line.height is not None:
        return f"in the public book, {line.confirmations} deep; with 6 it is final"
    return "it was sent and is gone again: send it once more" if payment.verb else "sent"


def look(visit: Visit) -> Answer:
    """Look up what the vaults hold."""
    context = visit.context

    def work(conversation: Conversation) -> Done:
        with context.asking() as opened:
            found = overview.sync(
                context.home, context.database, opened.chain, vault=None, say=conversation.say
            )
        told = [each.message for each in found.news]
        height = f"looked up to block {found.tip.height}"
        return Done(height, (*told, *found.notes), "/")

    return context.begin(Task("Look up what the vaults hold", "cardquorum sync", "/", work))


PAGE: Final = Page(
    "Today",
    "/",
    (Route("/", show), Route("/look", take=look)),
    {("sync",): "/", ("balance",): "/", ("status",): "/", ("vault", "list"): "/"},
)
