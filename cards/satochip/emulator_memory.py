"""What an emulated Satochip remembers, and its codes: PINs, PUKs, a telephone's second factor."""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from cards.emulation import Code, Refusal
from cards.satochip.wire import BLOCK, ChannelKeys, Ins, Sw

DEFAULT_PIN = b"Muscle00"
DEFAULT_TRIES = 3
PIN_SIZES = range(4, 17)
RESET_SIGNALS = 5
WITH_POLICIES = (0, 14, 0, 5)
TRIES_SHOWN_MAX = 15
PIN_COUNT = 8
CREATED_PUK_TRIES = 3
NEW_UNBLOCK = (0, 16)
KEY_SIZE = 20
SECOND_FACTOR_FLAG = 0x8000
DECRYPT, ENCRYPT = 1, 2
INIT, PROCESS, FINALIZE = 1, 2, 3


class Request(NamedTuple):
    """A command as a handler sees it; the body may be shorter than announced, or padded."""

    ins: int
    p1: int
    p2: int
    size: int
    body: bytes

    @classmethod
    def read(cls, apdu: bytes) -> Self:
        """Take a command apart; four bytes alone announce no data."""
        if len(apdu) < 4:
            raise Refusal(Sw.WRONG_LENGTH)
        size = apdu[4] if len(apdu) > 4 else 0
        return cls(apdu[1], apdu[2], apdu[3], size, apdu[5:])

    @property
    def data(self) -> bytes:
        """Return as many bytes as the command announces."""
        if len(self.body) < self.size:
            raise Refusal(Sw.WRONG_LENGTH)
        return self.body[: self.size]


class Reader:
    """Cuts a command's data into its fields."""

    def __init__(self, data: bytes, sw: int = Sw.INVALID_PARAMETER) -> None:
        """Begin at the first byte; `sw` is the answer where a field is missing."""
        self._left = data
        self._sw = sw

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        if len(self._left) < size:
            raise Refusal(self._sw)
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def byte(self) -> int:
        """Return the next byte as a number."""
        return self.take(1)[0]

    def short(self) -> int:
        """Return the next two bytes as a number."""
        return int.from_bytes(self.take(2))

    def prefixed(self) -> bytes:
        """Return the next field, whose length stands before it in one byte."""
        return self.take(self.byte())

    def rest(self) -> bytes:
        """Return what nobody has taken."""
        return self._left


def fresh_code(value: bytes, limit: int) -> Code:
    """Make a code with all its tries; raises 9C0F for sizes and limits no card takes."""
    if len(value) not in PIN_SIZES or not limit:
        raise Refusal(Sw.INVALID_PARAMETER)
    return Code.fresh(value, limit)


def check_code(code: Code, candidate: bytes) -> None:
    """Count a wrong value and raise 63Cx, or 9C0C once no try is left."""
    if not code.left:
        raise Refusal(Sw.IDENTITY_BLOCKED)
    right = code.matches(candidate)
    code.count(right=right)
    if not right:
        raise Refusal(Sw.PIN_FAILED | min(code.left, TRIES_SHOWN_MAX))


@dataclass
class Policies:
    """What the owner allows: 0 enabled, 1 disabled, 2 blocked for ever."""

    nfc: int = 0
    schnorr: int = 0
    nostr: int = 0
    liquid: int = 0


