"""Caravan's wallet configuration (JSON): sorted keys, keychains 0 and 1."""

import json
from collections.abc import Mapping
from typing import Final

from coordinator.errors import NotImportable
from coordinator.foreign_json import Field
from coordinator.interop.descriptors import KEEP_IT
from coordinator.interop.key_text import KEY_MAX, read_fingerprint, read_path, read_xpub
from coordinator.interop.wallet_file import WalletFile, WalletKey, checked
from psbt.errors import PolicyError
from psbt.keys import format_path, format_xpub
from psbt.network import Network
from psbt.policy import KEYS_MAX

FORMAT: Final = "Caravan wallet"
TYPES: Final = {
    "P2SH": "sh",
    "P2WSH": "wsh",
    "P2SH-P2WSH": "sh-wsh",
    "P2SH_P2WSH": "sh-wsh",
}
WRITTEN: Final = {"sh": "P2SH", "wsh": "P2WSH", "sh-wsh": "P2SH-P2WSH"}
NETWORKS: Final = ("mainnet", "testnet", "testnet4", "signet", "regtest")
UNKNOWN: Final = "unknown"
NAME_MAX: Final = 200


def is_one(found: Field) -> bool:
    """Tell whether JSON is of this format."""
    value = found.value
    return isinstance(value, Mapping) and "extendedPublicKeys" in value and "quorum" in value


def read(found: Field, network: Network) -> WalletFile:
    """Read a configuration; raises PolicyError or ValueError naming the field."""
    kind = found["addressType"].text(40)
    if kind.upper() == "P2TR":
        raise NotImportable(f"the {FORMAT} is a taproot wallet (addressType {kind})", KEEP_IT)
    if kind.upper() not in TYPES:
        found["addressType"].refuse(f"one of {', '.join(TYPES)}")
    quorum = found["quorum"]
    threshold = quorum["requiredSigners"].integer(0, 1_000)
    keys = tuple(_key(each) for each in found["extendedPublicKeys"].items(KEYS_MAX))
    total = quorum.member("totalSigners")
    if total is not None and total.integer(0, 1_000) != len(keys):
        raise PolicyError(
            f"the {FORMAT} says totalSigners {total.value}, and holds {len(keys)} keys"
        )
    named, name = found.member("network"), found.member("name")
    told = named.text(40).lower() if named is not None else None
    if named is not None and told not in NETWORKS:
        named.refuse(f"one of {', '.join(NETWORKS)}")
    file = WalletFile(
        FORMAT,
        TYPES[kind.upper()],
        True,
        threshold,
        keys,
        name=name.text(NAME_MAX) if name is not None else None,
        network=told,
    )
    start = found.member("startingAddressIndex")
    file = checked(file, network)
    if start is not None and start.integer(0, 2**31 - 1):
        file = file.warned(
            "starting_index",
            f"the {FORMAT} begins at address {start.value}; here all are looked for",
        )
    return file


def write(file: WalletFile, network: Network) -> str:
    """Return the configuration."""
    if not file.sorted:
        raise PolicyError(f"{file.form} cannot be written for Caravan: its keys are always sorted")
    caravans = "testnet" if network is Network.TESTNET4 else network.value
    return json.dumps(
        {
            "name": file.name or "vault",
            "addressType": WRITTEN[file.script],
            "network": caravans,
            "client": {"type": "public"},
            "quorum": {"requiredSigners": file.threshold, "totalSigners": len(file.keys)},
            "extendedPublicKeys": [_written(key, n, network) for n, key in enumerate(file.keys, 1)],
            "startingAddressIndex": 0,
        },
        indent=2,
    )


def _key(found: Field) -> WalletKey:
    key = read_xpub(found["xpub"].text(KEY_MAX), f"{found.name}.xpub")
    fingerprint, path, name = (found.member(each) for each in ("xfp", "bip32Path", "name"))
    if fingerprint is not None and fingerprint.text(20).lower() not in ("", UNKNOWN):
        key = key._replace(fingerprint=read_fingerprint(fingerprint.text(20), fingerprint.name))
    if path is not None and path.text(KEY_MAX).lower() not in ("", UNKNOWN):
        key = key._replace(path=read_path(path.text(KEY_MAX), path.name))
    return replace_name(key, name)


def replace_name(key: WalletKey, name: Field | None) -> WalletKey:
    """Return a key with the name a file gives it."""
    return key if name is None else key._replace(name=name.text(NAME_MAX))


def _written(key: WalletKey, number: int, network: Network) -> dict[str, str]:
    path = format_path(key.path or ()).replace("h", "'")
    return {
        "name": key.name or f"key {number}",
        "bip32Path": "/".join(filter(None, ("m", path))),
        "xpub": format_xpub(key.key, network),
        "xfp": (key.fingerprint or bytes(4)).hex(),
        "method": "text",
    }
