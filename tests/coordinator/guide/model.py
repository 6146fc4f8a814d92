"""A finite model of a home, and of a person who runs what is printed and has what is needed.

The facts are built as the program's own are, and dangers are those the program finds in them; what
a command does is told here once more, in a few lines each.
"""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from coordinator.audit.facts import (
    CardFacts,
    CarrierFacts,
    CopyFacts,
    CosignerFacts,
    PlaceFacts,
    SecretFacts,
    VaultFacts,
)
from coordinator.audit.findings import grave
from coordinator.custody.bags import BagFacts
from coordinator.guide.facts import CardFact, Emulator, GuideFacts, SecretFact, VaultStanding
from coordinator.guide.payments import Standing
from coordinator.incident.step import Step
from coordinator.notices import Notice, Severity
from coordinator.wallet.overview import CeremonyLine

NOW = datetime(2026, 11, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(days=3)
PLACES = ("bank", "aunt", "desk", "attic")
SMALL, LARGE = 20_000, 50_000_000
ADDRESS = "bcrt1qq"
NOTES = ("drawer", "locker")
"""Where this person writes PINs down: no card lies there."""
VERBS = {"collecting": "sign", "complete": "finalize", "final": "broadcast"}


@dataclass(frozen=True)
class Card:
    """A card; `words` are the paper its seed stands on: None, nowhere recorded, or a place.

    `beside` tells that its PIN is written where it lies, `once` that it is noted at one place only.
    """

    label: str
    place: str | None = None
    told: bool = False
    gone: str | None = None
    bag: BagFacts | None = None
    host: bool = False
    words: str | None = None
    beside: bool = False
    once: bool = False


@dataclass(frozen=True)
class Payment:
    """A payment of all that its vault has: to a stranger, or to the vault's successor."""

    vault: str
    state: str = "collecting"


@dataclass(frozen=True)
class Vault:
    """A vault of these cards, and how far its owner came."""

    name: str
    cards: tuple[str, ...]
    approved: bool = True
    proved: frozenset[str] = frozenset()
    copies: frozenset[str] = frozenset()
    address: bool = False
    sats: int = 0
    pending: bool = False
    received: bool = False
    spent: bool = False
    drill: str | None = None
    successor: str | None = None

    @property
    def threshold(self) -> int:
        return len(self.cards) // 2 + 1


@dataclass(frozen=True)
class Model:
    """A home."""

    made: bool = True
    chain: str = "regtest:"
    cards: tuple[Card, ...] = ()
    places: int = 0
    vaults: tuple[Vault, ...] = ()
    payment: Payment | None = None
    emulators: int = 0
    next_label: int = 0
    retired: frozenset[str] = field(default_factory=frozenset)

    def card(self, label: str) -> Card:
        return next(each for each in self.cards if each.label == label)

    def vault(self, name: str) -> Vault:
        return next(each for each in self.vaults if each.name == name)

    def with_card(self, card: Card) -> "Model":
        cards = (card if each.label == card.label else each for each in self.cards)
        return replace(self, cards=tuple(cards))

    def with_vault(self, vault: Vault) -> "Model":
        vaults = (vault if each.name == vault.name else each for each in self.vaults)
        return replace(self, vaults=tuple(vaults))


def facts_of(model: Model) -> GuideFacts:
    """Return what the program would gather."""
    if not model.made:
        return GuideFacts()
    used = {label for vault in model.vaults for label in vault.cards} | model.retired
    return GuideFacts(
        network="regtest",
        chain=model.chain,
        cards=tuple(_card_fact(card, free=card.label not in used) for card in model.cards),
        places=PLACES[: model.places],
        vaults=tuple(_standing(model, vault) for vault in model.vaults),
        payments=tuple(_payments(model)),
        emulator=Emulator("soft", set_up=False) if model.emulators else None,
        now=NOW,
    )


def _card_fact(card: Card, *, free: bool) -> CardFact:
    untold = () if card.told else (SecretFact("pin", f"{card.label}-pin"),)
    carrier, *papers = _carriers(card)
    return CardFact(carrier, card.label, card.host, tuple(papers), free, untold)


def _carriers(card: Card) -> tuple[CarrierFacts, ...]:
    notes = NOTES[: 1 if card.once else 2]
    written = ((card.place,) if card.beside and card.place else notes) if card.told else ()
    pin = SecretFacts("pin", (), written, f"{card.label}-pin")
    known = CardFacts("satochip", "0.12", "maker", secrets=(pin,))
    place = None if card.gone else card.place
    body = CarrierFacts(f"card:{card.label}", place, card.gone, NOW, known, card.bag)
    if card.words is None:
        return (body,)
    at = None if card.words == "unplaced" else card.words
    return (body, CarrierFacts(f"words:{card.label}", at, None, NOW))


@cache
def _known(vault: Vault, cards: tuple[Card, ...], places: int) -> tuple[VaultFacts, list[Notice]]:
    """Return what is known of a vault of these cards, and what is dangerous in it."""
    cosigners = tuple(
        CosignerFacts(
            card.label,
            _carriers(card),
            True if card.label in vault.proved else None,
            fingerprint=card.label,
        )
        for card in cards
    )
    facts = VaultFacts(
        vault.name,
        vault.threshold,
        cosigners,
        places={place: PlaceFacts(place) for place in PLACES[:places]},
        copies=tuple(
            CopyFacts(f"copy:{vault.name}-{place}", place, None, vault.successor is not None)
            for place in sorted(vault.copies)
        ),
        created_at=NOW,
        drilled_at=EARLIER if vault.drill == "done" else None,
        value_sats=vault.sats,
        approval="approved" if vault.approved else "none",
        replaced=vault.successor is not None,
    )
    return facts, grave(facts, NOW)


def _standing(model: Model, vault: Vault) -> VaultStanding:
    # Of what a vault went through the facts hold no more than its sum and its drill.
    settled = replace(vault, address=False, pending=False, received=False, spent=False)
    facts, found = _known(settled, tuple(map(model.card, vault.cards)), model.places)
    held = model.payment is not None and model.payment.vault == vault.name
    free, pending = (0 if held else vault.sats), (vault.sats if vault.pending else 0)
    return VaultStanding(
        replace(facts, free_sats=free, pending_sats=pending),
        tuple(found),
        received=vault.received,
        spent=vault.spent,
        address=ADDRESS if vault.address and not vault.received else None,
        drill="open" if vault.drill == "open" else None,
        replacing=None if vault.successor is None else tuple(_replacing(model, vault)),
    )


def _replacing(model: Model, vault: Vault) -> Iterator[Step]:
    def step(*words: str) -> Step:
        return Step("replace", Severity.WARNING, "replace", "why", words)

    if vault.sats and not (model.payment is not None and model.payment.vault == vault.name):
        yield step("replace", "sweep", vault.name)
    elif not vault.sats:
        for place in sorted(vault.copies):
            yield step("replace", "done", f"copy:{vault.name}-{place}")


def _payments(model: Model) -> Iterator[Standing]:
    payment = model.payment
    if payment is not None:
        line = CeremonyLine(
            "payid", payment.vault, payment.state, "00" * 32, 1, 0, NOW, None, None, 0, final=False
        )
        verb = VERBS.get(payment.state)
        yield Standing(line, 0, 2, [], expired=False, verb=verb)


class Stuck(Exception):
    """A printed command that the model's program refuses."""


def taken(model: Model, step: Step) -> Model:
    """Return the model after a step's command, run as it is printed."""
    if step.command is None:
        raise Stuck(step)
    values = {need: _value(model, step, need) for need in step.needs}
    words = [values.get(word, word) for word in shlex.split(step.command)]
    if words[0] != "cardquorum":
        raise Stuck(step)
    verb = next((VERBS_RUN[key] for key in VERBS_RUN if words[1:][: len(key)] == list(key)), None)
    if verb is None:
        raise Stuck(step)
    return verb(model, words)


def _value(model: Model, step: Step, need: str) -> str:
    """Return what the person has: names, places apart, a folder, an address, a serial."""
    if need == "LOCATION" and step.code != "place" and step.words[:1] != ("location",):
        away = model.retired | {each.label for each in model.cards if each.gone}
        taken_places = [each.place for each in model.cards if each.label not in away]
        free = [place for place in PLACES[: model.places] if place not in taken_places]
        return (free or [PLACES[0]])[0]
    return {
        "NETWORK": "regtest",
        "LABEL": f"c{model.next_label}",
        "NAME": f"n{model.next_label}-{len(model.vaults)}",
        "LOCATION": PLACES[model.places],
        "KIND": "home",
        "DIR": "kit",
        "ADDRESS": "bcrt1qstranger",
        "SERIAL": "B2",
        "FEERATE": "2",
        "CHECKSUM": "abcdefgh",
        "CHAIN": "none:",
    }[need]


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def options(words: list[str], name: str) -> tuple[str, ...]:
    return tuple(words[at + 1] for at, word in enumerate(words) if word == name)


def _set_up(model: Model, words: list[str]) -> Model:
    card = Card(words[3], host=model.next_label == 0)
    emulators = model.emulators - ("--emulated" in words)
    cards = (*model.cards, card)
    return replace(model, cards=cards, next_label=model.next_label + 1, emulators=emulators)


def _record(model: Model, words: list[str]) -> Model:
    kind, _, name = words[3].partition(":")
    event, card = words[4], model.card(name)
    if event in {"placed", "moved"}:
        at = option(words, "--at")
        if at not in PLACES[: model.places]:
            raise Stuck(words)
        changed = replace(card, place=at) if kind == "card" else replace(card, words=at)
    elif event == "sealed":
        changed = replace(card, bag=BagFacts(option(words, "--seal")))
    else:
        raise Stuck(words)
    return model.with_card(changed)


def _create(model: Model, words: list[str]) -> Model:
    vault = Vault(words[3], options(words, "--card"))
    if int(option(words, "--threshold")) != vault.threshold:
        raise Stuck(words)
    return replace(model, vaults=(*model.vaults, vault))


def _verify(model: Model, words: list[str]) -> Model:
    vault = model.vault(words[3])
    here = {label for label in vault.cards if model.card(label).gone is None}
    return model.with_vault(replace(vault, proved=vault.proved | here))


def _kit(model: Model, words: list[str]) -> Model:
    vault, place = model.vault(words[2]), option(words, "--location")
    if vault.successor is not None or not vault.approved or place not in PLACES[: model.places]:
        raise Stuck(words)
    return model.with_vault(replace(vault, copies=vault.copies | {place}))


def _address(model: Model, words: list[str]) -> Model:
    standing = _standing(model, model.vault(words[3]))
    if standing.dangers:
        raise Stuck(words)
    return model.with_vault(replace(model.vault(words[3]), address=True))


def _fund(model: Model, _words: list[str]) -> Model:
    vault = next(each for each in model.vaults if each.address and not each.received)
    paid = replace(vault, received=True, pending=True, sats=SMALL, address=False)
    return model.with_vault(paid)


def _sync(model: Model, words: list[str]) -> Model:
    vault = model.vault(words[2])
    return model.with_vault(replace(vault, received=True, sats=SMALL, address=False))


def _mine(model: Model, _words: list[str]) -> Model:
    model = replace(model, vaults=tuple(replace(each, pending=False) for each in model.vaults))
    return _confirmed(model) if model.payment and model.payment.state == "broadcast" else model


def _confirmed(model: Model) -> Model:
    if model.payment is None:
        raise Stuck
    vault = model.vault(model.payment.vault)
    sats, model = vault.sats, replace(model, payment=None)
    model = model.with_vault(replace(vault, sats=0, pending=False, spent=True))
    if vault.successor is not None:
        new = model.vault(vault.successor)
        model = model.with_vault(replace(new, sats=new.sats + sats, received=True))
    return model


def _pay(model: Model, words: list[str]) -> Model:
    vault = model.vault(words[3])
    rated = "--feerate" in words or model.chain != "none:"
    if model.payment is not None or not vault.sats or not vault.approved or not rated:
        raise Stuck(words)
    return replace(model, payment=Payment(vault.name))


def _move_on(model: Model, words: list[str]) -> Model:
    payment = model.payment
    if payment is None or VERBS[payment.state] != words[2]:
        raise Stuck(words)
    if words[2] == "sign":
        vault = model.vault(payment.vault)
        able = [each for each in vault.cards if model.card(each).gone is None]
        if len(able) < vault.threshold:
            raise Stuck(words)
        proved = replace(vault, proved=vault.proved | frozenset(able))
        model = model.with_vault(proved)
    then = {"sign": "complete", "finalize": "final", "broadcast": "broadcast"}[words[2]]
    model = replace(model, payment=replace(payment, state=then))
    return _confirmed(model) if then == "broadcast" and model.chain != "regtest:" else model


def _retire(model: Model, words: list[str]) -> Model:
    vault = model.vault(words[3])
    left = tuple(each for each in model.vaults if each.name != vault.name)
    payment = None if model.payment and model.payment.vault == vault.name else model.payment
    retired = model.retired | frozenset(vault.cards)
    return replace(model, vaults=left, payment=payment, retired=retired)


def _start(model: Model, words: list[str]) -> Model:
    old, gone, new = model.vault(words[3]), option(words, "--card"), option(words, "--with")
    used = {label for vault in model.vaults for label in vault.cards}
    if new in used or model.card(new).gone or gone not in old.cards:
        raise Stuck(words)
    cards = (*(each for each in old.cards if each != gone), new)
    successor = Vault(f"{old.name}-2", cards)
    changed = model.with_vault(replace(old, successor=successor.name))
    payment = model.payment or (Payment(old.name) if old.sats else None)
    return replace(changed, vaults=(*changed.vaults, successor), payment=payment)


def _done(model: Model, words: list[str]) -> Model:
    name, _, place = words[3].removeprefix("copy:").rpartition("-")
    vault = model.vault(name)
    return model.with_vault(replace(vault, copies=vault.copies - {place}))


def _found(model: Model, words: list[str]) -> Model:
    return model.with_card(replace(model.card(words[3]), gone=None, place=None))


def _drill(model: Model, words: list[str]) -> Model:
    if words[2] == "start":
        return model.with_vault(replace(model.vault(words[3]), drill="open"))
    vault = next(each for each in model.vaults if each.drill == "open")
    able = frozenset(each for each in vault.cards if model.card(each).gone is None)
    if len(able) < vault.threshold:
        raise Stuck(words)
    return model.with_vault(replace(vault, drill="done", proved=vault.proved | able))


def _told(model: Model, words: list[str]) -> Model:
    card = model.card(option(words, "--of"))
    return model.with_card(replace(card, told=True, once=not card.told))


def _taken_away(model: Model, words: list[str]) -> Model:
    card = model.card(words[3].removesuffix("-pin"))
    if not card.beside or option(words, "--not-written-at") != card.place:
        raise Stuck(words)
    return model.with_card(replace(card, told=False, beside=False))


def _sweep(model: Model, words: list[str]) -> Model:
    return replace(model, payment=Payment(words[3]))


VERBS_RUN: dict[tuple[str, ...], Callable[[Model, list[str]], Model]] = {
    ("init",): lambda model, _words: replace(model, made=True),
    ("emulate", "new"): lambda model, _words: replace(model, emulators=model.emulators + 1),
    ("card", "setup"): _set_up,
    ("card", "enrol"): _set_up,
    ("card", "found"): _found,
    ("location", "add"): lambda model, _words: replace(model, places=model.places + 1),
    ("carrier", "add"): lambda m, words: m.with_card(replace(m.card(words[3]), words="unplaced")),
    ("custody", "record"): _record,
    ("secret", "add"): _told,
    ("secret", "edit"): _taken_away,
    ("vault", "create"): _create,
    ("vault", "verify"): _verify,
    ("vault", "approve"): lambda m, words: m.with_vault(replace(m.vault(words[3]), approved=True)),
    ("vault", "retire"): _retire,
    ("kit",): _kit,
    ("address", "new"): _address,
    ("regtest", "fund"): _fund,
    ("regtest", "mine"): _mine,
    ("sync",): _sync,
    ("spend", "create"): _pay,
    ("spend", "sign"): _move_on,
    ("spend", "finalize"): _move_on,
    ("spend", "broadcast"): _move_on,
    ("replace", "start"): _start,
    ("replace", "sweep"): _sweep,
    ("replace", "done"): _done,
    ("drill", "start"): _drill,
    ("drill", "sign"): _drill,
}
