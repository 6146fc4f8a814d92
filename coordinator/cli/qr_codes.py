"""QR codes on a terminal: one, or those of a payment one after the other."""

import os
import select
import shutil
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from coordinator.cli.terminal import PLAIN, Drawn
from coordinator.errors import UsageError

TERMINAL: Final = Path("/dev/tty")
QUIET: Final = 2
BLACK_ON_WHITE: Final = "\033[38;5;16;48;5;231m"
HALVES: Final = {(0, 0): " ", (0, 1): "▄", (1, 0): "▀", (1, 1): "█"}
CLEARED: Final = "\033[2J\033[H"
SIZES: Final = (224, 180, 145, 115, 90, 70)
"""How many characters a code may hold, tried until it fits the window."""
BELOW: Final = 2
"""Rows below a code: which one it is, and the keys."""
SPEEDS: Final = (1, 2, 3, 4, 6, 8, 12)
"""Codes a second."""
FIRST_SPEED: Final = 4
KEYS: Final = "+ faster  - slower  blank stops, then any key goes on  q ends"
FASTER: Final[dict[bytes | None, int]] = {b"+": 1, b"-": -1}
ENDS: Final = frozenset({b"q", b"Q", b"\x04", b""})


def drawing(text: str) -> Drawn:
    """Return a code in half blocks, black on white whatever the terminal's own colours are."""
    import segno

    rows = [list(row) for row in segno.make(text, error="m").matrix_iter(border=QUIET)]
    return Drawn("\n".join(_blocks(rows)))


def _blocks(rows: list[list[int]]) -> Iterator[str]:
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        blocks = "".join(HALVES[pair] for pair in zip(upper, lower, strict=True))
        yield f"{BLACK_ON_WHITE}{blocks}{PLAIN}"


def show_payment(psbt: bytes, format_: str) -> None:
    """Show a payment's codes one after the other until the person ends it.

    Raises UsageError without a terminal, or where its window is too small for any.
    """
    from coordinator.interop.qr_text import CODES, payment_lines

    if format_ not in CODES:
        raise UsageError("--show draws codes: add --format bbqr, ur or pmofn")
    columns, rows = shutil.get_terminal_size()
    for size in SIZES:
        drawn = _drawn(payment_lines(psbt, format_, size))
        if len(drawn[0]) + BELOW <= rows and 2 * len(drawn[0]) <= columns:
            _play(drawn)
            return
    raise UsageError(
        f"a window of {columns} x {rows} is too small for a code: make it larger, or --out FILE.gif"
    )


def _drawn(parts: Sequence[str]) -> list[list[str]]:
    """Return the lines of each code, all of one size: half as many as it is wide."""
    import segno

    version = max(int(segno.make_qr(part, error="l", boost_error=False).version) for part in parts)
    codes = [segno.make_qr(p, error="l", boost_error=False, version=version) for p in parts]
    return [list(_blocks([list(row) for row in c.matrix_iter(border=QUIET)])) for c in codes]


def _play(codes: Sequence[list[str]]) -> None:
    """Draw one code after the other until a key ends it."""
    speed, at, stopped = SPEEDS.index(FIRST_SPEED), 0, False
    with _keys() as descriptor:
        while True:
            pace = "stopped" if stopped else f"{SPEEDS[speed]} a second"
            told = [f"code {at + 1} of {len(codes)}, {pace}", KEYS]
            os.write(descriptor, (CLEARED + "\n".join([*codes[at], *told])).encode())
            seconds = None if stopped else 1 / SPEEDS[speed]
            ready, _, _ = select.select([descriptor], [], [], seconds)
            key = os.read(descriptor, 1) if ready else None
            if key in ENDS:
                os.write(descriptor, CLEARED.encode())
                return
            if key == b" ":
                stopped = not stopped
            elif key in FASTER:
                speed = min(max(speed + FASTER[key], 0), len(SPEEDS) - 1)
            else:
                at = (at + 1) % len(codes)


@contextmanager
def _keys() -> Iterator[int]:
    """Open the terminal for single keys; as it was afterwards. Raises UsageError."""
    try:
        descriptor = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY)
    except OSError as failure:
        raise UsageError("codes are shown on a terminal: use --out FILE.gif elsewhere") from failure
    try:
        before = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor)
        try:
            yield descriptor
        finally:
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
    finally:
        os.close(descriptor)
