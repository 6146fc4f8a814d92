"""Who says so: operators known by keys that people compared, and what they signed held to it."""

from pathlib import Path
from typing import Any

from tests.cli.family import Family, in_files, introduce, pay
from tests.program import PIN, UNPROVED, Asked, asking, run_program
from tests.servers.postgresql import Engines
from tests.web.browser import Client
from tests.web.conftest import serving


def opener(operator: Asked, ceremony: str) -> dict[str, Any]:
    found: dict[str, Any] = operator("spend", "show", ceremony)["operator"]
    return found


def said(operator: Asked, *words: str, check: int | None = 0) -> str:
    return run_program(operator.home, *words, check=check).out


def test_who_opened_a_payment_is_told_wherever_it_is_shown(family: Family) -> None:
    for each in (family.anna, family.ben):
        assert opener(each, family.hers)["name"] == "anna"
        assert opener(each, family.his)["name"] == "ben"
        listed = {c["id"]: c["operator"]["name"] for c in each("spend", "list")["ceremonies"]}
        assert listed == {family.hers: "anna", family.his: "ben", family.given_up: "anna"}
        waiting = {c["id"]: c["operator"] for c in each("status")["ceremonies"]}
        assert waiting[family.hers]["state"] == "approved"
        assert "opened by anna" in said(each, "status")
        assert "opened by: ben" in said(each, "spend", "show", family.his)


def test_who_recorded_an_event_is_told_since_the_database_is_shared(family: Family) -> None:
    log = family.anna("custody", "log")["events"]
    assert (log[0]["operator"]["name"], log[0]["operator"]["state"]) == (None, "none")
    assert (log[-1]["operator"]["name"], log[-1]["operator"]["state"]) == ("ben", "approved")
    assert said(family.anna, "custody", "log").splitlines()[-1].endswith("ben")


def test_a_key_that_only_a_row_names_counts_for_nothing(family: Family) -> None:
    anna, ben = family.anna, family.ben
    ben("operator", "remove", "anna")
    found = opener(ben, family.hers)
    assert (found["name"], found["state"]) == ("anna", "unknown")
    assert found["fingerprint"] == anna("operator", "show")["operator"]["fingerprint"]
    assert "not approved here, who is called anna" in said(ben, "spend", "show", family.hers)
    listed = {each["name"]: each["state"] for each in ben("operator", "list")["operators"]}
    assert listed == {"ben": "own", "anna": "unknown"}
    assert ben("custody", "verify")["signed"]["unknown"] == [found["fingerprint"]]
    refused = ben("spend", "sign", family.hers, "--emulated", "b", "--yes", check=5)["error"]
    assert "opened by somebody not approved here" in refused["message"]


def test_who_made_and_who_approved_a_vault_is_told_with_it(family: Family) -> None:
    anna, ben = family.anna, family.ben
    shown = anna("vault", "show", "v")
    assert shown["operator"]["state"] == "none"
    assert [each["name"] for each in shown["approved_by"]] == ["ben"]
    told = said(anna, "vault", "show", "v")
    assert "made by: nobody who is known here" in told
    assert "approved by: ben" in told
    cards = ("--card", "a", "--card", "b")
    anna("vault", "create", "w", "--threshold", "1", *cards, "--accept", "same_seed")
    made = ben("vault", "show", "w")
    assert (made["operator"]["name"], made["operator"]["state"]) == ("anna", "approved")
    assert made["approved_by"] == []
    ben("operator", "remove", "anna")
    assert ben("vault", "show", "w")["operator"]["state"] == "unknown"
    assert "made by: somebody not approved here, who is called anna" in said(
        ben, "vault", "show", "w"
    )
    for _ in range(2):
        ben("vault", "approve", "w", "--checksum", made["checksum"])
    assert [each["name"] for each in anna("vault", "show", "w")["approved_by"]] == ["ben"]
    assert anna("custody", "verify")["valid"]


def test_a_name_is_this_homes_own(family: Family) -> None:
    ben, key = family.ben, family.anna("operator", "show")["operator"]["key"]
    ben("operator", "approve", "my-sister", "--key", key)
    assert opener(ben, family.hers)["name"] == "my-sister"
    assert opener(family.anna, family.hers)["name"] == "anna"


def test_a_key_is_approved_by_the_fingerprint_that_was_told(family: Family) -> None:
    ben, told = family.ben, family.anna("operator", "show")["operator"]["fingerprint"]
    ben("operator", "remove", "anna")
    ben("operator", "approve", "anna", "--fingerprint", told.upper().replace(" ", "-"))
    assert opener(ben, family.hers)["state"] == "approved"
    other = "0" + told[1:] if told[0] != "0" else "1" + told[1:]
    assert ben("operator", "approve", "eve", "--fingerprint", other, check=2)["error"]
    for wrong in (("--key", "ab"), ("--fingerprint", "ab"), ()):
        assert ben("operator", "approve", "eve", *wrong, check=2)["error"]["code"] == "usage_error"
    own = ben("operator", "show")["operator"]["key"]
    assert "own key" in ben("operator", "approve", "eve", "--key", own, check=2)["error"]["message"]
    assert ben("operator", "remove", "eve", check=2)["error"]["code"] == "not_found"


