"""The custody book as a person keeps it, and as somebody tampers with it."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.once import copy_of
from tests.program import PIN, Asked, Program
from tests.test_house import ROOT

Tampered = Callable[[str], None]


def new_book(home: Path) -> None:
    asked = Asked(home)
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue")
    asked("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin=PIN)
    asked("location", "add", "bank", "--kind", "bank-vault")
    asked("location", "add", "home", "--kind", "home")


@pytest.fixture
def book(asked: Asked) -> Asked:
    """A home with card blue and locations bank and home."""
    copy_of(new_book, asked.home)
    return asked


@pytest.fixture
def tampered(tmp_path: Path) -> Tampered:
    """Change the database behind the program's back, guards dropped first."""

    def change(statement: str) -> None:
        database = sqlite3.connect(tmp_path / "home" / "cardquorum.db")
        triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute(statement)
        database.commit()
        database.close()

    return change


def place(asked: Asked) -> tuple[str | None, str | None]:
    card = asked("card", "list")["cards"][0]
    return card["location"], card["gone"]


def record(asked: Asked, *words: str, item: str = "blue") -> dict:
    found: dict = asked("custody", "record", item, *words)["event"]
    return found


def test_locations_and_holders_are_added_and_shown(book: Asked) -> None:
    book("holder", "add", "aunt", "--limit", "0.5btc", "--contact", "+33 1")
    added = book(
        *("location", "add", "attic", "--kind", "friend", "--region", "lyon"),
        *("--holder", "aunt", "--access", "key", "--lead-hours", "4"),
    )
    assert added == {
        "name": "attic",
        "kind": "friend",
        "region": "lyon",
        "holder": "aunt",
        "access": "key",
        "lead_hours": 4,
        "items": [],
    }
    record(book, "placed", "--at", "attic")
    assert book("location", "show", "attic")["items"] == ["card:blue"]
    assert book("location", "show", "bank")["items"] == []
    assert [each["name"] for each in book("location", "list")["locations"]] == [
        "attic",
        "bank",
        "home",
    ]
    assert book("holder", "list")["holders"] == [
        {"name": "aunt", "limit_sats": 50_000_000, "contact": "+33 1", "locations": ["attic"]}
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("location", "add", "bank"),
        ("location", "add", "a b"),
        ("location", "add", "x", "--kind", "cave"),
        ("location", "add", "x", "--holder", "nobody"),
        ("location", "add", "x", "--holder", "location:home"),
        ("location", "add", "x", "--lead-hours", "-1"),
        ("location", "show", "nowhere"),
        ("location", "show", "card:bank"),
        ("holder", "add", "a:b"),
        ("holder", "add", "x", "--limit", "lots"),
        ("custody", "record", "blue", "eaten"),
        ("custody", "record", "red", "seen"),
        ("custody", "record", "plate:blue", "seen"),
        ("custody", "record", "blue", "placed"),
        ("custody", "record", "blue", "moved"),
        ("custody", "record", "blue", "placed", "--at", "nowhere"),
        ("custody", "record", "blue", "seen", "--when", "yesterday"),
        ("custody", "record", "blue", "seen", "--when", "2999-01-01"),
        ("custody", "record", "blue", "seen", "--when", "0001-01-01T00:00:00+23:00"),
        ("custody", "record", "blue", "seen", "--photo", "/nowhere/photo.jpg"),
        ("custody", "log", "red"),
        ("custody", "verify", "--head", "abc"),
    ],
)
def test_an_impossible_event_is_a_usage_error(book: Asked, words: tuple[str, ...]) -> None:
    assert book(*words, check=2)["error"]["message"]
    assert book("custody", "log")["events"] == []


def test_kinds_may_be_written_or_left_out(book: Asked) -> None:
    book("holder", "add", "aunt")
    assert book("location", "add", "x", "--holder", "holder:aunt")["holder"] == "aunt"
    assert book("location", "show", "location:x")["name"] == "x"
    for item in ("blue", "card:blue"):
        event = record(book, "placed", "--at", "location:bank", item=item)
        assert (event["item"], event["location"]) == ("card:blue", "bank")
        assert len(book("custody", "log", item)["events"]) == event["id"]


def test_everything_told_is_in_the_log(book: Asked, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"a picture")
    event = record(
        book,
        *("placed", "--at", "bank", "--seal", "4711", "--by", "me", "--note", "top shelf"),
        *("--when", "2024-02-03T04:05:06+01:00", "--photo", str(tmp_path / "photo")),
    )
    logged = book("custody", "log")
    assert logged["events"] == [event]
    assert event["happened_at"] == "2024-02-03T03:05:06Z"
    assert event["recorded_at"] > event["happened_at"]
    assert (event["seal"], event["by"], event["note"]) == ("4711", "me", "top shelf")
    assert len(event["photo_sha256"]) == 64
    assert event["previous"] == "00" * 32
    assert (logged["valid"], logged["head"]) == (True, event["hash"])
    assert record(book, "seen")["previous"] == event["hash"]


