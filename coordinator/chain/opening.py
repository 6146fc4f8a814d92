"""Opening the chain source that a URL names."""

from pathlib import Path

from coordinator.chain import ChainSource, Report
from coordinator.chain.url import CORE, EMBEDDED, OFFLINE, parse_url
from coordinator.errors import SettingsError


def silent(text: str) -> None:
    """Tell nobody how far it is."""


def open_chain(url: str, folder: Path, network: str, *, report: Report = silent) -> ChainSource:
    """Open the chain source a URL names; what it keeps lies in the folder.

    Long work is reported, a short text at a time. Nothing is asked of it yet. Each source is loaded
    only where it is meant.
    """
    parsed = parse_url(url)
    if parsed.scheme == OFFLINE:
        from coordinator.chain.offline import OfflineChain  # noqa: PLC0415 -- see above

        return OfflineChain()
    if parsed.scheme == EMBEDDED:
        from coordinator.chain.regtest import RegtestChain  # noqa: PLC0415 -- see above

        return RegtestChain(folder)
    if parsed.scheme == CORE:
        from coordinator.chain.core.source import CoreChain  # noqa: PLC0415 -- see above

        return CoreChain(parsed, folder, network, report=report)
    try:
        from coordinator.chain import bdk  # noqa: PLC0415 -- see above
    except ImportError as failure:
        raise SettingsError(
            f"chain {parsed.scheme}: needs the package bdkpython: pip install 'cardquorum[bdk]'"
        ) from failure
    return bdk.open_source(parsed, folder, network, report=report)
