"""The main job from nothing: emulated cards, an embedded chain, one payment, every step shown."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from cards.family import families
from cards.pin import Pin, Secret
from cards.session import CardIdentity
from coordinator.audit import auditing
from coordinator.chain import Tip
from coordinator.chain.regtest import RegtestChain
from coordinator.custody import card_secrets
from coordinator.custody import log as custody_log
from coordinator.enrolment import setup
from coordinator.enrolment.setup_plan import Setup
from coordinator.errors import CoordinatorError, NotRipe, UsageError
from coordinator.home.settings import Home, create_home
from coordinator.home.stored_policies import stored_policy
from coordinator.names import require_known
from coordinator.payment import ceremonies, creation
from coordinator.payment.progress import progress
from coordinator.readers import emulated
from coordinator.readers.slots import Slot
from coordinator.recovery import kit
from coordinator.shown_text import sats
from coordinator.vault import key_proofs, vaults
from coordinator.vault.addresses import new_address
from coordinator.vault.plans import BranchPlan
from coordinator.wallet import sync as wallet_sync
from coordinator.wallet.branches import branch_lines
from coordinator.wallet.coins import spendable
from psbt.coins import Payment
from psbt.forms import RECOVERY
from psbt.network import Network
from psbt.policy import Wait
from psbt.review import Review
from storage import ceremonies as ceremony_book
from storage import vaults as vault_book
from storage.database import open_database

VAULT = "savings"
THRESHOLD = 2
PLACES = (("bank", "bank-vault"), ("friend", "friend"), ("home", "home"))
LATER_PLACES = (("heir", "other"), ("lawyer", "office"), ("sister", "friend"))
WAIT = 12
"""Blocks; in earnest it is a year, 52,560."""
DEFAULT_CARDS = ("satochip", "tapsigner", "keycard")
DEFAULT_INPUTS = 3
COIN_SATS = 1_000_000
FEERATE = 5_000
DEMO_PIN = b"123456"
MAX_INPUTS = 900


@dataclass(frozen=True)
class Guide:
    """The attendant of the demo: it knows every PIN, agrees to what it shows, and explains."""

    tell: Callable[[str], None]
    show: Callable[[Review], None]

    def say(self, text: str) -> None:
        """Tell a detail of the step."""
        self.tell(f"   {text}")

    def pin_for(self, _label: str, _card: CardIdentity) -> Pin:
        """Return the demo's PIN."""
        return Pin(DEMO_PIN)

    def new_pin_for(self, _label: str, _rule: str) -> Pin:
        """Return the demo's PIN."""
        return Pin(DEMO_PIN)

    changed_pin_for = new_pin_for

    def optional_new_pin_for(self, _label: str, _rule: str) -> Pin | None:
        """Return nothing."""
        return None

    def secret_for(self, _label: str, _kind: str, *, optional: bool = False) -> Secret | None:
        """Return nothing: the demo's PUK is random, and no other secret is wanted."""
        if not optional:
            raise CoordinatorError("the demo has no secret but its PIN")
        return None

    def label_for(self, _why: str, _known: str | None) -> str | None:
        """Return nothing: the demo enrols its cards itself."""
        return None

    def agreed(self, _code: str, _why: str) -> bool:
        """Accept nothing."""
        return False

    def show_once(self, title: str, _secret: Secret) -> None:
        """Say that a person would see it now."""
        self.say(f"{title}: you would write it down now")

    def ready_for_words(self, _file: Path | None) -> None:
        """Agree: the demo's words are written nowhere."""

    def hand_over_words(self, title: str, _words: Secret, _file: Path | None) -> None:
        """Say that a person would see them now."""
        self.say(f"{title}: you would write them down now")

    def hand_over_psbt(self, label: str, psbt: str) -> None:
        """Show it."""
        self.say(f"card {label}: these signatures could not be stored: {psbt}")

    def confirm(self, review: Review) -> None:
        """Show the review and agree."""
        self.show(review)

    def waiting(self, label: str, reason: str, seconds: int) -> None:
        """Tell why the card makes us wait."""
        self.say(f"card {label}: {reason}, {seconds} s more")

    def progress(self, label: str, done: int, total: int) -> None:
        """Tell when a card is done."""
        if done == total:
            self.say(f"card {label}: {total} signatures, each verified and kept")


@dataclass(frozen=True)
class Wishes:
    """What the demo is to be run with; a person may have typed it."""

    families: tuple[str, ...] = DEFAULT_CARDS
    inputs: int = DEFAULT_INPUTS
    recovery: bool = False


@dataclass(frozen=True)
class Stage:
    """Where the demo plays: a home, its database, its chain, and who watches."""

    home: Home
    database: sessionmaker[Session]
    chain: RegtestChain
    guide: Guide


class Paid(NamedTuple):
    """The payment of a demo: accepted where its transaction is in a block."""

    txid: str
    inputs: int
    signatures: int
    height: int
    accepted: bool
    consensus: str | None


class Recovery(NamedTuple):
    """How a later branch spent: refused up to a block, swept from it on; the audit before that."""

    refused: str
    opens: int
    audit_before: auditing.Audited


