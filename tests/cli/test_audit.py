"""Every finding of the audit, reached by commands."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator import clock
from tests.program import PIN, Asked, Program, asking, made_vault


def findings(asked: Asked, check: int = 0) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for finding in asked("audit", "v", check=check)["findings"]:
        found.setdefault(finding["code"], []).append(finding)
    return found


def record(asked: Asked, *words: str) -> None:
    asked("custody", "record", *words)


@pytest.fixture(scope="session")
def vault_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the others, with cards of three makers."""
    home = tmp_path_factory.mktemp("mixed") / "home"
    made_vault(asking(home), ("satochip", "tapsigner", "keycard"))
    return home


@pytest.fixture
def verified(vault: Asked) -> Asked:
    stdin = "".join(f"{label}={PIN}\n" for label in "abc")
    cards = [word for label in "abc" for word in ("--emulated", label)]
    vault("vault", "verify", "v", *cards, "--pin-stdin", stdin=stdin)
    return vault


def test_a_vault_in_good_order(verified: Asked, program: Program) -> None:
    found = verified("audit", "v", "--fail-on", "warning")
    assert (found["vault"], found["findings"], found["can_spend"]) == ("v", [], True)
    assert "nothing found" in program("audit", "v").out


@pytest.mark.parametrize(("fail_on", "status"), [("none", 0), ("danger", 0), ("warning", 5)])
def test_a_warning_fails_where_it_shall(verified: Asked, fail_on: str, status: int) -> None:
    record(verified, "a", "lost")
    record(verified, "a", "found")
    found = verified("audit", "v", "--fail-on", fail_on, check=status)["findings"]
    assert [finding["severity"] for finding in found] == ["warning"]


@pytest.mark.parametrize(("fail_on", "status"), [("none", 0), ("danger", 5), ("warning", 5)])
def test_a_danger_fails_where_it_shall(vault: Asked, fail_on: str, status: int) -> None:
    record(vault, "a", "moved", "--at", "at-b")
    found = vault("audit", "v", "--fail-on", fail_on, check=status)["findings"]
    assert found[0]["severity"] == "danger"
    assert found[0].keys() == {"code", "severity", "message", "remedy", "subjects"}


def test_an_unknown_severity_or_vault(vault: Asked) -> None:
    vault("audit", "v", "--fail-on", "info", check=2)
    vault("audit", "w", check=2)


def test_two_cards_at_one_place(verified: Asked) -> None:
    record(verified, "a", "moved", "--at", "at-b")
    found = findings(verified, check=5)
    assert found.keys() == {"location_can_spend", "location_loss_fatal", "copy_with_quorum"}
    assert found["location_can_spend"][0]["subjects"] == ["location:at-b"]


def test_a_lost_card_is_a_finding_until_it_is_found(verified: Asked) -> None:
    record(verified, "a", "lost")
    found = findings(verified, check=5)
    assert found["carrier_gone"][0]["subjects"] == ["card:a"]
    places = [finding["subjects"] for finding in found["location_loss_fatal"]]
    assert places == [["location:at-b"], ["location:at-c"]]
    record(verified, "a", "found", "--at", "at-a")
    assert findings(verified) == {}


def test_a_quorum_that_is_gone_cannot_spend(verified: Asked) -> None:
    record(verified, "a", "stolen")
    record(verified, "b", "destroyed")
    assert verified("audit", "v", check=5)["can_spend"] is False
    assert findings(verified, check=5).keys() == {"quorum_lost", "carrier_gone"}


def test_a_card_of_unknown_location_is_a_finding(verified: Asked) -> None:
    record(verified, "a", "lost")
    record(verified, "a", "found")
    found = findings(verified)
    assert found["place_unknown"][0]["subjects"] == ["card:a"]


