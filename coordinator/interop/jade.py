"""Jade's multisig registration (JSON, as its RPC has it): the variant, and each signer.

A Jade names the two steps below the keys when it is asked for an address, not here.
"""

import json
import re
from typing import Final

from coordinator.errors import NotImportable, UsageError
from coordinator.foreign_json import Field
from coordinator.interop.key_text import KEY_MAX, read_fingerprint, read_xpub
from coordinator.interop.wallet_file import WalletFile, WalletKey, checked
from psbt.errors import PolicyError
from psbt.keys import HARDENED, Path, child, format_xpub
from psbt.network import Network
from psbt.policy import KEYS_MAX

FORMAT: Final = "Jade registration"
VARIANTS: Final = {"sh(multi(k))": "sh", "wsh(multi(k))": "wsh", "sh(wsh(multi(k)))": "sh-wsh"}
NETWORKS: Final = {"mainnet": "mainnet", "testnet": "testnet", "localtest": "regtest"}
JADE_NETWORKS: Final = {
    Network.MAINNET: "mainnet",
    Network.TESTNET4: "testnet",
    Network.SIGNET: "testnet",
    Network.REGTEST: "localtest",
}
NAME_MAX: Final = 15
NOT_IN_NAMES: Final = re.compile(r"[^0-9A-Za-z_.-]+")
STEPS_MAX: Final = 16
WRAPPERS: Final = ("params", "input")


def is_one(found: Field) -> bool:
    """Tell whether JSON is of this format, alone or as a message."""
    value = unwrapped(found).value
    if not isinstance(value, dict):
        return False
    inner = value.get("descriptor")
    return isinstance(inner, dict) and "variant" in inner


def unwrapped(found: Field) -> Field:
    """Return what a message of Jade's RPC carries."""
    for name in WRAPPERS:
        if isinstance(found.value, dict) and isinstance(found.value.get(name), dict):
            return found[name]
    return found


def read(found: Field, network: Network) -> list[WalletFile]:
    """Read a registration; raises PolicyError or ValueError naming the field."""
    found = unwrapped(found)
    told, named = found["descriptor"], found.member("network")
    named_network = named.text(40).lower() if named is not None else None
    blinded = isinstance(told.value, dict) and "master_blinding_key" in told.value
    if blinded or "liquid" in (named_network or ""):
        raise NotImportable(
            f"the {FORMAT} is for Liquid, not for Bitcoin",
            "nothing was imported; use it in a wallet for Liquid",
        )
    if named_network is not None and named_network not in NETWORKS:
        raise PolicyError(f"the {FORMAT} is for the network {named_network!r}, not known here")
    variant = told["variant"].text(40)
    if variant not in VARIANTS:
        known = ", ".join(VARIANTS)
        raise PolicyError(f"the {FORMAT}: unknown variant {variant!r}; expected one of {known}")
    flag = told.member("sorted")
    file = WalletFile(
        FORMAT,
        VARIANTS[variant],
        flag.flag() if flag is not None else False,
        told["threshold"].integer(1, KEYS_MAX),
        tuple(_signer(each) for each in told["signers"].items(KEYS_MAX)),
        name=found.text_of("multisig_name", 40),
        network=NETWORKS[named_network] if named_network is not None else None,
    )
    return [checked(file, network)]


def write(file: WalletFile, network: Network) -> str:
    """Return what Jade's RPC register_multisig takes; raises UsageError for a key without origin.

    A name keeps letters and digits, and 15 characters.
    """
    variant = next(variant for variant, script in VARIANTS.items() if script == file.script)
    name = NOT_IN_NAMES.sub("_", file.name or "").strip("_")[:NAME_MAX]
    signers: list[dict[str, object]] = []
    for key in file.keys:
        xpub = format_xpub(key.key, network)
        if key.fingerprint is None or key.path is None:
            who = key.name or xpub
            raise UsageError(f"a {FORMAT} needs the origin of every key; {who} has none")
        origin = {"fingerprint": key.fingerprint.hex(), "derivation": list(key.path)}
        signers.append({**origin, "xpub": xpub, "path": []})
    descriptor = {
        "variant": variant,
        "sorted": file.sorted,
        "threshold": file.threshold,
        "signers": signers,
    }
    said = {"multisig_name": name or "vault", "descriptor": descriptor}
    return json.dumps({"network": JADE_NETWORKS[network], **said}, indent=2)


def _signer(found: Field) -> WalletKey:
    key = read_xpub(found["xpub"].text(KEY_MAX), f"{found.name}.xpub")
    path, below = _path(found.member("derivation")), _path(found.member("path"))
    key = key._replace(
        fingerprint=read_fingerprint(found["fingerprint"].text(20), f"{found.name}.fingerprint"),
        path=path,
    )
    for step in below or ():
        if step >= HARDENED:
            raise PolicyError(f"{found.name}.path has hardened steps, which need the private key")
        key = key._replace(
            key=child(key.key, step), path=None if key.path is None else (*key.path, step)
        )
    return key


def _path(found: Field | None) -> Path | None:
    if found is None:
        return None
    return tuple(step.integer(0, 2**32 - 1) for step in found.items(STEPS_MAX))
