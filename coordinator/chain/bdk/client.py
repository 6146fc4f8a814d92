"""What a server or peer is asked for, whichever protocol it speaks."""

import math
from typing import NamedTuple, Protocol

import bdkpython as bdk

from coordinator.chain import Package, Relay, Tip
from coordinator.errors import ChainError

GENESIS = {
    "mainnet": "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
    "testnet4": "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
    "signet": "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
    "regtest": "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
}
NETWORKS = {
    "mainnet": bdk.Network.BITCOIN,
    "testnet4": bdk.Network.TESTNET4,
    "signet": bdk.Network.SIGNET,
    "regtest": bdk.Network.REGTEST,
}
GAP = 100
FEERATE_MAX = 100_000_000
"""One bitcoin per kvB: no estimate is believed that is above."""


class Scan(NamedTuple):
    """A wallet that is to be brought up to date; `full` looks for addresses used so far.

    Nothing before the `first` block can pay it.
    """

    wallet: bdk.Wallet
    full: bool
    first: int


class Client(Protocol):
    """A connection to who knows the chain."""

    sees_waiting: bool
    """Whether it knows what waits for a block."""
    gap: int
    """How many unused addresses in a row end the first scan."""
    ahead: int
    """How many addresses beyond those wanted are watched, where more of them mean a new scan."""

    def tip(self) -> Tip:
        """Return the newest block."""
        ...

    def update(self, scan: Scan) -> bdk.Update:
        """Return what the wallet has to learn."""
        ...

    def feerate(self, blocks: int) -> int:
        """Return an estimate in sat/kvB; raises NoEstimate."""
        ...

    def relay(self) -> Relay:
        """Return what is relayed, as far as it is told."""
        ...

    def broadcast(self, transaction: bdk.Transaction) -> None:
        """Send a transaction; raises TransactionRejected. One already known is no error."""
        ...

    def synced(self, tip: Tip) -> None:
        """Take note of the block a wallet was brought up to."""
        ...

    def sent(self) -> list[bdk.Transaction]:
        """Return what was sent from here, where nobody else tells what waits for a block."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class PackageClient(Client, Protocol):
    """A client that knows what waiting transactions pay."""

    def package(self, txid: str) -> Package:
        """Return what a waiting transaction and its waiting ancestors weigh and pay."""
        ...


def check_genesis(found: object, network: str, where: str) -> None:
    """Raise ChainError where a server's first block is not the network's."""
    if str(found) != GENESIS[network]:
        raise ChainError(f"{where} is not on {network}: its first block is {found}")


def rate(told: float, unit: int, where: str, *, least: int = 1) -> int:
    """Return a server's fee rate in sat/kvB, of so many satoshis per kvB; raises ChainError."""
    if not 0 <= told * unit <= FEERATE_MAX:
        raise ChainError(f"{where} gave a fee rate of {told:g}, which is out of range")
    return max(least, math.ceil(round(told * unit, 3)))
