"""What coins are called, and coins that must not be spent."""

import json
from pathlib import Path

import pytest
from sqlalchemy import event

from coordinator.wallet import labels
from storage.database import open_database
from tests.program import Asked, Program

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
TXID = "ab" * 32
START = f'{{"type":"tx","ref":"{TXID}",'


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


def test_a_reference_counts_however_it_is_written(vault: Asked) -> None:
    first, second, third = coins(vault)
    address = coins(vault)[first]["address"]
    for ref in (first.upper(), second.upper()):
        assert vault("label", "set", ref, "the boat")["ref"] == ref.lower()
        assert coins(vault)[ref.lower()]["label"] == "the boat"
    vault("coin", "freeze", third.upper())
    assert coins(vault)[third]["frozen"]
    lines = [
        {"type": "addr", "ref": address.upper(), "label": "tainted"},
        {"type": "output", "ref": third.upper(), "spendable": True},
        {"type": "tx", "ref": first.partition(":")[0].upper(), "label": "tainted, too"},
    ]
    told = vault("label", "import", "-", stdin="\n".join(map(json.dumps, lines)))
    assert told == {"labels": 3, "changed": 3, "unknown": 0}
    assert not coins(vault)[third]["frozen"]
    assert vault("address", "check", address)["label"] == "tainted"
    refused = pay(vault, "--drain", STRANGER, "--avoid-label", "tainted", check=5)
    assert refused["error"]["code"] == "insufficient_funds"
    assert vault("label", "import", "-", stdin="\n".join(map(json.dumps, lines)))["changed"] == 0
    chosen = pay(vault, "--drain", STRANGER, "--coin", first.upper(), "--dry-run")
    assert [each["outpoint"] for each in chosen["review"]["inputs"]] == [first]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r", "😀"])
def test_our_own_export_is_read_whatever_a_label_holds(
    vault: Asked, tmp_path: Path, sign: str
) -> None:
    first = next(iter(coins(vault)))
    vault("label", "set", first, f"one{sign}two")
    file = tmp_path / "labels.jsonl"
    assert vault("label", "export", str(file))["labels"] == 1
    assert len(file.read_text().splitlines()) == 1
    vault("label", "set", first, "other")
    assert vault("label", "import", str(file))["changed"] == 1
    assert coins(vault)[first]["label"] == f"one{sign}two"
    raw = f'{{"type": "output", "ref": "{first}", "label": "two{sign}raw"}}\n{{}}'
    if sign.isprintable() or sign in "\u2028\u2029\x85":
        wrong = vault("label", "import", "-", stdin=raw, check=2)["error"]["message"]
        assert wrong == "line 2 has no type or no ref"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_labels_are_read_in_any_encoding(
    vault: Asked, tmp_path: Path, encoding: str, end: str
) -> None:
    line = json.dumps({"type": "tx", "ref": TXID, "label": "Müller"}, ensure_ascii=False)
    (tmp_path / "labels").write_bytes(f"{line}{end}{line}{end}".encode(encoding))
    assert vault("label", "import", str(tmp_path / "labels"))["labels"] == 2


@pytest.mark.parametrize(
    "line",
    [
        f'{START}"label":{"[" * 100_000}}}',
        f'{START}"label":"{"x" * 70_000}"}}',
        f'{START}"origin":"{"x" * 5000}"}}',
        f'{START}"label":1{"0" * 5000}}}',
        f'{START}"label":NaN}}',
        f'{{"type":"addr","ref":"{"x" * 2000}","label":""}}',
    ],
)
def test_a_line_beyond_all_bounds_is_misuse(vault: Asked, line: str) -> None:
    assert "line 1" in vault("label", "import", "-", stdin=line, check=2)["error"]["message"]


def test_half_a_pair_becomes_the_replacement_character(vault: Asked, tmp_path: Path) -> None:
    first = next(iter(coins(vault)))
    line = f'{{"type":"output","ref":"{first}","label":"x\\ud800"}}'
    vault("label", "import", "-", stdin=line)
    assert coins(vault)[first]["label"] == "x\ufffd"
    assert vault("label", "export", str(tmp_path / "out"))["labels"] == 1


def test_an_import_asks_one_statement_a_line_at_most() -> None:
    counts = []
    for many in (100, 1_000):
        database = open_database("sqlite://")
        asked: list[str] = []
        event.listen(
            database.kw["bind"],
            "before_cursor_execute",
            lambda *told, asked=asked: asked.append(told[2]),
        )
        text = "".join(
            f'{{"type":"tx","ref":"{number:064x}","label":"x"}}\n' for number in range(many)
        )
        with database.begin() as db:
            assert labels.import_text(db, text).changed == many
        counts.append(len(asked))
        database.kw["bind"].dispose()
    assert counts[1] - counts[0] <= 900


def test_a_review_names_whom_the_owner_named(vault: Asked, program: Program) -> None:
    first = ("spend", "create", "v", "--to", f"{STRANGER}:10000", "--feerate", "1")
    assert [o["label"] for o in vault(*first, "--dry-run")["review"]["outputs"]] == [None, None]
    shown = program(*first, "--note", "rent\x1b[2J").out
    assert f'{STRANGER}  "rent\\x1b[2J"' in shown
    made = vault(*first)["review"]["outputs"]
    assert {o["kind"]: o["label"] for o in made} == {"payment": "rent\x1b[2J", "change": None}
    vault("label", "set", STRANGER, "")
    again = vault(*first, "--dry-run")["review"]["outputs"]
    assert [o["label"] for o in again] == [None, None]


def test_a_refused_payment_names_nobody(vault: Asked) -> None:
    too_much = ("spend", "create", "v", "--to", f"{STRANGER}:99000000", "--feerate", "1")
    vault(*too_much, "--note", "rent", check=5)
    made = vault("spend", "create", "v", "--to", f"{STRANGER}:10000", "--feerate", "1")
    assert {output["label"] for output in made["review"]["outputs"]} == {None}
