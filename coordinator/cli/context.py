"""Where one command works: its options, home, database, chain and person, each when wanted."""

import io
import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

from coordinator.cli import terminal
from coordinator.cli.output import counted, sat_per_vbyte
from coordinator.workspace.opened_home import TARGET_BLOCKS, OpenedHome

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session, sessionmaker

    from cards.pin import Secret
    from coordinator.cli.attendant import Terminal
    from coordinator.readers.slots import Slot
    from coordinator.signing.collector import WaitPolicy
    from coordinator.wallet.fees import Rate

PASSPHRASE, NEW_PASSPHRASE = "home.passphrase", "home.new-passphrase"


class Globals(NamedTuple):
    """The options every command has, who is asked, and what runs another command.

    `shows` tells whether its result is printed: the guide says some in fewer words. `subjects`,
    where it is given, is filled with the card, vault and ceremony of the command, by noun.
    """

    home: Path | None = None
    as_json: bool | None = None
    quiet: bool = False
    verbosity: int = 0
    attendant: "type[Terminal] | None" = None
    run: "Callable[[Sequence[str], Globals], int] | None" = None
    shows: bool = True
    subjects: dict[str, str] | None = None


class Context(OpenedHome):
    """A command's surroundings: the home it works in, its options, and who is asked."""

    def __init__(self, chosen: Globals) -> None:
        """Keep the options; nothing is opened yet."""
        super().__init__(chosen.home)
        self.as_json = bool(chosen.as_json)
        self.quiet = chosen.quiet
        self.verbosity = chosen.verbosity
        self.attendant = chosen.attendant
        self.run = chosen.run
        self.shows = chosen.shows
        self.order: Sequence[str] = ()  # of the options, as they were typed
        self.closing = ExitStack()
        self.passphrases: dict[str, Secret] = {}
        self.stdin: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Set the log up."""
        if self.verbosity:
            from coordinator.cli import log

            log.configure(self.verbosity)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Wipe the secrets given; close the chain and the database if they were opened.

        Where an error cannot be explained, damaged rows are looked for: they explain it.
        """
        self.closing.close()
        with closing(self):
            if error is None or "database" not in self.__dict__:
                return
            from coordinator.cli.failures import explain
            from coordinator.cli.result import ExitStatus
            from storage.integrity import check_rows

            if explain(error).status is ExitStatus.BUG:
                with self.database.begin() as db:
                    check_rows(db)

    @cached_property
    def database(self) -> "sessionmaker[Session]":
        """Open the home's database, migrated to this version, and its seal if that was given."""
        opened = super().database
        given = self.passphrases.get(PASSPHRASE)
        if given is not None and self.refuse_other_seal(opened):
            from coordinator.cli.attendant import unlock_seal

            unlock_seal(opened, given)
        return opened

    def server_password(self) -> str:
        """Ask at the terminal for the password of the server with the database."""
        from coordinator.cli.attendant import ask_hidden

        typed = ask_hidden("password of the database: ") or b""
        return typed.decode("utf-8", "replace")

    @cached_property
    def book(self) -> "sessionmaker[Session]":
        """Open the database for who wants names: of a sealed home the passphrase is asked for."""
        if self.stdin is None and self.refuse_other_seal(self.database):
            from cards.pin import Secret
            from coordinator.cli.attendant import ask_hidden, unlock_seal

            typed = ask_hidden("passphrase of places and people (nothing: they stay sealed): ")
            if typed:
                unlock_seal(self.database, self.closing.enter_context(Secret(typed)))
        return self.database

    def take_stdin(self, *, cards: bool) -> None:
        """Read standard input; what is not this home's passphrase is left for the cards' PINs.

        Raises UsageError on a second passphrase, and on other lines where no card is asked.
        """
        from cards.pin import Secret
        from coordinator.errors import UsageError
        from coordinator.files import read_secret_lines

        rest: list[bytes] = []
        for number, line in enumerate(read_secret_lines(), 1):
            left, equals, right = line.partition(b"=")
            name = left.strip().decode("utf-8", "replace")
            ours = bool(equals) and name in {PASSPHRASE, NEW_PASSPHRASE}
            if ours and name in self.passphrases:
                raise UsageError(f"line {number} of standard input gives the same secret once more")
            if not ours and not cards and line.strip():
                raise UsageError(f"line {number} of standard input names no secret wanted here")
            if ours:
                self.passphrases[name] = self.closing.enter_context(Secret(right))
            rest.append(b"" if ours else line)
        self.stdin = io.BytesIO(b"\n".join(rest))

    def reporter(self) -> "Callable[[str], None]":
        """Return what tells a terminal how far a long scan is."""
        shown = sys.stderr.isatty() and not self.quiet
        return terminal.tell_over if shown else super().reporter()

    def fee_rate(
        self, typed: str | None, target: int | None, *, blocks: int = TARGET_BLOCKS
    ) -> "Rate":
        """Return the fee rate typed, else the chain's for the target or so many blocks.

        That the chain knew none is told.
        """
        from coordinator.wallet import fees

        rate = self.rate(typed, target, blocks=blocks)
        if rate.source == fees.FALLBACK:
            self.say(
                f"the chain has no estimate for {counted(target or blocks, 'block')}: "
                f"{sat_per_vbyte(rate.feerate)} sat/vB are taken"
            )
        return rate

    def person(
        self,
        labels: Collection[str],
        *,
        pin_stdin: bool,
        single: bool = True,
        yes: bool = False,
        accepted: Collection[str] | None = None,
    ) -> "Terminal":
        """Return who answers for these cards; the secrets given on standard input are read now."""
        from coordinator.cli.attendant import Terminal, read_secrets

        secrets = read_secrets(labels, self.stdin, single=single) if pin_stdin else None
        for secret in (secrets or {}).values():
            self.closing.enter_context(secret)
        return (self.attendant or Terminal)(secrets, quiet=self.quiet, yes=yes, accepted=accepted)

    def cards_offered(
        self,
        vault: str,
        readers: Sequence[str] | None,
        emulated: Sequence[str] | None,
        *,
        wait: int | None,
        last_attempt: bool,
        pin_stdin: bool,
        branch: str | None = None,
        **consent: Any,  # noqa: ANN401 -- what the person takes
    ) -> "tuple[Terminal, list[Slot], WaitPolicy]":
        """Return who is asked, where the cards of a vault or branch may lie, and how long to wait.

        They lie in the readers named, else wherever there is one. Without `wait` a reader waits as
        long as a person is patient; only for cards whose PIN was given, where PINs come on
        standard input.
        """
        from coordinator.readers import choice
        from coordinator.signing.collector import WaitPolicy
        from storage.database import reading

        with reading(self.database).begin() as db:
            labels, known = choice.labels_of_vault(db, vault, branch), choice.all_labels(db)
        named = choice.places(readers, emulated)
        single = len([*named.readers, *named.emulated] or labels) == 1
        attendant = self.person(known, pin_stdin=pin_stdin, single=single, **consent)
        given = attendant.given()
        wait_policy = WaitPolicy(
            last_attempt=last_attempt,
            wait_seconds=attendant.patience() if wait is None else wait,
            only=given if pin_stdin else None,
            typed=attendant.types(),
        )
        slots = choice.slots_for(self.home, self.database, labels, named=named, given=given)
        return attendant, slots, wait_policy

    def say(self, text: str) -> None:
        """Tell the person something that is not the result."""
        if not self.quiet:
            terminal.tell(text)
