"""What can happen to a server and to the line, at each message and each commit: nothing is lost."""

import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from coordinator import clock
from tests.program import PIN, Asked, Ended, asking, run_program
from tests.sampled import further
from tests.servers import postgresql
from tests.servers.pgbouncer import pooling
from tests.servers.postgresql import Server
from tests.servers.proxy import Line, line_to

TO: Final = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:10000"
SECONDS: Final = 120
PINS: Final = f"a={PIN}\nb={PIN}\n"
SPOTS: Final = (0.6, 0.75)
"""Where in a verb the line is cut in `make test`, as parts of its messages."""


class Served(NamedTuple):
    """A home on a server with a payment that waits for cards, to be copied for each trial."""

    home: Path
    server: Server
    template: str
    ceremony: str

    def copy(self, folder: Path, line: Line, *, lasting: bool = False) -> Asked:
        """Return the home with a database of its own, behind a line, in place of the one before."""
        shutil.rmtree(folder, ignore_errors=True)
        self.server.drop_passing()
        shutil.copytree(self.home, folder)
        database = self.server.database(self.template, lasting=lasting)
        url = self.server.url(database).set(port=line.port)
        where = url.render_as_string(hide_password=False)
        lines = (folder / "settings.toml").read_text().splitlines()
        kept = [each for each in lines if not each.startswith("database")]
        (folder / "settings.toml").write_text("\n".join([*kept, f'database = "{where}"', ""]))
        return asking(folder)

    def signing(self, *labels: str) -> tuple[str, ...]:
        """Return the words that have cards sign."""
        where = [word for label in labels for word in ("--emulated", label)]
        return ("spend", "sign", self.ceremony, *where, "--yes", "--pin-stdin")


@pytest.fixture(scope="module")
def durable() -> Iterator[Server]:
    """A server that keeps what it committed when it is killed."""
    with postgresql.serve(synchronous_commit="on") as server:
        server.passfile.write_text(f"127.0.0.1:*:*:*:{server.password}\n")
        yield server


@pytest.fixture(scope="module")
def served(vault_home: Path, durable: Server, tmp_path_factory: pytest.TempPathFactory) -> Served:
    home = tmp_path_factory.mktemp("served") / "home"
    shutil.copytree(vault_home, home)
    template = durable.database(lasting=True)
    url = durable.url(template).render_as_string(hide_password=False)
    asked = asking(home)
    asked("database", "copy", str(home), url, "--use")
    made = asked("spend", "create", "v", "--to", TO, "--feerate", "2")["ceremony"]
    return Served(home, durable, template, made)


@pytest.fixture
def line(durable: Server) -> Iterator[Line]:
    with line_to(durable.port) as made:
        yield made


WRITTEN: Final = re.compile(rb"^(?!BEGIN ISOLATION).*\bCOMMIT\0$", re.DOTALL)
"""A message that ends a transaction which wrote, with what waited for it."""


class Cut:
    """Cuts a line once, at its n-th message or commit, before the server has it or after."""

    def __init__(self, line: Line, at: int, *, after: bool, commits: bool = False) -> None:
        self.seen, self._at, self._commits = 0, at, commits
        self._lock = threading.Lock()
        setattr(line, "cut_after" if after else "cut_before", self)

    def __call__(self, kind: bytes, body: bytes) -> bool:
        """Tell whether it is cut here."""
        if self._commits and not (kind == b"Q" and WRITTEN.search(body)):
            return False
        with self._lock:
            self.seen += 1
            return self.seen == self._at


def mended(line: Line) -> None:
    line.cut_before = line.cut_after = None
    line.strike = lambda: None


def sign(home: Asked, served: Served, *labels: str, check: int | None = 0) -> Ended:
    pins = "".join(f"{label}={PIN}\n" for label in labels)
    return run_program(home.home, "--json", *served.signing(*labels), stdin=pins, check=check)


def whole(home: Asked, served: Served) -> None:
    """Go on after a fault: nothing is lost or half-written, and the payment gets signed."""
    sign(home, served, "a", "b", check=None)
    shown = home("spend", "show", served.ceremony)
    assert shown["complete"], shown
    assert home("custody", "verify")["valid"]
    assert home("status")["due"] is not None
    assert not list((home.home / "undelivered").glob("*"))
    assert home("spend", "finalize", served.ceremony)["txid"] == shown["txid"]


def messages(served: Served, line: Line, folder: Path, *, commits: bool) -> int:
    """Return how many messages, or commits, it takes to have two cards sign."""
    counting = Cut(line, -1, after=False, commits=commits)
    sign(served.copy(folder, line), served, "a", "b")
    mended(line)
    return counting.seen


