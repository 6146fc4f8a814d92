"""Emulated Tangems, spoken to without a driver."""

import hashlib

from coincurve import PrivateKey, PublicKey

from cards.apdu import Command, Form, Response
from cards.tangem.emulator import TangemEmulator, emulate
from cards.tangem.emulator_memory import Wallet
from cards.tangem.wire import (
    DEFAULT_CODE,
    DEFAULT_PASSCODE,
    SECP256K1,
    Fields,
    Item,
    code_hash,
    session_key,
    tlv,
)

CODE, PASSCODE = code_hash(DEFAULT_CODE), code_hash(DEFAULT_PASSCODE)
WRONG, OTHER = code_hash(b"wrong"), code_hash(b"another")
CHALLENGE = bytes(range(16))
DIGEST = hashlib.sha256(b"a digest").digest()
READ, ATTEST_CARD, CREATE, ATTEST_WALLET = 0xF2, 0xF3, 0xF8, 0xF9
SET_PIN, SIGN, PURGE, RESET_BACKUP, OPEN = 0xFA, 0xFB, 0xFC, 0xEE, 0xFF
CURVE: Item = (0x05, SECP256K1)


class Host:
    """A host without a driver; it waits where the card says so."""

    def __init__(self, card: TangemEmulator) -> None:
        self.card = card
        self.reader = card.insert()
        self.waited = 0

    def raw(self, apdu: bytes) -> Response:
        return Response.parse(self.reader.transmit(apdu))

    def send(self, ins: int, *items: Item, form: Form = Form.EXTENDED) -> tuple[int, Fields]:
        """Send a command in clear until it is carried out."""
        apdu = Command(0, ins, data=tlv(items)).encode(form)
        while (response := self.raw(apdu)).sw == 0x9789:
            self.waited += 1
        return response.sw, Fields.parse(response.data)

    def ask(
        self, ins: int, *items: Item, code: bytes = CODE, passcode: bytes = PASSCODE
    ) -> tuple[int, Fields]:
        """Send a command with the card's id and both codes."""
        names = [(0x10, code), (0x11, passcode), (0x01, self.card.flash.card_id)]
        return self.send(ins, *names, *items)

    def session(self, mode: int) -> bytes:
        """Open a session and return its key."""
        own = PrivateKey()
        ours = bytes(16) if mode == 1 else own.public_key.format(compressed=False)
        opening = Command(0, OPEN, 0, mode, tlv([(0x1A, ours)])).encode(Form.EXTENDED)
        response = self.raw(opening)
        assert response.sw == 0x9000
        theirs = Fields.parse(response.data).need(0x1B)
        shared = ours + theirs
        if mode == 2:
            shared = PublicKey(theirs).multiply(own.secret).format()[1:]
        return session_key(shared, CODE, self.card.flash.uid)


def ready(profile: str = "6.33", **changes: int) -> Host:
    """A card with one key, in its first slot."""
    card = emulate(profile)
    for name, value in changes.items():
        setattr(card.flash, name, value)
    card.flash.wallets[0] = Wallet(0, 2, PrivateKey().secret, bytes(32))
    return Host(card)


def creation(index: int) -> list[Item]:
    return [(0x0A, (1).to_bytes(4)), CURVE, (0x07, b"\x81"), (0x65, bytes((index,)))]


def indexed(index: int) -> Item:
    return (0x65, bytes((index,)))


def setting(code: bytes, passcode: bytes) -> list[Item]:
    return [(0x12, code), (0x13, passcode), (0x42, hashlib.sha256(code + passcode).digest())]
