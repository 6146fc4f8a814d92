"""Homes that remember on one PostgreSQL server: made, moved there and back, used by several."""

import json
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

from coordinator.errors import UsageError
from coordinator.home import known_heads, settings
from coordinator.home.settings import Home
from coordinator.workspace.opened_home import OpenedHome
from storage import ceremonies as ceremony_book
from storage.database import reading
from tests.cli.test_branches import (
    TWO_OF_THREE,
    WAIT,
    create,
    finish,
    fund,
    made_branches,
    recover,
    sign,
)
from tests.program import PIN, UNPROVED, Asked, asking, run_program
from tests.sampled import further
from tests.servers.postgresql import Engines

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


@pytest.fixture
def empty(on_server: Engines) -> str:
    return text(on_server.server.url(on_server.server.database()))


class Operators(NamedTuple):
    """Two computers with a card each, one database; the first one's chain is seen by both."""

    anna: Asked
    ben: Asked
    url: str


@pytest.fixture
def operators(vault: Asked, empty: str, tmp_path: Path) -> Operators:
    vault("database", "copy", str(vault.home), empty, "--use")
    ben = asking(tmp_path / "ben")
    ben("init", "--network", "regtest", "--database", empty)
    (ben.home / "chain").symlink_to(vault.home / "chain")
    (ben.home / "emulated").mkdir(exist_ok=True)
    for name in ("b", "c"):
        (vault.home / "emulated" / f"{name}.card").rename(ben.home / "emulated" / f"{name}.card")
    return Operators(vault, ben, empty)


def test_a_home_is_moved_to_a_server_and_works_on(vault: Asked, empty: str) -> None:
    before = vault("vault", "show", "v")
    log = vault("custody", "log")
    moved = vault("database", "copy", str(vault.home), empty, "--use")
    assert moved["used"]
    assert moved["rows"]["coin"] == 3
    assert not (vault.home / "cardquorum.db").exists()
    assert vault("vault", "show", "v") == before
    assert vault("custody", "log") == log
    assert vault("address", "new", "v", *UNPROVED)["index"] == 1
    assert "password" not in (vault.home / "settings.toml").read_text()


def test_a_home_comes_back_from_a_server_into_a_file(operators: Operators, tmp_path: Path) -> None:
    back = asking(tmp_path / "back")
    back("init", "--network", "regtest")
    copied = back("database", "copy", str(operators.anna.home), str(back.home))
    assert copied["custody_head"] == operators.anna("custody", "verify")["head"]
    shown = operators.anna("vault", "show", "v")
    assert back("vault", "show", "v")["descriptor"] == shown["descriptor"]


def test_a_copy_goes_only_into_an_empty_database(operators: Operators, vault_home: Path) -> None:
    error = operators.ben("database", "copy", str(vault_home), operators.url, check=5)["error"]
    assert "has to be empty" in error["message"]


@pytest.mark.matrix
def test_what_another_made_is_approved_before_it_is_signed(operators: Operators) -> None:
    anna, ben, _ = operators
    made = anna("spend", "create", "v", "--to", f"{STRANGER}:10000", "--feerate", "2")
    txid = anna("spend", "show", made["ceremony"])["txid"]
    signing = ("spend", "sign", made["ceremony"], "--emulated")
    anna(*signing, "a", "--yes", "--pin-stdin", stdin=PIN)
    refused = ben(*signing, "b", "--yes", "--pin-stdin", stdin=PIN, check=5)["error"]
    assert refused["code"] in {"approval_mismatch", "not_accepted"}
    ben("vault", "approve", "v", "--checksum", anna("vault", "show", "v")["checksum"])
    ben(*signing, "b", "--txid", txid, "--yes", "--pin-stdin", stdin=PIN)
    assert anna("spend", "show", made["ceremony"])["state"] == "complete"
    ben("spend", "finalize", made["ceremony"])
    assert anna("spend", "broadcast", made["ceremony"])["txid"] == txid
    assert ben("spend", "show", made["ceremony"])["state"] == "broadcast"


