"""The server's own backup, rehearsed: dumped, restored into an empty database, and paid from."""

import subprocess
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.cli.test_database import STRANGER, Operators, empty, operators
from tests.program import PIN
from tests.servers.postgresql import Engines, programs

__all__ = ["empty", "operators"]


@pytest.mark.matrix
def test_a_dump_is_restored_into_an_empty_database_and_paid_from(
    operators: Operators, on_server: Engines, tmp_path: Path
) -> None:
    anna, server, found = operators.anna, on_server.server, programs()
    assert found is not None
    made = anna("spend", "create", "v", "--to", f"{STRANGER}:10000", "--feerate", "2")["ceremony"]
    signing = ("spend", "sign", made, "--yes", "--pin-stdin", "--emulated")
    anna(*signing, "a", stdin=PIN)
    head = anna("custody", "verify")["head"]
    old, new = str(make_url(operators.url).database), server.database()
    place = ["--host=127.0.0.1", f"--port={server.port}", "--username=owner"]
    dump, known = tmp_path / "vault.dump", {"PGPASSFILE": str(server.passfile)}
    words = [found / "pg_dump", *place, "--format=custom", f"--file={dump}", old]
    subprocess.run(words, check=True, env=known, capture_output=True)
    words = [found / "pg_restore", *place, "--exit-on-error", f"--dbname={new}", dump]
    subprocess.run(words, check=True, env=known, capture_output=True)
    server.run(f"DROP DATABASE {old} WITH (FORCE)")
    for each in (anna, operators.ben):
        settings = each.home / "settings.toml"
        settings.write_text(settings.read_text().replace(f"/{old}?", f"/{new}?"))
    assert anna("custody", "verify", "--head", head)["valid"]
    assert anna("spend", "show", made)["have"] == 1
    (operators.ben.home / "emulated" / "b.card").rename(anna.home / "emulated" / "b.card")
    anna(*signing, "b", stdin=PIN)
    anna("spend", "finalize", made)
    assert operators.ben("spend", "show", made)["state"] == "final"
    assert anna("spend", "broadcast", made)["state"] == "broadcast"
    for statement in ("UPDATE custody_event SET event = 'x'", "DELETE FROM signature"):
        with pytest.raises(psycopg.Error, match=r"only ever appended to|stays as it came"):
            server.run(statement, new)
