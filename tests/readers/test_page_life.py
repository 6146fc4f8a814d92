"""The whole life of a vault by page in a real browser, its cards on virtual readers.

Set up, proved, paid with a wrong PIN, a wrong card and a card torn out, robbed of a card, replaced,
and brought back from its kit on another computer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("starlette", reason="the page's extra is not installed")

from cards.emulation import create_card, open_card
from cards.family import family_named
from tests.cli.test_kit import typed
from tests.program import PIN, Asked, asking
from tests.readers.conftest import Put, reader
from tests.web.chromium import Watched, launched, window
from tests.web.conftest import serving
from tests.web.test_whole_life import FOREIGN, press

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.matrix
PUKS = {"satochip": "12345678", "keycard": "123456789012"}
PLACES = {"blue": ("home", "home"), "red": ("aunt", "friend"), "green": ("bank", "bank-vault")}
FAMILIES = {"blue": "tapsigner", "red": "satochip", "green": "keycard"}
NUMBERS = {"blue": 0, "red": 1, "green": 2, "white": 0}
WRONG = "999999"


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with launched() as found:
        yield found


@dataclass
class Person:
    """Somebody at the page with cards in hand, and at a terminal beside it."""

    opened: Watched
    asked: Asked
    put: Put
    cards: Path

    @property
    def page(self) -> "Page":
        return self.opened.page

    def press(self, name: str) -> None:
        press(self.page, name)

    def lay(self, label: str, number: int | None = None) -> None:
        """Lay a card on its reader; a new one is of its family, fresh from its maker."""
        file = self.cards / f"{label}.card"
        if not file.exists():
            family = family_named(FAMILIES.get(label, "tapsigner"))
            create_card(file, family, family.profiles[-1])
        self.put(NUMBERS[label] if number is None else number, lambda: open_card(file))

    def take(self, number: int) -> None:
        self.put.readers[number].close()

    def question(self) -> str:
        """Wait until the task asks something, or is over; return what it asks for."""
        found = self.page.locator("input[name=question], form[action='/task/leave']").first
        found.wait_for(state="attached")
        field = self.page.locator("input[name=question]")
        return (field.get_attribute("value") or "") if field.count() else ""

    def answer(self, pin: str = PIN) -> None:
        """Answer the question that is open, whatever it asks for."""
        asked = self.question()
        if self.page.locator("input[name=digest]").count():
            for box in self.page.locator("input[type=checkbox]").all():
                box.check()
            self.press("Yes, the cards shall sign it")
        else:
            for field in self.page.locator("input[type=password]").all():
                field.fill(pin)
            self.page.locator("#main form button.first").first.click()
        self.page.wait_for_function(
            "(id) => document.querySelector('[name=question]')?.value !== id", arg=asked
        )

    def finish(self) -> None:
        """Answer until the task is over, then leave it."""
        while self.question():
            self.answer()
        self.press("Go on")


@pytest.fixture
def someone(asked: Asked, browser: "Browser", put: Put, tmp_path: Path) -> Iterator[Person]:
    asked("init", "--network", "regtest")
    (tmp_path / "cards").mkdir()
    with serving(asked.home) as running, window(browser, running) as opened:
        yield Person(opened, asked, put, tmp_path / "cards")
        assert opened.wrong == []


def set_up(person: Person, label: str) -> None:
    """Set a card up: on the page, or where it gets secrets, in the terminal while that waits."""
    person.opened.go("/cards")
    person.lay(label)
    page, family = person.page, FAMILIES.get(label, "tapsigner")
    page.get_by_label("A name for it").fill(label)
    person.press("Set it up")
    if family == "tapsigner":
        person.finish()
        return
    page.get_by_text("goes on by itself").wait_for()
    command = page.locator("code.command").inner_text()
    assert f"card setup {label} --generate --reader '{reader(NUMBERS[label])}'" in command
    out = ("--words-out", str(person.cards / f"{label}.words")) if family == "satochip" else ()
    words = ("card", "setup", label, "--generate", "--reader", reader(NUMBERS[label]), *out)
    person.asked(*words, "--pin-stdin", stdin=f"{label}={PIN}\n{label}.puk={PUKS[family]}\n")
    page.get_by_role("heading", name=f"Card {label}", exact=True).wait_for()  # it went on by itself
    assert PUKS[family] not in page.content()


def placed(person: Person, label: str) -> None:
    page = person.page
    person.opened.go("/places")
    place, kind = PLACES[label]
    page.locator("#name").fill(place)
    page.locator("#placekind").select_option(kind)
    person.press("Add the place")
    page.locator("#item").select_option(f"card:{label}")
    page.locator("#at").select_option(place)
    page.get_by_role("button", name="Write it down").first.click()


def vault_made(person: Person) -> None:
    page = person.page
    person.opened.go("/vaults")
    page.get_by_label("A name for the vault").fill("family")
    person.press("Make the vault")
    person.press("Have the cards prove their keys")
    person.finish()
    for place in ("home", "aunt", "bank"):
        person.opened.go("/papers/family")
        page.locator("#place").select_option(place)
        person.press("Make the kit")
        page.get_by_text("Ready to print").wait_for()
    person.opened.go("/receive/family")
    person.press("Show me an address")
    page.get_by_role("link", name="Play money").click()
    person.press("Send it")
    page.get_by_text("1 000 000 sat").first.wait_for()
    person.opened.go("/vaults/family")
    person.press("Begin a new one")
    person.finish()


def begin_payment(person: Person) -> str:
    person.opened.go("/pay/new/family")
    person.page.get_by_label("Who is paid?").fill(FOREIGN)
    person.page.get_by_label("How much?").fill("20 000 sat")
    person.press("Show me the payment")
    person.page.get_by_role("heading", name="Sign it").wait_for()
    return person.page.url.rpartition("/")[2]


def pay(person: Person) -> str:
    """Pay with a wrong PIN, a wrong card, and a card that is torn out and comes back."""
    page, payment = person.page, begin_payment(person)
    for number in (0, 2):
        person.take(number)
    person.press("Have the cards sign it")
    person.answer()  # the review
    person.answer(WRONG)  # to red, the only one that is there
    page.get_by_text("attempts: 4 left").first.wait_for()
    page.get_by_text("now the card labelled blue").first.wait_for()
    person.take(1)
    person.lay("red")
    person.question()
    page.get_by_text("4 PIN attempts left").first.wait_for()
    person.answer()
    person.take(1)
    person.lay("white", 1)  # of no vault
    said = re.compile(r"Reader virtual 1 00 00: (?!now)")
    page.locator("li").filter(has_text=said).first.wait_for()
    person.take(1)
    person.lay("green", 1)
    person.question()
    person.take(1)  # torn out while its PIN is asked for
    person.answer()
    page.get_by_text("put it back").or_(page.get_by_text("lost")).first.wait_for()
    person.lay("green", 1)
    person.finish()
    assert person.asked("spend", "show", payment)["have"] == 2
    sent(person)
    return payment


def sent(person: Person) -> None:
    person.press("Send it now")
    person.finish()
    person.page.get_by_role("link", name="Play money").click()
    person.press("Six blocks")


def replaced(person: Person) -> None:
    """Lose a card, and do what the page says until nothing of it is left."""
    page = person.page
    person.opened.go("/happened")
    page.get_by_role("link", name="A card is lost").click()
    page.get_by_role("link", name="green", exact=True).click()
    page.get_by_role("button", name="Write it down").click()
    page.get_by_text("You can still spend it").wait_for()
    person.take(2)
    person.take(0)
    set_up(person, "white")
    person.opened.go("/places")
    page.locator("#item").select_option("card:white")
    page.locator("#at").select_option("bank")
    page.get_by_role("button", name="Write it down").first.click()
    person.opened.go("/happened/replace/family")
    person.press("Make the new vault")
    page.get_by_text("takes the place of vault family").wait_for()
    person.take(0)
    person.lay("blue")
    person.lay("red")
    person.lay("white", 2)
    replacing = page.url
    successor = person.asked("replace", "show", "family")["successor"]
    person.opened.go(f"/vaults/{successor}")
    person.press("Have the cards prove their keys")
    person.finish()
    page.goto(replacing)
    page.get_by_role("listitem").filter(has_text="payment").get_by_role("link").first.click()
    person.press("Have the cards sign it")
    person.finish()
    sent(person)
    for place in ("home", "aunt", "bank"):
        person.opened.go(f"/papers/{successor}")
        page.locator("#place").select_option(place)
        person.press("Make the kit")
        page.get_by_text("Ready to print").wait_for()
    page.goto(replacing)
    while page.get_by_role("button", name="It is destroyed").count():
        person.press("It is destroyed")
        page.get_by_text("takes the place of vault family").wait_for()
    assert page.get_by_text("To do", exact=True).count() == 0


def test_the_whole_life_of_a_vault_on_readers(
    someone: Person, browser: "Browser", tmp_path: Path
) -> None:
    for label in FAMILIES:
        set_up(someone, label)
        placed(someone, label)
    vault_made(someone)
    pay(someone)
    replaced(someone)
    brought_back(someone, browser, tmp_path)


def brought_back(person: Person, browser: "Browser", folder: Path) -> None:
    """Bring the vault back on another computer: its lines are typed, a card is shown."""
    vault = person.asked("replace", "show", "family")["successor"]
    (kit,) = (person.asked.home.parent / "home-kits").glob(f"{vault}-bank")
    (kit / f"{vault}-kit.pdf").rename(kit / "v-kit.pdf")
    shown = person.asked("vault", "show", vault)
    other = asking(folder / "other")
    other("init", "--network", "regtest")
    with serving(other.home) as running, window(browser, running) as opened:
        again = Person(opened, other, person.put, person.cards)
        page = opened.page
        page.get_by_role("link", name="My computer with the vault is gone").click()
        page.get_by_role("link", name="Bring the vault back").click()
        page.locator("#text").fill("\n".join(typed(kit)))
        page.get_by_label("A name for the vault here").fill("family")
        again.press("Bring it back")
        first = shown["first_address"]
        page.get_by_text(first[:4], exact=True).first.wait_for()
        page.get_by_role("link", name="They are the same").click()
        page.get_by_label("The eight characters").fill(shown["checksum"])
        again.press("It is the same")
        opened.go("/cards")
        page.get_by_label("A name for it").first.wait_for()
        box = page.get_by_role("article").filter(has_text=reader(0))
        box.get_by_label("A name for it").fill("blue")
        box.get_by_role("button", name="Make it known").click()
        again.finish()
        assert opened.wrong == []
    assert other("card", "show", "blue")["keys"]
