"""The home: one folder that holds everything the program remembers."""

import os
import tomllib
from pathlib import Path
from typing import NamedTuple

from platformdirs import user_data_path
from sqlalchemy import URL

from coordinator.chain.url import parse_url
from coordinator.errors import SettingsError

NETWORKS = ("regtest", "signet", "testnet4", "mainnet")
SETTINGS_FILE = "settings.toml"
UNFINISHED = SETTINGS_FILE + ".new"
HOME_VARIABLE = "CARDQUORUM_HOME"
EMBEDDED_CHAIN = "regtest:"
OFFLINE = "none:"


class Home(NamedTuple):
    """A folder, the network it is for, and the chain URL it asks."""

    folder: Path
    network: str
    chain: str

    @property
    def database_url(self) -> URL:
        """Return the URL of the home's database, whatever characters the folder's name has."""
        return URL.create("sqlite", database=str(self.folder / "cardquorum.db"))

    @property
    def emulated_cards(self) -> Path:
        """Return the folder of the emulated cards."""
        return self.folder / "emulated"

    @property
    def card_memory(self) -> Path:
        """Return the folder of what is remembered of each card for its driver."""
        return self.folder / "pairings"

    @property
    def chain_folder(self) -> Path:
        """Return the folder of the embedded chain."""
        return self.folder / "chain"


def default_folder() -> Path:
    """Return CARDQUORUM_HOME, else the platform's data folder."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named) if named else user_data_path("cardquorum", appauthor=False)


def create_home(folder: Path, network: str, chain: str | None = None) -> Home:
    """Make the folder (mode 0700) and its settings; refuses a home that is there already."""
    if network not in NETWORKS:
        raise SettingsError(f"network {network} is none of {', '.join(NETWORKS)}")
    home = Home(folder.absolute(), network, checked_chain(network, chain))
    if (home.folder / SETTINGS_FILE).exists():
        raise SettingsError(f"{home.folder} is a home already")
    _refuse_others(home.folder)
    try:
        home.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.folder.chmod(0o700)
        write_settings(home)
    except OSError as failure:
        raise SettingsError(f"cannot write {home.folder}: {failure.strerror}") from failure
    return home


def _refuse_others(folder: Path) -> None:
    """Refuse a folder with other things in it: a home is private, and would make them so."""
    try:
        others = {path.name for path in folder.iterdir()} - {UNFINISHED}
    except FileNotFoundError:
        return
    except OSError as failure:
        raise SettingsError(f"cannot read {folder}: {failure.strerror}") from failure
    if others:
        raise SettingsError(f"{folder} holds other things; a home needs a folder of its own")


def write_settings(home: Home) -> None:
    """Write settings.toml whole or not at all."""
    lines = (f'network = "{home.network}"', f'chain = "{_escaped(home.chain)}"')
    unfinished = home.folder / UNFINISHED
    unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    unfinished.chmod(0o600)
    unfinished.replace(home.folder / SETTINGS_FILE)


def open_home(folder: Path) -> Home:
    """Read a home's settings; raises SettingsError where there is none or it is not usable."""
    file = folder.absolute() / SETTINGS_FILE
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as failure:
        raise SettingsError(f"there is no home at {folder}") from failure
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as failure:
        raise SettingsError(f"{file} cannot be read: {failure}") from failure
    network, chain = values.get("network"), values.get("chain")
    if network not in NETWORKS or not isinstance(chain, str):
        raise SettingsError(f"{file} names no known network and chain")
    return Home(folder.absolute(), network, checked_chain(network, chain))


def checked_chain(network: str, chain: str | None) -> str:
    """Return the chain URL, or the network's default; refuses what does not go together."""
    if chain is None:
        return EMBEDDED_CHAIN if network == "regtest" else OFFLINE
    if chain == EMBEDDED_CHAIN and network != "regtest":
        raise SettingsError(f"the embedded chain is for regtest, not for {network}")
    return parse_url(chain).text


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
