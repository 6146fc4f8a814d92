"""A vault comes back by page: from typed lines, a picture of its codes, its file, a locked kit."""

import base64
import io
from pathlib import Path

import pymupdf
import pytest
from PIL import Image

from coordinator.guide.arrival import Reason
from coordinator.recovery.paper import codes_of
from tests.cli.test_kit import typed
from tests.program import PIN, Asked, asking
from tests.web.browser import Answer, Client
from tests.web.chromium import launched, window
from tests.web.conftest import serving
from tests.web.test_exchange import filmed
from tests.web.test_pages import ended, soon


@pytest.fixture
def kit(vault: Asked, tmp_path: Path) -> Path:
    vault("kit", "v", "--out", str(tmp_path / "kit"), "--for", "locked")
    return tmp_path / "kit"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Asked:
    """An empty home on another machine, where card c is at hand."""
    found = asking(tmp_path / "elsewhere")
    found("init", "--network", "regtest")
    return found


def brought(client: Client, **fields: str) -> Answer:
    return client.post("/recover", {"name": "back", **fields}, on="/recover")


@pytest.mark.parametrize("reason", [each for each in Reason if each is not Reason.NEW])
def test_whoever_comes_to_an_empty_home_is_led(elsewhere: Asked, reason: Reason) -> None:
    with serving(elsewhere.home) as page:
        client = Client(page)
        client.enter()
        road = f"/arrival/{reason.value}"
        assert f'href="{road}"' in client.get("/").text
        words = client.get(road).words
        assert "Bring the vault back" in words
        assert "Cards alone do not find the money" in words
        assert "cardquorum restore FILE" in words
        assert ("do nothing with the money today" in words.lower()) == (reason is Reason.DIED)


def test_typed_lines_bring_it_back_and_a_mistyped_one_is_named(
    vault: Asked, kit: Path, elsewhere: Asked
) -> None:
    lines = typed(kit)
    wrong = lines[2][:5] + ("x" if lines[2][5] != "x" else "y") + lines[2][6:]
    own = [each["address"] for each in vault("address", "list", "v")["addresses"]]
    checksum = vault("vault", "show", "v")["checksum"]
    with serving(elsewhere.home) as page:
        client = Client(page)
        client.enter()
        refused = brought(client, text="\n".join([*lines[:2], wrong, *lines[3:]]))
        assert (refused.status, "line 3 was mistyped" in refused.words.lower()) == (400, True)
        assert wrong in refused.words  # nothing typed is lost
        short = brought(client, text="\n".join(lines[:1] + lines[2:]))
        assert "Line 2 of" in short.words
        assert elsewhere("vault", "list")["vaults"] == []
        moved = brought(client, text="\n".join(lines))
        shown = client.get(moved.headers["location"]).words
        assert "If one differs, stop" in shown
        assert " ".join(own[0][at : at + 4] for at in range(0, len(own[0]), 4)) in shown
        assert checksum not in shown  # it has to come from the paper
        client.post("/vaults/back/approve", {"checksum": checksum}, on="/vaults/back")
        client.post("/look", on="/recover/back")
        ended(client)
        after = client.get("/recover/back").words
        assert "Show each card to this computer" in after
        assert "Nothing was found in what was looked at" in after  # this chain holds none of it


def test_a_wrong_checksum_brings_nothing_back(kit: Path, elsewhere: Asked) -> None:
    text = (kit / "v-descriptor.txt").read_text()
    with serving(elsewhere.home) as page:
        client = Client(page)
        client.enter()
        assert brought(client, text=text, checksum="aaaaaaaa").status == 400
        assert elsewhere("vault", "list")["vaults"] == []


@pytest.mark.matrix
def test_a_picture_of_its_codes_brings_it_back(kit: Path, elsewhere: Asked) -> None:
    pages = [
        Image.open(io.BytesIO(p.get_pixmap(dpi=200).tobytes("png")))
        for p in pymupdf.open(kit / "v-kit.pdf")
    ]
    whole = Image.new("RGB", (max(p.width for p in pages), sum(p.height for p in pages)), "white")
    below = 0
    for each in pages:
        whole.paste(each, (0, below))
        below += each.height
    out = io.BytesIO()
    whole.save(out, "PNG")
    with serving(elsewhere.home) as page:
        client = Client(page)
        client.enter()
        moved = brought(client, file=base64.b64encode(out.getvalue()).decode())
        assert moved.headers.get("location") == "/recover/back", moved.words


def test_a_locked_kit_opens_once_a_card_was_shown(
    vault: Asked, kit: Path, elsewhere: Asked
) -> None:
    data = base64.b64encode((kit / "v-encrypted.txt").read_bytes()).decode()
    cards = elsewhere.home / "emulated"
    cards.mkdir()
    (cards / "c.card").write_bytes((vault.home / "emulated" / "c.card").read_bytes())
    with serving(elsewhere.home) as page:
        client = Client(page)
        client.enter()
        refused = brought(client, file=data)
        assert "show one of the vault's cards to this computer first" in refused.words
        soon(lambda: any(each.place == "c" for each in page.context.watch.seen.lying))
        client.post("/cards/known", {"place": "c", "label": "c"}, on="/cards")
        assert "Card c is known now" in ended(client, pin=PIN).words
        moved = brought(client, file=data)
        words = client.get(moved.headers["location"]).words
        assert "nybody who ever saw one of the vault's xpubs" in words


@pytest.mark.parametrize("text", ["", "nonsense", "01 x", "%PDF-1.7"])
def test_what_is_no_kit_brings_nothing_back(client: Client, text: str) -> None:
    assert brought(client, text=text).status == 400


def test_a_refusal_names_the_file_it_is_about(client: Client) -> None:
    for data, told in (
        (b"nonsense", "The file “kit of v.pdf”: "),
        (b"\x89PNG\r\n\x1a\n", "The file “kit of v.pdf” cannot be read as a picture"),
    ):
        sent = {"file": base64.b64encode(data).decode(), "called": "kit of v.pdf"}
        assert told in brought(client, **sent).words
    words = brought(client, **sent, name="no name").words
    assert "The name 'no name'" in words
    assert "The file" not in words


@pytest.mark.matrix
def test_the_camera_brings_it_back_from_the_codes_on_paper(
    vault: Asked, elsewhere: Asked, tmp_path: Path
) -> None:
    shown = vault("vault", "show", "v")
    played = filmed(codes_of(shown["descriptor"]), tmp_path)
    with (
        launched(*played) as browser,
        serving(elsewhere.home) as running,
        window(browser, running, permissions=["camera"]) as opened,
    ):
        opened.go("/recover")
        opened.page.get_by_role("button", name="Read a moving code").click()
        opened.page.get_by_text("All of it was read.").wait_for(timeout=60_000)
        opened.page.locator("#name").fill("back")
        opened.page.get_by_role("button", name="Bring it back").click()
        opened.page.get_by_text("If one differs, stop").wait_for()
        assert opened.wrong == []
        assert opened.faults() == []
    assert elsewhere("vault", "show", "back")["first_address"] == shown["first_address"]
