"""Another window wants in: the first one is asked."""

from typing import Final

from coordinator.web.bulletin import WINDOW
from coordinator.web.context import Answer, Moved, Page, Route, Visit


def answer(visit: Visit) -> Answer:
    """Let a window in that came with a link, or keep it out."""
    number, said = visit.form.get("number", ""), visit.form.get("answer")
    visit.context.windows.answer(number, allowed=said == "yes")
    visit.context.bulletin.post(WINDOW)
    return Moved("/")


PAGE: Final = Page("", "/windows", (Route("/windows", take=answer),))
