"""Extended public keys and where they come from (BIP 32, BIP 48, key expressions of BIP 380)."""

import re
from collections.abc import Callable
from hashlib import sha512
from typing import Final, NamedTuple

import coincurve
from embit import base58, hashes

from psbt.errors import PolicyError
from psbt.network import Network

Path = tuple[int, ...]
ChildKeys = Callable[[int], tuple[bytes, bytes]]

HARDENED: Final = 0x80000000
SCRIPT_TYPES: Final = {"sh-wsh": 1, "wsh": 2, "tr": 3}
"""The last step of an account for multisig: BIP 48 names the first two, wallets the third."""
XPUB_LENGTH: Final = 111
XPUB_SIZE: Final = 78
HMAC_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
HMAC_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
SHA512_BLOCK: Final = 128

STEP = re.compile(r"([0-9]{1,10})([h']?)")
KEY_EXPRESSION = re.compile(r"\[([0-9a-fA-F]{8})((?:/[^\]/]+)*)\](\w+)", re.ASCII)


class Prefix(NamedTuple):
    """What the first letters of an extended public key say (BIP 32, SLIP 132): a hint, no proof.

    `script` is the type of script its writer meant; xpub and tpub say none.
    """

    letters: str
    mainnet: bool
    script: str | None


PREFIXES: Final = {
    bytes.fromhex("0488b21e"): Prefix("xpub", mainnet=True, script=None),
    bytes.fromhex("049d7cb2"): Prefix("ypub", mainnet=True, script="sh-wpkh"),
    bytes.fromhex("0295b43f"): Prefix("Ypub", mainnet=True, script="sh-wsh"),
    bytes.fromhex("04b24746"): Prefix("zpub", mainnet=True, script="wpkh"),
    bytes.fromhex("02aa7ed3"): Prefix("Zpub", mainnet=True, script="wsh"),
    bytes.fromhex("043587cf"): Prefix("tpub", mainnet=False, script=None),
    bytes.fromhex("044a5262"): Prefix("upub", mainnet=False, script="sh-wpkh"),
    bytes.fromhex("024289ef"): Prefix("Upub", mainnet=False, script="sh-wsh"),
    bytes.fromhex("045f1cf6"): Prefix("vpub", mainnet=False, script="wpkh"),
    bytes.fromhex("02575483"): Prefix("Vpub", mainnet=False, script="wsh"),
}


class ExtendedPublicKey(NamedTuple):
    """A public key whose children can be derived."""

    public_key: bytes
    chain_code: bytes
    depth: int
    parent_fingerprint: bytes
    child_number: int


class KeyExpression(NamedTuple):
    """A key with its origin: the master key's fingerprint and the path from there."""

    fingerprint: bytes
    path: Path
    key: ExtendedPublicKey


def parse_path(text: str) -> Path:
    """Read `48h/1h/0h/2h`, also with `m/` before it or with `'` for hardened steps."""
    if text in {"", "m", "m/"}:
        return ()
    path = []
    for step in text.removeprefix("m/").split("/"):
        matched = STEP.fullmatch(step)
        number = int(matched[1]) if matched else HARDENED
        if matched is None or number >= HARDENED:
            raise PolicyError(f"{step!r} is no step of a derivation path in {text!r}")
        path.append(number + HARDENED if matched[2] else number)
    return tuple(path)


def format_path(path: Path) -> str:
    """Write a path as `48h/1h/0h/2h`; the empty path is the empty text."""
    return "/".join(f"{step - HARDENED}h" if step >= HARDENED else str(step) for step in path)


def bip48_path(network: Network, script: str = "wsh", account: int = 0) -> Path:
    """Return the path of an account key for multisig of that script type (BIP 48)."""
    if script not in SCRIPT_TYPES:
        raise PolicyError(f"BIP 48 has no script type {script!r}, only wsh, sh-wsh and tr")
    if not 0 <= account < HARDENED:
        raise PolicyError(f"account {account} is not between 0 and {HARDENED - 1}")
    return tuple(HARDENED + step for step in (48, network.coin_type, account, SCRIPT_TYPES[script]))


def fingerprint(public_key: bytes) -> bytes:
    """Return the first four bytes of the key's hash: a hint, never a proof."""
    return hash160(public_key)[:4]


def hash160(data: bytes) -> bytes:
    """Return RIPEMD-160 of SHA-256, what an address of a script or key holds."""
    digest: bytes = hashes.hash160(data)
    return digest


class PrefixedKey(NamedTuple):
    """An extended public key as it was written, and what its first letters say."""

    prefix: Prefix
    key: ExtendedPublicKey


def parse_xpub(text: str, network: Network) -> ExtendedPublicKey:
    """Read an extended public key of a network, with any prefix of SLIP 132."""
    prefix, key = parse_prefixed_key(text)
    if prefix.mainnet is not (network is Network.MAINNET):
        raise PolicyError(f"the extended key {text[:4]}… is for another network than {network}")
    return key


def parse_prefixed_key(text: str) -> PrefixedKey:
    """Read an extended public key; the reason why another thing is refused never quotes it."""
    if text[1:4] == "prv":
        raise PolicyError("this is a private key; a policy is made of public keys only")
    try:
        data = base58.decode_check(text) if len(text) == XPUB_LENGTH else b""
    except ValueError:
        raise PolicyError("the extended key is mistyped: its checksum is wrong") from None
    if len(data) != XPUB_SIZE:
        raise PolicyError(f"a text of {len(text)} characters is not an extended public key")
    if data[:4] not in PREFIXES:
        raise PolicyError(f"the extended key {text[:4]}… begins with unknown version bytes")
    key = ExtendedPublicKey(
        public_key=data[45:],
        chain_code=data[13:45],
        depth=data[4],
        parent_fingerprint=data[5:9],
        child_number=int.from_bytes(data[9:13], "big"),
    )
    check_key(key)
    return PrefixedKey(PREFIXES[data[:4]], key)


