"""The kit on paper: read back as a person and as a camera would."""

import hashlib
import io
import json
import shlex
from dataclasses import replace

import pymupdf
import pypdf
import pytest
import zxingcpp
from PIL import Image

from coordinator.errors import UsageError
from coordinator.interop import bbqr
from coordinator.recovery import paper as kit_paper
from coordinator.recovery import typed_lines
from coordinator.recovery.letter import Audience, CardPlace, LaterHands, LetterFacts, written
from coordinator.recovery.steps import (
    SPARROW,
    CardOnPaper,
    LaterSteps,
    StepsFacts,
    with_later_keys,
    with_program,
)

XPUB = "tpubDEfHTixePhNwjfaJMMkMZr9JmzHtM4tRziVMfynm4caMLydAvrjHR9v78XeBH1GU2AnQZSam1bdDW7FcuH2qX"
KEYS = ",".join(f"[{n:08x}/48h/1h/0h/2h]{XPUB}7mxdJfGAkthhN4LUnue5gv/<0;1>/*" for n in range(3))
DESCRIPTOR = f"wsh(sortedmulti(2,{KEYS}))#g0rwfga9"
LONG = "wsh(" + hashlib.shake_256(b"long").hexdigest(1000) + ")#g0rwfga9"
STEPS = StepsFacts(
    vault="family",
    network="regtest",
    threshold=2,
    cards=[CardOnPaper(label, "maker") for label in ("blue", "green", "red")],
    checksum="3",
    chain="regtest:",
    program="cardquorum 7",
    file="family-descriptor.txt",
    secret=False,
    birthday="2026-11-01",
)
LETTER = written(LetterFacts(Audience.LOCKED, 2, 3, "card", "2026-11-23", None))
KIT = kit_paper.Kit(
    vault="family",
    network="regtest",
    threshold=2,
    descriptor=DESCRIPTOR,
    addresses=[f"bcrt1q{n}address" for n in range(3)],
    keys=[
        kit_paper.KeyOnPaper("blue", "card blue (satochip)", "690a3c2f", "48h/1h/0h/2h"),
        kit_paper.KeyOnPaper("green", "card green (tapsigner)", "5b31e0be", "48h/1h/0h/2h"),
        kit_paper.KeyOnPaper(
            "red", "card red (keycard)", "85ee7b16", "48h/1h/0h/2h", "pairs with <it>"
        ),
    ],
    version="3",
    digest="ab" * 32,
    head="cd" * 32,
    date="2026-11-23",
    birthday="2026-11-01",
    timestamp=1793491200,
    program="cardquorum 7",
    letter=LETTER,
    steps=STEPS,
    encrypted="Q" * 700,
)


def text_of(pdf: bytes) -> str:
    pages = pypdf.PdfReader(io.BytesIO(pdf)).pages
    return "\n".join(page.extract_text() for page in pages).replace("\u00a0", " ")


def scanned(pdf: bytes) -> list[str]:
    found = []
    for page in pymupdf.open(stream=pdf):
        picture = Image.open(io.BytesIO(page.get_pixmap(dpi=200).tobytes("png")))
        found += [
            code.text
            for code in zxingcpp.read_barcodes(
                picture, formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
            )
        ]
    return found


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_the_descriptor_can_be_typed_from_it(paper: str) -> None:
    printed = text_of(kit_paper.drawn(KIT, paper)).splitlines()
    typed = [line for line in printed if typed_lines.NUMBERED.fullmatch(line)]
    assert typed_lines.joined(typed) == DESCRIPTOR


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_the_descriptor_can_be_scanned_from_it(paper: str) -> None:
    assert scanned(kit_paper.drawn(KIT, paper)) == [DESCRIPTOR]
    long = scanned(kit_paper.drawn(replace(KIT, descriptor=LONG), paper))
    assert len(long) > 1
    assert bbqr.joined(long) == ("U", LONG.encode())


def test_it_says_all_that_is_needed_and_not_where() -> None:
    said = " ".join(text_of(kit_paper.drawn(KIT, "a4")).split())
    for wanted in (
        "vault family",
        "2 of the 3 keys",
        "690a3c2f",
        "48h/1h/0h/2h",
        "card green (tapsigner)",
        "bcrt1q2address",
        "1793491200",
        "importdescriptors",
        "cardquorum recover",
        "version 3",
        "cardquorum 7",
        "bitcoin-cli -chain=regtest createwallet",
        "page 1 of 4",
        "page 4 of 4",
        "2026-11-01",
        "red: pairs with <it>",
    ):
        assert wanted in said
    assert "Where they lie" not in said
    assert KIT.digest in said.replace(" ", "")
    assert KIT.head in said.replace(" ", "")