class Played(NamedTuple):
    """What came of a demo."""

    vault: str
    descriptor: str
    funding_txids: list[str]
    paid: Paid
    audit: auditing.Audited
    seconds: float
    recovery: Recovery | None = None


def run(folder: Path, wishes: Wishes, guide: Guide) -> Played:
    """Do the main job in a new home at `folder` and return what came of it.

    With `recovery` the vault has later cards, which sweep it once their wait is over.

    The home goes on working by hand: the PIN of every card is 123456.
    """
    started = time.monotonic()
    _check(wishes)
    home = create_home(folder, Network.REGTEST.value)
    database = open_database(home.database_url)
    chain = RegtestChain(home.chain_folder)
    try:
        stage = Stage(home, database, chain, guide)
        places = (*PLACES, *LATER_PLACES) if wishes.recovery else PLACES
        slots = _issue_cards(stage, wishes.families, places)
        descriptor = _make_vault(stage, slots, recovery=wishes.recovery)
        _print_kits(stage)
        funding = _fund(stage, wishes.inputs)
        recovery = None
        if wishes.recovery:
            audit = _audited(stage, "4. the audit, while the later cards can do nothing:")
            recovery = _wait(stage, audit)
            audit = _audited(stage, "7. the audit again, now that the later cards can spend:")
            paid = _recover(stage, slots[len(PLACES) :])
        else:
            paid = _pay(stage, slots)
            audit = _audited(stage, "   the audit says:")
    finally:
        chain.close()
        database.kw["bind"].dispose()
    seconds = round(time.monotonic() - started, 3)
    return Played(VAULT, descriptor, funding, paid, audit, seconds, recovery)


def _audited(stage: Stage, title: str) -> auditing.Audited:
    """Run the audit and tell its findings."""
    audit = auditing.audited(stage.home, stage.database, VAULT)
    stage.guide.tell(title)
    for finding in audit.findings:
        stage.guide.say(f"{finding.severity.value}: {finding.message}")
    if not audit.findings:
        stage.guide.say("nothing found: no place alone can spend, and none is needed by all")
    return audit


def _check(wishes: Wishes) -> None:
    if len(wishes.families) != len(PLACES):
        raise UsageError(f"the demo plays with {len(PLACES)} cards, not {len(wishes.families)}")
    for family in wishes.families:
        require_known("family", family, [known.name for known in families()])
    if not 1 <= wishes.inputs <= MAX_INPUTS:
        raise UsageError(f"the demo spends 1 to {MAX_INPUTS} coins, not {wishes.inputs}")


def _issue_cards(
    stage: Stage, families: Sequence[str], places: Sequence[tuple[str, str]]
) -> list[Slot]:
    """Make, set up, enrol and place one card for each place."""
    slots = []
    number = "three" if len(places) == len(PLACES) else "three and three"
    stage.guide.tell(f"1. {number} factory-fresh cards are set up, enrolled and placed")
    for (label, kind), family in zip(places, cycle(families), strict=False):
        stage.guide.say(f"card {label}, an emulated {family}, for a place of kind {kind}")
        emulated.create(stage.home, family, label, set_up=False)
        slot = emulated.slot(stage.home, label)
        wanted = Setup(label, slot, "generate")
        done = setup.set_up(stage.home, stage.database, wanted, attendant=stage.guide)
        stage.guide.say(f"{done.expression(stage.home.network)}")
        with stage.database.begin() as db:
            custody_log.add_location(db, label, kind)
            custody_log.record(db, custody_log.NewEvent(f"card:{label}", "placed", at=label))
        slots.append(slot)
    _write_secrets_down(stage, [label for label, _ in places])
    return slots


def _write_secrets_down(stage: Stage, labels: Sequence[str]) -> None:
    """Write each card's secrets down at another card's place."""
    elsewhere = dict(zip(labels, [*labels[1:], labels[0]], strict=True))
    with stage.database.begin() as db:
        for secret in card_secrets.listed(db):
            label, card, kind = secret.label, secret.card, secret.kind
            place = elsewhere[card]
            card_secrets.tell(db, label, card, kind=kind, written_at=[place])
            stage.guide.say(f"{card_secrets.WORDS[kind]} of card {card}: written down at {place}")


def _make_vault(stage: Stage, slots: Sequence[Slot], *, recovery: bool) -> str:
    """Make the 2-of-3 vault and have every card prove its key."""
    labels = tuple(label for label, _ in PLACES)
    keys = tuple(f"card:{label}" for label, _ in LATER_PLACES)
    later = (BranchPlan(Wait(blocks=WAIT), keys, THRESHOLD),) if recovery else ()
    with stage.database.begin() as db:
        plan = vaults.VaultPlan(VAULT, THRESHOLD, labels, recoveries=later)
        descriptor = vaults.create(stage.home, db, plan).descriptor
    stage.guide.tell(f"2. vault {VAULT}, {THRESHOLD} of {len(labels)}:")
    if recovery:
        others = f"{THRESHOLD} of {', '.join(label for label, _ in LATER_PLACES)}"
        stage.guide.say(f"{WAIT} blocks after a payment {others} can spend it too")
    stage.guide.tell(f"   {descriptor}")
    proofs = key_proofs.verify_vault(stage.database, VAULT, slots, attendant=stage.guide)
    if proofs.mismatches or proofs.missing:
        raise CoordinatorError("a card of the demo did not prove its key")
    stage.guide.say(f"proved by the cards: {', '.join(proofs.verified)}")
    return descriptor


