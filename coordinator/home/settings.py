"""The home: one folder that holds everything the program remembers."""

import json
import os
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import URL, make_url

from coordinator import foreign_text
from coordinator.chain.url import CORE, parse_url
from coordinator.errors import SettingsError, UsageError
from coordinator.names import NAME
from coordinator.shown_text import visible, whole

NETWORKS = ("regtest", "signet", "testnet4", "mainnet")
SETTINGS_FILE = "settings.toml"
DATABASE_FILE = "cardquorum.db"
CARD_SUFFIX = ".card"
LEFT_OVER = tuple(DATABASE_FILE + end for end in ("", "-wal", "-shm", "-journal"))
DRIVER_PACKAGE = "psycopg"
SETTINGS_MAX = 65_536
TICKS_FILE = "page/ticks.json"
"""Which steps of a road were ticked off on the page, kept with the home."""
UNFINISHED = SETTINGS_FILE + ".new"
HOME_VARIABLE = "CARDQUORUM_HOME"
EMBEDDED_CHAIN = "regtest:"
OFFLINE = "none:"


class Home(NamedTuple):
    """A folder, the network it is for, the chain URL it asks, and the server it remembers on.

    Without a server the memory is a file in the folder. `operator` is what its owner is called.
    """

    folder: Path
    network: str
    chain: str
    server: str | None = None
    operator: str | None = None

    @property
    def database_url(self) -> URL:
        """Return the URL of the home's database, whatever characters the folder's name has."""
        if self.server is not None:
            return make_url(self.server)
        return URL.create("sqlite", database=str(self.folder / DATABASE_FILE))

    @property
    def emulated_cards(self) -> Path:
        """Return the folder of the emulated cards."""
        return self.folder / "emulated"

    def emulated_names(self) -> list[str]:
        """Return the names of the emulated cards."""
        return sorted(path.stem for path in self.emulated_cards.glob("*" + CARD_SUFFIX))

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
    if named and whole(named) != named:
        raise SettingsError(f"{HOME_VARIABLE} is not a text in this system's encoding: {named!r}")
    if named:
        return Path(named)
    from platformdirs import user_data_path  # noqa: PLC0415 -- rarely asked

    return user_data_path("cardquorum", appauthor=False)


GO_ON: Final = "go on with it: cardquorum status; or make another one with --home DIR"
RESTORE: Final = "bring it back from a backup: cardquorum restore FILE --home NEWDIR"
MEND: Final = (
    "put that line right with an editor, chain URLs are in docs/chain.md; or restore a backup: "
    "cardquorum restore FILE --home NEWDIR"
)


def create_home(
    folder: Path,
    network: str,
    chain: str | None = None,
    *,
    server: str | None = None,
    fill: Callable[[Home], None] | None = None,
) -> Home:
    """Make the folder (mode 0700) and its settings; refuses a home that is there already.

    `fill` makes what else a home has, before the settings: a folder with settings is whole, and
    what a creation that was cut off left is made again.
    """
    if network not in NETWORKS:
        raise SettingsError(f"unknown network {network!r}; expected one of {', '.join(NETWORKS)}")
    home = Home(
        folder.absolute(), network, checked_chain(network, chain), server=checked_server(server)
    )
    if (url := parse_url(home.chain)).scheme == CORE:
        url.credentials()
    if (home.folder / SETTINGS_FILE).exists():
        raise SettingsError(f"{home.folder} is a home already", GO_ON)
    _refuse_others(home.folder)
    try:
        home.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.folder.chmod(0o700)
        for name in LEFT_OVER:
            (home.folder / name).unlink(missing_ok=True)
        unfinished = _write_unfinished(home)
        if fill is not None:
            fill(home)
        unfinished.replace(home.folder / SETTINGS_FILE)
    except OSError as failure:
        raise SettingsError(f"cannot write {home.folder}: {failure.strerror}") from failure
    return home


