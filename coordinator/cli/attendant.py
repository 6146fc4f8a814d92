"""The person at the terminal: PINs without echo or from standard input, consent, progress."""

import contextlib
import os
import shutil
import sys
import termios
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from cards.pin import Pin, Secret
from cards.session import CardIdentity
from coordinator.audit.acceptance import refuse_unaccepted
from coordinator.cli.ceremony import review_lines
from coordinator.cli.terminal import clear_line, tell
from coordinator.errors import NotAccepted, PinMissing, UsageError
from coordinator.files import read_secret_lines, refuse_unwritable, write_private
from coordinator.notices import Severity, of_review
from coordinator.shown_text import visible, visible_lines
from psbt.review import Review
from storage import sealing

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

SPOKEN: Final = {
    "puk": "PUK",
    "duress": "PIN under duress",
    "pairing": "pairing password",
    "seed": "seed (hexadecimal)",
}
"""What people call a secret that is not called by its kind."""
KINDS = frozenset({"new", "puk", "duress", "pairing", "passcode", "seed", "words"})
ANY_CARD = ""
LINE_MAX = 1024
FOUR_WORDS = 64
"""How many columns four words with their numbers take."""
WAIT_SECONDS = 300.0
TERMINAL = Path("/dev/tty")


def read_secrets(
    labels: Collection[str], source: IO[bytes] | None, *, single: bool
) -> dict[tuple[str, str], Secret]:
    """Read `LABEL=PIN` and `LABEL.kind=…` lines; a bare line is the PIN of a single card.

    Raises UsageError on an unknown left side or a second value, before any card is touched.
    """
    secrets: dict[tuple[str, str], bytes] = {}
    for number, line in enumerate(read_secret_lines(source), 1):
        if not line.strip():
            continue
        left, equals, right = line.partition(b"=")
        label, dot, kind = left.decode("utf-8", "replace").strip().partition(".")
        if not equals and single:
            name, value = (ANY_CARD, "pin"), line
        elif equals and label in labels and (kind in KINDS if dot else True):
            name, value = (label, kind or "pin"), right
        else:
            raise UsageError(
                f"line {number} of standard input names no card and secret wanted here"
            )
        if name in secrets:
            raise UsageError(f"line {number} of standard input gives the same secret once more")
        secrets[name] = value
    return {name: Secret(value) for name, value in secrets.items()}


