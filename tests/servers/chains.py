"""Chains on which a first coin can be spent: mined once per process, and copied."""

from pathlib import Path

from coordinator.chain.regtest import RegtestChain
from tests.once import copy_of

MATURE = 101


def mature_chain(folder: Path) -> RegtestChain:
    """Return a chain of its own in a folder, whose first block's coin may be spent."""
    copy_of(mine, folder)
    return RegtestChain(folder)


def mine(folder: Path) -> None:
    RegtestChain(folder).mine(MATURE)
