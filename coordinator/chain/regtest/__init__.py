"""The embedded regtest chain: a block log, a mempool, a faucet, and an engine that judges."""

from coordinator.chain.regtest.node import RegtestChain

__all__ = ["RegtestChain"]
