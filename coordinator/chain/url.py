"""Chain URLs: which source is asked, where, and how."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote

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
WITH_PATH = frozenset({ESPLORA, ESPLORA_HOME})
LOGIN_REFUSED = (
    "a chain URL holds no name and no password: name a file with ?cookie=FILE or ?passwordfile=FILE"
)
# Names that may be repeated: nobody's password is one of them.
OTHER_SCHEMES = frozenset(
    {"http", "https", "tcp", "ssl", "bitcoin", "bitcoind", "electrum", "electrs", "esplora", "rpc"}
)
NAMEABLE = frozenset().union(
    *OPTIONS.values(),
    {"user", "username", "password", "rpcuser", "rpcpassword", "rpccookiefile", "wallet", "token"},
)
HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?", re.ASCII)
NUMERIC = re.compile(r"[0-9.]*[0-9]", re.ASCII)
PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
LOGIN = re.compile(r"[^/\\:]{2,}:[^/\\]*")
PLAIN_PROXY = re.compile(r"[a-z0-9.-]*:?[0-9]*", re.ASCII)
AT_HOME = (".local", ".lan", ".home.arpa", ".onion")


class ChainUrl(NamedTuple):
    """A chain URL taken apart; `port` None is the network's own."""

    text: str
    scheme: str
    host: str = ""
    port: int | None = None
    path: str = ""
    options: Mapping[str, str] = MappingProxyType({})

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
    def place(self) -> str:
        """Return host and port as a URL has them."""
        named = f"[{self.host}]" if ":" in self.host else self.host
        return named if self.port is None else f"{named}:{self.port}"

    @property
    def proxy(self) -> tuple[str, int] | None:
        """Return host and port of the SOCKS5 proxy, if one is named."""
        if "proxy" not in self.options:
            return None
        host, port = _host_and_port("proxy:", self.options["proxy"])
        return (host, port) if port is not None else None

    def file(self, option: str) -> Path | None:
        """Return an option that names a file; the current folder is where it starts."""
        named = self.options.get(option)
        return Path(named).expanduser() if named else None


def parse_url(text: str) -> ChainUrl:
    """Take a chain URL apart; raises SettingsError that says what is wrong in it.

    A password has no place in it: it lies in a file that the URL names. What is refused is never
    repeated, for a password may have been typed there: only names that are known here are.
    Slashes may be left out, `p2p:192.168.1.5:8333`; the URL kept has them.
    """
    stripped = text.strip(" ")
    if not stripped.isprintable():
        raise SettingsError("a chain URL is one line without control characters")
    scheme, colon, rest = stripped.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in OPTIONS:
        named = f"chain {scheme}: " if colon and scheme in OTHER_SCHEMES else "the chain "
        raise SettingsError(f"{named}is not one of {', '.join(f'{name}:' for name in OPTIONS)}")
    place, question, query = rest.partition("?")
    if "@" in place:
        raise SettingsError(LOGIN_REFUSED)
    if "#" in place:
        raise SettingsError(f"chain {scheme}: has a #, which no chain URL has")
    if scheme in HOSTLESS:
        if rest:
            raise SettingsError(f"chain {scheme}: has nothing after {scheme}:")
        return ChainUrl(f"{scheme}:", scheme)
    host, port, path = _place(scheme, place)
    options = _options(scheme, query)
    found = ChainUrl("", scheme, host, port, path, options)
    where = f"//{found.place}{path}" if host else ""
    return found._replace(text=f"{scheme}:{where}{question}{query}")


def _place(scheme: str, place: str) -> tuple[str, int | None, str]:
    """Return host, port and path; only p2p: may do without, for the network's own peers."""
    if not place and scheme == FILTERS:
        return "", None, ""
    slashes = re.match("/*", place)
    if slashes is not None and slashes[0] not in {"", "//"}:
        raise SettingsError(
            f"chain {scheme}: has {slashes[0]} where two slashes stand: {scheme}://HOST"
        )
    netloc, slash, path = place.removeprefix("//").partition("/")
    host, port = _host_and_port(f"chain {scheme}:", netloc)
    if not host:
        alone = "; p2p: alone asks the network's own peers" if scheme == FILTERS else ""
        raise SettingsError(f"chain {scheme}: names no host: {scheme}://HOST{alone}")
    if path and scheme not in WITH_PATH:
        raise SettingsError(f"chain {scheme}://{host} has a path, which {scheme} does not take")
    if port is None and scheme in PORTS_NEEDED:
        raise SettingsError(f"chain {scheme}://{host} names no port: {scheme}://{host}:PORT")
    if scheme == ESPLORA_HOME and not _is_at_home(host):
        raise SettingsError(
            f"{host} may be asked without encryption only in your own network: use esplora+https"
        )
    return host, port, f"{slash}{path}" if path else ""


