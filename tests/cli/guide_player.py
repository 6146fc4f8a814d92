"""Somebody who is led by the guide: answers what is asked, at a terminal of a given width."""

import codecs
import os
import re
import select
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cli.screen import Screen
from tests.forked import begun_at_terminal

PIN = "123456"
PASSPHRASE = "the old oak"
ELSEWHERE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
IDLE = 40.0
QUIET = 0.1
"""Seconds without a sign after which a question stands on the screen: there are hundreds."""
ASKED_MAX = 100
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07")
TITLE = re.compile(r"\n([^\n]+)\nWhy:")
WORD = re.compile(r"\d+\. ([a-z]+)")
CTRL_C, EOF, CLOSED, KILLED = "\x03", "\x04", "closed", "killed"
"""How somebody, or something, ends the guide at a question."""
Reply = Callable[["Player", "re.Match[str]"], str | None]


def _secret(player: "Player", _found: "re.Match[str]") -> str:
    return player.shown_secret()


def _words(player: "Player", found: "re.Match[str]") -> str:
    start, end = int(found[1]), int(found[2])
    return " ".join(player.words[start - 1 : end])


REPLIES: dict[str, str | Reply] = {
    r"that name is taken": "\x15no/name\r",
    r"letters, digits, _ or -": "\x15aunt\r",
    r"Written down\? Press Enter: $": "",
    r"Type it back from the paper: $": _secret,
    r"Words (\d+) to (\d+): $": _words,
    r"Enter to try again, or show: $": "",
    r"new PIN of card [^\n]*: $": PIN,
    r"once more: $": PIN,
    r"\bPIN of card [^\n]*: $": PIN,
    r"Sign this transaction\? \[y/N\] $": "y",
    r"ress Enter(?: to begin)?:[^\n]*\Z": "\r",
    r"where a card will lie: [^\n]*\Z": "\r",
    r"keeps it there, as marie\? *\Z": "\r",
    r"in another wallet: *\Z": "\r",
    r"The address that is paid: *\Z": f"{ELSEWHERE}\r",
    r"as 20000 sat or 0.01 BTC: *\Z": "20000 sat\r",
    r"PUK of card [^\n]*: $": "12345678",
    r"the key of person (\d+): *\Z": lambda _, found: f"person-{found[1]}\r",
    r"from the person.s own card or[^\n]*\Z": lambda player, _: player.keys.pop(0) + "\r",
    r"vault be called\?[^\n]*\Z": "\r",
    r"arrow keys\)[\s\S]*\Z": "\r",
    r"The file: *\Z": lambda player, _found: f"{player.home}.saved\r",
    r"File, or -: *\Z": "\r",
    r"characters after # on the paper: *\Z": "\r",
    r"passphrase of places and people[^\n]*: $": PASSPHRASE,
    r"or a block:[^\n]*\Z": "\r",
}


class Player:
    """Runs the guide and answers; `stop_at` ends it at that question instead."""

    def __init__(self, home: Path, *words: str, columns: int = 80) -> None:
        self.home, self.command, self.columns = home, words, columns
        self.screen, self.seen = "", Screen()
        self.words: list[str] = []
        self.keys: list[str] = []
        self.asked: list[str] = []

    def shown_secret(self) -> str:
        return re.findall(r"\n\s{4}(\d{6,12})\s*\n", self.screen)[-1]

    @property
    def moment(self) -> str:
        """Return which step it is at, and what is asked there."""
        titles = TITLE.findall(self.screen)
        return f"{titles[-1] if titles else ''} {self.asked[-1]}"

    def play(
        self,
        *,
        stop_at: int | None = None,
        stopped_at: set[str] | None = None,
        ending: str = CTRL_C,
        instead: Mapping[str, list[str]] | None = None,
    ) -> int:
        """Answer until the program ends; `instead` are answers given first to a question.

        With `stopped_at`, end it at the first question that is not in it, and put it there.
        """
        # Not this process's own: readline, which pytest imports, puts COLUMNS into it.
        known = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        known |= {"CARDQUORUM_HOME": str(self.home), "PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm"}
        program, master = begun_at_terminal(["guide", *self.command], known, columns=self.columns)
        left = {question: list(answers) for question, answers in (instead or {}).items()}
        self.asked, unread, stopped = [], "", False
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        ends = time.monotonic() + IDLE
        while time.monotonic() < ends and len(self.asked) < ASKED_MAX:
            ready, _, _ = select.select([master], [], [], QUIET)
            if ready:
                try:
                    drawn = decoder.decode(os.read(master, 65536))
                except OSError:
                    break
                self.seen.write(drawn)
                text, ends = ESCAPES.sub("", drawn).replace("\r", ""), time.monotonic() + IDLE
                self.screen, unread = self.screen + text, unread + text
                continue
            answer = None if stopped else self._answer(unread, left)
            if answer is None:
                continue
            unread, stopped = "", stop_at is not None and len(self.asked) > stop_at
            if stopped_at is not None and self.moment not in stopped_at:
                stopped_at.add(self.moment)
                stopped = True
            if stopped and ending == KILLED:
                program.kill()
            elif stopped and ending == CLOSED:
                break
            else:
                os.write(master, (ending if stopped else answer).encode())
                stopped = stopped and ending != EOF  # at a hidden prompt that is an empty answer
        else:
            program.kill()
        os.close(master)
        program.join()
        status = program.exitcode
        program.close()
        assert status is not None
        return status

    def _answer(self, unread: str, left: dict[str, list[str]]) -> str | None:
        for pattern, reply in REPLIES.items():
            found = re.search(pattern, unread)
            if found is None:
                continue
            if "words of card" in unread:
                self.words = WORD.findall(unread)
            begun = unread.rfind("\n", 0, found.start()) + 1
            self.asked.append(unread[begun : found.end()].strip().splitlines()[0])
            for question, answers in left.items():
                if answers and re.search(question, unread):
                    return answers.pop(0)
            given = reply if isinstance(reply, str) else reply(self, found) or ""
            return given if given.endswith("\r") else given + "\n"
        return None
