"""A server dies in the middle of a ceremony, its standby takes over: nothing is lost or twice."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.cli.test_server_faults import TO, Cut, mended
from tests.program import PIN, Ended, asking, run_program
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
def pair(vault_home: Path, folder: Path) -> Iterator[Pair]:
    shutil.copytree(vault_home, folder)
    with (
        postgresql.serve(synchronous_commit="on") as first,
        postgresql.standby_of(first) as second,
        line_to(first.port) as line,
    ):
        first.run(f"CREATE DATABASE {NAMED} TEMPLATE template0")
        first.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
        first.run("SELECT pg_reload_conf()")
        hosts = f"host=127.0.0.1:{line.port}&host=127.0.0.1:{second.port}"
        url = f"postgresql+psycopg://owner@/{NAMED}?{hosts}&passfile={first.passfile}"
        first.passfile.write_text(f"127.0.0.1:*:*:*:{first.password}\n")
        made = Pair(first, second, line, folder)
        made.home("database", "copy", str(folder), url, "--use")
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
