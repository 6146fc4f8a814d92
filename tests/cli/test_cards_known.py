"""Enrolling, checking and forgetting cards that are known, or were."""

import sqlite3
from pathlib import Path

import pytest

from cards.errors import NotGenuine
from cards.satochip.session import SatochipSession
from cards.session import Attestation, Verdict
from tests.cli.test_card_setup import SEED, set_up
from tests.once import copy_of
from tests.program import PIN, Asked, Program


def new_card(home: Path) -> None:
    asked = Asked(home)
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue")
    enrol(asked, "blue")


@pytest.fixture
def known(asked: Asked) -> Asked:
    copy_of(new_card, asked.home)
    return asked


def enrol(asked: Asked, label: str, *words: str, slot: str = "blue", check: int = 0) -> dict:
    command = ("card", "enrol", label, "--emulated", slot, "--pin-stdin", *words)
    return asked(*command, stdin=PIN, check=check)


def events(asked: Asked) -> list[str]:
    return [event["event"] for event in asked("custody", "log", "card:blue")["events"]]


def test_enrolling_tells_card_key_and_attestation(known: Asked) -> None:
    found = enrol(known, "blue")
    assert found["card"].keys() >= {"label", "family", "card_id", "version", "emulated"}
    assert found["key"].keys() >= {"fingerprint", "path", "xpub", "expression"}
    assert found["key"]["path"] == "48h/1h/0h/2h"
    assert found["attestation"]["result"] == "test"
    assert "TEST root" in found["attestation"]["reason"]
    listed = known("card", "list")["cards"]
    assert len(listed) == 1
    assert listed[0]["attestation"].items() <= found["attestation"].items()


def test_a_known_card_enrolled_again_is_refreshed(known: Asked, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "home" / "cardquorum.db") as database:
        database.execute("UPDATE card SET version = 'old', attestation = 'unproven'")
    database.close()
    for suffix in (".card", ".card.lock"):
        cards = tmp_path / "home" / "emulated"
        found = next((tmp_path / "home").rglob(f"blue{suffix}"))
        found.rename(found.with_name(f"moved{suffix}"))
        assert cards is not None
    before = known("card", "show", "blue")
    assert enrol(known, "blue", slot="moved")["replaced"] == []
    after = known("card", "show", "blue")
    assert before["version"] == "old"
    assert after["version"] != "old"
    assert (after["emulated_name"], after["attestation"]["result"]) == ("moved", "test")
    assert after["checked_at"]
    assert after["enrolled_at"] == before["enrolled_at"]
    assert known("card", "check", "blue")["present"]


def test_a_known_card_keeps_its_label_and_a_label_its_card(known: Asked) -> None:
    wrong = enrol(known, "red", check=3)["error"]
    assert (wrong["code"], wrong["found"]) == ("wrong_card", "card blue")
    known("emulate", "new", "satochip", "other")
    assert enrol(known, "blue", slot="other", check=2)["error"]["code"] == "already_exists"
    cards = {card["name"]: card["attempts_left"] for card in known("emulate", "list")["cards"]}
    assert cards == {"blue": 5, "other": 5}


@pytest.mark.parametrize("label", ["", "a b", "card:x", "x" * 41, "naïve"])
def test_a_label_is_a_plain_word(known: Asked, label: str) -> None:
    known("emulate", "new", "satochip", "other")
    assert enrol(known, label, slot="other", check=2)["error"]["code"] == "usage_error"
    assert enrol(known, "x" * 40, slot="other")["card"]["label"] == "x" * 40


def test_a_second_path_is_a_second_key_of_the_card(known: Asked) -> None:
    found = enrol(known, "blue", "--path", "48h/1h/1h/2h")
    assert found["replaced"] == []
    assert [key["path"] for key in known("card", "show", "blue")["keys"]] == [
        "48h/1h/0h/2h",
        "48h/1h/1h/2h",
    ]
    assert known("card", "check", "blue", "--pin-stdin", stdin=PIN)["key_matches"]
    enrol(known, "blue", "--path", "nonsense", check=2)


def test_a_card_with_another_seed_no_longer_carries_the_old_key(known: Asked) -> None:
    old = known("card", "show", "blue")["keys"][0]["xpub"]
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setattr("storage.cards.retire_carriers", lambda *_, **__: None)
        known("card", "reset", "blue", "--yes")
    found = known("card", "check", "blue", check=5)
    assert found["differences"] == ["the card holds no key any more: it was reset"]
    assert (found["present"], found["key_matches"]) == (True, False)
    assert set_up(known, "blue", SEED)["replaced"] == ["blue"]
    assert old not in [key["xpub"] for key in known("card", "show", "blue")["keys"]]
    assert known("card", "check", "blue", "--pin-stdin", stdin="2468")["key_matches"]


def test_a_check_without_a_pin_presents_none(known: Asked) -> None:
    found = known("card", "check", "blue")
    assert found == {
        "card": "blue",
        "present": True,
        "genuine": None,
        "key_matches": None,
        "attempts_left": 5,
        "puk_attempts_left": 3,
        "differences": [],
    }
    assert events(known) == ["seen"]
    assert known("card", "show", "blue")["checked_at"]


