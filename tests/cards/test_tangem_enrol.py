"""A Tangem nobody knows is enrolled, and its siblings as carriers of one key."""

from pathlib import Path

import pytest

from cards.family import Surroundings
from cards.pin import Pin
from cards.session import CardIdentity
from cards.tangem.emulator import TangemEmulator, backup_set
from cards.tangem.session import open_session
from coordinator.demo import DEMO_PIN, Guide
from coordinator.enrolment.enrol import CardAtSlot, Enrolled, enrol
from coordinator.enrolment.pins import change_pin
from coordinator.home.settings import Home, create_home
from coordinator.readers.slots import FolderMemory, Slot
from storage import cards as card_book
from storage.database import open_database


@pytest.mark.parametrize("profile", ["4.52", "6.33"])
def test_siblings_of_a_backup_set_are_enrolled_as_carriers_of_one_key(
    profile: str, tmp_path: Path
) -> None:
    home = create_home(tmp_path / "home", "regtest")
    database = open_database(home.database_url)
    said: list[str] = []
    guide = Guide(said.append, lambda _review: None)

    def enrolled(label: str, card: TangemEmulator) -> Enrolled:
        return enrol(home, database, CardAtSlot(label, slot(home, label, card)), attendant=guide)

    try:
        first, second = backup_set(profile, 2)
        found = [enrolled("one", coded(first)), enrolled("two", coded(second))]
        assert found[0].key == found[1].key
        assert found[0].identity.card_id != found[1].identity.card_id
        assert sum("tells nothing without it" in line for line in said) == 2
        enrolled("one", first)
        assert sum("tells nothing without it" in line for line in said) == 2
        with database.begin() as db:
            keys = {
                key.label for name in ("one", "two") for key in card_book.keys_of_card(db, name)
            }
            siblings = [card_book.card_named(db, name).siblings for name in ("one", "two")]
        assert len(keys) == 1
        assert siblings == [1, 1]
    finally:
        database.kw["bind"].dispose()


class Asked(Guide):
    """A guide that counts how often it is asked for a PIN."""

    asked = 0

    def pin_for(self, label: str, card: CardIdentity) -> Pin:
        object.__setattr__(self, "asked", self.asked + 1)
        return super().pin_for(label, card)


def test_the_code_of_a_card_nobody_recognises_is_asked_for_once(tmp_path: Path) -> None:
    home = create_home(tmp_path / "home", "regtest")
    database = open_database(home.database_url)
    (card,) = backup_set("6.33", 1)
    place = slot(home, "one", coded(card))
    guide = Asked(lambda _text: None, lambda _review: None)
    try:
        enrol(home, database, CardAtSlot("one", place), attendant=guide)
        for left, expected in (("recognised", 1), ("forgotten", 1)):
            if left == "forgotten":
                for memory in home.card_memory.iterdir():
                    memory.unlink()
            before = guide.asked
            change_pin(database, CardAtSlot("one", place), guide)
            assert guide.asked - before == expected
    finally:
        database.kw["bind"].dispose()


def coded(card: TangemEmulator) -> TangemEmulator:
    session = open_session(card.insert(), Surroundings())
    session.initialise({"pin": Pin(DEMO_PIN)})
    session.close()
    return card


def slot(home: Home, name: str, card: TangemEmulator) -> Slot:
    memory = FolderMemory(home.card_memory)
    return Slot(name, emulated=True, connect=card.insert, surroundings=Surroundings(memory=memory))
