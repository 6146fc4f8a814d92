"""What is to become of each card that is set up, and every secret for it, before one is changed."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from cards.errors import CardNotInitialised, NotSupported, NotUnlocked
from cards.family import CardFamily, CardMemory, family_named
from cards.pin import Pin, Secret, fresh_puk
from cards.pin_rules import check_all
from cards.session import (
    BackupExporter,
    CardIdentity,
    CardSession,
    KeyGenerator,
    OriginTeller,
    PinUnblocker,
    SeedLoader,
)
from coordinator.custody.card_secrets import KINDS
from coordinator.enrolment import enrol, seeds
from coordinator.errors import LastAttempt, PinMissing, UsageError
from coordinator.files import read_bytes, refuse_unwritable
from coordinator.home.settings import Home
from coordinator.names import NAME
from coordinator.person import Attendant
from coordinator.readers.slots import CardPrompts, Slot, card_in, possible
from psbt.keys import Path as KeyPath
from storage import cards as card_book
from storage.database import Database

BESIDES = ("duress", "pairing")
BACKUP_INSTEAD = (
    "loading another card's seed; its copy is an encrypted backup: --copies 1 --backup-out FILE, "
    "or later: card backup"
)
MAKES_ITS_OWN = "loading a seed: it makes its key itself"
SEED_BESIDES = "a seed beside the key it came with (--generate keeps that)"
LOADED_ELSEWHERE = "taking over a key that was loaded elsewhere; reset it with its maker's app"
WORDS_MAX = 4096
ORIGINS = ("card", "host")
WORDS, BACKUP = "words", "backup"
NO_PUK, PUK_GIVEN, PUK_UNSHOWN, PUK_SHOWN = "none", "given", "unshown", "shown"
PUK_STATES = (NO_PUK, PUK_GIVEN, PUK_UNSHOWN, PUK_SHOWN)


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


class BegunSetup(NamedTuple):
    """A card whose set-up was begun here: its label, where its key is made, which secrets it got.

    `puk` tells whether a PUK made here was shown to the person yet.
    """

    label: str
    origin: str
    kinds: tuple[str, ...]
    puk: str


class BegunSetups:
    """The set-ups of this home that are not done yet, by card, and the files they wrote, by label.

    No secret is among it: of words and a backup only a hash is kept, to know the file again.
    """

    def __init__(self, memory: CardMemory) -> None:
        """Keep them where the home keeps what it remembers of cards."""
        self._memory = memory

    def of_card(self, card: CardIdentity) -> BegunSetup | None:
        """Return what was kept of the card's set-up, if it was begun and is not done."""
        kept = self._memory.read(_card_name(card))
        lines = (kept or b"").decode("utf-8", "replace").split("\n")
        if len(lines) != len(BegunSetup._fields):
            return None
        found = BegunSetup(lines[0], lines[1], tuple(lines[2].split()), lines[3])
        sound = (
            NAME.fullmatch(found.label)
            and found.origin in ORIGINS
            and set(found.kinds) <= {*KINDS}
            and found.puk in PUK_STATES
        )
        return found if sound else None

    def begin(self, card: CardIdentity, begun: BegunSetup) -> None:
        """Keep that the card is about to be changed, or what has come since."""
        lines = (begun.label, begun.origin, " ".join(begun.kinds), begun.puk)
        self._memory.write(_card_name(card), "\n".join(lines).encode())

    def write(self, what: str, label: str, digest: bytes) -> None:
        """Keep how to know the file of words, or the backup, again that is about to be written."""
        self._memory.write(_file_name(what, label), digest)

    def wrote(self, what: str, label: str, digest: bytes) -> bool:
        """Tell whether these are the words, or the backup, of a set-up that is not done."""
        return self._memory.read(_file_name(what, label)) == digest

    def finish(self, label: str, card: CardIdentity) -> None:
        """Forget the set-up of a card that is done."""
        self._memory.forget(_card_name(card))
        for what in (WORDS, BACKUP):
            self._memory.forget(_file_name(what, label))


def _card_name(card: CardIdentity) -> str:
    return f"set-up of {card.family} {card.card_id}"


