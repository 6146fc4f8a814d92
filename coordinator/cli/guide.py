"""guide: led by the hand, one question at a time, from nothing to a safe vault."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from coordinator.cli import terminal
from coordinator.cli.context import Context, Globals
from coordinator.cli.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from coordinator.guide.facts import GuideFacts, VaultStanding
    from coordinator.incident.step import Step

BEGIN: Final = (
    "You need three cards, a reader, paper, a pen, three envelopes and about two quiet hours; the "
    "cards will lie at three places. You can stop at any question with Ctrl-C: called again, the "
    "guide goes on where you stopped."
)
PRACTISE: Final = (
    "You need paper and a pen, and about five minutes. The cards are of software here; a tapsigner "
    "comes with its PIN printed on it, and that of these practice cards is 123456. Stop with "
    "Ctrl-C at any question: called again, the guide goes on."
)
STAGES: Final = (
    ("home", frozenset({"home"})),
    ("three cards", frozenset({"card_new", "card_setup"})),
    ("places", frozenset({"place", "place_unknown", "words_unrecorded"})),
    ("PINs and PUKs", frozenset({"pin_nowhere", "puk_nowhere", "pairing_nowhere"})),
    ("vault", frozenset({"vault"})),
    ("proof of the keys", frozenset({"keys_unproved"})),
    ("papers", frozenset({"no_copy", "copy_missing", "copy_stale"})),
    ("rehearsal", frozenset({"first_sum", "first_sum_waits", "first_payment", "payment", "mine"})),
    ("drill", frozenset({"drill", "never_drilled", "drill_overdue"})),
)
UNASKED: Final = frozenset({"card_new", "words_unrecorded", "mine", "drill"})
"""Steps that are taken at once: nothing of them is the person's to decide or to do."""
REPEATED: Final = frozenset({"first_sum_waits"})
"""What is looked for again where nothing has changed."""
OPENED: Final = frozenset({"report_forgotten", "report_blocked"})
"""What ends a road once one of its steps did what was wanted."""
HEIRS: Final = frozenset({"payment", "mine"})
"""What goes on after the owner's death: what the heir began to send, and no set-up."""
READY: Final = (
    "The way is open. Fund it tenfold each time, and look at each sum before the next. Write the "
    "letter on page one of the kit with a pen where it has blanks, and let somebody read it who "
    "knows nothing of this."
)


def guide(
    context: Context,
    practice: Annotated[
        bool, typer.Option("--practice", help="with cards of software, in a home of its own")
    ] = False,
) -> Result:
    """Lead from nothing to a safe vault, and through whatever happens to it.

    One question at a time, each with a default; it may be left at any of them and goes on there.
    It needs a terminal; programs take the same steps from status --json.

    \b
    Example: cardquorum guide --practice
    """
    from coordinator.errors import UsageError

    streams = (sys.stdin, sys.stdout, sys.stderr)
    if context.as_json or context.run is None or not all(each.isatty() for each in streams):
        raise UsageError(
            "guide talks to a person at a terminal; without one: cardquorum status --json"
        )
    folder = context.folder
    if practice:
        folder = folder.with_name(f"{folder.name}-practice")
    return Guide(folder.absolute(), context.run, practice=practice).lead()


