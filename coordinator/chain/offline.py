"""No chain at all: a home that only makes vaults and signs."""

from coordinator.chain import ChainUpdate, Relay, Tip, Watch
from coordinator.errors import ChainUnreachable

BY_FILE = (
    "coins come by file: cardquorum coin import VAULT FILE; a payment leaves by one: "
    "cardquorum spend export ID --out FILE"
)


class OfflineChain:
    """Every question is answered with ChainUnreachable."""

    def tip(self) -> Tip:
        """Raise ChainUnreachable."""
        raise _offline()

    def sync(self, watch: Watch) -> ChainUpdate:  # noqa: ARG002 -- the protocol's shape
        """Raise ChainUnreachable."""
        raise _offline()

    def feerate(self, blocks: int) -> int:  # noqa: ARG002 -- the protocol's shape
        """Raise ChainUnreachable."""
        raise _offline()

    def relay(self) -> Relay:
        """Return what most nodes relay: nobody is asked."""
        return Relay()

    def broadcast(self, transaction: bytes) -> str:  # noqa: ARG002 -- the protocol's shape
        """Raise ChainUnreachable."""
        raise _offline()

    def close(self) -> None:
        """Do nothing: nothing is held."""


def _offline() -> ChainUnreachable:
    return ChainUnreachable("this home asks no chain (none:)", BY_FILE)
