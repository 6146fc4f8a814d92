"""A home in which every table has rows: what people do in some years, done at once."""

from pathlib import Path

from coordinator.chain.regtest import RegtestChain
from tests.cli.family import pay
from tests.program import PIN, UNPROVED, Asked, made_vault, prove_keys


def filled(asked: Asked, folder: Path) -> None:
    """Fill a home: four vaults, one replaced and one with later keys, payments, drills, papers."""
    made_vault(asked)
    _people(asked)
    prove_keys(asked)
    _payments(asked)
    _later_keys(asked)
    _drilled(asked)
    asked("kit", "v", "--out", str(folder / "kit"), "--location", "at-a")
    asked("label", "set", _coins(asked)[0], "from the boat")
    asked("coin", "freeze", _coins(asked)[1])
    asked("emulate", "new", "satochip", "d")
    asked("card", "enrol", "d", "--emulated", "d", "--pin-stdin", stdin=PIN)
    asked("vault", "create", "old", "--threshold", "1", "--card", "a", "--card", "b")
    address = asked("address", "new", "old", *UNPROVED)["address"]
    asked("regtest", "fund", address, "500000")
    asked("regtest", "mine", "1")
    asked("card", "lost", "b")
    asked("replace", "start", "old", "--card", "b", "--with", "d", "--feerate", "2")


def _people(asked: Asked) -> None:
    asked("holder", "add", "aunt", "--limit", "0.1btc", "--contact", "+33")
    asked("holder", "add", "uncle", "--limit", "0.2btc", "--contact", "+34")
    where = ("--region", "lyon", "--holder", "aunt", "--access", "a key", "--lead-hours", "3")
    asked("location", "add", "mill", "--kind", "friend", *where)
    for kind in ("pin", "puk"):
        more = ("--known-by", "aunt", "--written-at", "mill")
        asked("secret", "add", f"a-{kind}", "--of", "a", "--kind", kind, *more)
    asked("carrier", "add", "a", "plate", "a-plate")
    asked("custody", "record", "plate:a-plate", "placed", "--at", "mill", "--note", "high up")
    asked("custody", "record", "card:a", "sealed", "--seal", "B-17", "--by", "me")


def _payments(asked: Asked) -> None:
    sign = ("--emulated", "a", "--emulated", "b", "--yes", "--pin-stdin")
    pins = f"a={PIN}\nb={PIN}\n"
    sent = pay(asked, 150_000)
    asked("spend", "sign", sent, *sign, stdin=pins)
    asked("spend", "finalize", sent)
    asked("spend", "broadcast", sent)
    height = asked("regtest", "mine", "1")["height"]
    asked("sync")
    RegtestChain(asked.home / "chain").reorganise(height - 1)
    asked("sync")
    asked("regtest", "mine", "2")
    asked("sync")
    waiting = pay(asked, 160_000)
    asked("spend", "sign", waiting, "--emulated", "a", "--yes", "--pin-stdin", stdin=PIN)


def _later_keys(asked: Asked) -> None:
    for label in "ef":
        asked("emulate", "new", "satochip", label)
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    own = ("--threshold", "2", "--card", "a", "--card", "b")
    later = ("--recovery-after", "10", "--recovery-threshold", "1")
    cards = ("--recovery-card", "e", "--recovery-card", "f")
    asked("vault", "create", "later", *own, *later, *cards)


def _drilled(asked: Asked) -> None:
    for vault, cards in (("v", "ab"), ("later", "e")):
        drill = asked("drill", "start", vault)["drill"]
        for card in cards:
            asked("drill", "sign", drill, "--emulated", card, "--pin-stdin", stdin=PIN)


def _coins(asked: Asked) -> list[str]:
    return [str(each["outpoint"]) for each in asked("coins", "v")["coins"]]
