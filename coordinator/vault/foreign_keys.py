"""Keys held elsewhere: taken from a signer's file, listed, and written for another coordinator."""

from collections.abc import Callable
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

from coordinator.custody.log import item_name
from coordinator.home.settings import Home
from coordinator.home.stored_policies import key_expression
from coordinator.interop import bsms, descriptors, key_file, ur, ur_types
from coordinator.interop.key_file import KeyFile, SignerKey
from coordinator.interop.wallet_file import WalletKey, key_of_network, with_origin
from coordinator.names import checked_name, require_known
from coordinator.notices import Notice, Severity
from coordinator.vault.vaults import add_key
from psbt.errors import PolicyError
from psbt.keys import KeyExpression, format_key_expression, format_xpub
from psbt.network import Network
from storage import cards as card_book
from storage import vaults as vault_book
from storage.errors import NotFound
from storage.model import Key

EXPRESSION: Final = "expression"
SCRIPT: Final = "wsh"
Writer = Callable[[WalletKey, Network], str]
WRITERS: Final[dict[str, Writer]] = {
    EXPRESSION: descriptors.key_of,
    "slip132": lambda key, network: key_file.write_slip132(key, SCRIPT, network),
    "coldcard": lambda key, network: key_file.write_ccxp(key, SCRIPT, network),
    "cobo": key_file.write_cobo,
    "bsms": lambda key, network: bsms.write_key_record(key, network, key.name or ""),
    "ur": lambda key, network: "\n".join(ur.split(ur_types.write_account(key, network))),
}


class ImportedKey(NamedTuple):
    """A key from a file; `known` where it was here already."""

    key: Key
    known: bool
    format: str
    warnings: tuple[Notice, ...]


def import_key(
    home: Home, db: Session, label: str, *, found: KeyFile, script: str | None = None
) -> ImportedKey:
    """Keep one of a signer's keys under a label: that for the script type, or the only one.

    Of keys for several networks those for the home's count.
    A key that is here already stays what it is; its label is not changed.
    """
    network = Network(home.network)
    mainnet = network is Network.MAINNET
    own = [each for each in found.keys if each.key.prefix.mainnet is mainnet]
    chosen = _chosen(found._replace(keys=own or found.keys), script)
    warnings = _warnings(found, chosen)
    if chosen.key.prefix.mainnet is not mainnet:
        other = "a test network" if mainnet else "mainnet"
        raise PolicyError(f"the key {chosen.key.prefix.letters}… is for {other}, not for {network}")
    origin = with_origin(chosen.key)
    expression = KeyExpression(origin.fingerprint or b"", origin.path or (), origin.key)
    known = card_book.key_like(db, origin.key.public_key, origin.key.chain_code)
    key = known or add_key(db, home, checked_name(label), parsed=expression)
    return ImportedKey(key, known is not None, found.format, warnings)


def write_key(home: Home, db: Session, name: str, *, format_: str) -> str:
    """Return a card's or a key's public key as another coordinator reads it."""
    require_known("format", format_, WRITERS)
    network = Network(home.network)
    kind, _, bare = name.rpartition(":")
    if kind not in ("", "card", "key"):
        raise NotFound("card or key", name)
    if kind != "key" and card_book.find_card(db, bare) is not None:
        stored = card_book.key_of_card(db, bare, home.network)
    else:
        stored = card_book.key_named(db, bare)
    origin, path, extended = key_expression(stored)
    key = WalletKey(extended, key_of_network(network), origin, path, name)
    return WRITERS[format_](key, network)


class KeyLine(NamedTuple):
    """A key as it is shown, what carries it, and the vaults it serves."""

    label: str
    fingerprint: bytes
    path: str
    xpub: str
    expression: str
    created_on: str
    carriers: list[str]
    vaults: list[str]


def listed(db: Session) -> list[KeyLine]:
    """Return every key known here."""
    return [shown(db, key) for key in card_book.all_keys(db)]


def shown(db: Session, key: Key) -> KeyLine:
    """Return a key as it is shown."""
    network, parsed = Network(key.network), key_expression(key)
    return KeyLine(
        key.label,
        key.fingerprint,
        key.path,
        format_xpub(parsed.key, network),
        format_key_expression(parsed, network),
        key.created_on,
        [item_name(carrier.item) for carrier in key.carriers],
        [vault.name for vault in vault_book.vaults_with(db, [key])],
    )


def _chosen(found: KeyFile, script: str | None) -> SignerKey:
    if len(found.keys) == 1 and script is None:
        return found.keys[0]
    wanted = script or SCRIPT
    for each in found.keys:
        if each.script in (None, wanted):
            return each
    told = ", ".join(each.script or "unknown" for each in found.keys) or "none"
    raise PolicyError(f"the {found.format} file holds no key for {wanted}; it has {told}")


def _warnings(found: KeyFile, chosen: SignerKey) -> tuple[Notice, ...]:
    said = []
    if chosen.warning is not None:
        told = f"{chosen.warning}; the key is taken as its own origin"
        said.append(Notice("origin_differs", Severity.WARNING, told))
    if chosen.script not in (None, SCRIPT):
        told = f"the {found.format} key is for {chosen.script}; vaults made here are {SCRIPT}"
        said.append(Notice("path_of_other_script", Severity.WARNING, told))
    return tuple(said)
