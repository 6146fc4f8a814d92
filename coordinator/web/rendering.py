"""Templates and what all of them show: every text of others without what nobody sees."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from coordinator import clock
from coordinator.audit.acceptance import as_told
from coordinator.shown_text import (
    ago,
    counted,
    in_other_unit,
    in_unit,
    sat_per_vbyte,
    sats,
    visible,
    visible_lines,
)

GROUP: Final = 4
WORDS: Final = {"location": "place", "copy": "paper", "holder": "person"}
COMMAND: Final = "cardquorum "
SUBJECT: Final = re.compile(
    r"\b(card|key|location|copy|holder|plate|words|file|bag):(?=[A-Za-z0-9])"
)
CEREMONY: Final = re.compile(r"\bceremony\b")
DRILL: Final = re.compile(r"\b(no|a|last|this) drill\b|^drill(?= \w+: \d)|(?<=>)drill(?=<)")
SYNC: Final = re.compile(r"\bas of the last sync\b")
LOCATION: Final = re.compile(r"\blocation\b")
COLLECTING: Final = re.compile(r"\bis collecting\b")
AMOUNT: Final = re.compile(r"\b(\d{4,16}) sats?\b")
MOMENT: Final = re.compile(r"\b(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\dZ")
FRAME: Final = "base.html"


@cache
def environment() -> Environment:
    """Return the templates of the page."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader("coordinator.web"), PackageLoader("coordinator.audit")]),
        autoescape=True,
        finalize=_readable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        sats=sats,
        in_unit=in_unit,
        in_other_unit=in_other_unit,
        counted=counted,
        rate=sat_per_vbyte,
        grouped=grouped,
        day=lambda moment: moment.date().isoformat(),
        ago=lambda moment: ago(moment, clock.now()),
        sentence=sentence,
        plain=plain,
        things=things,
        told=lambda danger: as_told(*danger),
    )
    return made


def rendered(name: str, said: Mapping[str, object], part: str | None = None) -> str:
    """Return a page, or the one block of it that is asked for again."""
    shown = dict(said)
    shown["m"] = environment().get_template("macros.html").make_module(shown)
    for template in (environment().get_template(name), environment().get_template(FRAME)):
        if part in template.blocks:
            return "".join(template.blocks[part](template.new_context(shown)))
    return environment().get_template(name).render(shown)


def grouped(text: str) -> Sequence[str]:
    """Return a text in groups of four, as it is compared with paper."""
    return [text[at : at + GROUP] for at in range(0, len(text), GROUP)]


def sentence(text: str) -> str:
    """Return a message as a sentence: a capital, a full stop, and things as they are said."""
    text = things(text.strip())
    ended = text if re.search(r"[.!?:]$", text) else f"{text}."
    typed = re.search(r"[:\d]", ended.partition(" ")[0])  # an address, kind:name
    return ended if typed else ended[:1].upper() + ended[1:]


def things(text: str) -> str:
    """Return a text with things as they are said; where it tells a command they stay as typed."""
    if COMMAND in text:
        return text
    said = SUBJECT.sub(lambda found: f"{WORDS.get(found[1], found[1])} ", text)
    said = CEREMONY.sub("payment", LOCATION.sub("place", said))
    said = DRILL.sub(lambda found: f"{found[1] or ''} try-out".strip(), said)
    said = SYNC.sub("as last looked up", said)
    said = AMOUNT.sub(lambda found: sats(int(found[1])), said)
    said = COLLECTING.sub("waits for signatures", MOMENT.sub(r"\1", said))
    return Markup(said) if isinstance(text, Markup) else said  # noqa: S704 -- no mark-up comes in


def plain(subject: str) -> str:
    """Return kind:name as it is said: `card:blue` is card blue, `location:home` place home."""
    kind, _, name = subject.rpartition(":")
    return f"{WORDS.get(kind, kind)} {name}".strip()


def _readable(value: object) -> object:
    """Return what an expression gives, its texts without what nobody sees."""
    if isinstance(value, Markup):
        return Markup(visible_lines(value))  # noqa: S704 -- escapes only add what is no mark-up
    return visible(value) if isinstance(value, str) else value
