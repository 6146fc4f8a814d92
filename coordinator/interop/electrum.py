"""Electrum's wallet file (JSON, from version 2.7 on): public parts only.

The script type stands in the prefix of the keys alone: a plain xpub means legacy P2SH there.
"""

import json
import re
from typing import Final

from coordinator.errors import NotImportable
from coordinator.foreign_json import Field
from coordinator.interop.key_text import (
    KEY_MAX,
    read_fingerprint,
    read_path,
    read_xpub,
    slip132_version,
)
from coordinator.interop.wallet_file import WalletFile, WalletKey, checked
from psbt.errors import PolicyError
from psbt.keys import format_xpub
from psbt.network import Network
from psbt.policy import KEYS_MAX

FORMAT: Final = "Electrum wallet"
ENCRYPTED: Final = "QklF"
"""How base64 of BIE1 and BIE2 begins."""
BY_DEVICE = re.compile(r"QklFM[g-v]")
"""BIE2: its password is a key of the hardware wallet that is the wallet's one signer."""
SEED_VERSION_LEAST: Final = 12
SEED_VERSION_WRITTEN: Final = 20  # the first that keeps fingerprints
QUORUM = re.compile(r"([0-9]{1,3})of([0-9]{1,3})")
SINGLE: Final = "standard"
SCRIPTS: Final = {None: "sh", "sh-wsh": "sh-wsh", "wsh": "wsh"}
NAME_MAX: Final = 200
SEVERAL: Final = "nothing of it was stored; a vault needs the keys of several signers"
CHANGES = re.compile(r"\}\s*,\s*\{\s*\"op\"\s*:")
STORE = re.compile(r"x[0-9]{1,3}/")
READ: Final = ("type", "xpub", "derivation", "root_fingerprint", "ckcc_xfp")
CHANGES_MAX: Final = 1 << 20
LITERAL = re.compile(r"\{\s*u?'")


def is_one(found: Field) -> bool:
    """Tell whether JSON is of this format."""
    value = found.value
    return isinstance(value, dict) and (
        ("wallet_type" in value and "descriptor" not in value)
        or ("seed_version" in value and "keystore" in value)
    )


def is_old(text: str) -> bool:
    """Tell whether a text is a file of before 2.5, which is no JSON."""
    return bool(LITERAL.match(text)) and "'seed_version'" in text


def has_changes(text: str) -> bool:
    """Tell whether changes stand behind the wallet (JSON Patch), as of 4.5 on while it is open."""
    return text.startswith("{") and bool(CHANGES.search(text))


def without_changes(listed: Field) -> Field:
    """Return the wallet without its changes; raises PolicyError where one is to what is read."""
    wallet, *changes = listed.items(CHANGES_MAX)
    for change in changes:
        place = change["path"].text(1_000)
        _, *steps = (each.replace("~1", "/").replace("~0", "~") for each in place.split("/"))
        of_key = STORE.fullmatch(steps[0]) and (len(steps) == 1 or steps[1] in READ)
        if of_key or steps[0] in ("wallet_type", "seed_version"):
            raise NotImportable(
                f"the {FORMAT} has a change to {place[:40]} behind it that is not settled",
                "open it in Electrum once, close it, and import it again",
            )
    return wallet


def refuse_encrypted(text: str) -> None:
    """Raise NotImportable for a file under a password, with what opens it."""
    if BY_DEVICE.match(text):
        raise NotImportable(
            f"this is an {FORMAT} that a hardware wallet encrypted, which is one of a single key",
            SEVERAL,
        )
    if text.startswith(ENCRYPTED):
        raise NotImportable(
            f"this is an encrypted {FORMAT}",
            "copy it, open the copy in Electrum, take the tick from Encrypt wallet file (Wallet,"
            " Password), and import that",
        )


def refuse_old() -> PolicyError:
    """Return why an old file is not read."""
    return NotImportable(
        f"this is an {FORMAT} of before 2.7, which keeps its seeds in it",
        "nothing of it was stored; open it in a newer Electrum and export that wallet again",
    )


def read(found: Field, network: Network) -> list[WalletFile]:
    """Read a wallet; its seeds and private keys are passed over."""
    version = found.member("seed_version")
    if version is not None and version.integer(0, 10_000) < SEED_VERSION_LEAST:
        raise refuse_old()
    kind = found.text_of("wallet_type", 40)
    kind = SINGLE if kind is None else kind
    matched = QUORUM.fullmatch(kind)
    if not matched:
        called = {SINGLE: "of a single key", "2fa": "with TrustedCoin's second factor"}
        form = called.get(kind, f"of type {kind[:20]!r}")
        raise NotImportable(f"the {FORMAT} is one {form}, not a multisig MofN", SEVERAL)
    threshold, total = int(matched[1]), int(matched[2])
    if not 1 <= threshold <= total <= KEYS_MAX:
        raise PolicyError(f"the {FORMAT} is {kind}: 1 to {KEYS_MAX} keys are a wallet")
    stores = [found[f"x{number}/"] for number in range(1, total + 1)]
    if found.member(f"x{total + 1}/") is not None:
        raise PolicyError(f"the {FORMAT} is {kind}, and holds more keys than that")
    keys = tuple(_key(store) for store in stores)
    prefixes = {key.prefix.script for key in keys}
    if len(prefixes) > 1 or not prefixes <= SCRIPTS.keys():
        letters = ", ".join(sorted({key.prefix.letters for key in keys}))
        raise PolicyError(f"the {FORMAT}'s keys begin with {letters}: no one script type")
    file = WalletFile(
        FORMAT,
        SCRIPTS[prefixes.pop()],
        True,
        threshold,
        keys,
        first_address=_first_address(found),
    )
    return [checked(file, network)]


def write(file: WalletFile, network: Network) -> str:
    """Return a wallet that Electrum opens and watches; it brings the file up to date itself."""
    if not file.sorted:
        raise PolicyError(f"{file.form} cannot be written for Electrum: its keys are always sorted")
    version = slip132_version(file.script, network)
    stores = {
        f"x{number}/": {
            "type": "bip32",
            "xpub": format_xpub(key.key, network, version),
            "xprv": None,
            "derivation": key.master_path,
            "root_fingerprint": key.xfp,
            "label": key.name,
        }
        for number, key in enumerate(file.keys, 1)
    }
    return json.dumps(
        {
            "wallet_type": f"{file.threshold}of{len(file.keys)}",
            "seed_version": SEED_VERSION_WRITTEN,
            "use_encryption": False,
            **stores,
        },
        indent=4,
    )


def _key(store: Field) -> WalletKey:
    key = read_xpub(store["xpub"].text(KEY_MAX), f"{store.name}.xpub")
    path = store.text_of("derivation", KEY_MAX)
    if path:
        key = key._replace(path=read_path(path, f"{store.name}.derivation"))
    return key._replace(fingerprint=_fingerprint(store), name=store.text_of("label", NAME_MAX))


def _fingerprint(store: Field) -> bytes | None:
    """Return the master's fingerprint; of Coldcards it is a number, its last byte first."""
    given = store.text_of("root_fingerprint", 20)
    if given:
        return read_fingerprint(given, f"{store.name}.root_fingerprint")
    number = store.member("ckcc_xfp")
    return number.integer(0, 2**32 - 1).to_bytes(4, "little") if number is not None else None


def _first_address(found: Field) -> str | None:
    listed = found.member("addresses")
    receiving = listed.member("receiving") if listed is not None else None
    if receiving is None or not receiving.value:
        return None
    return receiving[0].text(100)
