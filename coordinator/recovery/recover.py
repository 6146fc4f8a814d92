"""A vault is rebuilt from its kit alone: from text, codes, typed lines, or the encrypted copy."""

from collections.abc import Iterable

from sqlalchemy.orm import Session

from coordinator import foreign_text
from coordinator.errors import CoordinatorError, UsageError
from coordinator.home.settings import Home
from coordinator.home.stored_policies import stored_policy
from coordinator.interop import bbqr, bip138
from coordinator.notices import Notice, Severity
from coordinator.recovery import typed_lines
from coordinator.recovery.kit import ADDRESSES
from psbt.errors import PsbtError
from psbt.keys import parse_key_expression, parse_xpub
from psbt.network import Network
from psbt.policy import RECEIVE, addresses
from storage import cards as card_book
from storage.model import Vault

PDF = b"%PDF"
PACKED = b"\x1f\x8b"


def descriptor_of(home: Home, db: Session, data: bytes, *, keys: Iterable[str]) -> str:
    """Return the descriptor in what was read or typed, or the JSON that holds it and more.

    `keys` are xpubs or key expressions to open an encrypted copy with, besides those known here.
    Raises UsageError that names what is wrong, as the line that was mistyped.
    """
    if data.startswith(PDF):
        raise UsageError("this is the paper itself: type its lines, or give the text of its codes")
    if data.startswith(PACKED):
        raise UsageError("this is a backup, no kit: cardquorum restore FILE --home NEWDIR")
    whole = data if bip138.is_backup(data) else joined(data).encode()
    if bip138.is_backup(whole):
        return _opened(
            whole, [*_given(home, keys), *[key.public_key for key in card_book.all_keys(db)]]
        )
    return whole.decode()


def is_encrypted(data: bytes) -> bool:
    """Tell whether this is the encrypted copy, as a file, or as its lines or codes."""
    return bip138.is_backup(data) or bip138.is_backup(joined(data).encode())


def joined(data: bytes) -> str:
    """Return the text that lines or codes make together, any other text as it is.

    Raises UsageError.
    """
    text = foreign_text.decoded(data, "what was given").strip()
    if not text:
        raise UsageError("there is nothing to read")
    if typed_lines.is_numbered(text):
        return typed_lines.joined(foreign_text.lines(text))
    if bbqr.is_part(text[: bbqr.HEADER]):
        whole = bbqr.joined(text.split()).data
        return foreign_text.decoded(whole, "the text of the codes")
    return text


WRITER_UNKNOWN = Notice(
    "writer_unknown",
    Severity.WARNING,
    "anybody who ever saw one of the vault's xpubs can write such an encrypted copy: it is the "
    "vault of your paper only where checksum and addresses are the same",
)


def first_addresses(vault: Vault) -> list[str]:
    """Return the addresses that the paper has to compare with."""
    return list(addresses(stored_policy(vault), RECEIVE, range(ADDRESSES)))


def _given(home: Home, keys: Iterable[str]) -> list[bytes]:
    """Return the public keys of what a person gave."""
    network = Network(home.network)
    found = []
    for text in keys:
        try:
            key = (
                parse_key_expression(text, network).key
                if "[" in text
                else parse_xpub(text, network)
            )
            found.append(key.public_key)
        except PsbtError as failure:
            raise UsageError(f"--key: {failure}") from failure
    return found


def _opened(data: bytes, keys: Iterable[bytes]) -> str:
    """Open an encrypted copy with the first key that fits; raises UsageError where none does."""
    refused: CoordinatorError | None = None
    for key in keys:
        try:
            found = bip138.decrypt(data, key)
        except CoordinatorError as failure:
            refused = failure
            continue
        if len(found) != 1:
            raise UsageError(f"the copy holds {len(found)} descriptors; recover them one by one")
        return found[0]
    if refused is None:
        raise UsageError(
            "the copy is encrypted: give the xpub of one of its keys with --key, "
            "or enrol one of its cards first"
        )
    raise UsageError(str(refused))
