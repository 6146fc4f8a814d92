"""Homes of every kind that the page has to show, each with something to see on every page."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.cli import test_branches as later_keys
from tests.cli import test_taproot as leaves
from tests.cli.family import copied, made
from tests.cli.test_other_wallets import watched
from tests.program import PIN, Asked, asking, made_vault, prove_keys
from tests.servers import postgresql

STRANGER: Final = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
SEALING: Final = "home.passphrase=correct horse battery\n"
LONG: Final = "the-longest-name-that-anybody-may-give-a"


def paid(asked: Asked, name: str, *labels: str, last: bool = False) -> str:
    """Have a payment signed by the cards named; sent with `last`. Return its id."""
    words = ("--to", f"{STRANGER}:100000", "--feerate", "2")
    payment: str = asked("spend", "create", name, *words)["ceremony"]
    if labels:
        later_keys.sign(asked, payment, *labels)
    if last:
        asked("spend", "finalize", payment)
        asked("spend", "broadcast", payment)
    return payment


def usual(folder: Path) -> Asked:
    """A vault with a payment that waits, one half signed, one given up, a card lost, a drill."""
    asked = asking(folder / "home")
    made_vault(asked)
    prove_keys(asked)
    paid(asked, "v", "a", "b", last=True)
    paid(asked, "v", "a")
    asked("spend", "abandon", paid(asked, "v"))
    asked("emulate", "new", "tapsigner", "fresh")
    asked("emulate", "new", "satochip", "new", "--no-setup")
    asked("drill", "start", "v")
    return asked


def robbed(folder: Path) -> Asked:
    """The usual one, a card of which was stolen and is being replaced; names are long."""
    asked = usual(folder)
    asked("location", "add", LONG, "--kind", "office")
    asked("custody", "record", "card:c", "placed", "--at", LONG)
    enrolling = ("--emulated", "fresh", "--pin-stdin")
    asked("card", "enrol", LONG, *enrolling, stdin=PIN)
    asked("card", "stolen", "b")
    asked("replace", "start", "v", "--card", "b", "--with", LONG, "--feerate", "3")
    return asked


def empty(folder: Path) -> Asked:
    """A home of nothing yet."""
    asked = asking(folder / "home")
    asked("init", "--network", "regtest")
    return asked


def taproot(folder: Path) -> Asked:
    """A vault in a leaf of taproot, with a payment half signed."""
    asked = asking(folder / "home")
    leaves.made_leaf(asked)
    leaves.create(asked)
    leaves.fund(asked, coins=2)
    asked("sync")
    paid(asked, "w", "b")
    return asked


def later(folder: Path) -> Asked:
    """A vault with later keys in two stages, a coin that waited long enough and one not."""
    asked = asking(folder / "home")
    later_keys.made_branches(asked)
    later_keys.create(asked, *later_keys.TWO_STAGES)
    later_keys.fund(asked)
    asked("regtest", "mine", "12")
    later_keys.fund(asked)
    asked("sync")
    paid(asked, "w", "a")
    return asked


def operators(folder: Path) -> Asked:
    """One of two operators who share a database."""
    server = SERVERS[0]
    family = copied(made(folder, server), folder / "copy", server)
    return family.ben


def watching(folder: Path) -> Asked:
    """A home that watches a vault of which it knows no card."""
    source = asking(folder / "home")
    made_vault(source)
    asked = watched(folder, source("vault", "show", "v")["descriptor"])
    shutil.rmtree(asked.home / "emulated")
    shutil.rmtree(asked.home / "chain", ignore_errors=True)
    (asked.home / "chain").symlink_to(source.home / "chain")
    asked("vault", "approve", "w", "--checksum", source("vault", "show", "v")["checksum"])
    asked("sync", "--rescan", check=None)
    paid(asked, "w")
    return asked


def sealed(folder: Path) -> Asked:
    """The usual one, its names of places and people sealed."""
    asked = usual(folder)
    asked("custody", "seal", "--pin-stdin", stdin=SEALING)
    return asked


def asks(asked: Asked, chain: str) -> Asked:
    """Have a home ask another chain than the embedded one."""
    settings = asked.home / "settings.toml"
    settings.write_text(settings.read_text().replace('"regtest:"', f'"{chain}"'))
    return asked


def offline(folder: Path) -> Asked:
    """The usual one, which asks no chain; one payment is all signed, one finished."""
    asked = usual(folder)
    paid(asked, "v", "a", "b")
    asked("spend", "finalize", paid(asked, "v", "a", "b"))
    return asks(asked, "none:")


def away(folder: Path) -> Asked:
    """The usual one, whose chain does not answer."""
    asked = usual(folder)
    paid(asked, "v", "a", "b")
    return asks(asked, NOWHERE)


def imported(folder: Path) -> Asked:
    """A vault that came from another wallet, whose cards are known, and that nobody compared."""
    source = asking(folder / "home")
    made_vault(source)
    asked = watched(folder, source("vault", "show", "v")["descriptor"])
    for label in "abc":
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    shutil.rmtree(asked.home / "chain", ignore_errors=True)
    shutil.copytree(source.home / "chain", asked.home / "chain")
    asked("sync", "--rescan", "1", check=None)
    return asked


def named_oddly(folder: Path) -> Asked:
    """The usual one, each text of others in which is mark-up and turns what follows round."""
    asked = usual(folder)
    address = asked("address", "list", "v")["addresses"][0]["address"]
    asked("label", "set", address, odd(1))
    asked("location", "edit", "at-a", "--region", odd(2), "--access", odd(3))
    asked("holder", "add", "aunt", "--contact", odd(4))
    words = ("--note", odd(5), "--seal", "4711", "--by", "aunt")
    asked("custody", "record", "card:a", "sealed", "--at", "at-a", *words)
    wish = ("--to", f"{STRANGER}:20000", "--feerate", "2", "--note", odd(8))
    made = asked("spend", "create", "v", *wish)
    asked("label", "set", made["review"]["inputs"][0]["outpoint"], odd(9))
    asked("label", "set", asked("history", "v")["transactions"][0]["txid"], odd(10))
    return asked


def mainnet(folder: Path) -> Asked:
    """A home of real money that asks no chain, and watches a vault of which it knows no card."""
    asked = asking(folder / "home")
    asked("init", "--network", "mainnet", "--chain", "none:")
    (vault,) = (
        each
        for each in json.loads(KIT.read_text())["backups"]
        if each["name"] == "2-of-3 on mainnet"
    )
    keys = ",".join(f"{each}/<0;1>/*" for each in vault["keys"])
    asked("vault", "import", "-", "--name", "w", stdin=f"wsh(sortedmulti(2,{keys}))")
    return asked


def odd(number: int) -> str:
    """Return a text that would show as something else, were it not made visible."""
    return f'\u202e<b onclick="x">{number}</b>\u200b&'


KIT: Final = Path(__file__).parents[1] / "vectors" / "kit.json"
NOWHERE: Final = "bitcoind+http://127.0.0.1:1?cookie=/nonexistent/cookie"
READ_ONLY: Final = "read-only"
SERVERS: list[postgresql.Server] = []
"""The server that operators share, once a test has one."""
HOMES: Final[dict[str, Callable[[Path], Asked]]] = {
    "usual": usual,
    "robbed": robbed,
    "empty": empty,
    "taproot": taproot,
    "later": later,
    "operators": operators,
    "watching": watching,
    "sealed": sealed,
    "offline": offline,
    "away": away,
    "imported": imported,
    "named-oddly": named_oddly,
    "mainnet": mainnet,
    READ_ONLY: usual,
}
