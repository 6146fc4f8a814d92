"""How often a verb waits for a server: counted on the line, whatever this computer is busy with."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice, product
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import select, text

from coordinator import clock
from coordinator.custody import log as custody_log
from coordinator.payment import delivery
from coordinator.workspace.opened_home import OpenedHome
from psbt import codec
from psbt.outline import commitment
from storage import ceremonies as ceremony_book
from storage import prefetched, server_dialect
from storage.database import open_database
from storage.model import whole_schema
from storage.snapshot import SIZE_MAX, WHOLE_MAX
from tests.program import PIN, UNPROVED, Asked, asking
from tests.sampled import further
from tests.servers.postgresql import Engines
from tests.servers.proxy import Line, line_to

TO: Final = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:10000"
AT_MOST: Final = 12
SIGN: Final = ("--emulated", "a", "--yes", "--pin-stdin")


@pytest.fixture
def line(vault: Asked, on_server: Engines, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """The line between the home and a database on a server, to which it was moved."""
    monkeypatch.setattr(prefetched, "OPENING_SECONDS", float("inf"))
    monkeypatch.setattr(server_dialect, "IDLE_SECONDS", float("inf"))
    monkeypatch.setattr(delivery, "TOGETHER_SECONDS", float("inf"))
    server = on_server.server
    url = server.url(server.database()).render_as_string(hide_password=False)
    vault("database", "copy", str(vault.home), url, "--use")
    server.passfile.write_text(f"127.0.0.1:*:*:*:{server.password}\n")
    with line_to(server.port) as made:
        file: Path = vault.home / "settings.toml"
        file.write_text(file.read_text().replace(f":{server.port}/", f":{made.port}/"))
        yield made


def test_no_verb_waits_more_than_a_dozen_times(vault: Asked, line: Line) -> None:
    waits: dict[str, int] = {}

    def run(*words: str, stdin: str = "", named: str = "") -> str:
        line.counted()
        found = vault(*words, stdin=stdin)
        waits[named or " ".join(words[:2])] = line.counted()
        return str(found.get("ceremony", ""))

    run("status")
    run("balance", "v")
    made = run("spend", "create", "v", "--to", TO, "--feerate", "2")
    run("spend", "show", made)
    run("spend", "list")
    run("spend", "sign", made, *SIGN, stdin=PIN)
    txid = str(vault("spend", "show", made)["txid"])
    second = ("--emulated", "b", "--txid", txid, *SIGN[2:])
    run("spend", "sign", made, *second, stdin=PIN, named="sign what another opened")
    run("audit", "v", "--fail-on", "none")
    run("card", "list")
    run("vault", "list")
    run("address", "list", "v")
    run("custody", "record", "card:a", "seen")
    assert {name: count for name, count in waits.items() if not 0 < count <= AT_MOST} == {}


def waits_of(vault: Asked, line: Line) -> Callable[..., int]:
    """Return what runs a verb and tells how often it waited."""

    def run(*words: str, stdin: str = "") -> int:
        line.counted()
        vault(*words, stdin=stdin)
        return line.counted()

    return run


def signed_in_a_file(vault: Asked, ceremony: str) -> Path:
    """Return a PSBT that card b signed in a home with a file of its own, as without a line."""
    alone = asking(vault.home.parent / "alone")
    alone("init", "--network", "regtest")
    alone("database", "copy", str(vault.home), str(alone.home))
    for kept in ("approval.key", "approvals.json"):
        shutil.copy(vault.home / kept, alone.home / kept)
    shutil.copytree(vault.home / "emulated", alone.home / "emulated", dirs_exist_ok=True)
    shutil.rmtree(alone.home / "chain", ignore_errors=True)
    (alone.home / "chain").symlink_to(vault.home / "chain")
    alone("spend", "sign", ceremony, "--emulated", "b", *SIGN[2:], stdin=PIN)
    alone("spend", "export", ceremony, "--out", str(alone.home / "signed.psbt"))
    return alone.home / "signed.psbt"


@pytest.mark.parametrize("inputs", further(25, 1, 2, 10, 60))
def test_how_many_coins_a_payment_spends_costs_no_wait(
    vault: Asked, line: Line, inputs: int
) -> None:
    """Each signature is a card's answer; all of a turn are stored at once, on both computers."""
    address = vault("address", "new", "v", *UNPROVED)["address"]
    vault("regtest", "fund", address, "100000", "--coins", str(inputs))
    vault("regtest", "mine", "1")
    waits, run = {}, waits_of(vault, line)
    waits["sync"] = run("coins", "v")
    coins = [each for each in vault("coins", "v")["coins"] if each["value_sats"] == 100_000]
    chosen = [word for each in coins for word in ("--coin", each["outpoint"])]
    accept = ("--feerate", "2", "--accept", "reused_address")
    line.counted()
    made = vault("spend", "create", "v", "--drain", TO.partition(":")[0], *chosen, *accept)
    waits["create"], made = line.counted(), made["ceremony"]
    waits["sign"] = run("spend", "sign", made, *SIGN, stdin=PIN)
    waits["add"] = run("spend", "add", made, str(signed_in_a_file(vault, made)))
    assert len(coins) == inputs
    waits["show"] = run("spend", "show", made)
    waits["finalize"] = run("spend", "finalize", made)
    waits["broadcast"] = run("spend", "broadcast", made)
    assert {name: count for name, count in waits.items() if not 0 < count <= AT_MOST} == {}


