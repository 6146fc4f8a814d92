"""Where one command works: its options, home, database, chain and person, each when wanted."""

import io
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

from coordinator.cli import terminal
from coordinator.cli.output import counted, sat_per_vbyte

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session, sessionmaker

    from cards.pin import Secret
    from coordinator.chain import ChainSource
    from coordinator.cli.attendant import Terminal
    from coordinator.enrolment.enrol import CardAtSlot
    from coordinator.home.settings import Home
    from coordinator.readers.slots import Slot
    from coordinator.signing.collector import WaitPolicy
    from coordinator.wallet.fees import Rate
    from storage.model import Ceremony, Vault

PASSPHRASE, NEW_PASSPHRASE = "home.passphrase", "home.new-passphrase"
TARGET_BLOCKS = 6


class OfferedCards(NamedTuple):
    """A vault's cards: who is asked, where they may lie, how long a reader waits for the next."""

    attendant: "Terminal"
    slots: "Sequence[Slot]"
    wait_policy: "WaitPolicy"


@dataclass(frozen=True)
class Globals:
    """The options every command has, who is asked, and what runs another command."""

    home: Path | None = None
    as_json: bool | None = None
    quiet: bool = False
    verbosity: int = 0
    attendant: "type[Terminal] | None" = None
    run: "Callable[[Sequence[str], Globals], int] | None" = None

    def overridden(
        self,
        home: Path | None,
        *,
        as_json: bool | None,
        quiet: bool,
        verbosity: int,
    ) -> "Globals":
        """Return these options with what was said after the words; the later one wins."""
        return replace(
            self,
            home=home or self.home,
            as_json=self.as_json if as_json is None else as_json,
            quiet=quiet or self.quiet,
            verbosity=max(verbosity, self.verbosity),
        )


