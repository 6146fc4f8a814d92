"""Caravan's wallet configuration (JSON): sorted keys, keychains 0 and 1."""

import json
from collections.abc import Mapping
from typing import Final

from coordinator.errors import NotImportable
from coordinator.foreign_json import Field
from coordinator.interop.descriptors import KEEP_IT
from coordinator.interop.key_text import KEY_MAX, read_fingerprint, read_path, read_xpub
from coordinator.interop.wallet_file import SCRIPT_NAMES, WalletFile, WalletKey, checked
from psbt.errors import PolicyError
from psbt.keys import format_xpub
from psbt.network import Network
from psbt.policy import KEYS_MAX

FORMAT: Final = "Caravan wallet"
TYPES: Final = {**{name: script for script, name in SCRIPT_NAMES.items()}, "P2SH_P2WSH": "sh-wsh"}
NETWORKS: Final = ("mainnet", "testnet", "testnet4", "signet", "regtest")
UNKNOWN: Final = "unknown"
NAME_MAX: Final = 200


def is_one(found: Field) -> bool:
    """Tell whether JSON is of this format."""
    value = found.value
    return isinstance(value, Mapping) and "extendedPublicKeys" in value and "quorum" in value


def read(found: Field, network: Network) -> list[WalletFile]:
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
    named = found.member("network")
    told = named.text(40).lower() if named is not None else None
    if named is not None and told not in NETWORKS:
        named.refuse(f"one of {', '.join(NETWORKS)}")
    file = WalletFile(
        FORMAT,
        TYPES[kind.upper()],
        True,
        threshold,
        keys,
        name=found.text_of("name", NAME_MAX),
        network=told,
    )
    file = checked(file, network)
    start = found.member("startingAddressIndex")
    if start is not None and start.integer(0, 2**31 - 1):
        file = file.warned(
            "starting_index",
            f"the {FORMAT} begins at address {start.value}; here all are looked for",
        )
    return [file]


def write(file: WalletFile, network: Network) -> str:
    """Return the configuration."""
    if not file.sorted:
        raise PolicyError(f"{file.form} cannot be written for Caravan: its keys are always sorted")
    keys = [
        {
            "name": key.name or f"key {number}",
            "bip32Path": key.master_path,
            "xpub": format_xpub(key.key, network),
            "xfp": key.xfp,
            "method": "text",
        }
        for number, key in enumerate(file.keys, 1)
    ]
    return json.dumps(
        {
            "name": file.name or "vault",
            "addressType": SCRIPT_NAMES[file.script],
            "network": "testnet" if network is Network.TESTNET4 else network.value,
            "client": {"type": "public"},
            "quorum": {"requiredSigners": file.threshold, "totalSigners": len(file.keys)},
            "extendedPublicKeys": keys,
            "startingAddressIndex": 0,
        },
        indent=2,
    )


def _key(found: Field) -> WalletKey:
    key = read_xpub(found["xpub"].text(KEY_MAX), f"{found.name}.xpub")
    fingerprint, path = found.member("xfp"), found.member("bip32Path")
    if fingerprint is not None and fingerprint.text(20).lower() not in ("", UNKNOWN):
        key = key._replace(fingerprint=read_fingerprint(fingerprint.text(20), fingerprint.name))
    if path is not None and path.text(KEY_MAX).lower() not in ("", UNKNOWN):
        key = key._replace(path=read_path(path.text(KEY_MAX), path.name))
    return key._replace(name=found.text_of("name", NAME_MAX))
