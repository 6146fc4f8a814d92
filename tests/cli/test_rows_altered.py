"""Rows that somebody changed on the server are a danger wherever one is asked for."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from coordinator.home import row_checks
from coordinator.workspace.opened_home import OpenedHome
from storage.model import Card
from storage.row_statements import CHANGED
from tests.cli.family import Family, introduce, url_of
from tests.program import PIN, UNPROVED, Asked, asking
from tests.sampled import shortened
from tests.servers.postgresql import Engines

CHANGES = {
    "a card's attestation": "UPDATE card SET attestation = 'genuine' WHERE label = 'b'",
    "a place's region": "UPDATE location SET region = 'lyon' WHERE name = 'at-b'",
    "a thing that is gone": "DELETE FROM descriptor_copy WHERE id = 1",
    "who carries a key": "UPDATE carrier SET retired_at = created_at WHERE id = 1",
}


def audited(operator: Asked) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = operator("audit", "v", "--fail-on", "none")["findings"]
    return found


def codes(operator: Asked) -> list[str]:
    return [each["code"] for each in audited(operator)]


@pytest.mark.parametrize(
    "change", shortened(CHANGES, "a card's attestation", "a thing that is gone")
)
def test_what_was_changed_on_the_server_is_a_danger(
    family: Family, on_server: Engines, change: str
) -> None:
    anna, ben = family.anna, family.ben
    assert "rows_altered" not in [*codes(anna), *codes(ben)]
    sql = f"SET session_replication_role = replica; {CHANGES[change]}"
    on_server.server.run(sql, family.database)
    for each in (anna, ben):
        assert "rows_altered" in codes(each)
        steps = [step["command"] for step in each("status", check=None)["next"]]
        assert "cardquorum custody verify" in steps
        refused = each("address", "new", "v", *UNPROVED, check=5)["error"]
        assert "rows_altered" in refused["codes"]
        assert (
            ", which anna at " in refused["message"] or " is not as anna at " in refused["message"]
        )
        each("address", "new", "v", *UNPROVED, "--accept", "rows_altered")
        (told,) = each("custody", "verify", check=5)["signed"]["altered"]
        assert told.endswith("somebody changed the database")


def test_rows_found_right_are_looked_at_again_once_they_or_their_statements_change(
    family: Family, on_server: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, looked = family.anna, list[object]()
    compared = row_checks._compared
    monkeypatch.setattr(
        row_checks, "_compared", lambda *given: looked.append(given) or compared(*given)
    )
    kept = anna.home / row_checks.FILE
    assert "rows_altered" not in codes(anna)
    assert kept.stat().st_mode & 0o777 == 0o600
    looked.clear()
    assert "rows_altered" not in codes(anna)
    assert looked == []
    for other in ("no digest at all", "00" * 32):
        kept.write_text(other)
        assert "rows_altered" not in codes(anna)
        assert looked.pop()
    family.ben("card", "list")
    changed = "SET session_replication_role = replica; {}"
    for sql in (
        "UPDATE statement SET operator = 'mallory' WHERE subject = 'card 1'",
        CHANGES["a card's attestation"],
    ):
        on_server.server.run(changed.format(sql), family.database)
        for _ in range(2):
            assert "rows_altered" in codes(anna)
            assert looked.pop()


def test_rows_of_one_whose_key_nobody_compared_are_a_danger_until_it_is(
    family: Family, tmp_path: Path
) -> None:
    """Whoever may write to the database may make a key and sign what they changed, too."""
    anna, mallory = family.anna, asking(tmp_path / "mallory")
    mallory("init", "--network", "regtest", "--database", url_of(anna))
    mallory("operator", "name", "anna")
    mallory("location", "edit", "at-b", "--region", "lyon")
    mallory("copy", "remove", "copy:paper-a")
    for _ in range(2):
        (found,) = (each for each in audited(anna) if each["code"] == "rows_unapproved")
        assert "(paper-a) is as anna (not approved here) at " in found["message"]
        assert found["message"].endswith("left it (and 2 more)")
        assert anna("custody", "verify")["signed"]["altered"] == []
    assert "rows_altered" not in codes(anna)
    steps = [step["command"] for step in anna("status", check=None)["next"]]
    assert "cardquorum operator list" in steps
    refused = anna("address", "new", "v", *UNPROVED, check=5)["error"]
    assert "rows_unapproved" in refused["codes"]
    introduce(anna, mallory, "carla")
    assert "rows_unapproved" not in codes(anna)
    anna("address", "new", "v", *UNPROVED)
    anna("operator", "remove", "carla")
    assert "rows_unapproved" in codes(anna)


def test_in_a_file_nobody_else_has_a_key(family: Family, tmp_path: Path) -> None:
    """A home that was shared once and is restored has a key that signed none of its rows."""
    file = asking(tmp_path / "file")
    file("init", "--network", "regtest")
    file("database", "copy", str(family.anna.home), str(file.home))
    assert not {"rows_altered", "rows_unapproved"} & {*codes(file)}
    with closing(OpenedHome(file.home)) as opened, opened.database() as db:
        db.execute(text("UPDATE card SET attestation = 'genuine' WHERE label = 'b'"))
        db.commit()
    assert {"rows_altered", "rows_unapproved"} & {*codes(file)} == {"rows_altered"}


def test_what_operators_change_themselves_is_none(family: Family) -> None:
    """Every kind of change, each seen by the other at once."""
    anna, ben = family.anna, family.ben
    ben("holder", "add", "uncle", "--limit", "0.2btc")
    anna("location", "edit", "at-a", "--region", "lyon", "--holder", "uncle")
    ben("secret", "add", "b-pin", "--of", "b", "--kind", "pin", "--known-by", "uncle")
    anna("carrier", "add", "a", "plate", "a-plate")
    anna("carrier", "edit", "plate:a-plate", "--name", "steel")
    ben("secret", "remove", "b-pin")
    anna("location", "edit", "at-a", "--holder", "")
    ben("holder", "remove", "uncle")
    ben("emulate", "new", "satochip", "x")
    ben("card", "enrol", "x", "--emulated", "x", "--pin-stdin", stdin=PIN)
    ben("card", "forget", "x", "--yes")
    anna("copy", "remove", "copy:paper-a")
    drill = anna("drill", "start", "v")["drill"]
    anna("drill", "sign", drill, "--emulated", "a", "--pin-stdin", stdin=PIN)
    pins = f"b={PIN}\nc={PIN}\n"
    ben("vault", "verify", "v", "--emulated", "b", "--emulated", "c", "--pin-stdin", stdin=pins)
    for each in (anna, ben):
        assert not {"rows_altered", "rows_unapproved"} & {*codes(each)}
        assert each("custody", "verify")["valid"]


def test_a_row_is_as_it_was_left_while_its_transaction_lasts(family: Family) -> None:
    opened = OpenedHome(family.anna.home)
    with closing(opened), opened.database() as db:
        card = db.scalars(select(Card).where(Card.label == "a")).one()
        assert row_checks.doubted(opened.home, db).altered == []
        card.attestation = "genuine"
        db.flush()
        assert row_checks.doubted(opened.home, db).altered == []
        db.info.pop(CHANGED)
        db.info.pop(row_checks.KNOWN)
        (told,) = row_checks.doubted(opened.home, db).altered
        assert f"card {card.id} (a) is not as anna at " in told
        db.rollback()
