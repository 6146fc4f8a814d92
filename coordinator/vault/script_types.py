"""Which scripts a vault can be made with, by what the cards of its keys sign for."""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Final

from sqlalchemy.orm import Session

from cards.family import family_named
from coordinator.errors import CardCannotSign, LeafUnproved, UsageError
from coordinator.home.stored_policies import key_expression
from coordinator.interop import wallet_file
from coordinator.names import require_known
from psbt.policy import SCRIPTS, Policy
from storage import cards as card_book
from storage.model import Key

TAPROOT: Final = "tr"
MUSIG: Final = frozenset({"musig", "musig2", "tr-musig"})
"""What a person may call a script that no card signs for."""


def refuse_script(db: Session, script: str, keys: Sequence[Key]) -> None:
    """Refuse scripts that a card of one of the keys cannot sign for, or that are not made here."""
    if script in MUSIG:
        raise UsageError(
            "no card signs by MuSig2, which makes one key of several: a taproot vault of cards is"
            f" --script {TAPROOT}, a quorum in a leaf"
        )
    require_known("script", script, SCRIPTS)
    digest_of = "sh-wsh" if script == "sh" else script  # both are ECDSA over 32 bytes
    for card in (card for key in keys for card in card_book.cards_with_key(db, key)):
        if digest_of not in family_named(card.family).signs_at(card.version):
            raise CardCannotSign(card.label, f"{card.family} {card.version}", script)


def refuse_unproved(db: Session, script: str, keys: Sequence[Key]) -> None:
    """Refuse keys for taproot that are on no card, or on one that never proved to sign for it."""
    for key in keys if script == TAPROOT else ():
        cards = card_book.cards_with_key(db, key)
        unproved = card_book.unproved_cards(db, key)
        if unproved or not cards:
            card = unproved[0] if unproved else None
            who = (
                f"card {card.label} ({card.family} {card.version})" if card else f"key {key.label}"
            )
            label = card.label if card else "LABEL"
            raise LeafUnproved(who, key.path, f"cardquorum card enrol {label} --path {key.path}")


def in_order(policy: Policy) -> Policy:
    """Return a policy, one of taproot with its keys by public key: whoever names them makes it so.

    The key above the leaf is then one that Liana's rule and Nunchuk's make alike.
    """
    if policy.script != TAPROOT:
        return policy
    return replace(policy, keys=tuple(sorted(policy.keys, key=attrgetter("key.public_key"))))


def key_for(db: Session, card: str, network: str, *, script: str) -> Key:
    """Return the key a card was last enrolled with, unless that is for another script."""
    newest = card_book.key_of_card(db, card, network)
    if _script_of(newest) in (None, script):
        return newest
    keys = [key for key in card_book.keys_of_card(db, card) if key.network == network]
    return next((key for key in reversed(keys) if _script_of(key) == script), newest)


def _script_of(key: Key) -> str | None:
    return wallet_file.script_of_path(key_expression(key).path)
