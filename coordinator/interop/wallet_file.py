"""What another wallet's file says of a multisig wallet, whatever its format.

Readers take the file apart, `checked` holds its statements against each other, writers write it.
What a file says that is odd but harmless is a warning; what has to be changed before it can be
used is a repair, which a person accepts; what is wrong is refused by name.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple

from coordinator.notices import Notice, Severity
from psbt import taproot
from psbt.address import format_address, p2tr, parse_address
from psbt.errors import PolicyError
from psbt.keys import (
    HARDENED,
    PREFIXES,
    ExtendedPublicKey,
    KeyExpression,
    Path,
    Prefix,
    check_origin,
    child,
    children,
    fingerprint,
    format_path,
)
from psbt.miniscript import Node
from psbt.miniscript import script as branched_script
from psbt.multisig import Multisig, write_multisig
from psbt.network import Network
from psbt.policy import CHANGE, KEYS_MAX, RECEIVE, SCRIPTS, KeyUse, Policy, locking_script
from psbt.policy import policy_of as branched_policy

PATH_MAX: Final = 12
OWN_FORMAT: Final = "JSON with a descriptor"
"""In which `vault export` tells a birthday: one that cannot be is an error of ours, and refused."""
GAP_MAX: Final = 10_000
UNKNOWN_FINGERPRINT: Final = bytes(4)
SCRIPT_NAMES: Final = {"sh": "P2SH", "wsh": "P2WSH", "sh-wsh": "P2SH-P2WSH"}
"""What Coldcard and Caravan call the scripts."""
PURPOSES: Final = {
    (HARDENED + 48, HARDENED + 1): "sh-wsh",
    (HARDENED + 48, HARDENED + 2): "wsh",
    (HARDENED + 48, HARDENED + 3): "tr",
}
SINGLE_KEY_PURPOSES: Final = {HARDENED + 44, HARDENED + 49, HARDENED + 84, HARDENED + 86}
SINGLE_KEY_PREFIXES: Final = {"sh-wpkh": "sh-wsh", "wpkh": "wsh"}


class WalletKey(NamedTuple):
    """A cosigner's key as a file has it; an origin that is None was not told.

    `keychains` are the steps of receive and change below it.
    """

    key: ExtendedPublicKey
    prefix: Prefix
    fingerprint: bytes | None = None
    path: Path | None = None
    name: str | None = None
    keychains: tuple[int, int] = (RECEIVE, CHANGE)

    @property
    def xfp(self) -> str:
        """Return the fingerprint as other wallets write it, of zeros where it is unknown."""
        return (self.fingerprint or UNKNOWN_FINGERPRINT).hex()

    @property
    def master_path(self) -> str:
        """Return the path as other wallets write it, as m/48'/0'/0'/2'."""
        return "/".join(filter(None, ("m", format_path(self.path or ()).replace("h", "'"))))


@dataclass(frozen=True)
class WalletFile:
    """A multisig wallet as a file tells it.

    `sorted` is False where the keys stand in the script in the order of the file. `first_address`
    is what the file says it is, `network` the one it names; None is what it does not say. `node` is
    the expression of a wallet with branches that open later, each of its keys once for each place
    it has in it; None is a plain multisig.
    """

    format: str
    script: str
    sorted: bool
    threshold: int
    keys: tuple[WalletKey, ...]
    name: str | None = None
    network: str | None = None
    birthday: datetime | None = None
    birthday_height: int | None = None
    gap: int | None = None
    first_address: str | None = None
    warnings: tuple[Notice, ...] = ()
    repairs: tuple[Notice, ...] = ()
    node: Node | None = None

    @property
    def usual_keychains(self) -> bool:
        """Tell whether receive and change are 0 and 1 below every key."""
        return all(key.keychains == (RECEIVE, CHANGE) for key in self.keys)

    @property
    def form(self) -> str:
        """Return the script without its keys, as wsh(sortedmulti(2 of 3))."""
        if self.node is not None:
            return f"{self.script} with branches that open later"
        multi = "sortedmulti" if self.sorted else "multi"
        multi = "sortedmulti_a" if self.script == "tr" else multi
        return SCRIPTS[self.script].format(f"{multi}({self.threshold} of {len(self.keys)})")

    def warned(self, code: str, message: str) -> "WalletFile":
        """Return the file with one more warning."""
        odd = Notice(code, Severity.WARNING, message)
        return replace(self, warnings=(*self.warnings, odd))

    def beside_secrets(self) -> "WalletFile":
        """Return the file with the warning that what may spend stands in it, too."""
        return self.warned(
            "private_material",
            f"the {self.format} holds seeds or private keys: none of that was stored; whoever has "
            "the file may spend, so keep it as you keep a seed, or destroy it",
        )

    def repaired(self, code: str, message: str) -> "WalletFile":
        """Return the file with one more repair that a person must accept."""
        wrong = Notice(code, Severity.DANGER, message)
        return replace(self, repairs=(*self.repairs, wrong))


def checked(file: WalletFile, network: Network) -> WalletFile:
    """Hold what a file says against itself and the network; raises PolicyError.

    Keys come back with an origin that fits: where the file's cannot be true, or is not told, the
    key is its own origin, and a warning says so.
    """
    total = len(file.keys)
    if file.node is None and not 1 <= file.threshold <= total <= KEYS_MAX:
        raise PolicyError(
            f"the {file.format} says {file.threshold} of {total} keys: 1 to {KEYS_MAX} keys, "
            "and no more signatures than keys, are a wallet"
        )
    if not 0 <= (file.gap or 0) <= GAP_MAX:
        raise PolicyError(f"the {file.format} says a gap of {file.gap}; {GAP_MAX} is the most")
    places: dict[bytes, int] = {}
    for number, key in enumerate(file.keys, 1):
        twin = places.setdefault(key.key.public_key, number)
        # a key may stand in several branches; the policy holds its places apart
        if twin != number and file.node is None:
            raise PolicyError(f"keys {twin} and {number} of the {file.format} are the same key")
    file = _checked_prefixes(_checked_network(file, network))
    for number, key in enumerate(file.keys, 1):
        file = _checked_path(file, number, key)
    file = replace(file, keys=tuple(with_origin(key) for key in file.keys))
    if file.first_address is not None:
        _check_first_address(file, file.first_address, network)
    return file


def script_pubkey(file: WalletFile, keychain: int, index: int) -> bytes:
    """Return the output script of one address."""
    points = [_point(each.key, (each.keychains[keychain], index)) for each in file.keys]
    if file.script != "tr":
        return _locked(file, points)
    internal = child(child(unspendable(file), keychain), index)
    root = taproot.leaf_hash(taproot.sorted_leaf(file.threshold, points))
    return p2tr(taproot.output_key(internal.public_key[1:], root).x)


def address(file: WalletFile, keychain: int, index: int, *, network: Network) -> str:
    """Return one address."""
    return format_address(script_pubkey(file, keychain, index), network)


def first_address(file: WalletFile, network: Network) -> str:
    """Return the first receive address."""
    return address(file, RECEIVE, 0, network=network)


def fixed_address(file: WalletFile, paths: tuple[Path, ...], network: Network) -> str:
    """Return the one address of keys that are fixed at these steps below them."""
    points = [_point(each.key, path) for each, path in zip(file.keys, paths, strict=True)]
    return format_address(_locked(file, points), network)


def key_expression(key: WalletKey) -> KeyExpression:
    """Return a checked key as psbt has it."""
    origin = key.fingerprint or fingerprint(key.key.public_key)
    return KeyExpression(origin, key.path or (), key.key)


def policy_of(file: WalletFile, network: Network) -> Policy:
    """Return a checked file's policy; raises PolicyError for one no vault here can have."""
    keys = tuple(key_expression(key) for key in file.keys)
    keychains = tuple(key.keychains for key in file.keys)
    if file.node is not None:
        return branched_policy(file.node, tuple(map(KeyUse, keys, keychains)), network)
    return Policy(file.threshold, keys, network, file.script, file.sorted, keychains)


