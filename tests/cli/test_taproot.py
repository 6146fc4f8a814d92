"""A vault in a leaf of taproot: made by cards that proved they can, and its whole life."""

import shutil
from pathlib import Path
from typing import Any

import pymupdf
import pytest

from cards.emulation import Refusal
from cards.satochip import emulator, emulator_keys
from cards.satochip.wire import Ins, Sw
from coordinator.interop.writing import FORMATS as FORMATS_OF_ALL
from coordinator.interop.writing import LEAVES
from coordinator.recovery import typed_lines
from psbt.keys import format_key_expression
from psbt.network import Network
from tests.cli.test_branches import finish, sign
from tests.cli.test_money import STRANGER
from tests.program import PIN, UNPROVED, Asked, asking, run_program
from tests.psbt.soft_vault import soft_vault

CARDS = {"a": ("keycard", "4.0"), "b": ("satochip", "0.14-0.5"), "c": ("satochip", "0.14-0.5")}
PATH = ("--path", "48h/1h/0h/3h")
MATRIX = pytest.mark.matrix
WAYS = ("typed", "encrypted")


def enrol(asked: Asked, label: str, family: str, profile: str) -> None:
    asked("emulate", "new", family, label, "--profile", profile)
    asked(
        "card", "enrol", label, "--emulated", label, *PATH, "--pin-stdin", stdin=f"{label}={PIN}\n"
    )


def made_leaf(asked: Asked) -> None:
    """Have a home with cards that prove they sign for a leaf; no vault yet."""
    asked("init", "--network", "regtest")
    for label, (family, profile) in CARDS.items():
        enrol(asked, label, family, profile)


@pytest.fixture(scope="session")
def leaf_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("leaf") / "home"
    made_leaf(asking(home))
    return home


@pytest.fixture
def cards(leaf_home: Path, tmp_path: Path) -> Asked:
    """A copy of that home, for one test."""
    shutil.copytree(leaf_home, tmp_path / "home")
    return asking(tmp_path / "home")


def create(asked: Asked, *more: str, check: int | None = 0) -> dict[str, Any]:
    own = ("--threshold", "2", "--card", "a", "--card", "b", "--card", "c", "--script", "tr")
    return asked("vault", "create", "w", *own, *more, check=check)


def fund(asked: Asked, coins: int = 1) -> str:
    address: str = asked("address", "new", "w", *UNPROVED)["address"]
    asked("regtest", "fund", address, "1000000", "--coins", str(coins))
    asked("regtest", "mine", "1")
    return address


def pay(asked: Asked, amount: str = "300000") -> str:
    made = asked("spend", "create", "w", "--to", f"{STRANGER}:{amount}", "--feerate", "2")
    ceremony: str = made["ceremony"]
    return ceremony


def test_a_vault_lives_its_whole_life(cards: Asked, tmp_path: Path) -> None:
    made = create(cards)
    assert made["script"] == "tr"
    assert made["policy"] == "tr(@0/**,sortedmulti_a(2,@1/**,@2/**,@3/**))"
    assert [each["code"] for each in made["warnings"]] == ["form_not_everywhere"]
    assert fund(cards, coins=2).startswith("bcrt1p")
    ceremony = pay(cards)
    signed = sign(cards, ceremony, "a")
    assert (signed["have"], signed["need"]) == (1, 2)
    assert sign(cards, ceremony, "c")["complete"]
    cards("spend", "finalize", ceremony)
    cards("spend", "broadcast", ceremony)
    raised = cards("spend", "bump", ceremony, "--feerate", "5")
    assert sign(cards, raised["ceremony"], "b", "c")["complete"]
    final = finish(cards, raised["ceremony"])
    assert final["vsize"] == raised["review"]["vsize"]

    drill = cards("drill", "start", "w")["drill"]
    words = [word for label in "abc" for word in ("--emulated", label)]
    pins = "".join(f"{label}={PIN}\n" for label in "abc")
    cards("drill", "sign", drill, *words, "--pin-stdin", stdin=pins)
    shown = cards("drill", "show", drill)
    assert shown["complete"]
    assert shown["bip322"].startswith("smp")
    cards("drill", "export", drill, str(tmp_path / "drill.json"))
    assert cards("drill", "verify", str(tmp_path / "drill.json"))["valid"]

    proofs = cards("vault", "verify", "w", *words, "--pin-stdin", stdin=pins)
    assert (len(proofs["verified"]), proofs["mismatches"]) == (3, [])
    merged = cards("spend", "consolidate", "w", "--feerate", "1")
    assert sign(cards, merged["ceremony"], "a", "b")["complete"]
    finish(cards, merged["ceremony"])


def printed(folder: Path) -> str:
    return "\n".join(page.get_text() for page in pymupdf.open(folder / "w-kit.pdf"))


