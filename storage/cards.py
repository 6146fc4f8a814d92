"""Cards, the keys they carry, and the things both are known by."""

from collections.abc import Sequence
from datetime import datetime
from typing import NotRequired, TypedDict, Unpack

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, selectinload

from storage.errors import NotFound
from storage.lookup import absent, first_free, present
from storage.model import Card, Carrier, Item, Key


class NewKey(TypedDict):
    """What a key is known by; the path as text, the network by name."""

    label: str
    network: str
    fingerprint: bytes
    path: str
    public_key: bytes
    chain_code: bytes
    depth: int
    parent_fingerprint: bytes
    child_number: int
    created_on: str
    made_at: NotRequired[datetime | None]


class NewCard(TypedDict):
    """What a card says of itself, and the name it gets here; emulated cards have one more."""

    label: str
    family: str
    card_id: str
    version: str
    emulated_name: str | None


def add_key(db: Session, *, now: datetime, **known: Unpack[NewKey]) -> Key:
    """Remember a key; raises AlreadyExists for its label or for the key itself."""
    twin = key_like(db, known["public_key"], known["chain_code"])
    absent(twin, "key", twin.label if twin else "")
    absent(_key_labelled(db, known["label"]), "key", known["label"])
    key = Key(**known, created_at=now, carriers=[])
    db.add(key)
    db.flush()
    return key


def key_like(db: Session, public_key: bytes, chain_code: bytes) -> Key | None:
    """Return the key that is this one, whole."""
    wanted = (Key.public_key == public_key) & (Key.chain_code == chain_code)
    return db.scalars(select(Key).where(wanted)).one_or_none()


def key_named(db: Session, label: str) -> Key:
    """Return the key of this label; raises NotFound."""
    return present(_key_labelled(db, label), "key", label)


def all_keys(db: Session) -> Sequence[Key]:
    """Return every key by label."""
    return db.scalars(select(Key).order_by(Key.label)).all()


def free_key_label(db: Session, wanted: str) -> str:
    """Return the label wanted, or the first of label-2, label-3… no key has."""
    return first_free(wanted, db.scalars(select(Key.label)))


def add_card(db: Session, *, now: datetime, **said: Unpack[NewCard]) -> Card:
    """Remember a card and the item it is; not attested yet. Raises AlreadyExists."""
    absent(find_card(db, said["label"]), "card", said["label"])
    twin = card_with_id(db, said["family"], said["card_id"])
    absent(twin, "card", twin.label if twin else "")
    emulator_name = said["emulated_name"]
    card = Card(
        label=said["label"],
        family=said["family"],
        card_id=said["card_id"],
        version=said["version"],
        emulated=emulator_name is not None,
        emulator_name=emulator_name,
        item=add_item(db, "card", said["label"], now=now),
        attestation="unproven",
        attestation_reason="it was never asked",
        attested_at=now,
        siblings=0,
        enrolled_at=now,
    )
    db.add(card)
    db.flush()
    return card


def attested(db: Session, card: Card, result: str, *, reason: str, now: datetime) -> None:
    """Remember how far the card proved to be genuine this time."""
    card.attestation, card.attestation_reason, card.attested_at = result, reason, now
    db.flush()


def find_card(db: Session, label: str) -> Card | None:
    """Return the card of this label, unless it was forgotten."""
    return db.scalars(_known_cards().where(Card.label == label)).one_or_none()


def card_named(db: Session, label: str) -> Card:
    """Return the card of this label; raises NotFound."""
    return present(find_card(db, label), "card", label)


def card_with_id(db: Session, family: str, card_id: str) -> Card | None:
    """Return the card that is this one, unless it was forgotten."""
    wanted = (Card.family == family) & (Card.card_id == card_id)
    return db.scalars(_known_cards().where(wanted)).one_or_none()


def card_of_item(db: Session, item: Item) -> Card | None:
    """Return the card an item is, forgotten or not."""
    return db.scalars(select(Card).where(Card.item_id == item.id)).one_or_none()


def all_cards(db: Session) -> Sequence[Card]:
    """Return every card that was not forgotten, by label."""
    return db.scalars(_known_cards().order_by(Card.label)).all()


def forget_card(db: Session, card: Card, now: datetime) -> None:
    """Free the card's label and identity; its events stay, its key has one carrier less."""
    retire_carriers(db, card.item, keys_of_card(db, card.label), now=now)
    card.forgotten_at = card.item.retired_at = now
    db.flush()


def add_item(db: Session, kind: str, name: str, *, now: datetime) -> Item:
    """Remember a thing custody events can be about; raises AlreadyExists."""
    absent(find_item(db, kind, name), kind, name)
    item = Item(kind=kind, name=name, created_at=now)
    db.add(item)
    db.flush()
    return item


