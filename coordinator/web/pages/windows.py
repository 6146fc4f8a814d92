"""Another window wants in: the first one is asked."""

from typing import Final

from coordinator.web.context import Answer, Moved, Page, Route, Shown, Visit
from coordinator.web.events import WINDOW


def answer(visit: Visit) -> Answer:
    """Let a window in that came with a link, or keep it out."""
    number, said = visit.form.get("number", ""), visit.form.get("answer")
    visit.context.windows.answer(number, allowed=said == "yes")
    visit.context.bulletin.post(WINDOW)
    return Moved("/")


def frame(_visit: Visit) -> Answer:
    """Show what every page has around it: its live parts are asked for here.

    A page that answers a form has no address of its own to ask.
    """
    return Shown("frame.html", {})


PAGE: Final = Page("", "/windows", (Route("/windows", take=answer), Route("/frame", frame)))
