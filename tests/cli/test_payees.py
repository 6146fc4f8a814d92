"""Who is paid: an address with an amount, or the URI a payee sent."""

import json
import re
from pathlib import Path

import pytest

from coordinator.payment import reviews
from coordinator.shown_text import in_both_units
from psbt.errors import AmountContradicted
from tests.program import PIN, Asked, run_program

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def paid(made: dict) -> list[tuple[str, int]]:
    return [
        (out["address"], out["value_sats"])
        for out in made["review"]["outputs"]
        if out["kind"] == "payment"
    ]


@pytest.mark.parametrize(
    "payee",
    [
        f"bitcoin:{STRANGER}?amount=0.001&label=the%20baker",
        f"BITCOIN:{STRANGER.upper()}?AMOUNT=0.001&LABEL=the%20baker",
        f"bitcoin:{STRANGER}:100 000 sat?label=the%20baker",
        f"bitcoin:{STRANGER}:100000?amount=0.001&label=the%20baker",
    ],
)
def test_a_uri_is_a_payee(vault: Asked, tmp_path: Path, payee: str) -> None:
    made = vault("spend", "create", "v", "--to", payee, "--feerate", "2")
    assert paid(made) == [(STRANGER, 100_000)]
    vault("label", "export", str(tmp_path / "labels"))
    [line] = (tmp_path / "labels").read_text().splitlines()
    assert json.loads(line) == {"type": "addr", "ref": STRANGER, "label": "the baker"}


def test_our_own_uri_is_a_payee(vault: Asked) -> None:
    uri = vault("address", "new", "v", "--amount", "0.002 BTC", "--label", "ours")["uri"]
    made = vault("spend", "create", "v", "--to", uri, "--feerate", "2")
    assert sum(out["value_sats"] == 200_000 for out in made["review"]["outputs"]) == 1


IN_SATS, IN_BITCOIN = "100 000 sat (0.001 BTC)", "0.001 BTC (100 000 sat)"


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        (f"{STRANGER}:0.001 BTC", IN_BITCOIN),
        (f"bitcoin:{STRANGER}?amount=0.001", IN_BITCOIN),
        (f"bitcoin:{STRANGER}:100000?amount=0.001", IN_SATS),
        (f"{STRANGER}:100 000 sat", IN_SATS),
        (f"{STRANGER}:100000", IN_SATS),
    ],
)
def test_every_later_look_at_a_payment_shows_the_sum_as_it_was_typed(
    vault: Asked, tmp_path: Path, typed: str, first: str
) -> None:
    home, shown = tmp_path / "home", (first, STRANGER, '"the baker"')
    named = ("--to", typed, "--note", "the baker")
    made = run_program(home, "spend", "create", "v", "--feerate", "2", *named)
    ceremony = re.findall(r"ceremony (\w{8})", made.out)[0]
    signing = ("spend", "sign", ceremony, "--yes", "--pin-stdin", "--emulated")
    looks = [made.out, run_program(home, "spend", "show", ceremony).out]
    looks += [run_program(home, *signing, card, stdin=f"{card}={PIN}\n").err for card in "ab"]
    run_program(home, "spend", "finalize", ceremony)
    run_program(home, "spend", "broadcast", ceremony)
    vault("regtest", "mine")
    looks.append(run_program(home, "spend", "show", ceremony).out)
    for look in looks:
        assert all(part in look for part in shown), look
    assert "warning" not in looks[-1], "what is in a block warns of nothing"
    fee = vault("spend", "show", ceremony)["fee_sats"]
    assert all(in_both_units(fee, "btc" if first == IN_BITCOIN else "sat") in x for x in looks)