def _host_and_port(where: str, netloc: str) -> tuple[str, int | None]:
    """Read HOST, HOST:PORT, or an IPv6 address in brackets; raises SettingsError."""
    if netloc.count(":") > 1 and not netloc.startswith("["):
        raise SettingsError(f"{where} an IPv6 address stands in brackets: [ADDRESS]:PORT")
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", netloc)
    name, colon, digits = netloc.partition(":")
    host, written = bracketed.groups() if bracketed else (name, digits if colon else None)
    if written is not None and not (PORT.fullmatch(written) and int(written) in range(1, 65_536)):
        raise SettingsError(f"{where} is no URL: a port is a number from 1 to 65535")
    port = None if written is None else int(written)
    if bracketed:
        try:
            return ipaddress.IPv6Address(host if "%" not in host else "").compressed, port
        except ValueError:
            raise SettingsError(f"{where} what stands in brackets is no IPv6 address") from None
    if host and not HOST.fullmatch(host):
        raise SettingsError(f"{where} the host is no name and no address: letters, digits, - and .")
    if NUMERIC.fullmatch(host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise SettingsError(
                f"{where} the host is no IPv4 address: four numbers to 255"
            ) from None
    return host.lower(), port


def _options(scheme: str, query: str) -> dict[str, str]:
    """Read what follows the question mark."""
    found: dict[str, str] = {}
    known = ", ".join(sorted(OPTIONS[scheme])) or "none"
    for part in query.split("&") if query else ():
        name, equals, quoted = part.partition("=")
        if name not in OPTIONS[scheme]:
            named = name if equals and name in NAMEABLE else "that is not known"
            raise SettingsError(f"chain {scheme}: has an option {named}; {scheme} knows {known}")
        value = unquote(quoted)
        if name in found:
            raise SettingsError(f"chain {scheme}: has the option {name} twice")
        if not value or not value.isprintable():
            raise SettingsError(
                f"chain {scheme}: the option {name} has a value that is not understood"
            )
        found[name] = value
    _check_options(found)
    return found


def _check_options(options: Mapping[str, str]) -> None:
    for name, allowed in NUMBERS.items():
        value = options.get(name, str(allowed[0]))
        if not PORT.fullmatch(value) or int(value) not in allowed:
            said = f"{name}={value}" if PORT.fullmatch(value) else name
            raise SettingsError(f"{said} is no number from {allowed[0]} to {allowed[-1]}")
    if "proxy" in options:
        _check_proxy(options["proxy"])
    if options.get("verify", "yes") not in {"yes", "no"}:
        raise SettingsError("verify is neither yes nor no")
    if {"cookie", "passwordfile"} <= options.keys():
        raise SettingsError("give a cookie or a passwordfile, not both")
    for name in ("cookie", "passwordfile"):
        if LOGIN.fullmatch(options.get(name, "")):
            raise SettingsError(f"{name} names a file, and not NAME:PASSWORD: {LOGIN_REFUSED}")


def _check_proxy(proxy: str) -> None:
    """Refuse a proxy that is not HOST:PORT; one with a login is not repeated."""
    try:
        host, port = _host_and_port("proxy:", proxy)
    except SettingsError:
        host, port = "", None
    if not host or port is None:
        said = f"proxy={proxy}" if PLAIN_PROXY.fullmatch(proxy) else "the proxy"
        raise SettingsError(f"{said} is not HOST:PORT")


def _is_at_home(host: str) -> bool:
    """Tell whether a host is this machine, in its network, or reached through Tor."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(AT_HOME)
    return address.is_private or address.is_loopback
