"""What lasts of a vault with later branches: refresh, paper, backup, replacement, other homes."""

import io
import json
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pymupdf
import pypdf
import pytest
import zxingcpp
from PIL import Image

from coordinator import clock
from tests.cli.test_branches import (
    LATER,
    TWO_OF_THREE,
    TWO_STAGES,
    WAIT,
    cards,
    cards_home,
    create,
    finish,
    fund,
    recover,
    ripe,
    sign,
)
from tests.cli.test_money import STRANGER
from tests.program import PIN, Asked, asking, run_program
from tests.sampled import further, shortened

__all__ = ["cards", "cards_home"]

PRINTED = re.compile(r"[0-9]{2,3}( \S{1,5})+ \S{4}")
"""A numbered line of the kit."""


def placed(asked: Asked) -> None:
    """Put every card at a place of its own."""
    for label in (*"abc", *LATER):
        asked("location", "add", f"at-{label}", "--kind", "other")
        asked("custody", "record", f"card:{label}", "placed", "--at", f"at-{label}")


def due(asked: Asked) -> dict[str, dict[str, Any]]:
    """Return the next steps by their code."""
    return {each["code"]: each for each in asked("status")["next"]}


def printed(folder: Path) -> str:
    pages = pypdf.PdfReader(folder / "w-kit.pdf").pages
    return "\n".join(page.extract_text() for page in pages).replace("\u00a0", " ")


def later(words: str) -> str:
    return re.sub(r"\s+", " ", words)


# Refresh