def cut(served: Served, line: Line, folder: Path, *, at: int, after: bool) -> None:
    home = served.copy(folder, line)
    Cut(line, at, after=after)
    ended = sign(home, served, "a", "b", check=None)
    assert ended.status in {0, 5}, ended
    assert "Traceback" not in ended.err
    mended(line)
    whole(home, served)


@pytest.mark.parametrize("after", [False, True], ids=["not-arrived", "not-answered"])
def test_the_line_may_be_cut_within_a_verb(
    served: Served, line: Line, tmp_path: Path, *, after: bool
) -> None:
    count = messages(served, line, tmp_path / "home", commits=False)
    for spot in SPOTS[after::2]:
        cut(served, line, tmp_path / "home", at=int(count * spot), after=after)


@pytest.mark.matrix
@pytest.mark.parametrize("after", [False, True], ids=["not-arrived", "not-answered"])
def test_the_line_may_be_cut_at_every_message(
    served: Served, line: Line, tmp_path: Path, *, after: bool
) -> None:
    for at in range(1, messages(served, line, tmp_path / "home", commits=False) + 1):
        cut(served, line, tmp_path / "home", at=at, after=after)


PAY: Final = ("spend", "create", "v", "--to", TO, "--feerate", "2")


@pytest.fixture(scope="module")
def stages(served: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Served]:
    """The home before each further step of the payment, by the step."""
    found = {"create": served}
    for before, step in (("create", "finalize"), ("finalize", "broadcast")):
        folder = tmp_path_factory.mktemp(step) / "home"
        with line_to(served.server.port) as line:
            home = found[before].copy(folder, line, lasting=True)
            if step == "finalize":
                sign(home, served, "a", "b")
            else:
                home("spend", "finalize", served.ceremony)
        settings = (folder / "settings.toml").read_text()
        template = settings.rpartition("/")[2].partition("?")[0]
        found[step] = served._replace(home=folder, template=template)
    return found


def step_words(step: str, ceremony: str) -> tuple[str, ...]:
    return PAY if step == "create" else ("spend", step, ceremony)


def cut_step(staged: Served, line: Line, folder: Path, step: str, *, at: int, after: bool) -> None:
    """Cut the line in a step of a payment; what follows leads to a transaction that was sent."""
    home, words = staged.copy(folder, line), step_words(step, staged.ceremony)
    Cut(line, at, after=after)
    ended = run_program(home.home, "--json", *words, check=None)
    assert ended.status in {0, 5}, ended
    if ended.status:
        assert ended.document["error"]["code"] in {"database_unreachable", "commit_unknown"}
    mended(line)
    again, ceremony = home(*words), staged.ceremony
    if step == "create":
        ceremony = again["ceremony"]
        run_program(home.home, *staged._replace(ceremony=ceremony).signing("a", "b"), stdin=PINS)
        home("spend", "finalize", ceremony)
    sent = home("spend", "broadcast", ceremony)["txid"]
    for each in home("spend", "list")["ceremonies"]:
        shown = home("spend", "show", each["id"])
        assert (shown["txid"], shown["state"]) == (sent, "broadcast") or each["id"] != ceremony
    held = {each["reserved_by"] for each in home("coins", "v")["coins"]} - {None}
    assert held <= {each["id"] for each in home("spend", "list")["ceremonies"]}
    assert home("custody", "verify")["valid"]


def messages_of(staged: Served, line: Line, folder: Path, step: str) -> int:
    """Return how many messages a step takes."""
    home, counting = staged.copy(folder, line), Cut(line, -1, after=False)
    home(*step_words(step, staged.ceremony))
    mended(line)
    return counting.seen


