"""What an emulated Keycard remembers, and its codes: INIT, PIN, duress PIN, PUK."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from coincurve import PrivateKey

from cards.emulation import Code, Refusal
from cards.keycard.wire import (
    BLOCK,
    CbcKeys,
    CcmKeys,
    Ins,
    Sw,
    Tag,
    cbc_decrypt,
    cbc_encrypt,
    ccm_open,
    ccm_seal,
    tlv,
)

PIN_TRIES = 3
PUK_TRIES = 5
SLOTS = {"3.1": 5, "3.2": 10, "4.0": 0}
PIN, PUK, PAIRING = 6, 12, 32
TRIES = 2
PIN_LIMITS, PUK_LIMITS = range(2, 11), range(3, 13)
OF_PIN, OF_PUK, OF_PAIRING = range(3)


class Request(NamedTuple):
    """A command as a handler sees it."""

    ins: int
    p1: int
    p2: int
    data: bytes

    @classmethod
    def read(cls, apdu: bytes) -> Self:
        """Take a command apart; four bytes alone announce no data."""
        if len(apdu) < 4:
            raise Refusal(Sw.WRONG_LENGTH)
        size = apdu[4] if len(apdu) > 4 else 0
        data = apdu[5 : 5 + size]
        if len(data) != size:
            raise Refusal(Sw.WRONG_LENGTH)
        return cls(apdu[1], apdu[2], apdu[3], data)


def nobodys(limit: int) -> Code:
    """Return a code that nobody knows, for a card before INIT."""
    return Code.fresh(secrets.token_bytes(16), limit)


@dataclass
class Flash:
    """Everything that survives power-off; only this is kept in the card's file."""

    profile: str
    uid: bytes
    identity: bytes = field(default=b"", repr=False)
    certificate: bytes = b""
    channel_key: bytes = field(default_factory=lambda: PrivateKey().secret, repr=False)
    initialised: bool = False
    pin: Code = field(default_factory=lambda: nobodys(PIN_TRIES), repr=False)
    duress: Code = field(default_factory=lambda: nobodys(PIN_TRIES), repr=False)
    puk: Code = field(default_factory=lambda: nobodys(PUK_TRIES), repr=False)
    pairing_secret: bytes = field(default=b"", repr=False)
    pairings: dict[int, bytes] = field(default_factory=dict, repr=False)
    key: bytes = field(default=b"", repr=False)
    chain_code: bytes = field(default=b"", repr=False)
    current_path: bytes = b""
    pinless_path: bytes = b""
    data: dict[int, bytes] = field(default_factory=dict)
    one_byte_short: bool = False

    @property
    def certified(self) -> bool:
        """Tell whether the card speaks the channel of 4.0."""
        return self.profile == "4.0"

    @property
    def version(self) -> bytes:
        """Return the version as SELECT tells it."""
        return bytes(int(part) for part in self.profile.split("."))

    @property
    def key_uid(self) -> bytes:
        """Return the hash that names the master key; nothing where there is none."""
        if not self.key:
            return b""
        point = PrivateKey(self.key).public_key.format(compressed=False)
        return hashlib.sha256(point).digest()


def revived(fields: Any) -> Flash:  # noqa: ANN401 -- whatever was kept, checked by whoever asks
    """Return the flash that was kept with these fields."""
    return Flash(**fields | {each: Code(**fields[each]) for each in ("pin", "duress", "puk")})


class CbcCardChannel:
    """The card's end of a 3.x channel."""

    def __init__(self, keys: CbcKeys, iv: bytes) -> None:
        """Begin with the initial vector the host was told."""
        self._keys = keys
        self._iv = iv

    def unwrap(self, apdu: bytes) -> Request:
        """Check the MAC, then decrypt; the MAC is the vector from then on."""
        request = Request.read(apdu)
        mac, ciphertext = request.data[:BLOCK], request.data[BLOCK:]
        if not ciphertext or len(ciphertext) % BLOCK:
            raise Refusal(Sw.SECURITY)
        if not hmac.compare_digest(mac, self._keys.mac(apdu[:5], ciphertext)):
            raise Refusal(Sw.SECURITY)
        try:
            plain = cbc_decrypt(self._keys.cipher_key, self._iv, ciphertext)
        except ValueError:
            raise Refusal(Sw.SECURITY) from None
        self._iv = mac
        return request._replace(data=plain)

    def wrap(self, data: bytes, sw: int) -> bytes:
        """Encrypt data and status word under the last vector, whoever set it."""
        ciphertext = cbc_encrypt(self._keys.cipher_key, self._iv, data + sw.to_bytes(2))
        self._iv = self._keys.answer_mac(ciphertext)
        return self._iv + ciphertext


class CcmCardChannel:
    """The card's end of a 4.0 channel."""

    def __init__(self, keys: CcmKeys) -> None:
        """Begin at counter 0."""
        self._keys = keys
        self._counter = 0

    def unwrap(self, apdu: bytes) -> Request:
        """Open what SECURED carries."""
        try:
            inner = ccm_open(self._keys.to_card, self._counter, Request.read(apdu).data)
        except ValueError:
            raise Refusal(Sw.SECURITY) from None
        return Request.read(inner)

    def wrap(self, data: bytes, sw: int) -> bytes:
        """Seal data and status word under the command's counter."""
        sealed = ccm_seal(self._keys.to_host, self._counter, data + sw.to_bytes(2))
        self._counter += 1
        return sealed


