"""What the chain takes back is noticed at sync, shown, and remembered."""

from pathlib import Path
from typing import Any

import pytest

from tests.altered import unguarded
from tests.cli.test_money import OTHER, STRANGER, WORTH, chain, later, sent, sign
from tests.program import Asked, Program


def messages(vault: Asked) -> list[str]:
    return [each["message"] for each in vault("status")["news"]]


def forget_what_waits(tmp_path: Path) -> None:
    (tmp_path / "home" / "chain" / "mempool.dat").unlink()


def test_a_payment_whose_block_is_no_more_waits_again(
    vault: Asked, tmp_path: Path, program: Program
) -> None:
    final = sent(vault, "--to", f"{STRANGER}:400000")
    height = vault("regtest", "mine")["height"]
    assert vault("sync")["news"] == []
    chain(tmp_path).reorganise(height - 1)
    (told,) = vault("sync")["news"]
    sentence = f"{final['txid']} was confirmed in block {height}, now it waits again"
    assert (told["code"], told["txid"], told["vault"], told["message"]) == (
        "unconfirmed",
        final["txid"],
        "v",
        sentence,
    )
    assert vault("sync")["news"] == []
    assert messages(vault) == [sentence]
    assert "cardquorum history v" in [step["command"] for step in vault("status")["next"]]
    assert vault("history", "v")["transactions"][0]["news"] == sentence
    assert vault("history", "v")["vanished"] == []
    for words in (("history", "v"), ("status",)):
        assert sentence in program(*words).out
    vault("regtest", "mine")
    assert messages(vault) == []
    assert vault("history", "v")["transactions"][0]["news"] is None


def test_a_payment_that_moved_to_another_block_is_no_news(vault: Asked, tmp_path: Path) -> None:
    sent(vault, "--to", f"{STRANGER}:400000")
    height = vault("regtest", "mine")["height"]
    vault("sync")
    chain(tmp_path).reorganise(height - 1)
    chain(tmp_path).mine(1)
    assert vault("sync")["news"] == []
    assert vault("history", "v")["transactions"][0]["height"] == height + 2


def test_a_payment_that_vanished_can_be_sent_again(
    vault: Asked, tmp_path: Path, program: Program
) -> None:
    final = sent(vault, "--to", f"{STRANGER}:400000")
    vault("sync")
    forget_what_waits(tmp_path)
    (told,) = vault("sync")["news"]
    assert (told["code"], told["replaced_by"]) == ("vanished", None)
    assert (
        told["message"] == f"{final['txid']} vanished: it is no longer in the mempool or the chain"
    )
    shown = vault("history", "v")
    assert [each["txid"] for each in shown["vanished"]] == [final["txid"]]
    assert [each["balance_sats"] for each in shown["transactions"]] == [WORTH]
    again = f"cardquorum spend broadcast {final['ceremony']}"
    assert again in [step["command"] for step in vault("status")["next"]]
    assert "but gone: send it again" in program("status").out
    vault("spend", "broadcast", final["ceremony"])
    assert (messages(vault), vault("history", "v")["vanished"]) == ([], [])
    assert "in no block yet" in program("status").out


def test_a_receipt_that_vanished_with_its_block_is_told(vault: Asked, tmp_path: Path) -> None:
    address = vault("address", "new", "v")["address"]
    height = vault("regtest", "mine", "--to", address)["height"]
    vault("sync")
    chain(tmp_path).reorganise(height - 1)
    (told,) = vault("sync")["news"]
    assert told["code"] == "vanished"
    assert f"was confirmed in block {height}, then vanished" in told["message"]
    line = next(a for a in vault("address", "list", "v")["addresses"] if a["address"] == address)
    assert (line["used"], line["payments"], line["held_sats"]) == (True, 0, 0)


@pytest.fixture
def rivals(vault: Asked, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Two payments of the same coins, both final, the second with the higher fee."""
    finals = []
    for payee, rate in ((STRANGER, "2"), (OTHER, "20")):
        ceremony = vault(
            "spend", "create", "v", "--drain", payee, "--feerate", rate, "--expires", "1"
        )["ceremony"]
        sign(vault, ceremony, "a", "b")
        finals.append(vault("spend", "finalize", ceremony))
        later(monkeypatch, 1.1 * len(finals))
    return finals


def test_a_payment_we_replaced_ourselves_is_no_alarm(
    vault: Asked, rivals: list[dict[str, Any]], program: Program
) -> None:
    first, second = rivals
    vault("spend", "broadcast", first["ceremony"])
    vault("sync")
    vault("spend", "broadcast", second["ceremony"])
    (told,) = vault("sync")["news"]
    assert (told["code"], told["replaced_by"], told["own"]) == ("replaced", second["txid"], True)
    assert told["message"].endswith(
        f"vanished: replaced by {second['txid']}, your payment {second['ceremony']}"
    )
    assert messages(vault) == []
    found = vault("history", "v")
    (line, _), (gone,) = found["transactions"], found["vanished"]
    assert (line["kind"], line["replaces"], line["txid"]) == (
        "bumped",
        first["txid"],
        second["txid"],
    )
    assert gone["txid"] == first["txid"]
    assert "note: " in program("history", "v").out
    vault("regtest", "mine")
    assert vault("spend", "show", first["ceremony"])["state"] == "replaced"
    assert messages(vault) == []


def test_a_payment_never_sent_that_another_of_ours_replaced_is_no_news(
    vault: Asked, rivals: list[dict[str, Any]]
) -> None:
    first, second = rivals
    vault("spend", "broadcast", second["ceremony"])
    vault("regtest", "mine")
    assert vault("sync")["news"] == messages(vault) == []
    assert vault("spend", "show", first["ceremony"])["state"] == "replaced"
    assert vault("history", "v")["transactions"][0]["kind"] == "sent"


def test_coins_that_somebody_else_spent_are_told_until_that_is_final(
    vault: Asked, rivals: list[dict[str, Any]], tmp_path: Path
) -> None:
    first, second = rivals
    with unguarded(tmp_path / "home" / "cardquorum.db") as raw:
        made = raw.execute("SELECT id FROM ceremony WHERE txid = ?", (second["txid"],)).fetchone()
        raw.execute("DELETE FROM signature WHERE ceremony_id = ?", made)
        raw.execute("DELETE FROM reservation WHERE ceremony_id = ?", made)
        raw.execute("DELETE FROM ceremony WHERE id = ?", made)
    raw.close()
    chain(tmp_path).broadcast(bytes.fromhex(second["hex"]))
    assert messages(vault) == []
    vault("regtest", "mine", "5")
    assert messages(vault) == [
        f"{second['txid']}, not made here, spent the coins of payment {first['ceremony']}"
    ]
    vault("regtest", "mine")
    assert messages(vault) == []