@pytest.mark.parametrize("way", ["file", *(pytest.param(w, marks=MATRIX) for w in WAYS)])
def test_a_vault_is_rebuilt_from_its_kit_and_spent(cards: Asked, tmp_path: Path, way: str) -> None:
    made = create(cards)
    fund(cards)
    cards("kit", "w", "--out", str(tmp_path / "kit"))
    text = " ".join(printed(tmp_path / "kit").split())
    enrolling = [f"cardquorum card enrol {label} --path 48h/1h/0h/3h" in text for label in "abc"]
    assert sum(enrolling) == 2
    assert "card a: no other that is known" in text
    assert "Sparrow does not open this vault: it knows no quorum in taproot" in text
    other = asking(tmp_path / "elsewhere")
    other("init", "--network", "regtest")
    for part in ("emulated", "chain"):
        shutil.rmtree(tmp_path / "elsewhere" / part, ignore_errors=True)
        shutil.copytree(tmp_path / "home" / part, tmp_path / "elsewhere" / part)
    for label in "ac":
        other("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    name, stdin = str(tmp_path / "kit" / "w-descriptor.txt"), ""
    if way == "typed":
        lines = printed(tmp_path / "kit").splitlines()
        name = "-"
        stdin = "\n".join(line for line in lines if typed_lines.NUMBERED.fullmatch(line))
    words = ["--name", "w", "--checksum", made["checksum"]]
    if way == "encrypted":
        name = str(tmp_path / "kit" / "w-encrypted.txt")
        words += ["--key", made["cosigners"][1]["key"]]
    found = other("recover", name, *words, stdin=stdin)
    assert (found["descriptor"], found["approved"]) == (made["descriptor"], True)
    other("sync", "w")
    ceremony = pay(other)
    for label in "ac":
        enrolled = other(
            "card", "enrol", label, "--emulated", label, *PATH, "--pin-stdin", stdin=PIN
        )
        assert enrolled["key"]["path"] == "48h/1h/0h/3h"
    assert sign(other, ceremony, "a", "c")["complete"]
    finish(other, ceremony)


@pytest.mark.parametrize(
    ("family", "profile"),
    [
        ("satochip", "0.14-0.1"),
        pytest.param("tapsigner", "1.0.3", marks=MATRIX),
        pytest.param("keycard", "3.2", marks=MATRIX),
        pytest.param("satochip", "0.12-0.6", marks=MATRIX),
        pytest.param("tangem", "6.33", marks=MATRIX),
    ],
)
def test_a_card_that_cannot_is_named_and_nothing_is_made(
    cards: Asked, family: str, profile: str
) -> None:
    enrol(cards, "d", family, profile)
    words = ("--threshold", "1", "--card", "a", "--card", "d", "--script", "tr")
    error = cards("vault", "create", "w", *words, check=5)["error"]
    assert error["code"] == "card_cannot_sign"
    assert f"card d ({family} {profile}) cannot sign for tr" in error["message"]
    assert cards("vault", "list")["vaults"] == []


@MATRIX
def test_a_card_whose_owner_blocked_it_has_not_proved_it(
    cards: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocked(*_: object) -> bytes:
        raise Refusal(Sw.FEATURE_BLOCKED)

    cards("emulate", "new", "satochip", "d", "--profile", "0.14-0.5")
    monkeypatch.setitem(emulator.HANDLERS, Ins.TAPROOT_TWEAK, blocked)
    cards("card", "enrol", "d", "--emulated", "d", *PATH, "--pin-stdin", stdin=PIN)
    words = ("--threshold", "1", "--card", "a", "--card", "d", "--script", "tr")
    error = cards("vault", "create", "w", *words, check=5)["error"]
    assert error["code"] == "leaf_unproved"
    assert "card d (satochip 0.14-0.5) has not proved that it signs by BIP 340" in error["message"]
    assert "cardquorum card enrol d --path 48h/1h/0h/3h" in error["hint"]
    monkeypatch.undo()
    cards("card", "enrol", "d", "--emulated", "d", *PATH, "--pin-stdin", stdin=PIN)
    cards("vault", "create", "w", *words)


def test_a_card_that_ignores_the_wish_for_a_plain_key_has_not_proved_it(
    cards: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 0.14-0.1 does, whatever version it says it is."""
    monkeypatch.setattr(emulator_keys, "WITH_BYPASS", (9,))
    enrol(cards, "d", "satochip", "0.14-0.5")
    told = {label: cards("card", "show", label)["keys"][0]["signs_leaf"] for label in "ad"}
    assert told == {"a": True, "d": False}
    words = ("--threshold", "1", "--card", "a", "--card", "d", "--script", "tr")
    assert cards("vault", "create", "w", *words, check=5)["error"]["code"] == "leaf_unproved"


def test_a_key_held_elsewhere_proves_nothing(cards: Asked) -> None:
    key = format_key_expression(soft_vault(1, 1).policy.keys[0], Network.REGTEST)
    words = ("--threshold", "1", "--card", "a", "--key", f"desk={key}", "--script", "tr")
    error = cards("vault", "create", "w", *words, check=5)["error"]
    assert error["code"] == "leaf_unproved"
    assert "key desk has not proved" in error["message"]


def test_musig2_and_later_branches_are_refused_by_name(cards: Asked) -> None:
    own = ("--threshold", "2", "--card", "a", "--card", "b")
    error = cards("vault", "create", "w", *own, "--script", "musig2", check=2)["error"]
    assert "no card signs by MuSig2" in error["message"]
    later = ("--recovery-after", "10", "--recovery-card", "c", "--script", "tr")
    error = cards("vault", "create", "w", *own, *later, check=2)["error"]
    assert "branches that open later are not made in taproot" in error["message"]


def test_a_card_with_two_keys_gives_each_script_its_own(cards: Asked) -> None:
    for label in "ab":
        cards("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    own = ("--threshold", "1", "--card", "a", "--card", "b")
    leaf = cards("vault", "create", "w", *own, "--script", "tr")
    plain = cards("vault", "create", "v", *own)
    assert {each["path"] for each in leaf["cosigners"]} == {"48h/1h/0h/3h"}
    assert {each["path"] for each in plain["cosigners"]} == {"48h/1h/0h/2h"}


def test_the_order_of_the_cards_makes_no_other_vault(cards: Asked) -> None:
    made = create(cards)
    words = ("--threshold", "2", "--card", "c", "--card", "a", "--card", "b", "--script", "tr")
    error = cards("vault", "create", "again", *words, check=2)["error"]
    assert (error["code"], made["name"]) == ("already_exists", "w")


def test_what_is_exported_is_read_back_as_the_same_vault(cards: Asked, tmp_path: Path) -> None:
    made = create(cards)
    for form in sorted({*LEAVES, "json"}):
        other = asking(tmp_path / form)
        other("init", "--network", "regtest")
        told = run_program(cards.home, "vault", "export", "w", "--format", form).out
        (tmp_path / "w").write_text(told)
        again = cards("vault", "import", str(tmp_path / "w"), "--name", "x")
        assert (again["name"], again["descriptor"]) == ("w", made["descriptor"])
        found = other("vault", "import", str(tmp_path / "w"), "--name", "w")
        assert found["descriptor"] == made["descriptor"], form
        assert found["first_address"] == made["first_address"]


def test_a_format_that_cannot_hold_it_says_so(cards: Asked) -> None:
    create(cards)
    for form in sorted({*FORMATS_OF_ALL} - LEAVES):
        error = cards("vault", "export", "w", "--format", form, check=2)["error"]
        assert f"the format {form} knows no quorum in taproot" in error["message"]


def test_other_taproot_wallets_are_refused_by_name(cards: Asked, tmp_path: Path) -> None:
    made = create(cards)
    body = made["descriptor"].partition("#")[0]
    inner = body.removeprefix("tr(").removesuffix(")")
    internal, leaf = inner.split(",", 1)
    key = leaf.removeprefix("sortedmulti_a(2,").split(",")[0]
    nums = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"
    refused = {
        f"tr({key})": "one key spends alone",
        f"tr(musig({key},{key})/<0;1>/*)": "MuSig2, which no card signs for",
        f"tr({key},{leaf})": "not the one that nobody holds: whoever holds it spends alone",
        f"tr({nums},{leaf})": "not the one that nobody holds: whoever holds it spends alone",
        f"tr({internal},{{{leaf},{leaf}}})": "another form than one sortedmulti_a",
        f"tr({internal},{leaf.replace('sortedmulti_a', 'multi_a')})": "another form than one",
    }
    for text, said in refused.items():
        (tmp_path / "x").write_text(text)
        error = cards("vault", "import", str(tmp_path / "x"), "--name", "x", check=None)["error"]
        assert error["code"] == "not_importable", text
        assert said in error["message"], text


@MATRIX
def test_a_card_is_replaced_by_one_that_proved_it(cards: Asked) -> None:
    create(cards)
    fund(cards)
    enrol(cards, "d", "keycard", "3.2")
    words = ("replace", "start", "w", "--card", "c", "--with")
    more = ("--feerate", "2", *UNPROVED)
    assert cards(*words, "d", *more, check=5)["error"]["code"] in {
        "card_cannot_sign", "leaf_unproved",
    }  # fmt: skip
    enrol(cards, "e", "satochip", "0.16-0.0")
    started = cards(*words, "e", *more)
    assert started["successor"]
    assert sign(cards, started["ceremony"], "a", "b")["complete"]
    finish(cards, started["ceremony"])


def test_a_signer_elsewhere_sends_its_signatures_back(cards: Asked, tmp_path: Path) -> None:
    create(cards)
    fund(cards)
    ceremony = pay(cards)
    other = asking(tmp_path / "other")
    shutil.copytree(tmp_path / "home", tmp_path / "other")
    for version in ("0", "2"):
        out = tmp_path / f"half-{version}.psbt"
        if version == "0":
            sign(other, ceremony, "b")
        words = ("--format", "psbt", "--psbt-version", version)
        other("spend", "export", ceremony, "--out", str(out), *words)
        cards("spend", "add", ceremony, str(out))
    assert cards("spend", "show", ceremony)["have"] == 1
    sign(cards, ceremony, "a")
    finish(cards, ceremony)
