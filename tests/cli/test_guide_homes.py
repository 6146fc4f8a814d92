"""The guide takes up whatever home it finds: half made by hand, sealed, watch-only, with branches.

Cards are of software, but the home is no practice home; the person presses Enter where something is
suggested.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from psbt.keys import format_key_expression
from psbt.network import Network
from psbt.policy import format_descriptor
from storage.encryption import Cost
from tests.cli.guide_player import ELSEWHERE, PASSPHRASE, Player
from tests.cli.test_guide import safe
from tests.cli.test_taproot import create as create_leaf
from tests.cli.test_taproot import made_leaf
from tests.program import PIN, UNPROVED, Asked, asking
from tests.psbt.soft_vault import soft_vault

ENTER = "\r"
CARDS = {"a": "satochip", "b": "tapsigner", "c": "keycard"}
PLACES = {"a": "bank", "b": "friend", "c": "home"}
ADDRESS = {r"An address of your own": [f"{ELSEWHERE}{ENTER}"] * 3}
Act = Callable[[Asked], object]


def enrol(asked: Asked, label: str) -> None:
    asked("emulate", "new", CARDS[label], label)
    asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)


def place(asked: Asked, label: str) -> None:
    kind = {"bank": "bank-vault"}.get(PLACES[label], PLACES[label])
    asked("location", "add", PLACES[label], "--kind", kind)
    asked("custody", "record", f"card:{label}", "placed", "--at", PLACES[label])


def note(asked: Asked, label: str) -> None:
    others = [word for each in CARDS if each != label for word in ("--written-at", PLACES[each])]
    asked("secret", "add", f"{label}-pin", "--of", label, "--kind", "pin", *others)


def vault(asked: Asked, *more: str) -> None:
    cards = [word for label in CARDS for word in ("--card", label)]
    asked("vault", "create", "v", "--threshold", "2", *cards, *more)


def verify(asked: Asked, *labels: str) -> None:
    named = [word for label in labels for word in ("--emulated", label)]
    pins = "".join(f"{label}={PIN}\n" for label in labels)
    asked("vault", "verify", "v", *named, "--pin-stdin", stdin=pins)


def kit(asked: Asked, label: str) -> None:
    out = asked.home.with_name(f"{asked.home.name}-kits") / f"v-{PLACES[label]}"
    asked("kit", "v", "--out", str(out), "--location", PLACES[label])


def fund(asked: Asked) -> None:
    address = asked("address", "list", "v", "--unused")["addresses"][0]["address"]
    asked("regtest", "fund", address, "20000sat")


def pay(asked: Asked) -> None:
    asked("spend", "create", "v", "--drain", ELSEWHERE, "--feerate", "2")


def sign(asked: Asked, label: str) -> None:
    ceremony = asked("spend", "list")["ceremonies"][0]["ceremony"]
    words = ("spend", "sign", ceremony, "--emulated", label, "--yes", "--pin-stdin")
    asked(*words, stdin=PIN)


BY_HAND: tuple[tuple[str, Act], ...] = (
    ("a home", lambda asked: asked("init", "--network", "regtest")),
    ("a card not enrolled", lambda asked: asked("emulate", "new", CARDS["a"], "other")),
    ("a card", lambda asked: enrol(asked, "a")),
    ("three cards", lambda asked: [enrol(asked, label) for label in "bc"]),
    ("a place", lambda asked: place(asked, "a")),
    ("three places", lambda asked: [place(asked, label) for label in "bc"]),
    ("a note", lambda asked: note(asked, "a")),
    ("a vault", vault),
    ("a key proved", lambda asked: verify(asked, "a")),
    ("all keys proved", lambda asked: verify(asked, *"bc")),
    ("a kit", lambda asked: kit(asked, "a")),
    ("all kits", lambda asked: [kit(asked, label) for label in "bc"]),
    ("an address", lambda asked: asked("address", "new", "v", *UNPROVED)),
    ("a sum on its way", fund),
    ("a sum", lambda asked: asked("regtest", "mine")),
    ("a payment", pay),
    ("a signature", lambda asked: sign(asked, "b")),
    ("two signatures", lambda asked: sign(asked, "c")),
    ("a drill", lambda asked: asked("drill", "start", "v")),
)
"""What somebody does by hand, one after the other; "other" is a card that is in no vault."""
SHORT = ("a payment",)


def by_hand(asked: Asked, until: str) -> None:
    for what, act in BY_HAND:
        act(asked)
        if what == until:
            return


def played(home: Path, **more: list[str]) -> Player:
    player = Player(home)
    status = player.play(instead={**ADDRESS, **more})
    assert status == 0, player.screen
    return player


@pytest.mark.parametrize(
    "until",
    [pytest.param(what, marks=() if what in SHORT else pytest.mark.matrix) for what, _ in BY_HAND],
)
def test_what_was_begun_by_hand_is_led_to_the_end(tmp_path: Path, until: str) -> None:
    home = tmp_path / "home"
    by_hand(asking(home), until)
    played(home)
    assert safe(home)


@pytest.mark.matrix
def test_a_vault_in_a_leaf_of_taproot_is_led_to_the_end(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made_leaf(asking(home))
    create_leaf(asking(home))
    player = played(home)
    assert safe(home)
    assert "It is the same vault, with the same first addresses" in " ".join(player.screen.split())


@pytest.mark.matrix
@pytest.mark.parametrize("script", ["wsh", "sh-wsh", "sh"])
def test_a_vault_of_any_script_with_later_keys_is_led_to_the_end(
    tmp_path: Path, script: str
) -> None:
    home, asked = tmp_path / "home", asking(tmp_path / "home")
    by_hand(asked, "three places")
    keys = [format_key_expression(key, Network.REGTEST) for key in soft_vault(2, 3).policy.keys]
    later = [
        word
        for number, key in enumerate(keys)
        for word in ("--recovery-key", f"later-{number}={key}")
    ]
    wait = ("--recovery-after", "52560", "--recovery-threshold", "2", *later)
    vault(asked, *(wait if script == "wsh" else ("--script", script)))
    played(home)
    assert safe(home)


@pytest.mark.matrix
def test_a_watch_only_vault_is_looked_at_and_nothing_is_proved(tmp_path: Path) -> None:
    home, asked = tmp_path / "home", asking(tmp_path / "home")
    asked("init", "--network", "regtest")
    words = ("vault", "import", "-", "--name", "v")
    asked(*words, stdin=format_descriptor(soft_vault(2, 3).policy))
    player = Player(home)
    player.play(stop_at=6)
    assert "unexpected" not in player.screen
    assert "compare vault v with its paper" in " ".join(player.screen.split()).lower()


@pytest.mark.matrix
def test_a_sealed_home_is_led_on_under_stand_ins_or_after_its_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cost.__new__, "__defaults__", (1 << 4, 8, 1))
    home, asked = tmp_path / "home", asking(tmp_path / "home")
    by_hand(asked, "a vault")
    asked("custody", "seal", "--pin-stdin", stdin=f"home.passphrase={PASSPHRASE}\n")
    player = Player(home)
    status = player.play(instead=ADDRESS)
    assert status == 0, player.screen
