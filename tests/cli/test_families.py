"""A vault across cards of four makers, and the demo with any of them."""

from pathlib import Path

import pytest

from cards.family import families
from tests.program import PIN, UNPROVED, Asked, Program, asking

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
WALLETS = ("caravan", "electrum")
NAMES = [family.name for family in families()]


@pytest.mark.parametrize(
    "script", [*(pytest.param(each, marks=pytest.mark.matrix) for each in ("wsh", "sh-wsh")), "sh"]
)
def test_a_vault_of_every_family_lives_its_whole_life(
    asked: Asked, tmp_path: Path, script: str
) -> None:
    """Made from cards, paid, signed by each, accepted by the engine, imported, recovered."""
    asked("init", "--network", "regtest")
    for name in NAMES:
        asked("emulate", "new", name, name)
        asked("card", "enrol", name, "--emulated", name, "--pin-stdin", stdin=PIN)
    cards = [word for name in NAMES for word in ("--card", name)]
    total = str(len(NAMES))
    shown = asked("vault", "create", "v", "--threshold", total, "--script", script, *cards)
    pins = "".join(f"{name}={PIN}\n" for name in NAMES)
    proved = asked("vault", "verify", "v", "--pin-stdin", stdin=pins)
    assert sorted(proved["verified"]) == sorted(NAMES)
    address = asked("address", "new", "v", *UNPROVED)["address"]
    asked("regtest", "fund", address, "1000000", "--coins", "2")
    asked("regtest", "mine")
    made = asked("spend", "create", "v", "--drain", STRANGER, "--feerate", "3")
    slots = [word for name in NAMES for word in ("--emulated", name)]
    words = ("spend", "sign", made["ceremony"], *slots, "--yes", "--pin-stdin")
    done = asked(*words, stdin=pins)
    assert (done["have"], done["complete"]) == (len(NAMES), True)
    assert [each["signatures"] for each in done["cards"]] == [2] * len(NAMES)
    assert asked("spend", "finalize", made["ceremony"])["consensus"] == "accepted"
    asked("spend", "broadcast", made["ceremony"])
    asked("regtest", "mine")
    assert asked("spend", "show", made["ceremony"])["state"] == "confirmed"
    asked("kit", "v", "--out", str(tmp_path / "kit"), *UNPROVED)
    files = {each: asked("vault", "export", "v", "--format", each)["text"] for each in WALLETS}
    there = asking(tmp_path / "there")
    there("init", "--network", "regtest", "--chain", "none:")
    for name, text in files.items():
        taken = there("vault", "import", "-", "--name", name, stdin=text)
        assert taken["checksum"] == shown["checksum"]
        assert (taken["script"], taken["first_address"]) == (script, shown["first_address"])
    heirs = asking(tmp_path / "heirs")
    heirs("init", "--network", "regtest", "--chain", "none:")
    back = heirs("recover", str(tmp_path / "kit" / "v-descriptor.txt"), "--name", "v")
    assert back["descriptor"] == shown["descriptor"]


@pytest.mark.parametrize("cards", ["tapsigner,keycard,tangem", "tangem,satochip,keycard"])
def test_the_demo_with_other_cards(program: Program, cards: str) -> None:
    done = program("--json", "demo", "--cards", cards, "--inputs", "2", "--quiet").document
    assert (done["accepted"], done["signatures"]) == (True, 4)
