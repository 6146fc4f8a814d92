"""Questions of the guide: one at a time, with a default, on the terminal it was started from."""

import os
import shutil
import textwrap
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from coordinator.cli import terminal

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

WIDTH_MAX = 76
QUESTION: Final = ">"
DECISION: Final = "?"
"""Stands before what the person decides, of which a set-up has five at most."""
KEEPS_SCROLLED = ("screen", "tmux", "dumb")
"""Kinds of terminals that do not erase what was scrolled out of the screen."""


class Choice(NamedTuple):
    """An answer to choose: what it stands for, and what is shown."""

    value: str
    title: str


def ask_text(
    question: str,
    default: str = "",
    check: Callable[[str], str | None] = lambda _typed: None,
    *,
    mark: str = QUESTION,
) -> str:
    """Ask for a line; `check` returns what is wrong with it. Ctrl-C raises KeyboardInterrupt."""
    import questionary

    def validated(typed: str) -> bool | str:
        return check(typed.strip()) or True

    asked = questionary.text(
        _short(question), default=default, validate=validated, qmark=mark, key_bindings=_ending()
    )
    return _answer(asked.unsafe_ask).strip()


def choose(
    question: str, choices: Sequence[Choice], default: str | None = None, *, mark: str = QUESTION
) -> str:
    """Ask for one of several answers; the first is the default unless another is."""
    import questionary
    from prompt_toolkit.key_binding import merge_key_bindings

    shown = [questionary.Choice(_short(each.title), value=each.value) for each in choices]
    first = next((each for each in shown if each.value == default), shown[0])
    answered = f"{mark} {question} {max((each.title for each in choices), key=len)}"
    if len(answered) > _width():  # the answer stands after the question then, and breaks
        paragraph(question)
        question = "Answer:"
    asked = questionary.select(_short(question), choices=shown, default=first, qmark=mark)
    own = asked.application.key_bindings or _ending()
    asked.application.key_bindings = merge_key_bindings([own, _ending()])
    return _answer(asked.unsafe_ask)


def wrong_name(typed: str, taken: Collection[str] = ()) -> str | None:
    """Return what is wrong with a name, as `ask_text` checks it."""
    from coordinator.names import NAME

    if typed in taken:
        return "that name is taken"
    return None if NAME.fullmatch(typed) else "1 to 40 letters, digits, _ or -"


def refused_by(
    parse: Callable[[str], object], error: type[Exception]
) -> Callable[[str], str | None]:
    """Return a check of what is typed: what is wrong is what the error says that `parse` raises."""

    def check(typed: str) -> str | None:
        try:
            parse(typed)
        except error as failure:
            return str(failure)
        return None

    return check


def wait_for_enter(what: str) -> None:
    """Wait until the person has done something."""
    ask_text(f"{what} Then press Enter:" if what else "Press Enter to begin:")


def paragraph(text: str) -> None:
    """Tell a paragraph, in lines that break between words."""
    for line in wrapped(text).splitlines():
        terminal.tell(line)


def wrapped(text: str) -> str:
    """Return a paragraph in lines that break between words."""
    return "\n".join(terminal.folded(" ".join(text.split()), _width(), 0))


def keeps_scrolled() -> bool:
    """Tell whether this terminal may keep what was scrolled out of the screen when it is erased."""
    return os.environ.get("TERM", "dumb").startswith(KEEPS_SCROLLED)


def _width() -> int:
    return min(WIDTH_MAX, shutil.get_terminal_size().columns - 1)


def _short(text: str) -> str:
    """Return a text that fits a line with what stands around it."""
    return textwrap.shorten(text, max(20, _width() - 6), placeholder="…")


def _ending() -> "KeyBindings":
    """Return the keys that end each question, whatever is suggested there: Ctrl-D at its end."""
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("c-d")
    def _(event: "KeyPressEvent") -> None:
        if event.current_buffer.document.is_cursor_at_the_end:
            event.app.exit(exception=EOFError())
        else:
            event.current_buffer.delete()

    return keys


def _answer(ask: Callable[[], object]) -> str:
    try:
        return str(ask())
    except EOFError as closed:
        raise KeyboardInterrupt("the terminal was closed") from closed
