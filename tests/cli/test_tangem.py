"""A Tangem and what its maker's server says of it, as a shell sees it."""

import json
from pathlib import Path

import pytest

from cards.bip32 import fingerprint
from cards.emulation import open_card
from cards.family import Roots
from cards.tangem import attestation
from cards.tangem.emulator import TangemEmulator, emulate, revive
from cards.tangem.emulator_keys import public_key, sign_message
from cards.tangem.emulator_memory import Wallet
from cards.tangem.roots import ISSUER_KEY, ISSUER_SECRET, MANUFACTURER_SECRET
from cards.tangem.wire import WALLET_IMPORTED, WALLET_LOADED
from tests.program import Asked, Program

CODE = "123456"


@pytest.fixture
def home(asked: Asked, tmp_path: Path) -> Path:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tangem", "blue")
    return tmp_path / "home"


@pytest.fixture
def _real(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the developer's key stand in for the maker's."""
    monkeypatch.setattr(attestation, "ROOTS", Roots(published=attestation.ROOTS.test))


def card(home: Path) -> TangemEmulator:
    reader = open_card(next(home.rglob("blue.card")))
    state = reader._card.state()
    reader.close()
    return revive(state)


def document(of: TangemEmulator, folder: Path) -> str:
    """Write what the maker's server says of a card."""
    file = folder / "issuer.json"
    said = {
        "manufacturerSignature": sign_message(MANUFACTURER_SECRET, ISSUER_KEY).hex(),
        "issuerSignature": sign_message(ISSUER_SECRET, public_key(of.flash.card_key)).hex(),
    }
    file.write_text(json.dumps(said))
    return str(file)


def enrol(asked: Asked, *more: str, check: int = 0) -> dict:
    words = ("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin")
    return asked(*words, *more, stdin=CODE, check=check)


@pytest.mark.usefixtures("_real")
def test_a_card_is_enrolled_with_its_issuers_word(asked: Asked, home: Path) -> None:
    file = document(card(home), home.parent)
    assert enrol(asked, "--issuer", file)["attestation"]["result"] == "genuine"
    again = asked("card", "check", "blue", "--pin-stdin", stdin=CODE)
    assert (again["genuine"], again["differences"]) == ("genuine", [])


@pytest.mark.usefixtures("_real")
def test_a_card_gets_its_issuers_word_later(asked: Asked, home: Path) -> None:
    assert enrol(asked)["attestation"]["result"] == "unproven"
    check = ("card", "check", "blue", "--issuer", document(card(home), home.parent))
    assert asked(*check, check=4)["error"]["code"] == "pin_missing"
    assert asked(*check, "--pin-stdin", stdin=CODE)["genuine"] == "genuine"
    assert asked("card", "show", "blue")["attestation"]["result"] == "genuine"
    asked("card", "forget", "blue", "--yes")
    assert enrol(asked)["attestation"]["result"] == "unproven"


def test_a_developers_card_stays_one(asked: Asked, home: Path) -> None:
    file = document(card(home), home.parent)
    assert enrol(asked, "--issuer", file)["attestation"]["result"] == "test"


def test_another_cards_word_is_not_kept(asked: Asked, home: Path) -> None:
    refused = enrol(asked, "--issuer", document(emulate("6.33"), home.parent), check=2)
    assert refused["error"]["code"] == "not_evidence"
    assert "not this card's" in refused["error"]["message"]
    assert asked("card", "list")["cards"] == []


def test_a_file_of_something_else_is_refused(asked: Asked, home: Path) -> None:
    other = home.parent / "issuer.json"
    assert enrol(asked, "--issuer", str(other), check=2)["error"]["code"] == "usage_error"
    other.write_text("not JSON")
    refused = enrol(asked, "--issuer", str(other), check=2)
    assert "manufacturerSignature" in refused["error"]["message"]


def test_a_card_that_proves_itself_wants_no_file(asked: Asked, home: Path) -> None:
    asked("emulate", "new", "satochip", "red")
    words = ("card", "enrol", "red", "--emulated", "red", "--pin-stdin")
    file = document(card(home), home.parent)
    refused = asked(*words, "--issuer", file, stdin=CODE, check=3)
    assert refused["error"]["code"] == "not_supported"


def with_a_key(home: Path, status: int = WALLET_LOADED) -> bytes:
    """Give the card named old, which has no access code, a key; return its public key."""
    reader = open_card(next(home.rglob("old.card")))
    secret = bytes(range(1, 33))
    reader._card.flash.wallets[0] = Wallet(0, status, secret, bytes(32))
    reader.transmit(bytes.fromhex("00a4040000"))  # whatever it is told, it is kept as it is now
    reader.close()
    return public_key(secret)


def test_a_key_without_a_code_is_kept_and_said_to_be(
    asked: Asked, program: Program, home: Path
) -> None:
    asked("emulate", "new", "tangem", "old", "--no-setup")
    words = ("card", "setup", "old", "--emulated", "old", "--pin-stdin")
    master = with_a_key(home)
    seeded = ("--seed",)
    refused = asked(*words, *seeded, stdin=f"old={CODE}\nold.seed={'07' * 32}\n", check=3)
    assert "--generate" in refused["error"]["message"]
    assert not asked("emulate", "list")["cards"][1]["has_pin"]
    ended = program(*words, "--generate", stdin=CODE)
    assert "no other is made" in ended.err
    shown = asked("card", "show", "old")
    assert shown["keys"][0]["fingerprint"] == fingerprint(master).hex()
    assert shown["keys"][0]["created_on"] == "card"
    assert asked("card", "check", "old", "--pin-stdin", stdin=CODE)["key_matches"]


def test_a_key_somebody_loaded_is_not_taken_over(asked: Asked, home: Path) -> None:
    asked("emulate", "new", "tangem", "old", "--no-setup")
    with_a_key(home, WALLET_LOADED | WALLET_IMPORTED)
    words = ("card", "setup", "old", "--emulated", "old", "--generate", "--pin-stdin")
    assert "maker's app" in asked(*words, stdin=CODE, check=3)["error"]["message"]
    assert not asked("emulate", "list")["cards"][1]["has_pin"]
    assert [each["label"] for each in asked("card", "list")["cards"]] == []