def test_a_card_that_is_not_there(known: Asked) -> None:
    known("emulate", "remove", "blue")
    found = known("card", "check", "blue", check=3)
    assert found["present"] is False
    assert found["genuine"] is found["key_matches"] is found["attempts_left"] is None
    assert events(known) == []
    assert known("card", "show", "blue")["checked_at"] is None
    assert known("card", "check", "nobody", check=2)["error"]["code"] == "not_found"


def test_another_card_in_its_place(known: Asked) -> None:
    known("emulate", "new", "satochip", "other")
    wrong = known("card", "check", "blue", "--emulated", "other", "--pin-stdin", stdin="1", check=3)
    assert wrong["error"]["code"] == "wrong_card"
    for words in (("pin",), ("unblock",), ("reset", "--yes")):
        verb, *rest = words
        found = known("card", verb, "blue", "--emulated", "other", *rest, check=3)
        assert found["error"]["code"] == "wrong_card"
    assert events(known) == []


def test_a_key_that_changed_is_a_difference_and_no_check(known: Asked, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "home" / "cardquorum.db") as database:
        database.execute("UPDATE key SET chain_code = zeroblob(32)")
    database.close()
    found = known("card", "check", "blue", "--pin-stdin", stdin=PIN, check=5)
    assert found["differences"] == ["the key at 48h/1h/0h/2h is not the one enrolled"]
    assert found["key_matches"] is False
    assert known("card", "show", "blue")["checked_at"] is None
    event = known("custody", "log")["events"][0]
    assert event["note"].startswith("card check; the key at")


def test_a_forged_card_is_told_and_its_attestation_not_believed(
    known: Asked, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        SatochipSession, "attest", lambda _: Attestation(Verdict.FAILED, "it is forged")
    )
    found = known("card", "check", "blue", "--pin-stdin", stdin=PIN, check=5)
    assert (found["genuine"], found["key_matches"]) == ("failed", True)
    assert known("card", "show", "blue")["attestation"]["result"] == "test"
    shown = program("card", "check", "blue", "--pin-stdin", stdin=PIN, check=5)
    assert "DIFFERS: not genuine: it is forged" in shown.out


def test_a_forged_card_is_not_enrolled_and_no_pin_is_asked(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forged(_: object) -> Attestation:
        raise NotGenuine("it is forged")

    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue")
    monkeypatch.setattr(SatochipSession, "attest", forged)
    command = ("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin")
    assert asked(*command, stdin="000000", check=3)["error"]["code"] == "not_genuine"
    assert asked("card", "list")["cards"] == []
    assert asked("emulate", "list")["cards"][0]["attempts_left"] == 5


@pytest.mark.parametrize(
    "verb", [("enrol", "blue", "--emulated", "blue"), ("check", "blue"), ("pin", "blue")]
)
def test_the_last_attempt_needs_a_word(known: Asked, verb: tuple[str, ...]) -> None:
    words = ("card", *verb, "--pin-stdin")
    right, wrong = (f"blue={pin}\nblue.new=2468\n" for pin in (PIN, "0000"))
    for _ in range(4):
        known(*words, stdin=wrong, check=4)
    assert known(*words, stdin=right, check=4)["error"]["code"] == "last_attempt"
    known(*words, "--last-attempt", stdin=right)


def test_forgetting_says_which_vaults_count_on_the_card(vault: Asked) -> None:
    assert vault("card", "forget", "a", check=5)["error"]["code"] == "not_accepted"
    assert vault("card", "forget", "a", "--yes")["vaults"] == ["v"]
    assert [card["label"] for card in vault("card", "list")["cards"]] == ["b", "c"]
    vault("card", "forget", "a", "--yes", check=2)
    found = {f["code"]: f for f in vault("audit", "v", check=5)["findings"]}
    assert found["key_without_carrier"]["subjects"] == ["key:a"]
    assert "location_loss_fatal" in found


def test_forgetting_two_of_three_is_no_quorum(vault: Asked, program: Program) -> None:
    said = program("card", "forget", "a", "--yes").err
    assert "vault v counts on a key of card a" in said
    vault("custody", "record", "b", "lost")
    vault("card", "forget", "b", "--yes")
    found = vault("audit", "v", check=5)
    assert found["can_spend"] is False
    assert found["findings"][0]["code"] == "quorum_lost"


def test_a_forgotten_card_enrolled_again_carries_its_key_again(vault: Asked) -> None:
    vault("card", "forget", "a", "--yes")
    words = ("card", "enrol", "new-name", "--emulated", "a", "--pin-stdin")
    vault(*words, stdin=PIN)
    found = vault("audit", "v", "--fail-on", "none")
    assert "key_without_carrier" not in [f["code"] for f in found["findings"]]
    assert vault("vault", "show", "v")["cosigners"][0]["carriers"] == ["card:new-name"]


def test_a_reset_card_no_longer_counts(vault: Asked) -> None:
    for label in "ab":
        words = ("card", "reset", label, "--yes", "--accept", "card_in_use")
        assert vault(*words)["vaults"] == ["v"]
    assert vault("audit", "v", check=5)["findings"][0]["code"] == "quorum_lost"
    notes = [event["note"] for event in vault("custody", "log", "a")["events"]]
    assert notes[-1] == "factory reset: the key on it is gone"