@dataclass
class Flash:
    """Everything that survives power-off; only this is kept in the card's file."""

    profile: str
    serials: dict[int, bytes]
    authentikey: bytes = field(repr=False)
    certificate: bytes = b""
    personalised: bool = False
    setup_done: bool = False
    pins: dict[int, Code] = field(
        default_factory=lambda: {0: Code.fresh(DEFAULT_PIN, DEFAULT_TRIES)}, repr=False
    )
    puks: dict[int, Code] = field(default_factory=dict, repr=False)
    master: bytes = field(default=b"", repr=False)
    cache: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    cache_limit: int = 0
    last_key: bytes = field(default=b"", repr=False)
    slots: dict[int, bytes] = field(default_factory=dict, repr=False)
    label: bytes = b""
    second_factor: bytes = field(default=b"", repr=False)
    amount_limit: int = 0
    trusted_key: bytes = b""
    policies: Policies = field(default_factory=Policies)
    reset_signals_left: int = RESET_SIGNALS

    @property
    def release(self) -> tuple[int, ...]:
        """Return the whole version, as (0, 12, 0, 6)."""
        return tuple(int(number) for number in self.profile.replace("-", ".").split("."))

    @property
    def version(self) -> tuple[int, int]:
        """Return the protocol version, as (0, 12)."""
        major, minor, *_ = self.release
        return major, minor


def revived(fields: Any) -> Flash:  # noqa: ANN401 -- whatever was kept, checked by whoever asks
    """Return the flash that was kept with these fields."""
    codes = {
        each: {number: Code(**code) for number, code in fields[each].items()}
        for each in ("pins", "puks")
    }
    return Flash(**fields | codes | {"policies": Policies(**fields["policies"])})


@dataclass
class Channel:
    """A secure channel that is open."""

    keys: ChannelKeys = field(repr=False)
    counter: int = 0


@dataclass
class Power:
    """Everything that is lost at power-off."""

    selected: bool = False
    touched: bool = False
    channel: Channel | None = field(default=None, repr=False)
    verified: set[int] = field(default_factory=set)
    last_key: bytes = field(default=b"", repr=False)
    tweaked_key: bytes = field(default=b"", repr=False)
    cipher: Callable[[bytes], bytes] | None = field(default=None, repr=False)


@dataclass
class Card:
    """A card with power."""

    flash: Flash
    power: Power = field(default_factory=Power)

    def log_out(self) -> None:
        """Forget every PIN that was verified."""
        self.power.verified.clear()


Handler = Callable[[Card, Request], bytes]


def check_pin(card: Card, number: int, candidate: bytes) -> None:
    """Count a wrong PIN, which logs out; a size no PIN has is refused and not counted."""
    if len(candidate) not in PIN_SIZES:
        raise Refusal(Sw.INVALID_PARAMETER)
    card.power.verified.discard(number)
    check_code(card.flash.pins[number], candidate)


def need_no_parameter(request: Request) -> None:
    """Refuse a P2 where the command knows none."""
    if request.p2:
        raise Refusal(Sw.INCORRECT_P2)


def setup(card: Card, request: Request) -> bytes:
    """Take PINs, PUKs and, the first time, the cache's size (SETUP).

    Even an attempt ends personalisation.
    """
    flash = card.flash
    flash.personalised = True
    fields = Reader(request.data)
    check_pin(card, 0, fields.prefixed())
    pins, puks = {}, {}
    for number in (0, 1):
        tries, puk_tries = fields.byte(), fields.byte()
        pins[number] = fresh_code(fields.prefixed(), tries)
        puks[number] = fresh_code(fields.prefixed(), puk_tries)
    cache_limit = fields.short()
    fields.take(2 + 3)
    second_factor, amount_limit = b"", 0
    if fields.rest() and fields.short() & SECOND_FACTOR_FLAG:
        second_factor, amount_limit = fields.take(KEY_SIZE), int.from_bytes(fields.take(8))
    flash.pins |= {0: pins[0], 1: _kept_limit(flash.pins.get(1), pins[1])}
    flash.puks |= {n: _kept_limit(flash.puks.get(n), puk) for n, puk in puks.items()}
    flash.cache_limit = flash.cache_limit or cache_limit
    flash.second_factor, flash.amount_limit = second_factor, amount_limit
    flash.setup_done = True
    card.log_out()
    return b""


def _kept_limit(old: Code | None, new: Code) -> Code:
    """Give a code that outlived the factory reset its new value and leave it its old limit."""
    return fresh_code(new.value, old.limit) if old else new


