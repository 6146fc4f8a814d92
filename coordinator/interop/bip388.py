"""Wallet policies (BIP 388): a template with placeholders, and the keys that belong in them."""

import json
import re
from dataclasses import replace
from typing import Final

from coordinator.errors import NotImportable
from coordinator.foreign_json import Field
from coordinator.interop import descriptors, jade
from coordinator.interop.key_text import KEY_MAX, read_fingerprint, read_path
from coordinator.interop.wallet_file import WalletFile, policy_of
from psbt.errors import PolicyError
from psbt.keys import format_key_expression, format_path
from psbt.network import Network
from psbt.policy import KEYS_MAX, format_template, template_keys

FORMAT: Final = "wallet policy (BIP 388)"
TEMPLATES: Final = ("descriptor_template", "template", "desc_template", "policy", "descriptor")
KEYS: Final = ("keys_info", "keys", "datavalues")
NAMES: Final = ("name", "descriptor_name", "wallet_name")
PLACEHOLDER = re.compile(r"@([0-9]{1,3})((?:/[^,()@]*)?)")
BELOW = re.compile(r"/\*\*|/<(?:0|[1-9][0-9]*);(?:0|[1-9][0-9]*)>/\*")
INFO_MAX: Final = KEYS_MAX + 1  # and the internal key of taproot
TEMPLATE_MAX: Final = 4_096
NAME_MAX: Final = 200


def is_one(found: Field) -> bool:
    """Tell whether JSON is of this format: a template with placeholders, and keys."""
    value = jade.unwrapped(found).value
    if not isinstance(value, dict):
        return False
    template = next((value[name] for name in TEMPLATES if name in value), None)
    return isinstance(template, str) and "@0" in template and any(name in value for name in KEYS)


def read(found: Field, network: Network) -> list[WalletFile]:
    """Read a policy; raises PolicyError or ValueError naming the field."""
    found = jade.unwrapped(found)
    template = found.first(TEMPLATES) or found[TEMPLATES[0]]
    keys = _keys(found.first(KEYS) or found[KEYS[0]])
    texts = [_expanded(template.text(TEMPLATE_MAX), keys)]
    files = descriptors.wallets(texts, network, FORMAT)
    name = found.first(NAMES)
    told = name.text(NAME_MAX) if name is not None else None
    return [replace(file, name=told) for file in files]


def write(file: WalletFile, network: Network) -> str:
    """Return the policy: name, template and keys."""
    policy = policy_of(file, network)
    template = format_template(policy)
    keys = [
        format_key_expression(key, network).replace("h/", "'/").replace("h]", "']")
        for key in template_keys(policy)
    ]
    if policy.script == "tr":
        keys[0] = keys[0].rpartition("]")[2]  # nobody's key has no origin
    return json.dumps(
        {"name": file.name or "vault", "descriptor_template": template, "keys_info": keys}, indent=2
    )


def _keys(found: Field) -> list[str]:
    if not isinstance(found.value, dict):
        return [_written_key(each) for each in found.items(INFO_MAX)]
    wanted = [f"@{number}" for number in range(len(found.value))]
    if set(found.value) != set(wanted) or len(wanted) > INFO_MAX:
        raise PolicyError(f"{found.name} does not hold the keys @0, @1 and so on")
    return [found[name].text(512) for name in wanted]


def _written_key(found: Field) -> str:
    """Return a key as text, which a BitBox has in three fields."""
    if not isinstance(found.value, dict):
        return found.text(KEY_MAX)
    origin = read_fingerprint(found["root_fingerprint"].text(20), f"{found.name}.root_fingerprint")
    path = read_path(found["keypath"].text(KEY_MAX), f"{found.name}.keypath")
    written = "/".join(filter(None, (origin.hex(), format_path(path))))
    return f"[{written}]{found['xpub'].text(KEY_MAX)}"


def _expanded(template: str, keys: list[str]) -> str:
    """Put the keys in their places, by the rules of BIP 388."""
    if "xpub" in template or "tpub" in template:
        raise PolicyError(f"the {FORMAT}'s template holds a key beside its placeholders")
    if "musig(" in template:
        raise NotImportable(
            f"the {FORMAT} is a wallet of MuSig2, which no card signs for",
            descriptors.KEEP_IT,
        )
    placed = PLACEHOLDER.findall(template)
    first_seen = list(dict.fromkeys(int(number) for number, _ in placed))
    if first_seen != list(range(len(keys))):
        raise PolicyError(
            f"the {FORMAT} has {len(keys)} keys, and its template names @"
            f"{', @'.join(map(str, first_seen[:20]))}: they must appear in order, from @0 on"
        )
    return PLACEHOLDER.sub(lambda each: _key(keys[int(each[1])], each[1], each[2]), template)


def _key(key: str, number: str, below: str) -> str:
    """Return a key with what stands below it, in the template or, as of old, behind the key."""
    bare = key.removesuffix("/**")
    below = below or key[len(bare) :]
    if not BELOW.fullmatch(below):
        raise PolicyError(
            f"@{number} of the {FORMAT} derives {below[:20]!r}; a policy derives /** or /<M;N>/*"
        )
    return bare + below
