"""The emulated Satochip's SETUP, PINs and PUKs."""

from cards.satochip.emulator_memory import (
    PIN_SIZES,
    Card,
    Code,
    Handler,
    Reader,
    Refusal,
    Request,
    check_pin,
    need_no_parameter,
)
from cards.satochip.wire import (
    INS_CHANGE_PIN,
    INS_CREATE_PIN,
    INS_LIST_PINS,
    INS_LOGOUT_ALL,
    INS_SETUP,
    INS_UNBLOCK_PIN,
    INS_VERIFY_PIN,
    SW_INCORRECT_P1,
    SW_INVALID_PARAMETER,
    SW_OPERATION_NOT_ALLOWED,
    SW_WRONG_LENGTH,
)

PIN_COUNT = 8
CREATED_PUK_TRIES = 3
SECOND_FACTOR_FLAG = 0x8000
NEW_UNBLOCK = (0, 16)


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
        pins[number] = Code.fresh(fields.prefixed(), tries)
        puks[number] = Code.fresh(fields.prefixed(), puk_tries)
    cache_limit = fields.short()
    fields.take(2 + 3)
    second_factor, amount_limit = _second_factor(fields)
    flash.pins |= {0: pins[0], 1: _kept_limit(flash.pins.get(1), pins[1])}
    flash.puks |= {n: _kept_limit(flash.puks.get(n), puk) for n, puk in puks.items()}
    flash.cache_limit = flash.cache_limit or cache_limit
    flash.second_factor, flash.amount_limit = second_factor, amount_limit
    flash.setup_done = True
    card.log_out()
    return b""


def _second_factor(fields: Reader) -> tuple[bytes, int]:
    """Read the optional end of SETUP: flags, and with 0x8000 a key and an amount."""
    if not fields.rest() or not fields.short() & SECOND_FACTOR_FLAG:
        return b"", 0
    return fields.take(20), int.from_bytes(fields.take(8))


def _kept_limit(old: Code | None, new: Code) -> Code:
    """Give a code that outlived the factory reset its new value and leave it its old limit."""
    return Code.fresh(new.value, old.limit) if old else new


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
        raise Refusal(SW_INVALID_PARAMETER)
    check_pin(card, number, old)
    card.flash.pins[number] = Code.fresh(new, card.flash.pins[number].limit)
    return b""


def unblock_pin(card: Card, request: Request) -> bytes:
    """UNBLOCK PIN: only a blocked one; since 0.16 the PUK may bring a new PIN with it."""
    number = _pin_number(card, request)
    code = card.flash.pins[number]
    if code.left:
        raise Refusal(SW_OPERATION_NOT_ALLOWED)
    need_no_parameter(request)
    puk, new = request.data, code.value
    if card.flash.version >= NEW_UNBLOCK:
        fields = Reader(request.data)
        puk = fields.prefixed()
        new = fields.prefixed() if fields.rest() else code.value
    if len(puk) not in PIN_SIZES or len(new) not in PIN_SIZES:
        raise Refusal(SW_INVALID_PARAMETER)
    card.flash.puks[number].check(puk)
    card.flash.pins[number] = Code.fresh(new, code.limit)
    return b""


def create_pin(card: Card, request: Request) -> bytes:
    """CREATE PIN: number in P1, its tries in P2, PIN and PUK, each with its length."""
    if request.p1 in card.flash.pins or request.p1 >= PIN_COUNT:
        raise Refusal(SW_INCORRECT_P1)
    fields = Reader(request.data)
    pin, puk = fields.prefixed(), fields.prefixed()
    if fields.rest():
        raise Refusal(SW_INVALID_PARAMETER)
    codes = Code.fresh(pin, request.p2), Code.fresh(puk, CREATED_PUK_TRIES)
    card.flash.pins[request.p1], card.flash.puks[request.p1] = codes
    return b""


def list_pins(card: Card, request: Request) -> bytes:
    """LIST PINS: two bytes with a bit for each; wants two bytes of data for no reason."""
    if request.p1:
        raise Refusal(SW_INCORRECT_P1)
    need_no_parameter(request)
    if len(request.data) != 2:
        raise Refusal(SW_WRONG_LENGTH)
    return sum(1 << number for number in card.flash.pins).to_bytes(2)


def logout_all(card: Card, _request: Request) -> bytes:
    """LOGOUT ALL: forget every PIN that was verified."""
    card.log_out()
    return b""


def _pin_number(card: Card, request: Request) -> int:
    if request.p1 not in card.flash.pins:
        raise Refusal(SW_INCORRECT_P1)
    return request.p1


HANDLERS: dict[int, Handler] = {
    INS_SETUP: setup,
    INS_CREATE_PIN: create_pin,
    INS_VERIFY_PIN: verify_pin,
    INS_CHANGE_PIN: change_pin,
    INS_UNBLOCK_PIN: unblock_pin,
    INS_LIST_PINS: list_pins,
    INS_LOGOUT_ALL: logout_all,
}
