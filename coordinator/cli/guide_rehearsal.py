"""What the guide does besides commands: whom to ask for the chain, and the vault from paper."""

import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coordinator.cli.context import Context, Globals
from coordinator.cli.prompts import Choice, ask_text, choose, paragraph

if TYPE_CHECKING:
    from coordinator.guide.facts import GuideFacts, VaultStanding

OWN_NODE: Final = ("127.0.0.1", 8332)
COOKIE: Final = "~/.bitcoin/.cookie"
NODE_SECONDS: Final = 0.5
NONE: Final = "none:"
LEARNS: Final = "it learns your addresses and how much is there, and nothing that spends"


def chosen_chain() -> tuple[str, str]:
    """Ask whom the program asks for the block chain; return network and URL."""
    from coordinator.chain.url import parse_url
    from coordinator.errors import SettingsError
    from coordinator.recovery.steps import SERVERS

    server = SERVERS["mainnet"]
    own = [Choice(f"bitcoind+http://127.0.0.1:8332?cookie={COOKIE}", "Your own node, found here")]
    choices = [
        *(own if _has_own_node() else []),
        Choice(server, f"The server {parse_url(server).host}"),
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

    answer = choose("Whom to ask:", choices)
    return "mainnet", answer or ask_text("Its URL, as in chain/README.md:", check=wrong)


def _has_own_node() -> bool:
    """Tell whether Bitcoin Core answers on this computer and keeps its cookie where it usually is.

    Nothing is sent to it.
    """
    if not Path(COOKIE).expanduser().is_file():
        return False
    try:
        socket.create_connection(OWN_NODE, NODE_SECONDS).close()
    except OSError:
        return False
    return True


def rebuilt(
    folder: Path,
    kits: Path,
    facts: "GuideFacts",
    vault: "VaultStanding",
    run: Callable[[Sequence[str]], bool],
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
        run(["init", "--network", str(facts.network), "--chain", NONE, *home])
        run(["recover", str(found[0]), "--name", name, *key, *home])
        same = _seen(Path(empty) / "home", name) == _seen(folder, name)
    if not same:
        paragraph("The vault from paper is NOT the one of this home. Stop, and pay nothing to it.")
        raise KeyboardInterrupt
    paragraph("It is the same vault, with the same first addresses: the paper is enough.")


def _seen(folder: Path, name: str) -> tuple[str, list[str]]:
    """Return a vault's checksum and first addresses, computed from its keys."""
    from coordinator.home.stored import computed_checksum
    from coordinator.recovery.recover import first_addresses
    from storage import vaults as vault_book

    with closing(Context(Globals(home=folder))) as opened, opened.database.begin() as db:
        vault = vault_book.vault_named(db, name)
        return computed_checksum(vault) or "", first_addresses(vault)


def _xpub(folder: Path, name: str) -> str:
    """Return a key of a vault: what any of its cards would tell."""
    from coordinator.home.stored import stored_policy
    from psbt.keys import format_xpub
    from storage import vaults as vault_book

    with closing(Context(Globals(home=folder))) as opened, opened.database.begin() as db:
        policy = stored_policy(vault_book.vault_named(db, name))
        return format_xpub(policy.keys[0].key, policy.network)
