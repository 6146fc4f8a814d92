"""A factory-fresh card gets its PIN, its PUK and its key, and is enrolled at once.

First every card is looked at, then every secret is asked for and checked, and only then is a card
changed. A run that was cut off is run again: it goes on with each card where that one stopped.
"""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from cards.errors import CardError, NotSupported, NotUnlocked, ProtocolError, WrongCard
from cards.session import (
    BackupExporter,
    CardIdentity,
    CardSession,
    Initialiser,
    KeyGenerator,
    SeedLoader,
)
from coordinator.custody import card_secrets, carriers
from coordinator.enrolment import enrol, seeds
from coordinator.enrolment.setup_plan import (
    BACKUP,
    MAKES_ITS_OWN,
    NO_PUK,
    PUK_GIVEN,
    PUK_SHOWN,
    PUK_UNSHOWN,
    WORDS,
    BegunSetup,
    BegunSetups,
    Plan,
    Run,
    Setup,
    ask_codes,
    planned,
    recognise,
    refuse_useless,
    second_set_up,
    source_of,
)
from coordinator.errors import LastAttempt, UsageError
from coordinator.files import read_bytes, write_private
from coordinator.home.settings import Home
from coordinator.names import checked_name
from coordinator.person import Attendant
from coordinator.readers.slots import CardPrompts, FolderMemory, card_in
from storage import card_secrets as secret_book
from storage import cards as card_book
from storage.database import Database

KEY_KEPT = (
    "came with a key of its own: it is kept and no other is made; whoever had the card before its "
    "PIN was set could sign with it"
)
PUK_LOST = (
    "has a PUK that nobody was shown: the program ended just before; to have one, run card reset "
    "{label} and set it up again, before coins depend on it"
)


def set_up(
    home: Home, database: Database, wanted: Setup, *, attendant: Attendant
) -> enrol.Enrolled:
    """Set PIN and PUK, make or load the key, read it back and compare, and enrol the card.

    A set-up that was cut off goes on with what the card has, and a key that a card without a PIN
    came with is kept, if it was made there. A seed made or typed here never reaches a card that
    is not genuine, and is wiped in any case.
    """
    return set_up_copies(home, database, [wanted], attendant=attendant)[0]


def set_up_copies(
    home: Home, database: Database, wanted: Sequence[Setup], *, attendant: Attendant
) -> list[enrol.Enrolled]:
    """Give the same key to several cards, one after the other, each read back and compared.

    They become carriers of one Key. A key that is to have copies cannot be made on a card; one
    card alone makes its key itself where it can. Cards that have the key go first: nothing is
    loaded on another before theirs proved to be the same.
    """
    labels = tuple(checked_name(each.label) for each in wanted)
    path = enrol.account_path(home.network, wanted[0].path)
    begun = BegunSetups(FolderMemory(home.card_memory))
    run = Run(home, database, attendant, begun, path, labels)
    with ExitStack() as wiped:
        plans = planned(run, wanted)
        refuse_useless(plans)
        for plan in plans:
            ask_codes(run, plan, wiped)
        run.source = source_of(run, plans, wiped)
        done: dict[str, enrol.Enrolled] = {}
        # One that tells nothing yet may have its key.
        for plan in sorted(plans, key=lambda p: (p.keyed, p.look.identity is None), reverse=True):
            with card_in(plan.wanted.slot, CardPrompts(attendant, plan.label)) as session:
                done[plan.label] = _carried_out(run, plan, session)
    return [done[each.label] for each in wanted]


def _carried_out(run: Run, plan: Plan, session: CardSession) -> enrol.Enrolled:
    """Go on from what the card has: PIN, key, backup; read back, compare, remember."""
    identity = _opened(run, plan, session)
    if plan.look.came_with_key:
        run.attendant.say(f"card {plan.label} {KEY_KEPT}")
    elif not identity.initialised:
        _make_key(run, plan, session)
    if plan.wanted.backup_out is not None and isinstance(session, BackupExporter):
        _write_backup(run, plan, session, file=plan.wanted.backup_out)
    found = enrol.examine(
        session, plan.wanted.slot, plan.label, path=run.path, network=run.home.network
    )
    if run.source is not None and found.key != seeds.expected_key(run.source.seed, run.path):
        if plan.keyed:
            meant = f"a card with the key of this seed as {plan.label}"
            raise WrongCard(meant, "one with another key")
        raise ProtocolError("the key read back is not the one of the seed; do not use this card")
    # Of a key that was there, the run that was cut off told where it was made.
    left = plan.begun if plan.keyed else None
    kinds = {*plan.codes} | ({"puk"} if plan.look.has_puk else set())
    kinds |= {*plan.begun.kinds} if plan.begun else set()
    found = found._replace(
        created_on=left.origin if left else run.origin,
        secrets=tuple(sorted(kinds & {*card_secrets.KINDS})),
        pin_set=not identity.has_pin,
        made_here=plan.wanted.source == "generate" and not identity.initialised,
    )
    with run.database.begin() as db:
        card = card_book.card_with_id(db, identity.family, identity.card_id)
        if card is not None and not plan.finished:
            secret_book.forget_secrets(db, card)  # those it had before somebody reset it
        done = enrol.store(db, found, plan.wanted.slot, network=run.home.network)
        if plan.wanted.backup_out is not None:
            noted = carriers.note_backup(db, plan.label, run.home.network)
            done = done._replace(backup=noted.carrier)
    run.begun.finish(plan.label, identity)
    if len(run.labels) > 1:
        run.attendant.say(f"card {plan.label}: done")
    return done


