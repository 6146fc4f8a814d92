"""Two computers with cards of one vault that share a database, made once and copied for each test.

Anna opened payment `hers` (signed by card a) and gave one up; ben opened `his`. Each approved the
other's key. What was there before they shared a database nobody signed.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import URL, make_url

from tests.program import PIN, Asked, asking, made_vault
from tests.servers.postgresql import Engines, Server

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


class Family(NamedTuple):
    """The two, the name of their database, and the payments that they opened."""

    anna: Asked
    ben: Asked
    database: str
    hers: str
    his: str
    given_up: str


def text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def pay(operator: Asked, amount: int) -> str:
    coin = next(
        each["outpoint"] for each in operator("coins", "v")["coins"] if not each["reserved_by"]
    )
    words = ("--to", f"{STRANGER}:{amount}", "--coin", coin, "--feerate", "2")
    made: str = operator("spend", "create", "v", *words)["ceremony"]
    return made


def introduce(one: Asked, other: Asked, name: str) -> None:
    """Have one operator approve another's key, as it was told."""
    key = other("operator", "show")["operator"]["key"]
    one("operator", "approve", name, "--key", key)


def made(folder: Path, server: Server) -> Family:
    """Make the two in a folder."""
    anna, ben = asking(folder / "anna"), asking(folder / "ben")
    made_vault(anna)
    database = server.database(lasting=True)
    url = text(server.url(database))
    anna("database", "copy", str(anna.home), url, "--use")
    ben("init", "--network", "regtest", "--database", url)
    (ben.home / "emulated").mkdir(exist_ok=True)
    for name in ("b", "c"):
        (anna.home / "emulated" / f"{name}.card").rename(ben.home / "emulated" / f"{name}.card")
    link(ben, anna)
    for operator, name in ((anna, "anna"), (ben, "ben")):
        operator("operator", "name", name)
    introduce(anna, ben, "ben")
    introduce(ben, anna, "anna")
    hers = pay(anna, 150_000)
    anna("spend", "sign", hers, "--emulated", "a", "--yes", "--pin-stdin", stdin=PIN)
    ben("vault", "approve", "v", "--checksum", anna("vault", "show", "v")["checksum"])
    his = pay(ben, 160_000)
    given_up = pay(anna, 170_000)
    anna("spend", "abandon", given_up)
    ben("custody", "record", "card:b", "seen", "--note", "in its bag")
    return Family(anna, ben, database, hers, his, given_up)


def link(ben: Asked, anna: Asked) -> None:
    """Have the second home see the first one's embedded chain."""
    (ben.home / "chain").symlink_to(anna.home / "chain")


def copied(family: Family, folder: Path, server: Server) -> Family:
    """Return a copy of the two with a database of their own."""
    database = server.database(family.database)
    homes = {}
    for each in (family.anna, family.ben):
        home = folder / each.home.name
        shutil.copytree(each.home, home, symlinks=True)
        remember(asking(home), family.database, database)
        homes[each.home.name] = asking(home)
    (homes["ben"].home / "chain").unlink()
    link(homes["ben"], homes["anna"])
    return family._replace(anna=homes["anna"], ben=homes["ben"], database=database)


def remember(operator: Asked, before: str, after: str) -> None:
    """Have a home remember in another database of the same server."""
    settings = operator.home / "settings.toml"
    settings.write_text(settings.read_text().replace(f"/{before}?", f"/{after}?"))


def in_files(family: Family, folder: Path) -> Iterator[Asked]:
    """Yield the two as homes with a file of their own that holds the same database."""
    for each in (family.anna, family.ben):
        home = asking(folder / f"{each.home.name}-file")
        home("init", "--network", "regtest")
        home("database", "copy", str(each.home), str(home.home))
        for kept in ("approval.key", "approvals.json"):
            shutil.copy(each.home / kept, home.home / kept)
        home("operator", "name", each.home.name)
        yield home


def served(on_server: Engines) -> Server:
    """Return the server of the tests."""
    return on_server.server


def url_of(operator: Asked) -> str:
    """Return the URL of the database that a home remembers in."""
    line = next(
        each
        for each in (operator.home / "settings.toml").read_text().splitlines()
        if each.startswith("database")
    )
    return line.split('"')[1]


def database_of(operator: Asked) -> str:
    """Return the name of the database that a home remembers in."""
    return str(make_url(url_of(operator)).database)
