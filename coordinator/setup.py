"""A factory-fresh card gets its PIN, its PUK and its key, and is enrolled at once.

First every card is looked at, then every secret is asked for and checked, and only then is a card
changed. A run that was cut off is run again: it goes on with each card where that one stopped.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from cards.codes import check_all
from cards.errors import (
    CardError,
    CardNotInitialised,
    NotSupported,
    NotUnlocked,
    ProtocolError,
    WrongCard,
)
from cards.family import CardFamily, family_named
from cards.pin import Pin, Secret
from cards.session import (
    BackupExporter,
    CardIdentity,
    CardSession,
    Initialiser,
    KeyGenerator,
    OriginTeller,
    PinUnblocker,
    SeedLoader,
)
from coordinator import carriers, enrol, knowledge, seeds
from coordinator.attendant import Attendant
from coordinator.begun_setups import (
    NO_PUK,
    PUK_GIVEN,
    PUK_SHOWN,
    PUK_UNSHOWN,
    BegunSetup,
    BegunSetups,
)
from coordinator.errors import LastAttempt, PinMissing, UsageError
from coordinator.files import read_bytes, refuse_unwritable, write_private
from coordinator.memory import FolderMemory
from coordinator.settings import Home
from coordinator.slots import Company, Slot, card_in, checked_name
from psbt.keys import Path as KeyPath
from storage import cards as card_book
from storage import knowledge as knowledge_book

BESIDES = ("duress", "pairing")
BACKUP_INSTEAD = (
    "loading another card's seed; its copy is an encrypted backup: --copies 1 --backup-out FILE, "
    "or later: card backup"
)
MAKES_ITS_OWN = "loading a seed: it makes its key itself"
KEY_KEPT = (
    "came with a key of its own: it is kept and no other is made; whoever had the card before its "
    "PIN was set could sign with it"
)
SEED_BESIDES = "a seed beside the key it came with (--generate keeps that)"
LOADED_ELSEWHERE = "taking over a key that was loaded elsewhere; reset it with its maker's app"
PUK_LOST = (
    "has a PUK that nobody was shown: the program ended just before; to have one, run card reset "
    "{label} and set it up again, before coins depend on it"
)
WORDS_MAX = 4096


@dataclass(frozen=True)
class Setup:
    """What is asked for; `source` is generate, words or seed.

    `backup_out` is the file for the encrypted backup of a card that makes its key and tells it to
    nobody else.
    """

    label: str
    slot: Slot
    source: str
    path: str | None = None
    words_out: Path | None = None
    backup_out: Path | None = None
    last_attempt: bool = False


class Look(NamedTuple):
    """A card as it is found before anything is asked; no identity where it tells none yet."""

    family: str
    identity: CardIdentity | None
    loads_seed: bool
    makes_key: bool
    exports: bool
    has_puk: bool
    came_with_key: bool

    @property
    def told_all(self) -> bool:
        """Whether the card told what it can: some do not while they are locked."""
        locked = self.identity is None or self.identity.has_pin
        return family_named(self.family).identified_before_pin or not locked


@dataclass
class Plan:
    """One card: what is wanted of it, as it was found, and the secrets given for it.

    `begun` is what an earlier run left that was cut off, `known` tells that the card is enrolled.
    """

    wanted: Setup
    look: Look
    begun: BegunSetup | None = None
    known: bool = False
    pin: Pin = field(default_factory=lambda: Pin(b""))
    codes: dict[str, Secret] = field(default_factory=dict)
    puk_given: bool = False

    @property
    def label(self) -> str:
        """The card's label."""
        return self.wanted.label

    @property
    def keyed(self) -> bool:
        """Whether the card has PIN and key, as far as it tells yet."""
        return self.look.identity is not None and self.look.identity.initialised

    @property
    def family(self) -> CardFamily:
        """The card's family."""
        return family_named(self.look.family)


@dataclass
class Source:
    """The seed the cards are to get, and its words while somebody has yet to see them."""

    seed: Secret
    words: Secret | None = None


@dataclass
class Run:
    """One run: where it keeps things, whom it asks, and the seed, unless the card makes its key."""

    home: Home
    database: sessionmaker[Session]
    attendant: Attendant
    begun: BegunSetups
    path: KeyPath
    labels: tuple[str, ...]
    source: Source | None = None


