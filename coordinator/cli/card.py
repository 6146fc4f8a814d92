"""card: set up, enrol, list, check and look after one card."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import incident
from coordinator.cli.context import Context
from coordinator.cli.options import (
    Accept,
    CardLabel,
    Emulated,
    EmulatedMany,
    LastTry,
    PinStdin,
    Reader,
    ReaderMany,
    Yes,
)
from coordinator.cli.output import columns, danger_lines, fields
from coordinator.cli.result import ExitStatus, Result, as_document

if TYPE_CHECKING:
    from coordinator.enrolment.enrol import Enrolled
    from coordinator.enrolment.listing import CardShown

Issuer = Annotated[
    Path | None, typer.Option("--issuer", help="what its maker's server says", metavar="FILE")
]
BACKUP = " (a TAPSIGNER's copy is its encrypted backup: --backup-out FILE)"
ORIGIN = {"card": "on the card", "host": "on this machine, not on the card"}


def setup(
    context: Context,
    label: CardLabel,
    reader: ReaderMany = None,
    emulated: EmulatedMany = None,
    generate: Annotated[bool, typer.Option("--generate", help="make a new key")] = False,
    words: Annotated[bool, typer.Option("--words", help="load a seed from its words")] = False,
    seed: Annotated[bool, typer.Option("--seed", help="load a seed given in hex")] = False,
    words_out: Annotated[
        Path | None, typer.Option(help="write the new words to a file", metavar="FILE")
    ] = None,
    backup_out: Annotated[
        Path | None, typer.Option(help="write its encrypted backup to a file", metavar="FILE")
    ] = None,
    path: Annotated[str | None, typer.Option(help="the key's path")] = None,
    copies: Annotated[int, typer.Option(min=0, max=9, help="more cards with this key")] = 0,
    pin_stdin: PinStdin = False,
    last_attempt: LastTry = False,
) -> Result:
    """Set a factory-fresh card's PIN and PUK and give it a key.

    A Satochip cannot make its key itself: its words are made on this machine, shown
    once on the terminal, loaded and wiped. A TAPSIGNER cannot take a copy's seed: it writes its
    encrypted backup instead (--copies 1 --backup-out FILE). A set-up that was cut off goes on.

    \b
    Example: cardquorum card setup blue --emulated blue --generate
    """
    from coordinator.enrolment import setup as setting_up
    from coordinator.enrolment.setup_plan import Setup
    from coordinator.readers import choice as reader_choice

    source = _source(generate=generate, words=words, seed=seed)
    count = _cards_wanted(copies, backup_out)
    slots = reader_choice.slots_of_strangers(
        context.home, reader_choice.places(reader, emulated), count, besides=BACKUP
    )
    labels = [label, *(f"{label}-{number}" for number in range(2, count + 1))]
    attendant = context.person(labels, pin_stdin=pin_stdin, single=count == 1)
    wanted = [
        Setup(each, place, source, path, words_out, backup_out, last_attempt)
        for each, place in zip(labels, slots, strict=True)
    ]
    made = setting_up.set_up_copies(context.home, context.database, wanted, attendant=attendant)
    first, *copied = [_enrolled_document(each, context.home.network) for each in made]
    backup = {"file": backup_out, "carrier": made[0].backup} if backup_out else None
    document = {**first, "pin_set": made[0].pin_set, "copies": copied, "backup": backup}
    return Result(document, _set_up_lines(made, context.home.network))


def _enrolled_document(made: "Enrolled", network: str) -> dict[str, object]:
    from coordinator.enrolment.listing import key_line

    card = made.identity
    named = {"label": made.label, "family": card.family, "card_id": card.card_id}
    return {
        "card": {**named, "version": card.version, "emulated": made.emulated},
        "key": key_line(made.key, network),
        "created_on": made.created_on,
        "attestation": made.attestation,
        "replaced": made.replaced,
    }


def _cards_wanted(copies: int, backup_out: Path | None) -> int:
    """Return how many cards are to lie ready: an encrypted backup stands for one copy."""
    from coordinator.errors import UsageError

    if backup_out is not None and copies > 1:
        raise UsageError(f"a backup is one copy, not {copies}; write more with: card backup")
    return 1 if backup_out is not None else 1 + copies


def _set_up_lines(made: "Sequence[Enrolled]", network: str) -> list[str]:
    first, *others = made
    return [
        f"card {first.label}: {_pin_line(first)}, key made {ORIGIN[first.created_on]}",
        first.expression(network),
        *_replaced(first.replaced),
        *(
            f"card {other.label}: {_pin_line(other)}, the same key, read back and compared"
            for other in others
        ),
        *_to_write_down(made),
        *([f"wrote its encrypted backup: {first.backup}"] if first.backup else []),
    ]


def _pin_line(made: "Enrolled") -> str:
    """Say what became of the card's PIN."""
    from cards.family import family_named

    if made.pin_set:
        return "PIN set"
    if family_named(made.identity.family).prints_pin:
        return "its PIN is still the one printed on it"
    return "its PIN is the one it had"


