"""The kept corpus and some seeded runs of every target; `make fuzz` searches for longer."""

from pathlib import Path

import pytest

from tests.fuzz.mutation import mutated
from tests.fuzz.table import TARGETS
from tests.fuzz.target import CORPUS, Fuzzed, kept
from tests.fuzz.work import TooMuchWork, counted

CORPUS_MOST = 300_000


@pytest.mark.parametrize("share", [6, pytest.param(1, marks=pytest.mark.matrix)])
@pytest.mark.parametrize("name", TARGETS)
def test_hostile_input_is_refused_in_words_and_at_a_bounded_cost(
    name: str, share: int, tmp_path: Path
) -> None:
    target = TARGETS[name]
    runs = -(-target.runs // share)
    fuzzed = Fuzzed(target, tmp_path / "home")
    known = [*target.seeds(), *kept(target).values()]
    for data in (*known, *mutated(known, target.longest, runs, name)):
        try:
            fuzzed.read_counted(data)
        except BaseException as failure:
            failure.add_note(f"{name} on {len(data)} bytes: {data!r}")
            raise


def test_the_kept_corpus_is_small_and_of_targets_only() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= set(TARGETS)
    assert sum(path.stat().st_size for path in files) < CORPUS_MOST


def test_work_beyond_the_bound_is_a_finding() -> None:
    with pytest.raises(TooMuchWork), counted(10):
        bytes(abs(number) for number in range(100))