def test_a_home_of_another_network_does_not_join(operators: Operators, tmp_path: Path) -> None:
    stranger = asking(tmp_path / "stranger")
    words = ("init", "--network", "signet", "--chain", "none:", "--database", operators.url)
    assert "keys of regtest" in stranger(*words, check=5)["error"]["message"]
    assert not (stranger.home / "settings.toml").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://a:pin@host/home", "holds a password"),
        ("mysql://host/home", "begins mysql"),
        ("nothing", "cannot be read as one"),
        ("postgresql+psycopg://a@host/home?sslmode=allow", "verify-full"),
    ],
)
def test_a_database_url_is_refused_before_a_home_is_made(
    tmp_path: Path, url: str, said: str
) -> None:
    ended = run_program(
        tmp_path / "home", "--json", "init", "--network", "regtest", "--database", url, check=2
    )
    assert said in json.loads(ended.out)["error"]["message"]
    assert not (tmp_path / "home").exists()


def test_a_server_that_is_away_is_said(operators: Operators) -> None:
    settings = operators.ben.home / "settings.toml"
    text = settings.read_text()
    port = text.partition("127.0.0.1:")[2].partition("/")[0]
    settings.write_text(text.replace(port, "1"))
    error = operators.ben("status", check=5)["error"]
    assert error["code"] == "database_unreachable"
    assert "127.0.0.1:1" in error["message"]


def test_a_backup_holds_what_the_server_has(operators: Operators, tmp_path: Path) -> None:
    anna, ben, _ = operators
    made = anna("backup", "--out", str(tmp_path / "file"))
    assert made["database"].startswith("postgresql+psycopg://")
    back = asking(tmp_path / "back")
    back("restore", str(tmp_path / "file"))
    assert not (back.home / "settings.toml").read_text().count("database")
    assert back("custody", "verify") == ben("custody", "verify")
    assert back("balance", "v")["confirmed_sats"] == anna("balance", "v")["confirmed_sats"]


def rewrite(operators: Operators, served: Engines, *statements: str) -> None:
    """Change the book as who runs the server can: past its triggers."""
    name = str(make_url(operators.url).database)
    served.server.run("SET session_replication_role = replica; " + "; ".join(statements), name)


ROLLED_BACK = {
    "the last event is gone": (
        "DELETE FROM custody_text WHERE event_id = (SELECT max(id) FROM custody_event)",
        "DELETE FROM custody_event WHERE id = (SELECT max(id) FROM custody_event)",
        "DELETE FROM statement WHERE id = (SELECT max(id) FROM statement)",
    ),
    "the last event is another": (
        "UPDATE custody_event SET hash = sha256(hash)"
        " WHERE id = (SELECT max(id) FROM custody_event)",
    ),
    "the whole book is gone": ("DELETE FROM custody_text", "DELETE FROM custody_event"),
}


@pytest.mark.parametrize("how", further(*ROLLED_BACK))
def test_a_book_that_was_rolled_back_is_refused(
    operators: Operators, on_server: Engines, how: str
) -> None:
    operators.ben("custody", "record", "card:b", "seen")
    rewrite(operators, on_server, *ROLLED_BACK[how])
    for words in (("status",), ("address", "new", "v", *UNPROVED), ("kit", "v", "--out", "x")):
        assert operators.ben(*words, check=5)["error"]["code"] == "book_rolled_back"


@pytest.mark.matrix
def test_a_book_whose_backup_was_restored_is_taken_with_a_printed_head(
    operators: Operators, on_server: Engines
) -> None:
    anna, ben, _ = operators
    head = ben("custody", "verify")["head"]
    ben("custody", "record", "card:b", "seen")
    rewrite(operators, on_server, *ROLLED_BACK["the last event is gone"])
    accepted = ("custody", "verify", "--accept", "book_rolled_back")
    assert ben(*accepted, check=2)["error"]["code"] == "usage_error"
    assert not ben(*accepted, "--head", "ab" * 32, check=5)["valid"]
    assert ben("status", check=5)["error"]["code"] == "book_rolled_back"
    assert ben(*accepted, "--head", head)["valid"]
    ben("status")
    anna("status")
    anna("custody", "record", "card:a", "seen")
    ben("custody", "verify")


@pytest.mark.matrix
def test_what_another_records_is_followed(operators: Operators) -> None:
    anna, ben, _ = operators
    for operator, card in ((anna, "a"), (ben, "b"), (anna, "a")):
        operator("custody", "record", f"card:{card}", "seen")
    assert anna("custody", "verify")["head"] == ben("custody", "verify")["head"]