class Terminal:
    """The attendant of the command line."""

    def __init__(
        self,
        secrets: Mapping[tuple[str, str], Secret] | None,
        *,
        quiet: bool,
        yes: bool = False,
        accepted: Collection[str] | None = None,
    ) -> None:
        """Take the secrets that standard input gave; None where they are typed."""
        self._quiet = quiet
        self._yes = yes
        self._accepted = frozenset(accepted or ())
        self._from_stdin = secrets is not None
        self._waited: set[tuple[str, str]] = set()
        self._secrets = secrets or {}

    def given(self) -> frozenset[str]:
        """Return the labels of the cards standard input gave a secret for."""
        return frozenset(label for label, _ in self._secrets if label != ANY_CARD)

    def patience(self) -> float:
        """Return how many seconds to wait for a card where somebody can give its PIN."""
        return WAIT_SECONDS if self._from_stdin or sys.stderr.isatty() else 0.0

    def types(self) -> bool:
        """Tell whether somebody at a terminal types the PINs, and may type another one."""
        return not self._from_stdin and tell_terminal("")

    def pin_for(self, label: str, card: CardIdentity) -> Pin:
        """Return the PIN from standard input, else ask for it without echo."""
        given = self._given_pin(label, "pin")
        if given is not None:
            return given
        if self._from_stdin:
            raise PinMissing(label)
        left = "not counted" if card.attempts_left is None else card.attempts_left
        typed = ask_hidden(f"PIN of card {label} ({card.family}, attempts left: {left}): ")
        if not typed:
            raise PinMissing(label)
        return Pin(typed)

    def new_pin_for(self, label: str, rule: str) -> Pin:
        """Return a PIN to be set, from standard input or typed twice."""
        given = self._given_pin(label, "new") or self._given_pin(label, "pin")
        return given or self._typed_twice(label, f" ({rule})")

    def changed_pin_for(self, label: str, rule: str) -> Pin:
        """Return the PIN that shall replace another, from standard input or typed twice."""
        return self._given_pin(label, "new") or self._typed_twice(label, f" ({rule})")

    def optional_new_pin_for(self, label: str, rule: str) -> Pin | None:
        """Return the PIN standard input gave as `LABEL.new`, or typed twice; else None."""
        given = self._given_pin(label, "new")
        try:
            return given or self._typed_twice(label, f" ({rule}; nothing typed: the old one stays)")
        except PinMissing:
            return None

    def _typed_twice(self, label: str, aside: str) -> Pin:
        ask = f"new PIN of card {label}{aside}: "
        typed = None if self._from_stdin else ask_twice(ask, "PINs")
        if not typed:
            raise PinMissing(label, "new PIN")
        return Pin(typed)

    def secret_for(self, label: str, kind: str, *, optional: bool = False) -> Secret | None:
        """Return another secret given on standard input or typed; None where nobody gives it."""
        given = self._given(label, kind)
        if given is not None:
            return given.copy()
        silent = optional or self._from_stdin
        typed = None if silent else ask_hidden(f"{SPOKEN.get(kind, kind)} of card {label}: ")
        return Secret(typed) if typed else None

    def label_for(self, why: str, known: str | None) -> str | None:
        """Ask at the terminal whether a card is enrolled now; one without a label gets one."""
        if self._from_stdin:
            return None
        if known is not None:
            return known if ask_yes(f"{why}. Enrol that key too?") else None
        return ask_line(f"{why}. Enrol it now, as (nothing: leave it): ") or None

    def agreed(self, code: str, why: str) -> bool:
        """Tell whether a danger met on the way is accepted: by its code, or at the terminal."""
        return code in self._accepted or (not self._from_stdin and ask_yes(f"{why}. Go on?"))

    def hand_over_psbt(self, label: str, psbt: str) -> None:
        """Show signatures that could not be stored on stderr, whatever --quiet says."""
        said = f"card {label} signed, and it could not be stored; save this PSBT:"
        if not (tell(said) and tell(psbt)):
            tell_terminal(f"{said}\n{psbt}\n")

    def show_once(self, title: str, secret: Secret) -> None:
        """Show a secret on the terminal, else on stderr, whatever --quiet says."""
        text = f"{title}, shown this once: {secret.reveal().decode('utf-8', 'replace')}"
        if not tell_terminal(text + "\n"):
            tell(text)

    def ready_for_words(self, file: Path | None) -> None:
        """Raise UsageError where words could go neither to the file named nor to a terminal."""
        if file is None and not tell_terminal(""):
            raise UsageError("there is no terminal to show the words on; add --words-out FILE")
        if file is not None:
            refuse_unwritable(file)

    def hand_over_words(self, title: str, words: Secret, file: Path | None) -> None:
        """Write the words to the file named, else show them on the terminal."""
        if file is not None:
            write_private(file, words.reveal() + b"\n", replace=False)
        else:
            tell_terminal(f"{title}, shown this once:\n\n{numbered(words)}\n")

    def _given_pin(self, label: str, kind: str) -> Pin | None:
        given = self._given(label, kind)
        return Pin(given.reveal()) if given is not None else None

    def _given(self, label: str, kind: str) -> Secret | None:
        found = self._secrets.get((label, kind))
        return found or (self._secrets.get((ANY_CARD, "pin")) if kind == "pin" else None)

    def confirm(self, review: Review) -> None:
        """Show the review and ask; every danger needs its own --accept."""
        if not self._quiet or not self._yes:  # nobody is asked about what they did not see
            lines = review_lines(review)
            if not all(tell(line) for line in lines):
                tell_terminal("".join(f"{line}\n" for line in lines))
        refuse_unaccepted(
            (each for each in of_review(review.warnings) if each.severity is Severity.DANGER),
            self._accepted,
        )
        if not self._yes and not ask_yes("Sign this transaction?"):
            raise NotAccepted(())

    def waiting(self, label: str, reason: str, seconds: int) -> None:
        """Count the seconds down where stderr is a terminal; else say it once for each wait."""
        if sys.stderr.isatty() and not self._quiet:
            end = "\n" if seconds <= 1 else "\r"
            tell(f"card {label}: {reason}, {seconds} s more ", end)
        elif (label, reason) not in self._waited:
            self.say(f"card {label}: {reason}, about {seconds} s")
        self._waited.add((label, reason))
        if seconds <= 1:
            self._waited.discard((label, reason))

    def progress(self, label: str, done: int, total: int) -> None:
        """Show how far a card is, where stderr is a terminal."""
        if sys.stderr.isatty() and not self._quiet:
            end = "\n" if done == total else "\r"
            tell(f"card {label}: {done} of {total} signatures", end)

    def say(self, text: str) -> None:
        """Tell what happens on stderr."""
        if not self._quiet:
            tell(text)


