"""Electrum, Esplora and compact block filters, through BDK: the only importers of bdkpython."""

from collections.abc import Callable
from pathlib import Path

from coordinator.chain import ChainSource
from coordinator.chain.bdk.electrum import ElectrumServer
from coordinator.chain.bdk.esplora import EsploraServer
from coordinator.chain.bdk.filters import FilterPeers
from coordinator.chain.bdk.source import BdkChain, PackageChain
from coordinator.chain.url import ELECTRUM_SSL, ELECTRUM_TCP, FILTERS, ChainUrl


def open_source(
    url: ChainUrl, folder: Path, network: str, *, report: Callable[[str], None]
) -> ChainSource:
    """Return the source a URL names; its caches lie in the folder."""
    if url.scheme == FILTERS:
        return BdkChain(FilterPeers(url, folder, network, report=report), folder, network)
    if url.scheme in {ELECTRUM_SSL, ELECTRUM_TCP}:
        return PackageChain(ElectrumServer(url, network, report), folder, network)
    return PackageChain(EsploraServer(url, network, report), folder, network)
