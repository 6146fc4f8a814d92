"""Satochip: a Java Card applet that keeps a BIP 32 seed behind a PIN and a secure channel."""

from cards.family import CardFamily, Evidence, Software, Theft
from cards.pin_rules import CodeRule

NAME = "satochip"
AID = bytes.fromhex("5361746F43686970")
CODE = CodeRule(4, 16)
ECDSA = frozenset({"wsh", "sh-wsh"})
WITHOUT_PLAIN_KEYS = ("0.12", "0.13", *(f"0.14-0.{patch}" for patch in range(5)))
"""How the versions begin that sign by BIP 340 with a tweaked key alone, or not at all."""

FAMILY = CardFamily(
    name=NAME,
    vendor="satochip",
    aid=AID,
    profiles=("0.12-0.6", "0.14-0.1", "0.14-0.5", "0.16-0.0"),
    makes_key_on_card=False,
    other_software=(
        Software("Sparrow Wallet", "https://github.com/sparrowwallet/sparrow/pull/1591"),
    ),
    signs={"": ECDSA | {"tr"}, **dict.fromkeys(WITHOUT_PLAIN_KEYS, ECDSA)},
    codes={"pin": CODE, "puk": CODE},
    puk_sets_pin=("0.16",),
    theft=Theft(
        attempts=5,
        seconds_per_attempt=0,
        sentence="5 wrong PINs block it, then 3 wrong PUKs; after that only a factory reset helps",
        source="SatochipApplet: PIN and PUK tries are set at SETUP, 5 and 3 here",
    ),
    evidence={
        "signs and gives xpubs": Evidence.VENDOR,
        "proves to be genuine": Evidence.VENDOR,
        "loads a seed": Evidence.VENDOR,
        "changes its PIN": Evidence.VENDOR,
        "is unblocked": Evidence.VENDOR,
        "BIP 340": Evidence.VENDOR,
        "carries a label": Evidence.VENDOR,
        "factory reset": Evidence.VENDOR,
    },
)
