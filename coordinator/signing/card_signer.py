"""One card signs: identified, its PIN asked for, every signature verified; resumed if cut off."""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cards.errors import (
    CardError,
    CardRemoved,
    CardReset,
    NotSupported,
    NotUnlocked,
    ProtocolError,
    ReaderNotFound,
    WrongCard,
)
from cards.session import DIGEST_SIZE, BatchSigner, CardIdentity, CardSession, SchnorrSigner
from coordinator.errors import CoordinatorError
from coordinator.person import Person
from coordinator.readers.slots import (
    CardPrompts,
    KnownCard,
    RefusedPins,
    Slot,
    ask_pin,
    card_in,
    possible,
    silent_identity,
)
from psbt.errors import PsbtError, SignatureInvalid
from psbt.signature import BIP340
from psbt.signer import SigningRequest, signature_valid

if TYPE_CHECKING:
    from cards.pin import Pin

FRUITLESS_MAX = 3
SLICE = 0.25
RESET_PAUSE = 0.2


class Stopped(CoordinatorError):
    """The person ended it."""

    def __init__(self) -> None:
        super().__init__("it was stopped; what was signed is kept")


class CardShare(NamedTuple):
    """A card that has a part in a task, and what its key has yet to sign."""

    label: str
    card_id: int
    requests: Sequence[SigningRequest]


class Outcome(NamedTuple):
    """What came of one card that was offered; `error` is None where it signed all it was asked.

    `identified` means that it has a part in this, `not_needed` that other cards made the quorum
    before it was its turn: its PIN was not asked for.
    """

    label: str
    family: str | None
    signatures: int
    seconds: float
    error: Exception | None
    identified: bool = False
    not_needed: bool = False


Keep = Callable[[CardShare, SigningRequest, bytes], None]
Claim = Callable[[CardShare], CardShare]
ShareOf = Callable[[CardIdentity], CardShare | None]


class Enrol(Protocol):
    """Enrols a card, for a person, with what asks for its PIN by its label and presents it."""

    def __call__(
        self,
        session: CardSession,
        *,
        identity: CardIdentity,
        slot: Slot,
        person: Person,
        unlock: Callable[[str], None],
    ) -> None:
        """Enrol it, or raise why not."""


@dataclass(frozen=True)
class Known:
    """What is held against a card before its PIN: the cards that have a part, the PINs refused.

    Without `cards` nothing is known of them. `typed` tells that a person types every PIN. `enrol`
    enrols a card that has no part in this as yet, or raises why not. `needed` waits until it is
    clear whether a card is needed that says nothing before its PIN.
    """

    cards: Sequence[KnownCard] | None = None
    typed: bool = False
    enrol: Enrol | None = None
    refused: RefusedPins = field(default_factory=RefusedPins)
    needed: Callable[[], bool] = lambda: True


