"""What a vault may be made of: its branches, scripts its cards sign for, what to know of both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final

from sqlalchemy.orm import Session

from cards.family import family_named
from coordinator.errors import CardCannotSign, LeafUnproved, UsageError
from coordinator.home.stored_policies import key_expression
from coordinator.interop import wallet_file
from coordinator.names import require_known
from coordinator.notices import Notice, Severity
from coordinator.wallet.branches import waiting
from psbt.forms import branch_name, key_uses
from psbt.keys import KeyExpression
from psbt.network import Network
from psbt.policy import SCRIPTS, Branch, Policy, Wait
from storage import cards as card_book
from storage.model import Key

DAY: Final = 144
SINGLE_KEY: Final = "single_later_key"
SHORT_WAIT: Final = "short_wait"
TAPROOT: Final = "tr"
MUSIG: Final = frozenset({"musig", "musig2", "tr-musig"})
"""What a person may call a script that no card signs for."""


@dataclass(frozen=True)
class BranchPlan:
    """A branch that opens after a wait: so many of these keys can spend then.

    A key is `card:LABEL`, the label of one held elsewhere, or LABEL=EXPRESSION.
    """

    wait: Wait
    keys: tuple[str, ...]
    threshold: int


def planned_policy(
    threshold: int,
    keys: Sequence[KeyExpression],
    later: Sequence[tuple[BranchPlan, Sequence[KeyExpression]]],
    *,
    network: Network,
    script: str,
) -> Policy:
    """Return the policy of a new vault; raises UsageError or PolicyError for one that cannot be.

    A key that is used again derives the next pair of keychains, so that no public key stands
    twice in a script.
    """
    if not later:
        return in_order(Policy(threshold, tuple(keys), network, script))
    if script == TAPROOT:
        raise UsageError(
            "branches that open later are not made in taproot: a vault that has them is wsh"
        )
    if script != "wsh":
        raise UsageError(f"branches that open later need the script wsh, not {script}")
    taken = list(key_uses(keys))
    branches = []
    for stage, (branch, own) in enumerate(later, 1):
        uses = key_uses(own, taken)
        branches.append(Branch(branch_name(stage), branch.threshold, uses, branch.wait))
        taken += uses
    return Policy(
        threshold,
        tuple(keys),
        network,
        script,
        sorted_keys=False,
        recoveries=tuple(branches),
    )


def branch_warnings(name: str, policy: Policy) -> list[Notice]:
    """Return what the owner of a vault with later branches, or in a leaf, should know of it."""
    subject = (f"vault:{name}",)
    found = []
    own = set(policy.keys)
    for branch in policy.recoveries:
        wait = branch.wait
        others = {use.expression for use in branch.keys} - own
        if branch.threshold == 1 and others and wait is not None:
            message = (
                f"the later keys ({branch.name}) need one key alone: whoever has it can spend "
                f"{waiting(*wait)}, and nobody notices"
            )
            remedy = "ask for two of three later keys: --recovery-threshold 2"
            found.append(Notice(SINGLE_KEY, Severity.WARNING, message, remedy, subject))
        if wait is not None and wait.blocks is not None and wait.blocks < DAY:
            later = f"the wait of the later keys ({branch.name})"
            message = f"{later} ends {waiting(*wait)}: it may be over before you see it"
            remedy = "a year is --recovery-after 52560; a wait this short is for trying it out"
            found.append(Notice(SHORT_WAIT, Severity.WARNING, message, remedy, subject))
    for message in _other_wallets(name, policy):
        remedy = f"keep this program with the kit: cardquorum kit {name} --program WHEEL"
        found.append(Notice("form_not_everywhere", Severity.WARNING, message, remedy, subject))
    return found


def _other_wallets(name: str, policy: Policy) -> Iterator[str]:
    """Say which other wallets open the vault, and which do not."""
    if policy.recoveries:
        by_height = any(each.wait and each.wait.height is not None for each in policy.recoveries)
        opens = "Bitcoin Core" if by_height else "Bitcoin Core and Liana"
        not_liana = "Liana (it knows no waits for a height), " if by_height else ""
        yield (
            f"{opens} can open vault {name}; {not_liana}Sparrow, Electrum, Specter and Caravan "
            "cannot: they know no branches that open later"
        )
    if policy.script == TAPROOT:
        yield (
            f"Bitcoin Core can watch vault {name} and finish its payments; Sparrow, Electrum, "
            "Specter, Caravan and Liana cannot open it, and no other program signs for it with its "
            "cards"
        )


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
            who, label = f"key {key.label}", "LABEL"
            if unproved:
                label = unproved[0].label
                who = f"card {label} ({unproved[0].family} {unproved[0].version})"
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
