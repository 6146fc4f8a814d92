"""A vault is looked for from the beginning unless somebody knows better; a sum says from where."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.chain.core import wallet as core_wallet
from coordinator.chain.core.rpc import Node, call
from coordinator.chain.core.scan_note import ScanNote
from coordinator.chain.url import parse_url
from coordinator.errors import ChainError
from coordinator.wallet import scans
from psbt.network import Network
from psbt.policy import (
    Policy,
    checksum,
    format_address,
    format_descriptor,
    vault_script,
)
from tests.contracts.worlds import REAL, World, make
from tests.program import Asked, asking, run_program
from tests.psbt.soft_vault import soft_vault
from tests.sampled import further

SOFT = soft_vault(2, 3)
POLICY = SOFT.policy
TEXT = format_descriptor(POLICY)
STRANGER = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
AMOUNTS = ("confirmed_sats", "pending_sats", "immature_sats", "reserved_sats")
NODES = ("bitcoind", *(source for source in REAL if source == "core"))


@pytest.fixture(params=NODES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with make(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def node(tmp_path: Path) -> Iterator[World]:
    with make("bitcoind", tmp_path) as made:
        yield made


def script(index: int, keychain: int = 0, policy: Policy = POLICY) -> bytes:
    return vault_script(policy, keychain, index).script_pubkey


def address(index: int) -> str:
    return format_address(script(index), Network.REGTEST)


def home_of(world: World, tmp_path: Path, name: str = "heir") -> Asked:
    heir = asking(tmp_path / name)
    heir("init", "--network", "regtest", "--chain", world.url)
    return heir


def recovered(heir: Asked, *words: str, text: str = TEXT) -> dict[str, Any]:
    return heir("recover", "-", "--name", "old", *words, stdin=text)


def rpc(world: World) -> Node:
    url = parse_url(world.url)
    return Node("127.0.0.1", url.port or 0, Path(url.options["cookie"]), 30.0)


def used_in_order(world: World, count: int) -> int:
    """Pay every fifth address up to one, a block each; returns what was paid."""
    paid = 0
    for index in range(0, count + 1, 5):
        world.chain.fund(script(index), 10_000)
        world.chain.mine(1)
        paid += 10_000
    world.settle()
    return paid


def test_old_coins_are_found_without_a_birthday(world: World, tmp_path: Path) -> None:
    world.pay(script(0))
    world.mine(20)
    heir = home_of(world, tmp_path)
    found = recovered(heir)
    assert (found["birthday"], found["birthday_height"], found["looked_from"]) == (None, None, None)
    done = heir("sync")
    tip = world.chain.tip()._asdict()
    assert (done["confirmed_sats"], done["looked_from"], done["tip"]) == (70_000, 0, tip)
    assert heir("balance")["vaults"][0]["looked_from"] == 0
    shown = heir("vault", "show", "old")
    assert (shown["looked_from"], shown["tip"]) == (0, tip)
    lines = run_program(tmp_path / "heir", "balance").out.splitlines()
    assert lines[-1] == f"old: looked from block 0 to block {tip['height']}"


def test_addresses_used_in_order_are_found_up_to_the_last(world: World, tmp_path: Path) -> None:
    paid = used_in_order(world, 105)
    heir = home_of(world, tmp_path)
    recovered(heir)
    done = heir("sync")
    assert done["confirmed_sats"] == paid
    assert done["vaults"][0]["reach"]["receive"] > 105
    (tmp_path / "heir" / "chain").joinpath(f"cardquorum-{TEXT[-8:]}.scanned").unlink()
    assert heir("sync")["confirmed_sats"] == paid


def test_a_rescan_that_was_cut_off_is_none(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.pay(script(0))
    world.mine(20)
    heir = home_of(world, tmp_path)
    recovered(heir)
    real = core_wallet.write_note

    def cut(file: Path, note: ScanNote) -> None:
        real(file, note)
        if note.height >= 40:
            raise ChainError("cut off")

    monkeypatch.setattr(core_wallet, "STEP_BLOCKS", 20)
    with monkeypatch.context() as patched:
        patched.setattr(core_wallet, "write_note", cut)
        assert heir("sync", check=7)["error"]["message"] == "cut off"
    assert heir("balance")["confirmed_sats"] is None
    assert heir("sync")["confirmed_sats"] == 70_000


@pytest.mark.parametrize("synced", [False, True])
def test_a_foreign_wallet_of_our_name_is_not_believed(
    world: World, tmp_path: Path, *, synced: bool
) -> None:
    world.pay(script(0))
    world.mine(3)
    heir, name = home_of(world, tmp_path), f"cardquorum-{TEXT[-8:]}"
    recovered(heir)
    if synced:
        heir("sync")
        call(rpc(world), "unloadwallet", name)
        for file in tmp_path.glob(f"**/wallets/{name}/wallet.dat*"):
            file.unlink()
        for folder in tmp_path.glob(f"**/wallets/{name}"):
            folder.rmdir()
    call(rpc(world), "createwallet", name, True, True, "", False, True, True)
    body = format_descriptor(soft_vault(1, 2).policy).partition("#")[0].replace("<0;1>", "0")
    wanted = {"desc": f"{body}#{checksum(body)}", "active": True, "timestamp": 0, "range": [0, 50]}
    call(rpc(world), "importdescriptors", [wanted], wallet=name)
    done = heir("sync")
    assert (done["confirmed_sats"], done["looked_from"]) == (70_000, 0)
    assert any("not this vault's" in note for note in done["notes"])
    world.pay(script(1))
    world.mine()
    assert heir("sync")["confirmed_sats"] == 140_000


def test_what_nobody_looked_for_is_no_number(node: World, tmp_path: Path) -> None:
    node.pay(script(0))
    node.mine()
    heir, folder = home_of(node, tmp_path), tmp_path / "heir"
    recovered(heir)
    balance = heir("balance")
    for shown in (balance, balance["vaults"][0], heir("status")["vaults"][0]):
        assert [shown[name] for name in AMOUNTS] == [None] * 4
        assert (shown["looked_from"], shown["tip"]) == (None, None)
    listed = heir("address", "list", "old", "--accept", "policy_not_approved")
    assert (listed["addresses"], listed["looked_from"]) == ([], None)
    checked = heir("address", "check", address(0), "--accept", "policy_not_approved")
    assert (checked["ours"], checked["looked"], checked["received_sats"]) == (True, False, None)
    for words in (["balance"], ["status"], ["coins", "old"], ["history", "old"],
                  ["vault", "show", "old"], ["recover", "-", "--name", "old"]):  # fmt: skip
        out = run_program(folder, *words, stdin=TEXT).out
        assert "not looked yet: cardquorum sync old" in out, words
        assert " 0 sat" not in out
    assert "cardquorum sync old" in [step["command"] for step in heir("status")["next"]]


def test_a_sum_over_a_vault_nobody_looked_for_is_unknown(node: World, tmp_path: Path) -> None:
    heir = home_of(node, tmp_path)
    recovered(heir)
    heir("sync")
    heir("recover", "-", "--name", "new", stdin=format_descriptor(soft_vault(1, 2).policy))
    told = heir("balance")
    assert (told["confirmed_sats"], told["looked_from"]) == (None, None)
    assert {each["vault"]: each["confirmed_sats"] for each in told["vaults"]} == {
        "old": 0,
        "new": None,
    }


def spend(heir: Asked, **wanted: int) -> dict[str, Any]:
    words = ("--to", f"{STRANGER}:10000", "--feerate", "2", "--accept", "policy_not_approved")
    return heir("spend", "create", "old", *words, "--accept", "keys_unproved", "--accept",
                "no_copy", **wanted)  # fmt: skip


def test_a_payment_looks_first_where_that_takes_a_moment(node: World, tmp_path: Path) -> None:
    node.pay(script(0))
    node.mine()
    heir = home_of(node, tmp_path)
    recovered(heir)
    assert spend(heir)["ceremony"]


def test_a_payment_says_to_look_first_where_that_takes_long(
    node: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heir = home_of(node, tmp_path)
    recovered(heir)
    monkeypatch.setattr(scans, "CHEAP_BLOCKS", 10)
    error = spend(heir, check=6)["error"]
    assert (error["code"], error["hint"]) == ("not_looked", "run: cardquorum sync old")


def test_what_takes_hours_is_said_before(
    node: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heir = home_of(node, tmp_path)
    recovered(heir)
    monkeypatch.setattr(scans, "LONG_BLOCKS", 10)
    said = run_program(tmp_path / "heir", "sync").err
    assert "101 blocks, from 0 on" in said
    assert "cardquorum vault birthday old DATE" in said
    assert "birthday" not in run_program(tmp_path / "heir", "sync").err


@pytest.mark.parametrize("birthday", ["2099-01-01", "9999-12-31", "500"])
def test_a_birthday_to_come_is_refused(node: World, tmp_path: Path, birthday: str) -> None:
    heir = home_of(node, tmp_path)
    recovered(heir)
    heir("sync")
    other = format_descriptor(soft_vault(1, 2).policy)
    heir("recover", "-", "--name", "b", "--birthday", birthday, stdin=other, check=2)
    heir("vault", "import", "-", "--name", "b", "--birthday", birthday, stdin=other, check=2)
    heir("vault", "birthday", "old", birthday, check=2)
    heir("sync", "--rescan", birthday, check=2)
    key = {"birthday": birthday} if "-" in birthday else {"birthday_height": int(birthday)}
    document = json.dumps({"descriptor": other, **key})
    heir("vault", "import", "-", "--name", "b", stdin=document, check=2)
    heir("vault", "import", "-", "--name", "b", "--birthday", "7", stdin=document)


def test_a_birthday_the_chain_has_not_reached_is_said(node: World, tmp_path: Path) -> None:
    heir = home_of(node, tmp_path)
    recovered(heir, "--birthday", "500")
    error = heir("sync", check=7)["error"]
    assert "birthday, block 500" in error["message"]
    heir("vault", "birthday", "old", "0")
    heir("sync")


def test_the_file_tells_the_birthday(node: World, tmp_path: Path) -> None:
    heir = home_of(node, tmp_path)
    body = TEXT.partition("#")[0] + "?bh=60&gl=20&xy=1"
    assert recovered(heir, text=f"{body}#{checksum(body)}")["birthday_height"] == 60
    assert heir("sync")["looked_from"] == 60
    exported = heir("vault", "export", "old", "--format", "json")["text"]
    other = home_of(node, tmp_path, "other")
    assert recovered(other, text=exported)["birthday_height"] == 60


@pytest.mark.parametrize("annotation", ["bh=", "bh=-1", "bh=x", "bh=1234567890", "bh=1e3"])
def test_an_annotation_that_is_no_height_is_refused(
    node: World, tmp_path: Path, annotation: str
) -> None:
    body = TEXT.partition("#")[0] + f"?{annotation}"
    heir = home_of(node, tmp_path)
    heir("recover", "-", "--name", "old", stdin=f"{body}#{checksum(body)}", check=5)


@pytest.mark.parametrize("value", [True, -1, 1.5, "x", [], {}, 2**40])
def test_a_birthday_in_json_that_is_none_is_refused(
    node: World, tmp_path: Path, value: object
) -> None:
    heir = home_of(node, tmp_path)
    document = json.dumps({"descriptor": TEXT, "birthday_height": value})
    heir("vault", "import", "-", "--name", "old", stdin=document, check=2)


def test_a_birthday_mended_is_looked_for_from_there(node: World, tmp_path: Path) -> None:
    node.pay(script(0))
    node.mine(60)
    heir = home_of(node, tmp_path)
    recovered(heir, "--birthday", "150")
    assert heir("sync")["looked_from"] == 150
    mended = heir("vault", "birthday", "old", "50")
    assert (mended["birthday_height"], mended["looked_from"]) == (50, 150)
    done = heir("sync")
    assert (done["confirmed_sats"], done["looked_from"]) == (70_000, 50)


def test_a_rescan_begins_where_it_is_asked_to(node: World, tmp_path: Path) -> None:
    node.pay(script(0))
    node.mine(60)
    heir = home_of(node, tmp_path)
    recovered(heir, "--birthday", "150")
    heir("sync")
    done = heir("sync", "old", "--rescan", "90")
    assert (done["confirmed_sats"], done["looked_from"]) == (70_000, 90)
    assert heir("sync")["looked_from"] == 90


@pytest.mark.parametrize("name", ["old", "another"])
def test_the_same_policy_again_is_an_update(node: World, tmp_path: Path, name: str) -> None:
    node.pay(script(0))
    node.mine(60)
    heir = home_of(node, tmp_path)
    recovered(heir, "--birthday", "150")
    heir("sync")
    turned = format_descriptor(Policy(2, POLICY.keys[::-1], Network.REGTEST))
    for text, words, widened in (
        (TEXT, (), False),
        (turned, ("--birthday", "151"), False),
        (turned, ("--birthday", "10"), True),
    ):
        again = heir("vault", "import", "-", "--name", name, *words, stdin=text)
        assert (again["name"], again["known"], again["widened"]) == ("old", True, widened)
    said = run_program(tmp_path / "heir", "recover", "-", "--name", name, stdin=TEXT).out
    assert said.startswith("this policy is vault old of this home already")
    assert [each["name"] for each in heir("vault", "list")["vaults"]] == ["old"]
    assert heir("sync")["confirmed_sats"] == 70_000


def test_another_policy_under_a_name_that_is_taken_is_refused(node: World, tmp_path: Path) -> None:
    heir = home_of(node, tmp_path)
    recovered(heir)
    other = format_descriptor(soft_vault(1, 2).policy)
    heir("vault", "import", "-", "--name", "old", stdin=other, check=2)


def test_a_restored_home_looks_again(node: World, tmp_path: Path) -> None:
    node.pay(script(0))
    node.mine()
    heir = home_of(node, tmp_path)
    recovered(heir)
    heir("sync")
    heir("backup", "--out", str(tmp_path / "copy"))
    node.pay(script(1))
    node.mine()
    again = asking(tmp_path / "again")
    again("restore", str(tmp_path / "copy"))
    assert again("balance")["confirmed_sats"] == 70_000
    done = again("sync")
    assert (done["confirmed_sats"], done["looked_from"]) == (140_000, 0)


def test_a_pruned_node_is_scanned_from_what_it_has(node: World, tmp_path: Path) -> None:
    assert node.daemon is not None
    node.daemon.pruned_below = 50
    node.pay(script(0))
    node.mine()
    heir = home_of(node, tmp_path)
    recovered(heir)
    done = heir("sync")
    assert (done["confirmed_sats"], done["looked_from"], done["earlier_unknown"]) == (
        70_000, 50, True,
    )  # fmt: skip
    said = run_program(tmp_path / "heir", "balance").out
    assert "looked from block 50" in said
    assert "earlier coins unknown" in said
    assert "earlier coins unknown" in run_program(tmp_path / "heir", "status").out


@pytest.mark.parametrize("source", further("regtest", "bitcoind", "esplora", "p2p"))
def test_an_address_far_out_is_found_when_it_is_looked_for(source: str, tmp_path: Path) -> None:
    with make(source, tmp_path) as world:
        heir = asking(tmp_path if source == "regtest" else tmp_path / "heir")
        if source == "regtest":
            heir = asking(tmp_path / "heir")
            heir("init", "--network", "regtest")
            heir("recover", "-", "--name", "old", stdin=TEXT)
            heir("regtest", "fund", address(250), "70000")
            heir("regtest", "mine", "1")
        else:
            heir = home_of(world, tmp_path)
            recovered(heir)
            world.pay(script(250))
            world.mine()
        accept = ("--accept", "policy_not_approved")
        # A node and filters look a thousand addresses farther by themselves.
        before = heir("sync")["confirmed_sats"]
        assert before == (70_000 if source in {"bitcoind", "p2p"} else 0)
        told = heir("address", "check", address(250), *accept, check=None)
        assert told["ours"] or told["compared"] < 250
        found = heir("address", "check", address(250), "--reach", "251", *accept)
        assert found["index"] == 250
        done = heir("sync", "--reach", "251")
        assert done["confirmed_sats"] == 70_000
        assert done["vaults"][0]["reach"]["receive"] >= 251
        assert heir("address", "check", address(250), *accept)["received_sats"] == 70_000


def test_a_reach_beyond_reason_is_refused(vault: Asked) -> None:
    vault("sync", "--reach", "10001", check=2)
    vault("address", "check", address(0), "--reach", "-1", check=2)


def test_a_home_without_a_chain_says_that_files_told_it(vault: Asked, tmp_path: Path) -> None:
    vault("coin", "export", "v", str(tmp_path / "coins"))
    offline = asking(tmp_path / "offline")
    offline("init", "--network", "regtest", "--chain", "none:")
    text = vault("vault", "export", "v")["text"]
    offline("vault", "import", "-", "--name", "v", stdin=text)
    assert offline("balance")["confirmed_sats"] is None
    said = run_program(tmp_path / "offline", "balance").out
    assert "not looked yet: cardquorum coin import v FILE" in said
    offline("coin", "import", "v", str(tmp_path / "coins"))
    told = offline("balance")
    assert (told["confirmed_sats"], told["looked_from"]) == (3_000_000, None)
    assert "as files told it" in run_program(tmp_path / "offline", "balance").out


def test_a_vault_of_keys_made_here_is_no_older_than_they_are(tmp_path: Path) -> None:
    home = asking(tmp_path / "home")
    home("init", "--network", "regtest")
    for label in "ab":
        home("emulate", "new", "satochip", label, "--no-setup")
        words = ("card", "setup", label, "--generate", "--emulated", label, "--pin-stdin")
        home(*words, "--words-out", str(tmp_path / f"{label}.words"), stdin=f"{label}=123456\n")
    made = home("vault", "create", "v", "--threshold", "2", "--card", "a", "--card", "b")
    assert made["birthday"] is not None
    assert made["birthday"] <= made["created_at"]


def test_a_vault_of_cards_that_came_with_their_keys_may_be_older(vault: Asked) -> None:
    made = vault("vault", "create", "w", "--threshold", "1", "--card", "a", "--card", "b")
    assert (made["birthday"], made["birthday_height"]) == (None, None)


def test_a_chain_without_its_password_is_refused_when_the_home_is_made(tmp_path: Path) -> None:
    words = ("init", "--network", "regtest", "--chain", "bitcoind+http://127.0.0.1:18443")
    error = asking(tmp_path / "home")(*words, check=2)["error"]
    assert "names no password" in error["message"]
    assert ".cookie" in error["hint"]
    assert not (tmp_path / "home").exists()
