"""Looking after one known card: its PIN, its PUK, its end."""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path

from sqlalchemy.orm import Session

from cards.errors import (
    CardError,
    NotSupported,
    NotUnlocked,
    PinIncorrect,
    PinNotBlocked,
    PinUnsuitable,
    PukBlocked,
    WrongCard,
)
from cards.family import CardMemory, family_named
from cards.pin_rules import check_all
from cards.session import BackupExporter, CardSession, Pairer, PinChanger, PinUnblocker, Resetter
from coordinator import clock
from coordinator.custody import carriers
from coordinator.custody import log as custody_log
from coordinator.custody.carriers import CarrierLine
from coordinator.enrolment.enrol import CardAtSlot
from coordinator.enrolment.unenrolled import card_like
from coordinator.errors import ChainError, LastAttempt, PinMissing, UsageError
from coordinator.files import write_private
from coordinator.notices import Notice, Severity
from coordinator.person import Attendant
from coordinator.readers.slots import (
    Candidates,
    CardPrompts,
    KnownCard,
    Slot,
    ask_pin,
    card_in,
    let_others,
    pin_of_silent,
    unlock,
    unlock_silent,
)
from coordinator.wallet import scans
from coordinator.wallet.balance import balance
from storage import card_secrets as secret_book
from storage import cards as card_book
from storage import vaults as vault_book
from storage.database import Database
from storage.model import Vault
from storage.succession import all_successions

CARD_IN_USE = "card_in_use"
RESET = "factory reset: the key on it is gone"


def expect(
    database: Database, asked: CardAtSlot, session: CardSession, *, attendant: Attendant
) -> bool:
    """Raise WrongCard unless this is the card of that label; no PIN is presented.

    Only a card that says nothing before its PIN, and may be this one, is unlocked first; returns
    whether it was.
    """
    known = _expected(database, asked)
    unlocked = unlock_silent(session, asked.label, attendant, known=known)
    _refuse_another(database, asked.label, session)
    return unlocked


def _expected(database: Database, asked: CardAtSlot) -> Candidates:
    """Return what one that says nothing is held against; raises NotFound where no card is known."""
    with database.begin() as db:
        card = card_book.card_named(db, asked.label)
        known = [KnownCard(asked.label, card.family, card.card_id)]
        return Candidates(known, asked.slot.surroundings.memory)


def _refuse_another(database: Database, label: str, session: CardSession) -> None:
    identity = session.identity()
    with database.begin() as db:
        card = card_book.card_named(db, label)
        found = card_like(db, identity)
        if found is None or found.id != card.id:
            name = found.label if found else f"{identity.family} {identity.card_id[:16]}"
            raise WrongCard(label, name)


def change_pin(database: Database, asked: CardAtSlot, attendant: Attendant) -> None:
    """Replace the card's PIN; a wrong old one costs an attempt, and it is asked for once."""
    label = asked.label
    prompts = CardPrompts(attendant, label)
    with card_in(asked.slot, prompts) as session, ExitStack() as wiped:
        known = _expected(database, asked)
        old = pin_of_silent(session, prompts, attendant, wiped=wiped, known=known)
        _refuse_another(database, label, session)
        if not isinstance(session, PinChanger):
            raise NotSupported(session.identity().family, "changing its PIN")
        if old is None:
            old = ask_pin(session, label, attendant, last_attempt=asked.last_attempt)
            wiped.enter_context(old)
        rule = family_named(session.family).codes["pin"]
        let_others(session, attendant)
        with attendant.changed_pin_for(label, str(rule)) as new:
            rule.check(new, f"the new PIN of card {label}")
            session.change_pin(old, new)


def unblock(database: Database, asked: CardAtSlot, attendant: Attendant) -> int | None:
    """Free a blocked card with its PUK; returns the PIN attempts left afterwards."""
    with card_in(asked.slot, CardPrompts(attendant, asked.label)) as session:
        expect(database, asked, session, attendant=attendant)
        if not isinstance(session, PinUnblocker):
            raise NotSupported(session.identity().family, "being unblocked")
        found = session.identity()
        if found.attempts_left:  # nothing is asked for that it would not take
            raise PinNotBlocked(session.family)
        if (left := found.puk_attempts_left) == 0:
            raise PukBlocked("the card allows no more attempts at its PUK")
        if left is not None:
            attendant.say(
                f"card {asked.label}: PUK attempts left: {left}; after a wrong last one nothing "
                "opens it"
            )
        rules = family_named(session.family).codes
        let_others(session, attendant)
        puk = attendant.secret_for(asked.label, "puk")
        if puk is None:
            raise PinMissing(asked.label, "puk")
        rule = rules["pin"]
        with puk, attendant.optional_new_pin_for(asked.label, str(rule)) or nullcontext() as new:
            check_all(rules, {"puk": puk, **({"pin": new} if new else {})}, f"card {asked.label}")
            session.unblock(puk, new)
        return session.identity().attempts_left


def backup(
    database: Database, network: str, asked: CardAtSlot, *, attendant: Attendant, out: Path
) -> CarrierLine:
    """Write the card's encrypted backup to a new file (mode 0600); needs the PIN.

    Returns the carrier of its key that the file is from then on.
    """
    with card_in(asked.slot, CardPrompts(attendant, asked.label)) as session:
        unlocked = expect(database, asked, session, attendant=attendant)
        if not isinstance(session, BackupExporter):
            raise NotSupported(session.identity().family, "an encrypted backup")
        if out.exists():
            raise UsageError(f"{out} already exists")
        if not unlocked:
            unlock(session, asked.label, attendant, last_attempt=asked.last_attempt)
        write_private(out, session.backup(), replace=False)
    with database.begin() as db:
        return carriers.note_backup(db, asked.label, network)