@pytest.mark.parametrize("coins", further(3, 1, 12))
@pytest.mark.parametrize("labels", further("abc", "abcde"))
def test_several_cards_that_sign_together_wait_no_longer_than_one(
    vault: Asked, line: Line, labels: str, coins: int
) -> None:
    """Of a vault with five keys, as many cards as it needs, each for every coin."""
    for label in "de":
        vault("emulate", "new", "satochip", label)
        vault("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    five = [word for label in "abcde" for word in ("--card", label)]
    vault("vault", "create", "five", "--threshold", str(len(labels)), *five)
    address = vault("address", "new", "five", *UNPROVED)["address"]
    vault("regtest", "fund", address, "100000", "--coins", str(coins))
    vault("regtest", "mine", "1")
    vault("sync")
    to = ("--drain", TO.partition(":")[0], "--feerate", "2")
    made = vault("spend", "create", "five", *to)["ceremony"]
    cards = [word for label in labels for word in ("--emulated", label)]
    pins = "".join(f"{label}={PIN}\n" for label in labels)
    line.counted()
    signed = vault("spend", "sign", made, *cards, *SIGN[2:], stdin=pins)
    waits = line.counted()
    assert signed["complete"]
    assert [each["signatures"] for each in signed["cards"]] == [coins] * len(labels)
    assert 0 < waits <= AT_MOST - 3
    assert not (vault.home / "undelivered").exists()


@pytest.mark.parametrize("coins", further(1500, 150, 5000))
def test_how_many_coins_a_sync_finds_costs_no_wait(vault: Asked, line: Line, coins: int) -> None:
    address = vault("address", "new", "v", *UNPROVED)["address"]
    for count in (*[1000] * (coins // 1000), coins % 1000):
        if count:
            vault("regtest", "fund", address, "100000", "--coins", str(count))
    vault("regtest", "mine", "1")
    line.counted()
    vault("sync", "v")
    waits = line.counted()
    assert len(vault("coins", "v")["coins"]) == coins + 3
    assert 0 < waits <= AT_MOST


EVENTS: Final = 700
PAYMENTS: Final = 260
COINS: Final = 1_200


def crowd(vault: Asked, ceremony: str) -> None:
    """Write a long book, many payments that were given up, and many coins."""
    with closing(OpenedHome(vault.home)) as opened, opened.database.begin() as db:
        for number in range(EVENTS):
            seen = custody_log.NewEvent("card:a", "seen", note=f"seen the {number}th time")
            custody_log.record(db, seen)
        record, now = ceremony_book.ceremony_named(db, ceremony), clock.now()
        kept = ("psbt", "txid", "fee_sats", "paid_sats", "expires_at")
        for letters in islice(product("abcdefgh", repeat=3), PAYMENTS):
            made = ceremony_book.add_ceremony(
                db,
                record.vault,
                public_id=f"{''.join(letters)}z2345",
                created_at=now,
                **{name: getattr(record, name) for name in kept},
            )
            payment = commitment(codec.parse(record.psbt))
            ceremony_book.state_payment(db, "opened", made, payment=payment, now=now)
            ceremony_book.abandon(db, made, now)
    address = vault("address", "new", "v", *UNPROVED)["address"]
    vault("regtest", "fund", address, "100000", "--coins", str(COINS))
    vault("regtest", "mine", "1")
    vault("sync")


@pytest.mark.matrix
def test_a_large_home_waits_no_longer(vault: Asked, line: Line) -> None:
    """Of every kind more than comes with a transaction's first message."""
    crowd(vault, vault("spend", "create", "v", "--to", TO, "--feerate", "2")["ceremony"])
    coins = [each for each in vault("coins", "v")["coins"] if each["value_sats"] == 100_000]
    chosen = [word for each in coins[:50] for word in ("--coin", each["outpoint"])]
    accept = ("--feerate", "2", "--accept", "reused_address")
    run = waits_of(vault, line)
    create = ("spend", "create", "v", "--drain", TO.partition(":")[0], *chosen, *accept)
    line.counted()
    made = vault(*create)["ceremony"]
    waits = {"spend create": line.counted()}
    waits["sign"] = run("spend", "sign", made, *SIGN, stdin=PIN)
    waits["sign b"] = run("spend", "sign", made, "--emulated", "b", *SIGN[2:], stdin=PIN)
    verbs = (
        *(f"spend show {made}", f"spend finalize {made}", f"spend broadcast {made}"),
        *("spend list", "coins v", "status", "balance v", f"address new v {' '.join(UNPROVED)}"),
        *("custody verify", "custody log", "custody record card:a seen", "vault show v"),
        *("audit v --fail-on none", "history v", "card list", "operator list", "address list v"),
    )
    waits |= {verb: run(*verb.split()) for verb in verbs}
    assert {name: count for name, count in waits.items() if not 0 < count <= AT_MOST} == {}
    assert server_sizes_exceed(vault)


def server_sizes_exceed(vault: Asked) -> bool:
    """Tell whether each table that was filled is larger than what comes at once."""
    with closing(OpenedHome(vault.home)) as opened, opened.database.begin() as db:
        tables = ("coin", "ceremony", "custody_event", "statement")
        asked = ", ".join(f"pg_table_size('{name}')" for name in tables)
        sizes = db.execute(text(f"SELECT {asked}")).one()
        return all(SIZE_MAX < size <= WHOLE_MAX for size in sizes)


@pytest.mark.matrix
def test_what_a_transaction_brings_is_what_the_server_has(vault: Asked, line: Line) -> None:
    made = vault("spend", "create", "v", "--to", TO, "--feerate", "2")["ceremony"]
    vault("spend", "sign", made, *SIGN, stdin=PIN)
    place = next(
        row.split('"')[1]
        for row in (vault.home / "settings.toml").read_text().splitlines()
        if "postgresql" in row
    )
    database = open_database(place, existing=True)
    with database.begin() as db:
        for table in whole_schema().sorted_tables:
            wanted = select(table).order_by(*table.primary_key.columns)
            line.counted()
            brought = db.execute(wanted).all()
            assert line.counted() <= 1
            assert brought == db.connection().execute(wanted).all(), table.name
    database.kw["bind"].dispose()
