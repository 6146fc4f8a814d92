"""Opening the chain source that a URL names."""

from pathlib import Path

from coordinator.chain import ChainSource, Report
from coordinator.chain.url import CORE, EMBEDDED, OFFLINE, ChainUrl, parse_url
from coordinator.errors import SettingsError


def silent(text: str) -> None:
    """Tell nobody how far it is."""


def open_chain(url: str, folder: Path, network: str, *, report: Report = silent) -> ChainSource:
    """Open the chain source a URL names; what it keeps lies in the folder.

    Long work is reported, a short text at a time. Nothing is asked of it yet.
    """
    return _open(parse_url(url), folder, network, report=report)


def _open(url: ChainUrl, folder: Path, network: str, *, report: Report) -> ChainSource:
    """Choose by scheme; each source is loaded only where it is meant."""
    if url.scheme == OFFLINE:
        from coordinator.chain.offline import OfflineChain  # noqa: PLC0415 -- see above

        return OfflineChain()
    if url.scheme == EMBEDDED:
        from coordinator.chain.regtest import RegtestChain  # noqa: PLC0415 -- see above

        return RegtestChain(folder)
    if url.scheme == CORE:
        from coordinator.chain.core.source import CoreChain  # noqa: PLC0415 -- see above

        return CoreChain(url, folder, network, report=report)
    return _through_bdk(url, folder, network, report=report)


def _through_bdk(url: ChainUrl, folder: Path, network: str, *, report: Report) -> ChainSource:
    try:
        from coordinator.chain import bdk  # noqa: PLC0415 -- see above
    except ImportError as failure:
        raise SettingsError(
            f"chain {url.scheme}: needs the package bdkpython: pip install 'cardquorum[bdk]'"
        ) from failure
    return bdk.open_source(url, folder, network, report=report)
