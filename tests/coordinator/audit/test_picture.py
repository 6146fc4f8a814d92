"""The picture of a vault: few lines cross, nothing leaves its box, nothing stands on another."""

from itertools import combinations, product
from random import Random
from unicodedata import east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.audit.facts import CopyFacts, SecretFacts, VaultFacts
from coordinator.audit.picture import Owned, Picture, crossings, ordered, picture, shortened
from tests.coordinator.audit.test_findings import GOOD, carrier, key, vault

OWNED = Owned("21 sat as of block 7", "last drill 2026-11-30")


def drawn(facts: VaultFacts) -> Picture:
    return picture(facts, (), OWNED)


def joined(random: Random) -> tuple[tuple[int, int, int], list[tuple[int, int]], list]:
    """Return how many keys, things and places there are, and which are joined."""
    keys, things, places = (random.randint(1, 6) for _ in range(3))
    pairs = list(product(range(keys), range(things)))
    held = random.sample(pairs, random.randint(0, len(pairs)))
    return (
        (keys, things, places),
        held,
        [(each, random.randrange(places)) for each in range(things)],
    )


@given(st.randoms(use_true_random=True))
def test_an_order_keeps_all_and_never_crosses_more(random: Random) -> None:
    counts, held, lying = joined(random)
    given_order = [list(range(count)) for count in counts]
    found = ordered(counts, held, lying)
    assert [sorted(order) for order in found] == given_order
    assert crossings(found, held, lying) <= crossings(given_order, held, lying)


@given(st.randoms(use_true_random=True))
def test_crossings_are_pairs_in_opposite_orders(random: Random) -> None:
    counts, held, lying = joined(random)
    orders = [list(range(count)) for count in counts]
    wanted = sum(
        (one[0] - other[0]) * (one[1] - other[1]) < 0
        for edges in (held, lying)
        for one, other in combinations(edges, 2)
    )
    assert crossings(orders, held, lying) == wanted


def test_lines_that_need_not_cross_do_not() -> None:
    held = [(0, 0), (0, 1), (1, 2), (2, 3)]
    lying = [(0, 3), (1, 2), (2, 1), (3, 0)]
    assert crossings(ordered((3, 4, 4), held, lying), held, lying) == 0


def test_a_place_that_is_called_lost_is_not_where_lost_things_are() -> None:
    facts = vault(key("a", carrier("a", "lost")), key("b", carrier("b", None, gone="lost")))
    places = [box for box in drawn(facts).boxes if box.item.column == "place"]
    assert [box.item.name for box in places].count("lost") == 2


def test_a_thing_that_carries_two_keys_is_drawn_once() -> None:
    both = carrier("a", "bank")
    found = drawn(vault(key("a", both), key("b", both)))
    assert [box.item.name for box in found.boxes].count("card:a") == 1
    assert len(found.lines) == 3


@pytest.mark.parametrize("many", [1, 40])
def test_no_box_stands_on_another_or_outside(many: int) -> None:
    secrets = tuple(SecretFacts("pin", ("aunt",), ("bank",)) for _ in range(many))
    copies = tuple(CopyFacts(f"copy:{number}", "home", None) for number in range(many))
    found = drawn(vault(key("a", carrier("a", "bank", secrets=secrets)), *GOOD[1:], copies=copies))
    for one, other in combinations(found.boxes, 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        low, high = sorted((one, other), key=lambda box: box.y)
        assert beside or low.y + low.item.height <= high.y
    assert all(box.y >= 0 and box.y + box.item.height <= found.height for box in found.boxes)
    assert max(box.item.height for box in found.boxes) < 200
    assert next(str(each) for each in found.said if each.title == "at home").count("kit") == many


@given(st.text(max_size=30), st.integers(1, 20))
def test_a_shortened_text_has_room(text: str, room: int) -> None:
    shown = shortened(text, room)
    width = sum(2 if east_asian_width(letter) in "WF" else 1 for letter in shown)
    assert shown == text or (shown.endswith("\N{HORIZONTAL ELLIPSIS}") and width <= room)


def test_a_key_without_carriers_is_held_elsewhere() -> None:
    found = drawn(vault(*GOOD[:2], key("c")))
    assert "key c: held elsewhere" in [str(each) for each in found.said]