def test_a_card_not_checked_for_half_a_year_is_a_finding(
    verified: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = clock.now() + timedelta(days=181)
    monkeypatch.setattr(clock, "now", lambda: later)
    old = findings(verified)["not_checked"]
    assert [finding["subjects"] for finding in old] == [["card:a"], ["card:b"], ["card:c"]]
    verified("card", "check", "a")
    verified("card", "enrol", "b", "--emulated", "b", "--pin-stdin", stdin=PIN)
    record(verified, "c", "corrected", "--note", "spelling")
    assert [f["subjects"] for f in findings(verified)["not_checked"]] == [["card:c"]]
    record(verified, "c", "seen", "--when", (later - timedelta(days=179)).isoformat())
    assert findings(verified).keys() == {"never_drilled"}
    assert any("cardquorum drill plan v" in line for line in verified("status")["due"])


def test_a_key_the_card_does_not_have_is_a_finding(verified: Asked, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "home" / "cardquorum.db") as database:
        database.execute("UPDATE key SET chain_code = zeroblob(32) WHERE label = 'a'")
    database.close()
    words = ("vault", "verify", "v", "--emulated", "a", "--pin-stdin")
    verified(*words, stdin=PIN, check=5)
    assert findings(verified, check=5)["key_mismatch"][0]["subjects"] == ["key:a"]


def test_keys_never_verified_are_a_finding(vault: Asked) -> None:
    every = ["key:a", "key:b", "key:c"]
    assert findings(vault, check=5)["keys_unproved"][0]["subjects"] == every
    vault("vault", "verify", "v", "--emulated", "b", "--pin-stdin", stdin=PIN)
    assert findings(vault, check=5)["keys_unproved"][0]["subjects"] == ["key:a", "key:c"]


def test_two_cards_with_one_key(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    for label, seed in (("a", "ab" * 32), ("b", "cd" * 32), ("b2", "cd" * 32)):
        asked("emulate", "new", "satochip", label, "--no-setup")
        words = ("card", "setup", label, "--emulated", label, "--seed", "--pin-stdin")
        asked(*words, stdin=f"{label}=2468\n{label}.puk=12345678\n{label}.seed={seed}\n")
        asked("location", "add", f"at-{label}")
        record(asked, label, "placed", "--at", f"at-{label}")
    asked("vault", "create", "v", "--threshold", "2", "--card", "a", "--card", "b")
    found = findings(asked, check=5)
    assert found["one_key_several_carriers"][0]["subjects"] == ["card:b", "card:b2"]
    assert [f["subjects"] for f in found["location_loss_fatal"]] == [["location:at-a"]]
    record(asked, "b2", "moved", "--at", "at-b")
    assert [f["subjects"] for f in findings(asked, check=5)["location_loss_fatal"]] == [
        ["location:at-a"],
        ["location:at-b"],
    ]


def test_a_card_with_nothing_to_prove_itself(verified: Asked, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "home" / "cardquorum.db") as database:
        database.execute("UPDATE card SET attestation = 'unproven' WHERE label = 'b'")
    database.close()
    assert findings(verified)["attestation_unproven"][0]["subjects"] == ["card:b"]
    verified("card", "check", "b", "--pin-stdin", stdin=PIN)
    assert findings(verified) == {}


def test_the_remedies_are_commands_that_work(vault: Asked) -> None:
    vault("card", "forget", "b", "--yes")
    vault("card", "enrol", "b", "--emulated", "b", "--pin-stdin", stdin=PIN)
    found = findings(vault, check=5)
    for code, words in (("place_unknown", ["--at", "at-b"]), ("keys_unproved", [])):
        command = found[code][0]["remedy"].partition("cardquorum ")[2].split()
        arguments = [word for word in command if word not in {"--at", "LOCATION"}] + words
        stdin = "".join(f"{label}={PIN}\n" for label in "abc")
        offered = ["--pin-stdin"] if code == "keys_unproved" else []
        vault(*arguments, *offered, stdin=stdin if offered else "")
    assert findings(vault) == {}


def test_what_if_a_place_burns_or_is_broken_into(verified: Asked, program: Program) -> None:
    def asked(*words: str) -> tuple[bool, bool, bool, bool]:
        found = verified("audit", "v", *words)
        names = ("can_spend", "can_read", "thief_can_spend", "thief_has_copy")
        return tuple(found[name] for name in names)  # type: ignore[return-value]  # two names

    assert asked() == (True, True, False, False)
    assert asked("--lose", "at-a") == (True, True, False, False)
    assert asked("--lose", "at-a", "--lose", "card:b") == (False, True, False, False)
    assert asked("--steal", "card:a", "--steal", "card:b") == (False, True, True, False)
    assert asked("--steal", "at-a", "--steal", "location:at-b") == (False, True, True, True)
    assert asked("--lose", "family:tapsigner") == (True, True, False, False)
    papers = [word for label in "abc" for word in ("--lose", f"paper-{label}")]
    assert asked(*papers) == (False, False, False, False)
    said = program("audit", "v", "--lose", "at-a", "--steal", "card:b").out
    assert "without location:at-a:\nwith card:b stolen:\n  you can NOT spend any more" in said
    assert "the thief cannot spend" in said


def test_what_if_names_what_there_is(verified: Asked) -> None:
    verified("audit", "v", "--lose", "nowhere", check=2)
    verified("location", "add", "a", "--region", "lyon")
    both = verified("audit", "v", "--lose", "a", check=2)["error"]
    assert both["candidates"] == ["card:a", "location:a"]
    assert verified("audit", "v", "--lose", "location:a")["lost"] == ["location:a"]
    assert verified("audit", "v", "--lose", "lyon")["lost"] == ["region:lyon"]


def test_the_smallest_losses_and_thefts_of_each_kind(verified: Asked, program: Program) -> None:
    found = verified("audit", "v")
    pairs = [["location:at-a", "location:at-b"], ["location:at-a", "location:at-c"]]
    for name in ("minimal_losses", "minimal_thefts"):
        by_place = found[name]["location"]
        assert (by_place["count"], by_place["smallest"], by_place["complete"]) == (3, 2, True)
        assert all(pair in by_place["sets"] for pair in pairs)
        assert found[name]["region"]["count"] == 0
        assert found[name]["card"]["count"] == 3
    assert found["minimal_losses"]["vendor"]["count"] == 3
    said = program("audit", "v").out
    assert "location  2: at-" in said


def test_limits_of_holders_and_regions_are_findings(verified: Asked) -> None:
    verified("sync")
    verified("holder", "add", "aunt", "--limit", "1000")
    for place in ("x", "y"):
        verified("location", "add", place, "--region", "lyon", "--holder", "aunt")
    record(verified, "a", "moved", "--at", "x")
    found = findings(verified)
    assert found["holder_above_limit"][0]["subjects"] == ["holder:aunt"]
    assert "3000000 sat" in found["holder_above_limit"][0]["message"]
    assert found["copy_missing"][0]["subjects"] == ["location:x"]
    record(verified, "b", "moved", "--at", "y")
    found = findings(verified)
    assert found["holder_can_spend"][0]["subjects"] == ["holder:aunt"]
    assert found["region_loss_fatal"][0]["subjects"] == ["region:lyon"]
    assert found["holder_loss_fatal"][0]["severity"] == "warning"


def test_what_is_hot_is_held_against_the_rule(verified: Asked) -> None:
    verified("sync")
    words = ("audit", "v", "--fail-on", "warning", "--hot")
    verified(*words, "300000")
    found = verified(*words, "400000", check=5)["findings"][0]
    assert (found["code"], found["subjects"]) == ("hot_share", ["vault:v"])
    assert "11.8 %" in found["message"]
    verified(*words, "400000", "--hot-percent", "12")


def test_missing_copies_and_copies_together_are_findings(verified: Asked) -> None:
    for label in "ab":
        verified("custody", "record", f"copy:paper-{label}", "destroyed")
    found = findings(verified)
    assert found["copies_together"][0]["subjects"] == ["location:at-c"]
    assert {f["subjects"][0] for f in found["copy_missing"]} == {"location:at-a", "location:at-b"}
    verified("custody", "record", "copy:paper-c", "lost")
    assert findings(verified, check=5).keys() == {"no_copy"}
    assert verified("audit", "v", check=5)["can_spend"] is True
    verified("copy", "add", "v", "here")
    assert findings(verified, check=5)["place_unknown"][0]["subjects"] == ["copy:here"]
