from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from storage import cards
from storage.errors import AlreadyExists, NotFound, StorageError
from tests.storage.making import NOW, add_card, add_key

LATER = NOW + timedelta(days=1)


def test_a_card_is_found_by_label_by_identity_and_by_item(db: Session) -> None:
    blue, red = add_card(db, "blue"), add_card(db, "red")
    assert cards.card_named(db, "blue") is blue
    assert cards.card_with_id(db, "satochip", "id-red") is red
    assert cards.card_with_id(db, "tapsigner", "id-red") is None
    assert cards.card_of_item(db, blue.item) is blue
    assert [card.label for card in cards.all_cards(db)] == ["blue", "red"]


def test_a_card_that_is_not_there_is_named(db: Session) -> None:
    assert cards.find_card(db, "green") is None
    with pytest.raises(NotFound, match="there is no card green") as missing:
        cards.card_named(db, "green")
    assert (missing.value.kind, missing.value.name) == ("card", "green")


def test_two_cards_never_share_a_label_or_an_identity(db: Session) -> None:
    add_card(db, "blue")
    with pytest.raises(AlreadyExists, match="card blue exists already"):
        add_card(db, "blue", card_id="another")
    with pytest.raises(AlreadyExists, match="card blue exists already"):
        add_card(db, "red", card_id="id-blue")


def test_a_card_without_an_emulator_is_a_real_one(db: Session) -> None:
    real = cards.add_card(
        db,
        label="real",
        family="satochip",
        card_id="1",
        version="0.14",
        emulated_name=None,
        now=NOW,
    )
    assert (real.emulated, real.emulator_name) == (False, None)
    assert (add_card(db, "blue").emulated, cards.card_named(db, "blue").emulator_name) == (
        True,
        "blue",
    )


def test_a_new_card_is_unproven_until_it_was_asked(db: Session) -> None:
    blue = add_card(db, "blue")
    assert blue.attestation == "unproven"
    cards.attested(db, blue, "genuine", reason="its chain ends in the maker's root", now=LATER)
    assert (blue.attestation, blue.attested_at) == ("genuine", LATER)
    with pytest.raises(StorageError, match="attestation_known"):
        cards.attested(db, blue, "failed", reason="never stored", now=LATER)


def test_a_key_is_known_whole(db: Session) -> None:
    key = add_key(db, 1)
    assert cards.key_like(db, key.public_key, key.chain_code) is key
    assert cards.key_like(db, key.public_key, bytes([1]) * 32) is None
    assert cards.key_like(db, b"\x03" + key.public_key[1:], key.chain_code) is None
    assert cards.key_named(db, "key1") is key
    assert cards.all_keys(db) == [key]


def test_a_key_is_stored_once(db: Session) -> None:
    add_key(db, 1)
    with pytest.raises(AlreadyExists, match="key key1 exists already"):
        add_key(db, 1, "other")
    with pytest.raises(AlreadyExists, match="key key1 exists already"):
        add_key(db, 2, "key1")
    add_key(db, 1, "same-point", chain_code=bytes([1]) * 32)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fingerprint", bytes(3)),
        ("public_key", bytes(32)),
        ("chain_code", bytes(33)),
        ("parent_fingerprint", b""),
        ("depth", 256),
        ("child_number", 2**32),
        ("child_number", -1),
        ("created_on", "moon"),
    ],
)
def test_what_cannot_be_a_key_is_refused(db: Session, field: str, value: object) -> None:
    with pytest.raises(StorageError, match=field):
        add_key(db, 1, **{field: value})


def test_a_key_gets_a_label_nobody_has(db: Session) -> None:
    assert cards.free_key_label(db, "blue") == "blue"
    add_key(db, 1, "blue")
    assert cards.free_key_label(db, "blue") == "blue-2"
    add_key(db, 2, "blue-2")
    assert cards.free_key_label(db, "blue") == "blue-3"
    assert cards.free_key_label(db, "b") == "b"
    assert cards.free_key_label(db, "b_ue") == "b_ue"


def test_one_key_may_have_several_carriers(db: Session) -> None:
    key, blue, red = add_key(db, 1), add_card(db, "blue"), add_card(db, "red")
    assert key.carriers == []
    first = cards.add_carrier(db, key, blue.item, now=NOW)
    cards.add_carrier(db, key, red.item, now=NOW)
    assert cards.add_carrier(db, key, blue.item, now=LATER) is first
    assert [carrier.item.name for carrier in key.carriers] == ["blue", "red"]
    assert cards.cards_with_key(db, key) == [blue, red]
    assert cards.cards_with_key(db, add_key(db, 2)) == []


def test_the_key_of_a_card_is_the_newest_of_the_network(db: Session) -> None:
    blue, red = add_card(db, "blue"), add_card(db, "red")
    old, new = add_key(db, 2), add_key(db, 1)
    main = add_key(db, 3, network="mainnet")
    for key in (old, new, main):
        cards.add_carrier(db, key, blue.item, now=NOW)
    assert cards.key_of_card(db, "blue", "regtest") is new
    assert cards.key_of_card(db, "blue", "mainnet") is main
    assert cards.keys_of_card(db, "blue") == [old, new, main]
    assert cards.keys_of_card(db, red.label) == []
    with pytest.raises(NotFound, match="no signet key of card blue"):
        cards.key_of_card(db, "blue", "signet")
    with pytest.raises(NotFound, match="no card green"):
        cards.key_of_card(db, "green", "regtest")


def test_a_forgotten_card_frees_its_names_and_keeps_its_history(db: Session) -> None:
    key, blue = add_key(db, 1), add_card(db, "blue")
    cards.add_carrier(db, key, blue.item, now=NOW)
    old_item = blue.item
    cards.forget_card(db, blue, LATER)
    assert cards.find_card(db, "blue") is None
    assert cards.card_with_id(db, "satochip", "id-blue") is None
    assert cards.all_cards(db) == []
    assert cards.cards_with_key(db, key) == []
    assert key.carriers == []
    assert cards.card_of_item(db, old_item) is blue

    again = add_card(db, "blue")
    cards.add_carrier(db, key, again.item, now=LATER)
    assert again.item_id != old_item.id
    assert [carrier.item for carrier in key.carriers] == [again.item]
    assert cards.keys_of_card(db, "blue") == [key]


def test_forgetting_one_card_leaves_the_others(db: Session) -> None:
    key, blue, red = add_key(db, 1), add_card(db, "blue"), add_card(db, "red")
    for card in (blue, red):
        cards.add_carrier(db, key, card.item, now=NOW)
    cards.forget_card(db, blue, LATER)
    assert cards.cards_with_key(db, key) == [red]


def test_a_thing_has_a_name_among_its_kind(db: Session) -> None:
    bag = cards.add_item(db, "bag", "4711", now=NOW)
    cards.add_item(db, "plate", "4711", now=NOW)
    assert cards.find_item(db, "bag", "4711") is bag
    assert cards.find_item(db, "bag", "4712") is None
    with pytest.raises(AlreadyExists, match="bag 4711 exists already"):
        cards.add_item(db, "bag", "4711", now=NOW)
    with pytest.raises(StorageError, match="kind_known"):
        cards.add_item(db, "spoon", "1", now=NOW)
