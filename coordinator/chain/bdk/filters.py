"""Peers that serve compact block filters (BIP 157), asked through BDK's node."""

import ipaddress
import re
import socket
from collections.abc import Callable
from os import SEEK_END
from pathlib import Path
from typing import TypeVar

import bdkpython as bdk

from coordinator.chain import SEGWIT_HEIGHTS, Relay, Tip
from coordinator.chain.bdk.client import GENESIS, NETWORKS, Scan
from coordinator.chain.bdk.node import ForkTooDeep, Listener, Question, answered
from coordinator.chain.bdk.peer import hand_over, unsuited
from coordinator.chain.url import ChainUrl
from coordinator.errors import ChainUnreachable, NoEstimate, SettingsError

SECONDS = 60
PEERS = 2
AHEAD = 1_000
REMEMBERED = 100
TIP = re.compile(r"([0-9]{1,9}) ([0-9a-f]{64})\s*")
TIP_SIZE_MAX = 100
SENT_SIZE_MAX = 64_000_000
T = TypeVar("T")


class FilterPeers:
    """Peers of the network: a node of its own runs while something is asked.

    Filters say nothing of what waits for a block: only what was sent from here is known.
    """

    def __init__(
        self, url: ChainUrl, folder: Path, network: str, *, report: Callable[[str], None]
    ) -> None:
        """Keep whom to ask; the headers are kept in the folder."""
        self.gap = 0
        self.ahead, self.sees_waiting = AHEAD, False
        self._url = url
        self._folder = folder
        self._network = network
        self._report = report
        self._where = f"peer {url.host}" if url.host else "the network's peers"
        self._newest = folder / "p2p.tip"
        self._sent = folder / "p2p.sent"

    def tip(self) -> Tip:
        """Return the newest block met at the last update."""
        try:
            with self._newest.open(encoding="ascii") as stream:
                found = TIP.fullmatch(stream.read(TIP_SIZE_MAX))
        except (OSError, ValueError):
            found = None
        return Tip(int(found[1]), found[2]) if found else Tip(0, GENESIS[self._network])

    def update(self, scan: Scan) -> bdk.Update:
        """Return what the wallet has to learn; blocks that match are fetched and checked."""
        if not scan.full:
            try:
                return self._run(scan.wallet, bdk.ScanType.SYNC(), lambda client: client.update())
            except ForkTooDeep:
                self._report("the chain was reorganised: its filters are looked through again")
        again = bdk.ScanType.RECOVERY(AHEAD, recovery_point(scan.first))
        return self._run(scan.wallet, again, lambda client: client.update())

    def feerate(self, blocks: int) -> int:
        """Raise NoEstimate: peers give none."""
        raise NoEstimate(f"{self._where} give no fee estimate for {blocks} blocks")

    def relay(self) -> Relay:
        """Return what most nodes relay: peers say it of themselves, not of the network."""
        return Relay()

    def broadcast(self, transaction: bdk.Transaction) -> None:
        """Hand a transaction to the peers; what they think of it they do not say."""
        raw = transaction.serialize()
        sent_before = raw in {each.serialize() for each in self.sent()}
        if self._url.host:
            seconds = self._url.number("timeout", SECONDS)
            hand_over(self._url, self._network, seconds, transaction=raw)
        else:
            nobody = _nobody(self._network)
            try:
                self._run(nobody, bdk.ScanType.SYNC(), lambda client: client.broadcast(transaction))
            except ChainUnreachable:
                # Peers that had it from here ask for it no more.
                if not sent_before:
                    raise
        if sent_before:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._sent.open("a", encoding="ascii") as stream:
            # A line before it may have been torn.
            stream.write(f"\n{raw.hex()}\n")

    def synced(self, tip: Tip) -> None:
        """Keep the newest block: finding it again would take a search of its own."""
        self._newest.write_text(f"{tip.height} {tip.hash}\n", encoding="ascii")

    def sent(self) -> list[bdk.Transaction]:
        """Return what was sent from here; a line that a crash has torn is passed over."""
        try:
            with self._sent.open("rb") as stream:
                end = stream.seek(0, SEEK_END)
                stream.seek(max(0, end - SENT_SIZE_MAX))
                lines = stream.read(SENT_SIZE_MAX).split()
        except OSError:
            return []
        return [found for line in lines[-REMEMBERED:] if (found := _transaction(line))]

    def close(self) -> None:
        """Do nothing: no node outlives its question."""

    def _run(self, wallet: bdk.Wallet, kind: bdk.ScanType, ask: Question[T]) -> T:
        """Run a node as long as a question takes."""
        listener = Listener(self._where, self._report)
        seconds = self._url.number("timeout", SECONDS)
        components = self._builder(kind).build(wallet)
        try:
            return answered(components, ask, listener, seconds=seconds)
        except ForkTooDeep:
            raise
        except ChainUnreachable as failure:
            # BDK's node does not say why: the peer is asked who it is.
            named = unsuited(self._url, self._network, seconds) if self._url.host else None
            raise (named or failure) from failure

    def _builder(self, kind: bdk.ScanType) -> bdk.CbfBuilder:
        milliseconds = self._url.number("timeout", SECONDS) * 1_000
        self._folder.mkdir(parents=True, exist_ok=True)
        builder = bdk.CbfBuilder().data_dir(str(self._folder)).scan_type(kind)
        builder = builder.configure_timeout_millis(milliseconds, milliseconds)
        if self._url.host:
            # Through a proxy names stay unresolved: asking for them would tell whom one talks to.
            host = self._url.host
            address = _ip(host if "proxy" in self._url.options else _resolved(host))
            peer = bdk.Peer(address=address, port=self._url.port, v2_transport=False)
            builder = builder.peers([peer]).only_configured_peers().connections(1)
        else:
            builder = builder.connections(PEERS)
        if proxy := self._url.proxy:
            host, port = proxy
            builder = builder.socks5_proxy(bdk.Socks5Proxy(address=_ip(host), port=port))
        return builder


def recovery_point(first: int) -> bdk.RecoveryPoint:
    """Return from where BDK looks, that the first block which can pay a vault is among them."""
    if first >= SEGWIT_HEIGHTS["mainnet"]:
        return bdk.RecoveryPoint.SEGWIT_ACTIVATION()
    return bdk.RecoveryPoint.GENESIS_BLOCK()


def _nobody(network: str) -> bdk.Wallet:
    """Return a wallet that watches nothing anybody uses, to send with."""
    point = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    kind = bdk.NetworkKind.MAIN if network == "mainnet" else bdk.NetworkKind.TEST
    nothing = bdk.Descriptor(f"wpkh({point})", kind)
    return bdk.Wallet.create_single(nothing, NETWORKS[network], bdk.Persister.new_in_memory())


def _transaction(line: bytes) -> bdk.Transaction | None:
    """Read a line of what was sent; None where it was torn."""
    try:
        return bdk.Transaction(bytes.fromhex(line.decode("ascii")))
    except (ValueError, bdk.TransactionError):
        return None


def _resolved(host: str) -> str:
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as failure:
        raise ChainUnreachable(f"peer {host} has no address: {failure.strerror}") from failure


def _ip(text: str) -> bdk.IpAddress:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as failure:
        raise SettingsError(f"{text} is no IP address") from failure
    packed = address.packed
    if address.version == 4:
        return bdk.IpAddress.from_ipv4(*packed)
    pairs = zip(packed[::2], packed[1::2], strict=True)
    return bdk.IpAddress.from_ipv6(*(high << 8 | low for high, low in pairs))
