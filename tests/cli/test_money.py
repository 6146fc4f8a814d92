"""Money on the embedded chain, to the satoshi."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator import clock
from coordinator.chain.regtest import RegtestChain
from psbt.network import Network
from psbt.policy import addresses, parse_descriptor
from tests.program import PIN, UNPROVED, Asked

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
OTHER = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6"
WORTH = 3_000_000


def pay(vault: Asked, *words: str, check: int = 0) -> dict[str, Any]:
    return vault("spend", "create", "v", "--feerate", "2.5", *words, check=check)


def sign(vault: Asked, ceremony: str, *cards: str, check: int = 0) -> dict[str, Any]:
    words = [word for card in cards for word in ("--emulated", card)]
    pins = "".join(f"{card}={PIN}\n" for card in cards)
    return vault("spend", "sign", ceremony, *words, "--yes", "--pin-stdin", stdin=pins, check=check)


def sent(vault: Asked, *words: str) -> dict[str, Any]:
    ceremony = pay(vault, *words)["ceremony"]
    sign(vault, ceremony, "a", "b")
    final = vault("spend", "finalize", ceremony)
    vault("spend", "broadcast", ceremony)
    return final


def address(vault: Asked, index: int, keychain: int = 0) -> str:
    policy = parse_descriptor(vault("vault", "show", "v")["descriptor"], Network.REGTEST)
    return next(addresses(policy, keychain, [index]))


def chain(tmp_path: Path) -> RegtestChain:
    return RegtestChain(tmp_path / "home" / "chain")


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    moment = datetime.now(UTC) + timedelta(days=days)
    monkeypatch.setattr(clock, "now", lambda: moment)


def test_fee_and_change_to_the_satoshi(vault: Asked) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")["review"]
    assert made["fee_sats"] == -(-made["vsize"] * 2_500 // 1_000)
    outputs = {output["kind"]: output for output in made["outputs"]}
    assert outputs["payment"]["address"] == STRANGER
    assert outputs["payment"]["value_sats"] == 400_000
    assert outputs["change"]["address"] == address(vault, 0, keychain=1)
    spent = sum(each["value_sats"] for each in made["inputs"])
    assert spent == 400_000 + outputs["change"]["value_sats"] + made["fee_sats"]
    assert made["warnings"] == []


def test_the_signed_transaction_is_no_larger_than_reviewed(vault: Asked) -> None:
    made = pay(vault, "--to", f"{STRANGER}:1500000")
    sign(vault, made["ceremony"], "b", "c")
    final = vault("spend", "finalize", made["ceremony"])
    assert final["fee_sats"] == made["review"]["fee_sats"]
    assert made["review"]["vsize"] - 2 <= final["vsize"] <= made["review"]["vsize"]


def test_a_drain_leaves_nothing(vault: Asked) -> None:
    made = pay(vault, "--drain", STRANGER)["review"]
    assert len(made["inputs"]) == 3
    assert [output["value_sats"] for output in made["outputs"]] == [WORTH - made["fee_sats"]]
    assert [each["code"] for each in made["warnings"]] == ["spends_all"]


def test_a_drain_beside_payments_takes_what_is_left(vault: Asked) -> None:
    words = ("--to", f"{STRANGER}:100000", "--to", f"{OTHER}:200000")
    final = sent(vault, *words, "--drain", address(vault, 5))
    vault("regtest", "mine")
    owned = vault("balance", "v")
    assert owned["confirmed_sats"] == WORTH - 300_000 - final["fee_sats"]
    assert [coin["index"] for coin in vault("coins", "v")["coins"]] == [5]


def test_a_named_coin_is_spent_and_drained_alone(vault: Asked) -> None:
    coins = [coin["outpoint"] for coin in vault("coins", "v")["coins"]]
    made = pay(vault, "--drain", STRANGER, "--coin", coins[1])["review"]
    assert [spent["outpoint"] for spent in made["inputs"]] == [coins[1]]
    more = pay(vault, "--to", f"{STRANGER}:1000", "--coin", coins[0], "--coin", coins[2])
    assert {spent["outpoint"] for spent in more["review"]["inputs"]} == {coins[0], coins[2]}
    held = {coin["outpoint"]: coin["reserved_by"] for coin in vault("coins", "v")["coins"]}
    assert held[coins[0]] == held[coins[2]] == more["ceremony"] != held[coins[1]]
    assert vault("balance", "v")["reserved_sats"] == WORTH


def test_a_dry_run_issues_no_change_address(vault: Asked) -> None:
    first = pay(vault, "--to", f"{STRANGER}:1000", "--dry-run")
    assert (first["ceremony"], first["state"], first["expires"]) == (None, "dry_run", None)
    assert all(a["keychain"] == "receive" for a in vault("address", "list", "v")["addresses"])
    second = pay(vault, "--to", f"{STRANGER}:1000")
    third = pay(vault, "--to", f"{STRANGER}:1000")
    changes = [
        output["address"]
        for made in (first, second, third)
        for output in made["review"]["outputs"]
        if output["kind"] == "change"
    ]
    assert changes == [address(vault, index, keychain=1) for index in (0, 0, 1)]


def test_waiting_coins_are_the_last_resort(vault: Asked) -> None:
    vault("regtest", "fund", vault("address", "new", "v")["address"], "5000000")
    assert vault("balance", "v")["pending_sats"] == 5_000_000
    made = pay(vault, "--to", f"{STRANGER}:2900000")["review"]
    assert {spent["value_sats"] for spent in made["inputs"]} == {1_000_000}
    drained = pay(vault, "--drain", STRANGER)["review"]
    assert drained["outputs"][0]["value_sats"] > 4_000_000
    assert [each["code"] for each in drained["warnings"]] == ["unconfirmed_input"]


def test_a_newly_mined_coin_waits_for_a_hundred_blocks(vault: Asked) -> None:
    vault("regtest", "mine", "--to", vault("address", "new", "v")["address"])
    owned = vault("balance", "v")
    reward = owned["immature_sats"]
    assert reward > 0
    assert (owned["confirmed_sats"], owned["pending_sats"]) == (WORTH, 0)
    mined = next(coin["outpoint"] for coin in vault("coins", "v")["coins"] if coin["coinbase"])
    words = ("--drain", STRANGER, "--coin", mined)
    refused = pay(vault, *words, check=2)["error"]
    ripe = vault("sync")["height"] + 100
    assert refused["code"] == "usage_error"
    assert f"it can be spent from block {ripe} on, 99 blocks after" in refused["message"]
    vault("regtest", "mine", "98")
    assert vault("balance", "v")["immature_sats"] == reward
    vault("regtest", "mine")
    assert vault("balance", "v")["confirmed_sats"] == WORTH + reward
    final = sent(vault, *words)
    vault("regtest", "mine")
    assert vault("balance", "v")["confirmed_sats"] == WORTH
    assert final["fee_sats"] > 0
    again = pay(vault, *words, check=2)["error"]["message"]
    assert again == f"coin {mined} is spent: transaction {final['txid']} is in block {ripe}"
    unknown = pay(vault, "--drain", STRANGER, "--coin", "ab" * 32 + ":0", check=2)["error"]
    assert "was never seen" in unknown["message"]


def test_a_reorganisation_takes_the_confirmation_back(vault: Asked, tmp_path: Path) -> None:
    final = sent(vault, "--to", f"{STRANGER}:400000")
    height = vault("regtest", "mine")["height"]
    left = WORTH - 400_000 - final["fee_sats"]
    assert vault("spend", "show", final["ceremony"])["state"] == "confirmed"
    chain(tmp_path).reorganise(height - 1)
    assert vault("spend", "show", final["ceremony"])["state"] == "broadcast"
    owned = vault("balance", "v")
    assert (owned["confirmed_sats"], owned["pending_sats"]) == (2_000_000, left - 2_000_000)
    assert vault("history", "v")["transactions"][0]["height"] is None
    vault("regtest", "mine")
    assert vault("balance", "v")["confirmed_sats"] == left
    assert vault("spend", "show", final["ceremony"])["state"] == "confirmed"


def test_a_payment_to_oneself_is_told_and_costs_the_fee(vault: Asked) -> None:
    words = ("--to", f"{address(vault, 3)}:500000")
    made = pay(vault, *words, "--dry-run")["review"]
    assert "own_address" in [each["code"] for each in made["warnings"]]
    assert sorted(output["kind"] for output in made["outputs"]) == ["change", "payment"]
    final = sent(vault, *words)
    vault("regtest", "mine")
    assert vault("balance", "v")["confirmed_sats"] == WORTH - final["fee_sats"]
    assert vault("address", "new", "v")["index"] == 4


def test_two_ceremonies_never_hold_one_coin(vault: Asked) -> None:
    coins = vault("coins", "v")["coins"]
    first = pay(vault, "--to", f"{STRANGER}:1000", "--coin", coins[0]["outpoint"])
    again = ("--to", f"{STRANGER}:1000", "--coin", coins[0]["outpoint"])
    error = pay(vault, *again, check=5)["error"]
    assert (error["code"], error["ceremony"]) == ("coin_reserved", first["ceremony"])
    assert error["outpoint"] == coins[0]["outpoint"]
    pay(vault, "--drain", STRANGER)
    left = pay(vault, "--to", f"{STRANGER}:1000", check=5)["error"]
    assert (left["code"], left["have_sats"]) == ("insufficient_funds", 0)


def test_expiry_frees_the_coins_and_keeps_the_signatures(
    vault: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pay(vault, "--drain", STRANGER, "--expires", "2")
    sign(vault, made["ceremony"], "a")
    later(monkeypatch, 2.1)
    assert vault("balance", "v")["reserved_sats"] == 0
    seen = vault("spend", "show", made["ceremony"])
    assert (seen["state"], seen["have"], seen["signed_by"]) == ("collecting", 1, ["a"])
    done = sign(vault, made["ceremony"], "b")
    assert (done["complete"], vault("balance", "v")["reserved_sats"]) == (True, WORTH)
    assert done["expires"] > made["expires"]
    later(monkeypatch, 4)
    assert vault("balance", "v")["reserved_sats"] == WORTH
    later(monkeypatch, 4.2)
    assert vault("balance", "v")["reserved_sats"] == 0
    vault("spend", "finalize", made["ceremony"])
    assert vault("balance", "v")["reserved_sats"] == WORTH
    vault("spend", "broadcast", made["ceremony"])


def test_after_expiry_another_ceremony_may_have_the_coins(
    vault: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = pay(vault, "--drain", STRANGER, "--expires", "1")["ceremony"]
    sign(vault, first, "a")
    (tmp_path / "file").write_text(vault("spend", "export", first)["psbt"])
    later(monkeypatch, 1.1)
    second = pay(vault, "--drain", OTHER)["ceremony"]
    for words in (("sign", "--yes"), ("finalize",), ("add", str(tmp_path / "file"))):
        verb, *rest = words
        error = vault("spend", verb, first, *rest, check=5)["error"]
        assert (error["code"], error["ceremony"]) == ("coin_reserved", second)
    assert vault("spend", "show", first)["have"] == 1
    vault("spend", "abandon", second)
    assert sign(vault, first, "c")["complete"]


def test_coins_spent_elsewhere_end_the_ceremony(vault: Asked) -> None:
    first = pay(vault, "--drain", STRANGER)["ceremony"]
    sign(vault, first, "a")
    vault("spend", "abandon", first)
    other = sent(vault, "--drain", OTHER)
    vault("regtest", "mine")
    assert vault("balance", "v")["confirmed_sats"] == 0
    assert vault("spend", "show", first)["state"] == "abandoned"
    assert vault("history", "v")["transactions"][0]["ceremony"] == other["ceremony"]


def test_coins_spent_by_another_program_while_collecting(
    vault: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pay(vault, "--drain", STRANGER, "--expires", "1")["ceremony"]
    later(monkeypatch, 1.1)
    elsewhere = pay(vault, "--drain", OTHER)["ceremony"]
    sign(vault, elsewhere, "a", "b")
    raw = vault("spend", "finalize", elsewhere)["hex"]
    vault("spend", "abandon", elsewhere)
    sign(vault, made, "a")
    chain(tmp_path).broadcast(bytes.fromhex(raw))
    error = sign(vault, made, "b", check=5)["error"]
    assert "is spent or gone" in error["message"]
    vault("regtest", "mine")
    assert vault("spend", "show", made)["state"] == "replaced"
    for verb in ("sign", "finalize", "broadcast", "export", "abandon"):
        assert vault("spend", verb, made, check=5)["error"]["message"].endswith(
            ("is replaced", "nothing is left to sign")
        )
    assert vault("balance", "v")["reserved_sats"] == 0


def test_abandoning_warns_where_signatures_are_about(vault: Asked, tmp_path: Path) -> None:
    first = pay(vault, "--to", f"{STRANGER}:100000")["ceremony"]
    assert vault("spend", "abandon", first)["warning"] is None
    second = pay(vault, "--to", f"{STRANGER}:100000")["ceremony"]
    vault("spend", "export", second)
    assert "only spending its coins" in vault("spend", "abandon", second)["warning"]
    third = pay(vault, "--to", f"{STRANGER}:100000")["ceremony"]
    sign(vault, third, "a")
    assert "only spending its coins" in vault("spend", "abandon", third)["warning"]
    assert vault("balance", "v")["reserved_sats"] == 0
    assert vault("spend", "abandon", third, check=5)["error"]["code"] == "ceremony_error"
    (tmp_path / "file").write_text(vault("spend", "show", third)["psbt"])
    for words in (("sign", "--yes"), ("add", str(tmp_path / "file")), ("export",)):
        verb, *rest = words
        error = vault("spend", verb, third, *rest, check=5)["error"]
        assert error["code"] == "nothing_to_sign"


def test_what_is_done_twice_is_done_once(vault: Asked) -> None:
    ceremony = pay(vault, "--to", f"{STRANGER}:100000")["ceremony"]
    sign(vault, ceremony, "a", "b")
    error = vault("spend", "broadcast", ceremony.upper(), check=6)["error"]
    assert error["code"] == "not_final"
    assert ceremony in error["message"]  # as it is stored, whatever was typed
    first = vault("spend", "finalize", ceremony)
    assert vault("spend", "finalize", ceremony) == first
    assert sign(vault, ceremony, "c", check=5)["error"]["code"] == "nothing_to_sign"
    once = vault("spend", "broadcast", ceremony)
    assert once == {"ceremony": ceremony, "txid": first["txid"], "state": "broadcast"}
    assert vault("spend", "broadcast", ceremony) == once
    vault("regtest", "mine")
    assert vault("spend", "show", ceremony)["state"] == "confirmed"
    assert vault("spend", "broadcast", ceremony) == {**once, "state": "confirmed"}
    assert vault("spend", "finalize", ceremony, check=5)["error"]["code"] == "ceremony_error"
    assert vault("spend", "abandon", ceremony, check=5)["error"]["code"] == "ceremony_error"


def test_coins_far_beyond_the_addresses_issued_are_found(vault: Asked) -> None:
    vault("regtest", "fund", address(vault, 60), "70000")
    vault("regtest", "fund", address(vault, 155), "80000")
    vault("regtest", "fund", address(vault, 99, keychain=1), "90000")
    vault("regtest", "mine")
    assert vault("balance", "v")["confirmed_sats"] == WORTH + 70_000 + 80_000 + 90_000
    assert vault("address", "check", address(vault, 160))["index"] == 160
    assert vault("address", "new", "v")["index"] == 156


def test_an_address_that_was_paid_is_never_new(vault: Asked) -> None:
    vault("regtest", "fund", address(vault, 1), "70000")
    assert vault("address", "new", "v")["index"] == 2


def test_two_vaults_with_a_key_in_common(vault: Asked) -> None:
    vault("vault", "create", "w", "--threshold", "1", "--card", "a", "--card", "b")
    vault("regtest", "fund", vault("address", "new", "w", *UNPROVED)["address"], "600000")
    vault("regtest", "mine")
    owned = vault("balance")
    assert owned["confirmed_sats"] == WORTH + 600_000
    assert {each["vault"]: each["confirmed_sats"] for each in owned["vaults"]} == {
        "v": WORTH,
        "w": 600_000,
    }
    to_v = f"{address(vault, 7)}:100000"
    made = vault("spend", "create", "w", "--to", to_v, "--feerate", "2")
    assert sign(vault, made["ceremony"], "a")["complete"]
    vault("spend", "finalize", made["ceremony"])
    vault("spend", "broadcast", made["ceremony"])
    vault("regtest", "mine")
    assert vault("balance", "v")["confirmed_sats"] == WORTH + 100_000
    left = 500_000 - made["review"]["fee_sats"]
    assert vault("balance", "w")["confirmed_sats"] == left
    changes = {name: vault("history", name)["transactions"][0]["change_sats"] for name in "vw"}
    assert changes == {"v": 100_000, "w": left - 600_000}


def test_a_retired_vault_is_not_paid_but_can_be_emptied(vault: Asked) -> None:
    vault("vault", "retire", "v")
    assert "retired" in vault("address", "new", "v", check=5)["error"]["message"]
    sent(vault, "--drain", STRANGER)
    assert vault("balance", "v")["confirmed_sats"] == 0


def test_an_unknown_ceremony_is_not_found(vault: Asked) -> None:
    for verb in ("show", "sign", "export", "finalize", "broadcast", "abandon"):
        error = vault("spend", verb, "nonesuch", check=2)["error"]
        assert (error["code"], error["kind"]) == ("not_found", "ceremony")
    for words in (("balance", "x"), ("coins", "x"), ("history", "x"), ("sync", "x")):
        assert vault(*words, check=2)["error"]["kind"] == "vault"
    for verb in ("new", "list"):
        assert vault("address", verb, "x", check=2)["error"]["kind"] == "vault"


def test_a_waiting_coin_is_left_even_where_it_fits_best(vault: Asked) -> None:
    vault("regtest", "fund", vault("address", "new", "v")["address"], "500000")
    made = pay(vault, "--to", f"{STRANGER}:499600")["review"]
    assert [spent["value_sats"] for spent in made["inputs"]] == [1_000_000]
    vault("regtest", "mine")
    exact = pay(vault, "--to", f"{STRANGER}:499600")["review"]
    assert [spent["value_sats"] for spent in exact["inputs"]] == [500_000]
    assert exact["fee_sats"] == 400


def test_a_coin_of_a_block_that_is_no_more_is_gone(vault: Asked, tmp_path: Path) -> None:
    height = vault("regtest", "mine", "--to", vault("address", "new", "v")["address"])["height"]
    assert vault("balance", "v")["immature_sats"] > 0
    chain(tmp_path).reorganise(height - 1)
    assert vault("balance", "v")["immature_sats"] == 0
    assert [coin["coinbase"] for coin in vault("coins", "v")["coins"]] == [False] * 3


def test_a_final_transaction_is_not_sent_once_it_is_given_up_or_replaced(
    vault: Asked, tmp_path: Path
) -> None:
    finals = []
    for address_ in (STRANGER, OTHER):
        ceremony = pay(vault, "--drain", address_)["ceremony"]
        sign(vault, ceremony, "a", "b")
        finals.append(vault("spend", "finalize", ceremony))
        vault("spend", "abandon", ceremony)
        assert vault("spend", "broadcast", ceremony, check=5)["error"]["code"] == "ceremony_error"
    third = pay(vault, "--drain", OTHER)["ceremony"]
    sign(vault, third, "b", "c")
    vault("spend", "finalize", third)
    chain(tmp_path).broadcast(bytes.fromhex(finals[0]["hex"]))
    vault("regtest", "mine")
    assert vault("spend", "show", third)["state"] == "replaced"
    assert "is replaced" in vault("spend", "broadcast", third, check=5)["error"]["message"]
    assert vault("spend", "show", finals[0]["ceremony"])["state"] == "confirmed"
