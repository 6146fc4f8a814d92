"""Vaults with branches that open later: made, paid, spent by each branch, refused too early."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_money import STRANGER
from tests.program import PIN, UNPROVED, Asked, asking

WAIT = 10
LATER = ("e", "f", "g")


def made_branches(asked: Asked) -> None:
    """Have a home with cards a, b, c and later cards e, f, g; no vault yet."""
    asked("init", "--network", "regtest")
    for label in ("a", "b", "c", *LATER):
        asked("emulate", "new", "satochip", label)
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)


@pytest.fixture(scope="session")
def cards_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("branches") / "home"
    made_branches(asking(home))
    return home


@pytest.fixture
def cards(cards_home: Path, tmp_path: Path) -> Asked:
    """A copy of a home with six cards, for one test."""
    shutil.copytree(cards_home, tmp_path / "home")
    return asking(tmp_path / "home")


def create(asked: Asked, *later: str, name: str = "w", check: int | None = 0) -> dict[str, Any]:
    own = ("--threshold", "2", "--card", "a", "--card", "b", "--card", "c")
    return asked("vault", "create", name, *own, *later, check=check)


TWO_OF_THREE = (
    *("--recovery-after", str(WAIT), "--recovery-threshold", "2"),
    *(word for label in LATER for word in ("--recovery-card", label)),
)
ONE = ("--recovery-after", str(WAIT), "--recovery-card", "e")
SAME = (
    *("--recovery-after", str(WAIT), "--recovery-threshold", "1"),
    *(word for label in "abc" for word in ("--recovery-card", label)),
)
TWO_STAGES = (
    *("--recovery-after", str(WAIT), "--recovery-threshold", "2", "--recovery-card", "1:e"),
    *("--recovery-card", "f", "--recovery-after", "20", "--recovery-threshold", "1"),
    *("--recovery-card", "2:g"),
)


def fund(asked: Asked, name: str = "w", coins: int = 1) -> str:
    address: str = asked("address", "new", name, *UNPROVED)["address"]
    asked("regtest", "fund", address, "1000000", "--coins", str(coins))
    asked("regtest", "mine", "1")
    return address


def sign(asked: Asked, ceremony: str, *labels: str, check: int | None = 0) -> dict[str, Any]:
    words = [word for label in labels for word in ("--emulated", label)]
    pins = "".join(f"{label}={PIN}\n" for label in labels)
    return asked("spend", "sign", ceremony, *words, "--yes", "--pin-stdin", stdin=pins, check=check)


def finish(asked: Asked, ceremony: str) -> dict[str, Any]:
    final = asked("spend", "finalize", ceremony)
    assert final["consensus"] == "accepted"
    asked("spend", "broadcast", ceremony)
    asked("regtest", "mine", "1")
    assert asked("spend", "show", ceremony)["state"] == "confirmed"
    return final


def recover(asked: Asked, *words: str, check: int | None = 0) -> dict[str, Any]:
    return asked("spend", "recover", "w", "--to", STRANGER, "--feerate", "2", *words, check=check)


@pytest.mark.parametrize(
    ("later", "template", "signers"),
    [
        (ONE, "wsh(or_d(multi(2,@0/**,@1/**,@2/**),and_v(v:pkh(@3/**),older(10))))", "e"),
        (
            TWO_OF_THREE,
            "wsh(or_d(multi(2,@0/**,@1/**,@2/**),and_v(v:multi(2,@3/**,@4/**,@5/**),older(10))))",
            "eg",
        ),
        (
            SAME,
            "wsh(or_d(multi(2,@0/**,@1/**,@2/**),"
            "and_v(v:multi(1,@0/<2;3>/*,@1/<2;3>/*,@2/<2;3>/*),older(10))))",
            "b",
        ),
        (
            ("--recovery-at", "140", "--recovery-card", "f"),
            "wsh(or_d(multi(2,@0/**,@1/**,@2/**),and_v(v:pkh(@3/**),after(140))))",
            "f",
        ),
    ],
)
def test_a_coin_is_swept_by_the_later_branch_from_its_block_on(
    cards: Asked, later: tuple[str, ...], template: str, signers: str
) -> None:
    shown = create(cards, *later)
    assert shown["policy"] == template
    fund(cards)
    early = recover(cards, check=5)["error"]
    assert (early["code"], early["branch"]) == ("not_ripe", "recovery")
    opens = early["height"]
    height = cards("sync")["height"]
    cards("regtest", "mine", str(opens - height - 2))
    assert recover(cards, check=5)["error"]["height"] == opens
    cards("regtest", "mine", "1")
    [branch] = cards("vault", "show", "w")["branches"][1:]
    assert (branch["open"], branch["opens"]["height"]) == (True, opens)
    opened = recover(cards)
    assert (opened["branch"], opened["ripens"]) == ("recovery", [])
    assert sign(cards, opened["ceremony"], *signers)["complete"]
    final = finish(cards, opened["ceremony"])
    assert final["vsize"] <= opened["review"]["vsize"] <= final["vsize"] + 3
    assert cards("balance")["confirmed_sats"] == 0


def test_a_vault_with_branches_is_paid_and_spent_as_any_other(cards: Asked) -> None:
    create(cards, *TWO_OF_THREE)
    fund(cards, coins=2)
    opened = cards("spend", "create", "w", "--to", f"{STRANGER}:1200000", "--feerate", "3")
    assert opened["branch"] == "primary"
    assert sign(cards, opened["ceremony"], "a", "c")["complete"]
    final = finish(cards, opened["ceremony"])
    assert final["vsize"] <= opened["review"]["vsize"] <= final["vsize"] + 5


def test_the_branches_and_their_keys_are_shown(cards: Asked) -> None:
    shown = create(cards, *TWO_STAGES)
    assert [
        (each["name"], each["threshold"], each["keys"], each["wait"], each["opens"], each["open"])
        for each in shown["branches"]
    ] == [
        ("primary", 2, ["a", "b", "c"], None, None, True),
        ("recovery", 2, ["e", "f"], {"blocks": 10, "height": None}, None, False),
        ("recovery-2", 1, ["g"], {"blocks": 20, "height": None}, None, False),
    ]
    assert [each["label"] for each in shown["cosigners"]] == ["a", "b", "c"]
    assert [each["label"] for each in shown["later_keys"]] == ["e", "f", "g"]
    assert {"single_later_key", "form_not_everywhere", "short_wait"} <= {
        each["code"] for each in shown["warnings"]
    }
    fund(cards)
    [coin] = cards("coins", "w")["coins"]
    assert [(each["branch"], each["ripe"], each["height"]) for each in coin["ripens"]] == [
        ("recovery", False, coin["height"] + 10),
        ("recovery-2", False, coin["height"] + 20),
    ]


def test_cards_and_keys_of_a_branch_stand_in_the_order_typed(cards: Asked) -> None:
    keys = {each["label"]: each["expression"] for each in cards("key", "list")["keys"]}
    other = asking(cards.home.parent / "other")
    other("init", "--network", "regtest")
    for label in "abc":
        other("emulate", "new", "satochip", label)
        other("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    shown = create(
        other,
        *("--recovery-key", f"x={keys['e']}", "--recovery-card", "a", "--recovery-after", "9"),
        *("--recovery-key", f"1:y={keys['f']}", "--recovery-threshold", "2"),
    )
    assert shown["branches"][1]["keys"] == ["x", "a", "y"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--recovery-card", "e"), "say when it opens"),
        (("--recovery-after", "9"), "nobody can spend by stage 1"),
        (("--recovery-after", "9", "--recovery-card", "2:e"), "is of stage 2"),
        (("--recovery-after", "9", "--recovery-at", "9", "--recovery-card", "e"), "together"),
        (
            ("--recovery-after", "9", "--recovery-card", "e", "--recovery-card", "f"),
            "--recovery-threshold",
        ),
        (("--recovery-after", "9", "--recovery-card", "e", "--script", "sh-wsh"), "script wsh"),
        (
            ("--recovery-threshold", "1", "--recovery-after", "9", "--recovery-card", "e",
             "--recovery-threshold", "1"),
            "2 thresholds",
        ),
    ],
)  # fmt: skip
def test_a_branch_that_cannot_be_meant_is_usage(
    cards: Asked, words: tuple[str, ...], told: str
) -> None:
    error = create(cards, *words, check=2)["error"]
    assert told in error["message"]
    assert cards("vault", "list")["vaults"] == []


@pytest.mark.parametrize("blocks", ["65536", "0"])
def test_a_wait_that_cannot_be_counted_is_refused(cards: Asked, blocks: str) -> None:
    words = ("--recovery-after", blocks, "--recovery-card", "e")
    assert create(cards, *words, check=None)["error"]["code"] in {"policy_error", "usage"}
