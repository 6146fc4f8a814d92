"""Options shared by many commands, how a verb becomes a command, and its last line."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from coordinator.cli import terminal
from coordinator.cli.context import Context, Globals
from coordinator.cli.output import emit
from coordinator.cli.parameters import ORDER, Command, Group
from coordinator.cli.result import Result

Verb = Callable[..., Result]

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="folder that remembers everything", metavar="DIR", hidden=True),
]
JsonOption = Annotated[
    bool | None, typer.Option("--json", help="print one JSON document", hidden=True)
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="say nothing on stderr", hidden=True)]
VerboseOption = Annotated[
    int, typer.Option("-v", count=True, help="log more; twice: everything", hidden=True)
]

VaultName = Annotated[str, typer.Argument(help="the vault's name")]
CardLabel = Annotated[str, typer.Argument(help="the card's label")]
Checksum = Annotated[
    str | None, typer.Option(help="the eight characters after # on its paper", metavar="CHECKSUM")
]
Yes = Annotated[bool, typer.Option("--yes", help="confirm what holds no danger")]


def lower_case(typed: str) -> str:
    """Return an id as it is kept, however it was typed."""
    return typed.strip().lower()


Ceremony = Annotated[str, typer.Argument(metavar="ID", help="the ceremony", parser=lower_case)]
SUBJECTS: Final = ((CardLabel, "card"), (VaultName, "vault"), (Ceremony, "spend"))
"""What a command may be told to work with, and the noun whose commands take it first."""

Accept = Annotated[
    list[str] | None, typer.Option("--accept", help="accept this danger", metavar="CODE")
]
PinStdin = Annotated[
    bool, typer.Option("--pin-stdin", help="read LABEL=PIN lines from standard input")
]
LastTry = Annotated[
    bool, typer.Option("--last-attempt", help="use the last PIN attempt of a card too")
]
Reader = Annotated[
    str | None,
    typer.Option("--reader", help="the reader the card is on: its name, or part", metavar="NAME"),
]
ReaderMany = Annotated[
    list[str] | None,
    typer.Option("--reader", help="a reader that is offered: name, or part", metavar="NAME"),
]
Emulated = Annotated[
    str | None, typer.Option("--emulated", help="the emulated card to use", metavar="NAME")
]
EmulatedMany = Annotated[
    list[str] | None,
    typer.Option("--emulated", help="an emulated card that is offered", metavar="NAME"),
]

PassphraseStdin = Annotated[
    bool,
    typer.Option("--pin-stdin", help="read home.passphrase=… from standard input", hidden=True),
]

Wait = Annotated[
    int | None,
    typer.Option(min=0, help="how long a reader waits for the next card", metavar="SECONDS"),
]

Feerate = Annotated[str | None, typer.Option("--feerate", help="sat/vB")]
Target = Annotated[
    int | None, typer.Option("--target", min=1, max=1008, help="confirm within BLOCKS")
]

PRIMARY = "primary"
Branch = Annotated[
    str, typer.Option("--branch", help="primary, recovery or recovery-2", metavar="NAME")
]
Coins = Annotated[
    list[str] | None, typer.Option("--coin", help="spend this coin", metavar="OUTPOINT")
]

# Each address that is looked for costs a derivation, at every sync from then on.
Reach = Annotated[
    int, typer.Option(min=0, max=10_000, help="look for so many addresses of each keychain")
]

_GLOBAL_OPTIONS = {
    "home": (HomeOption, None),
    "as_json": (JsonOption, None),
    "quiet": (QuietOption, False),
    "verbosity": (VerboseOption, 0),
}
EPILOG = "Options of every command, and exit statuses: cardquorum --help"
_PASSPHRASE_OPTION = {"pin_stdin": (PassphraseStdin, False)}
SAY_THEMSELVES: Final = frozenset({"status", "guide", "demo", "serve", "open_page"})
"""Commands that say what is next themselves, or have no home."""


def group(help_line: str, epilog: str | None = None) -> typer.Typer:
    """Return an empty group of commands with the house's settings."""
    return typer.Typer(
        cls=Group,
        help=help_line,
        epilog=epilog,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
    )


def add_command(app: typer.Typer, name: str, verb: Verb) -> None:
    """Hang a verb into a group as a command with the options every command has.

    The verb gets a Context first, then its own options by name; what it returns is shown once.
    """

    def run(context: typer.Context, **words: Any) -> int:  # noqa: ANN401 -- any option's type
        before: Globals = context.ensure_object(Globals)
        typed = {word: words.pop(word) for word in _GLOBAL_OPTIONS}
        chosen = before._replace(**{word: value for word, value in typed.items() if value})
        from_stdin = words["pin_stdin"] if asks_cards else words.pop("pin_stdin")
        if before.subjects is not None:
            before.subjects.update({noun: str(words[word]) for word, noun in subjects.items()})
        with Context(chosen) as opened:
            opened.order = context.meta.get(ORDER, ())
            if from_stdin:
                opened.take_stdin(cards=asks_cards)
            if asks_cards:
                opened.require_writable()
            try:
                shown = verb(opened, **words)
            except BrokenPipeError as failure:  # not our output's: typer would make silence of it
                raise OSError("a connection was closed by its other side") from failure
            if shown.shown and opened.shows:
                emit(shown, as_json=opened.as_json)
            if verb.__name__ not in SAY_THEMSELVES:
                tell_next(opened)
            return shown.status

    context, *own = inspect.signature(verb, eval_str=True).parameters.values()
    subjects = {
        parameter.name: noun
        for parameter in own
        for kind, noun in SUBJECTS
        if parameter.annotation == kind
    }
    asks_cards = any(parameter.name == "pin_stdin" for parameter in own)
    common = _GLOBAL_OPTIONS if asks_cards else {**_GLOBAL_OPTIONS, **_PASSPHRASE_OPTION}
    named = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        context.replace(annotation=typer.Context),
        *(parameter.replace(kind=named) for parameter in own),
        *(
            inspect.Parameter(word, named, default=default, annotation=option)
            for word, (option, default) in common.items()
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = verb.__doc__
    app.command(name, cls=Command, epilog=EPILOG)(run)


def tell_next(context: Context) -> None:
    """Tell the next step on standard error where that is a terminal; never fails, asks no chain.

    A command that needed no home, or that the guide runs, is not followed by one.
    """
    unseen = context.as_json or context.quiet or not sys.stderr.isatty()
    if unseen or context.attendant is not None or "home" not in vars(context):
        return
    from cards.errors import CardError
    from coordinator.errors import CoordinatorError
    from coordinator.guide.facts import gather
    from coordinator.guide.steps import next_steps
    from psbt.errors import PsbtError
    from storage.database import is_read_only
    from storage.errors import StorageError

    try:
        with context.database.begin() as db:
            writable = not is_read_only(context.database)
            steps = next_steps(gather(context.home, db, writable=writable))
    except (CardError, CoordinatorError, PsbtError, StorageError, OSError):
        return  # what is wrong is said by the command that needs it
    step = next((each for each in steps if each.command), None)
    if step is not None:
        terminal.tell(f"next: {step.command}  ({step.title})")
