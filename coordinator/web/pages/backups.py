"""What keeps the home itself: a backup of it, and names that are sealed in the terminal."""

from datetime import UTC, datetime
from typing import Final, NamedTuple

from coordinator import clock
from coordinator.home import backups
from coordinator.web.context import Answer, Context, Moved, Page, Route, Shown, Visit, unused
from coordinator.web.tasks import Conversation, Done, Elsewhere, Task
from storage import sealing

PATH: Final = "/backup"
PLACES: Final = "/places"
SUFFIX: Final = ".cardquorum"
WORDS_ONLY: Final = "the words that seal are typed in the terminal, never in a browser"


class Kept(NamedTuple):
    """A backup file beside the home, and when it was written."""

    name: str
    at: datetime


def show(visit: Visit) -> Answer:
    """Show which backups there are, and offer to write one."""
    folder = visit.context.beside("backups")
    found = [
        Kept(each.name, datetime.fromtimestamp(each.stat().st_mtime, UTC))
        for each in sorted(folder.glob(f"*{SUFFIX}"))
    ]
    said = {"kept": found[::-1], "folder": folder, "made": visit.query.get("made")}
    return Shown("backup.html", said)


def write(visit: Visit) -> Answer:
    """Write a backup; what was approved here is not in it."""
    context = visit.context
    context.opened.require_writable()
    served = context.database if context.home.server else None
    day = clock.now().date().isoformat()
    file = unused(context.beside("backups"), day, what="backups of today", suffix=SUFFIX)
    written = backups.write(context.home, file, served=served)
    return Moved(f"{PATH}?made={written.file.name}")


def seal(visit: Visit) -> Answer:
    """Wait until the names of places and people are sealed in the terminal."""
    said = "to see them, stop the page there, open it again and give the words"
    done = Done("the names are sealed now", (said,), PLACES)
    return _waited(visit.context, "Seal the names of places and people", "seal", done=done)


def unseal(visit: Visit) -> Answer:
    """Wait until the names are plain text again."""
    done = Done("the names are plain text again", (), PLACES)
    return _waited(visit.context, "Keep the names as plain text again", "unseal", done=done)


def _waited(context: Context, title: str, verb: str, *, done: Done) -> Answer:
    """Begin a task that waits for a command of the terminal."""
    command = f"cardquorum custody {verb}"

    def found() -> Done | None:
        with context.reading.begin() as db:
            return done if sealing.is_sealed(db) == (verb == "seal") else None

    def work(conversation: Conversation) -> Done:
        context.opened.require_writable()
        return conversation.wait_for(Elsewhere(WORDS_ONLY, command), found)

    return context.begin(Task(title, command, PLACES, work))


PAGE: Final = Page(
    "",
    PATH,
    (
        Route(PATH, show, write),
        Route("/seal", take=seal),
        Route("/unseal", take=unseal),
    ),
    {("backup",): PATH},
)
