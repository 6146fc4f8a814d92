"""Which branches a transaction's sequences and lock time allow, and from which block on."""

from collections.abc import Iterable

from psbt.codec import Psbt, unsigned_transaction
from psbt.errors import PsbtError
from psbt.forms import Wait
from psbt.ownership import own_inputs
from psbt.policy import PRIMARY, Policy
from psbt.transaction import (
    FINAL_SEQUENCE,
    FIRST_TIME_LOCK,
    SEQUENCE_IS_TIME,
    SEQUENCE_MASK,
    SEQUENCE_NO_LOCK,
    Transaction,
)

RELATIVE_VERSION: int = 2


def psbt_branches(psbt: Psbt, policy: Policy) -> tuple[str, ...]:
    """Return the branches that the sequences and the lock time allow, the primary first."""
    return tuple(b.name for b in policy.branches if closed(psbt, policy, b.name) is None)


def require_branch(psbt: Psbt, policy: Policy, branch: str) -> None:
    """Raise PsbtError where the sequences or the lock time do not allow a branch."""
    reason = closed(psbt, policy, branch)
    if reason is not None:
        raise PsbtError(f"this payment cannot be made by the {branch} branch: {reason}")


def closed(psbt: Psbt, policy: Policy, branch: str) -> str | None:
    """Say why a transaction cannot be spent by a branch, None where it can."""
    wait = policy.branch(branch).wait
    if branch == PRIMARY or wait is None:
        return None
    transaction = unsigned_transaction(psbt)
    for index in own_inputs(psbt, policy):
        reason = _closed(transaction, index, wait)
        if reason is not None:
            return reason
    return None


def open_from(wait: Wait, coin_heights: Iterable[int | None]) -> int | None:
    """Return the first block that may spend coins of these heights; None for an unconfirmed one."""
    blocks = [wait.first_block(height) for height in coin_heights]
    known = [block for block in blocks if block is not None]
    return max(known) if blocks and len(known) == len(blocks) else None


def _closed(transaction: Transaction, index: int, wait: Wait) -> str | None:
    sequence = transaction.inputs[index].sequence
    if wait.blocks is not None:
        if transaction.version < RELATIVE_VERSION:
            return f"a transaction of version {transaction.version} counts no blocks"
        counted = not sequence & (SEQUENCE_NO_LOCK | SEQUENCE_IS_TIME)
        if not counted or sequence & SEQUENCE_MASK < wait.blocks:
            return f"input {index} has the sequence {sequence:08x}, which waits no {wait}"
        return None
    locktime = transaction.locktime
    if sequence == FINAL_SEQUENCE or not (wait.height or 0) <= locktime < FIRST_TIME_LOCK:
        return (
            f"its lock time is {locktime} and input {index} has the sequence {sequence:08x},"
            f" which wait for no {wait}"
        )
    return None