def _opened(run: Run, plan: Plan, session: CardSession) -> CardIdentity:
    """Have the card unlocked and proved as far as it can be; returns what it had before.

    A card that told nothing before its PIN is recognised here, one that did must be the same.
    """
    before, unlocked = plan.look.identity, False
    try:
        identity = session.identity()
    except NotUnlocked:
        session.unlock(plan.pin)
        identity, unlocked = session.identity(), True
    if before is not None and (before.family, before.card_id) != (
        identity.family,
        identity.card_id,
    ):
        raise WrongCard(plan.label, f"{identity.family} {identity.card_id[:16]}")
    enrol.attest_while_locked(session, run.home.network)
    if not identity.has_pin:
        _refuse_unloadable(run, session)
        _set_pin(run, plan, session, identity=identity)
    elif identity.attempts_left == 1 and not plan.wanted.last_attempt:
        raise LastAttempt(plan.label)
    if not unlocked:
        session.unlock(plan.pin)
    if identity.has_pin:
        identity = session.identity()
        _take_up(run, plan, identity)
    enrol.accepted(enrol.attest(session), run.home.network)
    _refuse_unloadable(run, session)
    return identity


def _refuse_unloadable(run: Run, session: CardSession) -> None:
    if run.source is not None and not isinstance(session, SeedLoader):
        raise NotSupported(session.family, MAKES_ITS_OWN)


def _take_up(run: Run, plan: Plan, identity: CardIdentity) -> None:
    """Go on with a card that has a PIN: say what holds of its PUK, and keep that it was begun.

    What it tells unlocked counts: of a locked one only what it was the last time may be known.
    """
    if identity != plan.look.identity:
        plan.look = plan.look._replace(identity=identity)
        recognise(run, plan, identity)
        if plan.finished and len(run.labels) == 1:
            raise second_set_up(plan)
    if plan.begun is None and not identity.initialised:
        run.begun.begin(identity, _record(run, plan, NO_PUK))
    elif plan.begun is not None and plan.begun.puk == PUK_SHOWN:
        run.attendant.say(f"the PUK of card {plan.label} is the one shown when its PIN was set")
    elif plan.begun is not None and plan.begun.puk == PUK_UNSHOWN:
        run.attendant.say(f"card {plan.label} {PUK_LOST.format(label=plan.label)}")


def _record(run: Run, plan: Plan, puk: str) -> BegunSetup:
    kinds = tuple(kind for kind in plan.codes if kind in card_secrets.KINDS)
    return BegunSetup(plan.label, run.origin, kinds, puk)


def _set_pin(run: Run, plan: Plan, session: CardSession, *, identity: CardIdentity) -> None:
    """Set the PIN and what else there is; a PUK made here is shown once the card has it.

    Where the card is gone before it answered it may have it or not: then that is said with it.
    """
    if not isinstance(session, Initialiser):
        raise NotSupported(identity.family, "being set up")
    label, attendant, puk = plan.label, run.attendant, plan.codes.get("puk")
    made = puk is not None and not plan.puk_given
    record = _record(run, plan, PUK_UNSHOWN if made else PUK_GIVEN if puk else NO_PUK)
    if plan.begun is not None and plan.begun.puk == PUK_SHOWN:
        attendant.say(f"card {label} did not take the PUK shown before: it does not count")
    run.begun.begin(identity, record)
    done = False
    try:
        session.initialise({**plan.codes, "pin": plan.pin})
        done = True
    finally:
        if puk is not None and made and (done or _may_have_pin(session)):
            doubt = "" if done else ", should the card have taken it"
            attendant.show_once(f"PUK of card {label}{doubt}", puk)
            run.begun.begin(identity, record._replace(puk=PUK_SHOWN))
    if "pairing" in plan.codes:
        attendant.show_once(f"pairing password of card {label}", plan.codes["pairing"])


def _may_have_pin(session: CardSession) -> bool:
    """Tell whether the card has a PIN, or does not say any more."""
    try:
        return session.identity().has_pin
    except CardError:
        return True


def _make_key(run: Run, plan: Plan, session: CardSession) -> None:
    """Load the seed, its new words handed over just before, or have the card make its key."""
    source, attendant = run.source, run.attendant
    if source is None:
        if isinstance(session, KeyGenerator):
            session.generate_key()
        return
    if source.words is not None:
        attendant.say("the key is not made on the card: its seed is made on this machine")
        if plan.wanted.words_out is not None:
            run.begun.write(WORDS, run.labels[0], seeds.words_hash(source.words))
        elif plan.begun is not None:
            attendant.say(f"no words shown before for card {plan.label} were loaded: they are void")
        title = f"words of card {run.labels[0]}"
        attendant.hand_over_words(title, source.words, plan.wanted.words_out)
        source.words = None
    if isinstance(session, SeedLoader):
        session.load_seed(source.seed)


def _write_backup(run: Run, plan: Plan, session: BackupExporter, *, file: Path) -> None:
    """Write the card's backup; one that a run wrote before it was cut off stays."""
    if not file.exists():
        backup = session.backup()
        run.begun.write(BACKUP, plan.label, hashlib.sha256(backup).digest())
        write_private(file, backup, replace=False)
    elif run.begun.wrote(BACKUP, plan.label, hashlib.sha256(read_bytes(file)).digest()):
        run.attendant.say(f"{file} was written by the set-up that was cut off: it stays")
    else:
        raise UsageError(
            f"{file} already exists and is not what a set-up of {plan.label} left here; "
            "name another file"
        )