def wallet_of(policy: Policy, name: str, names: tuple[str, ...]) -> WalletFile:
    """Return a policy as a wallet to be written, with the names of its keys, each once."""
    prefix = key_of_network(policy.network)
    called = dict(zip(policy.all_keys, names, strict=True))
    keys = tuple(
        WalletKey(each.key, prefix, each.fingerprint, each.path, called[each], keychains)
        for each, keychains in policy.places
    )
    return WalletFile(
        "vault",
        policy.script,
        policy.sorted_keys,
        policy.threshold,
        keys,
        name=name,
        network=policy.network.value,
        node=policy.node if policy.recoveries else None,
    )


def key_of_network(network: Network) -> Prefix:
    """Return how extended keys of a network begin, xpub or tpub."""
    return PREFIXES[network.xpub_version]


def is_same_wallet(one: WalletFile, other: WalletFile) -> bool:
    """Tell whether two files have the same scripts."""
    keys = [
        [(k.key.public_key, k.key.chain_code, k.keychains) for k in each.keys]
        for each in (one, other)
    ]
    if one.sorted and one.script != "tr":
        keys = [sorted(each) for each in keys]
    same_form = (one.script, one.sorted, one.threshold, one.node) == (
        other.script, other.sorted, other.threshold, other.node,
    )  # fmt: skip
    return same_form and keys[0] == keys[1]


def _point(key: ExtendedPublicKey, path: Path) -> bytes:
    """Return the public key some steps below a key."""
    point, chain_code = key.public_key, key.chain_code
    for step in path:
        point, chain_code = children(point, chain_code)(step)
    return point


def _locked(file: WalletFile, points: list[bytes]) -> bytes:
    if file.node is not None:
        return locking_script(file.script, branched_script(file.node, points))
    ordered = tuple(sorted(points) if file.sorted else points)
    return locking_script(file.script, write_multisig(Multisig(file.threshold, ordered)))


