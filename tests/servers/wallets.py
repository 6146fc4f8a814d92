"""The daemon's wallets: made, loaded, unloaded, listed; and which of them is asked."""

from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.servers.rpc import RpcError
from tests.servers.shapes import Json
from tests.servers.wallet import Wallet, read_wallet

if TYPE_CHECKING:
    from tests.servers.daemon import Daemon

WALLET_ERROR = -4
WALLET_NOT_FOUND = -18
WALLET_NOT_SPECIFIED = -19
ALREADY_LOADED = -35
PATH = "/wallet/"
NONE_LOADED = (
    "No wallet is loaded. Load a wallet using loadwallet or create a new one with createwallet."
    " (Note: A default wallet is no longer automatically created)"
)
MANY_LOADED = (
    "Multiple wallets are loaded. Please select which wallet to use by requesting the RPC through"
    " the /wallet/<walletname> URI path."
)
NOT_LOADED = "Requested wallet does not exist or is not loaded"
BEYOND_PRUNED = (
    "Prune: last wallet synchronisation goes beyond pruned data. You need to -reindex (download"
    " the whole blockchain again in case of a pruned node)"
)


def createwallet(
    daemon: "Daemon",
    wallet_name: str,
    disable_private_keys: bool = False,  # noqa: FBT001, FBT002 -- Core's own
    blank: bool = False,  # noqa: ARG001, FBT001, FBT002 -- Core's own
    passphrase: str | None = None,
    avoid_reuse: bool = False,  # noqa: ARG001, FBT001, FBT002 -- Core's own
    descriptors: bool = True,  # noqa: FBT001, FBT002 -- Core's own
    load_on_startup: bool = False,  # noqa: FBT001, FBT002 -- Core's own
) -> Json:
    if not (disable_private_keys and descriptors):
        raise RpcError(WALLET_ERROR, "this test server makes watch-only descriptor wallets")
    file = daemon.wallet_file(wallet_name)
    if file.exists():
        raise RpcError(
            WALLET_ERROR, _unverified("create", daemon, wallet_name, "Database already exists.")
        )
    tip = daemon.view().ledger.tip.hash
    wallet = daemon.loaded[wallet_name] = Wallet(wallet_name, file, load_on_startup, tip)
    wallet.save()
    warning = "Empty string given as passphrase, wallet will not be encrypted."
    return {"name": wallet_name} | ({"warnings": [warning]} if passphrase == "" else {})


def loadwallet(daemon: "Daemon", filename: str, load_on_startup: bool | None = None) -> Json:  # noqa: FBT001 -- Core's own
    if filename in daemon.loaded:
        raise RpcError(ALREADY_LOADED, f'Wallet "{filename}" is already loaded.')
    file = daemon.wallet_file(filename)
    if not file.exists():
        raise RpcError(
            WALLET_NOT_FOUND, _unverified("load", daemon, filename, "Path does not exist.")
        )
    wallet, ledger = read_wallet(file), daemon.view().ledger
    if ledger.fork_height(wallet.tip) < daemon.pruned_below - 1:
        raise RpcError(WALLET_ERROR, BEYOND_PRUNED)
    if load_on_startup is not None:
        wallet.on_startup = load_on_startup
    daemon.loaded[filename] = wallet
    return {"name": filename}


def unloadwallet(daemon: "Daemon", wallet_name: str) -> Json:
    if wallet_name not in daemon.loaded:
        raise RpcError(WALLET_NOT_FOUND, NOT_LOADED)
    daemon.loaded.pop(wallet_name).save()
    return {}


def listwallets(daemon: "Daemon") -> list[str]:
    return list(daemon.loaded)


def listwalletdir(daemon: "Daemon") -> Json:
    files = sorted(daemon.wallets_folder.glob("*/wallet.dat"))
    return {"wallets": [{"name": file.parent.name} for file in files]}


def asked_wallet(daemon: "Daemon", path: str) -> Wallet:
    """Return the wallet a request is for: the one in its path, or the only one."""
    name = unquote(path.removeprefix(PATH)) if path.startswith(PATH) else None
    if name in daemon.loaded:
        return daemon.loaded[name]
    if name is not None:
        raise RpcError(WALLET_NOT_FOUND, NOT_LOADED)
    if not daemon.loaded:
        raise RpcError(WALLET_NOT_FOUND, NONE_LOADED)
    if len(daemon.loaded) > 1:
        raise RpcError(WALLET_NOT_SPECIFIED, MANY_LOADED)
    return next(iter(daemon.loaded.values()))


def _unverified(verb: str, daemon: "Daemon", name: str, why: str) -> str:
    place = daemon.wallet_file(name).parent
    return f"Wallet file verification failed. Failed to {verb} database path '{place}'. {why}"