def reset(database: Database, asked: CardAtSlot, attendant: Attendant) -> None:
    """Erase PIN and key of the card for good; it carries none of its keys any more.

    The PIN is asked for where the card wants it for that.
    """
    with card_in(asked.slot, CardPrompts(attendant, asked.label)) as session:
        expect(database, asked, session, attendant=attendant)
        if not isinstance(session, Resetter):
            raise NotSupported(session.identity().family, "a factory reset")
        try:
            session.reset()
        except NotUnlocked:
            unlock(session, asked.label, attendant, last_attempt=asked.last_attempt)
            session.reset()
    with database.begin() as db:
        card = card_book.card_named(db, asked.label)
        keys = card_book.keys_of_card(db, asked.label)
        card_book.retire_carriers(db, card.item, keys, now=clock.now())
        secret_book.forget_secrets(db, card)
        custody_log.record(db, custody_log.NewEvent(f"card:{asked.label}", "seen", note=RESET))


def vaults_with(database: Database, label: str) -> list[str]:
    """Return the vaults that count on a key of this card."""
    with database.begin() as db:
        keys = card_book.keys_of_card(db, label)
        return [vault.name for vault in vault_book.vaults_with(db, keys)]


def dangers_of_reset(
    database: Database, label: str, look: Callable[[str], object], *, at_hand: bool
) -> list[Notice]:
    """Return what speaks against erasing the card: vaults with its key that hold coins.

    A vault whose coins were never looked for may hold some, replaced or not, and so may one that
    is to get the coins of the vault it replaces. Where none are known, or the chain is `at_hand`,
    `look` brings the vault in step with it first; where that raises ChainError nobody knows.
    """
    money: list[str] = []
    for name in vaults_with(database, label):
        found = None if at_hand else _money_of(database, name)
        if found is None:
            try:
                look(name)
            except ChainError as failure:
                found = f"nobody can look now whether vault {name} holds coins: {failure}"
            else:
                found = _money_of(database, name)
        if found is not None:
            money.append(found)
    if not money:
        return []
    with database.begin() as db:
        keys = {key.id for key in card_book.keys_of_card(db, label)}
        others = {
            custody_log.item_name(carrier.item)
            for carrier in card_book.all_carriers(db)
            if carrier.key_id in keys and custody_log.where_is(db, carrier.item).gone is None
        }
    others.discard(f"card:{label}")
    remain = "nothing else known carries its key"
    if others:
        remain = f"its key is on {', '.join(sorted(others))} too"
    sentence = f"{'; '.join(money)}; {remain}"
    return [Notice(CARD_IN_USE, Severity.DANGER, sentence, subjects=(f"card:{label}",))]


def _money_of(database: Database, name: str) -> str | None:
    with database.begin() as db:
        return _money(db, vault_book.vault_named(db, name))


def _money(db: Session, vault: Vault) -> str | None:
    """Say what the vault holds or may hold; None where it was looked for and there is nothing."""
    seen = scans.looked(db, vault)
    if not seen.known:
        return f"nobody looked yet whether vault {vault.name} holds coins (cardquorum sync)"
    if held := balance(db, vault).whole_sats:
        when = f" as of block {seen.tip.height}" if seen.tip else ""
        return f"vault {vault.name} holds {held} sat{when}"
    if seen.looked_from is None or seen.earlier_unknown:
        return f"vault {vault.name} was not looked for from its beginning: it may hold coins"
    for succession in all_successions(db):
        if succession.successor_id == vault.id and _money(db, succession.vault):
            return f"vault {vault.name} is to get the coins of vault {succession.vault.name}"
    return None


def forget(
    database: Database,
    label: str,
    reach: Callable[[], Slot],
    *,
    memory: CardMemory,
    attendant: Attendant,
) -> bool | None:
    """Remove the card and its pairing from this home; its history stays in the book.

    Returns whether a card that is paired with this home gave the slot back; None where it is not.
    A wrong PIN stops it; a card that is out of reach, or whose PIN nobody gives, keeps its slot.
    """
    with database.begin() as db:
        card = card_book.card_named(db, label)
        pairs = "pairing" in family_named(card.family).setup_secrets_at(card.version)
        paired = pairs and memory.read(card.card_id) is not None
    freed = _unpaired(database, label, reach, attendant=attendant) if paired else None
    with database.begin() as db:
        card = card_book.card_named(db, label)
        family_named(card.family).forget(memory, card.card_id)
        secret_book.forget_secrets(db, card)
        card_book.forget_card(db, card, clock.now())
    return freed


def _unpaired(
    database: Database, label: str, reach: Callable[[], Slot], *, attendant: Attendant
) -> bool:
    """Have the card give its slot back; say why where it does not."""
    try:
        slot = reach()
        with card_in(slot, CardPrompts(attendant, label)) as session:
            unlocked = expect(database, CardAtSlot(label, slot), session, attendant=attendant)
            if isinstance(session, Pairer):
                if not unlocked:
                    unlock(session, label, attendant, last_attempt=False)
                session.unpair()
    except (PinIncorrect, PinUnsuitable):
        raise
    except (CardError, PinMissing, LastAttempt) as reason:
        attendant.say(f"card {label} keeps its pairing slot for this home: {reason}")
        return False
    return True
