"""One thing at a time that takes a card or a while: done in a thread, asked and told on its page.

A browser may close meanwhile: the task goes on, and waits for an answer as long as a terminal does.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from secrets import token_urlsafe
from typing import Final, NamedTuple

from coordinator.errors import CoordinatorError
from coordinator.web.events import CARDS, TASK, Bulletin

PATIENCE_SECONDS: Final = 300.0
LINES_MAX: Final = 200
JOIN_SECONDS: Final = 3.0
TERMINAL_SECONDS: Final = 3600.0
"""How long the page waits for what is done in the terminal."""
LOOK_SECONDS: Final = 0.5


class Asked(StrEnum):
    """What a question wants: the page has a form for each."""

    PIN = "pin"
    NEW_PIN = "new_pin"
    YES_NO = "yes_no"
    LABEL = "label"
    REVIEW = "review"


@dataclass(frozen=True)
class Question:
    """Something only the person can say; its `id` travels with the answer.

    `said` is what its form shows besides. An answer is taken by `check`, which returns what is
    wrong with it, or None.
    """

    kind: Asked
    sentence: str
    said: Mapping[str, object] = field(default_factory=dict)
    check: Callable[[Mapping[str, str]], str | None] = lambda _: None
    id: str = field(default_factory=lambda: token_urlsafe(9))


class Done(NamedTuple):
    """How a task ended well: a sentence, more of them, and the page to go on with."""

    sentence: str
    lines: tuple[str, ...] = ()
    path: str = "/"


class Elsewhere(NamedTuple):
    """What is done in the terminal meanwhile, and why not here.

    `unseen` is what came of it where nothing here can see that: the person says when it is done.
    """

    why: str
    command: str
    unseen: Done | None = None


class Failure(NamedTuple):
    """An error in words, with what to do about it here."""

    code: str
    message: str
    hint: str


class Busy(CoordinatorError):
    """Another task is not done yet."""

    def __init__(self, title: str) -> None:
        self.title = title
        super().__init__(f"one thing at a time: {title} is not done yet")


class Left(CoordinatorError):
    """Nobody answered, or the person stopped it."""

    def __init__(self) -> None:
        super().__init__("it was stopped before it was done; what was done before is kept")


@dataclass
class Task:
    """One thing being done, and all that its page shows of it.

    `command` does the same in a terminal; `path` is the page it was begun on. `again` takes the
    same form once more, with what it `carried` and the dangers that were accepted meanwhile.
    `may_be_sent` where nobody can tell whether a payment went out.
    """

    title: str
    command: str
    path: str
    work: Callable[["Conversation"], Done]
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_MAX))
    progress: dict[str, tuple[int, int]] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    question: Question | None = None
    mistake: str | None = None
    done: Done | None = None
    error: BaseException | None = None
    handed_over: str | None = None
    may_be_sent: bool = False
    elsewhere: Elsewhere | None = None
    again: str | None = None
    carried: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Tell whether it ended."""
        return self.done is not None or self.error is not None


class Conversation:
    """The person, as the thread of a task asks and tells it; may be told from any thread."""

    def __init__(self, task: Task, bulletin: Bulletin) -> None:
        self.task = task
        self._bulletin = bulletin
        self._changed = threading.Condition()
        self._answer: Mapping[str, str] | None = None
        self._stopped = False
        self._done_there = False

    def stopped(self) -> bool:
        """Tell whether the person wants it to end."""
        return self._stopped

    def say(self, text: str) -> None:
        """Tell what happens."""
        self.tell(lambda: self.task.lines.append(text))

    def tell(self, change: Callable[[], object]) -> None:
        """Change what the task's page shows."""
        with self._changed:
            change()
        self._bulletin.post(TASK)

    def ask(self, question: Question) -> Mapping[str, str]:
        """Return the person's answer; raises Left where nobody gives one.

        Raises KeyboardInterrupt where the person stopped the task, as a terminal does.
        """
        with self._changed:
            self._answer = None
            self.task.question = question
        self._bulletin.post(TASK)
        with self._changed:
            self._changed.wait_for(
                lambda: self._answer is not None or self._stopped, PATIENCE_SECONDS
            )
            answer, self._answer = self._answer, None
            self.task.question = self.task.mistake = None
        self._bulletin.post(TASK)
        if self._stopped:
            raise KeyboardInterrupt
        if answer is None:
            raise Left
        return answer

    def wait_for(self, elsewhere: Elsewhere, found: Callable[[], Done | None]) -> Done:
        """Show what is to be done in the terminal, and look until it is done.

        Raises Left where it is not within an hour, KeyboardInterrupt where the person stopped.
        """
        self.tell(lambda: setattr(self.task, "elsewhere", elsewhere))
        until = time.monotonic() + TERMINAL_SECONDS
        while time.monotonic() < until:
            done = found()
            if done is not None:
                return done
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._done_there, LOOK_SECONDS)
                if self._stopped:
                    raise KeyboardInterrupt
                if self._done_there and elsewhere.unseen is not None:
                    return elsewhere.unseen
        raise Left

    def answer(self, given: Mapping[str, str]) -> bool:
        """Take an answer; False where it is wrong, or answers another question."""
        with self._changed:
            question = self.task.question
            if question is None or self._answer is not None or given.get("question") != question.id:
                return False
            self.task.mistake = question.check(given)
            taken = self.task.mistake is None
            if taken:
                self._answer, self.task.question = given, None
                self._changed.notify_all()
        self._bulletin.post(TASK)
        return taken

    def done_there(self) -> None:
        """Have the person say that it was done in the terminal."""
        with self._changed:
            self._done_there = True
            self._changed.notify_all()

    def stop(self) -> None:
        """End it where it next asks or looks."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._bulletin.post(TASK)


class Tasks:
    """The task at hand, or the last one."""

    def __init__(self, bulletin: Bulletin) -> None:
        self._bulletin = bulletin
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.conversation: Conversation | None = None

    @property
    def last(self) -> Task | None:
        """Return the task at hand, or the last one that ended."""
        return None if self.conversation is None else self.conversation.task

    @property
    def running(self) -> Task | None:
        """Return the task at hand."""
        last = self.last
        return None if last is None or last.is_over else last

    def start(self, task: Task) -> None:
        """Do a task in a thread of its own; raises Busy while another is not over."""
        with self._lock:
            if self.running is not None:
                raise Busy(self.running.title)
            self.conversation = conversation = Conversation(task, self._bulletin)
            self._thread = threading.Thread(target=self._do, args=(conversation,), daemon=True)
            self._thread.start()

    def clear(self) -> None:
        """Forget a task that ended, and what it told."""
        with self._lock:
            if self.running is None:
                self.conversation = None

    def close(self) -> None:
        """Stop the task at hand; what its cards signed is kept."""
        conversation, thread = self.conversation, self._thread
        if conversation is not None and thread is not None:
            conversation.stop()
            thread.join(JOIN_SECONDS)

    def _do(self, conversation: Conversation) -> None:
        task = conversation.task
        try:
            done = task.work(conversation)
        except KeyboardInterrupt:
            task.error = Left()
        except Exception as failure:  # noqa: BLE001 -- the thread's end
            task.error = failure
        else:
            task.done = done
        task.question = None
        self._bulletin.post(TASK)
        self._bulletin.post(CARDS)