def verify_pin(card: Card, request: Request) -> bytes:
    """VERIFY PIN: a size no PIN has is not counted as a try."""
    number = _pin_number(card, request)
    need_no_parameter(request)
    check_pin(card, number, request.data)
    card.power.verified.add(number)
    return b""


def change_pin(card: Card, request: Request) -> bytes:
    """CHANGE PIN: old and new one; logs out."""
    number = _pin_number(card, request)
    need_no_parameter(request)
    fields = Reader(request.data)
    old, new = fields.prefixed(), fields.prefixed()
    if len(new) not in PIN_SIZES:
        raise Refusal(Sw.INVALID_PARAMETER)
    check_pin(card, number, old)
    card.flash.pins[number] = fresh_code(new, card.flash.pins[number].limit)
    return b""


def unblock_pin(card: Card, request: Request) -> bytes:
    """UNBLOCK PIN: only a blocked one; since 0.16 the PUK may bring a new PIN with it."""
    number = _pin_number(card, request)
    code = card.flash.pins[number]
    if code.left:
        raise Refusal(Sw.OPERATION_NOT_ALLOWED)
    need_no_parameter(request)
    puk, new = request.data, code.value
    if card.flash.version >= NEW_UNBLOCK:
        fields = Reader(request.data)
        puk = fields.prefixed()
        new = fields.prefixed() if fields.rest() else code.value
    if len(puk) not in PIN_SIZES or len(new) not in PIN_SIZES:
        raise Refusal(Sw.INVALID_PARAMETER)
    check_code(card.flash.puks[number], puk)
    card.flash.pins[number] = fresh_code(new, code.limit)
    return b""


def create_pin(card: Card, request: Request) -> bytes:
    """CREATE PIN: number in P1, its tries in P2, PIN and PUK, each with its length."""
    if request.p1 in card.flash.pins or request.p1 >= PIN_COUNT:
        raise Refusal(Sw.INCORRECT_P1)
    fields = Reader(request.data)
    pin, puk = fields.prefixed(), fields.prefixed()
    if fields.rest():
        raise Refusal(Sw.INVALID_PARAMETER)
    codes = fresh_code(pin, request.p2), fresh_code(puk, CREATED_PUK_TRIES)
    card.flash.pins[request.p1], card.flash.puks[request.p1] = codes
    return b""


def list_pins(card: Card, request: Request) -> bytes:
    """LIST PINS: two bytes with a bit for each; wants two bytes of data for no reason."""
    if request.p1:
        raise Refusal(Sw.INCORRECT_P1)
    need_no_parameter(request)
    if len(request.data) != 2:
        raise Refusal(Sw.WRONG_LENGTH)
    return sum(1 << number for number in card.flash.pins).to_bytes(2)


def log_out(card: Card, _request: Request) -> bytes:
    """LOGOUT ALL: forget every PIN that was verified."""
    card.log_out()
    return b""


def _pin_number(card: Card, request: Request) -> int:
    if request.p1 not in card.flash.pins:
        raise Refusal(Sw.INCORRECT_P1)
    return request.p1


class Padding:
    """What stands behind the data of a challenge and tells one purpose from another."""

    DIGEST = 32 * b"\xcc"
    SCHNORR = 32 * b"\xdd"
    SEED_RESET = 32 * b"\xff"
    KEY_IMPORT = 0x10
    KEY_RESET = 0x20
    SELF_RESET = 44 * b"\xaa"

    @staticmethod
    def slot(purpose: int, number: int) -> bytes:
        """Return the padding of a purpose that names a key slot."""
        return 32 * bytes((purpose ^ number,))


def identifier(key: bytes) -> bytes:
    """Return the name under which a telephone knows the key."""
    return hmac.digest(key, b"id_2FA", "sha1")


def cipher_key(key: bytes) -> bytes:
    """Return the AES key between card and telephone."""
    return hmac.digest(key, b"key_2FA", "sha1")[:BLOCK]


