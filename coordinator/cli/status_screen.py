"""What `status` shows: what is there, what waits for whom, and the next command."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from coordinator import clock
from coordinator.cli.output import counted, danger_lines, sats, sentences
from coordinator.cli.result import as_document, ceremony_document, owned_document
from coordinator.home.operators import NOBODY
from coordinator.shown_text import ago
from coordinator.wallet import scans
from coordinator.wallet.news import FINAL_CONFIRMATIONS

if TYPE_CHECKING:
    from coordinator.guide.payments import Standing
    from coordinator.guide.status import Status
    from coordinator.incident.step import Step
    from coordinator.wallet.balance import Owned

STEPS_SHOWN = 4


def status_document(seen: "Status") -> dict[str, object]:
    """Return the fields of `status --json`."""
    return as_document(
        seen,
        vaults=[{"name": name, **owned_document(owned)} for name, owned in seen.vaults],
        ceremonies=[_payment_document(each) for each in seen.ceremonies],
        due=sentences(seen.due),
        next=[
            {
                "code": step.code,
                "severity": step.severity,
                "title": step.title,
                "why": step.why,
                "command": step.command,
                "needs": step.needs,
            }
            for step in seen.next
        ],
        dangers=[{"vault": name, **as_document(found)} for name, found in seen.dangers],
    )


def _payment_document(payment: "Standing") -> dict[str, object]:
    own = as_document(payment, next=payment.next)
    del own["line"], own["verb"]
    return {**ceremony_document(payment.line), **own}


def screen(seen: "Status", chain: str, now: datetime) -> Iterator[str]:
    """Yield the lines: bad news first, what is there, what waits, and the next command last."""
    for name, danger in seen.dangers:
        yield from danger_lines(name, [danger])
    height = seen.tip.height if seen.tip else "unknown"
    yield f"{seen.network}, chain {chain}, block {height}"
    for told in seen.news:
        yield f"LOOK TWICE: vault {told.vault}: {told.message}"
    for name, owned in seen.vaults:
        yield from _vault(name, owned, chain)
    for payment in seen.ceremonies:
        yield from _payment(payment, now)
    yield from (f"due: {each.sentence}" for each in seen.due)
    yield from _next(seen.next)


def _next(steps: "Sequence[Step]") -> Iterator[str]:
    """Yield what to do after the next step, why that is next, and its command last."""
    doing = next((step for step in steps if step.command), None)
    if doing is None:
        yield from (f"next: {step.title}: {step.why}" for step in steps[:STEPS_SHOWN])
        if not steps:
            yield "nothing waits for a command"
        return
    others = [step for step in steps if step is not doing]
    yield from (f"then: {step.title}" for step in others[:STEPS_SHOWN])
    if len(others) > STEPS_SHOWN:
        yield f"then: {len(others) - STEPS_SHOWN} more: cardquorum status --json"
    yield f"{doing.title}: {doing.why}"
    yield f"next: {doing.command}"


def _vault(name: str, seen: "Owned", chain: str) -> Iterator[str]:
    if seen.fault is not None:
        yield f"vault {name}: what it holds is not known, its rows contradict one another"
        return
    owned, said = seen.balance, scans.said(name, seen.looked, chain)
    if not seen.looked.known:
        yield f"vault {name}: {said}"
        return
    yield f"vault {name}: {sats(owned.confirmed_sats)}"
    if owned.reserved_sats:
        yield f"  {sats(owned.reserved_sats)} of what is there is held for payments below"
    if owned.pending_sats:
        yield f"  {sats(owned.pending_sats)} more in no block yet"
    if owned.immature_sats:
        yield f"  {sats(owned.immature_sats)} more newly mined, not spendable yet"
    if not seen.looked.whole:
        yield f"  {said}"


def _payment(payment: "Standing", now: datetime) -> Iterator[str]:
    line = payment.line
    yield f"payment {line.id} of {line.vault}: {_state(payment, now)}"
    if line.operator != NOBODY:
        yield f"  opened by {line.operator.words}"
    missing = payment.need - payment.have
    if payment.waiting_for and missing < len(payment.waiting_for):
        yield f"  bring {missing} of these:"
    elif payment.waiting_for:
        yield "  bring:"
    yield from (f"    {wanted.words}" for wanted in payment.waiting_for)
    if payment.next:
        yield f"  then: {payment.next}" if payment.waiting_for else f"  ready: {payment.next}"
    if payment.expired:
        yield "  its coins are free for other payments again; going on takes them back"
    elif line.state in {"collecting", "complete", "final"}:
        yield f"  its coins are held until {clock.text(line.expires)}"


def _state(payment: "Standing", now: datetime) -> str:
    line = payment.line
    if payment.damaged is not None:
        return f"damaged, it cannot be signed: {payment.damaged}"
    if line.state == "collecting":
        return f"{payment.have} of {payment.need} have signed"
    if line.state == "complete":
        return payment.signed
    if line.state == "final":
        return "finished, not sent yet"
    if line.state == "confirmed":
        deep = counted(line.confirmations, "confirmation")
        return f"in block {line.height}, {deep}, final with {FINAL_CONFIRMATIONS}"
    sent = f"sent {ago(line.sent_at, now)}" if line.sent_at else "sent"
    return f"{sent}, but gone: send it again" if payment.next else f"{sent}, in no block yet"
