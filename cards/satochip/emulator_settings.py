"""The emulated Satochip's status, label, policies and factory reset."""

from cards.satochip.emulator_keys import erase_seed
from cards.satochip.emulator_memory import (
    DEFAULT_PIN,
    RESET_SIGNALS,
    Card,
    Code,
    Handler,
    Reader,
    Refusal,
    Request,
)
from cards.satochip.wire import (
    INS_FACTORY_RESET,
    INS_LABEL,
    INS_SET_FEATURE_POLICY,
    SW_FEATURE_BLOCKED,
    SW_INCORRECT_P1,
    SW_INCORRECT_P2,
    SW_INVALID_PARAMETER,
    SW_UNKNOWN_INS,
)

LABEL_MAX = 64
LABEL_SET, LABEL_SHOW = 0, 1
FEATURES = ("schnorr", "nostr", "liquid")
BLOCKED = 2
WITH_POLICIES = (0, 16)
RESET_CONFIRMATION = (0xAA, 0x55)


def status(card: Card, request: Request) -> bytes:
    """GET STATUS: version, tries left, and how far the card is set up."""
    if request.p1:
        raise Refusal(SW_INCORRECT_P1)
    if request.p2:
        raise Refusal(SW_INCORRECT_P2)
    flash = card.flash
    tries = bytes(4)
    if flash.setup_done:
        codes = (flash.pins[0], flash.puks[0], flash.pins[1], flash.puks[1])
        tries = bytes(code.left for code in codes)
    flags = (bool(flash.second_factor), bool(flash.master), flash.setup_done, True)
    return _version_bytes(flash.profile) + tries + bytes(flags) + _policies(card)


def _version_bytes(profile: str) -> bytes:
    return bytes(int(number) for number in profile.replace("-", ".").split("."))


def _policies(card: Card) -> bytes:
    if card.flash.version < WITH_POLICIES:
        return b""
    policies = card.flash.policies
    return bytes((policies.nfc, policies.schnorr, policies.nostr, policies.liquid))


def label(card: Card, request: Request) -> bytes:
    """LABEL: P2 0 sets it, or erases it where no text comes; 1 shows it."""
    if request.p2 == LABEL_SHOW:
        return bytes((len(card.flash.label),)) + card.flash.label
    if request.p2 != LABEL_SET:
        raise Refusal(SW_INCORRECT_P2)
    text = Reader(request.data).prefixed() if request.data else b""
    if len(text) > LABEL_MAX:
        raise Refusal(SW_INVALID_PARAMETER)
    card.flash.label = text
    return b""


def set_feature_policy(card: Card, request: Request) -> bytes:
    """SET FEATURE POLICY: the feature in P1, its policy in P2; what is blocked stays so."""
    if card.flash.version < WITH_POLICIES:
        raise Refusal(SW_UNKNOWN_INS)
    if request.p1 >= len(FEATURES):
        raise Refusal(SW_INCORRECT_P1)
    if request.p2 > BLOCKED:
        raise Refusal(SW_INCORRECT_P2)
    feature = FEATURES[request.p1]
    if getattr(card.flash.policies, feature) == BLOCKED:
        raise Refusal(SW_FEATURE_BLOCKED)
    setattr(card.flash.policies, feature, request.p2)
    return b""


def factory_reset(card: Card, request: Request) -> bytes:
    """Erase the card by one command (FACTORY RESET), since 0.16."""
    if card.flash.version < WITH_POLICIES:
        raise Refusal(SW_UNKNOWN_INS)
    if request.p1 != RESET_CONFIRMATION[0]:
        raise Refusal(SW_INCORRECT_P1)
    if request.p2 != RESET_CONFIRMATION[1]:
        raise Refusal(SW_INCORRECT_P2)
    erase(card)
    return b""


def erase(card: Card) -> None:
    """Go back to the factory state.

    Authentikey, certificate, the other PINs, the PUKs and every limit of tries remain.
    """
    flash = card.flash
    erase_seed(card)
    flash.slots, flash.label = {}, b""
    flash.second_factor, flash.amount_limit = b"", 0
    flash.pins[0] = Code.fresh(DEFAULT_PIN, flash.pins[0].limit)
    flash.setup_done = False
    flash.reset_signals_left = RESET_SIGNALS


HANDLERS: dict[int, Handler] = {
    INS_LABEL: label,
    INS_SET_FEATURE_POLICY: set_feature_policy,
    INS_FACTORY_RESET: factory_reset,
}