def _print_kits(stage: Stage) -> None:
    """Print what brings the vault back, once for each place."""
    for place, _ in PLACES:
        folder = stage.home.folder / "kits" / place
        with stage.database.begin() as db:
            made = kit.make(stage.home, db, kit.Wanted(VAULT, folder, location=place))
        stage.guide.say(f"{made.copy}, the kit on paper, is put at {place}")


def _fund(stage: Stage, coins: int) -> list[str]:
    """Pay the vault so many coins and mine them into the chain."""
    with stage.database.begin() as db:
        fresh = new_address(db, vault_book.vault_named(db, VAULT))
    txids = stage.chain.fund(fresh.script_pubkey, COIN_SATS, coins)
    tip = _mine(stage)
    stage.guide.tell(
        f"3. {coins} coins of {sats(COIN_SATS)} paid to {fresh.address}, block {tip.height}"
    )
    return txids


def _mine(stage: Stage) -> Tip:
    stage.chain.mine(1, None)
    return _synced(stage)


def _synced(stage: Stage) -> Tip:
    with stage.database.begin() as db:
        return wallet_sync.sync(db, vault_book.vault_named(db, VAULT), stage.chain)


def _wait(stage: Stage, audit: auditing.Audited) -> Recovery:
    """Mine up to one block before the later branch opens; what is asked of it then is refused."""
    with stage.database.begin() as db:
        vault = vault_book.vault_named(db, VAULT)
        opens = branch_lines(db, vault, stored_policy(vault))[1].opens
    if opens is None:
        raise CoordinatorError("the demo's coins are in no block")
    stage.chain.mine(opens.height - stage.chain.tip().height - 2, None)
    tip = _synced(stage)
    try:
        _sweep(stage)
    except NotRipe as refusal:
        stage.guide.tell(f"5. block {tip.height}: the later cards are refused")
        stage.guide.say(str(refusal))
        tip = _mine(stage)
        stage.guide.tell(f"6. block {tip.height}: from the next one on they can spend")
        return Recovery(str(refusal), opens.height, audit)
    raise CoordinatorError("the later branch of the demo spent too early")


def _sweep(stage: Stage) -> creation.Created:
    """Open a ceremony that sweeps what the later branch can spend."""
    order = creation.Order(
        vault=VAULT,
        payments=(),
        feerate=FEERATE,
        drain=b"\x00\x14" + secrets.token_bytes(20),
        branch=RECOVERY,
    )
    with stage.database.begin() as db:
        return creation.create(stage.home, db, order)


def _recover(stage: Stage, slots: Sequence[Slot]) -> Paid:
    """Sweep every coin, signed by two of the three later cards."""
    created = _sweep(stage)
    stage.guide.tell(f"8. ceremony {created.ceremony}: what the later cards are asked to sign")
    return _signed(stage, created, slots, inputs=len(created.review.inputs), step=9)


def _pay(stage: Stage, slots: Sequence[Slot]) -> Paid:
    """Spend every coin, with change, signed by two of the three cards at the same time."""
    with stage.database.begin() as db:
        vault = vault_book.vault_named(db, VAULT)
        coins = spendable(db, vault)
        total = sum(coin.value_sats for coin in coins)
        stranger = b"\x00\x14" + secrets.token_bytes(20)
        order = creation.Order(
            vault=VAULT,
            payments=(Payment(stranger, total // 2),),
            feerate=FEERATE,
            coins=tuple(coin.outpoint for coin in coins),
        )
        created = creation.create(stage.home, db, order)
    stage.guide.tell(f"4. ceremony {created.ceremony}: what you would confirm before a card signs")
    return _signed(stage, created, slots, inputs=len(coins), step=5)


def _signed(
    stage: Stage, created: creation.Created, slots: Sequence[Slot], *, inputs: int, step: int
) -> Paid:
    """Have two cards sign a payment at the same time, and send it; told from `step` on."""
    ceremony = created.ceremony or ""
    outcomes, _ = ceremonies.sign(
        stage.home, stage.database, ceremony, offered=slots[:THRESHOLD], attendant=stage.guide
    )
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    signatures = sum(outcome.signatures for outcome in outcomes)
    final = ceremonies.finalize(stage.home, stage.database, ceremony)
    stage.guide.tell(
        f"{step}. transaction {final.txid}, {final.vsize} vB, scripts: {final.consensus}"
    )
    ceremonies.broadcast(stage.home, stage.database, ceremony, chain=stage.chain)
    tip = _mine(stage)
    with stage.database.begin() as db:
        state = progress(ceremony_book.ceremony_named(db, ceremony)).state
    stage.guide.tell(f"{step + 1}. {state} in block {tip.height}")
    return Paid(final.txid, inputs, signatures, tip.height, state == "confirmed", final.consensus)
