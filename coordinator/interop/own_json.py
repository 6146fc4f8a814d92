"""The JSON that `vault export --format json` writes, or any that holds a descriptor.

Coldcard calls it desc, others keep it somewhere inside.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from coordinator.errors import UsageError
from coordinator.foreign_json import Field
from coordinator.interop import descriptors
from coordinator.interop.wallet_file import OWN_FORMAT, WalletFile, on_network
from psbt.errors import PolicyError
from psbt.network import Network

NAMES: Final = ("descriptor", "desc")
QUORUMS: Final = (
    ("threshold", "total"), ("m", "n"), ("requiredSigners", "totalSigners"), ("sigs_required", ""),
)  # fmt: skip
"""How JSON calls signatures needed and keys."""
NETWORKS: Final = {
    "mainnet": "mainnet", "main": "mainnet", "bitcoin": "mainnet", "testnet": "testnet",
    "test": "testnet", "testnet3": "testnet", "testnet4": "testnet4", "signet": "signet",
    "regtest": "regtest",
}  # fmt: skip
NAME_MAX: Final = 200
FOUND_MAX: Final = 100
DESCRIPTOR = re.compile(r"(?:wsh|sh|wpkh|pkh|tr)\([^\s]*(?:[xyztuvXYZTUV]pub)")
SECRETS: Final = ("mnemonic", "seed", "xprv", "passphrase", "words")
PRIVATE_KEY = re.compile(r"[xyztuvXYZTUV]prv[1-9A-HJ-NP-Za-km-z]{20}")


def is_one(found: Field) -> bool:
    """Tell whether JSON holds a descriptor by that name."""
    return isinstance(found.value, dict) and any(name in found.value for name in NAMES)


def read(found: Field, network: Network) -> list[WalletFile]:
    """Read the descriptor, and name and birthday beside it."""
    told = found.first(NAMES) or found[NAMES[0]]
    text = told.text(descriptors.DESCRIPTOR_MAX)
    called, height = found.text_of("name", NAME_MAX), found.member("birthday_height")
    birthday = _birthday(found.member("birthday"))
    files = as_said(descriptors.wallets([text], network, OWN_FORMAT), found, network)
    try:
        born = height.height() if height is not None else None
    except ValueError as failure:
        raise UsageError(f"{failure}: add --birthday DATE") from failure
    return [
        replace(
            file,
            name=called,
            birthday=birthday,
            birthday_height=file.birthday_height if born is None else born,
        )
        for file in files
    ]


def as_said(files: Sequence[WalletFile], found: Field, network: Network) -> list[WalletFile]:
    """Hold wallets against what JSON says beside their descriptor: quorum, keys, network.

    Raises PolicyError naming the field that says something else.
    """
    told = found.member("network")
    named = NETWORKS.get(told.value.lower()) if told and isinstance(told.value, str) else None
    for file in files:
        for needed, total in QUORUMS:
            _check_count(found.member(needed), file.threshold, "signatures")
            if file.node is None and found.member(needed) is not None:
                _check_count(found.member(total), len(file.keys), "keys")
    return [on_network(file, named, network) for file in files]


def _check_count(said: Field | None, count: int, what: str) -> None:
    if said is not None and isinstance(said.value, int) and said.value != count:
        raise PolicyError(f"{said.name} is {said.value}, and the descriptor has {count} {what}")


def descriptors_within(found: Field) -> list[str]:
    """Return the descriptors in JSON of any shape, each once, in order."""
    strings = [text for _, text in _strings(found.value)]
    return list(dict.fromkeys(text for text in strings if DESCRIPTOR.match(text)))[:FOUND_MAX]


def texts_within(found: Field) -> list[str]:
    """Return the texts of several lines in JSON of any shape, each once, in order."""
    texts = [text for _, text in _strings(found.value)]
    return list(dict.fromkeys(text for text in texts if "\n" in text))[:FOUND_MAX]


def holds_secrets(value: object) -> bool:
    """Tell whether JSON of any shape holds what may spend."""
    return any(
        text and (name.lower() in SECRETS or PRIVATE_KEY.search(text))
        for name, text in _strings(value)
    )


def _strings(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text in JSON with the name it stands under."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _strings(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, name)


def _birthday(told: Field | None) -> datetime | None:
    if told is None:
        return None
    try:
        moment = datetime.fromisoformat(told.text(40))
    except ValueError as failure:
        raise UsageError(f"{told.name} is no date: add --birthday DATE") from failure
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
