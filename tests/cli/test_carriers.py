"""Plates, words and backups beside the cards, and what they change."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.program import PIN, Asked, Program


@pytest.fixture
def tapsigner(asked: Asked, tmp_path: Path) -> Asked:
    """A vault v of one TAPSIGNER t at home, with its backup file."""
    asked("init", "--network", "regtest")
    for place in ("home", "bank"):
        asked("location", "add", place)
    asked("emulate", "new", "tapsigner", "t")
    asked("card", "enrol", "t", "--emulated", "t", "--pin-stdin", stdin=PIN)
    asked("custody", "record", "card:t", "placed", "--at", "home")
    asked("vault", "create", "v", "--threshold", "1", "--card", "t")
    words = ("card", "backup", "t", "--out", str(tmp_path / "t.aes"), "--pin-stdin")
    asked(*words, stdin=PIN)
    return asked


def codes(asked: Asked) -> dict[str, dict]:
    found = asked("audit", "v", "--fail-on", "none")["findings"]
    return {finding["code"]: finding for finding in found}


def place(asked: Asked, item: str, where: str) -> None:
    asked("custody", "record", item, "placed", "--at", where)


def test_a_backup_with_what_opens_it_is_found(tapsigner: Asked) -> None:
    place(tapsigner, "backup-file:t", "bank")
    assert "backup_with_key" not in codes(tapsigner)
    place(tapsigner, "backup-file:t", "home")
    found = codes(tapsigner)["backup_with_key"]
    assert found["subjects"] == ["location:home", "backup-file:t", "card:t"]
    place(tapsigner, "backup-file:t", "bank")
    tapsigner("carrier", "add", "t", "backup-key", "digits")
    place(tapsigner, "backup-key:digits", "bank")
    found = codes(tapsigner)["backup_with_key"]
    assert found["subjects"] == ["location:bank", "backup-file:t", "backup-key:digits"]


def test_a_file_and_its_key_count_together_only(tapsigner: Asked) -> None:
    place(tapsigner, "backup-file:t", "bank")
    assert codes(tapsigner)["location_loss_fatal"]["subjects"] == ["location:home"]
    tapsigner("carrier", "add", "card:t", "backup-key", "digits")
    place(tapsigner, "backup-key:digits", "home")
    assert codes(tapsigner)["location_loss_fatal"]["subjects"] == ["location:home"]
    tapsigner("location", "add", "friend")
    place(tapsigner, "backup-key:digits", "friend")
    assert "location_loss_fatal" not in codes(tapsigner)
    assert codes(tapsigner)["location_can_spend"]["subjects"] == ["location:home"]


def test_words_bring_a_key_back_by_themselves(tapsigner: Asked, program: Program) -> None:
    added = tapsigner("carrier", "add", "key:t", "words", "sheet")
    assert (added["carrier"], added["key"], added["location"]) == ("words:sheet", "t", None)
    place(tapsigner, "words:sheet", "bank")
    assert "location_loss_fatal" not in codes(tapsigner)
    assert "words:sheet" in program("carrier", "list").out
    listed = tapsigner("carrier", "list")["carriers"]
    assert [each["location"] for each in listed] == [None, "bank"]
    shown = tapsigner("vault", "show", "v")["cosigners"][0]["carriers"]
    assert shown == ["card:t", "backup-file:t", "words:sheet"]


def test_a_second_backup_has_a_name_of_its_own(tapsigner: Asked, tmp_path: Path) -> None:
    words = ("card", "backup", "t", "--out", str(tmp_path / "second"), "--pin-stdin")
    assert tapsigner(*words, stdin=PIN)["carrier"] == "backup-file:t-2"


@pytest.mark.parametrize(
    "words",
    [
        ("t", "paper", "x"),
        ("nobody", "plate", "x"),
        ("vault:v", "plate", "x"),
        ("t", "plate", "x!"),
        ("t", "backup-file", "t"),
    ],
)
def test_a_carrier_of_no_known_kind_or_key_is_refused(
    tapsigner: Asked, words: tuple[str, ...]
) -> None:
    tapsigner("carrier", "add", *words, check=2)


def test_a_name_that_fits_a_card_and_another_key_is_ambiguous(tapsigner: Asked) -> None:
    expression = tapsigner("card", "show", "t")["keys"][0]["expression"]
    tapsigner("card", "forget", "t", "--yes")
    tapsigner("emulate", "new", "tapsigner", "u")
    words = ("card", "enrol", "t", "--emulated", "u", "--pin-stdin")
    assert tapsigner(*words, stdin=PIN)["key"]["expression"] != expression
    refused = tapsigner("carrier", "add", "t", "plate", "p", check=2)["error"]
    assert refused["candidates"] == ["card:t", "key:t"]
    assert tapsigner("carrier", "add", "card:t", "plate", "p")["key"] == "t-2"


def test_a_thing_that_is_no_card_is_looked_at_without_one(
    tapsigner: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not_checked" not in codes(tapsigner)
    monkeypatch.setattr("coordinator.audit.rule_findings.CHECK_INTERVAL", timedelta(seconds=-1))
    remedies = [
        finding["remedy"]
        for finding in tapsigner("audit", "v", "--fail-on", "none")["findings"]
        if finding["code"] == "not_checked"
    ]
    assert any("custody record backup-file:t seen" in remedy for remedy in remedies)
    assert any("card check t" in remedy for remedy in remedies)
