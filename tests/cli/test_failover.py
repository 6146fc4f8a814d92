"""A server dies in the middle of a ceremony, its standby takes over: nothing is lost or twice."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from sqlalchemy import text

from coordinator.custody import log as custody_log
from coordinator.errors import BookRolledBack
from coordinator.workspace.opened_home import OpenedHome
from storage.database import briefly, reading
from tests.cli.test_server_faults import TO, Cut, mended
from tests.program import PIN, Asked, Ended, asking, run_program
from tests.servers import postgresql
from tests.servers.postgresql import Server
from tests.servers.proxy import Line, line_to

pytestmark = pytest.mark.matrix
NAMED: Final = "home"


class Pair:
    """A server and the standby that has every commit of it, and a home that names both."""

    def __init__(self, first: Server, second: Server, line: Line, home: Path) -> None:
        self.first, self.second, self.line = first, second, line
        self.home = asking(home)

    @property
    def url(self) -> str:
        """Return the URL that names both."""
        hosts = f"host=127.0.0.1:{self.line.port}&host=127.0.0.1:{self.second.port}"
        return f"postgresql+psycopg://owner@/{NAMED}?{hosts}&passfile={self.first.passfile}"

    def fail_over(self) -> None:
        """Kill the first, with all its processes; the second serves from then on."""
        self.first.stop(signal.SIGKILL)
        self.second.promote()

    def signatures(self) -> list[tuple[int, str]]:
        """Return the signatures that the second has, by input and key."""
        rows = self.second.run("SELECT input_index, encode(pubkey, 'hex') FROM signature", NAMED)
        return sorted((index, key) for index, key in rows)

    def sign(self, ceremony: str, *labels: str, check: int | None = 0) -> Ended:
        """Have cards sign."""
        where = [word for label in labels for word in ("--emulated", label)]
        words = ("spend", "sign", ceremony, *where, "--yes", "--pin-stdin")
        pins = "".join(f"{label}={PIN}\n" for label in labels)
        return run_program(self.home.home, "--json", *words, stdin=pins, check=check)

    def pay(self) -> str:
        """Open a payment; returns its ceremony."""
        made = self.home("spend", "create", "v", "--to", TO, "--feerate", "2")
        return str(made["ceremony"])


@contextmanager
def pair(vault_home: Path, folder: Path, *, every_commit: bool = True) -> Iterator[Pair]:
    """Run both; the second has every commit before it is answered, unless told otherwise."""
    shutil.copytree(vault_home, folder)
    with (
        postgresql.serve(synchronous_commit="on") as first,
        postgresql.standby_of(first) as second,
        line_to(first.port) as line,
    ):
        first.run(f"CREATE DATABASE {NAMED} TEMPLATE template0")
        if every_commit:
            first.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
            first.run("SELECT pg_reload_conf()")
        first.passfile.write_text(f"127.0.0.1:*:*:*:{first.password}\n")
        made = Pair(first, second, line, folder)
        made.home("database", "copy", str(folder), made.url, "--use")
        yield made


def test_a_home_names_both_and_goes_on_with_the_one_that_writes(
    vault_home: Path, tmp_path: Path
) -> None:
    with pair(vault_home, tmp_path / "home") as both:
        ceremony = both.pay()
        both.sign(ceremony, "a")
        both.first.stop(signal.SIGKILL)
        said = both.sign(ceremony, "b", check=5).document["error"]
        assert said["code"] == "database_unreachable"
        both.second.promote()
        assert both.home("spend", "show", ceremony)["have"] == 1
        both.sign(ceremony, "b")
        assert both.home("custody", "verify")["valid"]
        txid = both.home("spend", "finalize", ceremony)["txid"]
        assert both.home("spend", "broadcast", ceremony)["txid"] == txid
        assert len(both.signatures()) == len(set(both.signatures()))


@pytest.mark.parametrize("after", [False, True], ids=["not-arrived", "not-answered"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_failover_while_cards_sign_loses_nothing(
    vault_home: Path, tmp_path: Path, part: float, *, after: bool
) -> None:
    with pair(vault_home, tmp_path / "home") as both:
        counting, first = Cut(both.line, -1, after=False, commits=True), both.pay()
        both.sign(first, "a", "b")
        ceremony = both.pay()
        Cut(both.line, max(1, int(counting.seen * part)), after=after, commits=True)
        both.line.strike = both.fail_over
        ended = both.sign(ceremony, "a", "b", check=None)
        assert ended.status in {0, 5}, ended
        mended(both.line)
        both.sign(ceremony, "a", "b", check=None)
        shown = both.home("spend", "show", ceremony)
        assert shown["complete"], shown
        assert both.home("custody", "verify")["valid"]
        assert not list((both.home.home / "undelivered").glob("*"))
        txid = both.home("spend", "finalize", ceremony)["txid"]
        assert both.home("spend", "broadcast", ceremony)["txid"] == txid == shown["txid"]


class Lost(NamedTuple):
    """A payment whose second signature the server that took over never had.

    `ben` is a home that saw no more than that server has, `head` the custody book's until then.
    """

    both: Pair
    ben: Asked
    ceremony: str
    head: str


@pytest.fixture
def lost(vault_home: Path, tmp_path: Path) -> Iterator[Lost]:
    with pair(vault_home, tmp_path / "home", every_commit=False) as both:
        ceremony = both.pay()
        both.sign(ceremony, "a")
        head = both.home("custody", "verify")["head"]
        ben = asking(tmp_path / "ben")
        ben("init", "--network", "regtest", "--database", both.url)
        ben("status")
        both.second.caught_up(both.first)
        both.second.hear_no_more()
        both.sign(ceremony, "b")
        assert both.home("spend", "show", ceremony)["complete"]
        both.fail_over()
        yield Lost(both, ben, ceremony, head)


def test_a_standby_that_lacks_the_last_commits_is_refused_by_who_saw_them(lost: Lost) -> None:
    home, ceremony = lost.both.home, lost.ceremony
    for words in (
        ("status",),
        ("spend", "sign", ceremony, "--emulated", "b", "--yes", "--pin-stdin"),
        ("spend", "finalize", ceremony),
        ("address", "new", "v"),
        ("custody", "record", "card:a", "seen"),
    ):
        error = home(*words, stdin=PIN, check=5)["error"]
        assert error["code"] == "book_rolled_back"
        assert "on the server ends at event" in error["message"]
        assert "cardquorum custody verify --head HASH --accept book_rolled_back" in error["hint"]
    taken = ("custody", "verify", "--accept", "book_rolled_back", "--head")
    assert not home(*taken, "ab" * 32, check=5)["valid"]
    assert home("status", check=5)["error"]["code"] == "book_rolled_back"
    assert home(*taken, lost.head)["valid"]
    assert home("spend", "show", ceremony)["have"] == 1
    lost.both.sign(ceremony, "b")
    txid = home("spend", "finalize", ceremony)["txid"]
    assert home("spend", "broadcast", ceremony)["txid"] == txid
    assert home("custody", "verify")["valid"]


def test_a_standby_that_lacks_commits_is_told_from_them_however_far_it_goes(lost: Lost) -> None:
    """Who saw no more than it has goes on; the book is another one then, and no shorter."""
    ben = lost.ben
    for _ in range(3):
        ben("custody", "record", "card:a", "seen")
    assert ben("custody", "verify")["valid"]
    error = lost.both.home("status", check=5)["error"]
    assert error["code"] == "book_rolled_back"
    assert "on the server has another event" in error["message"]
    taken = ("custody", "verify", "--accept", "book_rolled_back", "--head", lost.head)
    assert lost.both.home(*taken)["valid"]
    assert lost.both.home("spend", "show", lost.ceremony)["have"] == 1


def test_a_page_that_stands_open_meanwhile_notices_too(vault_home: Path, tmp_path: Path) -> None:
    with (
        pair(vault_home, tmp_path / "home", every_commit=False) as both,
        closing(OpenedHome(both.home.home)) as opened,
    ):
        both.second.caught_up(both.first)
        both.second.hear_no_more()
        with opened.database.begin() as db:
            custody_log.record(db, custody_log.NewEvent("card:a", "seen"))
        both.fail_over()
        for database in (opened.database, reading(opened.database), briefly(opened.database)):
            with pytest.raises(BookRolledBack), database.begin() as db:
                db.scalar(text("SELECT 1"))


def test_a_signature_given_while_such_a_standby_takes_over_is_kept_here(
    vault_home: Path, tmp_path: Path
) -> None:
    with pair(vault_home, tmp_path / "home", every_commit=False) as both:
        ceremony, home = both.pay(), both.home
        head = home("custody", "verify")["head"]
        both.second.caught_up(both.first)
        both.second.hear_no_more()
        home("custody", "record", "card:a", "seen")
        Cut(both.line, 1, after=False, commits=True)
        both.line.strike = both.fail_over
        ended = both.sign(ceremony, "a", check=5)
        mended(both.line)
        (card,) = ended.document["cards"]
        assert card["error"]["code"] == "signature_undelivered"
        assert home("status", check=5)["error"]["code"] == "book_rolled_back"
        taken = ("custody", "verify", "--accept", "book_rolled_back", "--head", head)
        assert home(*taken)["valid"]
        assert home("spend", "show", ceremony)["have"] == 1
        assert not list((home.home / "undelivered").glob("*"))
