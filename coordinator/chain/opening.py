"""Opening the chain source that a URL names."""

from collections.abc import Callable
from pathlib import Path

from coordinator.chain import ChainSource
from coordinator.chain.url import OFFLINE, ChainUrl, parse_url

Report = Callable[[str], None]


def silent(text: str) -> None:
    """Tell nobody how far it is."""


def open_chain(url: str, folder: Path, network: str, report: Report = silent) -> ChainSource:
    """Open the chain source a URL names; what it keeps lies in the folder.

    Long work is reported, a short text at a time. Nothing is asked of it yet.
    """
    return _open(parse_url(url), folder, network, report)


def _open(url: ChainUrl, folder: Path, network: str, report: Report) -> ChainSource:
    """Choose by scheme; each source is loaded only where it is meant."""
    if url.scheme == OFFLINE:
        from coordinator.chain.offline import OfflineChain  # noqa: PLC0415 -- see above

        return OfflineChain()
    from coordinator.chain.regtest import RegtestChain  # noqa: PLC0415 -- see above

    return RegtestChain(folder)
