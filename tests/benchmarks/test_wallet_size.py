"""A vault of 10,000 used addresses and 100,000 coins: what its size costs, as ratios in one run."""

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from coordinator import clock
from coordinator.chain import ChainUpdate, SeenTransaction, Tip, Watch
from coordinator.home import approvals
from coordinator.payment import creation
from coordinator.wallet import sync as wallet_sync
from coordinator.wallet.balance import balance
from coordinator.wallet.coin_list import coins
from coordinator.wallet.scripts import Counts, watched
from psbt.coins import Outpoint, Payment
from psbt.policy import RECEIVE, derive_scripts, format_descriptor
from psbt.transaction import Transaction, TransactionInput, TransactionOutput
from storage import chain as chain_book
from storage.model import Address, Record
from tests.benchmarks.clock import cpu
from tests.contracts.books import Book
from tests.psbt.soft_vault import PAYEE

pytestmark = pytest.mark.bench
ADDRESSES, COINS, AT_ONCE, ROUNDS = 10_000, 100_000, 1_000, 5
SCRIPTS = 1_000_000
TIP = Tip(200, f"{200:064x}")


class Told:
    """A chain source that has told everything already."""

    def __init__(self, transactions: tuple[SeenTransaction, ...]) -> None:
        self.transactions = transactions

    def sync(self, watch: Watch) -> ChainUpdate:
        reach = (len(watch.scripts), len(watch.scripts))
        told = () if watch.since else self.transactions
        return ChainUpdate(TIP, None, told, (min(reach[0], ADDRESSES + 100), 100))


def payments(book: Book, addresses: int, count: int) -> tuple[SeenTransaction, ...]:
    """Return transactions that pay so many coins, in turn to so many addresses."""
    policy = book.soft["v"].policy
    scripts = [s.script_pubkey for s in derive_scripts(policy, RECEIVE, range(addresses))]
    found = []
    for start in range(0, count, AT_ONCE):
        outputs = tuple(
            TransactionOutput(10_000 + number, scripts[number % addresses])
            for number in range(start, start + AT_ONCE)
        )
        source = TransactionInput(Outpoint(f"{start + 1:064x}", 0))
        made = Transaction((source,), outputs)
        found.append(SeenTransaction(made.txid, made.raw, 150, f"{150:064x}", 1_700_000_000))
    return tuple(found)


def filled(folder: Path, addresses: int, count: int) -> Book:
    book = Book(folder)
    book.add()
    approvals.approve_policy(book.home, "v", format_descriptor(book.soft["v"].policy))
    told = payments(book, addresses, count)
    with book.database.begin() as db:
        vault = book.vault(db)
        scripts = watched(db, vault, book.soft["v"].policy, least=Counts(addresses, 0))
        wallet_sync._apply(db, vault, ChainUpdate(TIP, None, told), scripts=scripts)
        chain_book.set_sync_state(db, vault, TIP.height, block_hash=TIP.hash, now=clock.now())
    return book


def best(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        start = cpu()
        run()
        times.append(cpu() - start)
    return min(times)


def command(book: Book, *words: str) -> Callable[[], object]:
    line = [sys.executable, "-m", "coordinator.cli", *words, "--home", str(book.home.folder)]
    return lambda: subprocess.run(line, check=True, capture_output=True)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    book = filled(tmp_path_factory.mktemp("large") / "home", ADDRESSES, COINS)
    yield book
    book.close()


def test_a_large_vault_answers_in_the_time_of_a_small_list(large: Book) -> None:
    """As processes: what a person waits for."""
    listing = best(command(large, "vault", "list"))
    to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:20000000"
    create = ("spend", "create", "v", "--to", to, "--feerate", "5", "--dry-run")
    ratios = {
        "balance": best(command(large, "balance")) / listing,
        "spend create": best(command(large, *create)) / listing,
    }
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"\nvault list 1.0, {ratios}, peak memory {peak} MiB")  # noqa: T201 -- the figures
    assert ratios["balance"] <= 2
    assert ratios["spend create"] <= 6


def test_growth_is_linear(tmp_path: Path) -> None:
    rows: dict[int, list[float]] = {}
    for count in (1_000, 10_000, 100_000):
        begun = cpu()
        book = filled(tmp_path / str(count), 1_000, count)
        first = cpu() - begun
        order = creation.Order("v", (Payment(PAYEE, 5_000_000),), 5_000)
        with book.database.begin() as db:
            vault = book.vault(db)
            quiet = Told(())
            rows[count] = [
                first,
                best(lambda: wallet_sync.sync(db, vault, quiet), 2),  # noqa: B023 -- run at once
                best(lambda: balance(db, vault), 2),  # noqa: B023 -- as above
                best(
                    lambda: creation.create(book.home, db, order, dry_run=True),  # noqa: B023 -- as above
                    2,
                ),
            ]
        rows[count].append(best(lambda: coins(book.database, "v"), 2))  # noqa: B023 -- as above
        book.close()
    names = ("first scan", "sync, no news", "balance", "spend create", "coins")
    print("\ncoins     " + "".join(f"{name:>16}" for name in names))  # noqa: T201 -- as above
    for count, times in rows.items():
        print(f"{count:<10}" + "".join(f"{seconds:>16.3f}" for seconds in times))  # noqa: T201 -- as above
    for smaller, larger in ((1_000, 10_000), (10_000, 100_000)):
        for small, big in zip(rows[smaller], rows[larger], strict=True):
            assert big <= 2 * 10 * small


def test_a_million_scripts_are_inserted_at_the_drivers_speed(tmp_path: Path) -> None:
    book = Book(tmp_path / "home")
    book.add()
    database = book.database
    table = Record.metadata.tables[Address.__tablename__]
    names = ("vault_id", "keychain", "index", "script_pubkey", "used")
    rows = [(1, 0, n, b"\x00\x20" + n.to_bytes(32, "big"), True) for n in range(SCRIPTS)]
    columns = ", ".join(f'"{name}"' for name in names)
    statement = f"INSERT INTO address ({columns}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 -- our own names

    def raw() -> float:
        with database() as db:
            cursor = db.connection().connection.cursor()
            return taken(lambda: cursor.executemany(statement, rows))

    def through_driver_sql() -> float:
        with database() as db:
            connection = db.connection()
            return taken(lambda: connection.exec_driver_sql(statement, rows))

    def through_core() -> float:
        given = [dict(zip(names, row, strict=True)) for row in rows]
        with database() as db:
            return taken(lambda: db.connection().execute(insert(table), given))

    bare, driver, core = raw(), through_driver_sql(), through_core()
    book.close()
    print(f"\nexecutemany 1.0, exec_driver_sql {driver / bare:.2f}, Core {core / bare:.2f}")  # noqa: T201 -- as above
    assert driver <= 1.5 * bare
    assert core <= 5 * bare


def taken(run: Callable[[], object]) -> float:
    start = cpu()
    run()
    return cpu() - start
