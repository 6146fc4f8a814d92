"""The person who is led: secrets one screen each, and asked back before they are relied on."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from cards.pin import Secret
from coordinator.cli.attendant import Terminal, ask_line, clear_screen, numbered, tell_terminal
from coordinator.cli.prompts import keeps_scrolled, wrapped

PRACTICE: Final = "PRACTICE: play money, and cards of software. Nothing here is worth anything."
AT_ONCE: Final = 4
SHOW: Final = "show"
SCROLLED: Final = (
    "This terminal may keep what was shown: erase what it scrolled out, or close it, when done."
)


class GuidedTerminal(Terminal):
    """Shows each secret alone on a screen, has it typed back, and erases the screen."""

    heading = ""
    interrupted: ClassVar[bool] = False
    """Whether somebody wants to stop, who could not be let go at once."""

    def _heading(self) -> str:
        return f"{wrapped(self.heading)}\n\n" if self.heading else ""

    def say(self, text: str) -> None:
        """Tell what happens, unless the person wants to stop."""
        self._let_go()
        for line in wrapped(text).splitlines():
            super().say(line)

    def _let_go(self) -> None:
        if type(self).interrupted:
            type(self).interrupted = False
            raise KeyboardInterrupt

    def show_once(self, title: str, secret: Secret) -> None:
        """Show a secret until it is written down, and have it typed back.

        It was shown once this returns: who interrupts it is let go after the card's set-up noted
        that, else the PUK would count as one nobody saw.
        """
        text = secret.reveal().decode("utf-8", "replace")
        why = wrapped(
            "It frees the card when its PIN is blocked. Write it on paper, not with the card."
        )
        screen = f"{self._heading()}{title}\n{why}\n\n    {text}\n\n"
        try:
            _shown(screen)
            while _asked("Type it back from the paper").split() != [text]:
                tell_terminal(f"That is not it. Look at your paper; {SHOW} shows it again.\n")
                _shown(screen, only=SHOW)
            clear_screen()
            tell_terminal("It is right.\n")
        except KeyboardInterrupt:
            type(self).interrupted = True

    def hand_over_words(self, title: str, words: Secret, file: Path | None) -> None:
        """Show the words until they are written down, and have all of them typed back by fours."""
        self._let_go()
        if file is not None:
            super().hand_over_words(title, words, file)
            return
        why = (
            "If this card burns, these words replace it. Who finds them has its key. Write them on "
            "paper, in order. Never type them anywhere but here."
        )
        screen = f"{self._heading()}{title}\n{wrapped(why)}\n\n{numbered(words)}\n\n"
        _shown(screen)
        each = words.reveal().decode().split()
        for start in range(0, len(each), AT_ONCE):
            while wrong := _wrong(each, start):
                tell_terminal(f"{wrong} Look at your paper; {SHOW} shows all words again.\n")
                _shown(screen, only=SHOW)
        clear_screen()
        tell_terminal("All words are right.\n")


class PracticeTerminal(GuidedTerminal):
    """The same with play money, and it says so."""

    heading = PRACTICE


def _shown(screen: str, only: str | None = None) -> None:
    """Show a screen until Enter, then erase it; with `only`, if that is typed first."""
    if only is not None and _asked(f"Enter to try again, or {only}").strip().lower() != only:
        return
    clear_screen()
    tell_terminal(screen)
    if keeps_scrolled():
        tell_terminal(f"{wrapped(SCROLLED)}\n")
    _asked("Written down? Press Enter")
    clear_screen()


def _wrong(words: Sequence[str], start: int) -> str:
    """Ask for four words; return which is wrong, nothing where all are right."""
    wanted = words[start : start + AT_ONCE]
    typed = _asked(f"Words {start + 1} to {start + len(wanted)}").lower().split()
    for number, word in enumerate(wanted):
        if number >= len(typed) or typed[number] != word:
            return f"Word {start + number + 1} is not right."
    return "" if len(typed) == len(wanted) else f"{len(wanted)} words are wanted here."


def _asked(question: str) -> str:
    """Return the line typed; a terminal that is gone ends the program."""
    if not tell_terminal(""):
        raise KeyboardInterrupt("the terminal was closed")
    return ask_line(f"{question}: ")
