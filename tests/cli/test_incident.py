"""A card is lost, stolen, found or destroyed; a bag is found open: what is said at once."""

from typing import Any

import pytest

from tests.program import PIN, Asked, Program

WEEK = 7 * 24


def codes(asked: Asked) -> dict[str, dict]:
    found = asked("audit", "v", "--fail-on", "none")["findings"]
    return {finding["code"]: finding for finding in found}


def is_tried(step: dict[str, Any]) -> bool:
    """Tell whether a step is to have a card at hand, and to try it."""
    return str(step["command"]).startswith("cardquorum card check ")


def test_a_lost_card_leaves_a_quorum_and_says_where_to_look(vault: Asked, program: Program) -> None:
    left = vault("card", "lost", "a", "--note", "not in its drawer")
    assert (left["card"], left["event"]["note"]) == ("a", "not in its drawer")
    assert (left["effect"]["can_spend"], left["effect"]["thief_can_spend"]) == (True, False)
    assert left["effect"]["resists"]["card:a"]["attempts"] == 5
    [of_v] = left["effect"]["vaults"]
    assert (of_v["keys_left"], of_v["keys_taken"], of_v["threshold"]) == (2, 1, 2)
    commands = [step["command"] for step in left["steps"]]
    assert commands[0] == "cardquorum custody record card:a found --at LOCATION"
    assert "cardquorum replace plan v --card a" in commands
    assert "at-a on " in left["steps"][0]["what"]
    fetched = [step["what"] for step in left["steps"] if is_tried(step)]
    assert "cardquorum card check b --pin" in commands
    assert fetched == [
        "have card:b at hand from at-b, and try it",
        "have card:c at hand from at-c, and try it",
    ]
    assert max(step["within_hours"] for step in left["steps"]) == WEEK
    said = program("card", "lost", "b").out
    assert "vault v can NOT be spent any more: 1 key left, 2 are needed" in said
    assert "a thief CAN spend vault v: he may have 2 keys" in said
    assert "1. now: " in said


@pytest.mark.parametrize("event", ["lost", "stolen", "destroyed"])
def test_a_card_of_software_that_is_gone_lies_nowhere(vault: Asked, event: str) -> None:
    """Only by its name, or its PIN, is it offered: found again, or tried by who has it."""
    vault("card", event, "a")
    pins = {label: f"{label}={PIN}\n" for label in "abc"}
    spent = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    words = ("spend", "create", "v", "--feerate", "2", "--accept", "quorum_stolen")
    ceremony = vault(*words, "--to", f"{spent}:100000")["ceremony"]
    signing = ("spend", "sign", ceremony, "--yes", "--pin-stdin")
    asked_for = vault(*signing, stdin="", check=None)["cards"]
    assert {each["label"] for each in asked_for} == {"b", "c"}
    signed = vault(*signing, stdin=pins["a"] + pins["b"])
    assert (signed["complete"], signed["signed_by"]) == (True, ["a", "b"])


def test_a_stolen_quorum_has_its_coins_moved_first(vault: Asked) -> None:
    vault("card", "stolen", "a")
    left = vault("card", "stolen", "b")
    assert left["effect"]["thief_can_spend"] is True
    first = left["steps"][0]
    assert first["within_hours"] == 0
    assert first["command"] == "cardquorum spend create v --drain ADDRESS --target 1"


def test_stolen_cards_cannot_spend_without_their_pins(vault: Asked) -> None:
    for label in "ab":
        vault(
            "secret", "add", f"{label}-pin", "--of", label, "--kind", "pin", "--written-at", "at-c"
        )
        left = vault("card", "stolen", label)
    assert left["effect"]["thief_can_spend"] is False
    assert left["effect"]["vaults"][0]["keys_taken"] == 2
    words = ("audit", "v", "--fail-on", "none")
    assert vault(*words, "--steal", "at-b")["thief_can_spend"] is False
    assert vault(*words, "--steal", "at-c")["thief_can_spend"] is True


def test_a_pin_written_beside_a_stolen_card_is_to_be_changed(vault: Asked) -> None:
    vault("secret", "add", "b-pin", "--of", "b", "--kind", "pin", "--written-at", "at-a")
    steps = vault("card", "stolen", "a")["steps"]
    assert steps[0]["command"] == "cardquorum card pin b"
    assert "written at at-a" in steps[0]["what"]


def test_what_is_far_away_is_fetched_last_and_told_ahead(vault: Asked) -> None:
    vault("location", "add", "far", "--lead-hours", "400")
    vault("custody", "record", "card:b", "moved", "--at", "far")
    fetched = [s for s in vault("card", "destroyed", "a")["steps"] if is_tried(s)]
    assert [step["what"] for step in fetched] == [
        "have card:c at hand from at-c, and try it",
        "have card:b at hand from far, to be told 400 hours ahead, and try it",
    ]
    left = vault("card", "stolen", "a")
    assert [s["within_hours"] for s in left["steps"] if is_tried(s)] == [24, 400]


