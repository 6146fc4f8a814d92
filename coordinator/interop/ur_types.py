"""What a UR holds: wallets, one signer's keys, or text, in both generations of type names.

crypto-output (BCR-2020-010) nests a tag for each script; output-descriptor (BCR-2023-010) has the
descriptor's text with @0, @1 … and the keys beside it. Keys: BCR-2020-007; accounts: -015, -019.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, NoReturn

import cbor2

from coordinator.errors import NotImportable
from coordinator.interop import ur
from coordinator.interop.key_text import PRIVATE
from coordinator.interop.wallet_file import WalletFile, WalletKey
from psbt import miniscript
from psbt.errors import PolicyError
from psbt.keys import (
    HARDENED,
    ExtendedPublicKey,
    KeyExpression,
    Path,
    check_key,
    fingerprint,
    format_key_expression,
    format_xpub,
)
from psbt.network import Network
from psbt.policy import KEYS_MAX, SCRIPTS

BYTES: Final = "bytes"
PAYMENTS: Final = ("psbt", "crypto-psbt")
OUTPUTS: Final = ("crypto-output", "output-descriptor")
ACCOUNTS: Final = ("crypto-account", "account-descriptor")
KEYS: Final = ("crypto-hdkey", "hdkey")
MULTI_ACCOUNTS: Final = "crypto-multi-accounts"
SECRETS: Final = tuple(
    name.removeprefix(old)
    for name in ("crypto-seed", "crypto-bip39", "crypto-sskr", "crypto-eckey")
    for old in ("", "crypto-")
)

SH, WSH, MULTI, SORTED_MULTI = 400, 401, 406, 407
SINGLE_KEYS: Final = {402: "pk", 403: "pkh", 404: "wpkh", 405: "combo", 409: "tr"}
COSIGNER: Final = 410
OTHERS: Final = {307: "address", 408: "raw script", COSIGNER: "cosigner"}
HDKEY, HDKEY_OLD = 40303, 303
KEYPATH, KEYPATH_OLD = 40304, 304
COIN, COIN_OLD = 40305, 305
DESCRIPTOR, DESCRIPTOR_OLD = 40308, 308
TEXT_MAX: Final = 4_096
STEPS_MAX: Final = 32
ACCOUNTS_MAX: Final = 40
TESTNET: Final = 1
COINS: Final = (0, 1)
"""Bitcoin, and all coins' test networks, which some signers say of either (SLIP 44)."""


class Scripts(NamedTuple):
    """Tags around the inside of an output, the outermost first."""

    tags: tuple[int, ...]
    inside: object


class UrKey(NamedTuple):
    """An hdkey: the key, its network, and the steps below it as text."""

    key: ExtendedPublicKey
    mainnet: bool
    fingerprint: bytes | None
    path: Path | None
    below: str
    steps: Path = ()

    @property
    def text(self) -> str:
        """Return the key as [fingerprint/path]xpub."""
        network = Network.MAINNET if self.mainnet else Network.REGTEST
        if self.fingerprint is None or self.path is None:
            return format_xpub(self.key, network)
        return format_key_expression(KeyExpression(self.fingerprint, self.path, self.key), network)


def descriptor_of(message: ur.Message) -> str:
    """Return the descriptor of a wallet; raises PolicyError for what is none."""
    found = ur.decoded(message.cbor)
    if message.type == "output-descriptor" or _tag_of(found) in (DESCRIPTOR, DESCRIPTOR_OLD):
        found = _untagged(found)
        if isinstance(found, dict):
            return _from_source(found)
    return _from_tags(found)


def account_outputs(message: ur.Message) -> list[tuple[str | None, UrKey]]:
    """Return an account's keys, each with the script type it is for; None is none of ours."""
    found = _map(_untagged(ur.decoded(message.cbor)), "an account")
    listed, master = found.get(2), _u32(found.get(1, 0), "the account")
    if not isinstance(listed, list) or len(listed) > ACCOUNTS_MAX:
        raise PolicyError(f"the account of {message.type} holds no list of outputs")
    told = master.to_bytes(4, "big") if master else None
    outputs: list[tuple[str | None, UrKey]] = []
    for script, key in _account_keys(listed):
        whole = key._replace(fingerprint=told, path=key.steps)
        outputs.append((script, whole if key.fingerprint is None and told is not None else key))
    return outputs


def keys_of_output(message: ur.Message) -> list[tuple[str | None, UrKey]]:
    """Return the one key that an output is of, with its script type; nothing of a wallet's."""
    return list(_account_keys([ur.decoded(message.cbor)]))


