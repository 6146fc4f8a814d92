"""What a transaction on a server brought with its first message, and what it wrote since."""

import re
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

TABLES: Final = (
    *("address", "branch_key", "card", "card_secret", "carrier", "ceremony", "chain_event"),
    *("chain_transaction", "coin", "cosigner", "custody_event", "custody_text", "descriptor_copy"),
    *("drill", "drill_proof", "holder", "item", "key", "label", "location", "node_rules"),
    *("reservation", "scan", "seal", "secret_known_by", "secret_written_at", "signature"),
    *("statement", "succession", "sync_state", "vault", "vault_branch", "verification"),
)
"""Every table of the schema, none of which need be mapped for this."""
ASKS: Final = re.compile(r"\s*(?:SELECT|WITH|SHOW)\b", re.IGNORECASE)
WRITES: Final = re.compile(r'\s*(?:INSERT INTO|UPDATE|DELETE FROM|COPY)\s+"?(\w+)', re.IGNORECASE)


class Rows(NamedTuple):
    """What a statement returned, as SQLite takes it."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


OPENING_SECONDS: Final = 5.0
AGAIN_MAX: Final = 3


class Opening:
    """What came when the database was opened: one moment of it, which a verb goes on reading.

    It holds until this program writes, hears that another did, or some seconds are over. `told_at`
    is the server's time, as it writes one, `image` the same as a database in memory once made.
    """

    image: bytes = b""

    def __init__(self, told_at: str, brought: Mapping[str, Rows]) -> None:
        self.told_at, self.brought = told_at, brought
        self._at = time.monotonic()

    def is_now(self) -> bool:
        """Tell whether it came just now."""
        return time.monotonic() - self._at < OPENING_SECONDS


class Snapshot:
    """What a transaction brought, by table, and which of it was written since.

    `opening` is what it came with where the database was just opened, `later` names the tables that
    are brought once one of them is asked for, `large` those that are not here.
    """

    def __init__(
        self,
        brought: Mapping[str, Rows],
        opening: Opening | None = None,
        *,
        later: Sequence[str] = (),
    ) -> None:
        self.brought, self.opening, self.later = dict(brought), opening, set(later)
        self.stale: set[str] = set()
        self.written = False
        self.large = set(TABLES) - brought.keys()
        self._again: Counter[str] = Counter()

    def add(self, brought: Mapping[str, Rows]) -> None:
        """Keep what was brought since."""
        self.brought.update(brought)
        self.large -= brought.keys()

    def to_bring(self, asked: Collection[str]) -> list[str]:
        """Return the tables to bring again for a question: all that were written and are small.

        One that is not is brought some times, and left at the server from then on.
        """
        if not self.stale.intersection(asked):
            return []
        for name in self.stale.intersection(asked, self.later):
            self._again[name] += 1
            if self._again[name] > AGAIN_MAX:
                self.later.discard(name)
                self.large.add(name)
                self.stale.discard(name)
                del self.brought[name]
        found = sorted(each for each in self.stale if each in asked or each not in self.later)
        self.stale.difference_update(found)
        return found

    def note(self, statement: str) -> None:
        """Take note of what a statement at the server writes; one that is not understood, all."""
        if (writes := WRITES.match(statement)) is not None:
            self.stale |= {writes[1].lower()} & self.brought.keys()
        elif not ASKS.match(statement):
            self.stale |= self.brought.keys()
        else:
            return
        self.written = True

    def held(self, tables: Collection[str]) -> dict[str, Rows] | None:
        """Return all that tables hold, None where one is not here or anything was written."""
        if self.written or not self.brought.keys() >= set(tables):
            return None
        return {name: self.brought[name] for name in tables}
