"""Vaults with branches that open later: made, paid, spent by each branch, refused too early."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_fee_bump import incoming
from tests.cli.test_money import STRANGER
from tests.program import PIN, UNPROVED, Asked, asking, run_program

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
        pytest.param(
            TWO_OF_THREE,
            "wsh(or_d(multi(2,@0/**,@1/**,@2/**),and_v(v:multi(2,@3/**,@4/**,@5/**),older(10))))",
            "eg",
            marks=pytest.mark.matrix,
        ),
        pytest.param(
            SAME,
            "wsh(or_d(multi(2,@0/**,@1/**,@2/**),"
            "and_v(v:multi(1,@0/<2;3>/*,@1/<2;3>/*,@2/<2;3>/*),older(10))))",
            "b",
            marks=pytest.mark.matrix,
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
    assert {name for each in shown["cosigners"] for name in each["other_software"]} == set()
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


def test_a_stage_opens_after_the_one_before_it_and_none_at_once(cards: Asked) -> None:
    words = ("--recovery-after", "20", "--recovery-card", "e", "--recovery-after", "10")
    error = create(cards, *words, "--recovery-card", "2:f", check=2)["error"]
    assert "stage 2 must open later than stage 1" in error["message"]
    create(cards)
    fund(cards)
    cards("sync")
    words = ("--recovery-at", "50", "--recovery-card", "e")
    error = create(cards, *words, name="x", check=2)["error"]
    assert "would be open at once" in error["message"]


@pytest.mark.parametrize("words", [
    ("--recovery-after", "9", "--recovery-card", "1:"),
    ("--recovery-after", "9", "--recovery-card", "nobody"),
    ("--recovery-after", "9", "--recovery-key", "=x"),
    ("--recovery-after", "9", "--recovery-key", "x=xpub"),
    ("--recovery-after", "9", "--recovery-key", "9999:x"),
    ("--recovery-after", "9", "--recovery-card", "e", "--recovery-card", "e",
     "--recovery-threshold", "1"),
    ("--recovery-after", "nine", "--recovery-card", "e"),
    ("--recovery-at", "500000000", "--recovery-card", "e"),
])  # fmt: skip
def test_what_is_mistyped_of_a_branch_makes_no_vault(cards: Asked, words: tuple[str, ...]) -> None:
    error = create(cards, *words, check=None)["error"]
    assert error["code"] != "bug"
    assert cards("vault", "list")["vaults"] == []


@pytest.mark.parametrize("blocks", ["65536", "0"])
def test_a_wait_that_cannot_be_counted_is_refused(cards: Asked, blocks: str) -> None:
    words = ("--recovery-after", blocks, "--recovery-card", "e")
    assert create(cards, *words, check=2)["error"]["code"] == "usage"


def exchange(asked: Asked, ceremony: str, tmp_path: Path) -> Path:
    """Write a ceremony's PSBT into a file."""
    file = tmp_path / "out.psbt"
    asked("spend", "export", ceremony, "--out", str(file), "--format", "psbt")
    return file


def ripe(asked: Asked, *later: str, coins: int = 1) -> None:
    """Have a vault w whose coins its later branch can spend."""
    create(asked, *later)
    fund(asked, coins=coins)
    asked("regtest", "mine", str(WAIT))


def test_payments_of_two_branches_exclude_one_another(cards: Asked) -> None:
    ripe(cards, *TWO_OF_THREE)
    first = recover(cards)["ceremony"]
    pay = ("spend", "create", "w", "--drain", STRANGER, "--feerate", "2")
    error = cards(*pay, check=5)["error"]
    assert error["code"] == "insufficient_funds"
    assert error["ceremonies"][0]["ceremony"] == first
    [coin] = cards("coins", "w")["coins"]
    named = cards(*pay, "--coin", coin["outpoint"], check=5)["error"]
    assert (named["code"], named["ceremony"]) == ("coin_reserved", first)
    cards("spend", "abandon", first)
    assert cards(*pay)["branch"] == "primary"
    assert recover(cards, check=5)["error"]["code"] == "insufficient_funds"


def test_a_card_of_another_branch_is_refused_before_its_pin(cards: Asked) -> None:
    ripe(cards, *TWO_OF_THREE)
    opened = recover(cards)["ceremony"]
    outcome = sign(cards, opened, "a", check=3)["cards"][0]
    assert "a card of branch recovery" in outcome["error"]["message"]
    assert cards("spend", "show", opened)["have"] == 0


