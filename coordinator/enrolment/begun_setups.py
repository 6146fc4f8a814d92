"""What a home keeps of a card's set-up until it is done, so that a second run goes on with it."""

import hashlib
from typing import NamedTuple

from cards.family import CardMemory
from cards.pin import Secret
from cards.session import CardIdentity
from coordinator.custody.card_secrets import KINDS
from coordinator.enrolment import seeds
from coordinator.names import NAME

ORIGINS = ("card", "host")
NO_PUK, PUK_GIVEN, PUK_UNSHOWN, PUK_SHOWN = "none", "given", "unshown", "shown"
PUK_STATES = (NO_PUK, PUK_GIVEN, PUK_UNSHOWN, PUK_SHOWN)


class BegunSetup(NamedTuple):
    """A card whose set-up was begun here: its label, where its key is made, which secrets it got.

    `puk` tells whether a PUK made here was shown to the person yet.
    """

    label: str
    origin: str
    kinds: tuple[str, ...]
    puk: str


class BegunSetups:
    """The set-ups of this home that are not done yet, by card, and the files they wrote, by label.

    No secret is among it: of words and a backup only a hash is kept, to know the file again.
    """

    def __init__(self, memory: CardMemory) -> None:
        """Keep them where the home keeps what it remembers of cards."""
        self._memory = memory

    def of_card(self, card: CardIdentity) -> BegunSetup | None:
        """Return what was kept of the card's set-up, if it was begun and is not done."""
        kept = self._memory.read(_card_name(card))
        lines = (kept or b"").decode("utf-8", "replace").split("\n")
        if len(lines) != len(BegunSetup._fields):
            return None
        found = BegunSetup(lines[0], lines[1], tuple(lines[2].split()), lines[3])
        sound = (
            NAME.fullmatch(found.label)
            and found.origin in ORIGINS
            and set(found.kinds) <= {*KINDS}
            and found.puk in PUK_STATES
        )
        return found if sound else None

    def begin(self, card: CardIdentity, begun: BegunSetup) -> None:
        """Keep that the card is about to be changed, or what has come since."""
        lines = (begun.label, begun.origin, " ".join(begun.kinds), begun.puk)
        self._memory.write(_card_name(card), "\n".join(lines).encode())

    def write_words(self, label: str, words: Secret) -> None:
        """Keep how to know the file again that these words are about to be written to."""
        self._memory.write(_words_name(label), seeds.words_hash(words))

    def wrote_words(self, label: str, found: Secret) -> bool:
        """Tell whether these are the words that were written by a set-up that is not done."""
        return self._memory.read(_words_name(label)) == seeds.words_hash(found)

    def write_backup(self, label: str, backup: bytes) -> None:
        """Keep how to know the file again that this encrypted backup is about to be written to."""
        self._memory.write(_backup_name(label), hashlib.sha256(backup).digest())

    def wrote_backup(self, label: str, found: bytes) -> bool:
        """Tell whether this is the backup that was written by a set-up that is not done."""
        return self._memory.read(_backup_name(label)) == hashlib.sha256(found).digest()

    def finish(self, label: str, card: CardIdentity) -> None:
        """Forget the set-up of a card that is done."""
        self._memory.forget(_card_name(card))
        self._memory.forget(_words_name(label))
        self._memory.forget(_backup_name(label))


def _card_name(card: CardIdentity) -> str:
    return f"set-up of {card.family} {card.card_id}"


def _words_name(label: str) -> str:
    return f"words of the set-up of {label}"


def _backup_name(label: str) -> str:
    return f"backup of the set-up of {label}"
