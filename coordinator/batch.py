"""Many payments from a table (CSV): every line is read before anything is built."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from coordinator.amounts import parse_amount, script_of
from coordinator.errors import UsageError
from psbt.coins import Payment

COLUMNS: Final = ("address", "amount", "label")
NEEDED: Final = 2
SEEN: Final = 4
"""How many characters people compare of an address, after its prefix and at its end."""
TOLD: Final = 10
PREFIXES: Final = {"bc", "tb", "bcrt"}


class Row(NamedTuple):
    """One payment, the line it stands in, and what its address is called."""

    line: int
    address: str
    value_sats: int
    script_pubkey: bytes
    label: str


class Batch(NamedTuple):
    """The payments of a table, their sum, and what a person should look at twice."""

    rows: tuple[Row, ...]
    total_sats: int
    notices: tuple[str, ...]

    @property
    def payments(self) -> tuple[Payment, ...]:
        """Return the payments in the order of the table."""
        return tuple(Payment(row.script_pubkey, row.value_sats) for row in self.rows)


def read(text: str, network: str) -> Batch:
    """Read `address,amount[,label]` lines, with or without a header.

    Raises UsageError that names every line that is wrong.
    """
    rows, wrong = [], []
    for number, cells in _lines(text):
        try:
            rows.append(_row(number, cells, network))
        except UsageError as failure:
            wrong.append(f"line {number}: {failure}")
    if wrong:
        more = f"; and {len(wrong) - TOLD} more" if len(wrong) > TOLD else ""
        raise UsageError(f"{'; '.join(wrong[:TOLD])}{more}")
    if not rows:
        raise UsageError("the table holds no payment")
    notices = (*_twice(rows), *_look_alikes(rows))
    return Batch(tuple(rows), sum(row.value_sats for row in rows), notices)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that hold something, numbered as an editor does, without the header."""
    reader = csv.reader(io.StringIO(text), strict=True)
    first = True
    try:
        for cells in reader:
            filled = [cell.strip() for cell in cells]
            header = first and filled[:NEEDED] == list(COLUMNS[:NEEDED])
            if any(filled) and not header:
                yield reader.line_num, filled
            first = first and not any(filled)
    except csv.Error as failure:
        raise UsageError(f"line {reader.line_num}: {failure}") from failure


def _row(number: int, cells: Sequence[str], network: str) -> Row:
    if not NEEDED <= len(cells) <= len(COLUMNS):
        raise UsageError(f"{len(cells)} columns, not {', '.join(COLUMNS)}")
    address, amount = cells[:NEEDED]
    label = cells[NEEDED] if len(cells) > NEEDED else ""
    return Row(number, address, parse_amount(amount), script_of(address, network), label)


def _twice(rows: Sequence[Row]) -> Iterator[str]:
    lines: dict[bytes, list[int]] = defaultdict(list)
    for row in rows:
        lines[row.script_pubkey].append(row.line)
    for found in lines.values():
        if len(found) > 1:
            yield f"lines {' and '.join(map(str, found))} pay the same address"


def _look_alikes(rows: Sequence[Row]) -> Iterator[str]:
    """Tell of addresses that begin and end alike: one may have been put there to deceive."""
    alike: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for row in rows:
        body = _body(row.address)
        alike[body[:SEEN], body[-SEEN:]].setdefault(body, row.line)
    for found in alike.values():
        if len(found) > 1:
            lines = " and ".join(str(line) for line in found.values())
            yield f"lines {lines} pay addresses that look alike: compare them letter by letter"


def _body(address: str) -> str:
    """Return what tells addresses of one kind apart: without network and version."""
    prefix, one, data = address.lower().rpartition("1")
    return data[1:] if one and prefix in PREFIXES else address[1:]
