"""A card is gone: a vault without its key takes the old one's place, and the coins go there."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.audit.acceptance import Accepted, require_policy
from coordinator.audit.exposure import exposure_of, quorum_left, quorum_taken
from coordinator.audit.facts import PRIMARY
from coordinator.audit.gathering import vault_facts
from coordinator.custody import descriptor_copies
from coordinator.custody import log as custody_log
from coordinator.errors import UsageError
from coordinator.home.settings import Home
from coordinator.incident.step import Need, State, Step
from coordinator.notices import Severity
from coordinator.payment import creation
from coordinator.vault import vaults
from coordinator.vault.addresses import new_address
from coordinator.wallet import scans
from coordinator.wallet.balance import balance
from coordinator.wallet.coins import spendable
from coordinator.wallet.coins_left import coins_left
from coordinator.wallet.overview import NEXT_VERB
from storage import cards as card_book
from storage import ceremonies as ceremony_book
from storage import descriptors as copy_book
from storage import succession as succession_book
from storage import vaults as vault_book
from storage.errors import NotFound
from storage.model import Item, Key, Succession, Vault

CODE = "replace"
WHY = "a card of the vault is gone: only coins at the keys of another vault are safe from it"
DONE, OPEN, WAITING = State.DONE, State.OPEN, State.WAITING


def _step(what: str, state: State, words: tuple[str, ...] = (), *, item: str | None = None) -> Step:
    return Step(CODE, Severity.WARNING, what, WHY, words, state, item=item)


@dataclass(frozen=True)
class Replacing:
    """A replacement as it stands; urgent where a thief may have a quorum of the old vault."""

    vault: str
    card: str
    successor: str | None
    ceremony: str | None
    urgent: bool
    steps: list[Step]


def plan(db: Session, name: str, card: str) -> Replacing:
    """Return what replacing a card of a vault takes; nothing is changed.

    Raises NotFound, or UsageError where the card carries no key of the vault.
    """
    vault = vault_book.vault_named(db, name)
    succession = succession_book.succession_of(db, vault)
    if succession is not None:
        return show(db, name)
    gone, urgent = _key_gone(db, vault, card), is_urgent(db, vault)
    new, steps = Need("NEW"), list[Step]()
    if urgent:
        out = ("spend", "create", name, "--drain", Need("ADDRESS"), "--target", "1")
        what = (
            "a thief may have a quorum: if no new card is at hand, send all to any vault or "
            "address whose keys he cannot have"
        )
        steps.append(_step(what, OPEN, out))
    set_up = ("card", "setup", new, "--generate")
    steps.append(_step(f"set up a new card in place of {card}", OPEN, set_up))
    what = f"make the vault that takes the place of {name}, and the payment of all its coins to it"
    steps.append(_step(what, WAITING, ("replace", "start", name, "--card", card, "--with", new)))
    prove, pay = "prove every key of the new vault", "sign and send the payment"
    lying = [*_to_withdraw(gone), *descriptor_copies.about(db, vault)]
    back = [f"take back {custody_log.item_name(item)}" for item in lying]
    later = [pay, prove, *back] if urgent else [prove, pay, *back]
    steps += [_step(what, WAITING) for what in later]
    return Replacing(name, card, None, None, urgent, steps)


def start(
    home: Home,
    db: Session,
    name: str,
    *,
    gone: str,
    new: str,
    feerate: int,
    accepted: Accepted = None,
) -> Replacing:
    """Make the successor, and a ceremony that pays all spendable coins to it; feerate in sat/kvB.

    `gone` and `new` are cards' labels; the new one is enrolled. Raises UsageError, NotFound,
    AlreadyExists; then nothing is stored.
    """
    vault = vault_book.vault_named(db, name)
    require_policy(home, vault, accepted)
    gone_card, new_card = card_book.card_named(db, gone), card_book.card_named(db, new)
    key = card_book.key_of_card(db, new, home.network)
    if any(each.key_id == key.id for each in vault.every_key):
        raise UsageError(f"card {new} carries a key of vault {name} already")
    lost = custody_log.where_is(db, new_card.item).gone
    if lost is not None:
        raise UsageError(f"card {new} is recorded as {lost}: it cannot take a place")
    successor = vaults.succeed(home, db, vault, gone=_key_gone(db, vault, gone), new=key)
    succession = Succession(
        vault=vault, successor=successor, card=gone_card, new_card=new_card, started_at=clock.now()
    )
    succession_book.add_succession(db, succession)
    _pay_over(home, db, succession, feerate=feerate, accepted=accepted)
    return show(db, name)


def sweep(
    home: Home, db: Session, name: str, *, feerate: int, accepted: Accepted = None
) -> Replacing:
    """Open a ceremony that pays the successor what came to the old vault since; as `start`."""
    succession = _named(db, name)
    require_policy(home, succession.successor, accepted)
    if not _pay_over(home, db, succession, feerate=feerate, accepted=accepted):
        stays = "; ".join(coins_left(db, succession.vault, ()).sentences())
        told = f": {stays}" if stays else ""
        raise UsageError(f"vault {succession.vault.name} holds nothing that can be spent now{told}")
    return show(db, name)


def _pay_over(
    home: Home, db: Session, succession: Succession, *, feerate: int, accepted: Accepted
) -> bool:
    """Open a ceremony that pays the successor all that nothing holds; tell whether there is any.

    A later branch pays where it is open and the primary one has no quorum left.
    """
    held = {(each.txid, each.vout) for each in ceremony_book.reserved(db, clock.now())}
    coins = spendable(db, succession.vault)
    if not {(coin.outpoint.txid, coin.outpoint.vout) for coin in coins} - held:
        return False
    target = new_address(db, succession.successor)
    able = quorum_left(exposure_of(vault_facts(db, succession.vault)))
    order = creation.Order(
        succession.vault.name,
        (),
        feerate,
        drain=target.script_pubkey,
        branch=PRIMARY if able is None else able.name,
    )
    made = creation.create(home, db, order, accepted=accepted)
    succession.ceremony = ceremony_book.ceremony_named(db, made.ceremony or "")
    db.flush()
    return True


def show(db: Session, name: str) -> Replacing:
    """Return where a replacement stands, of the old vault or of its successor; raises NotFound."""
    succession = _named(db, name)
    return Replacing(
        succession.vault.name,
        succession.card.label,
        succession.successor.name,
        succession.ceremony.public_id if succession.ceremony else None,
        is_urgent(db, succession.vault),
        _steps(db, succession),
    )


def _steps(db: Session, succession: Succession) -> list[Step]:
    """Return the steps of a replacement that was started, the coins first where it is urgent."""
    prove, paid = _prove(db, succession), list(_paid(db, succession))
    return [
        _step(f"card {succession.new_card.label} is set up and enrolled", DONE),
        _step(f"vault {succession.successor.name} is made", DONE),
        *([*paid, prove] if is_urgent(db, succession.vault) else [prove, *paid]),
        *_papers(db, succession, moved=all(step.state == DONE for step in paid)),
    ]


def _named(db: Session, name: str) -> Succession:
    vault = vault_book.vault_named(db, name)
    for succession in succession_book.all_successions(db):
        if vault.id in {succession.vault_id, succession.successor_id}:
            return succession
    raise NotFound("replacement of vault", name)


def _prove(db: Session, succession: Succession) -> Step:
    successor = succession.successor
    proved = vault_book.latest_verifications(db, successor)
    missing = [
        each.label
        for each in successor.every_key
        if each.key_id not in proved or not proved[each.key_id].matched
    ]
    told = f": {', '.join(missing)} did not yet" if missing else ""
    return _step(
        f"every key of vault {successor.name} is proved by its card{told}",
        OPEN if missing else DONE,
        ("vault", "verify", successor.name) if missing else (),
    )


def _paid(db: Session, succession: Succession) -> Iterator[Step]:
    """Yield how far the coins are, and what came to the old vault since."""
    record, old = succession.ceremony, succession.vault
    if record is not None:
        verb = NEXT_VERB.get(record.state)
        what = f"payment {record.public_id} of its coins to {succession.successor.name}"
        yield _step(
            f"{what} is {record.state}",
            DONE if record.state == "confirmed" else OPEN,
            ("spend", verb, record.public_id) if verb else (),
        )
    if not scans.looked(db, old).known:
        what = f"look for the coins of vault {old.name}, which nobody did yet"
        yield _step(what, OPEN, ("sync", old.name))
    left = balance(db, old).free_sats
    if left > 0:
        yield _step(
            f"{left} sat are at addresses of vault {old.name}, which is only watched",
            OPEN,
            ("replace", "sweep", old.name),
        )
    own = None if record is None else record.public_id
    for held in coins_left(db, old, ()).held:
        if held.ceremony != own:
            yield _step(
                f"{held.sats} sat of vault {old.name} are held by ceremony {held.ceremony} until "
                f"{clock.text(held.until)}: send it, or free them and sweep again",
                OPEN,
                ("spend", "abandon", held.ceremony),
            )


def _papers(db: Session, succession: Succession, *, moved: bool) -> Iterator[Step]:
    """Yield what of the old vault lies about, and the copies of the new one to put in its place."""
    old, new = succession.vault, succession.successor
    kept = [copy.item for copy in copy_book.copies_of(db, old)]
    for item in [*_to_withdraw(_key_gone(db, old, succession.card.label)), *kept]:
        place = custody_log.where_is(db, item)
        name = custody_log.item_name(item)
        where = f" from {place.location}" if place.location else ""
        state = DONE if place.gone == "destroyed" else OPEN if moved else WAITING
        shown = () if state == DONE else ("replace", "done", name)
        yield _step(f"take back {name}{where}", state, shown, item=name)
    having = _last_places(db, descriptor_copies.about(db, new))
    for location in sorted(having | _last_places(db, kept)):
        words = ("kit", new.name, "--out", Need("DIR"), "--location", location)
        what = f"put a copy of vault {new.name} at {location}"
        yield _step(what, DONE) if location in having else _step(what, OPEN, words)


def _last_places(db: Session, items: Iterable[Item]) -> set[str]:
    return {place.name for item in items if (place := custody_log.last_place(db, item))}


def _to_withdraw(gone: Key) -> list[Item]:
    """Return what carries the key that is gone and is no card."""
    return [carrier.item for carrier in gone.carriers if carrier.item.kind != "card"]


def withdrawn(db: Session, text: str) -> custody_log.EventLine:
    """Record that a thing of a replaced vault was taken back and destroyed.

    Raises UsageError where it is none, or is needed as long as the old vault's coins are not gone.
    """
    name = custody_log.item_name(custody_log.item_named(db, text))
    steps = [s for each in succession_book.all_successions(db) for s in _steps(db, each)]
    told = [step for step in steps if step.item == name]
    if not told:
        raise UsageError(f"{name} is nothing that a replaced vault has lying about")
    if told[0].state != OPEN:
        raise UsageError(f"to take back {name} is {told[0].state}")
    return custody_log.record(
        db, custody_log.NewEvent(name, "destroyed", note="taken back: replaced")
    ).event


def is_urgent(db: Session, vault: Vault) -> bool:
    """Tell whether what is lost or stolen may be a quorum, its PINs known or not."""
    facts = vault_facts(db, vault)
    return quorum_taken(exposure_of(facts, codes=False)) is not None


def _key_gone(db: Session, vault: Vault, card: str) -> Key:
    carried = {key.id for key in card_book.keys_of_card(db, card)}
    found = [each.key for each in vault.every_key if each.key_id in carried]
    if not found:
        raise UsageError(f"card {card} carries no key of vault {vault.name}")
    return found[0]
