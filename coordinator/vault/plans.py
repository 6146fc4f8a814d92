"""The branches of a vault as a person wants them, and what they should know before it is paid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.errors import UsageError
from coordinator.notices import Notice, Severity
from coordinator.vault.script_types import in_order
from coordinator.wallet.branches import waiting
from psbt.forms import branch_name, key_uses
from psbt.keys import KeyExpression
from psbt.network import Network
from psbt.policy import Branch, Policy, Wait

DAY: Final = 144
SINGLE_KEY: Final = "single_later_key"
SHORT_WAIT: Final = "short_wait"


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
    if script == "tr":
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
    if policy.script == "tr":
        yield (
            f"Bitcoin Core can watch vault {name} and finish its payments; Sparrow, Electrum, "
            "Specter, Caravan and Liana cannot open it, and no other program signs for it with its "
            "cards"
        )
