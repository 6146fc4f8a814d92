import io

import pytest

from coordinator.cli.attendant import ANY_CARD, read_secrets
from coordinator.errors import UsageError


def read(text: bytes, *labels: str, single: bool = False) -> dict[tuple[str, str], bytes]:
    found = read_secrets(labels, io.BytesIO(text), single=single)
    return {name: secret.reveal() for name, secret in found.items()}


def test_lines_are_split_at_the_first_equals_sign() -> None:
    text = b"a=12=34\nb.new=x\nb.puk=9\n\nb=0\n"
    assert read(text, "a", "b") == {
        ("a", "pin"): b"12=34",
        ("b", "new"): b"x",
        ("b", "puk"): b"9",
        ("b", "pin"): b"0",
    }


def test_a_single_bare_line_is_the_pin_of_a_single_card() -> None:
    assert read(b"123456\n", "a", single=True) == {(ANY_CARD, "pin"): b"123456"}


@pytest.mark.parametrize(
    ("text", "single"),
    [
        (b"c=1", False),
        (b"a.colour=1", False),
        (b"123456", False),
        (b"=1", True),
        (b"a.=1", True),
        (b"a.pin=1", True),
    ],
)
def test_an_unknown_left_side_is_refused(text: bytes, single: bool) -> None:  # noqa: FBT001 -- by name
    with pytest.raises(UsageError, match="line 1"):
        read(text, "a", "b", single=single)


def test_the_refusal_does_not_repeat_what_was_typed() -> None:
    with pytest.raises(UsageError) as refused:
        read(b"314159\nhunter2=1\n", "a")
    assert "314159" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_pins_are_bytes_as_typed() -> None:
    assert read(b"a=\xff \xc3\xa9", "a") == {("a", "pin"): b"\xff \xc3\xa9"}