def _source(**sources: bool) -> str:
    """Return the one source of the key that was chosen; raises UsageError."""
    from coordinator.errors import UsageError

    chosen = [name for name, wanted in sources.items() if wanted]
    if len(chosen) != 1:
        raise UsageError("choose one of --generate, --words and --seed")
    return chosen[0]


def enrol(
    context: Context,
    label: CardLabel,
    reader: Reader = None,
    emulated: Emulated = None,
    path: Annotated[str | None, typer.Option(help="the key's path, as 48h/0h/0h/2h")] = None,
    issuer: Issuer = None,
    pin_stdin: PinStdin = False,
    last_attempt: LastTry = False,
    accept: Accept = None,
) -> Result:
    """Identify a card, read its key and remember both.

    A card that is proved to the end only by a document of its maker's takes it with --issuer;
    the README of its family says where it comes from.

    \b
    Example: cardquorum card enrol blue --emulated blue
    """
    from coordinator.enrolment import enrol as enrolling
    from coordinator.enrolment import unenrolled
    from coordinator.files import read_bytes
    from coordinator.readers import choice as reader_choice

    (slot,) = reader_choice.slots_of_strangers(
        context.home, reader_choice.places(reader, emulated), 1
    )
    attendant = context.person([label], pin_stdin=pin_stdin, accepted=accept)
    evidence = None if issuer is None else read_bytes(issuer)
    asked = enrolling.CardAtSlot(label, slot, last_attempt)
    found = enrolling.enrol(
        context.home, context.database, asked, attendant=attendant, path=path, evidence=evidence
    )
    with context.database.begin() as db:
        places = unenrolled.places_of(db, found.key)
    document = {
        **_enrolled_document(found, context.home.network),
        "vaults": [{"vault": place.vault, "number": place.number} for place in places],
        "origin": found.origin,
    }
    lines = [
        f"card {label}: {found.identity.family} {found.identity.version}, "
        f"{found.attestation.result.value} ({found.attestation.reason})",
        f"key made on: {found.created_on}",
        found.expression(context.home.network),
        *(f"this is {place}" for place in places),
        *_origins(found),
        *_replaced(found.replaced),
        *_to_write_down([found]),
    ]
    return Result(document, lines)


def _origins(found: "Enrolled") -> list[str]:
    """Say which vaults were told another origin of the card's key by a file."""
    mended = [
        f"vault {name}: its file told another origin of this key; the card's is taken, so its "
        f"checksum is another now: cardquorum vault show {name}"
        for name in found.origin.mended
    ]
    kept = [
        f"vault {name}: its file told another origin of this key, and it is approved here or has "
        "payments: it keeps that, and this card cannot sign for it; import it in a new home, "
        "after enrolling the card there"
        for name in found.origin.kept
    ]
    return [*mended, *kept]


def _to_write_down(made: "Iterable[Enrolled]") -> list[str]:
    return [
        f"card {each.label} has more than its PIN to be kept: write it down, then say who knows it "
        f"or where it is: cardquorum secret add {each.label}-{kind} --of {each.label} --kind {kind}"
        for each in made
        for kind in each.secrets
    ]


def _replaced(labels: Iterable[str]) -> list[str]:
    return [f"the card no longer carries key {label}" for label in labels]


def check(
    context: Context,
    label: CardLabel,
    reader: Reader = None,
    emulated: Emulated = None,
    with_pin: Annotated[bool, typer.Option("--pin", help="unlock and compare the key too")] = False,
    issuer: Issuer = None,
    pin_stdin: PinStdin = False,
    last_attempt: LastTry = False,
    accept: Accept = None,
) -> Result:
    """Check that a card is there, genuine, and holds its key.

    Without --pin no PIN is presented, but --issuer needs it: what the card's maker says of it is
    kept for this card only. A seen event is written to the custody book.

    \b
    Example: cardquorum card check blue --pin
    """
    from coordinator.enrolment import check as checking
    from coordinator.files import read_bytes

    evidence = None if issuer is None else read_bytes(issuer)
    asked = context.card_at(label, reader, emulated, last_attempt=last_attempt)
    attendant = context.person([label], pin_stdin=pin_stdin, accepted=accept)
    unlocking = with_pin or pin_stdin or evidence is not None
    found = checking.check(
        context.home, context.database, asked,
        attendant=attendant, with_pin=unlocking, evidence=evidence,
    )  # fmt: skip
    document = {"card": label, **found._asdict()}
    if not found.present:
        missing = [f"card {label} is not there: {found.differences[0]}"]
        return Result(document, missing, ExitStatus.CARD)
    attempts, of_puk = f"PIN attempts left: {found.attempts_left}", found.puk_attempts_left
    if found.attempts_left is None:
        attempts = "it does not count PIN attempts"
    elif of_puk is not None:
        attempts += f", PUK attempts: {of_puk}"
    key = "the one that was enrolled" if found.key_matches else "NOT the one that was enrolled"
    if found.key_matches is None:
        key = "not compared, which takes its PIN; add --pin"
    lines = [
        f"card {label} is there; {attempts}",
        f"genuine: {found.genuine or 'it proves that with its PIN only; add --pin'}",
        f"key: {key}",
        *(f"DIFFERS: {difference}" for difference in found.differences),
    ]
    status = ExitStatus.REFUSED if found.differences else ExitStatus.DONE
    return Result(document, lines, status)