def test_amounts_typed_in_both_units_stand_in_satoshis_first(vault: Asked, tmp_path: Path) -> None:
    home, other = tmp_path / "home", vault("address", "new", "v")["address"]
    pay = ("spend", "create", "v", "--feerate", "2", "--dry-run", "--to")
    table = tmp_path / "table.csv"
    for amount, first in (("0.002btc", "0.001 BTC (100 000 sat)"), ("200000", IN_SATS)):
        table.write_text(f"{other},{amount}\n")
        words = (*pay, f"{STRANGER}:0.001btc", "--csv", str(table))
        assert first in run_program(home, *words).out
    assert '"unit"' not in run_program(home, "--json", *words).out


def test_what_replaces_a_payment_keeps_its_unit(vault: Asked, tmp_path: Path) -> None:
    words = ("--to", f"{STRANGER}:0.001btc", "--feerate", "2")
    ceremony = vault("spend", "create", "v", *words)["ceremony"]
    home = tmp_path / "home"
    bumped = run_program(home, "spend", "bump", ceremony, "--feerate", "9").out
    assert IN_BITCOIN in bumped
    assert IN_BITCOIN in run_program(home, "spend", "show", bumped.split()[1]).out
    cancelled = run_program(home, "spend", "cancel", bumped.split()[1], "--feerate", "20").out
    assert re.search(r"0\.0\d+ BTC \(\d", cancelled)


def test_a_payment_whose_coins_contradict_it_is_still_found(
    vault: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("spend", "create", "v", "--to", f"{STRANGER}:100000", "--feerate", "2")
    ceremony = vault(*words)["ceremony"]
    assert vault("spend", "show", ceremony)["fault"] is None

    def contradicted(*_args: object, **_named: object) -> None:
        raise AmountContradicted("the PSBT", "coin:0", 1, known_sats=2)

    monkeypatch.setattr(reviews, "reviewed", contradicted)
    shown = vault("spend", "show", ceremony)
    assert (shown["review"], shown["state"], shown["have"]) == (None, "collecting", 0)
    assert "coin:0" in shown["fault"]
    assert "LOOK TWICE" in run_program(tmp_path / "home", "spend", "show", ceremony).out


@pytest.mark.parametrize(
    ("payee", "told"),
    [
        (f"bitcoin:{STRANGER}", "names no amount"),
        (f"bitcoin:{STRANGER}?label=x", "names no amount"),
        (f"bitcoin:{STRANGER}:5?amount=0.001", "5 sat are typed, the URI asks for 100000 sat"),
        (f"bitcoin:{STRANGER}?amount=0.001:5", "no number of bitcoin"),
        (f"bitcoin:{STRANGER}?amount=0.001&req-x=1", "requires req-x"),
        (f"bitcoin:{STRANGER}?amount=0,001", "no number of bitcoin"),
        ("bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4?amount=1", "mainnet"),
        (f"{STRANGER}:0,1", "because of its comma"),
    ],
)
def test_a_payee_that_is_not_clear_is_refused(vault: Asked, payee: str, told: str) -> None:
    refused = vault("spend", "create", "v", "--to", payee, "--feerate", "2", check=2)
    assert told in refused["error"]["message"]
    assert vault("spend", "list")["ceremonies"] == []


def test_all_that_is_left_may_go_to_a_uri_without_amount(vault: Asked) -> None:
    words = ("spend", "create", "v", "--feerate", "2", "--dry-run", "--drain")
    assert paid(vault(*words, f"BITCOIN:{STRANGER.upper()}"))[0][0] == STRANGER
    refused = vault(*words, f"bitcoin:{STRANGER}?amount=1", check=2)
    assert "no amount is chosen" in refused["error"]["message"]


def test_an_address_is_checked_and_called_however_it_is_written(vault: Asked) -> None:
    address = vault("address", "new", "v")["address"]
    for written in (address.upper(), f"bitcoin:{address}?amount=1", f"BITCOIN:{address.upper()}"):
        vault("label", "set", written, f"called {written[:8]}")
        found = vault("address", "check", written)
        assert (found["ours"], found["label"]) == (True, f"called {written[:8]}")