def keys_without_origin(message: ur.Message) -> list[int]:
    """Return which keys of a wallet's output, from 1 on, tell neither an origin nor to be a master.

    Of those alone a UR leaves open how deep they are; in an xpub they would look like masters.
    """
    found = _untagged(_unwrapped(ur.decoded(message.cbor)).inside)
    keys = found.get(2) if isinstance(found, dict) else None
    told = [_untagged(each) for each in keys] if isinstance(keys, list) else []
    return [
        number
        for number, each in enumerate(told, 1)
        if isinstance(each, dict) and not {1, 6} & each.keys()
    ]


def _untagged(found: object) -> object:
    return found.value if isinstance(found, cbor2.CBORTag) else found


def keys_of(message: ur.Message) -> list[UrKey]:
    """Return the keys that a Keystone shows at once, each of an account."""
    listed = _map(_untagged(ur.decoded(message.cbor)), "the accounts").get(2)
    if not isinstance(listed, list) or len(listed) > ACCOUNTS_MAX:
        raise PolicyError(f"the accounts of {message.type} are no list of keys")
    return [hdkey(each, number) for number, each in enumerate(listed, 1)]


def key_of(message: ur.Message) -> UrKey:
    """Return the one key of a message of a key."""
    return hdkey(ur.decoded(message.cbor), 1)


def bytes_of(message: ur.Message) -> bytes:
    """Return what a message of bytes holds."""
    found = ur.decoded(message.cbor)
    if not isinstance(found, bytes):
        raise PolicyError(f"the code of type {message.type} holds no bytes")
    return found


def refuse_other(kind: str) -> NoReturn:
    """Raise NotImportable that names what a message of this type is."""
    if kind in PAYMENTS:
        raise NotImportable(
            f"this is a PSBT (ur:{kind}), a payment, not a wallet",
            "import it as one: cardquorum spend import VAULT FILE",
        )
    if kind in SECRETS:
        raise NotImportable(f"this is a secret (ur:{kind}), not a wallet", PRIVATE)
    raise NotImportable(
        f"this is ur:{kind}, not a wallet", "show the wallet's descriptor (output) as a code"
    )


def write_output(file: WalletFile, network: Network) -> ur.Message:
    """Return a wallet as crypto-output, which most devices read."""
    keys = [cbor2.CBORTag(HDKEY_OLD, _written(key, network, old=True)) for key in file.keys]
    multi = cbor2.CBORTag(SORTED_MULTI if file.sorted else MULTI, {1: file.threshold, 2: keys})
    for tag in {"wsh": (WSH,), "sh-wsh": (WSH, SH), "sh": (SH,)}[file.script]:
        multi = cbor2.CBORTag(tag, multi)
    return ur.Message("crypto-output", cbor2.dumps(multi))


def write_descriptor(file: WalletFile, network: Network) -> ur.Message:
    """Return a wallet as output-descriptor, of the later generation."""
    multi = "sortedmulti" if file.sorted else "multi"
    places = [f"@{number}" for number in range(len(file.keys))]
    inner = f"{multi}({file.threshold},{','.join(places)})"
    if file.node is not None:
        inner = miniscript.write(file.node, places)
    source = SCRIPTS[file.script].format(inner)
    keys = [cbor2.CBORTag(HDKEY, _written(key, network, old=False)) for key in file.keys]
    document = {1: source, 2: keys, 3: file.name or "vault"}
    return ur.Message("output-descriptor", cbor2.dumps(document))


def payment(psbt: bytes) -> ur.Message:
    """Return a PSBT as crypto-psbt, the name of it that all devices read."""
    return ur.Message(PAYMENTS[1], cbor2.dumps(psbt))


def write_account(key: WalletKey, network: Network) -> ur.Message:
    """Return one signer's key as crypto-account, for wsh."""
    inner = cbor2.CBORTag(HDKEY_OLD, _written(key, network, old=True, children=False))
    master = int.from_bytes(key.fingerprint or bytes(4))
    outputs = [cbor2.CBORTag(WSH, inner)]
    return ur.Message("crypto-account", cbor2.dumps({1: master, 2: outputs}))


