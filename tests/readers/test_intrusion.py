"""Another program at the reader, and a reader that resets its card: the payment is signed.

Two ways for each family, on a real PC/SC service. An intruder in a process of its own connects,
selects another applet and resets, without pause. The virtual reader itself resets the card before
or after a command, of which the driver hears nothing: at every single command of identification,
PIN and signing. Always finished, no attempt spent, the person told that another program uses the
reader. `make test-intrusion` runs all of it and prints the table; `make test` a case per family.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cards.emulation import open_card
from cards.family import families
from cards.transport import CardTransport, PowerCycler
from tests.program import PIN, UNPROVED, Asked, Ended, run_program
from tests.readers.conftest import Put, reader
from tests.readers.test_sharing import Beginning, other_program
from tests.sampled import in_turn

__all__ = ["other_program"]

INPUTS = 2
SETTLED = 0.3
"""pcscd asks each 0.1 s whether a program that waits may go on."""
TOLD = ("another program uses", "it has to wait meanwhile")
MOMENTS = ("before", "after")


class Resetting:
    """A card in a reader that resets it at one command of a payment, once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at, self.moment, self.count = -1, "before", 0
        self.heard: list[bytes] = []

    def arm(self, at: int, moment: str) -> None:
        self.at, self.moment, self.count, self.heard = at, moment, 0, []

    def insert(self) -> CardTransport:
        return _Reset(self, open_card(self.path))


class _Reset:
    def __init__(self, plan: Resetting, inner: CardTransport) -> None:
        self.plan, self.inner, self.close = plan, inner, inner.close

    def transmit(self, apdu: bytes) -> bytes:
        number, self.plan.count = self.plan.count, self.plan.count + 1
        self.plan.heard.append(apdu)
        if (number, self.plan.moment) == (self.plan.at, "before"):
            self.power_cycle()
        answer = self.inner.transmit(apdu)
        if (number, self.plan.moment) == (self.plan.at, "after"):
            self.power_cycle()
        return answer

    def power_cycle(self) -> None:
        assert isinstance(self.inner, PowerCycler)
        self.inner.power_cycle()


class Table(NamedTuple):
    """Family, command and moment: what came of it."""

    rows: list[tuple[str, str, str, str]]


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    found = Table([])
    yield found
    if "intrusion" not in str(request.config.option.markexpr).replace("not intrusion", ""):
        return
    counts = Counter(found.rows)
    lines = [" | ".join((*row, str(n))) for row, n in sorted(counts.items())]
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\nfamily | command | moment | outcome | cases\n" + "\n".join(lines))  # noqa: T201 -- the table, with -s


@pytest.fixture(
    params=[
        *((family.name, family.profiles[-1]) for family in families()),
        pytest.param(("keycard", "3.2"), marks=pytest.mark.intrusion),
    ],
    ids=" ".join,
)
def family(request: pytest.FixtureRequest) -> tuple[str, str]:
    name, profile = request.param
    return name, profile


@pytest.fixture
def card(asked: Asked, home: Path, put: Put, family: tuple[str, str]) -> Resetting:
    """A card of that family in reader 0, and a vault of its key alone with coins."""
    asked("init", "--network", "regtest")
    asked("emulate", "new", family[0], "x", "--profile", family[1])
    found = Resetting(home / "emulated" / "x.card")
    put(0, found.insert)
    asked("card", "enrol", "x", "--reader", reader(0), "--pin-stdin", stdin=PIN)
    asked("vault", "create", "v", "--threshold", "1", "--card", "x")
    address = asked("address", "new", "v", *UNPROVED)["address"]
    asked("regtest", "fund", address, "100000", "--coins", str(INPUTS))
    asked("regtest", "mine", "1")
    return found


