"""Files with the keys of one signer: Coldcard's ccxp, Cobo's and BlueWallet's, a key expression."""

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from coordinator.errors import NotImportable
from coordinator.foreign_json import Field, lists_objects
from coordinator.foreign_text import lines
from coordinator.interop.descriptors import key_of
from coordinator.interop.key_text import (
    KEY_MAX,
    read_fingerprint,
    read_key,
    read_path,
    read_xpub,
    slip132_version,
)
from coordinator.interop.wallet_file import UNKNOWN_FINGERPRINT, WalletKey, script_of_path
from psbt.errors import PolicyError
from psbt.keys import KeyExpression, check_origin, format_xpub
from psbt.network import Network

CCXP: Final = "Coldcard keys (ccxp)"
GENERIC: Final = "Coldcard accounts"
COBO: Final = "Cobo key"
EXPRESSION: Final = "key expression"
# By script type: how a ccxp file calls it, in newer files and in older ones.
SLOTS: Final = {"wsh": ("p2wsh",), "sh-wsh": ("p2sh_p2wsh", "p2wsh_p2sh"), "sh": ("p2sh",)}
# The same in Coldcard's and Passport's generic export, whose accounts are objects.
ACCOUNTS: Final = {"wsh": ("bip48_2",), "sh-wsh": ("bip48_1",), "sh": ("bip45",)}
DEVICE: Final = "Specter device"
DEVICE_TYPES: Final = ("wsh", "sh-wsh", "sh")
DEVICE_KEYS_MAX: Final = 200
SINGLE_KEY: Final = "ExtPubKey"
SINGLE: Final = "the key of a wallet with a single key (Wasabi's format)"
SINGLE_ACCOUNTS: Final = ("bip44", "bip49", "bip84", "bip86")
SINGLE_REMEDY: Final = "export the signer's key for a multisig wallet: the account of BIP 48"
LONE_KEY = re.compile(r"(?:\[[^\[\]]*\])?[a-zA-Z]pub[1-9A-HJ-NP-Za-km-z]{100,110}(?:/.*)?")


FINGERPRINTS: Final = (
    "xfp", "fingerprint", "root_fingerprint", "master_fingerprint", "rootFingerprint",
    "masterFingerprint", "mfp",
)  # fmt: skip
PATHS: Final = (
    "path", "derivation", "derivation_path", "deriv", "bip32Path", "bip32_path", "derivationPath",
    "keypath", "hdPath",
)  # fmt: skip
"""How JSON of one key calls where it comes from."""


class SignerKey(NamedTuple):
    """A signer's key; the script type is None where the file does not say it."""

    script: str | None
    key: WalletKey
    warning: str | None = None


class KeyFile(NamedTuple):
    """A format's name and the keys a file of it holds."""

    format: str
    keys: list[SignerKey]


def is_one(found: Field) -> bool:
    """Tell whether JSON is a signer's keys."""
    value = found.value
    if not isinstance(value, dict):
        return False
    if not any(name in value for name in FINGERPRINTS):
        return _is_device(value)
    named = [name for names in (*SLOTS.values(), *ACCOUNTS.values()) for name in names]
    return "xpub" in value or any(name in value for name in named)


def is_expression(text: str) -> bool:
    """Tell whether a text is one key, with or without its origin."""
    return bool(LONE_KEY.fullmatch(text.strip()))


def read(found: Field) -> KeyFile:
    """Read a signer's keys from JSON; raises PolicyError."""
    for name in ("xprv", "seed", "mnemonic"):
        if found.member(name) is not None:
            raise NotImportable(
                f"the file holds a {name}", "nothing of it was stored; delete the file"
            )
    members = found.value if isinstance(found.value, dict) else {}
    if _is_device(members):
        return KeyFile(DEVICE, list(_device_keys(found)))
    if SINGLE_KEY in members:
        raise NotImportable(f"this is {SINGLE}", SINGLE_REMEDY)
    said = found.first(FINGERPRINTS)
    if said is None and "xpub" in members:
        raise PolicyError(f"{found.name}.{FINGERPRINTS[0]} is missing")
    if said is None:
        held = ", ".join(list(members)[:8])[:200] or "nothing"
        raise PolicyError(f"the JSON is of no signer's keys known here; it holds {held}")
    fingerprint = read_fingerprint(said.text(20), said.name)
    accounts = list(_accounts(found, fingerprint))
    if accounts:
        return KeyFile(GENERIC, accounts)
    if any(name in members for name in SINGLE_ACCOUNTS):
        raise NotImportable("the file holds accounts of a single key alone", SINGLE_REMEDY)
    if (xpub := found.member("xpub")) is not None:
        path = found.first(PATHS)
        key = read_xpub(xpub.text(KEY_MAX), "xpub")._replace(
            fingerprint=fingerprint,
            path=read_path(path.text(KEY_MAX), path.name) if path is not None else None,
        )
        return KeyFile(COBO, [signer_key(key.prefix.script, key)])
    return KeyFile(CCXP, [signer_key(script, key) for script, key in _slots(found, fingerprint)])


