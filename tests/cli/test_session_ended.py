"""A server that ends the session before any statement of a verb: that is what is said."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from sqlalchemy import Engine, event

from coordinator.guide.facts import gather
from coordinator.workspace.opened_home import OpenedHome
from storage.errors import DatabaseUnreachable
from tests.program import asking, run_program
from tests.servers.postgresql import Engines

TO: Final = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:10000"
CEREMONY: Final = "CEREMONY"
VERBS: Final = (
    "status",
    "audit v --fail-on none",
    "balance",
    "coins v",
    f"spend show {CEREMONY}",
    "spend list",
    "card list",
    "vault show v",
    "custody verify",
)
SOME: Final = 17
"""Of so many statements `make test` ends the session before one."""


class Told(NamedTuple):
    """What a verb told, and in how many statements it asked for it."""

    document: dict[str, Any]
    statements: int


class Served:
    """A home on a server with a payment that waits; the session is ended where told."""

    def __init__(self, home: Path, ceremony: str, end_sessions: Callable[[], object]) -> None:
        self.home, self._ceremony, self._end_sessions = home, ceremony, end_sessions

    def run(self, verb: str, *, end_before: int = 0) -> Told:
        """Run a verb to its end, or to what it says of the session that ended."""
        words = verb.replace(CEREMONY, self._ceremony).split()
        with self.ending(end_before) as sent:
            ended = run_program(self.home, "--json", *words, check=None)
        assert ended.status in ({0, 5} if end_before else {0}), ended
        return Told(ended.document, len(sent))

    def gather(self, opened: OpenedHome, *, end_before: int = 0) -> int:
        """Gather the guide's facts, which the line after a command and the page read too."""
        database = opened.database
        with self.ending(end_before) as sent:
            try:
                with database.begin() as db:
                    gather(opened.home, db, writable=True)
            except DatabaseUnreachable:
                assert end_before
        return len(sent)

    @contextmanager
    def ending(self, at: int) -> Iterator[list[str]]:
        """End the server's sessions before the statement of this number."""
        sent: list[str] = []

        def look(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
            sent.append(statement)
            if len(sent) == at:
                self._end_sessions()

        event.listen(Engine, "before_cursor_execute", look)
        try:
            yield sent
        finally:
            event.remove(Engine, "before_cursor_execute", look)


@pytest.fixture(scope="module")
def served(
    vault_home: Path, on_server: Engines, tmp_path_factory: pytest.TempPathFactory
) -> Served:
    home = tmp_path_factory.mktemp("served") / "home"
    shutil.copytree(vault_home, home)
    asked, server = asking(home), on_server.server
    name = server.database(lasting=True)
    asked("holder", "add", "anna", "--limit", "1000")
    asked("location", "edit", "at-a", "--holder", "anna")
    url = server.url(name).render_as_string(hide_password=False)
    asked("database", "copy", str(home), url, "--use")
    made = asked("spend", "create", "v", "--to", TO, "--feerate", "2")["ceremony"]
    return Served(home, made, lambda: server.end_sessions(name))


def sweep(served: Served, verb: str, *, first: int = 1, each: int = 1) -> None:
    """End the session before one statement after the other."""
    whole = served.run(verb)
    for at in range(first, whole.statements + 1, each):
        told = served.run(verb, end_before=at).document
        code = told.get("error", {}).get("code")
        assert code == "database_unreachable" if "error" in told else told == whole.document


@pytest.mark.parametrize("verb", ["status", f"spend show {CEREMONY}"], ids=["status", "show"])
def test_a_session_may_end_within_a_verb(served: Served, verb: str) -> None:
    sweep(served, verb, first=SOME - VERBS.index(verb), each=SOME)


@pytest.mark.matrix
@pytest.mark.parametrize("verb", VERBS)
def test_a_session_may_end_before_every_statement_of_a_verb(served: Served, verb: str) -> None:
    sweep(served, verb)


@pytest.mark.parametrize("each", [8, pytest.param(1, marks=pytest.mark.matrix)])
def test_a_session_may_end_while_the_guide_asks(served: Served, each: int) -> None:
    with closing(OpenedHome(served.home)) as opened:
        for at in range(1, served.gather(opened) + 1, each):
            served.gather(opened, end_before=at)