def test_places_are_there_when_asked_for_and_the_place_it_is_for() -> None:
    asked = replace(KIT, place="bank", places=[("card blue", "bank, vault & safe")])
    said = text_of(kit_paper.drawn(asked, "a4"))
    assert "Where they lie" in said
    assert "bank, vault & safe" in said
    assert "for bank" in said


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_a_crowd_with_long_names_stays_on_the_paper(paper: str) -> None:
    keys = [KIT.keys[0]._replace(label="W" * 40, carriers="card " + "M" * 40)] * 15
    long = replace(
        KIT,
        vault="V" * 40,
        place="P" * 40,
        keys=keys,
        places=[("M" * 40, "P" * 40)],
        letter=LETTER._replace(cards=[CardPlace("M" * 40, "W" * 40, "Q" * 40)]),
        steps=replace(STEPS, vault="V" * 40, cards=[CardOnPaper("W" * 40, "M" * 20)] * 15),
    )
    pages = pymupdf.open(stream=kit_paper.drawn(long, paper))
    for page in pages:
        room = pymupdf.Rect(40, 0, page.rect.width - 40, page.rect.height)
        assert all(pymupdf.Rect(word[:4]) in room for word in page.get_text("words"))
    assert f"page {len(pages)} of {len(pages)}" in pages[-1].get_text()
    assert not any(page.get_text().rstrip().endswith("Where they lie") for page in pages)


@pytest.mark.parametrize("network", ["mainnet", "testnet4"])
def test_the_commands_for_core_are_shell_and_json(network: str) -> None:
    pages = pypdf.PdfReader(
        io.BytesIO(kit_paper.drawn(replace(KIT, network=network), "letter"))
    ).pages
    text = "\n".join(page.extract_text() for page in pages).replace("\u00a0", " ")
    found = text[text.index("bitcoin-cli") : text.index("DESCRIPTOR is")].replace("\\\n", " ")
    make, fill = (shlex.split(line) for line in found.splitlines() if line.strip())
    chain = [] if network == "mainnet" else [f"-chain={network}"]
    assert make == [
        "bitcoin-cli",
        *chain,
        "createwallet",
        "vault",
        "true",
        "true",
        "",
        "false",
        "true",
    ]
    assert fill[:-1] == ["bitcoin-cli", *chain, "-rpcwallet=vault", "importdescriptors"]
    assert json.loads(fill[-1]) == [{"desc": "DESCRIPTOR", "timestamp": 1793491200, "active": True}]


def test_the_same_kit_gives_the_same_bytes() -> None:
    assert kit_paper.drawn(KIT, "a4") == kit_paper.drawn(KIT, "a4")
    assert kit_paper.drawn(KIT, "a4") != kit_paper.drawn(KIT, "letter")
    assert kit_paper.drawn(KIT, "a4") != kit_paper.drawn(replace(KIT, version="4"), "a4")


def test_it_is_black_on_white() -> None:
    for page in pymupdf.open(stream=kit_paper.drawn(KIT, "a4")):
        assert page.get_pixmap(dpi=50).is_unicolor is False
        picture = Image.open(io.BytesIO(page.get_pixmap(dpi=50).tobytes("png"))).convert("RGB")
        assert all(len(set(rgb)) == 1 for _, rgb in picture.getcolors(1 << 20) or [])


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_a_secret_kit_shows_neither_descriptor_nor_addresses(paper: str) -> None:
    pdf = kit_paper.drawn(replace(KIT, secret=True), paper)
    said = text_of(pdf)
    typed = [line for line in said.splitlines() if typed_lines.NUMBERED.fullmatch(line)]
    assert typed_lines.joined(typed) == KIT.encrypted
    assert bbqr.joined(scanned(pdf)) == ("U", KIT.encrypted.encode())
    for secret in (XPUB[:20], "bcrt1q", KIT.digest[:8], "importdescriptors"):
        assert secret not in said.replace(" ", "")


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_letter_and_steps_have_a_page_each(paper: str) -> None:
    spoken = replace(KIT, above="Dear Ann,\nI am sorry.", below="With love, Tom")
    spoken = replace(spoken, letter=LETTER._replace(cards=[CardPlace("a", None, None)] * 3))
    pages = [page.get_text() for page in pymupdf.open(stream=kit_paper.drawn(spoken, paper))]
    assert "Dear Ann,\nI am sorry.\nDo nothing today\n" in pages[0]
    assert "With love, Tom" in pages[0]
    assert pages[0].count("its PIN note") == 1
    assert "Page two: the steps" in pages[1]
    assert "With Sparrow" in pages[1]
    assert "Technical pages" in pages[2]


def test_words_that_leave_no_room_for_the_letter_are_refused() -> None:
    with pytest.raises(UsageError, match="3000 characters leaves no room"):
        kit_paper.drawn(replace(KIT, above="abcd " * 600), "letter")