def test_what_an_approved_operator_proposes_is_still_reviewed_here(family: Family) -> None:
    ben, signing = family.ben, ("spend", "sign", family.hers, "--emulated", "b", "--yes")
    assert ben(*signing, check=5)["error"]["code"] == "not_accepted"
    txid = family.anna("spend", "show", family.hers)["txid"]
    ended = run_program(ben.home, *signing, "--txid", txid, "--pin-stdin", stdin=PIN)
    assert f"payment {family.hers} was opened by anna" in ended.err
    assert family.anna("spend", "show", family.hers)["complete"]
    assert family.anna("custody", "verify")["valid"]


def test_every_statement_holds_and_is_counted(family: Family) -> None:
    for each in (family.anna, family.ben):
        found = each("custody", "verify")
        assert found["valid"]
        counted = found["signed"].pop("statements")
        assert found["signed"] == {"unknown": [], "fault": None, "altered": []}
        assert counted == sum(o["statements"] for o in each("operator", "list")["operators"])


def test_a_home_alone_signs_nothing_and_says_nothing_of_operators(vault: Asked) -> None:
    ceremony = pay(vault, 150_000)
    assert opener(vault, ceremony)["state"] == "none"
    for words in (("spend", "show", ceremony), ("spend", "list"), ("status",), ("custody", "log")):
        assert "opened by" not in said(vault, *words)
        assert "operator" not in said(vault, *words).replace("cardquorum operator", "")
    verified = vault("custody", "verify")
    assert "signed" not in verified
    (own,) = vault("operator", "list")["operators"]
    assert own["state"] == "own"


def test_a_copy_in_a_file_goes_on_signing(family: Family, tmp_path: Path) -> None:
    anna, ben = in_files(family, tmp_path)
    assert opener(ben, family.hers)["name"] == "anna"
    before = anna("custody", "verify")["signed"]["statements"]
    anna("custody", "record", "card:a", "seen")
    assert anna("custody", "log")["events"][-1]["operator"]["name"] == "anna"
    assert anna("custody", "verify")["signed"]["statements"] == before + 1


def test_a_new_computer_of_the_same_operator_is_approved_beside_the_old(
    family: Family, on_server: Engines, tmp_path: Path
) -> None:
    url = on_server.server.url(family.database).render_as_string(hide_password=False)
    laptop = asking(tmp_path / "laptop")
    laptop("init", "--network", "regtest", "--database", url)
    laptop("operator", "name", "anna")
    introduce(family.ben, laptop, "anna")
    laptop("custody", "record", "card:a", "seen")
    last = family.ben("custody", "log")["events"][-1]["operator"]
    assert (last["name"], last["state"]) == ("anna", "approved")
    assert opener(family.ben, family.hers)["state"] == "approved"
    assert len(family.ben("operator", "remove", "anna")["operators"]) == 2


def test_an_operators_name_is_kept_with_the_settings(vault: Asked) -> None:
    vault("operator", "name", "anna")
    assert vault("operator", "show")["operator"]["name"] == "anna"
    assert vault("operator", "name", "not a name", check=2)["error"]["code"] == "usage_error"
    settings = vault.home / "settings.toml"
    settings.write_text(settings.read_text().replace('"anna"', '"an na"'))
    assert "calls the operator" in vault("status", check=2)["error"]["message"]


def test_a_vault_and_its_seal_are_signed(family: Family) -> None:
    anna = family.anna
    cards = ("--card", "a", "--card", "b")
    anna("vault", "create", "w", "--threshold", "1", *cards, "--accept", "same_seed")
    assert family.ben("custody", "verify")["valid"]
    anna("address", "new", "v", *UNPROVED)


def test_the_page_tells_by_name_who_did_what(family: Family) -> None:
    family.anna("custody", "record", "card:a", "seen")
    with serving(family.ben.home) as running:
        client = Client(running)
        client.enter()
        for path, told in (
            ("/pay", "Opened by anna."),
            (f"/pay/{family.hers}", "Opened by anna."),
            (f"/pay/{family.his}", "Opened by ben."),
            ("/places", "Written down by anna."),
            ("/vaults/v", "Compared with the paper by ben."),
        ):
            assert told in client.get(path).text
    family.ben("operator", "remove", "anna")
    with serving(family.ben.home) as running:
        client = Client(running)
        client.enter()
        told = "Opened by somebody not approved here, who is called anna."
        assert told in client.get(f"/pay/{family.hers}").text


def test_a_home_that_takes_nothing_lists_operators_and_makes_no_key(tmp_path: Path) -> None:
    home = asking(tmp_path / "home")
    home("init", "--network", "regtest")
    assert home("operator", "list")["operators"] == []
    assert not (home.home / "approval.key").exists()