@pytest.mark.matrix
def test_what_this_home_did_meanwhile_is_no_rollback(
    operators: Operators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command or thread may add to the book between a moment that is read and the look."""
    anna, seen, waiting = operators.anna, known_heads._seen, [True]

    def meanwhile(home: Home) -> known_heads.Ends:
        if waiting:
            waiting.clear()
            anna("custody", "record", "card:a", "seen")
        return seen(home)

    monkeypatch.setattr(known_heads, "_seen", meanwhile)
    anna("status")
    assert waiting == []
    with closing(OpenedHome(anna.home)) as opened:
        with opened.database.begin() as db:
            db.connection()
        with reading(opened.database).begin() as one:
            one.connection()
            waiting.append(True)
            with reading(opened.database).begin() as another:
                another.connection()
    assert waiting == []
    assert anna("custody", "verify")["valid"]


class Accounts(NamedTuple):
    """The same database as an operator and an auditor reach it."""

    operator: str
    auditor: str


@pytest.fixture
def accounts(operators: Operators, on_server: Engines) -> Accounts:
    server, name = on_server.server, str(make_url(operators.url).database)
    made = Accounts(f"{name}_ben", f"{name}_carla")
    for each in made:
        server.run(f"CREATE ROLE {each} LOGIN PASSWORD '{server.password}'")
    words = ("database", "roles", "--operator", made.operator, "--auditor", made.auditor)
    sql = operators.anna(*words)["sql"]
    for _ in range(2):
        server.run(sql, name)
    return made


def as_account(operator: Asked, account: str) -> None:
    """Have a home reach the server as another account."""
    settings = operator.home / "settings.toml"
    settings.write_text(settings.read_text().replace("owner@", f"{account}@"))


def test_an_operator_pays_and_records(operators: Operators, accounts: Accounts) -> None:
    anna, ben, _ = operators
    for each in (anna, ben):
        as_account(each, accounts.operator)
    ben("vault", "approve", "v", "--checksum", anna("vault", "show", "v")["checksum"])
    made = ben("spend", "create", "v", "--to", f"{STRANGER}:10000", "--feerate", "2")["ceremony"]
    txid = ben("spend", "show", made)["txid"]
    for operator, card, more in ((ben, "b", ()), (anna, "a", ("--txid", txid))):
        signing = ("spend", "sign", made, "--emulated", card, "--yes", "--pin-stdin")
        operator(*signing, *more, stdin=PIN)
    anna("spend", "finalize", made)
    anna("spend", "broadcast", made)
    anna("regtest", "mine", "6")
    assert ben("spend", "show", made)["state"] == "confirmed"
    ben("location", "add", "cellar", "--kind", "other")
    ben("custody", "record", "card:b", "moved", "--at", "cellar")
    ben("location", "add", "mistyped")
    ben("location", "remove", "mistyped")
    ben("label", "set", txid, "roof")
    ben("audit", "v", check=None)
    assert anna("custody", "verify")["valid"]


@pytest.mark.matrix
def test_an_auditor_reads_and_changes_nothing(operators: Operators, accounts: Accounts) -> None:
    ben = operators.ben
    as_account(ben, accounts.auditor)
    for words in (("status",), ("vault", "list"), ("custody", "log"), ("custody", "verify")):
        ben(*words)
    refused = ben("location", "add", "cellar", check=5)["error"]
    assert refused["code"] == "read_only"


REWRITTEN = (
    "UPDATE custody_event SET event = 'moved'",
    "DELETE FROM custody_event",
    "TRUNCATE custody_text",
    "UPDATE vault SET descriptor = 'another'",
    "UPDATE vault SET threshold = 1",
    "UPDATE key SET public_key = chain_code",
    "UPDATE cosigner SET key_id = 1",
    "DELETE FROM signature",
    "DELETE FROM statement",
    "UPDATE statement SET operator = 'eve'",
    "UPDATE ceremony SET fee_sats = 1",
    "UPDATE reservation SET expires_at = released_at",
    "UPDATE signature SET pubkey = signature",
    "DELETE FROM ceremony",
    "DROP TABLE vault",
    "ALTER TABLE custody_event DISABLE TRIGGER ALL",
    "CREATE TRIGGER own BEFORE INSERT ON coin EXECUTE FUNCTION refuse_change()",
)


def test_no_account_rewrites_what_stays(
    operators: Operators, accounts: Accounts, on_server: Engines
) -> None:
    server, name = on_server.server, str(make_url(operators.url).database)
    for account in accounts:
        for statement in REWRITTEN:
            with pytest.raises(psycopg.Error, match=r"permission denied|must be owner"):
                server.run(statement, name, user=account)


@pytest.mark.matrix
def test_a_vault_with_later_branches_is_kept_on_a_server(empty: str, tmp_path: Path) -> None:
    home = asking(tmp_path / "home")
    made_branches(home)
    home("database", "copy", str(home.home), empty, "--use")
    made = create(home, *TWO_OF_THREE)
    fund(home)
    home("regtest", "mine", str(WAIT))
    swept = recover(home)["ceremony"]
    sign(home, swept, "e", "f")
    finish(home, swept)
    assert home("vault", "show", "w")["branches"] == made["branches"]
    assert home("balance", "w")["confirmed_sats"] == 0


def test_without_the_driver_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    url = "postgresql+psycopg://anna@127.0.0.1/vault"
    words = ("init", "--network", "regtest", "--database", url)
    error = asking(tmp_path / "home")(*words, check=2)["error"]
    assert "pip install 'cardquorum[postgresql]'" in error["message"]
    assert not (tmp_path / "home").exists()


def test_a_file_outside_a_home_is_no_side_of_a_copy(vault: Asked, tmp_path: Path) -> None:
    error = vault("database", "copy", str(vault.home), f"sqlite:///{tmp_path}/x", check=2)["error"]
    assert "begins sqlite://" in error["message"]
    assert not (tmp_path / "x").exists()


@pytest.mark.matrix
def test_a_sealed_home_stays_sealed_on_a_server(vault: Asked, empty: str) -> None:
    given = "home.passphrase=correct horse battery"
    vault("custody", "seal", "--pin-stdin", stdin=given)
    vault("database", "copy", str(vault.home), empty, "--use")
    shut = vault("location", "list")["locations"]
    assert all(each["name"].startswith("location.") for each in shut)
    opened = vault("location", "list", "--pin-stdin", stdin=given)["locations"]
    assert {each["name"] for each in opened} == {"at-a", "at-b", "at-c"}


@pytest.mark.matrix
def test_a_home_whose_folder_takes_nothing_is_read(
    operators: Operators, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators.anna("custody", "record", "card:a", "seen")

    def full(*_: object, **__: object) -> None:
        raise UsageError("cannot write book.json: No space left on device")

    monkeypatch.setattr(known_heads, "write_private", full)
    assert operators.ben("custody", "verify")["valid"]


def test_signatures_wait_in_the_home_where_the_server_goes_away(
    operators: Operators, on_server: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = operators.anna
    made = anna("spend", "create", "v", "--to", f"{STRANGER}:10000", "--feerate", "2")["ceremony"]
    (operators.ben.home / "emulated" / "b.card").rename(anna.home / "emulated" / "b.card")
    name, keep = str(make_url(operators.url).database), ceremony_book.keep_signatures

    def cut(*given: object, **named: object) -> None:
        on_server.server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        on_server.server.end_sessions(name)
        keep(*given, **named)  # type: ignore[arg-type]  # as the ceremony gave them

    monkeypatch.setattr(ceremony_book, "keep_signatures", cut)
    signing = ("spend", "sign", made, "--emulated", "a", "--emulated", "b", "--yes", "--pin-stdin")
    pins = f"a={PIN}\nb={PIN}\n"
    ended = run_program(anna.home, "--json", *signing, stdin=pins, check=5)
    monkeypatch.undo()
    on_server.server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    codes = {card["label"]: card["error"]["code"] for card in ended.document["cards"]}
    assert codes == dict.fromkeys("ab", "signature_undelivered")
    assert operators.ben("spend", "show", made)["have"] == 0
    told = anna("status")
    delivered = sorted((each["card"], each["signatures"]) for each in told["delivered"])
    assert delivered == [("a", 1), ("b", 1)]
    assert operators.ben("spend", "show", made)["complete"]
    assert anna("status")["delivered"] == []
    assert anna("custody", "verify")["valid"]
