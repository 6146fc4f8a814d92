"""Specter's wallets: its export and its own file (JSON), and Specter-DIY's addwallet text.

The export names the receive keychain alone, and means change beside it. Sparrow writes the same
shape. On Specter-DIY keys stand without children: the device adds both keychains.
"""

import json
import re
from dataclasses import replace
from typing import Final

from coordinator.foreign_json import Field
from coordinator.interop import descriptors, own_json
from coordinator.interop.key_text import KEY_MAX
from coordinator.interop.wallet_file import WalletFile, address
from psbt.errors import PolicyError
from psbt.network import Network
from psbt.policy import CHANGE, KEYS_MAX, RECEIVE

FORMAT: Final = "Specter wallet"
DIY: Final = "Specter-DIY text"
ADD: Final = "addwallet "
NAME_MAX: Final = 200
NAMED = re.compile(r"[^&()\n]{1,100}&\s*(?:wsh|sh)\(")
"""Specter-DIY's text without the command before it, as it keeps its wallets."""


def is_one(found: Field) -> bool:
    """Tell whether JSON is an export or a wallet of Specter's."""
    value = found.value
    if not isinstance(value, dict):
        return False
    return "recv_descriptor" in value or (
        isinstance(value.get("descriptor"), str) and ("label" in value or "blockheight" in value)
    )


def is_diy(text: str) -> bool:
    """Tell whether a text is Specter-DIY's."""
    return text.lstrip()[: len(ADD)].lower() == ADD or bool(NAMED.match(text.lstrip()))


def read(found: Field, network: Network) -> list[WalletFile]:
    """Read an export, or the file of a wallet."""
    if found.member("recv_descriptor") is not None:
        names = ("recv_descriptor", "change_descriptor")
        given = list(filter(None, map(found.member, names)))
    else:
        given = [found["descriptor"]]
    texts = [each.text(descriptors.DESCRIPTOR_MAX) for each in given]
    if len(texts) > 1 and not descriptors.of_one_wallet(texts):
        raise PolicyError(f"the {FORMAT}'s receive and change descriptors are of two wallets")
    if len(texts) > 1 and f"/{CHANGE}/*" in texts[0] and f"/{RECEIVE}/*" in texts[1]:
        raise PolicyError(
            f"the {FORMAT}'s recv_descriptor derives /{CHANGE}/*, and its change_descriptor"
            f" /{RECEIVE}/*: receive is {RECEIVE}, change {CHANGE}"
        )
    files = descriptors.wallets(texts, network, FORMAT, change_known=True)
    files = own_json.as_said(files, found, network)
    _check_keys(found, files[0], network)
    name = found.first(("label", "name"))
    height = found.member("blockheight")
    born = height.integer(0, 2**31 - 1) if height is not None else 0
    return [
        replace(
            files[0],
            name=name.text(NAME_MAX) if name is not None else None,
            birthday_height=born or files[0].birthday_height,
        )
    ]


def _check_keys(found: Field, file: WalletFile, network: Network) -> None:
    """Hold a wallet's own file, which says more, against its descriptors."""
    keys = found.member("keys")
    listed = len(list(keys.items(KEYS_MAX))) if keys is not None else 0
    if listed not in (0, len(file.keys)):
        raise PolicyError(f"the file holds {listed} keys, and its descriptor {len(file.keys)}")
    shown, index = found.member("address"), found.member("address_index")
    if shown is None or index is None or not shown.value:
        return
    place = index.integer(0, 2**31 - 1)
    given = address(file, RECEIVE, place, network=network)
    if shown.text(KEY_MAX).lower() != given.lower():
        raise PolicyError(
            f"{shown.name} is {shown.text(KEY_MAX)}, and the keys give {given} at index {place}"
        )


def read_diy(text: str, network: Network) -> list[WalletFile]:
    """Read `addwallet NAME&DESCRIPTOR`, or what stands behind that command."""
    text = text.strip()
    text = text[len(ADD) :] if text[: len(ADD)].lower() == ADD else text
    name, mark, descriptor = text.partition("&")
    if not mark:
        raise PolicyError(f"the {DIY} is no {ADD}NAME&DESCRIPTOR")
    body = descriptors.body_of(descriptor.strip(), f"the {DIY}")
    has_children = "*" in body.text or "{" in body.text
    whole = body.text if has_children else descriptors.with_children(body.text, "/<0;1>/*")
    files = descriptors.wallets([whole], network, DIY)
    return [replace(file, name=name.strip()[:NAME_MAX] or None) for file in files]


def write(file: WalletFile, network: Network) -> str:
    """Return what Specter imports; the receive keychain alone stands for both."""
    receive, _ = descriptors.pair(file, network)
    return json.dumps(
        {
            "label": file.name or "vault",
            "blockheight": file.birthday_height or 0,
            "descriptor": receive,
            "devices": [
                {"type": "other", "label": key.name or f"key {number}"}
                for number, key in enumerate(file.keys, 1)
            ],
        },
        indent=2,
    )


def write_diy(file: WalletFile, network: Network) -> str:
    """Return the text a Specter-DIY takes."""
    return f"{ADD}{file.name or 'vault'}&{descriptors.without_children(file, network)}"