class CardSigner:
    """Signs with the card in one slot; `left` is what it was to sign and has not."""

    def __init__(
        self,
        slot: Slot,
        person: Person,
        share_of: ShareOf,
        *,
        last_attempt: bool,
        stop: threading.Event,
        known: Known | None = None,
    ) -> None:
        self._slot = slot
        self._person = person
        self._share_of = share_of
        self._last_attempt = last_attempt
        self._stop = stop
        self._known = known or Known()
        self._prompts = CardPrompts(person, slot.name)
        self._share: CardShare | None = None
        self._card: CardIdentity | None = None
        self._pin: Pin | None = None
        self._typed = False
        self._accepted = False
        self._family: str | None = None
        self._seconds = 0.0
        self.left: list[SigningRequest] = []
        self._total = 0

    def taken(self, claim: Claim, keep: Keep, wait_seconds: float) -> Outcome:
        """Let the card sign what `claim` leaves to it; cut off, it goes on where it was."""
        error: Exception | None = None
        fruitless = 0
        with ExitStack() as wiped:
            while True:
                before = len(self.left)
                try:
                    self._sit_and_sign(claim, keep, wiped)
                except (CardError, CoordinatorError, PsbtError) as failure:
                    error = failure
                else:
                    error = None
                    break
                fruitless = 0 if len(self.left) < before else fruitless + 1
                if fruitless >= FRUITLESS_MAX or not self._may_go_on(error, wait_seconds):
                    break
                if isinstance(error, CardReset):
                    self._stop.wait(RESET_PAUSE * 2**fruitless)
        return self.outcome(error)

    def outcome(self, error: Exception | None) -> Outcome:
        """Return what came of it so far."""
        label = self._share.label if self._share else self._prompts.label
        family = self._card.family if self._card else self._family
        signed = self._total - len(self.left)
        return Outcome(
            label, family, signed, round(self._seconds, 3), error, self._share is not None
        )

    def _sit_and_sign(self, claim: Claim, keep: Keep, wiped: ExitStack) -> None:
        with card_in(self._slot, self._prompts) as session:
            identity = self._identified(session, wiped)
            if identity is None:
                return
            if self._share is None:
                self._take_share(session, identity, claim, wiped=wiped)
            elif self._card and self._card.card_id != identity.card_id:
                raise WrongCard(self._share.label, f"{identity.family} {identity.card_id[:16]}")
            if self.left:
                if self._pin is None:
                    self._ask_pin(session, wiped)
                self._present(session, identity.attempts_left)
                started = time.monotonic()
                try:
                    self._sign(session, keep)
                finally:
                    self._seconds += time.monotonic() - started

    def _identified(self, session: CardSession, wiped: ExitStack) -> CardIdentity | None:
        """Ask the card who it is; one that says nothing before its PIN is unlocked first.

        None where such a card is not needed: then it is asked for no PIN.
        """
        try:
            identity = session.identity()
        except NotUnlocked as silent:
            self._family = session.family
            if self._pin is not None:
                self._present(session, None)
            elif not self._unlock_silent(session, silent, wiped):
                return None
            identity = session.identity()
        self._card = self._card or identity
        return identity

    def _unlock_silent(self, session: CardSession, silent: NotUnlocked, wiped: ExitStack) -> bool:
        """Unlock a card that says nothing before its PIN, by the name of the only one it can be.

        One that can be none of those known is enrolled, where a person says so. Returns False where
        it is not needed.
        """
        unknown = silent_identity(session)
        try:
            self._prompts.label = self._name_of(session)
        except WrongCard:
            if self._known.enrol is None:
                raise
            self._enrol(session, unknown, wiped)
            return True
        if not self._known.needed():
            return False
        self._person.say(f"card {self._prompts.label}: {silent}")
        self._ask_pin(session, wiped)
        self._present(session, None)
        return True

    def _enrol(self, session: CardSession, identity: CardIdentity, wiped: ExitStack) -> None:
        """Have a card enrolled that has no part in this as yet; raises why it is not."""

        def unlock(label: str) -> None:
            self._prompts.label = label
            if self._pin is None:
                self._ask_pin(session, wiped)
                self._present(session, identity.attempts_left)

        if self._known.enrol is not None:
            self._known.enrol(
                session, identity=identity, slot=self._slot, person=self._person, unlock=unlock
            )

    def _ask_pin(self, session: CardSession, wiped: ExitStack) -> None:
        """Ask for the PIN, unless the card allows one attempt only."""
        asked = ask_pin(session, self._prompts.label, self._person, last_attempt=self._last_attempt)
        self._pin = wiped.enter_context(asked)
        self._typed = self._known.typed

    def _name_of(self, session: CardSession) -> str:
        """Name a card that says nothing: as the only one it can be, else by where it lies.

        Raises WrongCard where it can be none that has a part in this.
        """
        if self._known.cards is None:
            return self._prompts.label
        found = possible(session, self._known.cards, self._slot.surroundings.memory)
        return found[0].label if len(found) == 1 else self._prompts.label

    def _present(self, session: CardSession, left: int | None) -> None:
        """Present the PIN, once asked for; again only where that cannot cost an attempt unseen."""
        typed, self._typed = self._typed or self._accepted, False
        if self._pin is not None:
            label = self._prompts.label
            self._known.refused.present(session, self._pin, label, left=left, typed=typed)
            self._accepted = True

    def _take_share(
        self, session: CardSession, identity: CardIdentity, claim: Claim, *, wiped: ExitStack
    ) -> None:
        """Find the card's part in this; a stranger is never asked for a PIN unless to enrol it."""
        share = self._share_of(identity)
        if share is None:
            self._enrol(session, identity, wiped)
            share = self._share_of(identity)
        if share is None:
            raise WrongCard("a card of this vault", f"{identity.family} {identity.card_id[:16]}")
        self._prompts.label = share.label
        self._share = claim(share)
        self.left = list(self._share.requests)
        self._total = len(self.left)

    def _sign(self, session: CardSession, keep: Keep) -> None:
        share = self._share
        for request, signature in _answers(session, tuple(self.left)):
            if not signature_valid(request, signature):
                raise SignatureInvalid(request.input_index, request.pubkey)
            if share is not None:
                keep(share, request, signature)
                self.left.remove(request)
                done = self._total - len(self.left)
                self._person.progress(share.label, done, self._total)
            if self._stop.is_set():
                raise Stopped

    def _may_go_on(self, error: Exception, seconds: float) -> bool:
        """Tell whether trying again may help; waits for a card that was taken away."""
        helped = isinstance(error, CardRemoved | CardReset | ProtocolError)
        if self._stop.is_set() or not helped:
            return False
        if self._share is None:  # another program may reset the card before it said who it is
            return isinstance(error, CardReset) and self._pin is None
        if isinstance(error, ReaderNotFound) or self._slot.arrival is None:
            return helped
        label, signed = self._share.label, self._total - len(self.left)
        if isinstance(error, CardRemoved):
            self._person.say(
                f"card {label} was lost after {signed} of {self._total} signatures; "
                f"put it back on reader {self._slot.name}"
            )
        left = max(seconds, SLICE)
        while left > 0 and not self._stop.is_set():
            if self._slot.arrival(-1, min(SLICE, left)) is not None:
                return True
            left -= SLICE
        return False


def _answers(
    session: CardSession, requests: Iterable[SigningRequest]
) -> Iterator[tuple[SigningRequest, bytes]]:
    """Put the requests to a card, those of one key in a row: it then derives that key once.

    A card that can signs all digests of one key in one command; for leaves of taproot it signs
    with the key as it is. Nothing is believed here yet.
    """
    ordered = sorted(requests, key=lambda request: (request.path, request.input_index))
    for path, group in itertools.groupby(ordered, key=lambda request: request.path):
        asked = list(group)
        if asked[0].scheme is BIP340:
            if not isinstance(session, SchnorrSigner):
                raise NotSupported(session.family, "signatures by BIP 340, which taproot takes")
            untweaked = bytes(DIGEST_SIZE)
            for request in asked:
                yield request, session.sign_schnorr(path, request.digest, untweaked)
        elif isinstance(session, BatchSigner) and len(asked) > 1:
            given = session.sign_batch(path, [request.digest for request in asked])
            if len(given) != len(asked):
                raise ProtocolError(f"the card gave {len(given)} signatures for {len(asked)}")
            yield from zip(asked, given, strict=True)
        else:
            yield from ((request, session.sign(path, request.digest)) for request in asked)
