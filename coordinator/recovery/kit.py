"""The recovery kit: the paper, the descriptor as text, and a copy that may lie anywhere."""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.audit.acceptance import Accepted, require_policy
from coordinator.custody import descriptor_copies
from coordinator.custody import log as custody_log
from coordinator.custody.card_secrets import pairing
from coordinator.errors import UsageError
from coordinator.files import make_folder, write_private
from coordinator.home.settings import Home
from coordinator.home.stored import stored_policy
from coordinator.interop import bip138
from coordinator.recovery.paper import PAPERS, KeyOnPaper, Kit, drawn
from psbt.policy import RECEIVE, addresses, format_descriptor, policy_checksum
from storage import cards as card_book
from storage import custody as custody_book
from storage import sealing
from storage import succession as succession_book
from storage import vaults as vault_book
from storage.errors import SealLocked
from storage.model import Carrier, Cosigner, Vault

ADDRESSES = 3
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
    """What to print: where the copy will lie, on which paper, and whether it tells places."""

    vault: str
    folder: Path
    location: str | None = None
    paper: str = "a4"
    with_places: bool = False


def make(home: Home, db: Session, wanted: Wanted, accepted: Accepted = None) -> dict[str, Any]:
    """Write the kit's three files and remember it as a copy.

    Raises UsageError where a file is there already or cannot be written, SealLocked where places
    are to be named and are sealed; then none is left.
    """
    if wanted.paper not in PAPERS:
        raise UsageError(f"--paper {wanted.paper} is none of {', '.join(PAPERS)}")
    vault = vault_book.vault_named(db, wanted.vault)
    require_policy(home, vault, accepted)
    if succession_book.succession_of(db, vault) is not None:
        raise UsageError(f"vault {vault.name} was replaced: print the kit of its successor")
    if (wanted.location or wanted.with_places) and sealing.is_locked(db):
        raise SealLocked  # a paper that names location.3 helps nobody
    label = card_book.free_item_name(db, descriptor_copies.KIND, f"{vault.name}-kit")
    copy = descriptor_copies.add(db, vault.name, label, wanted.location)
    printed = kit_of(db, vault, wanted)
    written = {
        f"{vault.name}-kit.pdf": drawn(printed, wanted.paper),
        f"{vault.name}-descriptor.txt": vault.descriptor.encode() + b"\n",
        f"{vault.name}-encrypted.txt": base64.b64encode(encrypted(vault)) + b"\n",
    }
    files = _written(wanted.folder, written)
    return {
        "vault": vault.name,
        "copy": copy["copy"],
        "version": printed.version,
        "digest": printed.digest,
        "head": printed.head,
        "addresses": list(printed.addresses),
        "files": files,
    }


def kit_of(db: Session, vault: Vault, wanted: Wanted) -> Kit:
    """Gather what the paper says."""
    policy = stored_policy(vault)
    begun, height = vault.birthday, vault.birthday_height
    born = begun.date().isoformat() if begun else None if height is None else str(height)
    return Kit(
        vault=vault.name,
        network=vault.network,
        threshold=vault.threshold,
        descriptor=format_descriptor(policy),
        addresses=list(addresses(policy, RECEIVE, range(ADDRESSES))),
        keys=[_on_paper(db, cosigner) for cosigner in vault.cosigners],
        version=policy_checksum(policy),
        digest=descriptor_copies.digest_of(vault.descriptor).hex(),
        head=custody_book.verify(db).hex(),
        date=clock.now().date().isoformat(),
        birthday=_birthday(begun, height),
        timestamp=int(begun.timestamp()) if begun else 0,
        program=f"cardquorum {metadata.version('cardquorum')}",
        place=wanted.location,
        places=list(_places(db, vault)) if wanted.with_places else (),
        born=born,
    )


def _birthday(moment: datetime | None, height: int | None) -> str:
    if moment is not None:
        return moment.date().isoformat()
    return "nobody knows when" if height is None else f"at block {height}"


def encrypted(vault: Vault) -> bytes:
    """Return the descriptor encrypted to its own keys: any cosigner's xpub opens it (BIP 138)."""
    policy = stored_policy(vault)
    keys = [expression.key.public_key for expression in policy.keys]
    paths = [expression.path for expression in policy.keys]
    return bip138.encrypt(vault.descriptor, keys, paths, secrets.token_bytes)


def _on_paper(db: Session, cosigner: Cosigner) -> KeyOnPaper:
    carriers = [_carried(db, carrier) for carrier in cosigner.key.carriers]
    return KeyOnPaper(
        cosigner.label,
        ", ".join(carriers) or "held elsewhere",
        cosigner.key.fingerprint.hex(),
        cosigner.key.path,
        "; ".join(_notes(db, cosigner.key.carriers)),
    )


def _carried(db: Session, carrier: Carrier) -> str:
    card = card_book.card_of_item(db, carrier.item)
    made = f" ({card.family} {card.version})" if card else ""
    return f"{carrier.item.kind} {carrier.item.name}{made}"


def _notes(db: Session, carriers: Iterable[Carrier]) -> Iterator[str]:
    for carrier in carriers:
        card = card_book.card_of_item(db, carrier.item)
        paired = pairing(db, card) if card else None
        if paired is not None:
            yield f"{carrier.item.name} {PAIRS[paired]}"
        if carrier.item.kind in OPENED_BY:
            yield OPENED_BY[carrier.item.kind]


def _places(db: Session, vault: Vault) -> Iterator[tuple[str, str]]:
    for cosigner in vault.cosigners:
        for carrier in cosigner.key.carriers:
            place = custody_log.whereabouts(custody_book.events_of(db, carrier.item))
            told = place.location or place.gone or "unknown"
            yield f"{carrier.item.kind} {carrier.item.name}", told


def _written(folder: Path, files: dict[str, bytes]) -> list[dict[str, Any]]:
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
    return [
        {"file": path, "sha256": hashlib.sha256(data).hexdigest()} for path, data in paths.items()
    ]
