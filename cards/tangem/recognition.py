"""Which card a locked one is: told by its chip's number, once it was unlocked here."""

import json

from cards.family import CardMemory
from cards.session import CardIdentity
from cards.tangem import NAME


class Recognition:
    """What is kept of the chips that were unlocked here; a hint, held against the card later."""

    def __init__(self, memory: CardMemory) -> None:
        """Use this memory."""
        self._memory = memory

    def keep(self, uid: bytes, identity: CardIdentity) -> None:
        """Keep which card a chip belongs to, and which chip the card's is."""
        kept = [identity.card_id, identity.version, identity.initialised]
        self._write(_entry(uid), json.dumps(kept).encode())
        self._write(_chip_of(identity.card_id), uid)

    def recall(self, uid: bytes) -> CardIdentity | None:
        """Return the card of a chip, or None where it is not known."""
        try:
            kept = json.loads(self._memory.read(_entry(uid)) or b"[]")
        except (ValueError, RecursionError):
            return None
        match kept:
            case [str(card_id), str(version), bool(initialised)]:
                return CardIdentity(card_id, NAME, version, initialised, None)
        return None

    def knows(self, card_id: str) -> bool:
        """Tell whether the chip of this card is kept, so that the card is told before its code."""
        return self._memory.read(_chip_of(card_id)) is not None

    def forget(self, card_id: str) -> None:
        """Keep no hint to this card any more."""
        uid = self._memory.read(_chip_of(card_id))
        if uid is not None:
            self._memory.forget(_entry(uid))
            self._memory.forget(_chip_of(card_id))

    def _write(self, entry: str, data: bytes) -> None:
        """Write what is not there already: a card is unlocked more often than it changes."""
        if self._memory.read(entry) != data:
            self._memory.write(entry, data)


def _chip_of(card_id: str) -> str:
    return f"tangem chip of {card_id}"


def _entry(uid: bytes) -> str:
    return f"tangem chip {uid.hex()}"
