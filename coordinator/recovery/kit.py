"""The recovery kit: the paper, the descriptor as text, and a copy that may lie anywhere."""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session

from cards.family import family_named
from coordinator import clock
from coordinator.audit.acceptance import Accepted, require_policy
from coordinator.audit.facts import BANK, VaultFacts
from coordinator.audit.gathering import vault_facts
from coordinator.audit.place_findings import without_banks
from coordinator.chain.block_dates import ChainClock, duration
from coordinator.chain.url import ELECTRUM_SSL, ESPLORA, FILTERS, parse_url
from coordinator.custody import card_secrets, descriptor_copies
from coordinator.custody import log as custody_log
from coordinator.errors import UsageError
from coordinator.files import make_folder, write_private
from coordinator.home.settings import Home
from coordinator.home.stored_policies import stored_policy
from coordinator.interop import bip138
from coordinator.names import require_known
from coordinator.notices import Notice, Severity
from coordinator.recovery import letter as letters
from coordinator.recovery import wheels
from coordinator.recovery.letter import Audience, CardPlace, LaterHands, LetterFacts
from coordinator.recovery.letter_dates import told_block
from coordinator.recovery.paper import PAPERS, KeyOnPaper, Kit, drawn
from coordinator.recovery.steps import SERVERS, CardOnPaper, LaterSteps, StepsFacts
from coordinator.wallet.branches import BranchLine, branch_lines, chain_clock, waiting
from psbt.keys import bip48_path, format_path
from psbt.network import Network
from psbt.policy import RECEIVE, addresses, format_descriptor, policy_checksum
from storage import cards as card_book
from storage import custody as custody_book
from storage import sealing
from storage import succession as succession_book
from storage import vaults as vault_book
from storage.errors import SealLocked
from storage.model import BranchKey, Cosigner, Vault

ADDRESSES = 3
HELPERS = 2
REACHED = re.compile(r"\d.*\d.*\d|@")
"""What a number or an address has that somebody is called at."""
REACHABLE = frozenset({ELECTRUM_SSL, ESPLORA, FILTERS})
PAIRS = {
    "default": "pairs with the standard password KeycardDefaultPairing",
    "own": "pairs with a password of the owner's own, which is not on this paper",
}
OPENED_BY = {
    "backup-file": "its encrypted backup file needs the key that is printed on the card",
    "words": "its words bring the key back in any wallet of BIP 39",
}


@dataclass(frozen=True)
class Wanted:
    """What to print: where the copy will lie, who comes upon it there, and what it tells.

    `audience` None goes by the kind of the location. `message` is the owner's own words; a line of
    three dashes parts what stands above the letter from what stands below it. `wheel` is a copy of
    this program to be put beside the kit.
    """

    vault: str
    folder: Path
    location: str | None = None
    paper: str = "a4"
    with_places: bool = False
    audience: Audience | None = None
    contacts: tuple[str, ...] = ()
    message: str = ""
    wheel: Path | None = None


class WrittenFile(NamedTuple):
    """A file that was written, and its SHA-256."""

    file: Path
    sha256: str


class Made(NamedTuple):
    """A kit that was written: the copy it counts as, what it shows, and its files."""

    vault: str
    copy: str
    version: str
    digest: str
    head: str
    addresses: list[str]
    files: list[WrittenFile]
    audience: Audience
    reading_grade: float
    words: int
    notices: list[Notice]


