"""A refusal that quotes a file says as much of it as a person reads."""

from coordinator.cli.failures import MESSAGE_MAX, explain
from coordinator.errors import UsageError


def test_a_refusal_quotes_no_more_of_what_was_given_than_fits() -> None:
    told = explain(UsageError(f"the word {'x' * 10_000_000} is no coin")).message
    assert len(told) <= MESSAGE_MAX + 3
    assert (told[:9], told[-11:]) == ("the word ", " is no coin")
