"""What can go wrong with a card.

CardError
├── TransportError → CardRemoved, CardReset, ReaderNotFound    trying again may help
│   └── OutOfReach(remedy) → ReadersUnlisted                  not before something else is done
├── ProtocolError → SecureChannelError                         the protocol forbids it
├── StatusWordError(sw, ins)
├── NotUnlocked · PinDelayed(seconds)
├── PinIncorrect(attempts_left) → PukIncorrect · PinBlocked → PukBlocked
├── PinUnsuitable · NotEvidence
├── CardNotInitialised · NotSupported(family, what) → PinNotBlocked · PathNotAvailable(path)
└── WrongCard(expected, found) · NotGenuine(reason) · PairingRefused(card_id, codes)
"""

PAIRING_REFUSED = "pairing_refused"
PAIRING_DANGER = (
    "refuses the pairing kept for it; pairing anew takes a password everybody knows, so that a "
    "device between reader and card could read the PIN"
)


class CardError(Exception):
    """A card, or the way to it, did not do what was asked."""


class TransportError(CardError):
    """The APDU did not get through."""


class CardRemoved(TransportError):
    """The card is no longer on the reader."""


class CardReset(TransportError):
    """The card lost power or was reset: channel and login are gone.

    `sent` is False where it is certain that the card never heard the command.
    """

    def __init__(self, what: str, *, sent: bool = True) -> None:
        self.sent = sent
        super().__init__(what)


class ReaderNotFound(TransportError):
    """No such reader."""


class OutOfReach(TransportError):
    """No card can be reached before something else is done; `remedy` says what.

    It `may_end_by_itself` where another program keeps the card or its reader for a while.
    """

    def __init__(self, what: str, remedy: str, *, may_end_by_itself: bool = False) -> None:
        self.remedy = remedy
        self.may_end_by_itself = may_end_by_itself
        super().__init__(what)


class ReadersUnlisted(OutOfReach):
    """The readers cannot be listed; one whose name is known can be used all the same."""


class ProtocolError(CardError):
    """The card answered something its protocol does not allow."""


class SecureChannelError(ProtocolError):
    """The secure channel was refused or does not hold."""


class StatusWordError(CardError):
    """The card refused a command with a status word nobody was waiting for."""

    def __init__(self, sw: int, ins: int) -> None:
        self.sw = sw
        self.ins = ins
        super().__init__(f"the card answered {sw:04X} to instruction {ins:02X}")


class NotUnlocked(CardError):
    """The command needs the PIN first."""


class PinIncorrect(CardError):
    """The card refused the PIN and counted the attempt; None where it does not count."""

    _code = "PIN"

    def __init__(self, attempts_left: int | None) -> None:
        self.attempts_left = attempts_left
        left = f"attempts: {attempts_left} left"
        if attempts_left is None:
            left = "it does not count attempts"
        super().__init__(f"the card refused the {self._code}; {left}")


class PukIncorrect(PinIncorrect):
    """The card refused the PUK and counted the attempt."""

    _code = "PUK"


class PinDelayed(CardError):
    """The card wants a wait before it looks at another PIN."""

    def __init__(self, seconds: int) -> None:
        """Keep the wait in seconds."""
        self.seconds = seconds
        super().__init__(f"the card accepts no PIN for another {seconds} seconds")


class PinBlocked(CardError):
    """The card allows no more attempts."""


class PukBlocked(PinBlocked):
    """The card allows no more attempts at its PUK either."""


class PinUnsuitable(CardError):
    """What was given cannot be a PIN of this family; it was not presented."""


class NotEvidence(CardError):
    """What was given says nothing of this card; it was not kept."""


class CardNotInitialised(CardError):
    """The card has no PIN or no key yet."""


class NotSupported(CardError):
    """This card cannot do that."""

    def __init__(self, family: str, what: str) -> None:
        self.family = family
        self.what = what
        super().__init__(f"this {family} card does not support {what}")


class PinNotBlocked(NotSupported):
    """The card takes its PUK only once its PIN is blocked."""

    def __init__(self, family: str) -> None:
        super().__init__(family, "its PUK while the PIN is not blocked")


class PathNotAvailable(CardError):
    """The card cannot derive this path."""

    def __init__(self, path: tuple[int, ...]) -> None:
        """Keep the path, hardened steps with the top bit set."""
        self.path = path
        steps = "/".join(f"{step & 0x7FFFFFFF}{'h' if step >> 31 else ''}" for step in path)
        super().__init__(f"the card cannot derive m/{steps}")


class WrongCard(CardError):
    """Another card lies on the reader than the one that was meant."""

    def __init__(self, expected: str, found: str) -> None:
        """Keep both: labels or card ids, or `a card …` where none is meant by name."""
        self.expected = expected
        self.found = found
        named = expected if expected.startswith("a card ") else f"card {expected}"
        super().__init__(f"expected {named}, found {found}")


class NotGenuine(CardError):
    """The card failed its maker's proof of genuineness."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the card is not genuine: {reason}")


class PairingRefused(CardError):
    """What claims to be a known card refuses the pairing that was kept, and nobody agreed to more.

    `codes` is what a person accepts by pairing anew all the same.
    """

    def __init__(self, card_id: str) -> None:
        self.card_id = card_id
        self.codes = (PAIRING_REFUSED,)
        super().__init__(f"card {card_id[:16]} {PAIRING_DANGER}")