def free_item_name(db: Session, kind: str, wanted: str) -> str:
    """Return the name wanted, or the first of name-2, name-3… no thing of this kind has."""
    taken = select(Item.name).where(Item.kind == kind, Item.retired_at.is_(None))
    return first_free(wanted, db.scalars(taken))


def find_item(db: Session, kind: str, name: str) -> Item | None:
    """Return the thing of this kind and name, unless it is retired."""
    wanted = (Item.kind == kind) & (Item.name == name) & Item.retired_at.is_(None)
    return db.scalars(select(Item).where(wanted)).one_or_none()


def add_carrier(db: Session, key: Key, item: Item, *, now: datetime) -> Carrier:
    """Remember that an item carries a key; saying so twice changes nothing."""
    wanted = (Carrier.key_id == key.id) & (Carrier.item_id == item.id)
    carrier = db.scalars(select(Carrier).where(wanted)).one_or_none()
    if carrier is None:
        carrier = Carrier(key=key, item=item, created_at=now)
        db.add(carrier)
    carrier.retired_at = None
    db.flush()
    db.expire(key, ["carriers"])
    return carrier


def retire_carriers(db: Session, item: Item, keys: Sequence[Key], *, now: datetime) -> None:
    """Remember that an item no longer carries these keys."""
    wanted = (Carrier.item_id == item.id) & Carrier.key_id.in_([key.id for key in keys])
    for carrier in db.scalars(_live_carriers().where(wanted)):
        carrier.retired_at = now
    db.flush()
    db.expire_all()


def hand_over(db: Session, old: Item, new: Item) -> None:
    """Have a thing carry the keys of another, which was the same thing under a wrong name."""
    for carrier in db.scalars(_live_carriers().where(Carrier.item_id == old.id)):
        carrier.item = new
    db.flush()
    db.expire_all()


def all_carriers(db: Session) -> Sequence[Carrier]:
    """Return every carrier that is in use, the oldest first, with its key."""
    with_keys = _live_carriers().options(selectinload(Carrier.key))
    return db.scalars(with_keys.order_by(Carrier.id)).all()


def ever_carried(db: Session) -> frozenset[int]:
    """Return the ids of the keys that anything was ever known to carry, retired or not."""
    return frozenset(db.scalars(select(Carrier.key_id)))


def cards_by_item(db: Session) -> dict[int, Card]:
    """Return every card, forgotten or not, by the id of the item it is."""
    return {card.item_id: card for card in db.scalars(select(Card))}


def keys_of_card(db: Session, label: str) -> Sequence[Key]:
    """Return the keys a card carries, the newest last; raises NotFound."""
    return keys_on(db, card_named(db, label).item)


def keys_on(db: Session, item: Item) -> Sequence[Key]:
    """Return the keys an item carries, the newest last."""
    carried = (
        select(Key)
        .join(Carrier, Carrier.key_id == Key.id)
        .where(Carrier.item_id == item.id, Carrier.retired_at.is_(None))
        .order_by(Carrier.id)
    )
    return db.scalars(carried).all()


def key_of_card(db: Session, label: str, network: str) -> Key:
    """Return the key a card was last enrolled with for a network; raises NotFound."""
    keys = [key for key in keys_of_card(db, label) if key.network == network]
    if not keys:
        raise NotFound(f"{network} key of card", label)
    return keys[-1]


def unproved_cards(db: Session, key: Key) -> Sequence[Card]:
    """Return the cards that carry a key and never proved to sign for a leaf of it, by label."""
    live = Carrier.retired_at.is_(None) & Carrier.leaf_proved_at.is_(None)
    items = select(Carrier.item_id).where(Carrier.key_id == key.id, live)
    return db.scalars(_known_cards().where(Card.item_id.in_(items)).order_by(Card.label)).all()


def cards_with_key(db: Session, key: Key) -> Sequence[Card]:
    """Return the cards that carry a key, by label."""
    items = select(Carrier.item_id).where(Carrier.key_id == key.id, Carrier.retired_at.is_(None))
    return db.scalars(_known_cards().where(Card.item_id.in_(items)).order_by(Card.label)).all()


def _key_labelled(db: Session, label: str) -> Key | None:
    return db.scalars(select(Key).where(Key.label == label)).one_or_none()


def _known_cards() -> Select[Card]:
    return select(Card).where(Card.forgotten_at.is_(None))


def _live_carriers() -> Select[Carrier]:
    return select(Carrier).where(Carrier.retired_at.is_(None))
