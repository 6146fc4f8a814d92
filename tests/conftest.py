"""Homes and vaults for tests that run the program."""

import atexit
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cards.pcscd import SOCKET_VARIABLE
from coordinator.home.settings import Home
from storage.database import open_database
from tests import chance
from tests.on_each_engine import SUITES, ServedHomes
from tests.program import Asked, Program, asking, made_vault, run_program
from tests.servers import postgresql
from tests.servers.postgresql import MEMORY, Engines

HERE = Path(__file__).parent
ENOUGH = 2 << 30
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH:
    tempfile.tempdir = str(MEMORY)  # every home is written through to the disk: here that is quick

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a run in the background: so would programs
    signal.signal(signal.SIGINT, signal.default_int_handler)

READERS = Path(tempfile.mkdtemp(prefix="cardquorum-tests-"))
"""Where the tests' own PC/SC service lies: told before libpcsclite is first used, and for good."""
os.environ[SOCKET_VARIABLE] = str(READERS / "run" / "pcscd" / "pcscd.comm")
atexit.register(shutil.rmtree, READERS, ignore_errors=True)

settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")  # on a busy machine an example takes as long as it takes

GARBAGE_LOOKED_FOR_AFTER = 50_000
"""New objects. What was collected stays to the end: to look through it took a twelfth of a run."""


def pytest_collection_finish() -> None:
    """Have the search for garbage leave out all that is there before the first test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_LOOKED_FOR_AFTER, 20, 20)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that has the tests draw other random numbers than in each run before."""
    parser.addoption("--chance", default="1", help="what each test's random numbers follow from")


def pytest_configure() -> None:
    chance.replace_random_bytes()


def pytest_report_header(config: pytest.Config) -> str:
    """Return what has to be given to see a run's random numbers again."""
    return f"random numbers: --chance {config.getoption('chance')}"


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Have a fixture draw the same whichever test is the first to want it."""
    own = fixturedef.scope == "function"
    whose = request.node.nodeid if own else os.environ.get("PYTEST_XDIST_WORKER", "")
    chosen = str(getattr(request, "param", ""))
    with chance.following(request.config.getoption("chance"), fixturedef.argname, chosen, whose):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Have a test draw the same in each run."""
    with chance.following(item.config.getoption("chance"), item.nodeid):
        return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are processors: workers wait for readers and terminals, too."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Run the program in an empty home."""

    def run(*words: str, stdin: str = "", check: int | None = 0) -> object:
        return run_program(tmp_path / "home", *words, stdin=stdin, check=check)

    return run


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    """Run a command with --json in an empty home and return its one document."""
    return asking(tmp_path / "home")


@pytest.fixture(scope="session")
def vault_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regtest home with three enrolled, placed cards and a funded 2-of-3 vault, made once."""
    home = tmp_path_factory.mktemp("vault") / "home"
    made_vault(asking(home))
    return home


@pytest.fixture
def vault(vault_home: Path, tmp_path: Path) -> Asked:
    """A copy of that home, for one test."""
    shutil.copytree(vault_home, tmp_path / "home")
    return asking(tmp_path / "home")


@pytest.fixture(scope="session")
def on_server() -> Iterator[Engines]:
    """A PostgreSQL server of the tests' own; a test that wants it is left out where none is."""
    with postgresql.serve() as server:
        template = server.database(lasting=True)
        open_database(server.url(template)).kw["bind"].dispose()
        yield Engines(server, template)


@pytest.fixture(autouse=True)
def passing_databases() -> Iterator[None]:
    """Keep no database on a server longer than the test it was made for."""
    yield
    postgresql.drop_passing()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have suites that open homes run on a server too, in `make test-all`."""
    path = Path(metafunc.module.__file__ or "")
    if path.relative_to(HERE).with_suffix("").as_posix() in SUITES:
        metafunc.fixturenames.insert(0, "engine")
        server = pytest.param("postgresql", marks=pytest.mark.matrix)
        metafunc.parametrize("engine", ["sqlite", server], indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let every home of a test remember on a server, unless it is of SQLite."""
    if request.param == "postgresql":
        homes = ServedHomes(request.getfixturevalue("on_server"))
        monkeypatch.setattr(Home, "database_url", property(homes.url))
        monkeypatch.setattr(Home, "server", property(homes.server))
    return str(request.param)