@pytest.mark.parametrize("paper", ["a4", "letter"])
@pytest.mark.parametrize("count", [5, 15])
def test_page_one_has_room_for_the_longest_letter_and_its_list(paper: str, count: int) -> None:
    """Names as long as names may be, helpers as long as they are taken, two later branches."""
    name = "a-name-that-is-as-long-as-names-may-be-0"
    hands = LaterHands(2, (name, name, name), "about March 2028", "about 12 months")
    facts = LetterFacts(
        Audience.EXECUTOR, 2, count, "card", "2026-11-23", None, ("Marie " * 13, "Jean " * 16),
        [CardPlace(name, name, name)] * count, without_bank=True, later=(hands, hands),
    )  # fmt: skip
    letter = written(facts)
    pages = pypdf.PdfReader(io.BytesIO(kit_paper.drawn(replace(KIT, letter=letter), paper))).pages
    first = pages[0].extract_text()
    assert "Signed by the owner" in first
    assert not letter.lists_here
    assert "its PIN note" not in first
    assert sum("its PIN note" in page.extract_text() for page in pages) == 1
    few = written(replace(facts, contacts=("Marie", "Jean"), cards=facts.cards[:3], later=()))
    drawn = kit_paper.drawn(replace(KIT, letter=few, above="x" * 300), paper)
    first = pypdf.PdfReader(io.BytesIO(drawn)).pages[0].extract_text()
    assert "its PIN note" in first
    assert "Signed by the owner" in first


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_each_command_is_whole_on_paper_and_page_two_holds_all_steps(paper: str) -> None:
    """The longest of what is usual: a birthday, a server, Sparrow's steps."""
    facts = replace(
        STEPS,
        cards=[CardOnPaper(label, "maker", [SPARROW]) for label in ("blue", "green", "red")],
        checksum="qpzry9x8",
        network="testnet4",
        chain="electrum+ssl://electrum.example.org:50002",
        file="family-encrypted.txt",
        secret=True,
    )
    pages = [page.get_text() for page in pymupdf.open(stream=kit_paper.drawn(
        replace(KIT, steps=facts), paper
    ))]  # fmt: skip
    lines = pages[1].replace(" \\\n", " ").splitlines()
    for step in with_program(facts):
        for command in (step.command or "").splitlines():
            assert command in lines, command
    assert "then Broadcast." in pages[1]
    assert pages[2].startswith("vault family"), "a page three begins the technical pages"
    assert "Technical pages" in pages[2]


@pytest.mark.parametrize("known", [0, 1])
def test_paper_of_keys_kept_elsewhere_refers_to_nothing_that_is_not_there(known: int) -> None:
    cards = [CardOnPaper("blue", "maker")][:known]
    facts = replace(STEPS, cards=cards, secret=True, file="family-encrypted.txt")
    listed = [CardPlace("blue", "home", None)][:known]
    letter = written(LetterFacts(Audience.EXECUTOR, 2, 3, "key", "2026-11-23", None, cards=listed))
    drawn = kit_paper.drawn(replace(KIT, steps=facts, letter=letter, secret=True), "a4")
    text = " ".join(text_of(drawn).split())
    assert ("drawn above" in text) is bool(known)
    assert ("The list below says" in text) is bool(known)
    assert ("card enrol" in text) is bool(known)
    assert ("--key XPUB" in text) is not bool(known), "a card that is at hand opens it"
    assert "spend export ID --out FILE" in text
    assert "spend add ID FILE" in text
    assert "Two of the keys on the next page." in text


def test_a_command_goes_on_below_as_a_shell_reads_it() -> None:
    assert kit_paper.folded("cardquorum sync v") == ["cardquorum sync v"]
    long = f"cardquorum recover {'n' * 40}-encrypted.txt --name {'n' * 40} --checksum {'q' * 8}"
    lines = kit_paper.folded(long)
    assert len(lines) == 2
    assert max(map(len, lines)) <= kit_paper.COMMAND_MAX + 2
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(long)
    assert kit_paper.folded("a" * 200) == ["a" * 200]


def test_later_keys_begin_with_the_steps_that_bring_the_vault_back() -> None:
    heirs = [CardOnPaper("anna", "maker"), CardOnPaper("ben", "maker", path="48h/1h/0h/1h")]
    later = LaterSteps("recovery", 2, [*heirs, heirs[0]], ["anna", "ben"], "a year", None)
    first, *others = with_later_keys(replace(STEPS, later=[later]), later)
    assert "steps 1 to 6 of page two" in first.what
    assert first.command == (
        "cardquorum card enrol anna\ncardquorum card enrol ben --path 48h/1h/0h/1h"
    )
    steps = [step.command or "" for step in with_program(STEPS)]
    assert "cardquorum sync" in steps[5], "step 6 looks for the money"
    assert "card enrol" in steps[3], "step 4 lays the cards on the reader"
    assert "spend sign" in steps[8], "step 9 signs and sends"
    alone = [step.command or "" for step in with_program(replace(STEPS, cards=[]))]
    assert ["sync" in alone[5], "spend add" in alone[8], len(alone)] == [True, True, len(steps)]
    assert "--branch recovery" in str([each.command for each in others])
