"""The options that say which branches of a new vault open later, read in the order typed.

The n-th wait and the n-th threshold are those of stage n; a card or key is of stage 1, or of the
one that stands before it. Within a stage keys stand in the order in which they were typed.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.parameters import in_order

if TYPE_CHECKING:
    from coordinator.vault.plans import BranchPlan
    from psbt.policy import Wait

STAGES_MAX = 2
OLDEST = 65_535
"""The most blocks that a sequence number counts (BIP 68)."""
HIGHEST = 499_999_999
"""The highest block that a lock time names (BIP 65)."""
STAGE = re.compile(r"([0-9]{1,4}):(.*)", re.DOTALL)

After = Annotated[
    list[int] | None,
    typer.Option(
        "--recovery-after",
        help="a branch opens for coins this old",
        metavar="BLOCKS",
        min=1,
        max=OLDEST,
    ),
]
At = Annotated[
    list[int] | None,
    typer.Option(
        "--recovery-at", help="a branch opens at this block", metavar="HEIGHT", min=1, max=HIGHEST
    ),
]
Threshold = Annotated[
    list[int] | None,
    typer.Option("--recovery-threshold", help="signatures needed then", metavar="K", min=1, max=15),
]
Card = Annotated[
    list[str] | None,
    typer.Option("--recovery-card", help="a card that signs then", metavar="[STAGE:]LABEL"),
]
Key = Annotated[
    list[str] | None,
    typer.Option(
        "--recovery-key",
        help="a key held elsewhere that signs then",
        metavar="[STAGE:]LABEL[=EXPR]",
    ),
]


def branch_plans(
    order: Sequence[str],
    *,
    after: Sequence[int] | None,
    at: Sequence[int] | None,
    thresholds: Sequence[int] | None,
    cards: Sequence[str] | None,
    keys: Sequence[str] | None,
) -> "tuple[BranchPlan, ...]":
    """Return the branches that were asked for; `order` is that of the options as typed.

    Raises UsageError for a stage without its wait, its keys or its threshold.
    """
    from coordinator.errors import UsageError
    from coordinator.vault.plans import BranchPlan

    waits = _waits(after, at)
    if len(waits) > STAGES_MAX:
        raise UsageError(f"{len(waits)} later branches are asked for; {STAGES_MAX} are the most")
    found: dict[int, list[str]] = {stage: [] for stage in range(1, len(waits) + 1)}
    for option, text in in_order(order, recovery_card=cards, recovery_key=keys):
        matched = STAGE.fullmatch(text)
        stage, bare = (int(matched[1]), matched[2]) if matched else (1, text)
        if stage not in found:
            raise UsageError(
                f"{text} is of stage {stage}, and {len(waits)} waits are given: say when it opens "
                "with --recovery-after BLOCKS or --recovery-at HEIGHT"
            )
        found[stage].append(f"card:{bare}" if option == "recovery_card" else bare)
    given = list(thresholds or ())
    if len(given) > len(waits):
        raise UsageError(f"{len(given)} thresholds are given for {len(waits)} later branches")
    plans = []
    for stage, wait in enumerate(waits, 1):
        named = found[stage]
        if not named:
            raise UsageError(
                f"nobody can spend by stage {stage}: add --recovery-card {stage}:LABEL "
                f"or --recovery-key {stage}:LABEL=EXPRESSION"
            )
        if stage > len(given) and len(named) > 1:
            raise UsageError(
                f"stage {stage} has {len(named)} keys: say how many of them sign with "
                "--recovery-threshold"
            )
        plans.append(BranchPlan(wait, tuple(named), given[stage - 1] if stage <= len(given) else 1))
    return tuple(plans)


def _waits(after: Sequence[int] | None, at: Sequence[int] | None) -> "list[Wait]":
    from coordinator.errors import UsageError
    from psbt.policy import Wait

    if after and at:
        raise UsageError(
            "--recovery-after and --recovery-at do not go together: one transaction cannot wait "
            "for both"
        )
    told = [*(after or ()), *(at or ())]
    if told != sorted(set(told)):
        raise UsageError(
            f"stage 2 must open later than stage 1, and {' and '.join(map(str, told))} are given"
        )
    return [*(Wait(blocks=each) for each in after or ()), *(Wait(height=each) for each in at or ())]
