"""Homes that can do less than others: every page is shown, and offers nothing that cannot work."""

import re
from pathlib import Path

import pytest

from tests.program import asking
from tests.web import homes
from tests.web.browser import Client
from tests.web.conftest import serving
from tests.web.test_names import every_page
from tests.web.test_pages import ended

pytestmark = pytest.mark.matrix
POSTS = re.compile(r'<form method="post" action="([^"]+)"')
FREEING = re.compile(r"/cards/[^/]+/unblock")
"""A card is freed in the terminal, which writes nothing into the home."""


def test_a_home_that_can_only_be_read_has_no_button_that_would_change_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = homes.HOMES[homes.READ_ONLY](tmp_path)
    monkeypatch.setattr("storage.database.is_writable", lambda _file: False)
    with serving(asked.home) as running:
        client = Client(running)
        client.enter()
        pages = every_page(client)
    assert len(pages) > 30
    for path, text in pages.items():
        assert (path, "can only be read here" in text) == (path, True)
        assert (path, [each for each in POSTS.findall(text) if not FREEING.fullmatch(each)]) == (
            path,
            [],
        )


def test_where_money_is_real_no_page_speaks_of_practice(tmp_path: Path) -> None:
    with serving(homes.mainnet(tmp_path).home) as running:
        client = Client(running)
        client.enter()
        pages = every_page(client)
    assert len(pages) > 20
    spoken = re.compile("practi[cs]e|play money", re.IGNORECASE)
    assert [path for path, text in pages.items() if spoken.search(text)] == []


@pytest.mark.parametrize("kind", ["sealed", "watching", "later", "empty"])
def test_where_the_chain_is_away_every_page_of_every_home_is_shown(
    kind: str, tmp_path: Path
) -> None:
    asked = homes.asks(homes.HOMES[kind](tmp_path), homes.NOWHERE)
    with serving(asked.home) as running:
        client = Client(running)
        client.enter()
        pages = every_page(client)
        for path, text in pages.items():
            assert (path, "This was not done" in text, "report this" in text) == (
                path,
                False,
                False,
            )
        if kind != "empty":
            client.post("/look", on="/")
            told = ended(client).words
            assert ("Not done" in told, "No money has moved" in told) == (True, True)
    assert asking(asked.home)("status")["network"] == "regtest"