def _refuse_others(folder: Path) -> None:
    """Refuse a folder with other things in it: a home is private, and would make them so."""
    try:
        found = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return
    except OSError as failure:
        raise SettingsError(f"cannot read {folder}: {failure.strerror}") from failure
    others = found - {UNFINISHED, *LEFT_OVER} if UNFINISHED in found else found
    if DATABASE_FILE in others:
        raise SettingsError(f"{folder} has a database and no {SETTINGS_FILE}", RESTORE)
    if others:
        raise SettingsError(f"{folder} holds other things; a home needs a folder of its own")


def write_settings(home: Home) -> None:
    """Write settings.toml whole or not at all."""
    _write_unfinished(home).replace(home.folder / SETTINGS_FILE)


def _write_unfinished(home: Home) -> Path:
    lines = [f'network = "{home.network}"', f'chain = "{_escaped(home.chain)}"']
    if home.server is not None:
        lines.append(f'database = "{_escaped(home.server)}"')
    if home.operator is not None:
        lines.append(f'operator = "{_escaped(home.operator)}"')
    unfinished = home.folder / UNFINISHED
    unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    unfinished.chmod(0o600)
    return unfinished


def open_home(folder: Path) -> Home:
    """Read a home's settings; raises SettingsError where there is none or it is not usable."""
    file = folder.absolute() / SETTINGS_FILE
    try:
        with file.open("rb") as opened:
            data = opened.read(SETTINGS_MAX + 1)
        if len(data) > SETTINGS_MAX:
            raise SettingsError(
                f"{file} has more than {SETTINGS_MAX} bytes: these are no settings", MEND
            )
        values = tomllib.loads(foreign_text.decoded(data, str(file)))
    except FileNotFoundError as failure:
        raise SettingsError(f"there is no home at {folder}") from failure
    except (OSError, ValueError, UsageError, RecursionError) as failure:
        raise SettingsError(f"{file} cannot be read: {failure}", MEND) from failure
    wanted = ("network", "chain", "database", "operator")
    network, chain, server, operator = (values.get(name) for name in wanted)
    if network not in NETWORKS or not isinstance(chain, str):
        raise SettingsError(f"{file} names no known network and chain", MEND)
    if not isinstance(server, str | None):
        raise SettingsError(f"{file} names no database that can be opened", MEND)
    try:
        kept = checked_server(server)
    except UsageError as failure:
        raise SettingsError(f"{file}: {failure}", MEND) from failure
    home = Home(folder.absolute(), network, checked_chain(network, chain), kept, operator)
    if operator is not None and not (isinstance(operator, str) and NAME.fullmatch(operator)):
        raise SettingsError(f"{file} calls the operator what is no name", MEND)
    return home


def checked_server(url: str | None) -> str | None:
    """Return the URL of a database on a server as it is kept; raises UsageError."""
    if url is None:
        return None
    if visible(url) != url:
        raise UsageError("the database URL holds a line end or another control character")
    from storage.errors import StorageError  # noqa: PLC0415 -- few homes have a server
    from storage.postgresql import checked_url, parsed_url  # noqa: PLC0415 -- as above

    try:
        checked = checked_url(parsed_url(url)).render_as_string()
    except StorageError as failure:
        raise UsageError(str(failure)) from failure
    if find_spec(DRIVER_PACKAGE) is None:
        raise UsageError(
            f"a database on a server needs what is not installed ({DRIVER_PACKAGE}): "
            "pip install 'cardquorum[postgresql]'"
        )
    return checked


def checked_chain(network: str, chain: str | None) -> str:
    """Return the chain URL, or the network's default; refuses what does not go together."""
    if chain is None:
        return EMBEDDED_CHAIN if network == "regtest" else OFFLINE
    if visible(chain) != chain:
        raise SettingsError("the chain URL holds a line end or another control character")
    text = parse_url(chain).text
    if text == EMBEDDED_CHAIN and network != "regtest":
        raise SettingsError(f"the embedded chain is for regtest, not for {network}")
    return text


def _escaped(text: str) -> str:
    """Return a text as it stands in quotes in TOML, which has the escapes of JSON."""
    return json.dumps(text)[1:-1].replace("\x7f", "\\u007f")