class Context:
    """A command's surroundings; closes what it opened."""

    def __init__(self, chosen: Globals) -> None:
        """Keep the options; nothing is opened yet."""
        self.as_json = bool(chosen.as_json)
        self.quiet = chosen.quiet
        self.verbosity = chosen.verbosity
        self.attendant = chosen.attendant
        self.run = chosen.run
        self._home = chosen.home
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
        with ExitStack() as closing:
            closing.callback(self.close)
            if error is not None and "database" in self.__dict__:
                self._look_for_damage(error)

    def _look_for_damage(self, error: BaseException) -> None:
        from coordinator.cli.failures import explain
        from coordinator.cli.result import ExitStatus
        from storage.soundness import check_rows

        if explain(error).status is ExitStatus.BUG:
            with self.database.begin() as db:
                check_rows(db)

    def close(self) -> None:
        """Close the chain and the database if they were opened."""
        if "chain" in self.__dict__:
            self.chain.close()
        if "database" in self.__dict__:
            self.database.kw["bind"].dispose()

    @property
    def folder(self) -> Path:
        """Return the home's folder as asked for, which need not exist."""
        from coordinator.home.settings import default_folder

        return self._home or default_folder()

    @cached_property
    def home(self) -> "Home":
        """Open the home; raises SettingsError where there is none."""
        from coordinator.home.settings import open_home

        return open_home(self.folder)

    @cached_property
    def database(self) -> "sessionmaker[Session]":
        """Open the home's database, migrated to this version, and its seal if that was given."""
        from coordinator.home import approvals
        from storage.database import APPROVES, open_database

        opened = open_database(self.home.database_url, existing=True)
        opened.configure(info={APPROVES: approvals.approves_seal(self.home)})
        given = self.passphrases.get(PASSPHRASE)
        if given is not None and self._refuse_other_seal(opened):
            from coordinator.cli.attendant import unlock_seal

            unlock_seal(opened, given)
        return opened

    def require_writable(self) -> None:
        """Raise ReadOnly before a card does what could not be kept here."""
        from storage.database import is_read_only
        from storage.errors import ReadOnly

        if is_read_only(self.database):
            raise ReadOnly(f"the home {self.folder} can only be read here: no card was asked")

    @cached_property
    def book(self) -> "sessionmaker[Session]":
        """Open the database for who wants names: of a sealed home the passphrase is asked for."""
        if self.stdin is None and self._refuse_other_seal(self.database):
            from cards.pin import Secret
            from coordinator.cli.attendant import ask_hidden, unlock_seal

            typed = ask_hidden("passphrase of places and people (nothing: they stay sealed): ")
            if typed:
                unlock_seal(self.database, self.closing.enter_context(Secret(typed)))
        return self.database

    def _refuse_other_seal(self, database: "sessionmaker[Session]") -> bool:
        """Tell whether the seal is closed; raises ApprovalMismatch where it is not ours."""
        from coordinator.errors import ApprovalMismatch
        from coordinator.home import approvals
        from storage import sealing

        with database.begin() as db:
            if not sealing.is_locked(db):
                return False
            standing = approvals.seal_standing(self.home, sealing.sealing_key(db))
        if standing is approvals.Standing.DIFFERS:
            raise ApprovalMismatch("the key that places and people are sealed to")
        return True

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

    @contextmanager
    def vault(self, name: str) -> "Iterator[tuple[Session, Vault]]":
        """Begin with the vault of this name; raises NotFound."""
        from storage import vaults as vault_book

        with self.database.begin() as db:
            yield db, vault_book.vault_named(db, name)

    @contextmanager
    def ceremony(self, ceremony_id: str) -> "Iterator[tuple[Session, Ceremony]]":
        """Begin with the ceremony of this id; raises NotFound."""
        from storage import ceremonies as ceremony_book

        with self.database.begin() as db:
            yield db, ceremony_book.ceremony_named(db, ceremony_id)

    @cached_property
    def chain(self) -> "ChainSource":
        """Open the home's chain source; a terminal is told how far a long scan is."""
        from coordinator.chain.opening import open_chain, silent

        home = self.home
        report = self.report if sys.stderr.isatty() and not self.quiet else silent
        return open_chain(home.chain, home.chain_folder, home.network, report=report)

    def freshen(self, vault: str | None = None) -> None:
        """Bring one vault or all in step where asking the chain does not leave the home."""
        from coordinator.wallet import overview

        overview.freshen(self.home, self.database, lambda: self.chain, vault=vault)

    def look_first(self, vault: str) -> None:
        """Bring a vault in step that nobody looked for; raises NotLooked where that takes long."""
        from coordinator.wallet import overview

        overview.look_first(self.home, self.database, lambda: self.chain, vault=vault)

    def fee_rate(
        self, typed: str | None, target: int | None, *, blocks: int = TARGET_BLOCKS
    ) -> "Rate":
        """Return the fee rate typed, else the chain's for the target or so many blocks.

        That the chain knew none is told.
        """
        from coordinator.amounts import parse_feerate
        from coordinator.errors import UsageError
        from coordinator.home.settings import OFFLINE
        from coordinator.wallet import fees, node_rules

        if typed is not None and target is not None:
            raise UsageError("give --feerate or --target, not both")
        if self.home.chain != OFFLINE:
            node_rules.refresh(self.database, self.chain)
        if typed is not None:
            return fees.Rate(parse_feerate(typed), fees.TYPED)
        blocks = target or blocks
        rate = fees.rate_for(self.home, lambda: self.chain, blocks)
        if rate.source == fees.FALLBACK:
            self.say(
                f"the chain has no estimate for {counted(blocks, 'block')}: "
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

    def card_at(
        self, label: str, reader: str | None, emulated: str | None, *, last_attempt: bool = False
    ) -> "CardAtSlot":
        """Return a card with the slot named, else with the one it lies in where it is known."""
        from coordinator.enrolment.enrol import CardAtSlot
        from coordinator.readers import choice

        named = choice.places(reader, emulated)
        slot = choice.slot_of(self.home, self.database, label, named=named)
        return CardAtSlot(label, slot, last_attempt)

    def cards_offered(
        self,
        vault: str,
        readers: Sequence[str] | None,
        emulated: Sequence[str] | None,
        *,
        wait: int | None,
        last_attempt: bool,
        pin_stdin: bool,
        **consent: Any,  # noqa: ANN401 -- what the person takes
    ) -> OfferedCards:
        """Return the cards of a vault that are offered: those named, else wherever there is one.

        Without `wait` a reader waits as long as a person is patient; only for cards whose PIN was
        given, where PINs come on standard input.
        """
        from coordinator.readers import choice
        from coordinator.signing.collector import WaitPolicy

        with self.database.begin() as db:
            labels, known = choice.labels_of_vault(db, vault), choice.all_labels(db)
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
        return OfferedCards(attendant, slots, wait_policy)

    def report(self, text: str) -> None:
        """Tell how far long work is, over what was told before."""
        terminal.tell_over(text)

    def say(self, text: str) -> None:
        """Tell the person something that is not the result."""
        if not self.quiet:
            terminal.tell(text)
