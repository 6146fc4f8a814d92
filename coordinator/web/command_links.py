"""Where the page does what a command does: a sentence that names a command gets a link instead."""

import re
import shlex
from collections.abc import Sequence
from typing import Final, NamedTuple

from coordinator.incident.step import Need, Step
from coordinator.web.context import Page

COMMAND: Final = re.compile(r"(?:\brun:? )?cardquorum ([^;,()]+)")
BEREFT: Final = re.compile(r":\s*(?=[;,.])")
"""A colon whose command was taken out."""
METAVARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_.]*")
"""A word of a command for which the person puts their own, as NAME."""
NUMBERED: Final = re.compile(r"\{(\d+)\}")
HERE: Final = "Do it here"


class Way(NamedTuple):
    """A path that does what a command does, and what a link there is called."""

    path: str
    name: str


class Remedy(NamedTuple):
    """What to do about something: a sentence without its command, and the page's way or that."""

    sentence: str
    way: Way | None
    command: str | None


def way(pages: Sequence[Page], step: Step) -> str | None:
    """Return the path that takes a step of the guide; None where only the terminal does."""
    words = ["" if isinstance(word, Need) else str(word) for word in step.words]
    found = _way(pages, words)
    return None if found is None else found.path


def remedy(pages: Sequence[Page], text: str) -> Remedy:
    """Return what a sentence of the command line tells to do, with the page's own way to do it."""
    found = COMMAND.search(text)
    if found is None:
        return Remedy(text, None, None)
    sentence = BEREFT.sub("", COMMAND.sub("", text)).strip().rstrip(":;, ")
    try:
        words = shlex.split(found[1])
    except ValueError:
        words = found[1].split()
    there = _way(pages, ["" if METAVARIABLE.fullmatch(word) else word for word in words])
    return Remedy(sentence, there, None if there else f"cardquorum {found[1].strip()}")


def _way(pages: Sequence[Page], words: Sequence[str]) -> Way | None:
    ways = [
        (len(begin), number, path)
        for number, page in enumerate(pages)
        for begin, path in page.takes.items()
        if tuple(words[: len(begin)]) == begin
    ]
    if not ways:
        return None
    _, number, path = max(ways)
    page, (bare, asked, query) = pages[number], path.partition("?")
    named = [_word(words, int(each)) for each in NUMBERED.findall(bare)]
    if not all(named):  # nobody says of which one: the page asks
        return Way(page.path, page.name or HERE) if page.name else None
    filled = NUMBERED.sub(lambda each: _word(words, int(each[1])), f"{bare}{asked}{query}")
    return Way(filled, page.name if path == page.path and page.name else HERE)


def _word(words: Sequence[str], number: int) -> str:
    return words[number] if number < len(words) else ""
