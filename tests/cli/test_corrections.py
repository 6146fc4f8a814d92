"""What was mistyped is set right, and the book keeps what it said."""

import pytest

from tests.program import Asked


def valid(asked: Asked) -> bool:
    return bool(asked("custody", "verify")["valid"])


def test_a_place_renamed_takes_along_what_lies_there(vault: Asked) -> None:
    vault("secret", "add", "b-pin", "--of", "b", "--kind", "pin", "--written-at", "at-a")
    before = vault("location", "show", "at-a")["items"]
    found = vault("location", "edit", "at-a", "--name", "bank", "--region", "lyon")
    assert (found["name"], found["kind"], found["region"]) == ("bank", "bank-vault", "lyon")
    assert found["items"] == before
    assert "card:a" in before
    assert valid(vault)
    events = vault("custody", "log", "card:a")["events"]
    assert [(e["event"], e["location"]) for e in events] == [
        ("placed", "at-a"),
        ("corrected", "bank"),
    ]
    assert events[0]["corrected_by"] == events[1]["id"]
    assert events[1]["corrected_by"] is None
    assert "at-a" not in {each["name"] for each in vault("location", "list")["locations"]}
    places = {s["label"]: s["written_at"] for s in vault("secret", "list")["secrets"]}
    assert places["b-pin"] == ["bank"]
    vault("location", "show", "at-a", check=2)
    assert vault("location", "add", "at-a", "--kind", "office")["kind"] == "office"
    assert vault("location", "show", "at-a")["items"] == []