def ask_yes(question: str) -> bool:
    """Ask at the terminal; without one the answer is no."""
    return ask_line(f"{question} [y/N] ").lower() in {"y", "yes"}


def ask_line(question: str) -> str:
    """Ask at the terminal and return the line typed after that; without one it is empty.

    What was typed before the question appeared answers nothing.
    """
    clear_line()
    try:
        with TERMINAL.open("r+b", buffering=0) as terminal:
            with contextlib.suppress(termios.error):
                termios.tcflush(terminal.fileno(), termios.TCIFLUSH)
            terminal.write(visible(question).encode())
            return terminal.readline(LINE_MAX).strip().decode("utf-8", "replace")
    except OSError:
        return ""


def tell_terminal(text: str) -> bool:
    """Write to the terminal itself, never to a file stdout or stderr may go to."""
    try:
        with TERMINAL.open("wb", buffering=0) as terminal:
            terminal.write(visible_lines(text).encode())
    except OSError:
        return False
    return True


def clear_screen() -> None:
    """Erase the terminal's screen, and what was scrolled out of it where the terminal can."""
    with contextlib.suppress(OSError), TERMINAL.open("wb", buffering=0) as terminal:
        terminal.write(b"\033[H\033[2J\033[3J")


def numbered(words: Secret) -> str:
    """Return words, each with its number, in lines of four, or of two on a narrow terminal."""
    each = [f"{n:2}. {word}" for n, word in enumerate(words.reveal().decode().split(), 1)]
    wide = shutil.get_terminal_size().columns > FOUR_WORDS
    count = 4 if wide else 2
    lines = (each[start : start + count] for start in range(0, len(each), count))
    return "\n".join("  ".join(f"{word:14}" for word in line).rstrip() for line in lines)


def ask_hidden(prompt: str) -> bytes | None:
    """Ask at the terminal without echo and return the bytes typed; None without a terminal."""
    try:
        descriptor = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None
    clear_line()
    with os.fdopen(descriptor, "r+b", buffering=0) as terminal:
        try:
            before = termios.tcgetattr(descriptor)
        except termios.error:  # not a terminal after all
            return None
        silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
        try:
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
            terminal.write(visible(prompt).encode())
            return terminal.readline(LINE_MAX).rstrip(b"\r\n")
        finally:
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
            terminal.write(b"\n")


def ask_twice(prompt: str, called: str) -> bytes | None:
    """Ask for a new secret without echo, and once more; raises UsageError where they differ."""
    typed = ask_hidden(prompt)
    if typed and ask_hidden("once more: ") != typed:
        raise UsageError(f"the two {called} typed differ; nothing was changed")
    return typed


def confirm_by_label(label: str, act: str) -> None:
    """Ask for the card's label before something irreversible; raises NotAccepted otherwise."""
    if ask_line(f"To {act}, type the card's label ({label}): ") != label:
        raise NotAccepted(())


def unlock_seal(database: "sessionmaker[Session]", passphrase: Secret) -> None:
    """Open the seal of places and people."""
    sealing.unlock(database, passphrase.reveal())


def seal_under(database: "sessionmaker[Session]", passphrase: Secret) -> int:
    """Seal places and people; returns how many rows were plain text until then."""
    return sealing.seal_all(database, passphrase.reveal())


def change_passphrase(database: "sessionmaker[Session]", passphrase: Secret) -> None:
    """Put another passphrase in the place of the one the seal was opened with."""
    sealing.change_passphrase(database, passphrase.reveal())
