"""Texts of others on every page: mark-up is a text there, and nothing turns round or hides."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.web import homes
from tests.web.browser import Client
from tests.web.conftest import serving
from tests.web.test_looks import FILES, OF_A_KIND, kind_of

HREF = re.compile(r'<a [^>]*href="(/[^"]*)"')
SHOWN = re.compile(r"\\u202e&lt;b onclick=&#34;x&#34;&gt;(\d+)&lt;/b&gt;\\u200b&amp;")


def every_page(client: Client) -> dict[str, str]:
    """Follow every link from Today on; return the pages by path."""
    waiting, pages, looked = ["/"], dict[str, str](), Counter[str]()
    while waiting:
        path = waiting.pop(0)
        if path in pages or looked[kind_of(path)] == OF_A_KIND or FILES.fullmatch(path):
            continue
        looked[kind_of(path)] += 1
        answer = client.get(path)
        pages[path] = answer.text
        waiting += [found] if (found := answer.headers.get("location")) else []
        waiting += [each.replace("&amp;", "&") for each in HREF.findall(pages[path])]
    return {path: text for path, text in pages.items() if text}


@pytest.mark.matrix
def test_texts_of_others_are_shown_as_they_are_on_every_page(tmp_path: Path) -> None:
    asked = homes.named_oddly(tmp_path)
    with serving(asked.home) as running:
        client = Client(running)
        client.enter()
        pages = every_page(client)
    for path, text in pages.items():
        assert (path, re.findall("[\u202e\u200b]|<b[ >]", text)) == (path, [])
    shown = {int(each) for text in pages.values() for each in SHOWN.findall(text)}
    assert {1, 2, 3, 4, 5, 8, 10} <= shown