def _file_name(what: str, label: str) -> str:
    return f"{what} of the set-up of {label}"


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
    def finished(self) -> bool:
        """Whether nothing is left to do with the card, unless others are to get its key."""
        return self.keyed and self.known and self.begun is None

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
    database: Database
    attendant: Attendant
    begun: BegunSetups
    path: KeyPath
    labels: tuple[str, ...]
    source: Source | None = None

    @property
    def origin(self) -> str:
        """Where the key is made: card or host."""
        return "card" if self.source is None else "host"


def planned(run: Run, wanted: Sequence[Setup]) -> list[Plan]:
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
            recognise(run, plan, plan.look.identity)
    if all(plan.finished for plan in plans):
        raise second_set_up(plans[0])
    return sorted(plans, key=lambda plan: run.labels.index(plan.label))


def _look_at(run: Run, wanted: Setup) -> Look:
    """Open the card and see what it can and has; no PIN is presented, nothing is changed."""
    with card_in(wanted.slot, CardPrompts(run.attendant, wanted.label)) as session:
        identity = None
        try:
            identity = session.identity()
        except NotUnlocked as silent:
            known = enrol.held_against(run.database, wanted.label, wanted.slot)
            if known is not None:
                possible(session, *known)
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


def recognise(run: Run, plan: Plan, identity: CardIdentity) -> None:
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
        raise second_set_up(plan)


def second_set_up(plan: Plan) -> NotSupported:
    """Return the refusal of a card that needs no set-up any more."""
    return NotSupported(plan.look.family, f"a second set-up; run: card enrol {plan.label}")


def _makes_its_own(plans: Sequence[Plan]) -> bool:
    """Tell whether the key is made on the card: where it can, and has no copies."""
    (first, *copies) = plans
    return not copies and first.wanted.source == "generate" and first.look.makes_key


def refuse_useless(plans: Sequence[Plan]) -> None:
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


def ask_codes(run: Run, plan: Plan, wiped: ExitStack) -> None:
    """Ask for the PIN and what the card takes besides, and check all of it against its family."""
    identity, label, attendant = plan.look.identity, plan.label, run.attendant
    if identity is not None and not identity.has_pin:
        rule = plan.family.codes.get("pin")
        plan.pin = wiped.enter_context(attendant.new_pin_for(label, f"{rule or ''}"))
    else:
        plan.pin = wiped.enter_context(_pin_there_is(plan, attendant))
    if identity is None:
        return
    plan.codes = dict(_besides(plan, identity, attendant, wiped=wiped))
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
    plan: Plan, identity: CardIdentity, attendant: Attendant, *, wiped: ExitStack
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
        puk = fresh_puk(plan.family.puk_digits)
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


def source_of(run: Run, plans: Sequence[Plan], wiped: ExitStack) -> Source | None:
    """Return the seed that was typed, or one made here; None where no card is to be given one."""
    wanted = plans[0].wanted
    if _makes_its_own(plans):
        _tell_unused(run.attendant, wanted.label, ("seed", "words"))
        return None
    if wanted.source != "generate":
        _tell_unused(run.attendant, wanted.label, {"seed", "words"} - {wanted.source})
        typed = run.attendant.secret_for(wanted.label, wanted.source)
        if typed is None:
            raise PinMissing(wanted.label, wanted.source)
        with typed:
            seed = seeds.from_hex(typed) if wanted.source == "seed" else seeds.from_words(typed)
            return Source(wiped.enter_context(seed))
    if any(plan.keyed for plan in plans):
        return _source_again(run, plans, wiped)
    _tell_unused(run.attendant, wanted.label, ("seed", "words"))
    if wanted.words_out is not None and wanted.words_out.exists():
        return _words_again(run, wanted.label, wanted.words_out, wiped=wiped)
    run.attendant.ready_for_words(wanted.words_out)
    words = wiped.enter_context(seeds.fresh_words())
    return Source(wiped.enter_context(seeds.from_words(words)), words)


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


def _words_again(run: Run, label: str, file: Path, *, wiped: ExitStack) -> Source:
    """Return the words of a file that this set-up wrote before it was cut off; no other file's."""
    with _words_in(file) as words:
        if not run.begun.wrote(WORDS, label, seeds.words_hash(words)):
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
