"""Text for a terminal, a page or paper: what nobody sees, or a terminal obeys, stands as an escape.

Labels, names, notes, file names and what cards, readers and servers say are others' words. In them
a control sequence could clear the screen, a direction mark could turn an address round, and an
invisible character could make two names look alike. The result of this program as JSON needs none
of it: JSON has escapes of its own.
"""

import json
import re
from datetime import datetime, timedelta
from typing import Final, Literal

UNSEEN: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: ESC, BEL, CSI, OSC, line ends
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0"  # blanks and joiners
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, direction, separators
    "\ufe00-\ufe0d\ufeff\ufff0-\ufffb\ufffe\uffff"  # variants, byte order marks, annotations
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # tags and format marks
    "\ud800-\udfff"  # halves of a pair, as undecodable bytes become
    "]"
)
SURROGATE: Final = re.compile("[\ud800-\udfff]")
REPLACED: Final = "\ufffd"
SATS_PER_BTC: Final = 100_000_000
Unit = Literal["sat", "btc"]
"""In which unit a person types amounts."""
DAY, HOUR, MINUTE = 86_400, 3_600, 60


def visible(text: str) -> str:
    r"""Return a text as one line to be read: ESC becomes `\x1b`, a direction mark `\u202e`."""
    return text if text.isascii() and text.isprintable() else UNSEEN.sub(_escape, text)


def visible_lines(text: str) -> str:
    """Return a text of this program's own lines, each as `visible` has it."""
    return "\n".join(visible(line) for line in text.split("\n"))


def whole(text: str) -> str:
    """Return a text that every encoding of Unicode has: halves of a pair are replaced."""
    return text if text.isascii() else SURROGATE.sub(REPLACED, text)


def json_line(said: object) -> str:
    """Return a line of JSON; one with what an editor may take for a line's end is in ASCII."""
    line = json.dumps(said, ensure_ascii=False)
    return json.dumps(said) if visible(line) != line else line


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless it is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def in_groups(text: str, size: int) -> list[str]:
    """Return a text in pieces of so many characters, the last as long as it is."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def sats(amount: int) -> str:
    """Return an amount for people: satoshis in groups of three."""
    return f"{amount:,} sat".replace(",", " ")


def btc(amount: int) -> str:
    """Return the same amount in bitcoin, as many digits as it has: 0.1 BTC."""
    whole_, rest = divmod(amount, SATS_PER_BTC)
    return f"{whole_}.{rest:08d}".rstrip("0").rstrip(".") + " BTC"


def in_unit(amount: int, unit: Unit) -> str:
    """Return an amount in the unit it was typed in."""
    return btc(amount) if unit == "btc" else sats(amount)


def in_other_unit(amount: int, unit: Unit) -> str:
    """Return an amount in the unit it was not typed in."""
    return sats(amount) if unit == "btc" else btc(amount)


def in_both_units(amount: int, unit: Unit, width: int = 0) -> str:
    """Return an amount as it was typed, at least so wide, and in brackets in the other unit."""
    return f"{in_unit(amount, unit):>{width}} ({in_other_unit(amount, unit)})"


def sat_per_vbyte(feerate: int) -> str:
    """Return a fee rate in sat/kvB for people."""
    rate, part = divmod(feerate, 1000)
    return f"{rate}.{part:03d}".rstrip("0").rstrip(".")


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was, in its largest unit."""
    seconds = int(max(now - moment, timedelta()).total_seconds())
    for size, unit in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if seconds >= size:
            return f"{counted(seconds // size, unit)} ago"
    return "just now"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
