"""The descriptors by which BDK finds a vault's scripts, and what is learnt by several made one.

BDK knows multi_a, whose keys keep their order, and no sortedmulti_a. A sorted leaf is, address by
address, one of the leaves that the same keys make in some order: all of them are watched.
"""

import re
from collections.abc import Sequence
from itertools import permutations
from typing import Final

from coordinator.chain import ChainUpdate, SeenTransaction
from coordinator.errors import ChainError
from psbt.checksum import checksum

SORTED = re.compile(r"tr\(([^(),]+),sortedmulti_a\(([0-9]+),([^(){}]+)\)\)")
KEYS_MAX: Final = 4
"""Of so many keys 24 orders are watched; of one more it would be 120."""


def is_sorted_leaf(descriptor: str) -> bool:
    """Tell whether a descriptor is of sorted keys in a leaf of taproot."""
    return SORTED.fullmatch(descriptor.partition("#")[0]) is not None


def spelled(descriptor: str) -> list[str]:
    """Return the descriptors that BDK reads in place of one; raises ChainError for too many."""
    matched = SORTED.fullmatch(descriptor.partition("#")[0])
    if matched is None:
        return [descriptor]
    internal, threshold, keys = matched.groups()
    listed = keys.split(",")
    if len(listed) > KEYS_MAX:
        raise ChainError(
            "BDK knows no sorted keys in taproot: by p2p every order is watched of up to"
            f" {KEYS_MAX} keys, and the vault has {len(listed)}; ask an Electrum or Esplora server,"
            " or a Bitcoin Core of your own"
        )
    return [
        f"{body}#{checksum(body)}"
        for order in permutations(listed)
        for body in (f"tr({internal},multi_a({threshold},{','.join(order)}))",)
    ]


def merged(updates: Sequence[ChainUpdate]) -> ChainUpdate:
    """Return what several wallets learnt one after the other as what one did at the first tip.

    A transaction in a block counts more than the same one waiting; a block that came meanwhile is
    news to the next look.
    """
    first = min(updates, key=lambda update: update.tip.height)
    found: dict[str, SeenTransaction] = {}
    for seen in (each for update in updates for each in update.transactions):
        if seen.txid not in found or found[seen.txid].height is None:
            found[seen.txid] = seen
    reaches = [each.reach for each in updates if each.reach is not None]
    receive, change = (min(reach[keychain] for reach in reaches) for keychain in (0, 1))
    return first._replace(transactions=tuple(found.values()), reach=(receive, change))
