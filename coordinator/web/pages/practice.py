"""Play money: on the embedded chain blocks come, and money arrives, when somebody asks for them."""

from typing import Final

from coordinator.amounts import parse_amount
from coordinator.chain.regtest import RegtestChain
from coordinator.errors import UsageError
from coordinator.payment.payees import parse_address
from coordinator.web.context import Answer, Moved, Page, Route, Shown, Visit
from coordinator.workspace.opened_home import OpenedHome

PATH: Final = "/practice"
FIRST_SATS: Final = 1_000_000
BLOCKS_MAX: Final = 100


def show(visit: Visit) -> Answer:
    """Show the newest block, and what can be asked for."""
    with visit.context.asking() as opened:
        tip = _embedded(opened).tip()
    said = {"height": tip.height, "to": visit.query.get("to", ""), "sats": FIRST_SATS}
    return Shown("practice.html", said)


def _embedded(opened: OpenedHome) -> RegtestChain:
    if not isinstance(opened.chain, RegtestChain):
        raise UsageError("this home asks a chain of others: nobody makes its blocks to order")
    return opened.chain


def mine(visit: Visit) -> Answer:
    """Let blocks come: what waits is entered in them."""
    typed = visit.form.get("blocks", "1")
    if not typed.isdecimal() or not 0 < int(typed[:4]) <= BLOCKS_MAX:
        raise UsageError(f"{typed!r} is not between 1 and {BLOCKS_MAX} blocks")
    visit.context.opened.require_writable()
    with visit.context.asking() as opened:
        _embedded(opened).mine(int(typed), None)
    visit.context.freshen()
    return Moved(PATH)


def fund(visit: Visit) -> Answer:
    """Have play money sent to an address."""
    context, form = visit.context, visit.form
    script = parse_address(form.get("to", "").strip(), context.home.network)
    value = parse_amount(form.get("amount", ""))
    context.opened.require_writable()
    with context.asking() as opened:
        chain = _embedded(opened)
        chain.fund(script, value, 1)
        chain.mine(1, None)
    context.freshen()
    return Moved("/")


PAGE: Final = Page(
    "",
    PATH,
    (Route(PATH, show), Route("/practice/blocks", take=mine), Route("/practice/money", take=fund)),
    {("regtest", "mine"): PATH, ("regtest", "fund"): "/practice?to={2}"},
)