def unspendable(file: WalletFile) -> ExtendedPublicKey:
    """Return the key that is nobody's above the keys of a taproot wallet."""
    return taproot.unspendable_key(key.key.public_key for key in file.keys)


def _checked_network(file: WalletFile, network: Network) -> WalletFile:
    """Refuse keys of another network, unless the file itself is for this one."""
    mainnet = network is Network.MAINNET
    marked = {key.prefix.mainnet for key in file.keys}
    if len(marked) > 1:
        letters = sorted({key.prefix.letters for key in file.keys})
        raise PolicyError(f"the {file.format} mixes keys of two networks: {', '.join(letters)}")
    named = file.network
    if marked != {mainnet}:
        other = "mainnet" if marked == {True} else "a test network"
        if named is None or (named == "mainnet") is not mainnet:
            raise PolicyError(f"the {file.format} is for {other}, not for {network}")
        return file.repaired(
            "rewrite_network",
            f"the {file.format} is for {named}, and its keys begin as those of {other}: "
            f"they are written anew for {network}",
        )
    return on_network(file, named, network)


def on_network(file: WalletFile, named: str | None, network: Network) -> WalletFile:
    """Hold the network that a file names against the one of its keys, where the vault will be."""
    if named is not None and (named == "mainnet") is not (network is Network.MAINNET):
        raise PolicyError(f"the {file.format} is for {named}, and its keys are for {network}")
    if named is not None and named != network.value:
        return file.warned(
            "other_test_network", f"the {file.format} is for {named}; here it is on {network}"
        )
    return file


def _checked_prefixes(file: WalletFile) -> WalletFile:
    """Hold the prefixes of SLIP 132 against the script: a hint, but not one that may differ."""
    for number, key in enumerate(file.keys, 1):
        said = key.prefix.script
        if said in (None, file.script):
            continue
        if SINGLE_KEY_PREFIXES.get(said or "") != file.script:
            raise PolicyError(
                f"key {number} of the {file.format} begins with {key.prefix.letters}, which is "
                f"for {said}, and the file is for {file.form}"
            )
        file = file.warned(
            "prefix_of_single_key",
            f"key {number} begins with {key.prefix.letters}, which is for one key alone; it is "
            f"taken for {file.script}",
        )
    return file


def _checked_path(file: WalletFile, number: int, key: WalletKey) -> WalletFile:
    """Warn of an origin that is missing, cannot be the key's, or names another script."""
    if key.path is not None and len(key.path) > PATH_MAX and len(key.path) != key.key.depth:
        raise PolicyError(
            f"the path of key {number} in the {file.format} has {len(key.path)} steps, "
            f"the key has depth {key.key.depth}"
        )
    own = fingerprint(key.key.public_key).hex()
    if not key.key.depth and not key.path:
        return file
    if key.fingerprint in (None, UNKNOWN_FINGERPRINT) or key.path is None:
        told = format_path(key.path or ()) or "nothing"
        return file.warned(
            "origin_unknown",
            f"key {number} has no known origin (the file tells {told}); it is its own, {own}: "
            "it can be watched, and a signer may not find it",
        )
    wrong = _contradiction(key)
    if wrong is not None:
        return file.warned(
            "origin_differs",
            f"key {number}: {wrong}; it is taken as its own origin, {own}: it can be watched, "
            "and a signer may not find it",
        )
    named = script_of_path(key.path)
    if named not in (None, file.script):
        return file.warned(
            "path_of_other_script",
            f"the path {format_path(key.path)} of key {number} is for {named}, "
            f"the file for {file.script}",
        )
    return file


def script_of_path(path: Path) -> str | None:
    """Return the script type an account's path names (BIP 44, 45, 48); None where it names none."""
    if len(path) == 4:
        return PURPOSES.get((path[0], path[3]))
    if path and path[0] == HARDENED + 45:
        return "sh"
    return "a single key" if path and path[0] in SINGLE_KEY_PURPOSES else None


def _contradiction(key: WalletKey) -> str | None:
    try:
        check_origin(KeyExpression(key.fingerprint or b"", key.path or (), key.key))
    except PolicyError as wrong:
        return str(wrong)
    return None


def with_origin(key: WalletKey) -> WalletKey:
    """Return a key with an origin that fits: the one told, or else the key itself."""
    unknown = key.fingerprint in (None, UNKNOWN_FINGERPRINT) or key.path is None
    if unknown or _contradiction(key) is not None:
        return key._replace(fingerprint=fingerprint(key.key.public_key), path=())
    return key


def _check_first_address(file: WalletFile, given: str, network: Network) -> None:
    found = first_address(file, network)
    try:
        told = parse_address(given, network)
    except PolicyError as failure:
        raise PolicyError(
            f"the {file.format}'s first address {given[:90]!r} cannot be read: {failure}"
        ) from failure
    if told == script_pubkey(file, RECEIVE, 0):
        return
    where = "the change keychain" if told == script_pubkey(file, CHANGE, 0) else "other keys"
    raise PolicyError(
        f"the {file.format} says that its first address is {given}, of {where}; "
        f"its keys give {found}"
    )