def format_xpub(key: ExtendedPublicKey, network: Network, version: bytes | None = None) -> str:
    """Write an extended public key as the network's xpub or tpub, or with another version."""
    return base58.encode_check(serialized_key(key, version or network.xpub_version))


def serialized_key(key: ExtendedPublicKey, version: bytes) -> bytes:
    """Return the 78 bytes of an extended public key (BIP 32)."""
    lineage = bytes([key.depth]) + key.parent_fingerprint + key.child_number.to_bytes(4, "big")
    return version + lineage + key.chain_code + key.public_key


def parse_key_expression(text: str, network: Network, script: str | None = None) -> KeyExpression:
    """Read `[fingerprint/48h/…]xpub`; the origin must be there and fit the key.

    Where `script` is given, a prefix of SLIP 132 must not say another.
    """
    if text.rpartition("]")[2][1:4] == "prv":
        raise PolicyError("this is a private key; a policy is made of public keys only")
    matched = KEY_EXPRESSION.fullmatch(text)
    if not matched:
        raise PolicyError("a key must be written as [fingerprint/path]xpub")
    origin, path, xpub = matched.groups()
    expression = KeyExpression(
        bytes.fromhex(origin), parse_path(path.removeprefix("/")), parse_xpub(xpub, network)
    )
    check_origin(expression)
    said = parse_prefixed_key(xpub).prefix
    if script and said.script not in (None, script):
        raise PolicyError(f"{said.letters} (SLIP 132) is for {said.script}, not for {script}")
    return expression


def format_key_expression(expression: KeyExpression, network: Network) -> str:
    """Write `[fingerprint/48h/…]xpub`."""
    origin = "/".join(filter(None, (expression.fingerprint.hex(), format_path(expression.path))))
    return f"[{origin}]{format_xpub(expression.key, network)}"


def check_key(key: ExtendedPublicKey) -> None:
    """Refuse a key that could not have been derived."""
    sizes = (len(key.public_key), len(key.chain_code), len(key.parent_fingerprint))
    if sizes != (33, 32, 4):
        raise PolicyError(f"an extended key has parts of 33, 32 and 4 bytes, not {sizes}")
    if not (0 <= key.depth <= 0xFF and 0 <= key.child_number <= 0xFFFFFFFF):
        raise PolicyError(f"no key has depth {key.depth} and number {key.child_number}")
    if key.depth == 0 and (any(key.parent_fingerprint) or key.child_number):
        raise PolicyError("the extended key says that it is a master key and that it has a parent")
    try:
        coincurve.PublicKey(key.public_key)
    except ValueError as error:
        raise PolicyError("the extended key holds no point of the curve") from error


def check_origin(expression: KeyExpression) -> None:
    """Refuse an origin that its key contradicts; a key may be its own origin, with no step."""
    origin, path, key = expression
    name = f"[{origin.hex()}/{format_path(path)}]"
    if len(origin) != 4:
        raise PolicyError(f"a fingerprint has 4 bytes, not {len(origin)}")
    if not path and origin == fingerprint(key.public_key):
        return
    if len(path) != key.depth:
        raise PolicyError(f"the origin {name} has {len(path)} steps, the key has depth {key.depth}")
    if path and path[-1] != key.child_number:
        found = format_path((key.child_number,))
        raise PolicyError(f"the origin {name} ends otherwise than the key, which is number {found}")
    known = {0: fingerprint(key.public_key), 1: key.parent_fingerprint}.get(len(path), origin)
    if known != origin:
        raise PolicyError(f"the origin {name} belongs to another key than {known.hex()}")


def child(key: ExtendedPublicKey, index: int) -> ExtendedPublicKey:
    """Derive a child's extended public key (CKDpub)."""
    if not 0 <= index < HARDENED:
        raise PolicyError(f"a public key has no child {index}, only 0 to {HARDENED - 1}")
    if key.depth == 0xFF:
        raise PolicyError("a key of depth 255 has no children")
    public_key, chain_code = children(key.public_key, key.chain_code)(index)
    return ExtendedPublicKey(
        public_key, chain_code, key.depth + 1, fingerprint(key.public_key), index
    )


def children(public_key: bytes, chain_code: bytes) -> ChildKeys:
    """Return the function from an index to that child's public key and chain code.

    The HMAC's pads and the parent's point are prepared once for all children.
    """
    block = chain_code.ljust(SHA512_BLOCK, b"\x00")
    inner = sha512(block.translate(HMAC_INNER) + public_key)
    outer = sha512(block.translate(HMAC_OUTER))
    parent = coincurve.PublicKey(public_key)
    from_secret, combine = coincurve.PublicKey.from_secret, coincurve.PublicKey.combine_keys

    def derive(index: int) -> tuple[bytes, bytes]:
        hashed = inner.copy()
        hashed.update(index.to_bytes(4, "big"))
        mac = outer.copy()
        mac.update(hashed.digest())
        tweak = mac.digest()
        return combine([parent, from_secret(tweak[:32])]).format(), tweak[32:]

    return derive