@pytest.mark.parametrize("after", further(True, False))
@pytest.mark.parametrize("step", further("broadcast", "create", "finalize"))
@pytest.mark.parametrize("every", further(1000, 1))
def test_the_line_may_be_cut_in_each_step_of_a_payment(
    stages: dict[str, Served], line: Line, tmp_path: Path, step: str, every: int, *, after: bool
) -> None:
    count = messages_of(stages[step], line, tmp_path / "home", step)
    for at in range(min(every, count * 3 // 4), count + 1, every):
        cut_step(stages[step], line, tmp_path / "home", step, at=at, after=after)


def killed(served: Served, line: Line, folder: Path, *, at: int, after: bool, client: bool) -> None:
    """Kill the program, or the server with all its processes, at a commit; then go on."""
    home = served.copy(folder, line)
    Cut(line, at, after=after, commits=True)
    words = ["--home", str(home.home), "--json", *served.signing("a", "b")]
    running = subprocess.Popen(
        [sys.executable, "-m", "coordinator.cli", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    line.strike = running.kill if client else lambda: served.server.stop(signal.SIGKILL)
    running.communicate(f"a={PIN}\nb={PIN}\n".encode(), SECONDS)
    mended(line)
    if not client:
        served.server.start()
    assert running.returncode == (-signal.SIGKILL if client else 5)
    whole(home, served)


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(True, id="program"),
        pytest.param(False, id="server", marks=pytest.mark.matrix),
    ],
)
def test_program_or_server_may_be_killed_at_a_commit(
    served: Served, line: Line, tmp_path: Path, *, client: bool
) -> None:
    count = messages(served, line, tmp_path / "home", commits=True)
    killed(served, line, tmp_path / "home", at=count // 2, after=False, client=client)


@pytest.mark.matrix
def test_a_server_killed_while_the_outcome_is_read_is_said(
    served: Served, line: Line, tmp_path: Path
) -> None:
    """What is kept by then nobody could look up: no number may be told as if it were known."""
    last = messages(served, line, tmp_path / "home", commits=True)
    killed(served, line, tmp_path / "home", at=last, after=False, client=False)


@pytest.mark.matrix
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("client", [True, False], ids=["program", "server"])
def test_program_or_server_may_be_killed_at_every_commit(
    served: Served, line: Line, tmp_path: Path, *, client: bool, after: bool
) -> None:
    for at in range(1, messages(served, line, tmp_path / "home", commits=True) + 1):
        killed(served, line, tmp_path / "home", at=at, after=after, client=client)


@pytest.mark.parametrize("mode", further("transaction", "session"))
def test_pgbouncer_is_refused_in_a_sentence(
    served: Served, line: Line, tmp_path: Path, mode: str
) -> None:
    home = served.copy(tmp_path / "home", line)
    with pooling(served.server, mode) as port:
        settings = home.home / "settings.toml"
        settings.write_text(settings.read_text().replace(f":{line.port}/", f":{port}/"))
        error = home("status", check=5)["error"]
    assert "a connection pooler stands before the database" in error["message"]


@pytest.mark.parametrize("minutes", further(-11, -9, 9, 11))
def test_a_clock_of_the_server_that_is_off_is_said(
    served: Served, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    home = served.copy(tmp_path / "home", line)
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(minutes=minutes))
    said = [each for each in home("status")["due"] if "clock of the database" in each]
    assert len(said) == (abs(minutes) > 10)


FAULTS: Final = {
    "a full disk": ("53100", "No space left on device", "storage_error"),
    "a cancelled statement": ("57014", "canceling statement", "database_unreachable"),
    "a server that stops": ("57P01", "terminating connection", "database_unreachable"),
    "a standby": ("25006", "cannot execute INSERT", "read_only"),
}


@pytest.mark.parametrize("fault", further(*FAULTS))
def test_what_a_server_refuses_is_kept_here(
    served: Served, line: Line, tmp_path: Path, fault: str
) -> None:
    state, said, code = FAULTS[fault]
    home = served.copy(tmp_path / "home", line)
    name = (home.home / "settings.toml").read_text().rpartition("/")[2].partition("?")[0]
    raised = f"RAISE EXCEPTION '{said}' USING ERRCODE = '{state}'"
    served.server.run(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {raised}; END $$; CREATE TRIGGER fail BEFORE INSERT ON signature"
        " EXECUTE FUNCTION fail(); CREATE TRIGGER fail BEFORE INSERT ON custody_event"
        " EXECUTE FUNCTION fail()",
        name,
    )
    ended = sign(home, served, "a", check=5)
    (card,) = ended.document["cards"]
    assert card["error"]["code"] == "signature_undelivered"
    assert said in card["error"]["message"]
    assert home("custody", "record", "card:a", "seen", check=5)["error"]["code"] == code
    served.server.run("DROP FUNCTION fail() CASCADE", name)
    whole(home, served)


@pytest.mark.matrix
def test_a_database_that_becomes_read_only_is_read(
    served: Served, line: Line, tmp_path: Path
) -> None:
    home = served.copy(tmp_path / "home", line)
    name = (home.home / "settings.toml").read_text().rpartition("/")[2].partition("?")[0]
    served.server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert home("spend", "show", served.ceremony)["have"] == 0
    assert sign(home, served, "a", check=5).document["error"]["code"] == "read_only"
    served.server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    whole(home, served)
