"""What the person at the page is never asked and never shown."""

import threading
from collections.abc import Iterator

import pytest

from cards.pin import Secret
from coordinator.errors import PinMissing, UsageError
from coordinator.web import tasks
from coordinator.web.attendant import TERMINAL_ONLY, PageAttendant
from coordinator.web.events import Bulletin
from coordinator.web.tasks import Conversation, Done, Task


@pytest.fixture
def person() -> Iterator[PageAttendant]:
    task = Task("try", "cardquorum try", "/", lambda _: Done("done"))
    return PageAttendant(Conversation(task, Bulletin()))


@pytest.mark.parametrize("kind", sorted(TERMINAL_ONLY))
def test_no_other_secret_than_a_pin_is_asked_for(person: PageAttendant, kind: str) -> None:
    with pytest.raises(PinMissing) as refused:
        person.secret_for("blue", kind)
    assert refused.value.kind == kind
    assert person.secret_for("blue", kind, optional=True) is None


def test_no_secret_is_shown(person: PageAttendant) -> None:
    with Secret(b"abandon about") as words:
        for show in (
            lambda: person.show_once("PUK", words),
            lambda: person.hand_over_words("words", words, None),
            lambda: person.ready_for_words(None),
        ):
            with pytest.raises(UsageError, match="never shown in a browser"):
                show()


def test_a_question_that_nobody_answers_ends(
    person: PageAttendant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(PinMissing):
        person.new_pin_for("blue", "six digits")


def test_stopping_ends_a_question_as_ctrl_c_does(person: PageAttendant) -> None:
    threading.Timer(0.05, person._conversation.stop).start()
    with pytest.raises(KeyboardInterrupt):
        person.new_pin_for("blue", "six digits")
    assert person.stopped()