def set_up(
    home: Home, database: sessionmaker[Session], wanted: Setup, attendant: Attendant
) -> enrol.Enrolled:
    """Set PIN and PUK, make or load the key, read it back and compare, and enrol the card.

    A set-up that was cut off goes on with what the card has, and a key that a card without a PIN
    came with is kept, if it was made there. A seed made or typed here never reaches a card that
    is not genuine, and is wiped in any case.
    """
    return set_up_copies(home, database, [wanted], attendant)[0]


def set_up_copies(
    home: Home, database: sessionmaker[Session], wanted: Sequence[Setup], attendant: Attendant
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
        plans = _planned(run, wanted)
        _refuse_useless(plans)
        for plan in plans:
            _ask_codes(run, plan, wiped)
        run.source = _source(run, plans, wiped)
        done: dict[str, enrol.Enrolled] = {}
        for plan in sorted(plans, key=_how_far, reverse=True):
            with card_in(plan.wanted.slot, Company(attendant, plan.label)) as session:
                done[plan.label] = _carried_out(run, plan, session)
    return [done[each.label] for each in wanted]


def _how_far(plan: Plan) -> int:
    """Order cards by how far their set-up came; one that tells nothing yet may have its key."""
    if plan.keyed:
        return 2
    return 1 if plan.look.identity is None else 0


# Before anything is asked.


def _planned(run: Run, wanted: Sequence[Setup]) -> list[Plan]:
    """Look at every card, and give the label back to a card that an earlier run gave it to."""
    looks = [_look_at(run, each) for each in wanted]
    owned = dict(_owned_labels(run, looks))
    free = iter([label for label in run.labels if label not in owned.values()])
    labels = [owned.get(number) or next(free) for number in range(len(looks))]
    plans = [
        Plan(replace(each, label=label), look)
        for each, label, look in zip(wanted, labels, looks, strict=True)
    ]
    for plan in plans:
        if plan.look.identity is not None:
            _recognise(run, plan, plan.look.identity)
    finished = [plan for plan in plans if plan.keyed and plan.known]
    if len(finished) == len(plans):
        raise _second_set_up(plans[0])
    return sorted(plans, key=lambda plan: run.labels.index(plan.label))


def _look_at(run: Run, wanted: Setup) -> Look:
    """Open the card and see what it can and has; no PIN is presented, nothing is changed."""
    with card_in(wanted.slot, Company(run.attendant, wanted.label)) as session:
        identity = None
        try:
            identity = session.identity()
        except NotUnlocked as silent:
            run.attendant.say(f"card {wanted.label}: {silent}")
        else:
            enrol.attest_while_locked(session, run.home.network)
        return Look(
            family=session.family,
            identity=identity,
            loads_seed=isinstance(session, SeedLoader),
            makes_key=isinstance(session, KeyGenerator),
            exports=isinstance(session, BackupExporter),
            has_puk=isinstance(session, PinUnblocker),
            came_with_key=identity is not None
            and not identity.has_pin
            and _came_with_key(session, wanted.source),
        )


def _came_with_key(session: CardSession, source: str) -> bool:
    """Tell whether a card without a PIN has a key; refuses one that would not be the one wanted."""
    if not isinstance(session, OriginTeller):
        return False
    try:
        made_there = session.made_its_key()
    except CardNotInitialised:
        return False
    if source != "generate":
        raise NotSupported(session.family, SEED_BESIDES)
    if not made_there:
        raise NotSupported(session.family, LOADED_ELSEWHERE)
    return True


def _owned_labels(run: Run, looks: Sequence[Look]) -> Iterator[tuple[int, str]]:
    """Yield which of the cards an earlier run gave which of the labels."""
    labels = {*run.labels}
    for number, look in enumerate(looks):
        if look.identity is None:
            continue
        begun = run.begun.of_card(look.identity)
        with run.database.begin() as db:
            known = card_book.card_with_id(db, look.family, look.identity.card_id)
            label = known.label if known else begun.label if begun else ""
        if label in labels:
            labels.discard(label)
            yield number, label


def _recognise(run: Run, plan: Plan, identity: CardIdentity) -> None:
    """Note what is known of the card; raises where its label or its key is another's.

    A key on a card that is neither enrolled nor left by a run of this home is nobody's here.
    """
    enrol.refuse_another_label(run.database, plan.label, identity)
    plan.begun = run.begun.of_card(identity)
    if plan.begun is not None and plan.begun.label != plan.label:
        plan.begun = None
    with run.database.begin() as db:
        card = card_book.card_with_id(db, identity.family, identity.card_id)
        plan.known = card is not None and bool(card_book.keys_of_card(db, plan.label))
    if identity.initialised and not plan.known and plan.begun is None:
        raise _second_set_up(plan)


def _second_set_up(plan: Plan) -> NotSupported:
    return NotSupported(plan.look.family, f"a second set-up; run: card enrol {plan.label}")


def _makes_its_own(plans: Sequence[Plan]) -> bool:
    """Tell whether the key is made on the card: where it can, and has no copies."""
    (first, *copies) = plans
    return not copies and first.wanted.source == "generate" and first.look.makes_key


def _refuse_useless(plans: Sequence[Plan]) -> None:
    """Refuse what these cards cannot do, and options that would change nothing."""
    own, wanted = _makes_its_own(plans), plans[0].wanted
    for plan in plans:
        look = plan.look
        if len(plans) > 1 and look.exports and not look.loads_seed:
            raise NotSupported(look.family, BACKUP_INSTEAD)
        if len(plans) > 1 and look.came_with_key:
            raise NotSupported(look.family, SEED_BESIDES)
        if wanted.backup_out is not None and not (look.exports and own):
            raise NotSupported(look.family, "an encrypted backup of a key made on it")
        if not own and not look.loads_seed and look.told_all:
            raise NotSupported(look.family, MAKES_ITS_OWN)
    if wanted.words_out is not None and wanted.source != "generate":
        raise UsageError(
            f"--words-out writes words that are made here, and --{wanted.source} makes none"
        )
    if wanted.words_out is not None and own:
        raise UsageError(
            f"card {wanted.label} makes its key itself and tells no words: leave --words-out out"
        )
    if wanted.backup_out is not None and not plans[0].keyed:
        refuse_unwritable(wanted.backup_out)


# Every secret, before a card is changed.


def _ask_codes(run: Run, plan: Plan, wiped: ExitStack) -> None:
    """Ask for the PIN and what the card takes besides, and check all of it against its family."""
    identity, label, attendant = plan.look.identity, plan.label, run.attendant
    if identity is not None and not identity.has_pin:
        rule = plan.family.codes.get("pin")
        plan.pin = wiped.enter_context(attendant.new_pin_for(label, f"{rule or ''}"))
    else:
        plan.pin = wiped.enter_context(_pin_there_is(plan, attendant))
    if identity is None:
        return
    plan.codes = dict(_besides(plan, identity, attendant, wiped))
    if identity.has_pin or not plan.look.has_puk:
        _tell_unused(attendant, label, ("puk",))
    if identity.has_pin:
        return
    if plan.look.has_puk:
        given = _taken(attendant, label, "puk")
        plan.puk_given = given is not None
        plan.codes["puk"] = wiped.enter_context(given or _made_puk(plan))
    check_all(plan.family.codes, {**plan.codes, "pin": plan.pin}, f"card {label}")


def _pin_there_is(plan: Plan, attendant: Attendant) -> Pin:
    """Return the PIN the card has: printed on it, or set by an earlier run from the same lines."""
    label, identity = plan.label, plan.look.identity
    if identity is None:
        identity = CardIdentity("", plan.look.family, "", initialised=True, attempts_left=None)
    elif identity.attempts_left == 1 and not plan.wanted.last_attempt:
        raise LastAttempt(label)
    elif plan.keyed:
        attendant.say(f"card {label} has its key already: its PIN is asked for to read it")
    elif plan.family.prints_pin:
        attendant.say(f"card {label} comes with a PIN printed on it: {plan.family.codes['pin']}")
    else:
        attendant.say(f"card {label} has a PIN already and no key yet")
    given = None if plan.family.prints_pin else _taken(attendant, label, "new")
    if given is not None:
        with given:
            pin = Pin.of(given)
    else:
        pin = attendant.pin_for(label, identity)
    if "pin" in plan.family.codes:
        plan.family.codes["pin"].check_size(pin, f"the PIN of card {label}")
    return pin


def _besides(
    plan: Plan, identity: CardIdentity, attendant: Attendant, wiped: ExitStack
) -> Iterator[tuple[str, Secret]]:
    """Yield what somebody gives for the set-up besides PIN and PUK, if the card can take it."""
    taken = plan.family.setup_secrets_at(identity.version)
    for kind in BESIDES:
        given = _taken(attendant, plan.label, kind)
        if given is None:
            continue
        wiped.enter_context(given)
        if kind not in taken:
            raise NotSupported(plan.look.family, f"a {kind} secret of its owner's")
        yield kind, given


def _made_puk(plan: Plan) -> Secret:
    """Return a PUK of chance that does not begin with the duress PIN."""
    duress = plan.codes.get("duress")
    while True:
        puk = seeds.fresh_puk(plan.family.puk_digits)
        if duress is None or not duress.begins(puk):
            return puk


def _taken(attendant: Attendant, label: str, kind: str) -> Secret | None:
    return attendant.secret_for(label, kind, optional=True)


def _tell_unused(attendant: Attendant, label: str, kinds: Iterable[str]) -> None:
    """Say which secrets were given that change nothing, so that nobody relies on one."""
    for kind in kinds:
        given = _taken(attendant, label, kind)
        if given is not None:
            given.close()
            attendant.say(f"the {kind} given for card {label} is not used")


def _source(run: Run, plans: Sequence[Plan], wiped: ExitStack) -> Source | None:
    """Return the seed that was typed, or one made here; None where no card is to be given one."""
    wanted = plans[0].wanted
    if _makes_its_own(plans):
        _tell_unused(run.attendant, wanted.label, ("seed", "words"))
        return None
    if wanted.source != "generate":
        _tell_unused(run.attendant, wanted.label, {"seed", "words"} - {wanted.source})
        return _typed_source(run, wanted.label, wanted.source, wiped)
    if any(plan.keyed for plan in plans):
        return _source_again(run, plans, wiped)
    _tell_unused(run.attendant, wanted.label, ("seed", "words"))
    if wanted.words_out is not None and wanted.words_out.exists():
        return _words_again(run, wanted.label, wanted.words_out, wiped)
    run.attendant.ready_for_words(wanted.words_out)
    words = wiped.enter_context(seeds.fresh_words())
    return Source(wiped.enter_context(seeds.from_words(words)), words)


def _typed_source(run: Run, label: str, kind: str, wiped: ExitStack) -> Source:
    typed = run.attendant.secret_for(label, kind)
    if typed is None:
        raise PinMissing(label, kind)
    with typed:
        seed = seeds.from_hex(typed) if kind == "seed" else seeds.from_words(typed)
        return Source(wiped.enter_context(seed))


def _source_again(run: Run, plans: Sequence[Plan], wiped: ExitStack) -> Source | None:
    """Return the words an earlier run made for a card that has its key: from its file, or typed.

    The card itself proves them, before another card is touched.
    """
    wanted, (first, *_) = plans[0].wanted, [plan for plan in plans if plan.keyed]
    file = wanted.words_out
    if file is not None and file.exists():
        with _words_in(file) as words:
            run.attendant.say(f"{file} exists: its words are compared with card {first.label}")
            return Source(wiped.enter_context(seeds.from_words(words)))
    if file is not None:
        raise UsageError(
            f"card {first.label} has its key already, so there are no new words for {file}; "
            "leave --words-out out"
        )
    if all(plan.keyed for plan in plans):
        return None
    typed = run.attendant.secret_for(wanted.label, "words")
    if typed is None:
        raise UsageError(
            f"card {first.label} has its key already, and a copy needs the words it was made from; "
            "run it again with --words in place of --generate"
        )
    with typed:
        return Source(wiped.enter_context(seeds.from_words(typed)))


def _words_again(run: Run, label: str, file: Path, wiped: ExitStack) -> Source:
    """Return the words of a file that this set-up wrote before it was cut off; no other file's."""
    with _words_in(file) as words:
        if not run.begun.wrote_words(label, words):
            raise UsageError(
                f"{file} already exists and is not what a set-up of {label} left here; name "
                "another file, or load its words with --words in place of --generate"
            )
        run.attendant.say(f"{file} holds the words of the set-up that was cut off: they are loaded")
        return Source(wiped.enter_context(seeds.from_words(words)))


def _words_in(file: Path) -> Secret:
    data = read_bytes(file)
    if len(data) > WORDS_MAX:
        raise UsageError(f"{file} has {len(data)} bytes: that is no file of words")
    return Secret(data)


# Card by card.


def _carried_out(run: Run, plan: Plan, session: CardSession) -> enrol.Enrolled:
    """Go on from what the card has: PIN, key, backup; read back, compare, remember."""
    identity = _opened(run, plan, session)
    if plan.look.came_with_key:
        run.attendant.say(f"card {plan.label} {KEY_KEPT}")
    elif not identity.initialised:
        _make_key(run, plan, session)
    if plan.wanted.backup_out is not None and isinstance(session, BackupExporter):
        _write_backup(run, plan.wanted.backup_out, session.backup())
    found = enrol.examine(session, plan.wanted.slot, plan.label, run.path, run.home.network)
    _compare(run, plan, found)
    kinds = {*plan.codes} | ({"puk"} if plan.look.has_puk else set())
    kinds |= {*plan.begun.kinds} if plan.begun else set()
    found = found._replace(
        created_on=_origin(run, plan),
        secrets=tuple(sorted(kinds & {*knowledge.KINDS})),
        pin_set=not identity.has_pin,
    )
    with run.database.begin() as db:
        card = card_book.card_with_id(db, identity.family, identity.card_id)
        if card is not None and not plan.known:
            knowledge_book.forget_secrets(db, card)  # those it had before somebody reset it
        done = enrol.store(db, found, plan.wanted.slot, run.home.network)
        if plan.wanted.backup_out is not None:
            noted = carriers.note_backup(db, plan.label, run.home.network)
            done = done._replace(backup=noted["carrier"])
    run.begun.finish(plan.label, identity)
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
    if before is not None and (before.family, before.card_id) != (identity.family, identity.card_id):
        raise WrongCard(plan.label, f"{identity.family} {identity.card_id[:16]}")
    enrol.attest_while_locked(session, run.home.network)
    if not identity.has_pin:
        _refuse_unloadable(run, session)
        _set_pin(run, plan, session, identity)
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
        _recognise(run, plan, identity)
        if plan.keyed and plan.known and len(run.labels) == 1:
            raise _second_set_up(plan)
    if plan.begun is None and not identity.initialised:
        run.begun.begin(identity, _record(run, plan, NO_PUK))
    elif plan.begun is not None and plan.begun.puk == PUK_SHOWN:
        run.attendant.say(f"the PUK of card {plan.label} is the one shown when its PIN was set")
    elif plan.begun is not None and plan.begun.puk == PUK_UNSHOWN:
        run.attendant.say(f"card {plan.label} {PUK_LOST.format(label=plan.label)}")


def _record(run: Run, plan: Plan, puk: str) -> BegunSetup:
    kinds = tuple(kind for kind in plan.codes if kind in knowledge.KINDS)
    return BegunSetup(plan.label, "card" if run.source is None else "host", kinds, puk)


def _set_pin(run: Run, plan: Plan, session: CardSession, identity: CardIdentity) -> None:
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
            run.begun.write_words(run.labels[0], source.words)
        elif plan.begun is not None:
            attendant.say(f"no words shown before for card {plan.label} were loaded: they are void")
        title = f"words of card {run.labels[0]}"
        attendant.hand_over_words(title, source.words, plan.wanted.words_out)
        source.words = None
    if isinstance(session, SeedLoader):
        session.load_seed(source.seed)


def _write_backup(run: Run, file: Path, backup: bytes) -> None:
    """Write the card's backup; one that an earlier run wrote, and is the same, stays."""
    if not file.exists():
        write_private(file, backup, replace=False)
    elif read_bytes(file) == backup:
        run.attendant.say(f"{file} is this card's backup already")
    else:
        raise UsageError(f"{file} already exists and is not this card's backup; name another file")


def _compare(run: Run, plan: Plan, found: enrol.Enrolled) -> None:
    """Raise unless the key read back is the seed's."""
    if run.source is None or found.key == seeds.expected_key(run.source.seed, run.path):
        return
    if plan.keyed:
        raise WrongCard(f"a card with the key of this seed as {plan.label}", "one with another key")
    raise ProtocolError("the key read back is not the one of the seed; do not use this card")


def _origin(run: Run, plan: Plan) -> str:
    """Return where the key was made; of one that was there, the run that was cut off told."""
    if plan.keyed and plan.begun is not None:
        return plan.begun.origin
    return "card" if run.source is None else "host"