def test_a_signature_for_one_branch_is_not_counted_for_another(
    cards: Asked, tmp_path: Path
) -> None:
    ripe(cards, *SAME)
    opened = recover(cards, "--dry-run")
    assert (opened["ceremony"], opened["branch"]) == (None, "recovery")
    late = recover(cards)["ceremony"]
    assert sign(cards, late, "a")["complete"]
    file = exchange(cards, late, tmp_path)
    cards("spend", "abandon", late)
    seen = cards("spend", "import", "w", str(file), "--branch", "primary")
    assert (seen["branch"], seen["signatures"]) == ("primary", 1)
    assert cards("spend", "show", seen["ceremony"])["have"] == 0
    cards("spend", "abandon", seen["ceremony"])
    again = cards("spend", "import", "w", str(file))
    assert again["branch"] == "recovery"
    assert cards("spend", "show", again["ceremony"])["complete"]
    finish(cards, again["ceremony"])


def test_a_recovery_is_signed_elsewhere_and_sent(cards: Asked, tmp_path: Path) -> None:
    ripe(cards, *TWO_OF_THREE)
    opened = recover(cards)["ceremony"]
    blank = exchange(cards, opened, tmp_path)
    sign(cards, opened, "e")
    half = tmp_path / "half.psbt"
    cards("spend", "export", opened, "--out", str(half), "--format", "psbt", "--psbt-version", "2")
    cards("spend", "abandon", opened)
    other = cards("spend", "import", "w", str(blank))
    assert other["branch"] == "recovery"
    assert cards("spend", "add", other["ceremony"], str(half))["signatures"] == 1
    sign(cards, other["ceremony"], "f")
    whole = exchange(cards, other["ceremony"], tmp_path)
    sent = cards("tx", "broadcast", str(whole), "--accept", "ends_payment")
    cards("regtest", "mine", "1")
    assert cards("spend", "show", other["ceremony"])["txid"] == sent["txid"]
    assert cards("spend", "show", other["ceremony"])["state"] == "confirmed"


def test_a_recovery_is_bumped_and_cancelled_by_its_own_branch(cards: Asked) -> None:
    ripe(cards, *TWO_OF_THREE, coins=2)
    coin = cards("coins", "w")["coins"][0]["outpoint"]
    opened = recover(cards, "--coin", coin)["ceremony"]
    sign(cards, opened, "e", "g")
    cards("spend", "finalize", opened)
    cards("spend", "broadcast", opened)
    dearer = cards("spend", "bump", opened, "--feerate", "6", "--shrink")
    assert (dearer["branch"], dearer["replaces"]) == ("recovery", opened)
    sign(cards, dearer["ceremony"], "f", "g")
    cards("spend", "finalize", dearer["ceremony"])
    cards("spend", "broadcast", dearer["ceremony"])
    back = cards("spend", "cancel", dearer["ceremony"], "--feerate", "12")
    assert back["branch"] == "recovery"
    sign(cards, back["ceremony"], "e", "f")
    finish(cards, back["ceremony"])
    assert cards("spend", "show", dearer["ceremony"])["state"] == "replaced"


def test_a_child_is_made_by_a_later_branch_that_waits_for_a_height(
    cards: Asked, tmp_path: Path
) -> None:
    create(cards, "--recovery-at", "140", "--recovery-card", "f")
    _, parent, _ = incoming(cards, tmp_path, 900_000, "w")
    words = ("spend", "accelerate", parent, "--feerate", "20", "--branch", "recovery")
    early = cards(*words, check=5)["error"]
    assert (early["code"], early["height"]) == ("not_ripe", 141)
    cards("sync")
    cards("regtest", "mine", "60", "--to", STRANGER)
    _, parent, _ = incoming(cards, tmp_path, 900_000, "w", "--accept", "branch_open")
    made = cards(*words[:2], parent, *words[3:])
    assert (made["branch"], made["replaces"]) == ("recovery", None)
    assert sign(cards, made["ceremony"], "f")["complete"]
    finish(cards, made["ceremony"])


def test_a_branch_that_counts_blocks_has_no_child_of_what_waits(
    cards: Asked, tmp_path: Path
) -> None:
    create(cards, *ONE)
    _, parent, _ = incoming(cards, tmp_path, 900_000, "w")
    words = ("spend", "accelerate", parent, "--feerate", "20")
    error = cards(*words, "--branch", "recovery", check=2)["error"]
    assert "waits 10 blocks for each coin" in error["message"]
    assert cards(*words)["branch"] == "primary"


def test_coins_of_different_age_ripen_one_by_one(cards: Asked) -> None:
    ripe(cards, *TWO_OF_THREE)
    fund(cards)
    opened = recover(cards)
    assert len(opened["review"]["inputs"]) == 1
    [late] = opened["ripens"]
    [young] = [c for c in cards("coins", "w")["coins"] if c["outpoint"] == late["outpoint"]]
    assert late["height"] == young["height"] + WAIT
    error = recover(cards, "--coin", late["outpoint"], check=5)["error"]
    assert (error["code"], error["height"]) == ("not_ripe", late["height"])


