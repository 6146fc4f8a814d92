"""Whoever comes with papers, without a computer, or after a death, is led to their vault."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import segno

from coordinator.cli.guide_paper import wrong_with
from coordinator.home.settings import open_home
from coordinator.interop import bbqr
from psbt.keys import format_key_expression, parse_key_expression
from psbt.network import Network
from tests.cli.five_tasks import said
from tests.cli.scripted import Answer, led
from tests.program import PIN, Asked, asking, made_vault, prove_keys, run_program
from tests.sampled import shortened

KIT = json.loads((Path(__file__).parents[1] / "vectors" / "kit.json").read_text())["backups"][0]
MONEY = KIT["descriptor"].partition("#")[0]
NETWORKS = ("mainnet", "testnet4", "signet", "regtest")
NOTHING_AS_IF_LOST = "0 sat"


def descriptor(network: str) -> str:
    """Return the vector's descriptor as it is on a network."""
    if network == "mainnet":
        return str(MONEY)
    text = str(MONEY)
    for expression in KIT["keys"]:
        key = parse_key_expression(expression, Network.MAINNET)
        text = text.replace(expression, format_key_expression(key, Network(network)))
    return text


def papers(file: Path, network: str, *, reason: str = "papers") -> list[Answer]:
    """Return the answers of somebody with the plain text file of a kit, and no card."""
    asked = [] if network == "mainnet" else [("Which network", network)]
    lost = [("press Enter", "")] * 2 if reason == "computer" else []
    return [
        ("Why are you here", reason),
        *lost,
        ("What is there", "Its kit"),
        ("File, or -", str(file)),
        *asked,
        ("Whom to ask", "Nobody"),
        ("Do it", "Not now"),  # no card is at hand
        ("called", ""),
        ("eight characters", ""),
        ("That day", ""),
    ]


@pytest.mark.parametrize("network", shortened(NETWORKS, "mainnet", "regtest"))
def test_papers_bring_a_vault_back_and_nobody_reads_that_nothing_is_there(
    tmp_path: Path, network: str
) -> None:
    file = tmp_path / "family-descriptor.txt"
    file.write_text(descriptor(network))
    home = tmp_path / "home"
    left = led(home, papers(file, network))
    assert left.stopped, "it goes on with what is next"
    assert "vault family: 2-of-3" in left.shown
    assert NOTHING_AS_IF_LOST not in left.shown
    assert open_home(home).network == network
    told = run_program(home, "status")
    assert NOTHING_AS_IF_LOST not in told.out
    assert "not looked" in told.out


def test_a_vault_back_from_its_kit_takes_as_many_questions_as_the_document_says() -> None:
    """On mainnet, whose keys tell what they are for: what the test above answers, and no more."""
    assert said()["a vault back from its kit"] == len(papers(Path("kit"), "mainnet"))


