"""What coins are called, and coins that must not be spent."""

import json
from pathlib import Path

import pytest

from tests.program import Asked

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
TXID = "ab" * 32


def coins(asked: Asked) -> dict[str, dict]:
    return {coin["outpoint"]: coin for coin in asked("coins", "v")["coins"]}


def pay(asked: Asked, *words: str, check: int = 0) -> dict:
    found: dict = asked("spend", "create", "v", "--feerate", "2", *words, check=check)
    return found


def test_a_frozen_coin_stays(vault: Asked) -> None:
    first, *others = coins(vault)
    assert vault("coin", "freeze", first) == {"outpoint": first, "frozen": True}
    assert [coin["frozen"] for coin in coins(vault).values()].count(True) == 1
    assert coins(vault)[first]["frozen"]
    drained = pay(vault, "--drain", STRANGER)
    assert {each["outpoint"] for each in drained["review"]["inputs"]} == set(others)
    vault("spend", "abandon", drained["ceremony"])
    refused = pay(vault, "--drain", STRANGER, "--coin", first, check=2)["error"]["message"]
    assert f"cardquorum coin thaw {first}" in refused
    assert pay(vault, "--to", f"{STRANGER}:2500000", check=5)["error"]["code"] == (
        "insufficient_funds"
    )
    vault("coin", "thaw", first)
    assert len(pay(vault, "--drain", STRANGER)["review"]["inputs"]) == 3


def test_what_is_no_coin_is_not_frozen(vault: Asked) -> None:
    vault("coin", "freeze", f"{TXID}:0", check=2)
    vault("coin", "freeze", "x", check=2)
    first = next(iter(coins(vault)))
    vault("coin", "freeze", first.partition(":")[0] + ":99", check=2)


def test_things_are_called_something(vault: Asked) -> None:
    first = next(iter(coins(vault)))
    assert vault("label", "set", first, "the boat")["type"] == "output"
    assert coins(vault)[first]["label"] == "the boat"
    assert vault("label", "set", first.partition(":")[0], "sale")["type"] == "tx"
    assert vault("label", "set", STRANGER, "a stranger")["type"] == "addr"
    xpub = vault("vault", "show", "v")["cosigners"][0]["key"].partition("]")[2]
    assert vault("label", "set", xpub, "the bank's")["type"] == "xpub"
    vault("label", "set", first, "")
    assert coins(vault)[first]["label"] is None
    for wrong in ("x", "xpub6", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", f"{TXID}:01"):
        vault("label", "set", wrong, "y", check=2)
    vault("label", "set", first, "z" * 256, check=2)


def test_labels_go_out_and_come_back(vault: Asked, tmp_path: Path) -> None:
    first, second, _ = coins(vault)
    vault("label", "set", first, "größer")
    vault("coin", "freeze", second)
    file = str(tmp_path / "labels.jsonl")
    assert vault("label", "export", file)["labels"] == 2
    lines = [json.loads(line) for line in Path(file).read_text().splitlines()]
    assert {"type": "output", "ref": first, "label": "größer"} in lines
    assert {"type": "output", "ref": second, "spendable": False} in lines
    vault("label", "set", first, "smaller")
    vault("coin", "thaw", second)
    assert vault("label", "import", file) == {"labels": 2, "changed": 2, "unknown": 0}
    assert vault("label", "import", file)["changed"] == 0
    assert coins(vault)[first]["label"] == "größer"
    assert coins(vault)[second]["frozen"]


def test_a_line_changes_only_what_it_says(vault: Asked) -> None:
    first = next(iter(coins(vault)))
    vault("label", "set", first, "kept")
    frozen = json.dumps({"type": "output", "ref": first, "spendable": False})
    vault("label", "import", "-", stdin=frozen)
    assert (coins(vault)[first]["label"], coins(vault)[first]["frozen"]) == ("kept", True)
    renamed = json.dumps({"type": "output", "ref": first, "label": "new"})
    vault("label", "import", "-", stdin=renamed)
    assert (coins(vault)[first]["label"], coins(vault)[first]["frozen"]) == ("new", True)


@pytest.mark.parametrize(
    "line",
    [
        {"type": "tx", "ref": "short"},
        {"type": "output", "ref": TXID},
        {"type": "input", "ref": f"{TXID}:4294967296"},
        {"type": "pubkey", "ref": "05" * 33},
        {"type": "output", "ref": f"{TXID}:0", "spendable": "false"},
    ],
)
def test_all_of_a_file_is_taken_or_nothing(vault: Asked, line: dict) -> None:
    first = next(iter(coins(vault)))
    good = {"type": "output", "ref": first, "label": "good"}
    vault("label", "import", "-", stdin=f"{json.dumps(good)}\n{json.dumps(line)}\n", check=2)
    assert coins(vault)[first]["label"] is None
