"""Many payments from a table (CSV): every line is read before anything is built."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from coordinator import foreign_text
from coordinator.amounts import BITCOIN, SATOSHI
from coordinator.errors import UsageError
from coordinator.interop.bip329 import LABEL_MAX
from coordinator.notices import Notice, Severity
from coordinator.payment.payees import payee
from coordinator.shown_text import Unit
from psbt.coins import Payment

COLUMNS: Final = ("address", "amount", "label")
NEEDED: Final = 2
SEEN: Final = 4
"""How many characters people compare of an address, after its prefix and at its end."""
TOLD: Final = 10
ROWS_MAX: Final = 10_000
SEPARATOR: Final = re.compile("[\t;,]")
NAMED_SEPARATOR: Final = re.compile("sep=([\t;,|])", re.IGNORECASE)
REST_OF_AMOUNT: Final = re.compile(rf"[0-9]+\s*(?:{'|'.join(BITCOIN + SATOSHI)})", re.IGNORECASE)
PREFIXES: Final = {"bc", "tb", "bcrt"}


class Row(NamedTuple):
    """One payment, the line it stands in, and what its address is called.

    `unit` is the one that its amount is written in.
    """

    line: int
    address: str
    value_sats: int
    script_pubkey: bytes
    label: str
    unit: Unit = "sat"


class Batch(NamedTuple):
    """The payments of a table, their sum, and what a person should look at twice."""

    rows: tuple[Row, ...]
    total_sats: int
    notices: tuple[Notice, ...]

    @property
    def payments(self) -> tuple[Payment, ...]:
        """Return the payments in the order of the table."""
        return tuple(Payment(row.script_pubkey, row.value_sats) for row in self.rows)


def read(text: str, network: str) -> Batch:
    """Read `address,amount[,label]` lines, with or without a header that may order them otherwise.

    They may be separated by semicolons or tabs, too. Raises UsageError that names every line that
    is wrong.
    """
    rows: list[Row] = []
    wrong: list[str] = []
    many = 0
    for number, cells in _lines(text):
        try:
            rows.append(_row(number, cells, network))
        except UsageError as failure:
            many += 1
            wrong += [f"line {number}: {failure}"] if many <= TOLD else []
        if len(rows) + many > ROWS_MAX:
            raise UsageError(f"the table has more than {ROWS_MAX} lines: no payment is that large")
    if wrong:
        more = f"; and {many - TOLD} more" if many > TOLD else ""
        raise UsageError(f"{'; '.join(wrong)}{more}")
    if not rows:
        raise UsageError("the table holds no payment")
    notices = (*_twice(rows), *_look_alikes(rows))
    return Batch(tuple(rows), sum(row.value_sats for row in rows), notices)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that hold something, numbered as an editor does, in the order of COLUMNS."""
    separator, skipped = _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    order: Sequence[str] | None = None
    try:
        for cells in reader:
            filled = [cell.strip() for cell in cells]
            if reader.line_num <= skipped or not any(filled):
                continue
            if order is None:
                order = _header(filled)
                if order:
                    continue
            if order and len(filled) <= len(order):
                found = dict(zip(order, filled, strict=False))
                filled = [found.get(name, "") for name in COLUMNS]
            yield reader.line_num, filled
    except csv.Error as failure:
        raise UsageError(f"line {reader.line_num}: {failure}") from failure


def _separator(text: str) -> tuple[str, int]:
    """Return what separates the cells, and how many lines at the beginning only say that.

    No address and no column's name holds a separator: the first one met is it.
    """
    first = next((line for line in foreign_text.lines(text) if line.strip()), "")
    named = NAMED_SEPARATOR.fullmatch(first.strip(" \r\n"))
    if named:
        return named[1], foreign_text.lines(text).index(first) + 1
    met = SEPARATOR.search(first)
    return met[0] if met else ",", 0


def _header(cells: Sequence[str]) -> Sequence[str]:
    """Return the names of the columns where the first line gives them; else nothing."""
    names = [cell.lower() for cell in cells]
    while names and not names[-1]:
        names.pop()
    if COLUMNS[0] not in names:
        return ()
    strange = [name for name in names if name not in COLUMNS or names.count(name) > 1]
    if strange:
        raise UsageError(f"the column {strange[0]!r} is none, or twice, of {', '.join(COLUMNS)}")
    return names


def _row(number: int, cells: Sequence[str], network: str) -> Row:
    cells = [*cells]
    while len(cells) > NEEDED and not cells[-1]:
        cells.pop()
    if not NEEDED <= len(cells) <= len(COLUMNS):
        comma = "" if len(cells) < NEEDED else "; is a comma in one of them not in quotes?"
        raise UsageError(f"{len(cells)} columns, not {', '.join(COLUMNS)}{comma}")
    address, amount, label = (*cells, "")[: len(COLUMNS)]
    if amount.isdecimal() and REST_OF_AMOUNT.fullmatch(label):
        raise UsageError(
            f"{amount},{label} may be one amount or an amount and a label: write the amount with "
            "a point, or the label as a word"
        )
    if len(label) > LABEL_MAX:
        raise UsageError(f"a label of {len(label)} characters; {LABEL_MAX} is the most")
    paid = payee(address, amount, network)
    called = label or (paid.label or "")[:LABEL_MAX]
    return Row(number, paid.address, paid.value_sats, paid.script_pubkey, called, paid.unit)


def _twice(rows: Sequence[Row]) -> Iterator[Notice]:
    lines: dict[bytes, list[int]] = defaultdict(list)
    for row in rows:
        lines[row.script_pubkey].append(row.line)
    for found in lines.values():
        if len(found) > 1:
            told = f"lines {' and '.join(map(str, found))} pay the same address"
            yield Notice("paid_twice", Severity.WARNING, told)


def _look_alikes(rows: Sequence[Row]) -> Iterator[Notice]:
    """Tell of addresses that begin and end alike: one may have been put there to deceive."""
    alike: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for row in rows:
        # what tells addresses of one kind apart: without network and version
        prefix, one, data = row.address.lower().rpartition("1")
        body = data[1:] if one and prefix in PREFIXES else row.address[1:]
        alike[body[:SEEN], body[-SEEN:]].setdefault(body, row.line)
    for found in alike.values():
        if len(found) > 1:
            lines = " and ".join(str(line) for line in found.values())
            told = f"lines {lines} pay addresses that look alike"
            yield Notice("lookalike", Severity.WARNING, told, "compare them letter by letter")
