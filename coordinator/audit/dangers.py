"""What of a vault is dangerous now: asked by every command that would be different because of it.

Each code stays the same; a command that refuses takes it with `--accept CODE`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, Protocol

from coordinator.audit.exposure import Quorum, exposure_of, keys_left, quorum_left, quorum_taken
from coordinator.audit.facts import BranchFacts, VaultFacts, keys
from coordinator.audit.timeline import of_them, opening, who
from coordinator.notices import Notice, Severity

QUORUM_STOLEN: Final = "quorum_stolen"
QUORUM_LOST: Final = "quorum_lost"
SAME_SEED: Final = "same_seed"
BRANCH_OPEN: Final = "branch_open"
KEYS_UNPROVED: Final = "keys_unproved"
KEY_MISMATCH: Final = "key_mismatch"
NO_COPY: Final = "no_copy"
POLICY_NOT_APPROVED: Final = "policy_not_approved"
APPROVAL_MISMATCH: Final = "approval_mismatch"
VAULT_ALTERED: Final = "vault_altered"
ROWS_ALTERED: Final = "rows_altered"
ROWS_UNAPPROVED: Final = "rows_unapproved"
LOCATION_LOSS_FATAL: Final = "location_loss_fatal"
WATCHED: Final = frozenset(
    (
        *(APPROVAL_MISMATCH, VAULT_ALTERED, ROWS_ALTERED, ROWS_UNAPPROVED),
        *(BRANCH_OPEN, QUORUM_STOLEN, QUORUM_LOST),
    )
)
"""What is still dangerous of a vault that another took the place of, while it holds coins."""
OTHER_SEAL: Final = Notice(
    APPROVAL_MISMATCH,
    Severity.DANGER,
    "the key that places and people are sealed to differs from what this home approved: somebody "
    "changed the database",
    "send and sign nothing; restore a backup made before: cardquorum restore FILE --home NEWDIR",
    (),
)


class Waiting(Protocol):
    """A branch that opens later."""

    @property
    def height(self) -> int | None:
        """Return from which height on it is open to every coin; None where it counts blocks."""
        ...


def dangers(facts: VaultFacts) -> list[Notice]:
    """Return for what no address of a vault is given out, the worst first."""
    return [
        *not_approved(facts),
        *rows_altered(facts),
        *rows_unapproved(facts),
        *quorum_stolen(facts),
        *quorum_lost(facts),
        *branch_open(facts),
        *same_seed(facts),
        *key_mismatch(facts),
        *keys_unproved(facts),
        *no_copy(facts),
    ]


def not_approved(facts: VaultFacts) -> Iterator[Notice]:
    """Tell of a policy that this home never approved, or that is not the one it approved."""
    if facts.seal_differs:
        yield OTHER_SEAL
    if facts.approval == "differs":
        yield Notice(
            APPROVAL_MISMATCH,
            Severity.DANGER,
            f"what is stored of vault {facts.name} differs from what this home approved: somebody "
            "changed the database",
            "send nothing to it and sign nothing; restore a backup made before: "
            "cardquorum restore FILE --home NEWDIR",
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


def rows_altered(facts: VaultFacts) -> Iterator[Notice]:
    """Tell of rows that are not as whoever changed them last signed that they are."""
    if facts.rows_altered:
        yield Notice(
            ROWS_ALTERED,
            Severity.DANGER,
            _first_of(facts.rows_altered),
            "believe nothing of it but cards and paper, and ask whoever runs the server; all of "
            "them: cardquorum custody verify",
            (),
        )


def rows_unapproved(facts: VaultFacts) -> Iterator[Notice]:
    """Tell of rows that nobody vouches for whose key was compared on this computer."""
    if facts.rows_unapproved:
        yield Notice(
            ROWS_UNAPPROVED,
            Severity.DANGER,
            _first_of(facts.rows_unapproved),
            "ask them for their fingerprint, on the telephone and not by the database, then: "
            "cardquorum operator approve NAME --fingerprint DIGITS; who is not approved yet: "
            "cardquorum operator list",
            (),
        )


def _first_of(sentences: Sequence[str]) -> str:
    more = f" (and {len(sentences) - 1} more)" if len(sentences) > 1 else ""
    return f"{sentences[0]}{more}"


def quorum_stolen(facts: VaultFacts) -> Iterator[Notice]:
    """Tell where what is lost or stolen may be a quorum, its PINs known to the thief or not."""
    found = quorum_taken(exposure_of(facts, codes=False))
    if found is None:
        return
    gone = _gone(facts, found)
    sure = quorum_taken(exposure_of(facts)) is not None
    spends = "a thief can spend" if sure else "only PINs keep a thief from spending"
    yield Notice(
        QUORUM_STOLEN,
        Severity.DANGER,
        f"{' and '.join(gone)} are lost or stolen, {keys(found.taken())} of {found.threshold} "
        f"needed{found.by}: {spends} vault {facts.name}",
        "move its coins now, to a vault or address whose keys nobody else has: "
        f"cardquorum spend create {facts.name} --drain ADDRESS --target 1",
        (f"vault:{facts.name}", *gone),
    )


def quorum_lost(facts: VaultFacts) -> Iterator[Notice]:
    """Tell where what is left is no quorum, of no branch that is open."""
    exposure = exposure_of(facts)
    if quorum_left(exposure) is not None:
        return
    ever, remedy = "", "find a lost card or its backup now; do not send more coins to this vault"
    if (later := saving(facts)) is not None:
        about = opening(facts, later).about
        ever = f" until the wait of {later.said} is over, {about}"
        remedy += f"; else wait, then: cardquorum spend recover {facts.name} --to ADDRESS"
    yield Notice(
        QUORUM_LOST,
        Severity.DANGER,
        f"{keys(keys_left(exposure))} left and {facts.threshold} are needed: the vault cannot be "
        f"spent{ever}",
        remedy,
        (f"vault:{facts.name}",),
    )


def branch_open(facts: VaultFacts) -> Iterator[Notice]:
    """Tell of branches that are open: whoever has their keys can spend."""
    for branch in facts.open_branches():
        keys_said = who(branch.threshold, [key.label for key in branch.keys])
        sweep = f"cardquorum spend recover {facts.name} --to ADDRESS"
        remedy = (
            "move the coins to the vault itself, which restarts the wait: "
            f"cardquorum spend refresh {facts.name}"
        )
        if branch.height is not None:
            remedy = "make a vault whose later keys wait longer and move the coins there"
        yield Notice(
            BRANCH_OPEN,
            Severity.DANGER,
            f"the wait of {branch.said} {_since(facts, branch)}: {keys_said} can "
            f"spend, and so can a thief of {of_them(branch.threshold, len(branch.keys))}",
            f"{remedy}; or whoever shall have them takes them: {sweep}",
            (f"vault:{facts.name}", *(f"key:{key.label}" for key in branch.keys)),
        )


def only_old_coins(code: str, branches: Iterable[Waiting]) -> bool:
    """Tell whether a danger is a branch that is open, but not to coins paid from now on.

    They wait from their own block on, unless a branch opens for all coins at a height.
    """
    return code == BRANCH_OPEN and all(branch.height is None for branch in branches)


def _since(facts: VaultFacts, branch: BranchFacts) -> str:
    """Say that a wait is over, as surely as the newest block known tells it."""
    opens, chain = facts.opens(branch), facts.chain
    if facts.at is not None or chain is None or opens is None or opens <= chain.tip + 1:
        return f"is over from block {opens} on"
    return (
        f"is probably over: block {opens} was expected {chain.about(opens)}, and the newest block "
        f"known here, {chain.tip}, is {chain.age.days} days old ({facts.look})"
    )


def saving(facts: VaultFacts, lost: Collection[str] = ()) -> BranchFacts | None:
    """Return the branch to open next that has enough keys left without what is lost."""
    whole = exposure_of(facts, later=facts.branches)
    left = {each.name for each in whole.later if each.left(lost) >= each.threshold}
    waiting = [each for each in facts.branches if each.name in left]
    return min(waiting, key=lambda each: opening(facts, each).order, default=None)


def same_seed(facts: VaultFacts) -> Iterator[Notice]:
    """Tell of keys that whoever has one seed has together."""
    for group in facts.same_seed():
        names = " and ".join(each.label for each in group)
        known = f" (fingerprint {group[0].fingerprint})" if group[0].fingerprint else ""
        cosigners = sum(each in facts.cosigners for each in group)
        has = f"{keys(len(group))} of {facts.threshold} needed"
        if cosigners < len(group):
            has = f"keys of {'the primary branch and of ' if cosigners else ''}later branches"
        yield Notice(
            SAME_SEED,
            Severity.DANGER,
            f"keys {names} come from one seed{known}: whoever has it has {has}",
            "make a vault whose keys come from a seed each, and move the coins there",
            tuple(f"key:{each.label}" for each in group),
        )


def key_mismatch(facts: VaultFacts) -> Iterator[Notice]:
    """Tell of keys whose last proof did not match what is stored."""
    failed = tuple(f"key:{c.label}" for c in facts.all_keys() if c.verified is False)
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
    here = [copy for copy in facts.copies if copy.current]
    if any(copy.location is not None for copy in here):
        return
    yield Notice(
        NO_COPY,
        Severity.DANGER,
        f"no place holds the plan of vault {facts.name} (its descriptor): if this computer dies, "
        "cards alone do not find the coins",
        f"print the kit and put it away: cardquorum kit {facts.name} --out DIR --location LOCATION",
        (f"vault:{facts.name}",),
    )


def _gone(facts: VaultFacts, quorum: Quorum) -> list[str]:
    """Return what is lost or stolen of a branch's keys, each thing once."""
    labels = {key.label for key in quorum.keys}
    return sorted(
        {
            carrier.subject
            for key in facts.all_keys()
            if key.label in labels
            for carrier in key.carriers
            if carrier.gone in {"lost", "stolen"}
        }
    )


def resting_on(facts: VaultFacts, code: str) -> str:
    """Return the facts a danger rests on: once they change, an acceptance counts no more."""
    if code in {QUORUM_STOLEN, QUORUM_LOST}:
        return " ".join(sorted(f"{c.subject}={c.gone}" for c in facts.carriers() if c.gone))
    if code == KEY_MISMATCH:
        return " ".join(sorted(c.label for c in facts.all_keys() if c.verified is False))
    if code == ROWS_ALTERED:
        return " ".join(facts.rows_altered)
    if code == ROWS_UNAPPROVED:
        return " ".join(facts.rows_unapproved)
    if code == BRANCH_OPEN:
        return " ".join(f"{each.name}={facts.opens(each)}" for each in facts.open_branches())
    return ""


def altered(name: str, why: str) -> Notice:
    """Return the finding of a vault whose rows contradict each other."""
    return Notice(
        VAULT_ALTERED,
        Severity.DANGER,
        f"what is stored of vault {name} does not hold together: {why}",
        "send nothing to this vault; restore a backup made before: cardquorum restore FILE --home "
        "NEWDIR; or bring it back from its kit in a new home: cardquorum recover FILE --name NAME",
        (f"vault:{name}",),
    )