@dataclass
class Power:
    """Everything that is lost at power-off."""

    selected: str = ""
    channel: CbcCardChannel | CcmCardChannel | None = field(default=None, repr=False)
    authenticated: bool = False
    verified: bool = False
    under_duress: bool = False
    pairing_challenge: bytes = b""
    pairing_passes: bool = False
    passing_pairing: bytes = field(default=b"", repr=False)
    last_chain_code: bytes = field(default=bytes(32), repr=False)


@dataclass
class Card:
    """A card with power."""

    flash: Flash
    power: Power = field(default_factory=Power)

    def close_channel(self) -> None:
        """Forget the channel and who spoke in it."""
        self.power.channel = None
        self.power.authenticated = False


Handler = Callable[[Card, Request], bytes]


def digits(data: bytes, count: int) -> bytes:
    """Return a code of so many digits, or refuse it."""
    if len(data) != count or not data.isdigit():
        raise Refusal(Sw.WRONG_DATA)
    return data


def initialise(card: Card, data: bytes) -> None:
    """Take PIN, PUK, pairing secret (3.x), and perhaps tries and a duress PIN (INIT)."""
    flash = card.flash
    secret_size = 0 if flash.certified else PAIRING
    head = PIN + PUK + secret_size
    if len(data) - head not in {0, TRIES, TRIES + PIN}:
        raise Refusal(Sw.WRONG_DATA)
    pin, puk = digits(data[:PIN], PIN), digits(data[PIN : PIN + PUK], PUK)
    tries = data[head : head + TRIES] or bytes((PIN_TRIES, PUK_TRIES))
    if tries[0] not in PIN_LIMITS or tries[1] not in PUK_LIMITS:
        raise Refusal(Sw.WRONG_DATA)
    given = data[head + TRIES :]
    duress = digits(given, PIN) if given else pin if flash.certified else puk[:PIN]
    flash.pin, flash.duress = Code.fresh(pin, tries[0]), Code.fresh(duress, tries[0])
    flash.puk = Code.fresh(puk, tries[1])
    flash.pairing_secret = data[PIN + PUK : head]
    flash.initialised = True


def verify_pin(card: Card, request: Request) -> bytes:
    """VERIFY PIN: either PIN opens the card; where both are the same, the duress PIN wins."""
    candidate = digits(request.data, PIN)
    flash, power = card.flash, card.power
    power.verified = False
    under_duress, main = flash.duress.matches(candidate), flash.pin.matches(candidate)
    for code in (flash.pin, flash.duress):
        code.count(right=under_duress or main)
    if not under_duress and not main:
        raise Refusal(Sw.TRIES_LEFT | flash.pin.left)
    power.verified, power.under_duress = True, under_duress
    return b""


def change_secret(card: Card, request: Request) -> bytes:
    """CHANGE PIN: of what P1 says; the old value is not asked for."""
    need_pin(card)
    flash, data = card.flash, request.data
    if request.p1 == OF_PIN:
        active = flash.duress if card.power.under_duress else flash.pin
        active.value = digits(data, PIN)
    elif request.p1 == OF_PUK:
        flash.puk = Code.fresh(digits(data, PUK), flash.puk.limit)
    elif request.p1 == OF_PAIRING and not flash.certified:
        if len(data) != PAIRING:
            raise Refusal(Sw.WRONG_DATA)
        flash.pairing_secret = data
    else:
        raise Refusal(Sw.WRONG_P1_P2)
    return b""


def unblock_pin(card: Card, request: Request) -> bytes:
    """UNBLOCK PIN: PUK and new PIN, for a blocked one only; leaves it verified."""
    flash = card.flash
    if flash.pin.left:
        raise Refusal(Sw.CONDITIONS)
    if len(request.data) != PUK + PIN:
        raise Refusal(Sw.WRONG_DATA)
    puk, new = digits(request.data[:PUK], PUK), digits(request.data[PUK:], PIN)
    right = flash.puk.matches(puk)
    flash.puk.count(right=right)
    if not right:
        raise Refusal(Sw.TRIES_LEFT | flash.puk.left)
    flash.pin = Code.fresh(new, flash.pin.limit)
    if not flash.certified:
        flash.duress.count(right=True)
    card.power.verified, card.power.under_duress = True, False
    return b""


def tell_status(card: Card, request: Request) -> bytes:
    """GET STATUS: counters and whether there is a key; before 4.0 the current path too."""
    if request.p1 == 1 and not card.flash.certified:
        return card.flash.current_path
    if request.p1:
        raise Refusal(Sw.WRONG_P1_P2)
    flash = card.flash
    counted = b"".join(tlv(Tag.INTEGER, bytes((code.left,))) for code in (flash.pin, flash.puk))
    has_key = tlv(Tag.BOOLEAN, b"\xff" if flash.key else b"\0")
    return tlv(Tag.STATUS_TEMPLATE, counted + has_key)


def need_pin(card: Card) -> None:
    """Refuse unless a PIN has been verified."""
    if not card.power.verified:
        raise Refusal(Sw.CONDITIONS)


HANDLERS: dict[int, Handler] = {
    Ins.VERIFY_PIN: verify_pin,
    Ins.CHANGE_SECRET: change_secret,
    Ins.UNBLOCK_PIN: unblock_pin,
    Ins.GET_STATUS: tell_status,
}