@pytest.mark.parametrize("count", [1, 3])
def test_pictures_of_the_codes_bring_a_vault_back_in_any_order(tmp_path: Path, count: int) -> None:
    text = descriptor("mainnet")
    parts = [text] if count == 1 else bbqr.split(text.encode(), "U", len(text) // count + 1)
    pictures = [tmp_path / f"code {number}.png" for number in range(len(parts))]
    for picture, part in zip(pictures, parts, strict=True):
        segno.make(part, micro=False).save(str(picture), scale=4)
    told = str(pictures[0]) if count == 1 else shlex.join(map(str, reversed(pictures)))
    answers = papers(tmp_path / "none", "mainnet")
    answers[answers.index(("File, or -", str(tmp_path / "none")))] = ("File, or -", told)
    answers[answers.index(("called", ""))] = ("called", "family")
    left = led(tmp_path / "home", answers)
    assert left.stopped
    assert "vault family: 2-of-3" in left.shown


def test_who_lost_a_computer_is_told_first_where_the_keys_are(tmp_path: Path) -> None:
    file = tmp_path / "family-descriptor.txt"
    file.write_text(descriptor("mainnet"))
    left = led(tmp_path / "home", papers(file, "mainnet", reason="computer"))
    assert left.shown.index("the keys are on the cards") < left.shown.index("empty folder")
    assert asking(tmp_path / "home")("vault", "list")["vaults"][0]["name"] == "family"


def test_a_backup_brings_the_whole_folder_back(tmp_path: Path) -> None:
    old = asking(tmp_path / "old")
    made_vault(old)
    old("backup", "--out", str(tmp_path / "saved"))
    answers = [
        ("Why are you here", "computer"),
        ("press Enter", ""),
        ("press Enter", ""),
        ("What is there", "A backup"),
        ("The file", str(tmp_path / "saved")),
    ]
    assert led(tmp_path / "home", answers).stopped
    assert [card["label"] for card in asking(tmp_path / "home")("card", "list")["cards"]] == [
        *"abc"
    ]


def test_cards_alone_are_told_what_they_lack(tmp_path: Path) -> None:
    answers = [("Why are you here", "papers"), ("What is there", "Cards")]
    left = led(tmp_path / "home", answers)
    assert not left.stopped
    assert "Cards alone do not find the money" in left.shown
    assert not (tmp_path / "home").exists()


def test_without_a_reader_of_pdf_the_paper_itself_is_told_how_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    (tmp_path / "kit.pdf").write_bytes(b"%PDF-1.4")
    told = str(wrong_with(str(tmp_path / "kit.pdf")))
    assert "cardquorum[qr]" in told
    assert "type its lines, or give a picture of each code" in told


def test_a_file_that_is_none_is_told_while_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "kit.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "empty").touch()
    assert wrong_with(str(tmp_path / "nowhere")) == f"there is no file {tmp_path / 'nowhere'}"
    assert wrong_with("'a") == "a quotation mark is missing"
    assert wrong_with("") == "something is wanted here"
    assert "cannot be read as a PDF" in str(wrong_with(str(tmp_path / "kit.pdf")))
    assert "nothing to read" in str(wrong_with(str(tmp_path / "empty")))
    assert wrong_with("-") is None


@pytest.fixture
def inherited(tmp_path: Path) -> Asked:
    """A vault with coins whose owner died, its kits printed."""
    asked = asking(tmp_path / "old")
    made_vault(asked)
    prove_keys(asked)
    asked("kit", "v", "--out", str(tmp_path / "open"), "--location", "at-c")
    asked("kit", "v", "--out", str(tmp_path / "locked"), "--location", "at-a")
    return asked


FIRST_HOURS: list[Answer] = [("press Enter", "")] * 5
"""Nothing today, papers and cards safe, who settles it, the helper, the cards."""


def heir(kit: Path, card: list[Answer]) -> list[Answer]:
    return [
        ("Why are you here", "Somebody died"),
        *FIRST_HOURS,
        ("What is there", "Its kit"),
        ("File, or -", str(kit)),
        ("Which network", "regtest"),
        ("Whom to ask", "software"),
        *card,
    ]


def test_a_locked_kit_without_a_card_waits_for_one(inherited: Asked, tmp_path: Path) -> None:
    assert inherited.home.exists()
    file = tmp_path / "open" / "v-encrypted.txt"
    left = led(tmp_path / "home", heir(file, [("Do it", "Not now")]))
    assert not left.stopped
    assert "opens with a card of the vault" in left.shown
    assert NOTHING_AS_IF_LOST not in left.shown


def test_an_heir_is_led_from_an_empty_folder_to_a_look_and_a_small_sum(
    inherited: Asked, tmp_path: Path
) -> None:
    file, home = tmp_path / "locked" / "v-descriptor.txt", tmp_path / "home"
    begun = led(home, heir(file, []))
    assert begun.stopped
    # The same chain, and the same cards at hand: of software, as no reader is here.
    for folder in ("chain", "emulated"):
        shutil.rmtree(home / folder, ignore_errors=True)
        shutil.copytree(inherited.home / folder, home / folder)
    asked = asking(home)
    for label in "ab":
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    answers = [
        ("Why are you here", "Somebody died"),
        *FIRST_HOURS,
        ("What is there", "Its kit"),
        ("File, or -", str(file)),
        ("Do it", "Not now"),
        ("called", ""),
        ("eight characters", asking(inherited.home)("vault", "show", "v")["checksum"]),
        ("That day", ""),
        ("press Enter", ""),  # the cards are here
        ("Do it", "Do it now"),  # a look
    ]
    left = led(home, answers)
    assert left.stopped
    assert "3 000 000 sat" in left.shown
    assert "try out the cards" in left.shown.lower()
    assert NOTHING_AS_IF_LOST not in left.shown[: left.shown.index("3 000 000 sat")]
    assert "does not mean" not in left.shown


def test_the_kit_itself_as_it_was_written_brings_the_vault_back(
    inherited: Asked, tmp_path: Path
) -> None:
    """Its PDF alone: the name of the vault and all of its codes are in it."""
    assert inherited.home.exists()
    answers = papers(tmp_path / "locked" / "v-kit.pdf", "regtest")
    left = led(tmp_path / "home", answers)
    assert left.stopped
    assert "vault v: 2-of-3" in left.shown
    assert asking(tmp_path / "home")("vault", "list")["vaults"][0]["name"] == "v"


def test_a_look_that_finds_nothing_is_not_told_as_a_loss(tmp_path: Path) -> None:
    file = tmp_path / "family-descriptor.txt"
    file.write_text(descriptor("regtest"))
    answers = papers(file, "regtest")
    chain = answers.index(("Whom to ask", "Nobody"))
    answers[chain] = ("Whom to ask", "software")
    left = led(tmp_path / "home", answers)
    assert "That does not mean that the money is gone" in left.shown
    assert "--rescan 0" in left.shown


def test_who_wants_a_new_vault_is_told_what_to_have(tmp_path: Path) -> None:
    left = led(tmp_path / "home", [("Why are you here", ""), ("Enter to begin", "")])
    assert left.stopped
    assert "three cards, a reader, paper" in left.shown