def make(home: Home, db: Session, wanted: Wanted, *, accepted: Accepted = None) -> Made:
    """Write the kit's files and remember it as a copy.

    Raises UsageError where a file is there already or cannot be written, SealLocked where places
    are to be named and are sealed; then none is left.
    """
    require_known("--paper", wanted.paper, PAPERS)
    vault = vault_book.vault_named(db, wanted.vault)
    require_policy(home, vault, accepted)
    if succession_book.succession_of(db, vault) is not None:
        raise UsageError(f"vault {vault.name} was replaced: print the kit of its successor")
    audience = _audience(db, wanted)
    tells_places = wanted.with_places or audience is Audience.EXECUTOR
    if (wanted.location or tells_places) and sealing.is_locked(db):
        raise SealLocked  # a paper that names location.3 helps nobody
    program = wheels.read(wanted.wheel) if wanted.wheel is not None else None
    label = card_book.free_item_name(db, descriptor_copies.KIND, f"{vault.name}-kit")
    block = told_block(db, vault)
    copy = descriptor_copies.add(db, vault.name, label, location=wanted.location, told_block=block)
    printed = kit_of(home, db, vault, wanted=wanted, program=program)
    plain = {f"{vault.name}-descriptor.txt": vault.descriptor.encode() + b"\n"}
    written = {
        f"{vault.name}-kit.pdf": drawn(printed, wanted.paper),
        **(plain if audience is Audience.LOCKED else {}),
        f"{vault.name}-encrypted.txt": printed.encrypted.encode() + b"\n",
        **({program.name: program.data} if program is not None else {}),
    }
    files = _written(wanted.folder, written)
    facts = vault_facts(db, vault)
    return Made(
        vault.name,
        copy.copy,
        printed.version,
        printed.digest,
        printed.head,
        list(printed.addresses),
        files,
        audience,
        printed.letter.grade,
        printed.letter.words,
        list(_notices(facts, wanted, audience, tells_places=tells_places)),
    )


def _audience(db: Session, wanted: Wanted) -> Audience:
    """Return for whom the kit is: as asked, else by the kind of its place."""
    if wanted.audience is not None or wanted.location is None:
        return wanted.audience or Audience.LOCKED
    place = custody_book.location_named(db, wanted.location)
    return Audience.LOCKED if place.kind == BANK else Audience.OPEN


def _notices(
    facts: VaultFacts, wanted: Wanted, audience: Audience, *, tells_places: bool
) -> Iterator[Notice]:
    """Yield what a find of this kit would give away, and what the letter lacks."""
    if len(wanted.contacts) < HELPERS:
        missing = "one helper is" if wanted.contacts else "no helper is"
        remedy = "add --contact NAME, or write it on page one with a pen"
        yield Notice("helpers_missing", Severity.WARNING, f"{missing} named", remedy)
    for who in wanted.contacts[:HELPERS]:
        if not REACHED.search(who):
            told = f"helper {who} is named without a number or an address"
            remedy = "write it beside the name with a pen, or name them as 'Marie, 0123 456'"
            yield Notice("helper_unreachable", Severity.WARNING, told, remedy)
    lying = [each.name for each, _ in facts.cards() if each.location == wanted.location]
    pins = [
        carrier.name
        for carrier, card in facts.cards()
        for secret in card.secrets
        if secret.kind == "pin" and wanted.location in secret.written_at
    ]
    if tells_places and wanted.location is not None and (lying or pins):
        what = f"card {lying[0]}" if lying else f"the PIN of card {pins[0]}"
        yield Notice(
            "kit_beside_card",
            Severity.WARNING,
            f"this kit tells where every card lies, and {what} lies at {wanted.location} too: "
            "whoever finds one finds the way to the others; keep it elsewhere",
            subjects=(f"location:{wanted.location}",),
        )
    open_places = {place.name for place in facts.places.values() if place.kind != BANK}
    if audience is Audience.LOCKED and wanted.location in open_places:
        yield Notice(
            "kit_in_open_place",
            Severity.WARNING,
            f"{wanted.location} is no locked place: whoever finds this kit there sees the "
            "vault's money; --for open prints one that needs a card to be read",
            subjects=(f"location:{wanted.location}",),
        )