def test_an_exported_book_can_be_checked_by_a_stranger(book: Asked, tmp_path: Path) -> None:
    first = record(book, "placed", "--at", "bank", "--by", "Zoé", "--note", "längs " * 60)
    head = record(book, "sealed", "--seal", "A-4711")["hash"]
    file = tmp_path / "book.jsonl"
    book("custody", "log", "card:blue", "--export", str(file))
    assert checked(file) == (0, f"2 events, the chain holds, head {head}")
    assert checked(file, first["hash"].upper())[0] == 0
    assert "cut off or rewritten" in checked(file, "11" * 32)[1]
    whole = file.read_text()
    for before, after, said in (
        ("Zoé", "Zoe", "event 1: the by is not what was written"),
        ('"placed"', '"moved"', "event 1 was altered"),
        ('"id": 2', '"id": 3', "event 3 was altered"),
        (f'"hash": "{first["hash"]}', f'"hash": "{"00" * 32}', "event 1 was altered"),
    ):
        file.write_text(whole.replace(before, after, 1))
        assert checked(file) == (1, said)
    file.write_text(whole.splitlines()[1])
    assert checked(file) == (1, "event 2 does not follow the one before")


def test_a_note_with_a_line_separator_is_one_line_of_the_book(book: Asked, tmp_path: Path) -> None:
    head = record(book, "placed", "--at", "bank", "--note", "one\u2028two\x85three")["hash"]
    file = tmp_path / "book.jsonl"
    book("custody", "log", "--export", str(file))
    assert checked(file) == (0, f"1 events, the chain holds, head {head}")
    assert len(file.read_text().splitlines()) == 1


def test_a_head_typed_from_paper_is_in_groups(vault: Asked, tmp_path: Path) -> None:
    file, head = tmp_path / "book.jsonl", str(vault("custody", "verify")["head"]).upper()
    vault("custody", "log", "--export", str(file))
    groups = [head[at : at + 8] for at in range(0, 64, 8)]
    assert checked(file, *groups)[0] == 0
    assert checked(file, " ".join(groups))[0] == 0
    assert checked(file, *groups[:-1])[0] == 1


def checked(file: Path, *head: str) -> tuple[int, str]:
    script = ROOT / "examples" / "check_book.py"
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(file), *head],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.mark.parametrize(
    ("told", "left"),
    [
        (["placed --at bank"], ("bank", None)),
        (["placed --at bank", "seen"], ("bank", None)),
        (["placed --at bank", "seen --at home"], ("home", None)),
        (["placed --at bank", "moved --at home"], ("home", None)),
        (["placed --at bank", "lost"], (None, "lost")),
        (["placed --at bank", "lost --at bank"], (None, "lost")),
        (["placed --at bank", "stolen"], (None, "stolen")),
        (["placed --at bank", "lost", "found"], (None, None)),
        (["placed --at bank", "lost", "found --at home"], ("home", None)),
        (["lost", "found", "placed --at bank"], ("bank", None)),
        (["lost", "placed --at bank"], (None, "lost")),
        (["placed --at bank", "destroyed"], (None, "destroyed")),
        (["placed --at bank", "destroyed", "corrected"], (None, None)),
        (["placed --at bank", "destroyed", "corrected --seal 1"], (None, "destroyed")),
        (["placed --at bank", "destroyed", "corrected --at bank"], ("bank", None)),
        (["placed --at bank", "corrected --at home"], ("home", None)),
        (["placed --at bank", "sealed --seal 1", "opened"], ("bank", None)),
        (["placed --at bank", "lost --when 2020-01-01"], (None, "lost")),
        (["lost", "placed --at bank --when 2020-01-01"], (None, "lost")),
        (
            ["moved --at home --when 2021-01-01", "placed --at bank --when 2020-01-01"],
            ("bank", None),
        ),
        (["seen --at bank --when 2020-01-01", "seen --at home --when 2020-01-01"], ("home", None)),
    ],
)
def test_events_decide_where_a_card_is(
    book: Asked, told: list[str], left: tuple[str | None, str | None]
) -> None:
    for event in told:
        record(book, *event.split())
    assert place(book) == left
    at_bank = book("location", "show", "bank")["items"] == ["card:blue"]
    assert at_bank is (left[0] == "bank")


