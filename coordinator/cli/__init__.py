"""The command line: `main` builds it, runs it, and says how it ended."""

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from coordinator.cli import manual, options, parameters, terminal
from coordinator.cli.context import Globals
from coordinator.cli.result import ExitStatus

DISTRIBUTION = "cardquorum"
GARBAGE_LOOKED_FOR_AFTER = 500_000
"""New objects. What a command imports stays to its end: to look through it for garbage every 700
objects takes an eighth of a short command's time, every 50,000 still a twentieth."""


def main() -> None:
    """Run the program and leave with its exit status.

    Every command closes what it opened. What is still in memory then goes with the process: Python
    would look through all of it once more before it ends.
    """
    gc.set_threshold(GARBAGE_LOOKED_FOR_AFTER)
    status = run(sys.argv[1:])
    gc.freeze()
    sys.exit(status)


def run(words: Sequence[str], chosen: Globals | None = None) -> int:
    """Run one command and return its exit status; nothing is raised.

    `chosen` is what holds before any option is read, where a command is run by the guide: that
    tells by itself that somebody interrupted it.
    """
    terminal.prepare_streams()
    words, subjects = _help_wanted(words), dict[str, str]()
    given = chosen or Globals(as_json=_json_wanted(words), run=run)
    try:
        _refuse_undecodable(words)
        outcome = build(words)(
            args=list(words),
            prog_name=DISTRIBUTION,
            standalone_mode=False,
            obj=given._replace(subjects=subjects),
        )
    except typer.TyperException as misuse:
        return _misused(misuse, words)
    except SystemExit:  # what typer makes of help that nobody reads to its end
        return ExitStatus.DONE
    except (KeyboardInterrupt, typer.Abort):
        outcome = ExitStatus.INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- the one place that catches everything
        return _failed(error, words, subjects)
    if outcome == ExitStatus.INTERRUPTED and chosen is None:  # typer says nothing of Ctrl-C
        return _failed(KeyboardInterrupt("interrupted"), words, subjects)
    return outcome if isinstance(outcome, int) else ExitStatus.DONE


def _help_wanted(words: Sequence[str]) -> Sequence[str]:
    """Return the words with `help`, before or after a noun, as the option that it stands for."""
    from coordinator.cli.command_tree import GROUPS

    for at in (0, 1):
        if [*words[at : at + 1]] == ["help"] and (at == 0 or words[0] in GROUPS):
            return [*words[:at], *words[at + 1 :], "--help"]
    return words


def build(words: Sequence[str]) -> typer.Typer:
    """Return the command line; of its groups only those among the words are filled."""
    from coordinator.cli import command_tree

    app = options.group("Keep a multi-signature Bitcoin vault across smart cards.", manual.epilog())
    app.callback(cls=parameters.Group)(_root)
    if manual.COMPLETE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()  # which otherwise typer does only where it installs itself
        words = command_tree.WHOLE
    command_tree.attach(app, words)
    return app


def _version(context: typer.Context, asked: bool) -> None:
    if asked:
        from coordinator.cli.manual import versions
        from coordinator.cli.output import emit

        emit(versions(), as_json=bool(context.ensure_object(Globals).as_json))
        raise typer.Exit


def _root(
    context: typer.Context,
    home: options.HomeOption = None,
    as_json: options.JsonOption = None,
    version: Annotated[  # noqa: ARG001 -- handled by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    """Keep a multi-signature Bitcoin vault across smart cards."""
    before = context.ensure_object(Globals)
    context.obj = before._replace(home=home or before.home, as_json=as_json)


def _refuse_undecodable(words: Sequence[str]) -> None:
    """Refuse an argument that is not in the encoding of this system: no file or name is it."""
    from coordinator.errors import UsageError

    for number, word in enumerate(words, 1):
        try:
            word.encode()
        except UnicodeEncodeError as failure:
            raise UsageError(f"argument {number} is not a text: {word!r}") from failure


def _misused(misuse: "typer.TyperException", words: Sequence[str]) -> int:
    as_json = _json_wanted(words)
    message = misuse.format_message()
    if message.lstrip().startswith("Usage:"):
        if not as_json:
            for line in message.split("\n"):
                terminal.put(line)
            return ExitStatus.USAGE
        message = "missing command"
    from coordinator.cli.failures import Failure
    from coordinator.cli.output import emit_failure

    sentence = message[:1].lower() + message[1:].rstrip(".")
    failure = Failure("usage", sentence, _see_help(words), ExitStatus.USAGE, {})
    emit_failure(failure, as_json=as_json)
    return failure.status


def _see_help(words: Sequence[str]) -> str:
    """Return the command that says how the one among these words is called."""
    from coordinator.cli.command_tree import path_of

    return f"see {' '.join([DISTRIBUTION, *path_of(words), '--help'])}"


def _failed(error: BaseException, words: Sequence[str], subjects: Mapping[str, str]) -> int:
    from dataclasses import replace  # a module of this package has the name, too

    from coordinator.cli.failures import SEE_HELP, explain
    from coordinator.cli.output import emit_failure

    failure = explain(error).about(subjects)
    if failure.hint == SEE_HELP:
        failure = replace(failure, hint=_see_help(words))
    if failure.status is ExitStatus.BUG and {"-v", "-vv"} & set(words):
        import traceback

        for line in "".join(traceback.format_exception(error)).split("\n"):
            terminal.tell(line)
    emit_failure(failure, as_json=_json_wanted(words))
    return failure.status


def _json_wanted(words: Sequence[str]) -> bool:
    return "--json" in (words[: words.index("--")] if "--" in words else words)
