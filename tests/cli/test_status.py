"""The one screen: what is there, what waits for which card and where, and the next command."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.chain import Tip
from coordinator.chain.regtest.node import RegtestChain
from coordinator.cli.status_screen import ago
from coordinator.home.settings import open_home
from coordinator.wallet import sync as wallet_sync
from storage.database import open_database
from storage.encryption import Cost
from storage.vaults import all_vaults
from tests.cli.terminal import at_terminal
from tests.cli.test_money import OTHER, STRANGER, chain, later, pay, sign
from tests.program import UNPROVED, Asked, Program, asking, prove_keys, run_program

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def status(vault: Asked) -> dict[str, Any]:
    return vault("status")


def first(vault: Asked, code: str) -> str | None:
    """Return the command of the first step of this code."""
    return next((s["command"] for s in status(vault)["next"] if s["code"] == code), None)


def only(vault: Asked) -> dict[str, Any]:
    (payment,) = status(vault)["ceremonies"]
    return payment


def test_a_payment_waits_for_cards_at_places_until_it_is_final(vault: Asked) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")
    ceremony = made["ceremony"]
    sign(vault, ceremony, "a")
    found = only(vault)
    assert (found["ceremony"], found["state"], found["have"], found["need"]) == (
        ceremony,
        "collecting",
        1,
        2,
    )
    assert found["waiting_for"] == [
        {"label": label, "words": f"the card labelled {label}, kept at {place}", "place": place}
        for label, place in (("b", "at-b"), ("c", "at-c"))
    ]
    assert (found["expires"], found["expired"]) == (made["expires"], False)
    assert first(vault, "payment") == found["next"] == f"cardquorum spend sign {ceremony}"
    sign(vault, ceremony, "c")
    for verb, then in (("finalize", "broadcast"), ("broadcast", None)):
        found = only(vault)
        assert (found["waiting_for"], found["have"]) == ([], 2)
        assert found["next"] == f"cardquorum spend {verb} {ceremony}"
        vault("spend", verb, ceremony)
        assert first(vault, "payment") == (then and f"cardquorum spend {then} {ceremony}")
    found = only(vault)
    assert (found["height"], found["confirmations"], found["next"]) == (None, 0, None)
    assert found["sent_at"]
    height = vault("regtest", "mine")["height"]
    assert [only(vault)[name] for name in ("height", "confirmations")] == [height, 1]
    vault("regtest", "mine", "4")
    assert (only(vault)["confirmations"], only(vault)["final"]) == (5, False)
    assert not vault("spend", "show", ceremony)["final"]
    vault("regtest", "mine")
    assert status(vault)["ceremonies"] == []
    shown = vault("spend", "show", ceremony)
    assert (shown["confirmations"], shown["final"], shown["height"]) == (6, True, height)
    assert vault("spend", "list")["ceremonies"][0]["final"]


def test_what_is_nearest_to_its_end_comes_first(vault: Asked) -> None:
    soon = pay(vault, "--to", f"{STRANGER}:100000", "--expires", "3")["ceremony"]
    late = pay(vault, "--to", f"{STRANGER}:100000", "--expires", "20")["ceremony"]
    assert first(vault, "payment") == f"cardquorum spend sign {soon}"
    sign(vault, late, "a", "b")
    assert first(vault, "payment") == f"cardquorum spend finalize {late}"
    vault("spend", "finalize", late)
    sign(vault, soon, "a", "b")
    assert first(vault, "payment") == f"cardquorum spend broadcast {late}"


def test_a_card_that_is_gone_and_a_key_held_elsewhere_are_told(
    vault: Asked, tmp_path: Path
) -> None:
    pay(vault, "--to", f"{STRANGER}:100000")
    vault("card", "lost", "b")
    b = next(each for each in only(vault)["waiting_for"] if each["label"] == "b")
    assert b == {"label": "b", "words": "the key b: its card b is recorded as lost", "place": None}
    text = vault("vault", "export", "v")["text"]
    elsewhere = asking(tmp_path / "elsewhere")
    elsewhere("init", "--network", "regtest")
    checksum = vault("vault", "show", "v")["checksum"]
    elsewhere("vault", "import", "-", "--name", "v", "--checksum", checksum, stdin=text)
    address = elsewhere("address", "new", "v", *UNPROVED)["address"]
    elsewhere("regtest", "fund", address, "100000")
    elsewhere("regtest", "mine")
    elsewhere("spend", "create", "v", "--to", f"{STRANGER}:10000", "--feerate", "2")
    wanted = only(elsewhere)["waiting_for"]
    assert len(wanted) == 3
    assert {each["place"] for each in wanted} == {None}
    assert all("which no card here carries" in each["words"] for each in wanted)


def test_coins_that_are_free_again_are_told(
    vault: Asked, monkeypatch: pytest.MonkeyPatch, program: Program
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:100000", "--expires", "1")
    held = f"its coins are held until {made['expires']}"
    assert held in program("status").out
    later(monkeypatch, 1.01)
    assert only(vault)["expired"]
    shown = program("status").out
    assert held not in shown
    assert "its coins are free for other payments again" in shown


def test_a_step_says_why_and_what_it_needs(asked: Asked, program: Program) -> None:
    asked("init", "--network", "signet", "--chain", "none:")
    (step,) = status(asked)["next"]
    assert (step["code"], step["severity"], step["needs"]) == ("card_setup", "info", ["LABEL"])
    assert step["command"] == "cardquorum card setup LABEL --generate"
    lines = program("status").out.splitlines()
    assert lines[-2:] == [f"{step['title']}: {step['why']}", f"next: {step['command']}"]


def test_a_payment_says_whom_to_bring(asked: Asked, program: Program) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "a")
    asked("card", "enrol", "a", "--emulated", "a", "--pin-stdin", stdin="123456")
    asked("vault", "create", "v", "--threshold", "1", "--card", "a")
    asked("regtest", "fund", asked("address", "new", "v", *UNPROVED)["address"], "10000")
    assert status(asked)["vaults"][0]["pending_sats"] == 10_000
    asked("spend", "create", "v", "--drain", STRANGER, "--feerate", "1")
    lines = program("status").out.splitlines()
    assert lines[lines.index("  bring:") + 1] == "    the card labelled a"


def test_a_vault_that_is_no_longer_paid_is_not_where_to_begin(vault: Asked) -> None:
    ceremony = pay(vault, "--drain", STRANGER)["ceremony"]
    sign(vault, ceremony, "a", "b")
    vault("spend", "finalize", ceremony)
    vault("spend", "broadcast", ceremony)
    vault("regtest", "mine", "6")
    assert status(vault)["next"][0]["command"] == "cardquorum vault verify v"
    vault("vault", "retire", "v")
    assert {step["code"] for step in status(vault)["next"]} == {"card_new"}


def test_the_screen_ends_with_the_next_command(vault: Asked, program: Program) -> None:
    prove_keys(vault)
    first = pay(vault, "--to", f"{STRANGER}:100000", "--expires", "2")["ceremony"]
    second = pay(vault, "--to", f"{OTHER}:100000", "--expires", "3")["ceremony"]
    sign(vault, second, "a", "b")
    lines = program("status").out.splitlines()
    assert lines[:3] == [
        "regtest, chain regtest:, block 101",
        "vault v: 3 000 000 sat",
        "  2 000 000 sat of what is there is held for payments below",
    ]
    assert lines[3:5] == [
        f"payment {second} of v: signed, not put together yet",
        f"  ready: cardquorum spend finalize {second}",
    ]
    assert lines[6:12] == [
        f"payment {first} of v: 0 of 2 have signed",
        "  bring 2 of these:",
        "    the card labelled a, kept at at-a",
        "    the card labelled b, kept at at-b",
        "    the card labelled c, kept at at-c",
        f"  then: cardquorum spend sign {first}",
    ]
    assert lines[-1] == f"next: cardquorum spend finalize {second}"


def test_the_screen_says_what_is_not_confirmed_and_since_when(
    vault: Asked, program: Program
) -> None:
    prove_keys(vault)
    vault("regtest", "mine", "--to", vault("address", "new", "v")["address"])
    vault("regtest", "fund", vault("address", "new", "v")["address"], "70000")
    ceremony = pay(vault, "--to", f"{STRANGER}:100000")["ceremony"]
    sign(vault, ceremony, "a", "b")
    assert "finished, not sent yet" not in program("status").out
    vault("spend", "finalize", ceremony)
    assert "finished, not sent yet" in program("status").out
    vault("spend", "broadcast", ceremony)
    shown = program("status").out
    assert f"payment {ceremony} of v: sent just now, in no block yet" in shown
    assert "sat more newly mined, not spendable yet" in shown
    assert "sat more in no block yet" in shown
    assert "next: cardquorum regtest mine" not in shown.splitlines()[-1:]
    assert first(vault, "mine") == "cardquorum regtest mine"
    height = vault("regtest", "mine")["height"]
    assert f"in block {height}, 1 confirmation, final with 6" in program("status").out


def test_a_sealed_home_shows_its_status_with_stand_ins(
    vault: Asked, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cost.__new__, "__defaults__", (1 << 4, 8, 1))
    given = "home.passphrase=the old oak by the pond"
    vault("custody", "seal", "--pin-stdin", stdin=given)
    pay(vault, "--to", f"{STRANGER}:100000")
    assert [each["place"] for each in only(vault)["waiting_for"]] == [
        f"location.{number}" for number in (1, 2, 3)
    ]
    opened = program("--json", "status", "--pin-stdin", stdin=given).document
    assert [each["place"] for each in opened["ceremonies"][0]["waiting_for"]] == [
        "at-a",
        "at-b",
        "at-c",
    ]


def test_a_chain_that_is_not_asked_leaves_the_tip_out(tmp_path: Path) -> None:
    home = tmp_path / "offline"
    run_program(home, "init", "--network", "mainnet", "--chain", "none:")
    assert run_program(home, "status").out.startswith("mainnet, chain none:, block unknown\n")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (7199, "1 hour ago"),
        (7200, "2 hours ago"),
        (86_399, "23 hours ago"),
        (86_400, "1 day ago"),
        (200_000, "2 days ago"),
    ],
)
def test_ages_are_written_in_the_largest_whole_unit(seconds: int, words: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words


def test_at_a_terminal_the_passphrase_is_asked_for_only_where_a_card_is_wanted(
    vault: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cost.__new__, "__defaults__", (1 << 4, 8, 1))
    vault("custody", "seal", "--pin-stdin", stdin="home.passphrase=the old oak by the pond")
    there = tmp_path / "home"
    assert "passphrase" not in at_terminal(there, ["status"], []).screen
    signed = pay(vault, "--to", f"{STRANGER}:100000")["ceremony"]
    sign(vault, signed, "a", "b")
    assert "passphrase" not in at_terminal(there, ["status"], []).screen
    pay(vault, "--to", f"{STRANGER}:100000")
    typed = at_terminal(there, ["status"], [("passphrase of", "the old oak by the pond")])
    assert (typed.status, "kept at at-b" in typed.screen) == (0, True)
    silent = at_terminal(there, ["status"], [("passphrase of", "")])
    assert (silent.status, "kept at location.2" in silent.screen) == (0, True)


def test_the_code_on_the_terminal_is_the_uri(vault: Asked, tmp_path: Path) -> None:
    words = ["address", "new", "v", "--amount", "5000"]
    plain = at_terminal(tmp_path / "home", words[:3], []).screen
    asked_for = at_terminal(tmp_path / "home", words, []).screen
    assert vault("address", "list", "v")["addresses"][2]["address"] in asked_for
    assert asked_for.count("\n") > plain.count("\n"), "a longer text makes a larger code"


def test_the_chain_is_read_for_the_newest_block_only_where_it_has_news(
    vault: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = vault("sync")["tip"]
    database = open_database(open_home(vault.home).database_url, existing=True)
    source = chain(tmp_path)
    mined = source.mine(3)
    with database.begin() as db:
        vaults = all_vaults(db)
        assert wallet_sync.tip(db, source, vaults) == Tip(known["height"] + 3, mined[-1])
        assert wallet_sync.tip(db, source, []) == source.tip()
    vault("sync")
    monkeypatch.setattr(RegtestChain, "tip", unread)
    assert vault("status")["tip"] == {"height": known["height"] + 3, "hash": mined[-1]}


def unread(_chain: RegtestChain) -> Tip:
    raise AssertionError("the chain has no news")
