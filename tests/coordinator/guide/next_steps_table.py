"""docs/next-steps.md: where somebody stands, what happened, and what is next then.

`python -m tests.coordinator.guide.next_steps_table` writes it anew.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from coordinator.custody.bags import BagFacts
from coordinator.guide.steps import next_steps
from coordinator.incident.step import Step
from tests.coordinator.guide.model import (
    EARLIER,
    LARGE,
    PLACES,
    SMALL,
    Card,
    Model,
    Payment,
    Vault,
    facts_of,
)
from tests.test_house import ROOT

PAPER: Final = ROOT / "docs" / "next-steps.md"
NODE: Final = "http://node"
LABELS: Final = ("blue", "green", "red")
BARE: Final = tuple(Card(label) for label in LABELS)
PLACED: Final = tuple(Card(label, place) for label, place in zip(LABELS, PLACES, strict=False))
TOLD: Final = tuple(replace(card, told=True) for card in PLACED)
Change = Mapping[str, object]
BEFORE: Final = {
    "nothing": Model(made=False),
    "a home": Model(chain=NODE),
    "two cards": Model(chain=NODE, cards=BARE[:2]),
    "three cards": Model(chain=NODE, cards=BARE),
    "three places": Model(chain=NODE, cards=BARE, places=3),
    "each card at a place": Model(chain=NODE, cards=PLACED, places=3),
    "who knows each PIN": Model(chain=NODE, cards=TOLD, places=3),
}
"""How far somebody came before there is a vault, each state with all of those above it."""
PROVED: Final = frozenset(LABELS)
KITS: Final = frozenset(PLACES[:3])
NEW: Final = Vault("family", LABELS)
PAPERED: Final = replace(NEW, proved=PROVED, copies=KITS)
FUNDED: Final = replace(PAPERED, received=True, sats=SMALL)
PAID_BACK: Final = replace(FUNDED, sats=0, spent=True)
DRILLED: Final = replace(PAID_BACK, drill="done")
AFTER: Final = {
    "the vault": NEW,
    "keys proved": replace(NEW, proved=PROVED),
    "a kit at one place": replace(PAPERED, copies=frozenset(PLACES[:1])),
    "a kit at each place": PAPERED,
    "an address given out": replace(PAPERED, address=True),
    "a small sum received": FUNDED,
    "a payment, not signed": FUNDED,
    "a payment, signed": FUNDED,
    "a payment, put together": FUNDED,
    "the sum paid back": PAID_BACK,
    "a try-out begun": replace(PAID_BACK, drill="open"),
    "tried out": DRILLED,
    "the savings in it": replace(DRILLED, sats=LARGE, spent=True),
}
PAYING: Final = {
    "a payment, not signed": "collecting",
    "a payment, signed": "complete",
    "a payment, put together": "final",
}
HAPPENED: Final[Mapping[str, tuple[Change, ...]]] = {
    "nothing": (),
    "a card lost": ({"gone": "lost"},),
    "a card stolen": ({"gone": "stolen"},),
    "a bag opened": ({"bag": BagFacts("B1", opened=EARLIER)},),
    "a PIN with its card": ({"beside": True},),
    "PINs noted at one place": ({"once": True}, {"once": True}, {"once": True}),
    "two cards together": ({"place": PLACES[1]},),
    "two cards lost": ({"gone": "lost"}, {"gone": "lost"}),
    "two cards stolen": ({"gone": "stolen"}, {"gone": "stolen"}),
}
HEAD: Final = """\
# What is next

`cardquorum status`, the last line of every command, `cardquorum guide` and the page read one list:
`coordinator/guide/steps.py` maps what is known to steps, the most pressing first. This page is made
from it (`python -m tests.coordinator.guide.next_steps_table`), and a test holds it. The vault here
is 2 of 3 and asks a node; on a chain of software, or without any chain, some commands differ.

A person who always takes the first step reaches a safe vault from each of {starts:,} states of a
model ({seen:,} with those on the way; {longest} steps at most). Safe: proved, on paper, rehearsed,
tried out, each card and PIN at a recorded place, nothing dangerous. What is due each year comes on
top.
"""


class Counts(NamedTuple):
    """From how many states safety was reached, through how many, and in how many steps at most."""

    starts: int
    seen: int
    longest: int


def with_vault(stage: str, happened: str) -> Model:
    """Return a home that came so far, where this happened to its cards."""
    cards = list(TOLD)
    for number, change in enumerate(HAPPENED[happened]):
        cards[number] = replace(cards[number], **change)  # type: ignore[arg-type]  # by name
    payment = Payment("family", PAYING[stage]) if stage in PAYING else None
    return Model(chain=NODE, cards=tuple(cards), places=3, vaults=(AFTER[stage],), payment=payment)


def _anchor(step: Step) -> str:
    return "-".join([step.code, *_verb(step).split()])


def _verb(step: Step) -> str:
    """Return the words of a step's command before what it is about."""
    return " ".join(step.words[: 1 if step.words[0] in {"init", "kit", "sync"} else 2])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(count: int) -> str:
    return f"|{'---|' * count}"


def lines(counts: Counts) -> Iterator[str]:
    """Yield the document's lines."""
    told: dict[str, Step] = {}

    def cell(model: Model) -> str:
        step = next_steps(facts_of(model))[0]
        told.setdefault(_anchor(step), step)
        return f"[{_verb(step)}](#{_anchor(step)})"

    yield HEAD.format(**counts._asdict())
    yield "## Before there is a vault\n"
    yield _row("there is", "next")
    yield _rule(2)
    for stage, model in BEFORE.items():
        yield _row(stage, cell(model))
    yield "\n## With a vault, and what happened to it\n"
    yield _row("there is", *HAPPENED)
    yield _rule(len(HAPPENED) + 1)
    for stage in AFTER:
        yield _row(stage, *(cell(with_vault(stage, happened)) for happened in HAPPENED))
    yield "\n## The steps\n"
    yield "As each is said where it first stands above; capitals are what only the person has.\n"
    yield _row("code", "how pressing", "what is said", "command")
    yield _rule(4)
    for anchor, step in sorted(told.items()):
        code = f'<a id="{anchor}"></a>`{step.code}`'
        yield _row(code, step.severity.value, step.title, f"`{step.command}`")


def document(counts: Counts) -> str:
    """Return the document."""
    return "\n".join(lines(counts)) + "\n"


if __name__ == "__main__":
    from tests.coordinator.guide.test_steps import counted

    PAPER.write_text(document(counted()[1]), encoding="utf-8")