def hdkey(found: object, number: int) -> UrKey:
    """Read an hdkey; raises PolicyError naming its place."""
    where = f"key {number} of the UR"
    told = _map(_untagged(found), where)
    point, chain_code = told.get(3), told.get(4)
    if told.get(2) or (isinstance(point, bytes) and point.startswith(b"\0")):
        raise NotImportable(f"{where} is private", PRIVATE)
    if not isinstance(point, bytes) or not isinstance(chain_code, bytes):
        raise PolicyError(f"{where} has no key and chain code: nothing can be derived from it")
    origin, below = _keypath(told.get(6), where), _below(told.get(7), where)
    depth = len(origin.path) if origin.depth is None else origin.depth
    parent = _u32(told.get(8, 0), where)
    if depth == 1 and not parent and origin.fingerprint is not None:
        parent = int.from_bytes(origin.fingerprint)
    master = bool(told.get(1)) or depth == 0
    key = ExtendedPublicKey(
        point,
        chain_code,
        depth=0 if master else depth,
        parent_fingerprint=bytes(4) if master else parent.to_bytes(4, "big"),
        child_number=0 if master or not origin.path else origin.path[-1],
    )
    check_key(key)
    own = fingerprint(point) if master else origin.fingerprint
    path = origin.path if (own is not None and told.get(6) is not None) or master else None
    return UrKey(key, _is_mainnet(told.get(5), where), own, path, below, origin.path)


class _Origin(NamedTuple):
    path: Path = ()
    fingerprint: bytes | None = None
    depth: int | None = None


def _keypath(found: object, where: str) -> _Origin:
    if found is None:
        return _Origin()
    told = _map(_untagged(found), f"the origin of {where}")
    steps = told.get(1, [])
    if not isinstance(steps, list) or len(steps) % 2 or len(steps) > 2 * STEPS_MAX:
        raise PolicyError(f"the origin of {where} is no list of steps")
    path: list[int] = []
    for index, hardened in zip(steps[::2], steps[1::2], strict=True):
        number = _u32(index, where)
        if number >= HARDENED:
            raise PolicyError(f"{where} has the step {number}, which is out of range")
        path.append(number + (HARDENED if hardened is True else 0))
    source = _u32(told.get(2, 0), where)
    depth = told.get(3)
    return _Origin(
        tuple(path),
        source.to_bytes(4, "big") if source else None,
        None if depth is None else _u32(depth, where) & 0xFF,
    )


def _below(found: object, where: str) -> str:
    """Return the steps below a key as a descriptor has them."""
    if found is None:
        return ""
    told = _map(_untagged(found), f"the children of {where}")
    steps = told.get(1, [])
    if not isinstance(steps, list) or len(steps) > 2 * STEPS_MAX:
        raise PolicyError(f"the children of {where} are no list of steps")
    return "".join(_written_steps(list(steps), where))


def _written_steps(steps: list[object], where: str) -> Iterator[str]:
    while steps:
        first = steps.pop(0)
        if isinstance(first, list) and len(first) == 4:
            low, low_hard, high, high_hard = first
            if low_hard or high_hard:
                raise PolicyError(f"{where} has hardened keychains, which need the private key")
            yield f"/<{_u32(low, where)};{_u32(high, where)}>"
            continue
        hardened = bool(steps.pop(0)) if steps else False
        mark = "h" if hardened else ""
        if first == []:
            yield f"/*{mark}"
        elif isinstance(first, list) and len(first) == 2:
            yield f"/<{_u32(first[0], where)};{_u32(first[1], where)}>{mark}"
        else:
            yield f"/{_u32(first, where)}{mark}"


def _from_tags(found: object) -> str:
    tags, inside = _unwrapped(found)
    single = next((SINGLE_KEYS[tag] for tag in tags if tag in SINGLE_KEYS), None)
    other = next((OTHERS[tag] for tag in tags if tag in OTHERS), None)
    if single or other or not tags or tags[-1] not in (MULTI, SORTED_MULTI):
        what = f"{single}: a single key" if single else other or "no multisig"
        raise NotImportable(f"the code is {what}, not a wallet of several keys", "show the wallet")
    told = _map(inside, "the multisig")
    keys = told.get(2)
    if not isinstance(keys, list) or not 1 <= len(keys) <= KEYS_MAX:
        raise PolicyError(f"the code holds no list of 1 to {KEYS_MAX} keys")
    threshold = _u32(told.get(1, 0), "the multisig")
    read = [hdkey(each, number) for number, each in enumerate(keys, 1)]
    below = [each.below or "/<0;1>/*" for each in read]
    multi = "sortedmulti" if tags[-1] == SORTED_MULTI else "multi"
    inner = ",".join(each.text + steps for each, steps in zip(read, below, strict=True))
    body = f"{multi}({threshold},{inner})"
    for tag in reversed(tags[:-1]):
        body = f"{'sh' if tag == SH else 'wsh'}({body})"
    return body


