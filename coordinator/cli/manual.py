"""What tells of the program itself: versions, completion for a shell, the man page."""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli import terminal
from coordinator.cli.context import Context
from coordinator.cli.result import ExitStatus, Result

if TYPE_CHECKING:
    from typer.core import TyperCommand, TyperGroup

PROGRAM = "cardquorum"
COMPLETE = "_CARDQUORUM_COMPLETE"
"""Names the variable by which a shell asks this program how a word goes on."""
EPILOG_INDENT = 3
"""Columns that typer puts before what stands below the help, and one that stays free."""
REGISTERED = f"compdef _{PROGRAM}_completion {PROGRAM}"
LOADED = f"""if [ "${{funcstack[1]}}" = _{PROGRAM} ]; then
  _{PROGRAM}_completion "$@"
else
  {REGISTERED}
fi"""
"""A file of fpath is read when something is to be completed: typer's script would only register."""
SHELLS = ("bash", "zsh", "fish", "powershell")
LIBRARIES = (
    *("embit", "coincurve", "SQLAlchemy", "cryptography", "typer"),
    *("py-bitcoinkernel", "pyscard", "bdkpython"),
)
STATUSES = {
    ExitStatus.DONE: "done",
    ExitStatus.BUG: "a fault of this program",
    ExitStatus.USAGE: "wrong usage, or a home that cannot be used",
    ExitStatus.CARD: "a card or reader",
    ExitStatus.PIN: "a PIN or passphrase",
    ExitStatus.REFUSED: "refused: it would be unsafe, or a person has to agree",
    ExitStatus.NOT_YET: "not yet: signatures are missing",
    ExitStatus.CHAIN: "the chain source",
    ExitStatus.INTERRUPTED: "interrupted (Ctrl-C)",
}
COMMON = (
    ("--home DIR", "the folder that remembers everything; else $CARDQUORUM_HOME"),
    ("--json", "print one JSON document"),
    ("--quiet", "say nothing on stderr"),
    ("-v", "log more; twice: everything"),
    ("--pin-stdin", "read LABEL=PIN and home.passphrase=… lines from standard input"),
)


def epilog() -> str:
    """Return what stands below the program's help: options every command takes, exit statuses."""
    width = max(len(option) for option, _ in COMMON)
    statuses = ((f"{status.value:>3}", meaning) for status, meaning in STATUSES.items())
    return "\n".join(
        [
            *("\b", "Options of every command:"),
            *_rows((option.ljust(width), meaning) for option, meaning in COMMON),
            *("", "\b", "Exit statuses:"),
            *_rows(statuses),
        ]
    )


def _rows(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield lines of what is told and what it means, folded where a terminal is narrow."""
    room = terminal.room(sys.stdout)
    for told, meaning in rows:
        within = None if room is None else room - EPILOG_INDENT
        yield from terminal.folded(f"  {told}  {meaning}", within, len(told) + 2)


def versions() -> Result:
    """Return the version of the program and of what it stands on; None for what is not there."""
    from importlib import metadata

    libraries: dict[str, str | None] = dict.fromkeys(LIBRARIES)
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            libraries[name] = metadata.version(name)
    version = metadata.version(PROGRAM)
    lines = [f"  {name} {found or 'is not installed'}" for name, found in libraries.items()]
    document = {"version": version, "libraries": libraries}
    return Result(document, [f"{PROGRAM} {version}", *lines])


def completion(
    context: Context,  # noqa: ARG001 -- every command has one
    shell: Annotated[str, typer.Argument(help=", ".join(SHELLS))],
) -> Result:
    """Print a script that has your shell complete commands and options.

    zsh reads it as _cardquorum in a folder of its fpath, fish as cardquorum.fish in
    ~/.config/fish/completions; each is taken by the next shell that is opened.

    \b
    Example: cardquorum completion bash > ~/.local/share/bash-completion/completions/cardquorum
    """
    from typer._completion_shared import get_completion_script

    from coordinator.names import require_known

    require_known("shell", shell, SHELLS)
    script = get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE, shell=shell)
    if shell == "zsh":
        script = script.replace(REGISTERED, LOADED)
    return Result({"shell": shell, "script": script}, script.splitlines())


def man_page(app: typer.Typer) -> str:
    """Return the manual as roff (man(7)), from the commands themselves; every noun is filled."""
    from typer.main import get_command

    program: Any = get_command(app)
    lines = [
        '.TH CARDQUORUM 1 "" "" "User Commands"',
        ".SH NAME",
        r"cardquorum \- a multi-signature Bitcoin vault across smart cards",
        ".SH SYNOPSIS",
        r".B cardquorum",
        r"\fINOUN VERB\fR [\fIOPTIONS\fR]",
        ".SH COMMANDS",
        *_commands(program, PROGRAM),
        ".SH COMMON OPTIONS",
        *(line for option, meaning in COMMON for line in _item(option, meaning)),
        ".SH EXIT STATUS",
        *(line for status, said in STATUSES.items() for line in _item(str(status.value), said)),
        ".SH FILES",
        *_item("$CARDQUORUM_HOME", "the home; by default the user's data folder"),
    ]
    return "\n".join(lines) + "\n"


def _commands(group: "TyperGroup", before: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        called = f"{before} {name}"
        if hasattr(command, "commands"):
            yield from _commands(command, called)  # type: ignore[arg-type]  # it has commands
        else:
            yield from _command(command, called)  # type: ignore[arg-type]  # none is of a third kind


def _command(command: "TyperCommand", called: str) -> Iterator[str]:
    shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
    arguments = [
        f"[{p.name}]" if not p.required else str(p.name)
        for p in shown
        if p.param_type_name == "argument"
    ]
    yield f".SS {_roff(' '.join([called, *arguments]))}"
    for paragraph in (command.help or "").split("\n\n"):
        kept = paragraph.strip().startswith("\b")
        text = paragraph.replace("\b", "").strip()
        yield from (".PP", *((".nf",) if kept else ()))
        yield from (_roff(line.strip()) for line in text.splitlines() if line.strip())
        yield from ((".fi",) if kept else ())
    for option in shown:
        if option.param_type_name == "option":
            value = "" if getattr(option, "is_flag", False) else f" {option.metavar or 'VALUE'}"
            yield from _item(f"{', '.join(option.opts)}{value}", getattr(option, "help", "") or "")


def _item(term: str, meaning: str) -> tuple[str, ...]:
    return (".TP", rf"\fB{_roff(term)}\fR", _roff(meaning))


def _roff(text: str) -> str:
    """Return a text as roff has it: nothing that is a command to it, nothing beyond ASCII."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    ascii_only = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in escaped)
    return re.sub(r"^\.", r"\\&.", ascii_only)


COMMANDS = {"": {"completion": completion}}
