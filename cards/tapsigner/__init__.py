"""TAPSIGNER: Coinkite's NFC card that makes its key itself and tells it to nobody unencrypted."""

from cards.family import CardFamily, Software, Theft
from cards.pin_rules import CodeRule

NAME = "tapsigner"
AID = b"\xf0CoinkiteCARDv1"
CVC = CodeRule(6, 32, digits=True)
SPARROW = "https://github.com/sparrowwallet/sparrow, src/main/java/com/sparrowwallet/sparrow"

FAMILY = CardFamily(
    name=NAME,
    vendor="coinkite",
    aid=AID,
    profiles=("0.9.0", "1.0.1", "1.0.3"),
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
    codes={"pin": CVC},
    prints_pin=True,
    prints_backup_key=True,
)
