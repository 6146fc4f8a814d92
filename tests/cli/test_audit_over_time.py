"""A vault whose later keys can spend after a while: its audit, its dangers, by commands."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_branches import (
    ONE,
    TWO_OF_THREE,
    WAIT,
    create,
    finish,
    fund,
    made_branches,
    sign,
)
from tests.cli.test_money import STRANGER
from tests.program import UNPROVED, Asked, asking

PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def paid_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("over-time") / "home"
    asked = asking(home)
    made_branches(asked)
    create(asked, *TWO_OF_THREE)
    for place, kind in (("bank", "bank-vault"), ("friend", "friend"), ("home", "home")):
        asked("location", "add", place, "--kind", kind)
    for card, place in zip("abc", ("bank", "friend", "home"), strict=True):
        asked("custody", "record", card, "placed", "--at", place)
    for card in "efg":
        asked("location", "add", f"at-{card}")
        asked("custody", "record", card, "placed", "--at", f"at-{card}")
    fund(asked)
    asked("sync")
    return home


@pytest.fixture
def paid(paid_home: Path, tmp_path: Path) -> Asked:
    """A home whose vault w has a coin, and later keys that may spend it ten blocks on."""
    shutil.copytree(paid_home, tmp_path / "home")
    return asking(tmp_path / "home")


def audited(asked: Asked, *words: str) -> dict[str, Any]:
    return asked("audit", "w", "--fail-on", "none", *words)


def codes(found: dict[str, Any]) -> set[str]:
    return {each["code"] for each in found["findings"]}


def test_the_audit_tells_when_the_branch_opens_for_the_coin(paid: Asked) -> None:
    now, later = audited(paid)["timeline"]
    opens = paid("vault", "show", "w")["branches"][1]["opens"]["height"]
    assert later["height"] == opens == now["height"] + WAIT
    assert (now["open"], later["open"]) == (["primary"], ["primary", "recovery"])
    assert later["opens"] == ["recovery"]
    assert later["earliest"] < later["date"] < later["latest"]
    sizes = [each["minimal_losses"]["location"]["smallest"] for each in (now, later)]
    assert sizes == [2, 4]


def test_what_came_since_is_looked_for_where_that_costs_nothing(paid: Asked) -> None:
    create(paid, *ONE, name="new")
    before = paid("audit", "new", "--fail-on", "none")["timeline"][1]
    assert (before["blocks"], before["height"]) == (WAIT, None)
    fund(paid, "new")
    after = paid("audit", "new", "--fail-on", "none")["timeline"]
    assert after[1]["height"] == after[0]["height"] + WAIT


def test_at_a_block_the_audit_is_as_it_will_be(paid: Asked) -> None:
    opens = audited(paid)["timeline"][1]["height"]
    stolen = ("--steal", "location:at-e", "--steal", "location:at-f")
    before = audited(paid, "--at", str(opens - 1), *stolen)
    after = audited(paid, "--at", str(opens), *stolen)
    assert (before["thief_can_spend"], after["thief_can_spend"]) == (False, True)
    assert codes(after) - codes(before) == {"branch_open"}
    assert (before["at"]["height"], after["at"]["height"]) == (opens - 1, opens)
    assert audited(paid)["at"] is None


def test_what_is_past_is_refused(paid: Asked) -> None:
    refused = paid("audit", "w", "--at", "2009-01-03", check=2)
    assert "2009-01-03 is past" in refused["error"]["message"]
    paid("audit", "w", "--at", "1", check=2)
    paid("audit", "w", "--at", "soon", check=2)


def test_an_open_branch_is_a_danger_until_the_coin_moves(paid: Asked) -> None:
    paid("regtest", "mine", str(WAIT - 2))
    paid("sync")
    assert "branch_open" not in codes(audited(paid))
    paid("regtest", "mine", "1")
    paid("sync")
    assert "branch_open" in codes(audited(paid))
    status = paid("status")
    assert status["dangers"][0]["code"] == "branch_open"
    assert status["next"][0]["command"] == "cardquorum spend refresh w --target 1"
    [period] = audited(paid)["timeline"]
    assert period["opens"] == ["recovery"]


def test_an_address_is_given_while_a_branch_is_open_to_older_coins_only(paid: Asked) -> None:
    paid("regtest", "mine", str(WAIT))
    paid("sync")
    assert "branch_open" not in [each["code"] for each in audited(paid)["dangers"]]
    paid("address", "new", "w", *UNPROVED)


def test_a_branch_that_opens_at_a_height_is_open_to_every_coin(paid: Asked) -> None:
    cards = ("--recovery-card", "e", "--recovery-card", "f", "--recovery-threshold", "2")
    create(paid, "--recovery-at", "110", *cards, name="x")
    paid("regtest", "mine", "20")
    paid("sync")
    refused = paid("address", "new", "x", *UNPROVED, check=5)
    assert "branch_open" in refused["error"]["codes"]
    paid("address", "new", "x", *UNPROVED, "--accept", "branch_open")


def test_what_a_lost_later_card_costs_is_told(paid: Asked) -> None:
    paid("card", "lost", "e")
    told = [step["why"] for step in paid("status")["next"]]
    lost_key = "card:e is recorded as lost: the later keys (recovery) are 3, 2 are needed; nobody"
    assert any(why.startswith(lost_key) for why in told)
    assert codes(audited(paid)) >= {"carrier_gone"}
    lost = paid("card", "stolen", "f")
    assert lost["effect"]["thief_can_spend"] is False
    paid("regtest", "mine", str(WAIT))
    paid("sync")
    assert "quorum_stolen" in codes(audited(paid))
    told = paid("card", "stolen", "g")["effect"]["vaults"][0]
    assert (told["thief_can_spend"], told["keys_taken"], told["threshold"]) == (True, 3, 2)


def test_a_lost_quorum_waits_for_the_later_keys(paid: Asked) -> None:
    paid("card", "lost", "a")
    told = paid("card", "lost", "b")["effect"]["vaults"][0]
    assert told["can_spend"] is False
    assert told["waits"].startswith("the later keys (recovery) can, about ")
    [lost] = [each for each in audited(paid)["findings"] if each["code"] == "quorum_lost"]
    assert (
        "cannot be spent until the wait of the later keys (recovery) is over, about "
        in lost["message"]
    )


def test_the_page_shows_what_changes_with_time(paid: Asked, tmp_path: Path) -> None:
    audited(paid, "--html", str(tmp_path / "a.html"))
    page = (tmp_path / "a.html").read_text()
    assert "What changes with time" in page
    assert "keys e, f and g" in page
    paid("vault", "create", "plain", "--threshold", "1", "--card", "a", "--card", "b")
    paid("audit", "plain", "--html", str(tmp_path / "b.html"), "--fail-on", "none")
    assert "What changes with time" not in (tmp_path / "b.html").read_text()


def test_a_sealed_home_tells_the_time_without_places(paid: Asked) -> None:
    open_ = audited(paid)["timeline"][1]
    paid("custody", "seal", "--pin-stdin", stdin=f"home.passphrase={PASSPHRASE}\n")
    sealed = audited(paid)["timeline"][1]
    assert sealed["height"] == open_["height"]
    assert "friend" not in str(sealed["minimal_losses"])


def test_a_home_without_a_chain_counts_from_a_payment(tmp_path: Path) -> None:
    asked = asking(tmp_path / "offline")
    asked("init", "--network", "regtest", "--chain", "none:")
    for label in "abcefg":
        asked("emulate", "new", "satochip", label)
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin="123456")
    create(asked, *TWO_OF_THREE)
    found = audited(asked)
    assert [each["blocks"] for each in found["timeline"]] == [None, WAIT]
    assert any("cardquorum coin import w FILE" in note for note in found["notes"])
    refused = asked("audit", "w", "--at", "2099-01-01", check=2)
    assert "no block is known here" in refused["error"]["message"]


def test_what_is_printed_closes_the_branch_again(paid: Asked) -> None:
    paid("regtest", "mine", str(WAIT))
    paid("sync")
    command = paid("status")["next"][0]["command"].split()
    made = paid(*command[1:])["ceremony"]
    sign(paid, made, "a", "b")
    assert "branch_open" in codes(audited(paid))
    finish(paid, made)
    assert "branch_open" not in codes(audited(paid))
    assert len(audited(paid)["timeline"]) == 2


def test_without_a_quorum_the_open_branch_is_the_way_out(paid: Asked) -> None:
    for card in "ab":
        paid("custody", "record", card, "destroyed")
    paid("regtest", "mine", str(WAIT))
    paid("sync")
    step = paid("status")["next"][0]
    assert step["command"] == "cardquorum spend recover w --to ADDRESS --target 1"
    made = paid("spend", "recover", "w", "--to", STRANGER, "--target", "1")["ceremony"]
    sign(paid, made, "e", "g")
    finish(paid, made)
