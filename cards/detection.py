"""Which family the card on a reader belongs to."""

import time

from cards.errors import CardError, CardReset, ProtocolError, StatusWordError
from cards.family import Surroundings, families
from cards.session import CardSession
from cards.transport import CardTransport

IDENTIFY_PAUSES = (0.1, 0.2, 0.4, 0.8)
SELECT = 0xA4


def detect(transport: CardTransport, surroundings: Surroundings) -> CardSession:
    """Open the card with the first family that recognises it; no PIN is presented.

    A card that is reset meanwhile is identified from the beginning, a few times and with a growing
    pause. Raises CardError where no family knows the card, ProtocolError where it may only be
    garbled, CardReset where it was reset each time.
    """
    pauses = iter(IDENTIFY_PAUSES)
    while True:
        try:
            return _recognised(transport, surroundings)
        except (CardReset, _Interrupted) as failure:
            surroundings.disturbed()
            pause = next(pauses, None)
            if pause is None and isinstance(failure, _Interrupted):
                raise ProtocolError(str(failure)) from None
            if pause is None:
                times = len(IDENTIFY_PAUSES) + 1
                raise CardReset(
                    "another program resets the card: "
                    f"it was identified {times} times, each time in vain",
                    sent=False,
                ) from None
        time.sleep(pause)


class _Interrupted(ProtocolError):
    """A family recognised the card, which then refused what it had begun."""


def _recognised(transport: CardTransport, surroundings: Surroundings) -> CardSession:
    """Ask one family after the other.

    A card may answer 9000 to a name that is not its own, as a Satochip of 0.14 does once it is
    selected: an answer that one family does not understand is left to the others.
    """
    strange: CardError | None = None
    for family in families():
        try:
            return family.open(transport, surroundings)
        except StatusWordError as refused:
            if refused.ins != SELECT:
                strange = strange or _Interrupted(str(refused))
        except ProtocolError as failure:
            strange = strange or failure
    if strange is None:
        raise CardError("the card on the reader belongs to no family known here")
    kind = type(strange) if isinstance(strange, _Interrupted) else ProtocolError
    raise kind(f"no family known here understands the card on the reader: {strange}")
