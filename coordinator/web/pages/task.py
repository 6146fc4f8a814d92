"""What is being done with a card just now: its questions, its progress, how it ended."""

from collections.abc import Callable
from typing import Final

from coordinator.errors import NotAccepted, PinMissing
from coordinator.web.attendant import TERMINAL_ONLY
from coordinator.web.context import Answer, Handler, Moved, Page, Route, Shown, Visit
from coordinator.web.tasks import Conversation, Task

PATH: Final = "/task"


def show(visit: Visit) -> Answer:
    """Show the task at hand, or how the last one ended."""
    task = visit.context.tasks.last
    if task is None:
        return Shown("task_none.html", {})
    failure = None if task.error is None else visit.context.explain(task.error)
    kind = task.error.kind if isinstance(task.error, PinMissing) else None
    refused = task.error.dangers if isinstance(task.error, NotAccepted) and task.again else {}
    said = {
        "shown": task,
        "dangers": refused,
        "state": _state(task),
        "failure": failure,
        "terminal_only": kind in TERMINAL_ONLY,
    }
    return Shown("task.html", said)


def _told(tell: Callable[[Conversation, Visit], object]) -> Handler:
    """Return what tells the task at hand something; where there is none it does nothing."""

    def take(visit: Visit) -> Answer:
        conversation = visit.context.tasks.conversation
        if conversation is not None:
            tell(conversation, visit)
        return Moved(PATH)

    return take


def leave(visit: Visit) -> Answer:
    """Go on after a task that ended."""
    task = visit.context.tasks.last
    visit.context.tasks.clear()
    if task is None:
        return Moved("/")
    return Moved(task.done.path if task.done is not None else task.path)


def _state(task: Task) -> str:
    """Return what tells whether the page still asks the same."""
    if task.is_over:
        return "over"
    mistake = "!" if task.mistake else ""
    if task.question is None:
        return "elsewhere" if task.elsewhere is not None else "working"
    return f"{task.question.id}{mistake}"


PAGE: Final = Page(
    "",
    PATH,
    (
        Route(PATH, show),
        Route("/task/answer", take=_told(lambda task, visit: task.answer(visit.form))),
        Route("/task/stop", take=_told(lambda task, _: task.stop())),
        Route("/task/done", take=_told(lambda task, _: task.done_there())),
        Route("/task/leave", take=leave),
    ),
)