def check_answer(card: Card, challenge: bytes, answer: bytes) -> None:
    """Demand the second factor's answer to the challenge where there is a second factor."""
    key = card.flash.second_factor
    if not key:
        return
    if len(answer) < KEY_SIZE:
        raise Refusal(Sw.WRONG_LENGTH)
    if not hmac.compare_digest(hmac.digest(key, challenge, "sha1"), answer[:KEY_SIZE]):
        raise Refusal(Sw.SIGNATURE_INVALID)


def check_flagged_answer(card: Card, challenge: bytes, fields: Reader) -> None:
    """Demand the answer after its two bytes of flags, as signing commands carry it."""
    if not card.flash.second_factor:
        return
    flags, answer = fields.short(), fields.take(KEY_SIZE)
    if flags != SECOND_FACTOR_FLAG:
        raise Refusal(Sw.INCORRECT_ALG)
    check_answer(card, challenge, answer)


def set_key(card: Card, request: Request) -> bytes:
    """SET 2FA KEY: from now on what matters needs the second factor."""
    if card.flash.second_factor:
        raise Refusal(Sw.SECOND_FACTOR_SET)
    fields = Reader(request.data, Sw.WRONG_LENGTH)
    key, amount_limit = fields.take(KEY_SIZE), int.from_bytes(fields.take(8))
    card.flash.second_factor, card.flash.amount_limit = key, amount_limit
    return b""


def reset_key(card: Card, request: Request) -> bytes:
    """RESET 2FA KEY: needs the second factor once more."""
    if len(request.data) < KEY_SIZE:
        raise Refusal(Sw.WRONG_LENGTH)
    key = _key(card)
    check_answer(card, identifier(key) + Padding.SELF_RESET, request.data)
    card.flash.second_factor, card.flash.amount_limit = b"", 0
    return b""


def crypt(card: Card, request: Request) -> bytes:
    """CRYPT TRANSACTION 2FA: P1 chooses the direction, P2 begins, goes on or ends."""
    key = cipher_key(_key(card))
    if request.p2 == INIT:
        return _begin(card, request, key)
    if request.p2 not in {PROCESS, FINALIZE}:
        raise Refusal(Sw.INCORRECT_P2)
    fields = Reader(request.data)
    chunk = fields.take(fields.short())
    running = card.power.cipher
    if running is None:
        raise Refusal(Sw.INCORRECT_INITIALIZATION)
    if len(chunk) % BLOCK:
        raise Refusal(Sw.WRONG_LENGTH)
    if request.p2 == FINALIZE:
        card.power.cipher = None
    return len(chunk).to_bytes(2) + running(chunk)


def _begin(card: Card, request: Request, key: bytes) -> bytes:
    if request.p1 not in {DECRYPT, ENCRYPT}:
        raise Refusal(Sw.INVALID_PARAMETER)
    encrypts = request.p1 == ENCRYPT
    iv = secrets.token_bytes(BLOCK) if encrypts else request.data
    if len(iv) != BLOCK:
        raise Refusal(Sw.WRONG_LENGTH)
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    running: CipherContext = cipher.encryptor() if encrypts else cipher.decryptor()
    card.power.cipher = running.update
    return iv + identifier(card.flash.second_factor) if encrypts else b""


def _key(card: Card) -> bytes:
    if not card.flash.second_factor:
        raise Refusal(Sw.SECOND_FACTOR_MISSING)
    return card.flash.second_factor


HANDLERS: dict[int, Handler] = {
    Ins.SETUP: setup,
    Ins.CREATE_PIN: create_pin,
    Ins.VERIFY_PIN: verify_pin,
    Ins.CHANGE_PIN: change_pin,
    Ins.UNBLOCK_PIN: unblock_pin,
    Ins.LIST_PINS: list_pins,
    Ins.LOGOUT_ALL: log_out,
    Ins.SET_2FA_KEY: set_key,
    Ins.RESET_2FA_KEY: reset_key,
    Ins.CRYPT_2FA: crypt,
}