@pytest.fixture
def pay(asked: Asked, home: Path) -> Callable[[], Ended]:
    """Open a payment of all coins and sign it at reader 0; the coins are free again after."""

    def paid() -> Ended:
        to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
        created = asked("spend", "create", "v", "--drain", to, "--feerate", "2")
        words = ("spend", "sign", created["ceremony"], "--reader", reader(0), "--pin-stdin")
        ended = run_program(
            home, "--json", *words, "--yes", "--wait", "0", stdin=f"x={PIN}", check=None
        )
        asked("spend", "abandon", created["ceremony"])
        return ended

    return paid


def attempts(asked: Asked) -> object:
    """Return what the card in reader 0 says of itself, attempts left among it."""
    found = {each["name"]: each for each in asked("reader", "list")["readers"]}[reader(0)]
    return found["card"], found["error"]


def finished(ended: Ended) -> bool:
    if ended.status != 0:
        return False
    signed = [(each["signatures"], each["error"]) for each in ended.document["cards"]]
    return signed == [(INPUTS, None)]


def swept(
    card: Resetting,
    pay: Callable[[], Ended],
    asked: Asked,
    chosen: Callable[[int], range],
    every: int = 1,
) -> Iterator[tuple[str, str, str]]:
    """Reset the card at the commands chosen, at one in `every` moments, by turns.

    Yields each command, its moment, and what came of it.
    """
    before = attempts(asked)
    card.arm(-1, "before")
    assert finished(pay())
    heard = list(card.heard)
    for turn, at in enumerate(chosen(len(heard))):
        for moment in in_turn(MOMENTS, turn, every):
            card.arm(at, moment)
            ended = pay()
            hit = card.count > at
            last = moment == "after" and card.count == at + 1
            card.arm(-1, "before")
            told = "another program" in ended.err
            outcome = (
                f"exit {ended.status}"
                if not finished(ended)
                else "an attempt was spent"
                if attempts(asked) != before
                else "signed"
                if told
                else "signed, at the end"
                if last or not hit
                else "signed, nothing lost by it"
            )
            yield f"{at + 1:2} {heard[at][:2].hex().upper()}", moment, outcome


def test_an_intruder_without_pause_has_to_wait(
    card: Resetting, pay: Callable[[], Ended], asked: Asked, table: Table, family: tuple[str, str],
    other_program: Beginning,
) -> None:  # fmt: skip
    before = attempts(asked)
    card.arm(-1, "before")
    intruder = other_program(reader(0), "intrude")
    time.sleep(SETTLED)
    ended = pay()
    assert intruder.poll() is None
    assert finished(ended), ended
    assert any(words in ended.err for words in TOLD), ended.err
    intruder.kill()
    intruder.wait()
    assert attempts(asked) == before
    table.rows.append(
        (" ".join(family), "all", "an intruder without pause", "signed, attempts kept, told")
    )


def test_a_reader_that_resets_its_card_once_is_survived(
    card: Resetting, pay: Callable[[], Ended], asked: Asked
) -> None:
    def some(commands: int) -> range:
        return range(1, commands, -(-commands // 3))

    for at, moment, outcome in swept(card, pay, asked, some, len(MOMENTS)):
        assert outcome in {"signed", "signed, at the end", "signed, nothing lost by it"}, (
            at,
            moment,
        )


@pytest.mark.intrusion
def test_a_reset_at_every_command_is_survived(
    card: Resetting, pay: Callable[[], Ended], asked: Asked, table: Table, family: tuple[str, str]
) -> None:
    found = list(swept(card, pay, asked, range))
    table.rows.extend((" ".join(family), *each) for each in found)
    assert [each for each in found if not each[2].startswith("signed")] == []


@pytest.mark.intrusion
@pytest.mark.parametrize("run", range(10))
def test_another_program_without_pause_spends_no_attempt_and_stops_no_payment(
    card: Resetting, pay: Callable[[], Ended], asked: Asked, table: Table, family: tuple[str, str],
    other_program: Beginning, run: int,
) -> None:  # fmt: skip
    assert run >= 0
    test_an_intruder_without_pause_has_to_wait(card, pay, asked, table, family, other_program)