def test_a_place_nothing_tells_of_is_renamed_and_removed_without_a_trace(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    asked("location", "add", "bnak")
    asked("location", "add", "home")
    assert asked("location", "edit", "bnak", "--name", "home", check=2)["error"]["code"] == (
        "already_exists"
    )
    assert asked("location", "edit", "bnak", "--name", "bank")["name"] == "bank"
    assert asked("location", "edit", "bank", "--kind", "castle", check=2)["error"]["message"]
    assert asked("location", "remove", "bank")["name"] == "bank"
    assert [each["name"] for each in asked("location", "list")["locations"]] == ["home"]
    assert asked("custody", "log")["events"] == []


def test_a_field_is_taken_away_by_an_empty_text(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    asked("holder", "add", "ann", "--contact", "0123")
    asked("location", "add", "bank", "--region", "lyon", "--holder", "ann", "--access", "key")
    kept = asked("location", "edit", "bank", "--lead-hours", "3")
    assert (kept["region"], kept["holder"], kept["access"], kept["lead_hours"]) == (
        *("lyon", "ann", "key"),
        3,
    )
    bare = asked("location", "edit", "bank", "--region", "", "--holder", "", "--access", "")
    assert (bare["region"], bare["holder"], bare["access"]) == (None, None, None)
    assert asked("holder", "edit", "ann", "--contact", "")["contact"] is None


def test_a_place_in_use_is_not_removed(vault: Asked) -> None:
    refused = vault("location", "remove", "at-a", check=2)["error"]["message"]
    assert "2 things lie at at-a: card:a, copy:paper-a" in refused
    vault("location", "add", "safe")
    vault("secret", "add", "b-pin", "--of", "b", "--kind", "pin", "--written-at", "safe")
    assert (
        "b-pin is written at safe"
        in vault("location", "remove", "safe", check=2)["error"]["message"]
    )
    vault("secret", "edit", "b-pin", "--not-written-at", "safe")
    vault("location", "remove", "safe")


def test_a_person_is_corrected_and_removed_once_nothing_depends_on_them(vault: Asked) -> None:
    vault("holder", "add", "ant", "--limit", "1000")
    vault("holder", "add", "bob")
    vault("location", "edit", "at-a", "--holder", "ant")
    vault("secret", "add", "a-pin", "--of", "a", "--kind", "pin", "--known-by", "ant")
    assert vault("holder", "edit", "ant", "--name", "bob", check=2)["error"]["code"] == (
        "already_exists"
    )
    found = vault("holder", "edit", "ant", "--name", "aunt", "--limit", "2000")
    assert (found["name"], found["limit_sats"], found["locations"]) == ("aunt", 2000, ["at-a"])
    refused = vault("holder", "remove", "aunt", check=2)["error"]["message"]
    assert refused == "aunt can open at-a and knows a-pin: say first who does instead"
    vault("location", "edit", "at-a", "--holder", "")
    vault("secret", "edit", "a-pin", "--not-known-by", "aunt")
    vault("holder", "remove", "aunt")
    assert [each["name"] for each in vault("holder", "list")["holders"]] == ["bob"]


@pytest.mark.parametrize("state", ["placed", "lost", None])
def test_a_carrier_renamed_stays_what_and_where_it_was(vault: Asked, state: str | None) -> None:
    vault("carrier", "add", "card:a", "words", "wrods")
    if state is not None:
        vault(
            "custody",
            "record",
            "words:wrods",
            state,
            *(("--at", "at-b") if state == "placed" else ()),
        )
    before = vault("carrier", "list")["carriers"][0]
    named = vault("carrier", "edit", "words:wrods", "--name", "a-words")["carrier"]
    assert named == "words:a-words"
    (after,) = vault("carrier", "list")["carriers"]
    assert after == {**before, "carrier": named, "label": "a-words"}
    assert valid(vault)
    vault("carrier", "edit", "words:wrods", "--name", "x", check=2)
    assert vault("carrier", "edit", named, "--name", "a-words")["carrier"] == named


def test_a_carrier_noted_by_mistake_is_taken_back(vault: Asked) -> None:
    vault("carrier", "add", "card:a", "plate", "steel")
    vault("custody", "record", "plate:steel", "placed", "--at", "at-b")
    vault("carrier", "remove", "plate:steel")
    assert vault("carrier", "list")["carriers"] == []
    assert "plate:steel" not in vault("location", "show", "at-b")["items"]
    assert valid(vault)
    assert vault("custody", "log")["events"][-1]["event"] == "corrected"
    vault("carrier", "add", "card:b", "plate", "steel")
    assert vault("carrier", "remove", "card:a", check=2)["error"]["code"] == "usage_error"


def test_a_copy_is_renamed_and_removed(vault: Asked) -> None:
    assert vault("copy", "edit", "paper-a", "--name", "kit-a")["copy"] == "copy:kit-a"
    (kept,) = [c for c in vault("copy", "list", "v")["copies"] if c["copy"] == "copy:kit-a"]
    assert (kept["location"], kept["stale"]) == ("at-a", False)
    vault("copy", "remove", "copy:kit-a")
    names = {each["copy"] for each in vault("copy", "list", "v")["copies"]}
    assert names == {"copy:paper-b", "copy:paper-c"}
    assert valid(vault)


def test_a_secret_is_renamed_and_forgotten(vault: Asked) -> None:
    vault("secret", "add", "x", "--of", "a", "--kind", "puk", "--written-at", "at-b")
    vault("secret", "add", "y", "--of", "b", "--kind", "puk")
    assert vault("secret", "edit", "x", "--name", "y", check=2)["error"]["code"] == "already_exists"
    found = vault("secret", "edit", "x", "--name", "a-puk-2")
    assert (found["label"], found["written_at"]) == ("a-puk-2", ["at-b"])
    refused = vault("secret", "edit", "a-puk-2", "--not-written-at", "at-c", check=2)
    assert "not said to be written at at-c" in refused["error"]["message"]
    vault("secret", "remove", "a-puk-2")
    vault("secret", "remove", "a-puk-2", check=2)


def test_sealed_names_are_corrected_with_the_passphrase_only(vault: Asked) -> None:
    secret = "home.passphrase=correct horse\n"
    vault("custody", "seal", "--pin-stdin", stdin=secret)
    for words in (
        ("location", "edit", "location.1", "--name", "bank"),
        ("location", "remove", "location.1"),
        ("holder", "edit", "holder.1", "--name", "x"),
    ):
        assert vault(*words, check=4)["error"]["code"] == "seal_locked"
    found = vault("location", "edit", "at-a", "--name", "bank", "--pin-stdin", stdin=secret)
    assert found["name"] == "bank"
    shown = vault("location", "list", "--pin-stdin", stdin=secret)["locations"]
    assert {"bank"} <= {each["name"] for each in shown}
    assert valid(vault)
