"""Tangem: an NFC card that keeps wallets behind an access code and delays what it signs."""

from cards.family import CardFamily, Evidence, Theft
from cards.pin_rules import CodeRule

NAME = "tangem"
AID = bytes.fromhex("A000000812010208")
CODE = CodeRule(4, everybodys=frozenset({b"000000", b"000"}))

FAMILY = CardFamily(
    name=NAME,
    vendor="tangem",
    aid=AID,
    profiles=("4.52", "6.33"),
    makes_key_on_card=True,
    identified_before_pin=False,
    other_software=(),
    signs={"": frozenset({"wsh", "sh-wsh"})},
    theft=Theft(
        attempts=None,
        seconds_per_attempt=45,
        sentence="6 wrong access codes are free, each further one waits a second longer, up to 45; "
        "it never locks, and two cards of one backup set together reset the code",
        source="vendor's public pages on the access code and its recovery",
    ),
    codes={"pin": CODE},
    evidence={"loads a seed": Evidence.VECTORS, "proves to be genuine": Evidence.VECTORS},
)