def _from_source(told: dict[object, object]) -> str:
    source, keys = told.get(1), told.get(2, [])
    if not isinstance(source, str) or len(source) > TEXT_MAX:
        raise PolicyError("the code's descriptor is no text of a descriptor")
    if not isinstance(keys, list) or len(keys) > KEYS_MAX:
        raise PolicyError(f"the code holds no list of up to {KEYS_MAX} keys")
    body = source.partition("#")[0]
    for number in reversed(range(len(keys))):
        if _tag_of(keys[number]) not in (HDKEY, HDKEY_OLD):
            raise NotImportable(
                f"key {number + 1} of the code is no extended key", "show the wallet"
            )
        read = hdkey(keys[number], number + 1)
        at = body.find(f"@{number}")
        bare = at >= 0 and body[at + len(f"@{number}") :][:1] != "/"
        body = body.replace(f"@{number}", read.text + ((read.below or "/<0;1>/*") if bare else ""))
    return body


def _account_keys(listed: Sequence[object]) -> Iterator[tuple[str | None, UrKey]]:
    for number, each in enumerate(listed, 1):
        if _tag_of(each) in (DESCRIPTOR, DESCRIPTOR_OLD) and isinstance(each, cbor2.CBORTag):
            told = each.value
            if isinstance(told, dict):
                keys = told.get(2)
                if isinstance(told.get(1), str) and isinstance(keys, list) and len(keys) == 1:
                    start = str(told[1]).partition("@")[0].replace("cosigner(", "")
                    scripts = {"wsh(": "wsh", "sh(wsh(": "sh-wsh", "sh(": "sh"}
                    yield scripts.get(start), hdkey(keys[0], number)
                continue
        tags, inside = _unwrapped(each)
        if tags and tags[-1] in (HDKEY, HDKEY_OLD):
            scripts_by_tag = {(WSH,): "wsh", (SH, WSH): "sh-wsh", (SH,): "sh"}
            bare = tuple(tag for tag in tags[:-1] if tag != COSIGNER)
            yield scripts_by_tag.get(bare), hdkey(inside, number)


def _unwrapped(found: object) -> Scripts:
    tags: list[int] = []
    while isinstance(found, cbor2.CBORTag) and len(tags) < STEPS_MAX:
        tags.append(found.tag)
        found = found.value
    if tags and tags[0] in (DESCRIPTOR, DESCRIPTOR_OLD):
        tags = tags[1:]
    return Scripts(tuple(tags), found)


def _written(
    key: WalletKey, network: Network, *, old: bool, children: bool = True
) -> dict[int, object]:
    path: list[object] = []
    for step in key.path or ():
        path += [step % HARDENED, step >= HARDENED]
    origin: dict[int, object] = {1: path}
    if any(key.fingerprint or b""):
        origin[2] = int.from_bytes(key.fingerprint or b"")
    origin[3] = key.key.depth
    receive, change = key.keychains
    pair: list[object] = [[receive, False, change, False], [], False]
    document: dict[int, object] = {3: key.key.public_key, 4: key.key.chain_code}
    if network is not Network.MAINNET:
        document[5] = cbor2.CBORTag(COIN_OLD if old else COIN, {2: TESTNET})
    document[6] = cbor2.CBORTag(KEYPATH_OLD if old else KEYPATH, origin)
    if children:
        document[7] = cbor2.CBORTag(KEYPATH_OLD if old else KEYPATH, {1: pair})
    if any(key.key.parent_fingerprint):
        document[8] = int.from_bytes(key.key.parent_fingerprint)
    if key.name:
        document[9] = key.name
    return document


def _is_mainnet(found: object, where: str) -> bool:
    if found is None:
        return True
    told = _map(_untagged(found), f"the coin of {where}")
    if told.get(1, 0) not in COINS:
        raise PolicyError(f"{where} is for another coin than Bitcoin")
    return told.get(2, 0) == 0


def _map(found: object, where: str) -> dict[object, object]:
    if not isinstance(found, dict):
        raise PolicyError(f"{where} is no map")
    return found


def _u32(found: object, where: str) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 1 << 32:
        raise PolicyError(f"{where} has {str(found)[:20]!r} where a number of 32 bits belongs")
    return found


def _tag_of(found: object) -> int | None:
    return found.tag if isinstance(found, cbor2.CBORTag) else None


WRITERS: Final[dict[str, Callable[[WalletFile, Network], ur.Message]]] = {
    "ur": write_output,
    "ur-output-descriptor": write_descriptor,
}