def test_a_head_printed_earlier_is_still_in_the_chain(book: Asked) -> None:
    empty = book("custody", "verify")
    assert empty == {"valid": True, "head": "00" * 32, "broken_at": None}
    old = record(book, "seen")["hash"]
    new = record(book, "seen")["hash"]
    for head in (old, new, old.upper(), f" {new}\n", empty["head"]):
        assert book("custody", "verify", "--head", head) == {
            "valid": True,
            "head": new,
            "broken_at": None,
        }
    unknown = book("custody", "verify", "--head", "12" * 32, check=5)
    assert (unknown["valid"], unknown["head"]) == (False, new)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE custody_event SET event = 'seen' WHERE id = 2",
        "UPDATE custody_event SET happened_at = '2020-01-01 00:00:00.000000' WHERE id = 2",
        "UPDATE custody_event SET location_id = 2 WHERE id = 2",
        "UPDATE custody_event SET photo_sha256 = zeroblob(32) WHERE id = 2",
        "UPDATE custody_event SET hash = zeroblob(32) WHERE id = 2",
        "UPDATE custody_event SET location_id = 99 WHERE id = 2",
        "UPDATE custody_event SET previous = randomblob(32) WHERE id = 2",
        "UPDATE custody_event SET item_id = 99 WHERE id = 2",
        "UPDATE custody_text SET text = 'other' WHERE event_id = 2 AND field = 'note'",
        "UPDATE custody_text SET digest = zeroblob(32) WHERE event_id = 2 AND field = 'note'",
        "DELETE FROM custody_text WHERE event_id = 2 AND field = 'note'",
    ],
)
def test_a_changed_event_breaks_the_chain_there(
    book: Asked, tampered: Tampered, program: Program, statement: str
) -> None:
    for note in ("one", "two", "three"):
        record(book, "moved", "--at", "bank", "--note", note)
    tampered(statement)
    verdict = book("custody", "verify", check=5)
    assert (verdict["valid"], verdict["broken_at"]) == (False, 2)
    assert "broken at 2" in program("custody", "verify", check=5).out


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("DELETE FROM custody_event WHERE id = 2", 3),
        ("DELETE FROM location WHERE name = 'bank'", 1),
        ("DELETE FROM item", 1),
        ("UPDATE location SET name = 'attic' WHERE name = 'bank'", 1),
        ("UPDATE item SET name = 'red'", 1),
    ],
)
def test_what_disappears_or_is_renamed_breaks_the_chain(
    book: Asked, tampered: Tampered, statement: str, broken_at: int
) -> None:
    for note in ("one", "two", "three"):
        record(book, "moved", "--at", "bank", "--note", note)
    tampered(statement)
    assert book("custody", "verify", check=5)["broken_at"] == broken_at
    assert book("custody", "log", check=5)["valid"] is False


def test_a_book_that_cannot_be_read_is_no_bug(book: Asked, tampered: Tampered) -> None:
    record(book, "seen")
    tampered("UPDATE custody_event SET happened_at = 'garbage'")
    for words in (("verify",), ("log",)):
        assert "garbage" in book("custody", *words, check=5)["error"]["message"]


def test_events_cut_off_at_the_end_are_missed_by_a_printed_head(
    book: Asked, tampered: Tampered
) -> None:
    record(book, "seen")
    head = record(book, "seen")["hash"]
    tampered("DELETE FROM custody_event WHERE id = 2")
    (left,) = book("custody", "verify", check=5)["contradictions"]
    assert left.endswith("refers to custody_event 2, which is not there")
    tampered("DELETE FROM custody_text WHERE event_id = 2")
    assert book("custody", "verify")["valid"]
    assert book("custody", "verify", "--head", head, check=5)["valid"] is False


def test_a_broken_book_is_shown_and_says_so(
    book: Asked, tampered: Tampered, program: Program
) -> None:
    record(book, "seen", "--note", "here")
    tampered("UPDATE custody_event SET event = 'lost'")
    shown = program("custody", "log", check=5)
    assert "ALTERED: the chain of hashes is broken at event 1" in shown.out
    assert "here" in shown.out


def test_an_erased_note_leaves_a_chain_that_holds(book: Asked, tampered: Tampered) -> None:
    record(book, "seen", "--note", "my address", "--by", "me")
    tampered("UPDATE custody_text SET text = NULL, salt = NULL WHERE field = 'note'")
    shown = book("custody", "log")
    assert (shown["valid"], shown["events"][0]["note"], shown["events"][0]["by"]) == (
        True,
        None,
        "me",
    )
    assert "my address" not in json.dumps(shown)
