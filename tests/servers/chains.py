"""Chains on which a first coin can be spent: mined once per process, and copied."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from coordinator.chain.regtest import RegtestChain
from tests.once import copy_of

MATURE = 101


def mature_chain(folder: Path, now: Callable[[], datetime] | None = None) -> RegtestChain:
    """Return a chain of its own in a folder, whose first block's coin may be spent."""
    copy_of(mine, folder, *([now()] if now else []))
    return RegtestChain(folder, **({"now": now} if now else {}))


def mine(folder: Path, now: datetime | None = None) -> None:
    RegtestChain(folder, now=lambda: now or datetime.now(UTC)).mine(MATURE)
