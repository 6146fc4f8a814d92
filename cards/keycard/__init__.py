"""Keycard: a Java Card applet that keeps a BIP 32 key behind a PIN and a secure channel."""

from cards.family import CardFamily, Evidence, Software, Theft
from cards.pin_rules import CodeRule

NAME = "keycard"
AID = bytes.fromhex("A00000080400010101")
PIN = CodeRule(6, 6, digits=True)
PUK = CodeRule(12, 12, digits=True)
SPARROW = "https://github.com/sparrowwallet/sparrow, src/main/java/com/sparrowwallet/sparrow"

FAMILY = CardFamily(
    name=NAME,
    vendor="status",
    aid=AID,
    profiles=("3.1", "3.2", "4.0"),
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
