"""Places and people sealed on a server: it never sees one where that was done from the start."""

from pathlib import Path
from typing import Final

import pytest

from tests.cli.family import Family
from tests.program import PIN, Asked, asking, run_program
from tests.servers.postgresql import Engines

GIVEN: Final = "home.passphrase=correct horse battery"
PLACE: Final = "hollow-oak-at-the-mill"
NOTE: Final = "behind the third brick"


@pytest.fixture
def sealed(family: Family) -> Family:
    """The two, after anna sealed places and people."""
    done = family.anna("custody", "seal", "--pin-stdin", stdin=GIVEN)
    assert done["were_plain"] > 0
    return family


def names(operator: Asked, stdin: str = "") -> list[str]:
    more = ("--pin-stdin",) if stdin else ()
    return [each["name"] for each in operator("location", "list", *more, stdin=stdin)["locations"]]


def on_disk(on_server: Engines, wanted: str) -> list[str]:
    """Return the server's files, its log of changes too, that hold a text."""
    on_server.server.run("CHECKPOINT")
    files = (on_server.server.folder / "data").rglob("*")
    return [str(each) for each in files if each.is_file() and wanted.encode() in each.read_bytes()]


def written_down(home: Asked, place: str, **stdin: str) -> None:
    more = ("--pin-stdin",) if stdin else ()
    home("location", "add", place, *more, **stdin)
    home("emulate", "new", "satochip", "x")
    home("card", "enrol", "x", "--emulated", "x", "--pin-stdin", stdin=f"x={PIN}")
    words = ("custody", "record", "card:x", "placed", "--at", place, "--note", NOTE + place)
    home(*words, *more, **stdin)


def test_a_server_sealed_from_the_start_never_sees_a_place(
    on_server: Engines, tmp_path: Path
) -> None:
    homes = []
    for name in ("sealed", "plain"):
        url = on_server.server.url(on_server.server.database())
        home = asking(tmp_path / name)
        words = ("--database", url.render_as_string(hide_password=False))
        home("init", "--network", "regtest", *words)
        homes.append(home)
    sealed, plain = homes
    assert sealed("custody", "seal", "--pin-stdin", stdin=GIVEN)["were_plain"] == 0
    written_down(sealed, PLACE, stdin=GIVEN)
    written_down(plain, f"plain-{PLACE[::-1]}")
    assert on_disk(on_server, PLACE) == []
    assert on_disk(on_server, NOTE + PLACE) == []
    assert on_disk(on_server, PLACE[::-1]) != []
    assert on_disk(on_server, f"{NOTE}plain") != []
    assert names(sealed) == ["location.1"]
    assert names(sealed, GIVEN) == [PLACE]
    assert sealed("custody", "verify")["valid"]


@pytest.mark.matrix
def test_what_was_plain_before_is_told(family: Family) -> None:
    ended = run_program(family.anna.home, "custody", "seal", "--pin-stdin", stdin=GIVEN)
    assert "were plain text there until now" in ended.out
    assert "VACUUM FULL" in ended.out
    assert family.anna("status")["due"] == family.ben("status")["due"]
    assert family.anna("custody", "seal", check=2)["error"]["code"] == "usage_error"


@pytest.mark.matrix
def test_another_operator_works_on_without_the_passphrase(sealed: Family) -> None:
    anna, ben, hers = sealed.anna, sealed.ben, sealed.hers
    assert names(ben) == ["location.1", "location.2", "location.3"]
    ben("custody", "record", "card:b", "seen", "--note", "by ben")
    txid = ben("spend", "show", hers)["txid"]
    signing = ("--emulated", "b", "--txid", txid, "--yes", "--pin-stdin")
    ben("spend", "sign", hers, *signing, stdin=f"b={PIN}")
    told = anna("custody", "log", "--pin-stdin", stdin=GIVEN)["events"]
    assert [each["note"] for each in told[-2:]] == ["by ben", f"signed in ceremony {hers}"]
    for each in (anna, ben):
        assert each("custody", "verify")["valid"]


@pytest.mark.matrix
def test_another_operator_who_knows_the_passphrase_reads_and_writes(sealed: Family) -> None:
    ben = sealed.ben
    assert names(ben, GIVEN) == ["at-a", "at-b", "at-c"]
    ben("location", "add", "attic", "--pin-stdin", stdin=GIVEN)
    assert "attic" in names(sealed.anna, GIVEN)
    wrong = ben("location", "list", "--pin-stdin", stdin="home.passphrase=not that", check=4)
    assert wrong["error"]["code"] == "passphrase_incorrect"


@pytest.mark.matrix
def test_the_seal_of_somebody_unknown_is_written_to_by_nobody(family: Family) -> None:
    anna, ben = family.anna, family.ben
    ben("operator", "remove", "anna")
    anna("custody", "seal", "--pin-stdin", stdin=GIVEN)
    record = ("custody", "record", "card:b", "seen", "--note", "by ben")
    assert ben(*record, check=4)["error"]["code"] == "seal_locked"
    ben(*record, "--pin-stdin", stdin=GIVEN)
    ben(*record)


@pytest.mark.matrix
def test_an_operator_takes_the_seal_off_for_all(sealed: Family) -> None:
    anna, ben = sealed.anna, sealed.ben
    ben("location", "list", "--pin-stdin", stdin=GIVEN)
    ben("location", "add", "attic", "--pin-stdin", stdin=GIVEN)
    anna("custody", "unseal", "--pin-stdin", stdin=GIVEN)
    assert "attic" in names(ben)
    ben("location", "add", "cellar")
    assert "cellar" in names(anna)
    for each in (anna, ben):
        assert each("custody", "verify")["valid"]
        assert each("vault", "show", "v")


@pytest.mark.matrix
def test_another_seal_than_an_operator_made_is_refused(sealed: Family, on_server: Engines) -> None:
    on_server.server.run("UPDATE seal SET sealing_key = salt", sealed.database)
    found = sealed.ben("custody", "verify", check=5)
    assert "the seal is not as statement" in found["signed"]["fault"]
    assert sealed.anna("custody", "verify", check=5)["error"]["code"] == "approval_mismatch"
    record = ("custody", "record", "card:a", "seen", "--note", "x")
    assert sealed.anna(*record, check=5)["error"]["code"] == "approval_mismatch"
    assert sealed.ben(*record, check=4)["error"]["code"] == "seal_locked"


@pytest.mark.matrix
def test_a_sealed_server_is_copied_sealed_and_read_by_an_auditor(
    sealed: Family, on_server: Engines, tmp_path: Path
) -> None:
    alone = asking(tmp_path / "alone")
    alone("init", "--network", "regtest")
    alone("database", "copy", str(sealed.anna.home), str(alone.home))
    assert names(alone) == ["location.1", "location.2", "location.3"]
    assert names(alone, GIVEN) == ["at-a", "at-b", "at-c"]
    server, auditor = on_server.server, f"{sealed.database}_auditor"
    server.run(f"CREATE ROLE {auditor} LOGIN PASSWORD '{server.password}'")
    server.run(sealed.anna("database", "roles", "--auditor", auditor)["sql"], sealed.database)
    settings = sealed.ben.home / "settings.toml"
    settings.write_text(settings.read_text().replace("owner@", f"{auditor}@"))
    assert names(sealed.ben, GIVEN) == ["at-a", "at-b", "at-c"]
    assert sealed.ben("custody", "verify")["valid"]
    refused = sealed.ben("location", "add", "x", "--pin-stdin", stdin=GIVEN, check=5)["error"]
    assert refused["code"] == "read_only"
