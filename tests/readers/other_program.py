"""Another program at the same reader, as rude as PC/SC lets it be; runs in a process of its own.

    python other_program.py READER AID intrude     connects, selects AID, resets, without pause
    python other_program.py READER AID keep        keeps the reader for itself until it is ended

It says "ready" once it has had the card.
"""

import sys
import time

from smartcard import scard

DONE = 0


def connected(context: int, reader: str, share: int) -> int | None:
    code, card, _ = scard.SCardConnect(
        context, reader, share, scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
    )
    return card if code == DONE else None


def say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def intrude(context: int, reader: str, aid: bytes) -> None:
    apdu = [0x00, 0xA4, 0x04, 0x00, len(aid), *aid]
    first = True
    while True:
        card = connected(context, reader, scard.SCARD_SHARE_SHARED)
        if card is None:
            continue
        scard.SCardTransmit(card, scard.SCARD_PCI_T1, apdu)
        scard.SCardDisconnect(card, scard.SCARD_RESET_CARD)
        if first:
            say_ready()
        first = False


def keep(context: int, reader: str, _aid: bytes) -> None:
    while connected(context, reader, scard.SCARD_SHARE_EXCLUSIVE) is None:
        time.sleep(0.01)
    say_ready()
    time.sleep(3600)


if __name__ == "__main__":
    _, name, aid_hex, mode = sys.argv
    _, CONTEXT = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    {"intrude": intrude, "keep": keep}[mode](CONTEXT, name, bytes.fromhex(aid_hex))
