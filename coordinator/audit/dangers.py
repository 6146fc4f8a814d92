"""What of a vault is dangerous now: asked by every command that would be different because of it.

Each code stays the same; a command that refuses takes it with `--accept CODE`.
"""

from collections.abc import Iterator
from typing import Final

from coordinator.audit.exposure import exposure_of, keys_left, keys_taken, thief_can_spend
from coordinator.audit.facts import VaultFacts, keys
from coordinator.notices import Notice, Severity

QUORUM_STOLEN: Final = "quorum_stolen"
QUORUM_LOST: Final = "quorum_lost"
SAME_SEED: Final = "same_seed"
KEYS_UNPROVED: Final = "keys_unproved"
KEY_MISMATCH: Final = "key_mismatch"
NO_COPY: Final = "no_copy"
POLICY_NOT_APPROVED: Final = "policy_not_approved"
APPROVAL_MISMATCH: Final = "approval_mismatch"
VAULT_ALTERED: Final = "vault_altered"


def dangers(facts: VaultFacts) -> list[Notice]:
    """Return what of a vault is dangerous now, the worst first."""
    return [
        *not_approved(facts),
        *quorum_stolen(facts),
        *quorum_lost(facts),
        *same_seed(facts),
        *key_mismatch(facts),
        *keys_unproved(facts),
        *no_copy(facts),
    ]


def not_approved(facts: VaultFacts) -> Iterator[Notice]:
    """Tell of a policy that this home never approved, or that is not the one it approved."""
    if facts.approval == "differs":
        yield Notice(
            APPROVAL_MISMATCH,
            Severity.DANGER,
            f"what is stored of vault {facts.name} differs from what this home approved: somebody "
            "changed the database",
            "send nothing to it and sign nothing; restore a backup made before: "
            "cardquorum restore FILE",
            (f"vault:{facts.name}",),
        )
    elif facts.approval == "none":
        yield Notice(
            POLICY_NOT_APPROVED,
            Severity.DANGER,
            f"nobody compared vault {facts.name} with its paper on this computer yet",
            f"compare checksum and first address, then: cardquorum vault approve {facts.name}",
            (f"vault:{facts.name}",),
        )


def quorum_stolen(facts: VaultFacts) -> Iterator[Notice]:
    """Tell where what is lost or stolen may be a quorum, its PINs known to the thief or not."""
    taken = keys_taken(exposure_of(facts, codes=False))
    if taken < facts.threshold:
        return
    gone = _gone(facts)
    sure = thief_can_spend(exposure_of(facts), (), knows_descriptor=True)
    spends = "a thief can spend" if sure else "only PINs keep a thief from spending"
    yield Notice(
        QUORUM_STOLEN,
        Severity.DANGER,
        f"{' and '.join(gone)} are lost or stolen, {keys(taken)} of {facts.threshold} needed: "
        f"{spends} vault {facts.name}",
        "move its coins now, to a vault or address whose keys nobody else has: "
        f"cardquorum spend create {facts.name} --drain ADDRESS --target 1",
        (f"vault:{facts.name}", *gone),
    )


def quorum_lost(facts: VaultFacts) -> Iterator[Notice]:
    """Tell where what is left is no quorum."""
    left = keys_left(exposure_of(facts))
    if left < facts.threshold:
        yield Notice(
            QUORUM_LOST,
            Severity.DANGER,
            f"{keys(left)} left and {facts.threshold} are needed: the vault cannot be spent",
            "find a lost card or its backup now; do not send more coins to this vault",
            (f"vault:{facts.name}",),
        )


def same_seed(facts: VaultFacts) -> Iterator[Notice]:
    """Tell of keys that whoever has one seed has together."""
    for group in facts.same_seed():
        names = " and ".join(each.label for each in group)
        known = f" (fingerprint {group[0].fingerprint})" if group[0].fingerprint else ""
        yield Notice(
            SAME_SEED,
            Severity.DANGER,
            f"keys {names} come from one seed{known}: whoever has it has {keys(len(group))} of "
            f"{facts.threshold} needed",
            "make a vault whose keys come from a seed each, and move the coins there",
            tuple(f"key:{each.label}" for each in group),
        )


def key_mismatch(facts: VaultFacts) -> Iterator[Notice]:
    """Tell of keys whose last proof did not match what is stored."""
    failed = tuple(f"key:{c.label}" for c in facts.cosigners if c.verified is False)
    if failed:
        yield Notice(
            KEY_MISMATCH,
            Severity.DANGER,
            f"the last proof of {' and '.join(failed)} did not match what is stored",
            "send nothing to this vault; compare its descriptor with a printed copy",
            failed,
        )


def keys_unproved(facts: VaultFacts) -> Iterator[Notice]:
    """Tell where a key of a card here, or so many that no quorum is left, was never proved.

    A key is proved by any signature of it, for this policy, that this home verified.
    """
    unproved = [each for each in facts.cosigners if each.verified is None]
    here = [each for each in unproved if each.on_card_here]
    proved = len(facts.cosigners) - len(unproved)
    if not here and proved >= facts.threshold:
        return
    names = tuple(f"key:{each.label}" for each in here or unproved)
    yield Notice(
        KEYS_UNPROVED,
        Severity.DANGER,
        f"{' and '.join(names)} never signed for vault {facts.name} here: coins sent to a key "
        "that no card has are lost",
        f"offer the cards once: cardquorum vault verify {facts.name}",
        names,
    )


def no_copy(facts: VaultFacts) -> Iterator[Notice]:
    """Tell where no place holds a copy of the descriptor."""
    here = [copy for copy in facts.copies if copy.gone is None and not copy.stale]
    if any(copy.location is not None for copy in here):
        return
    yield Notice(
        NO_COPY,
        Severity.DANGER,
        f"no place holds a copy of vault {facts.name}'s descriptor: if this computer dies, keys "
        "without it do not find the coins",
        f"print the kit and put it away: cardquorum kit {facts.name} --out DIR --location LOCATION",
        (f"vault:{facts.name}",),
    )


def _gone(facts: VaultFacts) -> list[str]:
    """Return what is lost or stolen of a vault, each thing once."""
    taken = (c.subject for c in facts.carriers() if c.gone in {"lost", "stolen"})
    return sorted(set(taken))


def resting_on(facts: VaultFacts, code: str) -> str:
    """Return the facts a danger rests on: once they change, an acceptance counts no more."""
    if code in {QUORUM_STOLEN, QUORUM_LOST}:
        return " ".join(sorted(f"{c.subject}={c.gone}" for c in facts.carriers() if c.gone))
    if code == KEY_MISMATCH:
        return " ".join(sorted(c.label for c in facts.cosigners if c.verified is False))
    return ""