def read_expression(text: str) -> KeyFile:
    """Read one key from text, in quotes or behind comments; steps below it are none of its own."""
    listed = [line for line in map(str.strip, lines(text)) if line and not line.startswith("#")]
    if len(listed) > 1 and all(map(is_expression, listed)):
        raise PolicyError(f"the file holds {len(listed)} keys: give one at a time")
    whole = listed[0] if len(listed) == 1 else text.strip()
    key, below = read_key(whole.strip("\"'`"), "the key")
    if below not in ("", "/**", "/<0;1>/*", "/0/*"):
        raise PolicyError(f"the key has {below[:20]!r} behind it: give the account's key alone")
    return KeyFile(EXPRESSION, [signer_key(key.prefix.script, key)])


def write_slip132(key: WalletKey, script: str, network: Network) -> str:
    """Return [fingerprint/path]Zpub, as BlueWallet, SeedSigner and others write it."""
    origin, bracket, _ = key_of(key, network).rpartition("]")
    return origin + bracket + format_xpub(key.key, network, slip132_version(script, network))


def write_cobo(key: WalletKey, network: Network) -> str:
    """Return the JSON of one cosigner as Cobo and BlueWallet read it."""
    return json.dumps(
        {
            "xfp": key.xfp.upper(),
            "xpub": format_xpub(key.key, network),
            "path": key.master_path,
        }
    )


def write_ccxp(key: WalletKey, script: str, network: Network) -> str:
    """Return the JSON of Coldcard's key file, with the one key that is known."""
    name = SLOTS[script][0]
    return json.dumps(
        {
            f"{name}_deriv": key.master_path.replace("'", "h"),
            name: format_xpub(key.key, network, slip132_version(script, network)),
            f"{name}_key_exp": key_of(key, network),
            "account": "0",
            "xfp": key.xfp.upper(),
        },
        indent=2,
    )


def _is_device(members: dict[str, object]) -> bool:
    """Tell whether JSON is a device of Specter's: its name, type and keys."""
    told = ("fingerprint", "derivation", "xpub")
    return "type" in members and lists_objects(members.get("keys"), *told)


def _device_keys(found: Field) -> Iterator[SignerKey]:
    """Yield the keys of a Specter device that are for wallets of several."""
    for each in found["keys"].items(DEVICE_KEYS_MAX):
        script = each.text_of("type", 40)
        if script is not None and script not in DEVICE_TYPES:
            continue
        key = read_xpub(each["xpub"].text(KEY_MAX), f"{each.name}.xpub")
        yield signer_key(
            script,
            key._replace(
                fingerprint=read_fingerprint(each["fingerprint"].text(20), each.name),
                path=read_path(each["derivation"].text(KEY_MAX), each.name),
            ),
        )


def _accounts(found: Field, fingerprint: bytes) -> Iterator[SignerKey]:
    for script, names in ACCOUNTS.items():
        for account in filter(None, map(found.member, names)):
            key = read_xpub(account["xpub"].text(KEY_MAX), f"{account.name}.xpub")
            path = read_path(account["deriv"].text(KEY_MAX), f"{account.name}.deriv")
            yield signer_key(script, key._replace(fingerprint=fingerprint, path=path))


def _slots(found: Field, fingerprint: bytes) -> Iterator[tuple[str, WalletKey]]:
    for script, names in SLOTS.items():
        for name in names:
            given, path = found.member(name), found.member(f"{name}_deriv")
            if given is None:
                continue
            key = read_xpub(given.text(KEY_MAX), name)
            if key.prefix.script not in (None, script):
                raise PolicyError(f"{name} begins with {key.prefix.letters}: {key.prefix.script}")
            said = found.member(f"{name}_key_exp")
            if said is not None and read_key(said.text(KEY_MAX), said.name).key.key != key.key:
                raise PolicyError(f"{said.name} is another key than {name}")
            yield (
                script,
                key._replace(
                    fingerprint=fingerprint,
                    path=read_path(path.text(KEY_MAX), f"{name}_deriv") if path else None,
                ),
            )
            break


def signer_key(script: str | None, key: WalletKey) -> SignerKey:
    """Return a key with a warning where its origin is missing or contradicts it."""
    if script is None and key.path is not None:
        named = script_of_path(key.path)
        script = named if named in SLOTS else None
    if key.fingerprint in (None, UNKNOWN_FINGERPRINT) or key.path is None:
        return SignerKey(script, key, "the file tells no origin of the key")
    try:
        check_origin(KeyExpression(key.fingerprint or bytes(4), key.path, key.key))
    except PolicyError as failure:
        return SignerKey(script, key, str(failure))
    return SignerKey(script, key)
