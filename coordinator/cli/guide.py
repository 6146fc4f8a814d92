"""guide: led by the hand, one question at a time, from nothing to a safe vault."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from coordinator.cli import terminal
from coordinator.cli.context import Context, Globals
from coordinator.cli.prompts import Choice, choose, paragraph, wait_for_enter
from coordinator.cli.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from coordinator.guide.facts import GuideFacts
    from coordinator.guide.reports import Report
    from coordinator.incident.step import Step

BEGIN: Final = (
    "You need three cards, a reader, paper, a pen, three envelopes and about two quiet hours; the "
    "cards will lie at three places. You decide five things at most, marked with ?; Enter takes "
    "what is suggested. You can stop at any question with Ctrl-C: called again, the guide goes on "
    "where you stopped."
)
PRACTISE: Final = (
    "You need paper and a pen, and about five minutes. The cards are of software here; a tapsigner "
    "comes with its PIN printed on it, and that of these practice cards is 123456. What you decide "
    "is marked with ?; Enter takes what is suggested. Stop with Ctrl-C at any question: called "
    "again, the guide goes on."
)
PIN_RULES: Final = (
    "Each card has a PIN of its own, which opens no other. Write it on paper before you type it, "
    "and keep that paper apart from the card. A few wrong PINs block the card."
)
PUT_AWAY: Final = (
    "Print the PDF on a printer that you trust, write with a pen where it has blanks, and put it "
    "there in an envelope that does not tell what is in it. The text files go there on a stick."
)
UNMOVED: Final = "No money has moved, and what was done before is kept."
UNSENT: Final = (
    "What was signed is kept. Whether it was sent is not known: sending it again does no harm, it "
    "is the same payment."
)
BACKUP, CARDS = "backup", "cards"
THERE: Final = (
    Choice("kit", "Its kit: a file, a picture of its codes, or the paper to type from"),
    Choice(BACKUP, "A backup of the folder on the old computer"),
    Choice(CARDS, "Cards, and nothing else"),
)
NO_HELPER: Final = "It names no helper: write one there, too."
STAGES: Final = (
    ("home", frozenset({"home"})),
    ("three cards", frozenset({"card_new", "card_setup"})),
    ("places", frozenset({"place", "place_unknown", "words_unrecorded"})),
    (
        "PINs and PUKs",
        frozenset({"pin_nowhere", "puk_nowhere", "pairing_nowhere", "pin_noted_once"}),
    ),
    ("vault", frozenset({"vault"})),
    ("proof of the keys", frozenset({"keys_unproved"})),
    ("papers", frozenset({"no_copy", "copy_missing", "copy_stale"})),
    ("rehearsal", frozenset({"first_sum", "first_sum_waits", "first_payment", "payment", "mine"})),
    ("drill", frozenset({"drill", "never_drilled", "drill_overdue"})),
)
UNASKED: Final = frozenset(
    {
        *("card_new", "words_unrecorded", "mine", "drill", "first_sum", "first_sum_waits"),
        *("wish_receive", "report_lost", "report_stolen", "report_opened"),
    }
)
"""Steps that are taken at once: nothing of them is the person's to decide or to do any more."""
ASKED: Final = ("report_", "round_", "card_back")
"""How the codes of steps begin that are asked for though they ask for something else."""
SILENT: Final = frozenset(
    {
        *("home", "home_back", "card_new", "card_setup", "place", "place_unknown"),
        *("words_unrecorded", "pin_nowhere", "puk_nowhere", "pairing_nowhere", "pin_noted_once"),
        *("vault", "mine"),
        *("drill", "cards_together", "pin_with_card", "puk_with_card"),
    }
)
"""Steps whose command would only say in its own words what the guide said before."""
REPEATED: Final = frozenset({"first_sum_waits"})
"""What is looked for again where nothing has changed."""
CONDITION: Final = "if "
"""How a step begins that is right only where something is so: Enter alone does not take it."""
OPENED: Final = frozenset({"report_forgotten", "report_blocked"})
"""What ends a road once one of its steps did what was wanted."""
PAYING: Final = frozenset({"payment", "mine"})
"""What goes on where somebody came to pay, or inherited: what was begun to be sent, no set-up."""
READY: Final = (
    "The way is open. Fund it tenfold each time, and look at each sum before the next. Write the "
    "letter on page one of the kit with a pen where it has blanks, and let somebody read it who "
    "knows nothing of this. Who settles your affairs gets a kit of their own: cardquorum kit {0} "
    "--for executor --out DIR."
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
    """Somebody who is led, in the home of this folder.

    `only` are the codes of the steps that go on; None is all. `known` is what was answered before
    it is wanted.
    """

    folder: Path
    program: "Callable[[Sequence[str], Globals], int]"
    practice: bool
    only: frozenset[str] | None = None
    known: dict[str, str] = field(default_factory=dict)

    def lead(self) -> Result:
        """Take the first step again and again, until nothing but money is left to come."""
        if not self._greet():
            return Result({}, ["nothing is known of a vault here: cardquorum guide goes on"])
        later: set[str] = set()
        facts, steps = self.next()
        while True:
            wanted = [step for step in steps if self.only is None or step.code in self.only]
            doing = [step for step in wanted if step.command and step.command not in later]
            if not doing:
                return self._ended(facts, wanted)
            if doing[0].code == "fund":
                return self._ready(facts, doing[0])
            taken, before = self.take(doing[0], facts), facts
            facts, steps = self.next()
            unchanged = replace(before, now=facts.now) == facts and doing[0].code not in REPEATED
            if not taken or unchanged:  # else it would be asked for ever
                later.add(doing[0].command or "")

    @property
    def kits(self) -> Path:
        """Return the folder that kits are written to."""
        return self.folder.with_name(f"{self.folder.name}-kits")

    def run(self, words: Sequence[str], *, quiet: bool = False, shows: bool = True) -> bool:
        """Run a command of this home as it is typed, with a person who is led; tell if it ended.

        Raises KeyboardInterrupt where the person interrupted it.
        """
        from coordinator.cli.guided_attendant import GuidedTerminal, PracticeTerminal
        from coordinator.cli.result import ExitStatus

        person = PracticeTerminal if self.practice else GuidedTerminal
        chosen = Globals(home=self.folder, quiet=quiet, attendant=person, shows=shows)
        status = self.program(words, chosen)
        interrupted, person.interrupted = person.interrupted, False
        if interrupted or status == ExitStatus.INTERRUPTED:
            raise KeyboardInterrupt
        return status == ExitStatus.DONE

    def _greet(self) -> bool:
        """Ask why somebody is here, and lead there; False where that ends here."""
        self.screen("")
        facts, _ = self.next()
        if self.practice:
            if facts.network is None:
                paragraph(PRACTISE)
                wait_for_enter("")
            return True
        if any(vault.in_use for vault in facts.vaults):
            self._wished(facts)
            return True
        return self._arrived(facts)

    def _arrived(self, facts: "GuideFacts") -> bool:
        """Lead whoever comes to a home without a vault; False where no vault came of it."""
        from coordinator.guide.arrival import TOLD, Reason, first_words
        from coordinator.guide.reports import inherited

        choices = [Choice(reason.value, title) for reason, title in TOLD.items()]
        reason = Reason(choose("Why are you here?", choices))
        if reason is Reason.NEW:
            if facts.network is None:
                paragraph(BEGIN)
                wait_for_enter("")
            return True
        for advice in first_words(reason):
            self.screen("")
            paragraph(f"{advice.title[:1].upper()}{advice.title[1:]}.")
            paragraph(f"Why: {advice.why}.")
            wait_for_enter("Do it, or know it.")
        self.screen("")
        if not self._brought_back():
            return False
        if reason is Reason.DIED:
            self.only = PAYING
            self._road(inherited)
        return True

    def _brought_back(self) -> bool:
        """Bring a vault back and look for its money; False where that cannot be done now."""
        from coordinator.cli.guide_paper import paper_asked
        from coordinator.guide import arrival

        facts, _ = self.next()
        has = choose("What is there?", THERE)
        if has == CARDS:
            paragraph(arrival.CARDS_ALONE)
            return False
        if has == BACKUP:
            if facts.network is None:
                return self.take(arrival.backup_back(), facts)
            paragraph(
                f"The folder {self.folder} is begun already. Restore into another one, and call "
                "the guide for that: cardquorum restore FILE --home DIR, cardquorum guide --home "
                "DIR."
            )
            return False
        paper = paper_asked()
        self.known |= paper.known
        if facts.network is None and not self.take(arrival.home_back(), facts):
            return False
        while self.take(arrival.show_card(), self.next()[0]):
            pass  # until the person has no more
        facts, _ = self.next()
        if paper.encrypted and not facts.cards:
            paragraph("This file opens with a card of the vault: come back once one is at hand.")
            return False
        while (step := arrival.vault_back(facts)) is not None and self.take(step, facts):
            facts, _ = self.next()
        for vault in facts.vaults:
            if vault.in_use and vault.looked:
                _say_what_nothing_means(facts, vault.name)
        return any(vault.in_use for vault in facts.vaults)

    def _wished(self, facts: "GuideFacts") -> None:
        """Lead whoever has a vault: on, to an address, to a payment, or through what happened."""
        from coordinator.guide.reports import Report, first_steps
        from coordinator.guide.yearly import TOLD, Wish, wished

        wishes = [Choice(wish.value, title) for wish, title in TOLD.items()]
        wish = Wish(choose("What is it about?", wishes))
        if wish is Wish.HAPPENED:
            report, subject = _report_asked(facts)
            self.only = PAYING if report is Report.DIED else None
            self._road(lambda facts: first_steps(report, facts, subject))
        elif wish is not Wish.NEXT:
            names = [vault.name for vault in facts.vaults if vault.in_use]
            several = [Choice(name, name) for name in names]
            name = names[0] if len(names) == 1 else choose("Which vault?", several)
            self.only = PAYING if wish is Wish.PAY else frozenset()
            self._road(lambda facts: wished(wish, facts, name))

    def _road(self, planned: "Callable[[GuideFacts], Sequence[Step]]") -> None:
        """Take each step of a road once, as it is after those before it."""
        over: set[str] = set()
        while True:
            facts, _ = self.next()
            step = next((each for each in planned(facts) if _known_by(each) not in over), None)
            if step is None:
                return
            taken = self.take(step, facts)
            if taken and (step.words[:1] == ("spend",) or step.code in OPENED):
                return  # its signing comes before what follows
            after, _ = self.next()
            enrolled = step.words[:2] == ("card", "enrol") and after.cards != facts.cards
            if not enrolled:
                over.add(_known_by(step))

    def next(self) -> "tuple[GuideFacts, list[Step]]":
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
        with Context(Globals(home=self.folder)) as opened:
            opened.freshen()
            with opened.database.begin() as db:
                facts = gather(home, db, writable=not is_read_only(opened.database))
        return facts, next_steps(facts)

    def take(self, step: "Step", facts: "GuideFacts") -> bool:
        """Take a step; False where the person leaves it for later."""
        from coordinator.cli.guide_answers import Answers, without_empty
        from coordinator.cli.guide_decisions import later_words

        while True:
            self.screen(_stage(step))
            paragraph(f"{step.title[:1].upper()}{step.title[1:]}.")
            paragraph(f"Why: {_why(step)}.")
            if not step.words:
                wait_for_enter("Do it, or know it.")
                return True
            if not self._wanted(step):
                return False
            self._before(step, facts)
            answers = Answers(step, facts, self.kits, practice=self.practice, known=self.known)
            filled = without_empty(step, answers.given()) + answers.more
            if step.code == "vault" and not self.practice:
                filled += later_words(facts, filled)
            words = self._fitting(filled, facts)
            if words is None:
                return False
            if self._ran(step, words):
                return True
            paragraph(UNSENT if words[:2] == ["spend", "broadcast"] else UNMOVED)
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

    def _ran(self, step: "Step", words: "list[str]") -> bool:
        """Run a step's command, and say what its end means; tell if it ended well."""
        if words[:1] == ["audit"]:
            words = [*words, "--fail-on", "none"]  # what it finds is looked at, and no failure
        kit, silent = words[:1] == ["kit"], step.code in SILENT
        if not self.run(words, quiet=kit, shows=not silent):
            return False
        if silent:
            terminal.tell("Done.")
        if words[:1] == ["sync"]:
            _say_what_nothing_means(self.next()[0], words[1])
        if kit:
            paragraph(PUT_AWAY if "--contact" in words else f"{PUT_AWAY} {NO_HELPER}")
        return True

    def _before(self, step: "Step", facts: "GuideFacts") -> None:
        """Say what a PIN is for; have the vault rebuilt from paper before it is paid to."""
        from coordinator.cli.guide_paper import rebuilt

        if step.words[:2] == ("card", "setup"):
            paragraph(PIN_RULES)
        if step.code == "first_sum":
            run = partial(self.run, shows=False)
            rebuilt(self.folder, self.kits, facts, name=step.words[2], run=run)

    def _fitting(self, words: "list[str]", facts: "GuideFacts") -> list[str] | None:
        """Return what fits the card that is laid, the place and the people; None to leave it."""
        from coordinator.cli.guide_answers import helpers, with_keeper
        from coordinator.cli.guide_cards import words_for_card

        if words[:2] in (["card", "setup"], ["card", "enrol"]) and "--emulated" not in words:
            return words if facts.emulated else words_for_card(self.folder, words)
        if words[:2] == ["location", "add"]:
            return with_keeper(words, self.folder, self.run, practice=self.practice)
        if words[:1] == ["kit"]:
            for who in helpers(self.folder, facts):
                words += ["--contact", who]
        return words

    def _wanted(self, step: "Step") -> bool:
        """Ask whether to take a step that asks nothing else, or that only a report wants."""
        if step.code == "first_sum_waits" and step.words[:1] == ("sync",):
            self.run(["address", "list", step.words[-1], "--unused"], quiet=True)
            paid = [Choice("now", "It is paid: look for it"), Choice("later", "Not yet")]
            return choose("Pay it from another wallet.", paid) == "now"
        signing = step.words[:2] in {("spend", "sign"), ("spend", "finalize")}
        if signing or step.code in UNASKED or (step.needs and not step.code.startswith(ASKED)):
            return True
        if step.title.startswith(CONDITION):
            answers = [Choice("later", "No, or not known yet"), Choice("now", "Yes: do it now")]
            return choose("Is it so?", answers) == "now"
        answers = [Choice("now", "Do it now"), Choice("later", "Not now: go on to what is next")]
        return choose("Do it?", answers) == "now"

    def screen(self, stage: str) -> None:
        """Begin a screen: what this is, and how far it is."""
        from coordinator.cli.guided_attendant import PRACTICE

        terminal.tell("")
        if self.practice:
            paragraph(PRACTICE)
        if stage:
            terminal.tell(stage)

    def _ready(self, facts: "GuideFacts", step: "Step") -> Result:
        from datetime import timedelta

        from coordinator.audit.rule_findings import CHECK_INTERVAL

        self.screen("")
        (vault,) = [each for each in facts.vaults if each.name == step.words[2]]
        paragraph(f"Vault {vault.name} is proved, on paper, rehearsed and drilled.")
        check = facts.now + CHECK_INTERVAL - timedelta(days=1)
        paragraph(f"Next check of cards, bags and papers: {check.date()}. Put it in your calendar.")
        if self.practice:
            paragraph("That was the practice. With real cards: cardquorum guide")
            return Result({}, [f"practice home: {self.folder}"])
        paragraph(READY.format(vault.name))
        return Result({}, [f"to receive: {step.command}"])

    def _ended(self, facts: "GuideFacts", steps: "Sequence[Step]") -> Result:
        """Return what is left, where nothing can be done now."""
        waiting = [f"left: {step.title}" for step in steps]
        if self.only is not None:
            return Result({}, waiting or ["done; what is next: cardquorum guide"])
        names = [vault.name for vault in facts.vaults if vault.in_use]
        watched = [f"vault {name}: cardquorum audit {name}" for name in names]
        return Result({}, [*waiting, *watched] or ["nothing is to be done now"])


def _why(step: "Step") -> str:
    """Return why a step is taken, without what it says of values that are asked for here."""
    parts = step.why.split("; ")
    own = [each for each in parts if each.partition(" ")[0] not in step.needs]
    return "; ".join(own if step.code != "card_new" else own[:-1])


def _known_by(step: "Step") -> str:
    """Return what tells a step of a road from the others while facts change."""
    return step.command or step.title.partition(":")[0]


def _report_asked(facts: "GuideFacts") -> "tuple[Report, str]":
    """Ask what happened, and to which card, place or person."""
    from coordinator.guide.reports import TOLD, WHOLE, Report, subjects

    choices = [
        Choice(report.value, title)
        for report, title in TOLD.items()
        if report in WHOLE or subjects(report, facts)
    ]
    report = Report(choose("What happened?", choices))
    about = [Choice(each, each) for each in subjects(report, facts)]
    return report, choose("Which one?", about) if about else ""


def _say_what_nothing_means(facts: "GuideFacts", name: str) -> None:
    """Say what it means where a look found nothing of a vault, and how to look again."""
    from coordinator.guide.arrival import NOTHING_FOUND, rescan

    if any(vault.name == name and not vault.received for vault in facts.vaults):
        paragraph(
            f"{NOTHING_FOUND}: {rescan(name)}. Compare the first address with the paper, too."
        )


def _stage(step: "Step") -> str:
    """Return how far this step is on the road."""
    for number, (name, codes) in enumerate(STAGES, 1):
        if step.code in codes:
            return f"Part {number} of {len(STAGES)}: {name}"
    return ""


COMMANDS = {"": {"guide": guide}}
