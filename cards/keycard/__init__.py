"""Keycard: a Java Card applet that keeps a BIP 32 key behind a PIN and a secure channel."""

from cards.codes import CodeRule
from cards.family import CardFamily, EmulatedCard, Evidence, Software, Surroundings, Theft
from cards.session import CardSession
from cards.transport import CardTransport

NAME = "keycard"
AID = bytes.fromhex("A00000080400010101")
PIN = CodeRule(6, 6, digits=True)
PUK = CodeRule(12, 12, digits=True)
SPARROW = "https://github.com/sparrowwallet/sparrow, src/main/java/com/sparrowwallet/sparrow"


def _open(transport: CardTransport, surroundings: Surroundings) -> CardSession:
    from cards.keycard.session import open_session  # noqa: PLC0415 - listing families stays cheap

    return open_session(transport, surroundings)


def _emulate(profile: str) -> EmulatedCard:
    from cards.keycard.emulator import emulate  # noqa: PLC0415 - a real card never needs it

    return emulate(profile)


def _revive(state: bytes) -> EmulatedCard:
    from cards.keycard.emulator import revive  # noqa: PLC0415 - as above

    return revive(state)


def _uncertified(profile: str) -> EmulatedCard:
    from cards.keycard.emulator import uncertified  # noqa: PLC0415 - as above

    return uncertified(profile)


FAMILY = CardFamily(
    name=NAME,
    vendor="status",
    aid=AID,
    profiles=("3.1", "3.2", "4.0"),
    open=_open,
    emulate=_emulate,
    revive=_revive,
    makes_key_on_card=True,
    other_software=(
        Software("Sparrow Wallet", f"{SPARROW}/io/keycard/KeycardApi.java", versions=("3.",)),
    ),
    signs={"3.": frozenset({"wsh", "sh-wsh"}), "": frozenset({"wsh", "sh-wsh", "tr"})},
    puk_sets_pin=("",),
    theft=Theft(
        attempts=3,
        seconds_per_attempt=0,
        sentence="3 wrong PINs block it, then 5 wrong PUKs; after that only a factory reset helps",
        source="KeycardApplet: INIT's default tries, which this driver sends, are 3 and 5",
    ),
    emulate_uncertified=_uncertified,
    variants={"uncertified": _uncertified},
    evidence={
        "signs and gives xpubs": Evidence.VENDOR,
        "proves to be genuine": Evidence.VENDOR,
        "makes its key": Evidence.VENDOR,
        "loads a seed": Evidence.VENDOR,
        "changes its PIN": Evidence.VENDOR,
        "is unblocked": Evidence.VENDOR,
        "BIP 340": Evidence.VENDOR,
        "factory reset": Evidence.VENDOR,
    },
    codes={"pin": PIN, "puk": PUK, "duress": PIN},
    puk_digits=12,
    setup_secrets={"3.": frozenset({"duress", "pairing"}), "": frozenset({"duress"})},
)