@pytest.mark.parametrize(
    ("blocks", "level", "severity"),
    [(3, "later", None), (4, "due", "info"), (7, "warning", "warning"), (8, "alarm", "danger")],
)
def test_a_refresh_is_due_at_half_warned_at_three_quarters_alarmed_at_nine_tenths(
    cards: Asked, blocks: int, level: str, severity: str | None
) -> None:
    create(cards, *TWO_OF_THREE)
    fund(cards)
    cards("regtest", "mine", str(blocks))
    state = cards("vault", "show", "w")["refresh"]
    assert (state["level"], state["percent"]) == (level, (blocks + 1) * 100 // WAIT)
    assert state["opens"]["height"] == state["height"] + WAIT
    notice = due(cards).get("refresh_due")
    assert (notice and notice["severity"]) == severity
    if notice is not None:
        assert notice["command"].startswith("cardquorum spend refresh w")
        assert any("due to be moved to itself" in each for each in cards("status")["due"])


def test_an_open_branch_is_a_danger_and_no_refresh_is_due_then(cards: Asked) -> None:
    ripe(cards, *TWO_OF_THREE)
    assert cards("vault", "show", "w")["refresh"]["level"] == "open"
    assert "refresh_due" not in due(cards)
    dangers = [each["code"] for each in cards("status")["dangers"]]
    assert "branch_open" in dangers
    assert due(cards)["branch_open"]["command"].startswith("cardquorum spend refresh w")
    made = cards("spend", "refresh", "w", "--feerate", "2")
    sign(cards, made["ceremony"], "a", "b")
    finish(cards, made["ceremony"])
    assert "branch_open" not in [each["code"] for each in cards("status")["dangers"]]


def test_a_refresh_merges_what_is_due_and_starts_the_wait_anew(cards: Asked) -> None:
    create(cards, *TWO_OF_THREE)
    fund(cards)
    fund(cards)
    cards("regtest", "mine", "5")
    fund(cards)
    shown = cards("spend", "refresh", "w", "--feerate", "2", "--dry-run")
    assert shown["ceremonies"] == []
    made = cards("spend", "refresh", "w", "--feerate", "2")
    cost = made["cost"]
    assert (cost["coins"], cost["addresses_linked"], len(made["review"]["inputs"])) == (2, 2, 2)
    assert cost["merged_sats"] == made["review"]["fee_sats"] < cost["apart_sats"]
    assert "2 addresses are seen to have one owner" in made["notices"][0]
    assert not cards("audit", "w", "--fail-on", "none").get("drilled_at")
    sign(cards, made["ceremony"], "a", "b")
    finish(cards, made["ceremony"])
    state = cards("vault", "show", "w")["refresh"]
    assert state["level"] == "later"
    coins = cards("coins", "w")["coins"]
    assert len(coins) == 2


def test_coins_are_refreshed_apart_where_they_shall_not_be_linked(cards: Asked) -> None:
    create(cards, *TWO_OF_THREE)
    fund(cards)
    fund(cards)
    made = cards("spend", "refresh", "w", "--feerate", "2", "--apart", "--all")
    assert len(made["ceremonies"]) == 2
    fees = [cards("spend", "show", each)["fee_sats"] for each in made["ceremonies"]]
    assert sum(fees) == made["cost"]["apart_sats"]
    for ceremony in made["ceremonies"]:
        sign(cards, ceremony, "a", "c")
        finish(cards, ceremony)
    assert len(cards("coins", "w")["coins"]) == 2


def test_nothing_is_refreshed_before_it_is_due(cards: Asked) -> None:
    create(cards, *TWO_OF_THREE)
    fund(cards)
    error = cards("spend", "refresh", "w", "--feerate", "2", check=2)["error"]
    assert "no coin of vault w is due" in error["message"]


def test_a_rhythm_of_its_own_is_due_by_the_oldest_coin(
    cards: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(cards)
    fund(cards)
    assert cards("vault", "show", "w")["refresh"] is None
    set_ = cards("vault", "rhythm", "w", "--every", "1")
    assert (set_["refresh_months"], set_["refresh"]["level"]) == (1, "later")
    assert cards("vault", "show", "w")["refresh_months"] == 1
    later_on = clock.now() + timedelta(days=32)
    monkeypatch.setattr(clock, "now", lambda: later_on)
    assert cards("vault", "show", "w")["refresh"]["level"] == "due"
    assert cards("vault", "rhythm", "w", "--every", "0")["refresh"] is None


# Paper


def test_the_kit_tells_who_can_spend_later_and_how(cards: Asked, tmp_path: Path) -> None:
    placed(cards)
    create(cards, *TWO_OF_THREE)
    fund(cards)
    folder = tmp_path / "kit"
    made = cards("kit", "w", "--out", str(folder), "--location", "at-e")
    assert made["reading_grade"] <= 6
    text = later(printed(folder))
    assert "Card e here can move nothing yet." in text
    assert "two of e, f and g can move it too" in text
    assert "Later keys (recovery): 2 of e, f, g, 10 blocks" in text
    assert "2 of the 3 keys" in text
    assert "cardquorum spend recover w --branch recovery --to ADDRESS --target 6" in text
    assert "Sparrow does not open this vault" in text


def test_a_letter_is_stale_once_coins_have_moved(cards: Asked, tmp_path: Path) -> None:
    placed(cards)
    create(cards, *TWO_OF_THREE)
    fund(cards)
    cards("kit", "w", "--out", str(tmp_path / "kit"), "--location", "at-e")
    assert [each["letter_stale"] for each in cards("copy", "list", "w")["copies"]] == [False]
    assert "letter_stale" not in due(cards)
    made = cards("spend", "refresh", "w", "--feerate", "2", "--all")
    sign(cards, made["ceremony"], "a", "b")
    finish(cards, made["ceremony"])
    [copy] = cards("copy", "list", "w")["copies"]
    assert (copy["stale"], copy["letter_stale"]) == (False, True)
    assert copy["copy"] in due(cards)["letter_stale"]["title"]
    again = tmp_path / "again"
    cards("kit", "w", "--out", str(again), "--location", "at-e")
    cards("custody", "record", copy["copy"], "destroyed")
    assert "letter_stale" not in due(cards)


def scanned(folder: Path) -> list[str]:
    found = []
    for page in pymupdf.open(folder / "w-kit.pdf"):
        picture = Image.open(io.BytesIO(page.get_pixmap(dpi=200).tobytes("png")))
        found += [
            code.text
            for code in zxingcpp.read_barcodes(
                picture, formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
            )
        ]
    return found


def test_a_mistyped_line_of_a_vault_with_branches_is_named(cards: Asked, tmp_path: Path) -> None:
    create(cards, *TWO_STAGES)
    cards("kit", "w", "--out", str(tmp_path / "kit"))
    text = printed(tmp_path / "kit")
    lines = [line for line in text.splitlines() if PRINTED.fullmatch(line)]
    wrong = "q" if lines[3][4] != "q" else "z"
    lines[3] = lines[3][:4] + wrong + lines[3][5:]
    empty = asking(tmp_path / "elsewhere")
    empty("init", "--network", "regtest")
    error = empty("recover", "-", "--name", "back", stdin="\n".join(lines), check=2)["error"]
    assert "line 4" in error["message"]


@pytest.mark.parametrize("way", ["file", "typed", "scanned", "encrypted"])
def test_a_vault_with_branches_is_rebuilt_from_paper_alone(
    cards: Asked, tmp_path: Path, way: str
) -> None:
    made = create(cards, *TWO_STAGES)
    fund(cards)
    cards("regtest", "mine", str(WAIT))
    folder = tmp_path / "kit"
    cards("kit", "w", "--out", str(folder))
    empty = asking(tmp_path / "elsewhere")
    empty("init", "--network", "regtest")
    name, stdin = str(folder / "w-descriptor.txt"), ""
    if way == "typed":
        lines = [line for line in printed(folder).splitlines() if PRINTED.fullmatch(line)]
        name, stdin = "-", "\n".join(lines)
    elif way == "scanned":
        codes = scanned(folder)
        assert len(codes) > 1
        name, stdin = "-", "\n".join(codes[::-1])
    elif way == "encrypted":
        name = str(folder / "w-encrypted.txt")
    later_key = made["later_keys"][2]["key"]
    words = ("--key", later_key) if way == "encrypted" else ()
    found = empty(
        "recover", name, "--name", "back", "--checksum", made["checksum"], *words, stdin=stdin
    )
    assert (found["descriptor"], found["approved"]) == (made["descriptor"], True)
    assert [each["name"] for each in found["branches"]] == ["primary", "recovery", "recovery-2"]
    assert empty("vault", "show", "back")["policy"] == made["policy"]


# Backup, replacement, other homes


def test_a_backup_brings_the_branches_back(cards: Asked, tmp_path: Path) -> None:
    made = create(cards, *TWO_STAGES)
    ripe_coin = fund(cards)
    assert ripe_coin
    cards("vault", "rhythm", "w", "--every", "6")
    cards("backup", "--out", str(tmp_path / "home.tar"))
    other = asking(tmp_path / "restored")
    other("restore", str(tmp_path / "home.tar"))
    found = other("vault", "show", "w")
    assert [each["keys"] for each in found["branches"]] == [
        each["keys"] for each in made["branches"]
    ]
    assert (found["descriptor"], found["refresh_months"]) == (made["descriptor"], 6)


def test_branches_that_disagree_with_the_descriptor_are_refused(cards: Asked) -> None:
    create(cards, *TWO_OF_THREE)
    for change in ("threshold = 1", "blocks = 9", "blocks = NULL, height = 9"):
        with closing(sqlite3.connect(cards.home / "cardquorum.db")) as file, file:
            before = file.execute("SELECT threshold, blocks, height FROM vault_branch").fetchone()
            file.execute(f"UPDATE vault_branch SET {change}")  # noqa: S608 -- the test's own
        error = cards("address", "new", "w", check=5)["error"]
        assert "are not those of its descriptor" in error["message"], change
        with closing(sqlite3.connect(cards.home / "cardquorum.db")) as file, file:
            file.execute("UPDATE vault_branch SET threshold = ?, blocks = ?, height = ?", before)


@pytest.mark.parametrize("gone", further("e", "a"))
def test_a_vault_that_takes_the_place_keeps_the_branches(cards: Asked, gone: str) -> None:
    made = create(cards, *TWO_OF_THREE)
    fund(cards)
    cards("emulate", "new", "satochip", "n")
    cards("card", "enrol", "n", "--emulated", "n", "--pin-stdin", stdin=PIN)
    cards("custody", "record", f"card:{gone}", "lost")
    words = ("--card", gone, "--with", "n", "--feerate", "2")
    begun = cards("replace", "start", "w", *words)
    new = cards("vault", "show", begun["successor"])
    swapped = [
        ["n" if key == gone else key for key in branch["keys"]] for branch in made["branches"]
    ]
    assert [branch["keys"] for branch in new["branches"]] == swapped
    assert new["policy"] == made["policy"]
    assert new["branches"][1]["wait"] == {"blocks": WAIT, "height": None}
    signers = ("b", "c")
    sign(cards, begun["ceremony"], *signers)
    finish(cards, begun["ceremony"])
    assert cards("balance", begun["successor"])["confirmed_sats"] > 0


def test_the_later_branch_pays_the_successor_where_no_quorum_is_left(cards: Asked) -> None:
    ripe(cards, *TWO_OF_THREE)
    cards("emulate", "new", "satochip", "n")
    cards("card", "enrol", "n", "--emulated", "n", "--pin-stdin", stdin=PIN)
    for label in "ab":
        cards("custody", "record", f"card:{label}", "destroyed")
    begun = cards("replace", "start", "w", "--card", "a", "--with", "n", "--feerate", "2")
    assert cards("spend", "show", begun["ceremony"])["branch"] == "recovery"
    sign(cards, begun["ceremony"], "e", "f")
    finish(cards, begun["ceremony"])
    assert cards("balance", begun["successor"])["confirmed_sats"] > 0


def test_a_home_that_asks_no_chain_signs_a_recovery(cards: Asked, tmp_path: Path) -> None:
    made = create(cards, *TWO_OF_THREE)
    fund(cards)
    cards("regtest", "mine", str(WAIT))
    opened = recover(cards)["ceremony"]
    file = tmp_path / "out.psbt"
    cards("spend", "export", opened, "--out", str(file), "--format", "psbt")
    offline = asking(tmp_path / "offline")
    offline("init", "--network", "regtest", "--chain", "none:")
    text = tmp_path / "w.txt"
    text.write_text(made["descriptor"])
    offline("vault", "import", str(text), "--name", "w", "--checksum", made["checksum"])
    seen = offline("spend", "import", "w", str(file))
    assert seen["branch"] == "recovery"
    assert offline("spend", "show", seen["ceremony"])["need"] == 2


def test_a_home_that_can_only_be_read_shows_the_branches(cards: Asked) -> None:
    create(cards, *TWO_OF_THREE)
    fund(cards)

    def branches() -> list[dict[str, object]]:
        found = cards("vault", "show", "w")["branches"]
        for each in found:
            each["opens"] = (
                each["opens"] and each["opens"]["height"]
            )  # its date is reckoned from now
        return list(found)

    before = branches()
    for path in [cards.home, *cards.home.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        assert branches() == before
        assert cards("coins", "w")["coins"][0]["ripens"]
    finally:
        for path in [cards.home, *cards.home.rglob("*")]:
            path.chmod(0o700 if path.is_dir() else 0o600)


def test_a_sealed_home_tells_what_opens_when(cards: Asked) -> None:
    placed(cards)
    create(cards, *TWO_OF_THREE)
    fund(cards)
    cards("custody", "seal", "--pin-stdin", stdin="home.passphrase=a long passphrase\n")
    assert cards("vault", "show", "w")["branches"][1]["opens"]
    cards("regtest", "mine", str(WAIT))
    opened = recover(cards)["ceremony"]
    assert sign(cards, opened, "e", "g")["complete"]


def test_people_read_what_opens_when(cards: Asked) -> None:
    create(cards, *TWO_OF_THREE)
    fund(cards)
    shown = run_program(cards.home, "vault", "show", "w").out
    assert "recovery: 2 of e, f, g, 10 blocks (about 2 hours) after a payment: opens in" in shown
    listed = run_program(cards.home, "coins", "w").out
    assert "recovery" in listed.splitlines()[0]
    document = json.loads(run_program(cards.home, "--json", "vault", "list").out)
    assert document["vaults"][0]["name"] == "w"
    refused = run_program(
        cards.home, "spend", "recover", "w", "--to", STRANGER, "--feerate", "2", check=5
    )
    assert "cannot be spent by branch recovery yet" in refused.err


# Forms of other wallets


def keys_of(asked: Asked) -> dict[str, str]:
    return {each["label"]: each["expression"] for each in asked("key", "list")["keys"]}


FORMS = {
    "decaying": ("thresh(3,pk({a}),s:pk({b}),s:pk({c}),sln:older(10))", "abc", "ac"),
    "nunchuk": ("andor(ln:older(10),multi(1,{e},{f}),multi(2,{a},{b},{c}))", "ab", "f"),
    "liana": (
        "or_d(multi(2,{a},{b},{c}),and_v(v:thresh(2,pkh({e}),a:pkh({f}),a:pkh({g})),older(10)))",
        "bc",
        "eg",
    ),
    "liana, the recovery first": (
        "or_i(and_v(v:pkh({e}),older(10)),multi(2,{a},{b}))",
        "ab",
        "e",
    ),
    "keeper, two recoveries": (
        "or_d(multi(2,{a},{b},{c}),or_i(and_v(v:pkh({e}),older(900)),"
        "and_v(v:thresh(2,pkh({f}),a:pkh({g})),older(10))))",
        "ac",
        "fg",
    ),
    "one key, then others": ("or_d(pk({a}),and_v(v:multi(2,{e},{f},{g}),older(10)))", "a", "fg"),
}


@pytest.mark.parametrize("form", shortened(FORMS, "keeper, two recoveries"))
def test_a_form_of_another_wallet_is_paid_and_spent_by_both_branches(
    cards: Asked, tmp_path: Path, form: str
) -> None:
    body, first, late = FORMS[form]
    keys = {label: f"{text}/<0;1>/*" for label, text in keys_of(cards).items()}
    file = tmp_path / "other.txt"
    file.write_text(f"wsh({body.format(**keys)})")
    made = cards("vault", "import", str(file), "--name", "w")
    assert [each["name"] for each in made["branches"]][:2] == ["primary", "recovery"]
    assert len(made["branches"]) == 1 + body.count("older")
    accepted = ("--accept", "policy_not_approved")
    address = cards("address", "new", "w", "--accept", "keys_unproved", "--accept", "no_copy",
                    *accepted)["address"]  # fmt: skip
    cards("regtest", "fund", address, "1000000", "--coins", "2")
    cards("regtest", "mine", "1")
    coin = cards("coins", "w")["coins"][0]["outpoint"]
    drain = ("--drain", STRANGER, "--coin", coin, "--feerate", "2", *accepted)
    opened = cards("spend", "create", "w", *drain)
    assert sign(cards, opened["ceremony"], *first)["complete"]
    final = finish(cards, opened["ceremony"])
    assert final["vsize"] <= opened["review"]["vsize"] <= final["vsize"] + 4
    assert recover(cards, check=5)["error"]["code"] == "not_ripe"
    cards("regtest", "mine", str(WAIT - 2))
    opened = recover(cards)
    assert sign(cards, opened["ceremony"], *late)["complete"]
    final = finish(cards, opened["ceremony"])
    assert final["vsize"] <= opened["review"]["vsize"] <= final["vsize"] + 4
    drill = cards("drill", "start", "w")["drill"]
    assert sign_drill(cards, drill, "a")["proofs"][0]["valid"]


def sign_drill(asked: Asked, drill: str, *labels: str) -> dict[str, Any]:
    words = [word for label in labels for word in ("--emulated", label)]
    pins = "".join(f"{label}={PIN}\n" for label in labels)
    return asked("drill", "sign", drill, *words, "--pin-stdin", stdin=pins)


def test_a_later_branch_pays_with_change(cards: Asked) -> None:
    ripe(cards, *TWO_OF_THREE)
    words = ("--to", f"{STRANGER}:400000", "--branch", "recovery", "--feerate", "2")
    opened = cards("spend", "create", "w", *words)
    assert {each["kind"] for each in opened["review"]["outputs"]} == {"payment", "change"}
    sign(cards, opened["ceremony"], "f", "g")
    finish(cards, opened["ceremony"])
    assert cards("balance")["confirmed_sats"] > 500_000
    unknown = cards("spend", "create", "w", *words[:2], "--branch", "third", check=5)["error"]
    assert "no branch 'third'" in unknown["message"]


def test_where_the_quorum_is_lost_the_later_branch_is_named(cards: Asked) -> None:
    placed(cards)
    ripe(cards, *TWO_OF_THREE)
    for label in "ab":
        cards("custody", "record", f"card:{label}", "lost")
    steps = [each["command"] or "" for each in cards("status")["next"]]
    assert any("spend recover w" in each for each in steps), steps


def recovery_made_offline(cards: Asked, tmp_path: Path) -> tuple[Asked, dict[str, Any]]:
    """Return a home that asks no chain, and the recovery it made of a coin it was told of."""
    made = create(cards, *TWO_OF_THREE)
    fund(cards)
    file, text = tmp_path / "coins.txt", tmp_path / "w.txt"
    cards("coin", "export", "w", str(file))
    text.write_text(made["descriptor"])
    offline = asking(tmp_path / "offline")
    offline("init", "--network", "regtest", "--chain", "none:")
    offline("vault", "import", str(text), "--name", "w", "--checksum", made["checksum"])
    offline("coin", "import", "w", str(file))
    return offline, recover(offline)


def test_a_home_that_asks_no_chain_makes_a_recovery_of_coins_it_was_told(
    cards: Asked, tmp_path: Path
) -> None:
    offline, opened = recovery_made_offline(cards, tmp_path)
    assert opened["branch"] == "recovery"
    assert offline("vault", "show", "w")["refresh"] is None
    back = tmp_path / "back.psbt"
    offline("spend", "export", opened["ceremony"], "--out", str(back), "--format", "psbt")
    cards("regtest", "mine", str(WAIT))
    there = cards("spend", "import", "w", str(back))
    sign(cards, there["ceremony"], "e", "f")
    finish(cards, there["ceremony"])


def test_a_recovery_that_is_sent_too_early_is_refused_by_the_node(
    cards: Asked, tmp_path: Path
) -> None:
    offline, opened = recovery_made_offline(cards, tmp_path)
    back = tmp_path / "back.psbt"
    offline("spend", "export", opened["ceremony"], "--out", str(back), "--format", "psbt")
    there = cards("spend", "import", "w", str(back))["ceremony"]
    assert sign(cards, there, "e", "f", check=5)["error"]["codes"] == ["coin_locked"]
    words = ("--emulated", "e", "--emulated", "f", "--yes", "--accept", "coin_locked")
    cards("spend", "sign", there, *words, "--pin-stdin", stdin=f"e={PIN}\nf={PIN}\n")
    cards("spend", "finalize", there)
    error = cards("spend", "broadcast", there, check=7)["error"]
    assert error["code"] == "transaction_rejected"


@pytest.mark.parametrize("format_", ["json", "descriptor", "core", "bip388", "pair"])
def test_an_export_makes_the_same_vault_elsewhere(
    cards: Asked, tmp_path: Path, format_: str
) -> None:
    made = create(cards, *TWO_STAGES)
    file = tmp_path / "w.txt"
    file.write_text(cards("vault", "export", "w", "--format", format_)["text"])
    other = asking(tmp_path / "other")
    other("init", "--network", "regtest")
    found = other("vault", "import", str(file), "--name", "w", "--checksum", made["checksum"])
    assert (found["descriptor"], found["approved"]) == (made["descriptor"], True)
    again = other("vault", "import", str(file), "--name", "again")
    assert (again["known"], again["name"]) == (True, "w")
    error = cards("vault", "export", "w", "--format", "bsms", check=2)["error"]
    assert "knows no branches that open later" in error["message"]


def test_a_vault_is_known_again_by_its_branches(cards: Asked) -> None:
    create(cards, *TWO_OF_THREE)
    error = create(cards, *TWO_OF_THREE, name="x", check=2)["error"]
    assert error["code"] == "already_exists"
    assert create(cards, *ONE_LATER, name="y")["name"] == "y"
    assert create(cards, name="z")["branches"][0]["name"] == "primary"


ONE_LATER = ("--recovery-after", str(WAIT), "--recovery-card", "e")
