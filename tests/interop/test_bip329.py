"""Label files of other wallets (BIP 329)."""

import json
from pathlib import Path

import pytest

from coordinator.errors import UsageError
from coordinator.interop.bip329 import KINDS, Entry, read, written

VECTORS = Path(__file__).parents[2] / "../shared/vectors/bip329.jsonl"


def test_the_lines_of_the_bip_are_read() -> None:
    if not VECTORS.exists():
        pytest.skip("the vectors are not beside this checkout")
    text = VECTORS.read_text()
    said = [json.loads(line) for line in text.splitlines()]
    entries, unknown = read(text)
    assert unknown == sum(each["type"] not in KINDS for each in said) == 1
    known = [each for each in said if each["type"] in KINDS]
    assert [json.loads(line) for line in written(entries).splitlines()] == known


def test_what_was_not_said_is_left_out() -> None:
    line = written([Entry("addr", "bc1q", "naïve")])
    assert line == '{"type": "addr", "ref": "bc1q", "label": "naïve"}\n'
    assert read("\n \n" + line) == ([Entry("addr", "bc1q", "naïve")], 0)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2 is no JSON"),
        ("[" * 99999, "line 2 is no JSON"),
        ("7", "line 2 is no JSON object"),
        ('{"type": "tx"}', "line 2 has no type or no ref"),
        ('{"type": 1, "ref": "x"}', "line 2 has no type or no ref"),
        ('{"type": "tx", "ref": ""}', "line 2 has no type or no ref"),
        ('{"type": "tx", "ref": "x", "label": 1}', "line 2: its label is no text"),
        ('{"type": "tx", "ref": "x", "origin": []}', "line 2: its origin is no text"),
        ('{"type": "output", "ref": "x", "spendable": "false"}', "line 2: spendable is 'false'"),
        ('{"type": "tx", "ref": "x", "spendable": true}', "line 2: spendable is for outputs"),
    ],
)
def test_the_line_that_is_wrong_is_named(line: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        read('{"type": "tx", "ref": "x"}\n' + line)
    assert str(refused.value).startswith(told)


def test_a_label_has_its_bound() -> None:
    line = '{"type": "tx", "ref": "x", "label": "%s"}'
    assert read(line % ("x" * 4_096))[0][0].label == "x" * 4_096
    with pytest.raises(UsageError, match="line 1: its label has more than 4096 characters"):
        read(line % ("x" * 4_097))
