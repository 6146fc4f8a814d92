"""The letter of each kind of kit is judged by the twelve points, on either paper."""

import itertools
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.letter_judge import POINTS, missed, printed
from tests.cli.test_branches import TWO_OF_THREE, TWO_STAGES, create, made_branches
from tests.cli.test_other_wallets import ENROL, watched
from tests.cli.test_taproot import create as create_leaf
from tests.cli.test_taproot import made_leaf
from tests.once import copy_of
from tests.program import PIN, Asked, asking, made_vault, prove_keys

AUDIENCES = ("open", "locked", "executor")
PAPERS = ("a4", "letter")
HELPERS: tuple[tuple[str, ...], ...] = (
    (),
    ("Marie Dupont, +33 1 23 45 67 89",),
    ("Marie Dupont, +33 1 23 45 67 89", "Jean Paul Meier, jean@example.org"),
)


def three_cards(home: Path) -> None:
    """Three cards at three places, their keys proved, a drill done: the usual vault."""
    made_vault(asking(home))
    prove_keys(asking(home))


def several_vaults(home: Path) -> None:
    """A second vault of two of the cards: none of its names is in the first one's letter."""
    three_cards(home)
    asking(home)("vault", "create", "holiday", "--threshold", "1", "--card", "a", "--card", "b")


def no_card(home: Path) -> None:
    """A vault that is only watched: keys of cards nobody enrolled here."""
    imported(home, enrol=False)


def one_card_of_three(home: Path) -> None:
    """One of its cards is known here, the others are kept elsewhere."""
    imported(home, enrol=True)


def imported(home: Path, *, enrol: bool) -> None:
    source = home.parent / "source"
    made_vault(asking(source / "home"))
    descriptor = asking(source / "home")("vault", "show", "v")["descriptor"]
    heirs = watched(source, descriptor)
    if enrol:
        heirs(*ENROL, stdin=PIN)
    shutil.move(heirs.home, home)


def later(home: Path) -> None:
    """Two of three later cards open it after a wait."""
    made_branches(asking(home))
    create(asking(home), *TWO_OF_THREE)


def later_twice(home: Path) -> None:
    """One stage of later cards after the other."""
    made_branches(asking(home))
    create(asking(home), *TWO_STAGES)


def leaf(home: Path) -> None:
    """A quorum in a leaf of taproot."""
    made_leaf(asking(home))
    create_leaf(asking(home))


KINDS: dict[Callable[[Path], None], str] = {
    three_cards: "v", several_vaults: "v", no_card: "w", one_card_of_three: "w", later: "w",
    later_twice: "w", leaf: "w",
}  # fmt: skip


def cards_of(asked: Asked, vault: str) -> dict[str, str | None]:
    """Return where each card lies that has a key of a vault, as far as it is known."""
    shown = asked("vault", "show", vault)
    keys = [key for branch in shown["branches"] for key in branch["keys"]]
    known = {card["label"]: card["location"] for card in asked("card", "list")["cards"]}
    own = {each.partition(":")[2] for key in shown["cosigners"] for each in key["carriers"]}
    return {card: place for card, place in known.items() if card in {*own, *keys}}


SHOWN = {(later, "executor", "letter"), (one_card_of_three, "open", "a4")}
"""One case of each sort; all others are for `make test-all`."""


def with_marks() -> list[object]:
    """Return each kind for each audience on either paper."""
    return [
        pytest.param(
            *case,
            id="-".join([case[0].__name__, *case[1:]]),
            marks=() if case in SHOWN else pytest.mark.matrix,
        )
        for case in itertools.product(KINDS, AUDIENCES, PAPERS)
    ]


@pytest.mark.parametrize(("kind", "audience", "paper"), with_marks())
def test_a_letter_meets_the_twelve_points(
    tmp_path: Path, kind: Callable[[Path], None], audience: str, paper: str
) -> None:
    home, vault = tmp_path / "home", KINDS[kind]
    copy_of(kind, home)
    asked = asking(home)
    cards = cards_of(asked, vault)
    for number, contacts in enumerate(HELPERS):
        words = [word for contact in contacts for word in ("--contact", contact)]
        said = asked(
            "kit", vault, "--out", str(tmp_path / f"kit-{number}"), "--paper", paper,
            "--for", audience, *words, "--accept", "policy_not_approved",
        )  # fmt: skip
        kit = printed(said, contacts, cards)
        assert list(missed(kit)) == []
        assert "holiday" not in "".join(kit.pages)


SPOILT = {
    1: ("Signed by the owner", "Signed"),
    2: ("Meet in person", "Meet in person" + " and so on" * 9),
    3: ("this paper", "this descriptor"),
    4: ("Do nothing today\nYou", "You"),
    5: ("Marie", "Maria"),
    6: ("Watch each step", "Never hurry"),
    7: ("You can do it without the bank", "Go there"),
    8: ("No bank", "0.5 BTC: no bank"),
    9: ("at-b", "at-x"),
    10: ("Send a small sum first. ", ""),
    11: ("Stopping loses nothing. ", ""),
    12: ("Older letters no longer count.", ""),
}
"""What is changed on page one so that a point is missed."""


def test_each_of_the_twelve_points_can_be_missed(tmp_path: Path) -> None:
    copy_of(three_cards, tmp_path / "home")
    words = ("kit", "v", "--out", str(tmp_path / "kit"), "--for", "executor", "--contact", "Marie")
    asked = asking(tmp_path / "home")
    kit = printed(asked(*words), ["Marie"], cards_of(asked, "v"))
    assert list(missed(kit)) == []
    assert SPOILT.keys() == set(range(1, len(POINTS) + 1))
    for number, (told, spoilt) in SPOILT.items():
        first = re.sub(re.escape(told).replace(r"\ ", r"\s"), spoilt, kit.pages[0], count=1)
        assert first != kit.pages[0], number
        found = list(missed(replace(kit, pages=[first, *kit.pages[1:]])))
        assert any(each.startswith(f"{number}:") for each in found), (number, found)
