"""A vault written as other wallets read it: one writer a format, by name."""

from collections.abc import Callable
from typing import Final

from coordinator.errors import UsageError
from coordinator.interop import (
    bbqr,
    bip388,
    bsms,
    caravan,
    coldcard,
    core,
    descriptors,
    electrum,
    jade,
    specter,
    ur,
    ur_types,
)
from coordinator.interop.qr_text import CODE_CHARACTERS
from coordinator.interop.wallet_file import WalletFile
from psbt.network import Network
from psbt.policy import CHANGE, RECEIVE

Writer = Callable[[WalletFile, Network], str]


def _pair(file: WalletFile, network: Network) -> str:
    receive, change = descriptors.pair(file, network)
    return f"{receive}\n{change}\n"


def _sparrow(file: WalletFile, network: Network) -> str:
    """Return the text of Sparrow's own export of an output descriptor."""
    receive, change = descriptors.pair(file, network)
    return "\n".join(
        (
            "# Receive and change descriptor (BIP389):",
            descriptors.multipath(file, network),
            "",
            "# Receive descriptor (Bitcoin Core):",
            receive,
            "",
            "# Change descriptor (Bitcoin Core):",
            change,
            "",
        )
    )


WRITERS: Final[dict[str, Writer]] = {
    "descriptor": descriptors.multipath,
    "multipath": descriptors.multipath,
    "pair": _pair,
    "core": core.write,
    "bsms": bsms.write,
    "coldcard": coldcard.write,
    "caravan": caravan.write,
    "specter": specter.write,
    "specter-diy": specter.write_diy,
    "electrum": electrum.write,
    "sparrow": _sparrow,
    "bip388": bip388.write,
    "jade": jade.write,
}


USUAL_ALONE: Final = frozenset(
    {"coldcard", "caravan", "specter", "specter-diy", "electrum", "jade"}
)
"""The formats that cannot tell keychains: whoever reads them takes 0 and 1."""

BRANCHED: Final = frozenset(
    {"descriptor", "multipath", "pair", "core", "bip388", "bbqr", "ur-output-descriptor"}
)
"""The formats in which a vault with branches that open later can be written."""

LEAVES: Final = frozenset({"descriptor", "multipath", "pair", "core", "bsms", "bip388", "bbqr"})
"""The formats in which a vault of taproot can be written."""

FORMATS: Final = (*WRITERS, *ur_types.WRITERS, "bbqr")


def write(file: WalletFile, network: Network, format_: str) -> list[str]:
    """Return the text of a format, or of each of its codes."""
    if file.node is not None and format_ in FORMATS and format_ not in BRANCHED:
        raise UsageError(
            f"the format {format_} knows no branches that open later;"
            f" expected one of {', '.join(sorted(BRANCHED))}, json"
        )
    if file.script == "tr" and format_ in FORMATS and format_ not in LEAVES:
        raise UsageError(
            f"the format {format_} knows no quorum in taproot;"
            f" expected one of {', '.join(sorted(LEAVES))}, json"
        )
    if format_ == "bbqr":
        return bbqr.split(descriptors.multipath(file, network).encode(), "U", CODE_CHARACTERS)
    if format_ in ur_types.WRITERS:
        return ur.split(ur_types.WRITERS[format_](file, network))
    if format_ not in WRITERS:
        known = ", ".join(FORMATS)
        raise UsageError(f"unknown format {format_!r}; expected one of {known}, json")
    if format_ in USUAL_ALONE and not file.usual_keychains:
        odd = next(key for key in file.keys if key.keychains != (RECEIVE, CHANGE))
        raise UsageError(
            f"the format {format_} knows the keychains 0 and 1 alone; key"
            f" {odd.name or descriptors.key_of(odd, network)} has"
            f" {odd.keychains[RECEIVE]} and {odd.keychains[CHANGE]}"
        )
    return [WRITERS[format_](file, network)]
