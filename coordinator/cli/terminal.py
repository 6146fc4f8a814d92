"""The one place that writes to standard output, standard error.

Everything passes through `shown_text`: nothing anybody else wrote reaches a terminal as a control
sequence. A character that an output's encoding lacks is written as an escape.
"""

import io
import os
import re
import shutil
import sys
import textwrap
from contextlib import suppress
from typing import Final, TextIO

from coordinator.shown_text import visible

ERASED = "\r\033[K"
STREAMS = (
    ("stdin", "r", "replace"),
    ("stdout", "w", "backslashreplace"),
    ("stderr", "w", "backslashreplace"),
)
"""Each by its descriptor's number: its mode, and what becomes of a character it cannot have."""


PLAIN = "\033[0m"
STYLES = (
    (re.compile(r"^\s*(?:DANGER|danger)\b"), "\033[1;31m"),
    (re.compile(r"^error:"), "\033[1;31m"),
    (re.compile(r"^\s*warning\b"), "\033[33m"),
    (re.compile(r"^hint:"), "\033[36m"),
    (re.compile(r"\bnothing (?:found|is dangerous)\b"), "\033[32m"),
    (re.compile(r"^(?:Done\.|proved: |sent (?=[0-9a-f]{64}))"), "\033[32m"),
    (re.compile(r"(?<![\w.])[0-9][0-9. ]* (?:sat|BTC)\b(?!/)"), "\033[1m"),
)
"""What is told apart by colour or weight, too; never by that alone."""


KEPT: Final = re.compile(r"[0-9][0-9. ]* (?:sat|BTC)\b|\bcardquorum(?: [^\s;,]+)+")
"""Amounts and commands: broken between words only where they do not fit a line of their own."""
JOINT: Final = "\x00"
INDENT: Final = 2


class Drawn(str):
    """Lines drawn by this program, printed as they are: a QR code."""

    __slots__ = ()


def prepare_streams() -> None:
    """Have all three streams open, and none that fails for want of a character.

    A stream that was closed before the start is the null device: else the next file opened, which
    may be the database, would be written to as if it were the output.
    """
    for number, (name, mode, errors) in enumerate(STREAMS):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor is taken: this one
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 -- stays open as the stream
        reconfigure = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:
            with suppress(io.UnsupportedOperation):  # a stream that was read from before
                reconfigure(errors=errors)


def put(text: str) -> None:
    """Write a line, or a drawing, of the result to standard output."""
    shown = text if isinstance(text, Drawn) else _shown(text, sys.stdout)
    put_document(f"{shown}\n")


def _shown(text: str, stream: TextIO) -> str:
    """Return a line as a stream shows it: safe, folded between words, set off where it may be."""
    return "\n".join(styled(line, stream) for line in folded(visible(text), room(stream)))


def folded(line: str, room: int | None, hang: int = INDENT) -> list[str]:
    """Return a line in as many as it wants where it is wider than `room`; no word is broken.

    Those after the first stand `hang` columns further in.
    """
    if room is None or len(line) <= room:
        return [line]
    within = len(line) - len(line.lstrip())

    def kept(found: re.Match[str]) -> str:
        fits = len(found[0]) + within + hang <= room
        return found[0].replace(" ", JOINT) if fits else found[0]

    lines = textwrap.wrap(
        KEPT.sub(kept, line),
        max(room, within + hang + 1),
        subsequent_indent=" " * (within + hang),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [each.replace(JOINT, " ") for each in lines]


def room(stream: TextIO) -> int | None:
    """Return how many columns a stream's terminal has; None where it is none, or does not tell."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def styled(line: str, stream: TextIO) -> str:
    """Return a line with its warnings and amounts set off, where the stream shows colours.

    NO_COLOR (no-color.org) and TERM=dumb are heeded.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    if plain or not stream.isatty():
        return line
    for pattern, style in STYLES:
        line = pattern.sub(lambda found, style=style: f"{style}{found[0]}{PLAIN}", line)  # type: ignore[misc]  # style is bound
    return line


def width() -> int | None:
    """Return how many columns standard output has; None where it is no terminal."""
    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def put_document(text: str) -> None:
    """Write a document that has escapes of its own, as JSON has, to standard output.

    Who closed it early wants no more of it. Raises OSError where it cannot be written, as on a
    full disk.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
    except OSError as failure:
        _discard(sys.stdout)
        raise OSError(
            failure.errno, f"the result cannot be written: {failure.strerror}"
        ) from failure


class _Line:
    """Whether the last line on standard error is one to be written over."""

    unfinished = False


def tell(text: str, end: str = "\n") -> bool:
    """Write a line to standard error at once; returns False where nobody can see it.

    One that ends with a carriage return is written over by the next.
    """
    before = ERASED if _Line.unfinished else ""
    _Line.unfinished = end == "\r"
    shown = visible(text) if end == "\r" else _shown(text, sys.stderr)
    return _tell(before + shown + end)


def clear_line() -> None:
    """Erase a line that is to be written over, before something is asked."""
    if _Line.unfinished:
        _Line.unfinished = False
        _tell(ERASED)


def tell_over(text: str) -> None:
    """Write a line over the one before; an empty text erases that."""
    _tell(ERASED + visible(text))


def can_draw() -> bool:
    """Tell whether standard output is a terminal that has the blocks QR codes are drawn with."""
    try:
        "█▀▄".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return sys.stdout.isatty()


def _tell(text: str) -> bool:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        _discard(sys.stderr)
        return False
    return True


def _discard(stream: TextIO) -> None:
    """Let what is left in a stream go nowhere, so that it cannot fail again at the end."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)