def pin(
    context: Context,
    label: CardLabel,
    reader: Reader = None,
    emulated: Emulated = None,
    pin_stdin: PinStdin = False,
    last_attempt: LastTry = False,
) -> Result:
    """Change a card's PIN.

    On standard input: LABEL=OLD and LABEL.new=NEW.

    \b
    Example: cardquorum card pin blue
    """
    from coordinator.enrolment import pins

    asked = context.card_at(label, reader, emulated, last_attempt=last_attempt)
    attendant = context.person([label], pin_stdin=pin_stdin)
    pins.change_pin(context.database, asked, attendant)
    return Result({"card": label, "changed": True}, [f"card {label}: PIN changed"])


def backup(
    context: Context,
    label: CardLabel,
    out: Annotated[Path, typer.Option(help="the file to write", metavar="FILE")],
    reader: Reader = None,
    emulated: Emulated = None,
    pin_stdin: PinStdin = False,
    last_attempt: LastTry = False,
) -> Result:
    """Write a card's encrypted backup to a file.

    RECOVERY.md says how it is opened without this program.

    \b
    Example: cardquorum card backup blue --out blue.aes
    """
    from coordinator.enrolment import pins

    asked = context.card_at(label, reader, emulated, last_attempt=last_attempt)
    attendant = context.person([label], pin_stdin=pin_stdin)
    carrier = pins.backup(
        context.database, context.home.network, asked, attendant=attendant, out=out
    )
    digits = f"cardquorum carrier add key:{carrier.key} backup-key {carrier.label}-digits"
    lines = [
        f"wrote {out}, encrypted for card {label}",
        f"the file is {carrier.carrier}; say where it lies: "
        f"cardquorum custody record {carrier.carrier} placed --at LOCATION",
        f"it opens with the digits printed on the card; keep a copy elsewhere, then: {digits}",
    ]
    return Result({"card": label, "file": out, "carrier": carrier.carrier}, lines)


def unblock(
    context: Context,
    label: CardLabel,
    reader: Reader = None,
    emulated: Emulated = None,
    pin_stdin: PinStdin = False,
) -> Result:
    """Free a blocked card with its PUK.

    On standard input: LABEL.puk=PUK, and LABEL.new=NEW where the card takes a new PIN.

    \b
    Example: cardquorum card unblock blue
    """
    from coordinator.enrolment import pins

    asked = context.card_at(label, reader, emulated)
    attendant = context.person([label], pin_stdin=pin_stdin, single=False)
    left = pins.unblock(context.database, asked, attendant)
    return Result(
        {"card": label, "attempts_left": left}, [f"card {label}: PIN attempts left: {left}"]
    )


def reset(
    context: Context,
    label: CardLabel,
    reader: Reader = None,
    emulated: Emulated = None,
    yes: Yes = False,
    accept: Accept = None,
    pin_stdin: PinStdin = False,
    last_attempt: LastTry = False,
) -> Result:
    """Erase a card for good: PIN and key are gone.

    A Tangem wants its PIN for that; the other families want none. While a vault with its key
    holds coins, or nobody looked, --accept card_in_use is needed.

    \b
    Example: cardquorum card reset blue
    """
    from coordinator.audit.acceptance import refuse_unaccepted
    from coordinator.cli.attendant import confirm_by_label
    from coordinator.enrolment import pins
    from coordinator.home.settings import EMBEDDED_CHAIN
    from coordinator.wallet import overview

    asked = context.card_at(label, reader, emulated, last_attempt=last_attempt)
    vaults = _warned(context, label)
    if pins.CARD_IN_USE not in (accept or ()):
        refuse_unaccepted(
            pins.dangers_of_reset(
                context.database,
                label,
                lambda vault: overview.sync(
                    context.home, context.database, context.chain, vault=vault, say=context.say
                ),
                at_hand=context.home.chain == EMBEDDED_CHAIN,
            ),
            accept,
        )
    if not yes:
        confirm_by_label(label, "erase the key on it for good")
    attendant = context.person([label], pin_stdin=pin_stdin)
    pins.reset(context.database, asked, attendant)
    return Result(
        {"card": label, "reset": True, "vaults": vaults},
        [f"card {label} is factory-fresh; its key is gone"],
    )


