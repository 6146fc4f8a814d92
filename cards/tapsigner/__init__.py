"""TAPSIGNER: Coinkite's NFC card that makes its key itself and tells it to nobody unencrypted."""

from cards.codes import CodeRule
from cards.family import CardFamily, EmulatedCard, Software, Surroundings, Theft
from cards.session import CardSession
from cards.transport import CardTransport

NAME = "tapsigner"
AID = b"\xf0CoinkiteCARDv1"
CVC = CodeRule(6, 32, digits=True)
SPARROW = "https://github.com/sparrowwallet/sparrow, src/main/java/com/sparrowwallet/sparrow"


def _open(transport: CardTransport, surroundings: Surroundings) -> CardSession:
    from cards.tapsigner.session import open_session  # noqa: PLC0415 - listing families stays cheap

    return open_session(transport, surroundings)


def _emulate(profile: str) -> EmulatedCard:
    from cards.tapsigner.emulator import emulate  # noqa: PLC0415 - a real card never needs it

    return emulate(profile)


def _revive(state: bytes) -> EmulatedCard:
    from cards.tapsigner.emulator import revive  # noqa: PLC0415 - as above

    return revive(state)


def _uncertified(profile: str) -> EmulatedCard:
    from cards.tapsigner.emulator import uncertified  # noqa: PLC0415 - as above

    return uncertified(profile)


def _without_wait(profile: str) -> EmulatedCard:
    from cards.tapsigner.emulator import without_wait  # noqa: PLC0415 - as above

    return without_wait(profile)


FAMILY = CardFamily(
    name=NAME,
    vendor="coinkite",
    aid=AID,
    profiles=("0.9.0", "1.0.1", "1.0.3"),
    open=_open,
    emulate=_emulate,
    revive=_revive,
    makes_key_on_card=True,
    other_software=(
        Software("Sparrow Wallet", f"{SPARROW}/io/ckcard/CkCardApi.java"),
        Software("Nunchuk", "https://github.com/nunchuk-io/tap-protocol, src/hwi_tapsigner.cpp"),
    ),
    signs={"": frozenset({"wsh", "sh-wsh"})},
    theft=Theft(
        attempts=None,
        seconds_per_attempt=15,
        sentence=(
            "a CVC nobody changed is printed on the card; another one of 6 digits holds half a "
            "year at most, at 15 seconds for each wrong one after the third, and never blocks"
        ),
        source="coinkite-tap-proto, docs/protocol.md: rate limiting; 10^6 codes of 15 s each",
    ),
    emulate_uncertified=_uncertified,
    variants={"no-wait": _without_wait, "uncertified": _uncertified},
    codes={"pin": CVC},
    prints_pin=True,
    prints_backup_key=True,
)
