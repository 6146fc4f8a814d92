"""What the guide does besides commands: whom to ask for the chain, and the vault from paper."""

import importlib.util
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote

from coordinator.cli.context import Context, Globals
from coordinator.cli.prompts import DECISION, Choice, ask_text, choose, paragraph

if TYPE_CHECKING:
    from coordinator.guide.facts import GuideFacts, VaultStanding

NODE: Final = "127.0.0.1"
NODE_PORTS: Final = {"mainnet": 8332, "testnet4": 48332, "signet": 38332, "regtest": 18443}
DATA_FOLDERS: Final = ("~/.bitcoin", "~/Library/Application Support/Bitcoin")
NODE_SECONDS: Final = 0.5
NONE: Final = "none:"
LEARNS: Final = "it learns your addresses and how much is there, and nothing that spends"
BDK: Final = "bdkpython"


class Run(Protocol):
    """Runs a command of the guide's home; `shows` prints its result."""

    def __call__(self, words: Sequence[str], /, *, shows: bool = True) -> bool:
        """Tell whether it ended well."""
        ...


def chosen_chain(network: str) -> str:
    """Ask whom the program asks for the block chain of a network; return the URL."""
    from coordinator.chain.url import parse_url
    from coordinator.errors import SettingsError
    from coordinator.recovery.steps import SERVERS

    server = SERVERS[network]
    own = _own_node(network)
    embedded = parse_url(server).host == ""
    named = "A block chain of software, inside this folder" if embedded else parse_url(server).host
    choices = [
        *([Choice(own, "Your own node, found on this computer")] if own else []),
        Choice(server, named if embedded else f"The server {named}"),
        Choice("", "Another node or server"),
        Choice(NONE, "Nobody: coins come by file"),
    ]
    paragraph(
        "Whom shall this computer ask for the block chain? Your own node tells nobody anything. Of "
        f"a server: {LEARNS}."
    )

    def wrong(typed: str) -> str | None:
        try:
            parse_url(typed)
        except SettingsError as failure:
            return str(failure)
        return None

    while True:
        answer = choose("Whom to ask:", choices, mark=DECISION)
        answer = answer or ask_text("Its URL, as in docs/chain.md:", check=wrong)
        if not _wants_package(answer):
            return answer
        paragraph(
            "Asking it needs one more package. In another window, then choose again: "
            f"{sys.executable} -m pip install {BDK}"
        )


def _wants_package(url: str) -> bool:
    """Tell whether a chain is asked through a package that is not installed."""
    from coordinator.chain.url import CORE, EMBEDDED, OFFLINE, parse_url

    through_bdk = parse_url(url).scheme not in {CORE, EMBEDDED, OFFLINE}
    return through_bdk and importlib.util.find_spec(BDK) is None


def _own_node(network: str) -> str | None:
    """Return the URL of a Bitcoin Core that answers here and keeps its cookie at the usual place.

    Nothing is sent to it.
    """
    within = "" if network == "mainnet" else f"{network}/"
    for folder in DATA_FOLDERS:
        cookie = f"{folder}/{within}.cookie"
        if Path(cookie).expanduser().is_file():
            try:
                socket.create_connection((NODE, NODE_PORTS[network]), NODE_SECONDS).close()
            except OSError:
                continue
            return (
                f"bitcoind+http://{NODE}:{NODE_PORTS[network]}?cookie={quote(cookie, safe='~/.')}"
            )
    return None


def rebuilt(
    folder: Path,
    kits: Path,
    facts: "GuideFacts",
    vault: "VaultStanding",
    run: "Run",
) -> None:
    """Rebuild a vault from its kit in an empty home that is thrown away, and compare the two.

    Raises KeyboardInterrupt where they differ: nothing may be paid to it before that is mended.
    """
    paragraph("First the paper is tried: the vault is rebuilt from its kit in an empty folder.")
    name = vault.name
    found = sorted(kits.glob(f"{name}-*/{name}-descriptor.txt"))
    found = found or sorted(kits.glob(f"{name}-*/{name}-encrypted.txt"))
    if not found:
        paragraph(f"No kit of {name} is in {kits}: print one again to try it.")
        return
    key = [] if found[0].name.endswith("descriptor.txt") else ["--key", _xpub(folder, name)]
    with tempfile.TemporaryDirectory() as empty:
        home = ["--home", str(Path(empty) / "home"), "--quiet"]
        run(["init", "--network", str(facts.network), "--chain", NONE, *home], shows=False)
        run(["recover", str(found[0]), "--name", name, *key, *home], shows=False)
        same = _seen(Path(empty) / "home", name) == _seen(folder, name)
    if not same:
        paragraph("The vault from paper is NOT the one of this home. Stop, and pay nothing to it.")
        raise KeyboardInterrupt
    paragraph("It is the same vault, with the same first addresses: the paper is enough.")


def _seen(folder: Path, name: str) -> tuple[str, list[str]]:
    """Return a vault's checksum and first addresses, computed from its keys."""
    from coordinator.home.stored_policies import computed_checksum
    from coordinator.recovery.recover import first_addresses
    from storage import vaults as vault_book

    with closing(Context(Globals(home=folder))) as opened, opened.database.begin() as db:
        vault = vault_book.vault_named(db, name)
        return computed_checksum(vault) or "", first_addresses(vault)


def _xpub(folder: Path, name: str) -> str:
    """Return a key of a vault: what any of its cards would tell."""
    from coordinator.home.stored_policies import stored_policy
    from psbt.keys import format_xpub
    from storage import vaults as vault_book

    with closing(Context(Globals(home=folder))) as opened, opened.database.begin() as db:
        policy = stored_policy(vault_book.vault_named(db, name))
        return format_xpub(policy.keys[0].key, policy.network)