def test_coins_are_merged_by_a_later_branch(cards: Asked) -> None:
    ripe(cards, *TWO_OF_THREE, coins=3)
    merged = cards("spend", "consolidate", "w", "--branch", "recovery", "--feerate", "1")
    assert merged["branch"] == "recovery"
    sign(cards, merged["ceremony"], "e", "f")
    finish(cards, merged["ceremony"])
    assert len(cards("coins", "w")["coins"]) == 1


def test_the_review_says_which_branch_and_since_when(cards: Asked) -> None:
    ripe(cards, *TWO_OF_THREE)
    warnings = {each["code"]: each for each in recover(cards)["review"]["warnings"]}
    assert warnings["recovery_branch"]["severity"] == "warning"
    assert "recovery branch" in warnings["recovery_branch"]["message"]


def test_every_key_proves_itself_for_its_branch(cards: Asked, tmp_path: Path) -> None:
    create(cards, *TWO_OF_THREE)
    pins = "".join(f"{label}={PIN}\n" for label in (*"abc", *LATER))
    offered = [word for label in (*"abc", *LATER) for word in ("--emulated", label)]
    proofs = cards("vault", "verify", "w", *offered, "--pin-stdin", stdin=pins)
    assert (sorted(proofs["verified"]), proofs["missing"]) == (sorted((*"abc", *LATER)), [])
    drill = cards("drill", "start", "w")["drill"]
    some = [word for label in "ace" for word in ("--emulated", label)]
    seen = cards("drill", "sign", drill, *some, "--pin-stdin", stdin=pins)
    assert (seen["have"], seen["state"], seen["missing"]) == (2, "proved", ["b", "f", "g"])
    assert seen["bip322"]
    assert seen["branches"] == [{"branch": "recovery", "have": 1, "need": 2, "bip322": None}]
    rest = [word for label in "bfg" for word in ("--emulated", label)]
    seen = cards("drill", "sign", drill, *rest, "--pin-stdin", stdin=pins)
    assert (seen["state"], seen["branches"][0]["have"]) == ("complete", 3)
    assert seen["branches"][0]["bip322"].startswith("ful")
    file = tmp_path / "drill.json"
    cards("drill", "export", drill, str(file))
    found = cards("drill", "verify", str(file))
    assert (found["valid"], sorted(found["proved"])) == (True, [0, 1, 2])
    assert sorted(found["later_proved"]["recovery"]) == [0, 1, 2]


def test_a_branch_of_the_same_cards_is_proved_for_both(cards: Asked) -> None:
    create(cards, *SAME)
    drill = cards("drill", "start", "w")["drill"]
    seen = cards("drill", "sign", drill, "--emulated", "a", "--pin-stdin", stdin=f"a={PIN}\n")
    assert [(each["cosigner"], each["branch"]) for each in seen["proofs"]] == [
        ("a", "primary"),
        ("a", "recovery"),
    ]
    assert (seen["have"], seen["state"]) == (1, "collecting")


def test_the_demo_is_refused_one_block_early_and_sweeps_when_ripe(asked: Asked) -> None:
    played = asked("demo", "--recovery", "--inputs", "2")
    told = played["recovery"]
    assert f"from block {told['opens']} on" in told["refused"]
    assert (played["accepted"], played["inputs"], played["height"]) == (True, 2, told["opens"])
    assert {"audit", "recovery"} <= played.keys()
    assert told["audit_before"]["vault"] == played["vault"]


def test_a_later_card_with_a_vault_that_holds_money_is_not_reset_unasked(cards: Asked) -> None:
    create(cards, *TWO_OF_THREE)
    fund(cards)
    words = ("--emulated", "e", "--pin-stdin")
    error = cards("card", "reset", "e", *words, stdin=f"e={PIN}\n", check=5)["error"]
    assert "card_in_use" in error["codes"]
    assert [each["vaults"] for each in cards("key", "list")["keys"] if each["label"] == "e"] == [
        ["w"]
    ]


@pytest.mark.parametrize(("later", "need"), [(ONE, 1), (TWO_OF_THREE, 2), (SAME, 1)])
def test_status_counts_the_signatures_of_the_branch(
    cards: Asked, later: tuple[str, ...], need: int
) -> None:
    ripe(cards, *later)
    recover(cards)
    (payment,) = cards("status")["ceremonies"]
    assert (payment["have"], payment["need"]) == (0, need)
    spoken = run_program(cards.home, "status").out
    assert f"0 of {need} have signed" in spoken
