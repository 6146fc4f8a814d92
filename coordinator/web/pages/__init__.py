"""The pages in the order of their navigation; a page is one module and its templates.

To add one: a module with its `PAGE`, named here, and a template that extends `base.html`.
"""

from typing import Final

from coordinator.web.context import Page
from coordinator.web.pages import (
    backups,
    cards,
    exchange,
    happened,
    moves,
    papers,
    pay,
    places,
    practice,
    receive,
    recover,
    task,
    today,
    vaults,
    windows,
)

PAGES: Final[tuple[Page, ...]] = (
    today.PAGE,
    cards.PAGE,
    pay.PAGE,
    happened.PAGE,
    receive.PAGE,
    places.PAGE,
    papers.PAGE,
    exchange.PAGE,
    vaults.PAGE,
    backups.PAGE,
    moves.PAGE,
    recover.PAGE,
    practice.PAGE,
    task.PAGE,
    windows.PAGE,
)