def kit_of(
    home: Home, db: Session, vault: Vault, *, wanted: Wanted, program: wheels.Wheel | None = None
) -> Kit:
    """Gather what the paper says."""
    policy = stored_policy(vault)
    audience = _audience(db, wanted)
    facts = vault_facts(db, vault)
    begun, height = vault.birthday, vault.birthday_height
    born = begun.date().isoformat() if begun else None if height is None else str(height)
    secret = audience is not Audience.LOCKED
    version = policy_checksum(policy)
    here = f"cardquorum {metadata.version('cardquorum')}"
    reachable = parse_url(home.chain).scheme in REACHABLE
    above, _, below = wanted.message.partition("\n---\n")
    return Kit(
        vault=vault.name,
        network=vault.network,
        threshold=vault.threshold,
        descriptor=format_descriptor(policy),
        addresses=list(addresses(policy, RECEIVE, range(ADDRESSES))),
        keys=[_on_paper(db, place) for place in vault.cosigners],
        later_keys=[_on_paper(db, place) for place in vault.every_key[len(vault.cosigners) :]],
        version=version,
        digest=descriptor_copies.digest_of(vault.descriptor).hex(),
        head=custody_book.verify(db).hex(),
        date=clock.now().date().isoformat(),
        birthday=_birthday(begun, height),
        timestamp=int(begun.timestamp()) if begun else 0,
        program=here,
        letter=letters.written(
            _letter_facts(facts, wanted, audience, later=_later_hands(db, vault, wanted))
        ),
        steps=StepsFacts(
            vault=vault.name,
            network=vault.network,
            threshold=vault.threshold,
            cards=list(_cards_on_paper(db, vault, vault.cosigners)),
            checksum=version,
            # Whom to ask from another computer: as here where that can be reached.
            chain=home.chain if reachable else SERVERS[home.network],
            program=f"cardquorum {program.version}" if program else here,
            file=f"{vault.name}-{'encrypted' if secret else 'descriptor'}.txt",
            secret=secret,
            birthday=born,
            wheel=program.name if program else None,
            wheel_sha256=program.sha256 if program else None,
            script=vault.script,
            later=list(_later_steps(db, vault)),
        ),
        encrypted=base64.b64encode(encrypted(vault)).decode(),
        secret=secret,
        above=above.strip(),
        below=below.strip(),
        place=wanted.location,
        places=list(_places(db, vault)) if wanted.with_places else (),
    )


def _letter_facts(
    facts: VaultFacts, wanted: Wanted, audience: Audience, *, later: Sequence[LaterHands]
) -> LetterFacts:
    on_cards, borne = all(each.on_card_here for each in facts.cosigners), without_banks(facts)
    cards = []
    for carrier, _ in facts.cards() if audience is Audience.EXECUTOR else ():
        place = facts.places.get(carrier.location or "")
        cards.append(CardPlace(carrier.name, carrier.location, place.holder if place else None))
    return LetterFacts(
        audience=audience,
        threshold=facts.threshold,
        total=len(facts.cosigners),
        noun="card" if on_cards else "key",
        date=clock.now().date().isoformat(),
        tried=facts.drilled_at.date().isoformat() if facts.drilled_at else None,
        contacts=wanted.contacts,
        cards=cards,
        without_bank=None if borne and not on_cards else borne,  # of other keys nobody knows it
        later=later,
    )


def _later_steps(db: Session, vault: Vault) -> Iterator[LaterSteps]:
    """Yield the branches that open later, as the steps on paper have them."""
    seen = chain_clock(db, vault)
    for line in branch_lines(db, vault, stored_policy(vault))[1:]:
        cards = list(_cards_on_paper(db, vault, vault.keys_of(line.name)))
        since = _since(line, seen)
        wait = waiting(*line.wait) if line.wait is not None else ""
        yield LaterSteps(line.name, line.threshold, cards, line.keys, wait, since)


