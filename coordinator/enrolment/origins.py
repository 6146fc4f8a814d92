"""A card tells where its key comes from; a file that named another origin, or none, is put right.

The scripts of a vault do not depend on it: public key and chain code stay. What signers look for
does, and the descriptor's checksum.
"""

from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator.home import approvals
from coordinator.home.settings import Home
from coordinator.home.stored_policies import key_expression, rebuilt_policy
from psbt.keys import KeyExpression, format_path
from psbt.policy import format_descriptor
from storage import cards as card_book
from storage import ceremonies as ceremony_book
from storage import vaults as vault_book


class OriginMended(NamedTuple):
    """The vaults whose descriptor names the card's origin now, and those that keep another.

    A vault keeps what was approved on this computer, and what payments were begun with.
    """

    mended: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def mend_origin(home: Home, db: Session, found: KeyExpression) -> OriginMended:
    """Take a card's word for its key's origin against a file's, where nothing rests on that."""
    key = card_book.key_like(db, found.key.public_key, found.key.chain_code)
    if key is None or key_expression(key) == found:
        return OriginMended()
    vaults = vault_book.vaults_with(db, [key])
    names = tuple(vault.name for vault in vaults)
    for vault in vaults:
        standing = approvals.policy_standing(home, vault.name, vault.descriptor)
        if standing is not approvals.Standing.NONE or ceremony_book.ceremonies_of(db, vault):
            return OriginMended(kept=names)
    if any(format_descriptor(rebuilt_policy(vault)) != vault.descriptor for vault in vaults):
        return OriginMended(kept=names)
    key.fingerprint, key.path = found.fingerprint, format_path(found.path)
    key.depth, key.child_number = found.key.depth, found.key.child_number
    key.parent_fingerprint = found.key.parent_fingerprint
    for vault in vaults:
        vault.descriptor = format_descriptor(rebuilt_policy(vault))
        vault.checksum = vault.descriptor.rpartition("#")[2]
    db.flush()
    return OriginMended(mended=names)