def forget(
    context: Context,
    label: CardLabel,
    yes: Yes = False,
    reader: Reader = None,
    emulated: Emulated = None,
    pin_stdin: PinStdin = False,
) -> Result:
    """Remove a card and its pairing from this home.

    A Keycard that is at hand gives its pairing slot back and wants its PIN for that; without
    it, or without the card, the slot stays taken, and the card is forgotten here all the same.

    \b
    Example: cardquorum card forget blue
    """
    from coordinator.cli.attendant import confirm_by_label
    from coordinator.enrolment import pins
    from coordinator.readers.slots import FolderMemory

    vaults = _warned(context, label)
    if not yes:
        confirm_by_label(label, "forget it here")

    freed = pins.forget(
        context.database,
        label,
        lambda: context.card_at(label, reader, emulated).slot,
        memory=FolderMemory(context.home.card_memory),
        attendant=context.person([label], pin_stdin=pin_stdin),
    )
    document = {"card": label, "forgotten": True, "unpaired": freed, "vaults": vaults}
    lines = ["its pairing slot is free again"] if freed else []
    return Result(document, [f"card {label} is forgotten here", *lines])


def _warned(context: Context, label: str) -> list[str]:
    """Say which vaults count on the card, and return them."""
    from coordinator.enrolment import pins

    vaults = pins.vaults_with(context.database, label)
    for vault in vaults:
        context.say(
            f"vault {vault} counts on a key of card {label}; its audit will count it as gone"
        )
    return vaults


def list_cards(context: Context) -> Result:
    """List the cards known here, with place and origin of the key.

    \b
    Example: cardquorum card list
    """
    from coordinator.audit import acceptance
    from coordinator.enrolment import listing as known

    with context.database.begin() as db:
        found = known.listed(db, context.home.network)
        threatened = acceptance.all_dangers(context.home, db)
    told, listed = [], []
    for each in threatened:
        told += danger_lines(each.vault.name, each.dangers)
        listed += [{"vault": each.vault.name, **vars(danger)} for danger in each.dangers]
    rows = [
        (
            f.label,
            f.family,
            f.version,
            f.attestation.result,
            f.location,
            ", ".join(f"{key.path} {_made(key.created_on)}" for key in f.keys),
        )
        for f in found
    ]
    header = ("card", "family", "version", "attestation", "place", "key")
    document = {"cards": found, "dangers": listed}
    return Result(document, [*told, *columns(rows, *header)])


def _made(created_on: str) -> str:
    return "of unknown origin" if created_on == "unknown" else f"made on {created_on}"


def show(context: Context, label: CardLabel) -> Result:
    """Show one card: key, place, history, what it can do.

    \b
    Example: cardquorum card show blue
    """
    from coordinator.enrolment import listing as known

    with context.book.begin() as db:
        found = known.shown(db, label, context.home.network)
    return Result(found, _card_lines(found))


def _card_lines(found: "CardShown") -> Iterable[str]:
    from coordinator.custody.card_secrets import WORDS

    said = as_document(
        found,
        attestation=f"{found.attestation.result} ({found.attestation.reason})",
        location=found.location or (None if found.gone else "nobody wrote down where"),
        other_software=found.other_software or "none known",
        resists=f"{found.resists.sentence} ({found.resists.source})",
    )
    apart = {"history", "keys", "secrets", "thief_with_card_alone"}
    yield from fields({name: value for name, value in said.items() if name not in apart})
    for key in found.keys:
        yield f"key {key.expression} (made on: {key.created_on})"
    for secret in found.secrets:
        who, where = ", ".join(secret.known_by), ", ".join(secret.written_at)
        told = f"known by {who or 'nobody'}, written at {where or 'nowhere'}"
        yield f"{WORDS[secret.kind]}: {told}"
    for event in found.history:
        yield f"{event.happened_at.date()} {event.event} {event.location or ''}".rstrip()


COMMANDS = {
    "card": {
        "setup": setup,
        "enrol": enrol,
        "list": list_cards,
        "show": show,
        "check": check,
        "pin": pin,
        "unblock": unblock,
        "backup": backup,
        "reset": reset,
        "forget": forget,
        **incident.COMMANDS,
    },
}
