"""Exchange: a payment goes to a signer elsewhere and comes back, as a file, a text or codes."""

import base64
from typing import Final

from coordinator.errors import UsageError
from coordinator.interop import qr_pictures, qr_text
from coordinator.payment import ceremonies, payment_files
from coordinator.payment.progress import final_transaction, progress, stored_psbt
from coordinator.wallet import overview
from coordinator.web.context import Answer, Moved, Page, Route, Sent, Shown, Visit
from coordinator.web.uploads import given, named, typed
from psbt.errors import PsbtError

PATH: Final = "/exchange"
OPEN: Final = frozenset({"collecting", "complete"})
FINAL: Final = "final"
FORMATS: Final = ("ur", "bbqr")
PARTS_MAX: Final = 400


def choose(visit: Visit, mistake: str | None = None) -> Answer:
    """Show the payments that can go out, and take one that was made elsewhere."""
    names = visit.context.vaults()
    found = [
        each
        for each in overview.ceremonies(visit.context.home, visit.context.reading)
        if each.state in OPEN
    ]
    said = {"payments": found, "names": names, "given": typed(visit.form), "mistake": mistake}
    return Shown("exchange.html", said, 400 if mistake else 200)


def show(visit: Visit, mistake: str | None = None) -> Answer:
    """Show how a payment goes out, once somebody asked for that, and how it comes back."""
    name = visit.path["payment"]
    with visit.context.opened.ceremony(name, reads=True) as (_, record):
        seen, is_out, final = progress(record), record.exported_at is not None, record.final_tx
    if seen.state == FINAL and final is not None:
        return Shown("exchange_final.html", {"seen": seen, "transaction": final.hex()})
    if seen.state not in OPEN:
        raise UsageError(f"payment {name} is {seen.state}: it needs no more signatures")
    kind = visit.query.get("as", FORMATS[0])
    said = {
        "seen": seen,
        "out": is_out,
        "code": _code(seen.psbt, kind) if is_out else None,
        "kind": kind,
        "formats": FORMATS,
        "taken": visit.query.get("taken"),
        "given": typed(visit.form),
        "mistake": mistake,
    }
    return Shown("exchange_payment.html", said, 400 if mistake else 200)


def _code(psbt: str, kind: str) -> str | None:
    """Return the payment as one moving code; None where it would take too many."""
    if kind not in FORMATS:
        raise UsageError(f"unknown kind of code {kind}; expected one of {', '.join(FORMATS)}")
    parts = qr_text.payment_lines(base64.b64decode(psbt), kind)
    if len(parts) > PARTS_MAX:
        return None
    drawn = qr_pictures.drawn(parts, ".gif")
    return f"data:image/gif;base64,{base64.b64encode(drawn).decode()}"


def send_out(visit: Visit) -> Answer:
    """Note that a payment goes out; it is shown from then on."""
    name = visit.path["payment"]
    ceremonies.export(visit.context.home, visit.context.database, name, accepted=visit.accepted)
    return Moved(f"{PATH}/{name}")


def download(visit: Visit) -> Answer:
    """Hand the payment to the browser as a file, once it went out."""
    name = visit.path["payment"]
    with visit.context.opened.ceremony(name, reads=True) as (_, record):
        if record.exported_at is None:
            raise UsageError(f"payment {name} did not go out yet")
        data = base64.b64decode(progress(record).psbt)
    return Sent(data, "application/octet-stream", f"{name}.psbt")


def download_final(visit: Visit) -> Answer:
    """Hand a finished transaction to the browser as a file, to be sent elsewhere."""
    name = visit.path["payment"]
    with visit.context.opened.ceremony(name, reads=True) as (_, record):
        raw = final_transaction(record, stored_psbt(record))
        if record.state != FINAL or raw is None:
            raise UsageError(f"payment {name} is {record.state}: it is not sent elsewhere")
    return Sent(raw.hex().encode(), "text/plain", f"{name}.txn")


def take(visit: Visit) -> Answer:
    """Take the signatures of what came back."""
    context, name = visit.context, visit.path["payment"]
    context.opened.require_writable()
    try:
        with named(visit.form):
            data, accepted = given(visit.form), visit.accepted
            taken = ceremonies.add(
                context.home, context.database, name, data=data, accepted=accepted
            )
    except (UsageError, PsbtError) as mistake:
        return show(visit, context.explain(mistake).message)
    return Moved(f"{PATH}/{name}?taken={taken}")


def open_foreign(visit: Visit) -> Answer:
    """Open a payment that was made elsewhere."""
    context, name = visit.context, visit.form.get("vault", "")
    context.opened.require_writable()
    try:
        with named(visit.form):
            data = given(visit.form)
            context.freshen(name)
            with context.opened.vault(name) as (db, record):
                made = payment_files.open_payment(
                    context.home, db, record, data=data, accepted=visit.accepted
                )
    except (UsageError, PsbtError) as mistake:
        return choose(visit, context.explain(mistake).message)
    return Moved(f"{PATH}/{made.created.ceremony}?taken={made.signatures}")


def missing(lines: str) -> str | None:
    """Say which codes are still missing of those that were read; None where all are there."""
    try:
        whole = qr_text.carried(lines)
    except UsageError as failure:
        return str(failure)
    return None if whole is not None or lines.strip() else "no code was read yet"


PAGE: Final = Page(
    "Exchange",
    PATH,
    (
        Route(PATH, choose),
        Route("/exchange/import", take=open_foreign),
        Route("/exchange/{payment}", show, send_out),
        Route("/exchange/{payment}/psbt", download),
        Route("/exchange/{payment}/transaction", download_final),
        Route("/exchange/{payment}/back", take=take),
    ),
    {
        ("spend", "export"): "/exchange/{2}",
        ("spend", "add"): "/exchange/{2}",
        ("spend", "import"): PATH,
    },
)