def _later_hands(db: Session, vault: Vault, wanted: Wanted) -> list[LaterHands]:
    """Return who may move the money later, and the card of theirs that lies beside this copy."""
    seen, found = chain_clock(db, vault), []
    own = {cosigner.key_id for cosigner in vault.cosigners}
    for line in branch_lines(db, vault, stored_policy(vault))[1:]:
        here = [
            card.label
            for place in vault.keys_of(line.name)
            for card in card_book.cards_with_key(db, place.key)
            if place.key_id not in own and wanted.location is not None
            if custody_log.where_is(db, card.item).location
            == wanted.location.removeprefix("location:")
        ]
        after = duration(line.wait.blocks) if line.wait and line.wait.blocks else None
        since = _since(line, seen)
        first = here[0] if here else None
        found.append(LaterHands(line.threshold, line.keys, since, after, first, line.open))
    return found


def _since(line: BranchLine, seen: ChainClock | None) -> str | None:
    """Return about when a branch opens for the oldest coin, as far as that is known."""
    return seen.about(line.opens.height) if seen is not None and line.opens is not None else None


def _cards_on_paper(
    db: Session, vault: Vault, keys: Sequence[Cosigner | BranchKey]
) -> Iterator[CardOnPaper]:
    """Yield the cards that carry these keys of a vault."""
    usual = format_path(bip48_path(Network(vault.network)))
    for cosigner in keys:
        for carrier in cosigner.key.carriers:
            card = card_book.card_of_item(db, carrier.item)
            if card is not None:
                vendor = family_named(card.family).vendor
                alone = vault.script == "tr"
                programs = () if alone else card_secrets.other_software(db, card)
                path = None if cosigner.key.path == usual else cosigner.key.path
                yield CardOnPaper(card.label, vendor, programs, card.family, path)


def _birthday(moment: datetime | None, height: int | None) -> str:
    if moment is not None:
        return moment.date().isoformat()
    return "on a day that is not known" if height is None else f"at block {height}"


def encrypted(vault: Vault) -> bytes:
    """Return the descriptor encrypted to its own keys: any cosigner's xpub opens it (BIP 138)."""
    policy = stored_policy(vault)
    keys = [expression.key.public_key for expression in policy.all_keys]
    paths = [expression.path for expression in policy.all_keys]
    return bip138.encrypt(vault.descriptor, keys, paths, chance=secrets.token_bytes)


def _on_paper(db: Session, cosigner: Cosigner | BranchKey) -> KeyOnPaper:
    carriers, notes = [], []
    for carrier in cosigner.key.carriers:
        item, card = carrier.item, card_book.card_of_item(db, carrier.item)
        made = f" ({card.family} {card.version})" if card else ""
        carriers.append(f"{item.kind} {item.name}{made}")
        paired = card_secrets.pairing(db, card) if card else None
        if paired is not None:
            notes.append(f"{item.name} {PAIRS[paired]}")
        if item.kind in OPENED_BY:
            notes.append(OPENED_BY[item.kind])
    return KeyOnPaper(
        cosigner.label,
        ", ".join(carriers) or "held elsewhere",
        cosigner.key.fingerprint.hex(),
        cosigner.key.path,
        "; ".join(notes),
    )


def _places(db: Session, vault: Vault) -> Iterator[tuple[str, str]]:
    for each in vault.every_key:
        for carrier in each.key.carriers:
            place = custody_log.where_is(db, carrier.item)
            told = place.location or place.gone or "unknown"
            yield f"{carrier.item.kind} {carrier.item.name}", told


def _written(folder: Path, files: dict[str, bytes]) -> list[WrittenFile]:
    """Write all files or none."""
    make_folder(folder)
    paths = {folder / name: data for name, data in files.items()}
    done: list[Path] = []
    try:
        for path, data in paths.items():
            write_private(path, data, replace=False)
            done.append(path)
    finally:
        if len(done) < len(paths):
            for path in done:
                path.unlink()
    return [WrittenFile(path, hashlib.sha256(data).hexdigest()) for path, data in paths.items()]
