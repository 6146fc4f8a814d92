"""The person at the page: PINs in forms, consent, progress. Words and PUKs never come here."""

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Never

from cards.pin import Pin, Secret
from cards.session import CardIdentity
from coordinator.errors import NotAccepted, PinMissing, UsageError
from coordinator.notices import Notice, Severity, of_review
from coordinator.web.tasks import PATIENCE_SECONDS, Asked, Conversation, Left, Question
from psbt.review import Review

PIN_MAX: Final = 128
YES: Final = "yes"
CHANGED: Final = "the payment changed since it was shown; look at it once more"
TERMINAL_ONLY: Final = frozenset({"puk", "seed", "words", "pairing", "passcode", "duress"})
"""Secrets that are never typed into a browser."""


class PageAttendant:
    """Asks on the page of a task; called from its thread, and from those of its cards."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._reviewed = False

    def types(self) -> bool:
        """Tell that somebody types the PINs, and may type another one."""
        return True

    def stopped(self) -> bool:
        """Tell whether the person wants it to end."""
        return self._conversation.stopped()

    def overhears(self) -> bool:
        """Tell that what happens is shown beside an open question."""
        return True

    def patience(self) -> float:
        """Return how many seconds to wait for a card."""
        return PATIENCE_SECONDS

    def pin_for(self, label: str, card: CardIdentity) -> Pin:
        """Return the PIN typed on the page; raises PinMissing where nobody types one."""
        question = Question(
            Asked.PIN,
            f"the PIN of card {label}",
            {"label": label, "family": card.family, "attempts_left": card.attempts_left},
            lambda given: _wrong_pin(given.get("pin", "")),
        )
        return Pin(self._asked(question, label, "pin")["pin"].encode())

    def new_pin_for(self, label: str, rule: str) -> Pin:
        """Return a PIN to be set, typed twice."""
        question = Question(
            Asked.NEW_PIN, f"a new PIN for card {label}", {"label": label, "rule": rule}, _differing
        )
        return Pin(self._asked(question, label, "new PIN")["pin"].encode())

    changed_pin_for = optional_new_pin_for = new_pin_for

    def secret_for(self, label: str, kind: str, *, optional: bool = False) -> Secret | None:
        """Raise PinMissing: no other secret is typed into a browser; None of an optional one."""
        if optional:
            return None
        raise PinMissing(label, kind)

    def label_for(self, why: str, known: str | None) -> str | None:
        """Ask under which label a card is enrolled now."""
        if known is not None:
            return known if self.agreed("", f"{why}. Enrol that key too?") else None
        said = {"label": known}
        answer = self._conversation.ask(Question(Asked.LABEL, why, said))
        return answer.get("label", "").strip() or None

    def agreed(self, code: str, why: str) -> bool:
        """Tell whether a danger met on the way is accepted."""
        answer = self._conversation.ask(Question(Asked.YES_NO, why, {"code": code}))
        return answer.get("answer") == YES

    def show_once(self, _title: str, _secret: Secret) -> Never:
        """Refuse: what is shown this once is shown in the terminal."""
        raise UsageError("a secret that is shown once is never shown in a browser")

    def ready_for_words(self, _file: Path | None) -> Never:
        """Refuse: words are shown in the terminal."""
        raise UsageError("words are never shown in a browser")

    def hand_over_words(self, title: str, words: Secret, _file: Path | None) -> Never:
        """Refuse: words are shown in the terminal."""
        self.show_once(title, words)

    def hand_over_psbt(self, label: str, psbt: str) -> None:
        """Show a PSBT whose signatures by this card could not be stored."""
        task = self._conversation.task
        self._conversation.tell(lambda: setattr(task, "handed_over", psbt))
        self.say(f"card {label} signed, and it could not be stored: save the PSBT shown below")

    def confirm(self, review: Review) -> None:
        """Show the review; the answer carries what was shown, and every danger by itself."""
        warnings = of_review(review.warnings)
        shown = digest(review)
        changed = CHANGED if self._reviewed else None
        self._reviewed = True
        question = Question(
            Asked.REVIEW,
            "look at this payment",
            {"review": review, "warnings": warnings, "digest": shown, "changed": changed},
            lambda given: _unanswered(given, warnings, shown),
        )
        if self._conversation.ask(question).get("answer") != YES:
            raise NotAccepted(())

    def waiting(self, label: str, reason: str, seconds: int) -> None:
        """Show why a card makes us wait, and for how long."""
        waiting = self._conversation.task.waiting
        if seconds <= 1:
            self._conversation.tell(lambda: waiting.pop(label, None))
        else:
            told = f"{reason}, {seconds} s more"
            self._conversation.tell(lambda: waiting.__setitem__(label, told))

    def progress(self, label: str, done: int, total: int) -> None:
        """Show how far a card is."""
        progress = self._conversation.task.progress
        self._conversation.tell(lambda: progress.__setitem__(label, (done, total)))

    def say(self, text: str) -> None:
        """Tell what happens."""
        self._conversation.say(text)

    def _asked(self, question: Question, label: str, kind: str) -> Mapping[str, str]:
        try:
            return self._conversation.ask(question)
        except Left:
            raise PinMissing(label, kind) from None


def digest(shown: object) -> str:
    """Return what tells what was shown from anything else: it travels with the consent."""
    return hashlib.sha256(repr(shown).encode("utf-8", "surrogatepass")).hexdigest()


def _wrong_pin(typed: str) -> str | None:
    if not typed:
        return "type the PIN; an empty one is not given to the card"
    return None if len(typed.encode()) <= PIN_MAX else "that is longer than any PIN"


def _differing(given: Mapping[str, str]) -> str | None:
    typed, again = given.get("pin", ""), given.get("again", "")
    if not hmac.compare_digest(typed.encode(), again.encode()):
        return "the two PINs typed differ; nothing was changed"
    return _wrong_pin(typed)


def _unanswered(given: Mapping[str, str], warnings: list[Notice], shown: str) -> str | None:
    """Say what is missing from a consent: what was shown, or a danger that nobody answered."""
    if given.get("answer") != YES:
        return None
    if given.get("digest") != shown:
        return CHANGED
    open_ones = [
        each.message
        for number, each in enumerate(warnings)
        if each.severity is not Severity.INFO and given.get(f"seen:{number}") != YES
    ]
    return f"answer this first: {open_ones[0]}" if open_ones else None
