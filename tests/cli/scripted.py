"""Somebody who answers the guide's questions in this process, each one in turn."""

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import questionary
from prompt_toolkit import Application
from prompt_toolkit.key_binding import KeyBindings

from coordinator import cli
from coordinator.cli import prompts
from coordinator.cli.guide import Guide

WIDE = 1000
Answer = tuple[str, str]
"""What is asked (a regular expression), and what is typed or chosen; nothing takes the default."""


class Left(NamedTuple):
    """How it ended: what was shown, and whether somebody stopped it."""

    shown: str
    stopped: bool


class Asking:
    """A question that is answered at once."""

    def __init__(self, answer: Callable[[], str]) -> None:
        self.unsafe_ask = answer
        self.application: Application[str] = Application(key_bindings=KeyBindings())


class Script:
    """Answers in order; whoever runs out of them presses Ctrl-C."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.left = list(answers)
        self.asked: list[str] = []

    def text(
        self, question: str, *, default: str, validate: Callable[[str], object], **_: object
    ) -> Asking:
        return Asking(lambda: self._typed(question, default, validate))

    def select(
        self,
        question: str,
        *,
        choices: Sequence[questionary.Choice],
        default: questionary.Choice,
        **_: object,
    ) -> Asking:
        return Asking(lambda: self._chosen(question, choices, default))

    def _typed(self, question: str, default: str, validate: Callable[[str], object]) -> str:
        typed = self._answer(question) or default
        told = validate(typed)
        assert told is True, (question, typed, told)
        return typed

    def _chosen(
        self, question: str, choices: Sequence[questionary.Choice], default: questionary.Choice
    ) -> str:
        wanted = self._answer(question)
        fitting = [each for each in choices if wanted and wanted in str(each.title)]
        assert fitting or not wanted, (question, wanted, [each.title for each in choices])
        return str((fitting or [default])[0].value)

    def _answer(self, question: str) -> str:
        self.asked.append(question)
        if not self.left:
            raise KeyboardInterrupt
        expected, answer = self.left.pop(0)
        assert re.search(expected, question), (question, expected)
        return answer


@contextlib.contextmanager
def answered(script: Script) -> Iterator[None]:
    """Have the script answer all questions asked meanwhile."""
    with (
        mock.patch.object(questionary, "text", script.text),
        mock.patch.object(questionary, "select", script.select),
        mock.patch.object(prompts, "_width", return_value=WIDE),
    ):
        yield


def led(home: Path, answers: Sequence[Answer]) -> Left:
    """Run the guide in this process until it ends, or somebody has no more answers."""
    out, stopped = io.StringIO(), False
    script = Script(answers)
    with (
        answered(script),
        mock.patch.dict(os.environ, {"CARDQUORUM_HOME": str(home)}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        try:
            for line in Guide(home, cli.run, practice=False).lead().lines:
                out.write(f"{line}\n")
        except KeyboardInterrupt:
            stopped = True
    assert not script.left, (script.left, script.asked, out.getvalue())
    return Left(" ".join(out.getvalue().split()), stopped)
