"""A vault across cards of four makers, and the demo with any of them."""

import pytest

from cards.family import families
from tests.program import PIN, UNPROVED, Asked, Program

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
NAMES = [family.name for family in families()]


@pytest.mark.parametrize("script", ["wsh", "sh-wsh", "sh"])
def test_three_of_four_families_spend(asked: Asked, script: str) -> None:
    asked("init", "--network", "regtest")
    for name in NAMES:
        asked("emulate", "new", name, name)
        asked("card", "enrol", name, "--emulated", name, "--pin-stdin", stdin=PIN)
    cards = [word for name in NAMES for word in ("--card", name)]
    asked("vault", "create", "v", "--threshold", "3", "--script", script, *cards)
    pins = "".join(f"{name}={PIN}\n" for name in NAMES)
    proved = asked("vault", "verify", "v", "--pin-stdin", stdin=pins)
    assert sorted(proved["verified"]) == sorted(NAMES)
    asked(
        "regtest",
        "fund",
        asked("address", "new", "v", *UNPROVED)["address"],
        "1000000",
        "--coins",
        "2",
    )
    asked("regtest", "mine")
    made = asked("spend", "create", "v", "--drain", STRANGER, "--feerate", "3")
    ceremony = made["ceremony"]
    signers = [name for name in NAMES if name != "satochip"]
    slots = [word for name in signers for word in ("--emulated", name)]
    words = ("spend", "sign", ceremony, *slots, "--yes", "--pin-stdin")
    done = asked(*words, stdin="".join(f"{name}={PIN}\n" for name in signers))
    assert (done["have"], done["complete"]) == (3, True)
    assert asked("spend", "finalize", ceremony)["consensus"] == "accepted"
    asked("spend", "broadcast", ceremony)
    asked("regtest", "mine")
    assert asked("spend", "show", ceremony)["state"] == "confirmed"


@pytest.mark.parametrize("cards", ["tapsigner,keycard,tangem", "tangem,satochip,keycard"])
def test_the_demo_with_other_cards(program: Program, cards: str) -> None:
    done = program("--json", "demo", "--cards", cards, "--inputs", "2", "--quiet").document
    assert (done["accepted"], done["signatures"]) == (True, 4)