def test_a_destroyed_card_cannot_be_stolen(vault: Asked) -> None:
    left = vault("card", "destroyed", "a")
    assert left["effect"]["vaults"][0]["keys_taken"] == 0
    assert left["effect"]["resists"] == {}
    assert not any("look for" in step["what"] for step in left["steps"])


def test_a_found_card_is_looked_at_before_it_is_trusted(vault: Asked) -> None:
    vault("card", "lost", "a")
    left = vault("card", "found", "a")
    assert left["effect"]["vaults"][0]["keys_left"] == 3
    assert left["steps"][0]["command"] == "cardquorum card check a --pin"
    stdin = f"a={PIN}\n"
    words = ("card", "check", "a", "--pin", "--emulated", "a", "--pin-stdin")
    assert vault(*words, stdin=stdin)["key_matches"] is True


def test_a_card_of_no_vault_has_no_steps(vault: Asked) -> None:
    vault("emulate", "new", "satochip", "d")
    vault("card", "enrol", "d", "--emulated", "d", "--pin-stdin", stdin=PIN)
    left = vault("card", "lost", "d")
    assert (left["effect"]["vaults"], left["steps"]) == ([], [])


def test_when_it_happened_can_be_stated(vault: Asked) -> None:
    left = vault("card", "stolen", "a", "--when", "2020-01-02T03:04:05Z")
    assert left["event"]["happened_at"] == "2020-01-02T03:04:05Z"
    vault("card", "stolen", "nobody", check=2)


def seal(asked: Asked, label: str, serial: str) -> None:
    asked("custody", "record", f"card:{label}", "sealed", "--seal", serial)


def test_an_opened_bag_is_an_incident(vault: Asked) -> None:
    seal(vault, "a", "4711")
    seal(vault, "b", "4712")
    assert not {"bag_opened", "bag_mismatch"} & codes(vault).keys()
    left = vault("custody", "record", "bag:4711", "opened", "--by", "the friend")
    assert left["event"]["item"] == "bag:4711"
    assert left["effect"]["thief_can_spend"] is False
    assert left["effect"]["vaults"][0]["keys_taken"] == 1
    assert "cardquorum replace plan v --card a" in [step["command"] for step in left["steps"]]
    assert codes(vault)["bag_opened"]["subjects"] == ["bag:4711", "card:a"]
    assert "open_bags_hold_quorum" not in codes(vault)
    left = vault("custody", "record", "bag:4712", "opened")
    assert left["effect"]["vaults"][0]["keys_taken"] == 2
    assert left["effect"]["thief_can_spend"] is True
    assert codes(vault)["open_bags_hold_quorum"]["subjects"] == ["card:a", "card:b"]
    seal(vault, "a", "4713")
    seal(vault, "b", "4714")
    assert not {"bag_opened", "open_bags_hold_quorum"} & codes(vault).keys()


def test_another_serial_than_the_one_it_was_sealed_in(vault: Asked) -> None:
    seal(vault, "a", "4711")
    vault("custody", "record", "card:a", "seen", "--seal", "4711")
    assert "bag_mismatch" not in codes(vault)
    vault("custody", "record", "card:a", "seen", "--seal", "4771")
    found = codes(vault)["bag_mismatch"]
    assert (found["severity"], found["subjects"]) == ("danger", ["bag:4711", "card:a"])
    vault("custody", "record", "card:a", "corrected", "--seal", "4711")
    assert "bag_mismatch" not in codes(vault)


def test_what_happens_to_a_bag_happens_to_what_is_in_it(vault: Asked) -> None:
    seal(vault, "a", "4711")
    vault("custody", "record", "bag:4711", "moved", "--at", "at-b")
    assert vault("card", "show", "a")["location"] == "at-b"
    left = vault("custody", "record", "bag:4711", "stolen")
    assert left["effect"]["vaults"][0]["keys_left"] == 2
    assert vault("card", "show", "a")["gone"] == "stolen"
    assert vault("custody", "verify")["valid"] is True


@pytest.mark.parametrize("words", [(), ("--seal", "no good serial!")])
def test_a_bag_has_a_serial(vault: Asked, words: tuple[str, ...]) -> None:
    vault("custody", "record", "card:a", "sealed", *words, check=2)


def test_an_opened_bag_is_never_used_again(vault: Asked) -> None:
    seal(vault, "a", "4711")
    seal(vault, "b", "4711")
    vault("custody", "record", "bag:4711", "opened")
    vault("custody", "record", "card:a", "sealed", "--seal", "4711", check=2)


def test_cards_that_sign_were_seen(vault: Asked) -> None:
    to = vault("address", "new", "v")["address"]
    ceremony = vault("spend", "create", "v", "--to", f"{to}:400000")["ceremony"]
    cards = [word for label in "ab" for word in ("--emulated", label)]
    stdin = "".join(f"{label}={PIN}\n" for label in "ab")
    vault("spend", "sign", ceremony, *cards, "--yes", "--pin-stdin", stdin=stdin)
    for label, seen in (("a", 1), ("b", 1), ("c", 0)):
        events = vault("custody", "log", f"card:{label}")["events"]
        notes = [event["note"] for event in events if event["event"] == "seen"]
        assert notes.count(f"signed in ceremony {ceremony}") == seen