@dataclass
class Guide:
    """Somebody who is led, in the home of this folder."""

    folder: Path
    program: "Callable[[Sequence[str], Globals], int]"
    practice: bool
    heir: bool = False

    def lead(self) -> Result:
        """Take the first step again and again, until nothing but money is left to come."""
        self._greet()
        later: set[str] = set()
        facts, steps = self._next()
        while True:
            wanted = [step for step in steps if not self.heir or step.code in HEIRS]
            doing = [step for step in wanted if step.command and step.command not in later]
            if not doing:
                return self._ended(facts, wanted)
            if doing[0].code == "fund":
                return self._ready(facts, doing[0])
            taken, before = self._take(doing[0], facts), facts
            facts, steps = self._next()
            unchanged = replace(before, now=facts.now) == facts and doing[0].code not in REPEATED
            if not taken or unchanged:  # else it would be asked for ever
                later.add(doing[0].command or "")

    @property
    def kits(self) -> Path:
        """Return the folder that kits are written to."""
        return self.folder.with_name(f"{self.folder.name}-kits")

    def run(self, words: Sequence[str], *, quiet: bool = False) -> bool:
        """Run a command of this home as it is typed, with a person who is led; tell if it ended.

        Raises KeyboardInterrupt where the person interrupted it.
        """
        from coordinator.cli.guided_attendant import GuidedTerminal, PracticeTerminal
        from coordinator.cli.result import ExitStatus

        person = PracticeTerminal if self.practice else GuidedTerminal
        chosen = Globals(home=self.folder, quiet=quiet, attendant=person)
        status = self.program(words, chosen)
        interrupted, person.interrupted = person.interrupted, False
        if interrupted or status == ExitStatus.INTERRUPTED:
            raise KeyboardInterrupt
        return status == ExitStatus.DONE

    def _greet(self) -> None:
        from coordinator.cli.guide_emergencies import report_wanted
        from coordinator.cli.prompts import paragraph, wait_for_enter

        self._screen("")
        facts, _ = self._next()
        if facts.network is None:
            paragraph(PRACTISE if self.practice else BEGIN)
            wait_for_enter("")
        elif any(vault.in_use for vault in facts.vaults) and not self.practice:
            for step in report_wanted(facts):
                self.heir = step.code == "report_died"
                begun = step.words[:1] == ("spend",)  # its signing comes before what follows
                if self._take(step, facts) and (begun or step.code in OPENED):
                    break

    def _next(self) -> "tuple[GuideFacts, list[Step]]":
        """Return the facts of the home, and what is next."""
        from coordinator.errors import SettingsError
        from coordinator.guide.facts import GuideFacts, gather
        from coordinator.guide.steps import next_steps
        from coordinator.home.settings import SETTINGS_FILE, open_home
        from storage.database import is_read_only

        if not (self.folder / SETTINGS_FILE).exists():
            return GuideFacts(), next_steps(GuideFacts())
        home = open_home(self.folder)
        if self.practice and home.network != "regtest":
            raise SettingsError(f"{self.folder} is no practice home: its network is {home.network}")
        with closing(Context(Globals(home=self.folder))) as opened:
            opened.freshen()
            with opened.database.begin() as db:
                facts = gather(home, db, writable=not is_read_only(opened.database))
        return facts, next_steps(facts)

    def _take(self, step: "Step", facts: "GuideFacts") -> bool:
        """Take a step; False where the person leaves it for later."""
        from coordinator.cli.guide_answers import Answers
        from coordinator.cli.prompts import Choice, choose, paragraph, wait_for_enter

        while True:
            self._screen(_stage(step))
            paragraph(f"{step.title[:1].upper()}{step.title[1:]}.")
            paragraph(f"Why: {step.why}.")
            if not step.words:
                wait_for_enter("Do it, or know it.")
                return True
            if not self._wanted(step):
                return False
            self._before(step, facts)
            if step.code == "home":
                done = self._make_home()
            else:
                values = Answers(step, facts, self.kits, practice=self.practice).given()
                done = self.run(step.filled(values))
            if done:
                return True
            paragraph("No money has moved, and what was done before is kept.")
            again = [
                Choice("again", "Try it again"),
                Choice("later", "Leave it for later"),
                Choice("stop", "Stop here"),
            ]
            answer = choose("What now?", again)
            if answer == "stop":
                raise KeyboardInterrupt
            if answer == "later":
                return False

    def _before(self, step: "Step", facts: "GuideFacts") -> None:
        """Do what a step wants done first: a card laid on the reader, the rebuilding from paper."""
        from coordinator.cli.guide_rehearsal import rebuilt
        from coordinator.cli.prompts import wait_for_enter

        if step.code == "first_sum":
            vault = next(each for each in facts.vaults if each.name == step.words[2])
            rebuilt(self.folder, self.kits, facts, vault, self.run)
        elif step.words[:2] == ("card", "setup") and "--emulated" not in step.words:
            self._card_laid()
        elif step.code == "first_sum_waits" and not self.practice:
            self.run(["address", "list", step.words[-1], "--unused"], quiet=True)
            wait_for_enter("Pay it from another wallet.")

    def _wanted(self, step: "Step") -> bool:
        """Ask whether to take a step that asks nothing else, or that only a report wants."""
        from coordinator.cli.prompts import Choice, choose

        if step.code in UNASKED or (step.needs and not step.code.startswith("report_")):
            return True
        answers = [Choice("now", "Do it now"), Choice("later", "Not now: go on to what is next")]
        return choose("Do it?", answers) == "now"

    def _card_laid(self) -> None:
        """Wait for a card on the reader, and say what it is."""
        from coordinator.cli.prompts import wait_for_enter

        wait_for_enter("Lay the card on the reader.")
        self.run(["reader", "list"], quiet=True)

    def _make_home(self) -> bool:
        from coordinator.cli.guide_rehearsal import chosen_chain

        network, chain = ("regtest", None) if self.practice else chosen_chain()
        source = [] if chain is None else ["--chain", chain]
        return self.run(["init", "--network", network, *source])

    def _screen(self, stage: str) -> None:
        """Begin a screen: what this is, and how far it is."""
        from coordinator.cli.guided_attendant import PRACTICE

        terminal.tell("")
        if self.practice:
            terminal.tell(PRACTICE)
        if stage:
            terminal.tell(stage)

    def _ready(self, facts: "GuideFacts", step: "Step") -> Result:
        from datetime import timedelta

        from coordinator.audit.rules import CHECK_INTERVAL
        from coordinator.cli.prompts import paragraph

        self._screen("")
        (vault,) = [each for each in facts.vaults if each.name == step.words[2]]
        paragraph(f"Vault {vault.name} is proved, on paper, rehearsed and drilled.")
        check = facts.now + CHECK_INTERVAL - timedelta(days=1)
        paragraph(f"Next check of cards, bags and papers: {check.date()}. Put it in your calendar.")
        if self.practice:
            paragraph("That was the practice. With real cards: cardquorum guide")
            return Result({}, [f"practice home: {self.folder}"])
        paragraph(READY)
        return Result({}, [f"to receive: {step.command}"])

    def _ended(self, facts: "GuideFacts", steps: "Sequence[Step]") -> Result:
        """Return what is left, where nothing can be done now."""
        waiting = [f"left: {step.title}" for step in steps]
        watched = [_watched(vault) for vault in facts.vaults if vault.in_use]
        return Result({}, [*waiting, *watched] or ["nothing is to be done now"])


def _watched(vault: "VaultStanding") -> str:
    return f"vault {vault.name}: cardquorum audit {vault.name}"


def _stage(step: "Step") -> str:
    """Return how far this step is on the road."""
    for number, (name, codes) in enumerate(STAGES, 1):
        if step.code in codes:
            return f"Part {number} of {len(STAGES)}: {name}"
    return ""


COMMANDS = {"": {"guide": guide}}
