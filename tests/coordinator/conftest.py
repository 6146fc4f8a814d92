"""What the verbs compute in every process, once for all of these tests."""

from collections.abc import Iterator

import pytest

from tests.once import computing_once


@pytest.fixture(autouse=True)
def shared() -> Iterator[None]:
    with computing_once():
        yield
