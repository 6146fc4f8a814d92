"""Chain URLs: which source is asked, where, and how."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from coordinator.errors import ChainPasswordMissing, SettingsError

EMBEDDED = "regtest"
OFFLINE = "none"
CORE = "bitcoind+http"
ELECTRUM_SSL = "electrum+ssl"
ELECTRUM_TCP = "electrum+tcp"
ESPLORA = "esplora+https"
ESPLORA_HOME = "esplora+http"
FILTERS = "p2p"
# What may follow the question mark.
OPTIONS: Mapping[str, frozenset[str]] = {
    EMBEDDED: frozenset(),
    OFFLINE: frozenset(),
    CORE: frozenset({"cookie", "passwordfile", "timeout"}),
    ELECTRUM_SSL: frozenset({"proxy", "gap", "timeout", "verify"}),
    ELECTRUM_TCP: frozenset({"proxy", "gap", "timeout"}),
    ESPLORA: frozenset({"proxy", "gap"}),
    ESPLORA_HOME: frozenset({"proxy", "gap"}),
    FILTERS: frozenset({"proxy", "timeout"}),
}
NUMBERS: Mapping[str, range] = {"gap": range(1, 10_001), "timeout": range(1, 3_601)}
HOSTLESS = frozenset({EMBEDDED, OFFLINE})
PORTS_NEEDED = frozenset({ELECTRUM_SSL, ELECTRUM_TCP})
AT_HOME = (".local", ".lan", ".home.arpa", ".onion")


@dataclass(frozen=True)
class ChainUrl:
    """A chain URL taken apart; `port` None is the network's own."""

    text: str
    scheme: str
    host: str = ""
    port: int | None = None
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def number(self, option: str, otherwise: int) -> int:
        """Return an option that is a number, or the default."""
        return int(self.options.get(option, otherwise))

    def credentials(self) -> Path:
        """Return the file with a node's name and password; raises ChainPasswordMissing."""
        found = self.file("cookie") or self.file("passwordfile")
        if found is None:
            raise ChainPasswordMissing(
                f"chain {self.text} names no password: add ?cookie=FILE or ?passwordfile=FILE"
            )
        return found

    @property
    def proxy(self) -> tuple[str, int] | None:
        """Return host and port of the SOCKS5 proxy, if one is named."""
        host, _, port = self.options.get("proxy", "").rpartition(":")
        return (host.strip("[]"), int(port)) if host else None

    def file(self, option: str) -> Path | None:
        """Return an option that names a file; the current folder is where it starts."""
        named = self.options.get(option)
        return Path(named).expanduser() if named else None


def parse_url(text: str) -> ChainUrl:
    """Take a chain URL apart; raises SettingsError that names what is wrong in it.

    A password has no place in it: it lies in a file that the URL names.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as failure:
        raise SettingsError(f"chain {text} is no URL: {failure}") from failure
    if parts.scheme not in OPTIONS:
        raise SettingsError(f"chain {text} is none of {', '.join(f'{name}:' for name in OPTIONS)}")
    _check_place(text, parts, port)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    _check_options(text, parts.scheme, options)
    return ChainUrl(text, parts.scheme, parts.hostname or "", port, parts.path, options)


def _check_place(text: str, parts: SplitResult, port: int | None) -> None:
    if "@" in parts.netloc:
        raise SettingsError(
            "a chain URL holds no name and no password: name a file with ?cookie=FILE"
            " or ?passwordfile=FILE"
        )
    if parts.scheme in HOSTLESS:
        if text != f"{parts.scheme}:":
            raise SettingsError(f"chain {text} has nothing after {parts.scheme}:")
        return
    if not parts.hostname and parts.scheme != FILTERS:
        raise SettingsError(f"chain {text} names no host: {parts.scheme}://HOST")
    if port is None and parts.scheme in PORTS_NEEDED:
        raise SettingsError(f"chain {text} names no port: {parts.scheme}://{parts.hostname}:PORT")
    if parts.scheme == ESPLORA_HOME and not _is_at_home(parts.hostname or ""):
        raise SettingsError(
            f"{parts.hostname} may be asked without encryption only in your own network:"
            " use esplora+https"
        )


def _check_options(text: str, scheme: str, options: Mapping[str, str]) -> None:
    for name, value in options.items():
        if name not in OPTIONS[scheme]:
            known = ", ".join(sorted(OPTIONS[scheme])) or "none"
            raise SettingsError(f"chain {text} has an option {name}; {scheme} knows {known}")
        if name in NUMBERS and (not value.isdecimal() or int(value) not in NUMBERS[name]):
            allowed = NUMBERS[name]
            raise SettingsError(f"{name}={value} is no number from {allowed[0]} to {allowed[-1]}")
    host, _, port = options.get("proxy", "proxy:1").rpartition(":")
    if not host or not port.isdecimal() or int(port) not in range(1, 65_536):
        raise SettingsError(f"proxy={options['proxy']} is not HOST:PORT")
    if options.get("verify", "yes") not in {"yes", "no"}:
        raise SettingsError(f"verify={options['verify']} is neither yes nor no")
    if {"cookie", "passwordfile"} <= options.keys():
        raise SettingsError("give a cookie or a passwordfile, not both")


def _is_at_home(host: str) -> bool:
    """Tell whether a host is this machine, in its network, or reached through Tor."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(AT_HOME)
    return address.is_private or address.is_loopback
