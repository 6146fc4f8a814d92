"""Bitcoin Core's listdescriptors and importdescriptors (JSON)."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from coordinator.foreign_json import Field, lists_objects
from coordinator.interop import descriptors
from coordinator.interop.wallet_file import WalletFile
from psbt.errors import PolicyError
from psbt.network import Network
from psbt.policy import CHANGE, RECEIVE

FORMAT: Final = "Bitcoin Core descriptors"
COMMAND_MAX: Final = 1 << 20
COMMAND = re.compile(r"importdescriptors\s+(?:'(\[(?:[^']|'\\'')*\])'|\"(\[(?:[^\"\\]|\\.)*\])\")")
BARE_COMMAND = re.compile(
    r"\s*(?:bitcoin-cli[^\[\n]{1,200})?importdescriptors\s+(\[.*\])\s*", re.DOTALL
)
QUOTE: Final = "'\\''"
"""How a shell has a single quote within single quotes."""
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
ENTRIES_MAX: Final = 100
RANGE: Final = 999


def unwrapped(found: Field) -> Field:
    """Return what a node answered, without what its RPC puts around it."""
    value = found.value
    wrapped = isinstance(value, dict) and isinstance(value.get("result"), dict | list)
    return found["result"] if wrapped else found


def command_in(text: str) -> str | None:
    """Return the JSON of an importdescriptors command in a text, as Coldcard writes it.

    It stands in single quotes, in double ones with its own escaped, as Windows wants it, or bare.
    """
    if len(text) > COMMAND_MAX:
        return None
    if bare := BARE_COMMAND.fullmatch(text):
        return bare[1]
    matched = COMMAND.search(text)
    if matched is None:
        return None
    return (matched[1] or "").replace(QUOTE, "'") or ESCAPED.sub(r"\1", matched[2])


def is_one(found: Field) -> bool:
    """Tell whether JSON is of this format: entries that have a desc."""
    value = unwrapped(found).value
    if isinstance(value, dict):
        value = value.get("descriptors")
    return lists_objects(value, "desc")


def read(found: Field, network: Network) -> list[WalletFile]:
    """Return the wallets of a list; what is told of range and time of each goes with it."""
    found = unwrapped(found)
    listed = found if isinstance(found.value, list) else found["descriptors"]
    entries = sorted(listed.items(ENTRIES_MAX), key=_is_internal)
    texts = [entry["desc"].text(descriptors.DESCRIPTOR_MAX) for entry in entries]
    files = descriptors.wallets(texts, network, FORMAT)
    alone = isinstance(found.value, dict) and len(files) == 1
    label = found.text_of("wallet_name", 200) if alone else None
    return [replace(file, name=label, birthday=_oldest(entries)) for file in files]


def write(file: WalletFile, network: Network) -> str:
    """Return what importdescriptors takes: receive and change, watched from the birthday on."""
    timestamp = int(file.birthday.timestamp()) if file.birthday is not None else 0
    entries = [
        {
            "desc": text,
            "timestamp": timestamp,
            "active": True,
            "range": [0, max(file.gap or 0, RANGE)],
            "internal": internal,
        }
        for text, internal in zip(descriptors.pair(file, network), (False, True), strict=True)
    ]
    return json.dumps(entries, indent=2)


def _is_internal(entry: Field) -> bool:
    """Tell whether an entry is of change; raises PolicyError where its descriptor is of another."""
    told = entry.member("internal")
    if told is None:
        return False
    internal = told.flag()
    desc = entry["desc"].text(descriptors.DESCRIPTOR_MAX)
    other = RECEIVE if internal else CHANGE
    if f"/{other}/*" in desc and "<" not in desc:
        said = "internal (change)" if internal else "not internal (receive)"
        raise PolicyError(
            f"{entry.name} is {said}, and its keys derive /{other}/*: here receive is 0, change 1"
        )
    return internal


def _oldest(entries: list[Field]) -> datetime | None:
    moments = []
    for entry in entries:
        timestamp = entry.member("timestamp")
        if timestamp is None or timestamp.value == "now":
            return None
        moments.append(timestamp.moment())
    oldest = min(moments, default=0)
    return datetime.fromtimestamp(oldest, UTC) if oldest > 1 else None
