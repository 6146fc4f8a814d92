"""One leaf of taproot in which a quorum signs, below a key that nobody holds (BIP 341, 342, 387).

The internal key is a child of an extended key that everybody can compute who has the cosigners'
keys: its point is the one of BIP 341 whose logarithm nobody knows, its chain code the SHA-256 of
the cosigners' public keys in the order of the descriptor (as Liana writes it). So it is provable
that no key spends alone.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from coincurve import PublicKeyXOnly

from psbt.errors import PsbtError
from psbt.keys import ExtendedPublicKey
from psbt.multisig import OP_1, OP_15, Multisig
from psbt.transaction import ByteReader, sized

NUMS: Final = bytes.fromhex("50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")
LEAF_VERSION: Final = 0xC0
LEAF_VERSION_BITS: Final = 0xFE
CHECKSIG, CHECKSIGADD, NUMEQUAL = 0xAC, 0xBA, 0x9C
X_ONLY_SIZE: Final = 32
PUSHED_KEY_SIZE: Final = 34  # the push, and the opcode behind it
CONTROL_SIZE: Final = 33
TREE_DEPTH_MAX: Final = 128
EVEN: Final = b"\x02"


class OutputKey(NamedTuple):
    """The x of a taproot output's key, and whether its y is odd."""

    x: bytes
    odd: bool


def unspendable_key(public_keys: Iterable[bytes]) -> ExtendedPublicKey:
    """Return the extended key that stands for nobody above these cosigners' 33-byte keys."""
    chain_code = hashlib.sha256(b"".join(public_keys)).digest()
    return ExtendedPublicKey(EVEN + NUMS, chain_code, 0, bytes(4), 0)


def write_leaf(multisig: Multisig) -> bytes:
    """Return the script that counts signatures, its keys x-only and in order (BIP 387)."""
    keys = [bytes([X_ONLY_SIZE]) + key for key in multisig.pubkeys]
    counting = bytes([CHECKSIG]), *(bytes([CHECKSIGADD]),) * (len(keys) - 1)
    parts = [key + opcode for key, opcode in zip(keys, counting, strict=True)]
    return b"".join(parts) + bytes([OP_1 - 1 + multisig.threshold, NUMEQUAL])


def sorted_leaf(threshold: int, points: Iterable[bytes]) -> bytes:
    """Return the leaf of compressed keys, sorted by what is left of them, their x."""
    return write_leaf(Multisig(threshold, tuple(sorted(point[1:] for point in points))))


@lru_cache(maxsize=1024)
def read_leaf(script: bytes) -> Multisig | None:
    """Return what a leaf asks for, its keys x-only; None for anything but a counted quorum."""
    total = (len(script) - 2) // PUSHED_KEY_SIZE
    if not 1 <= total <= OP_15 - OP_1 + 1:
        return None
    starts = range(0, PUSHED_KEY_SIZE * total, PUSHED_KEY_SIZE)
    found = Multisig(
        script[-2] - OP_1 + 1, tuple(script[at + 1 : at + 1 + X_ONLY_SIZE] for at in starts)
    )
    return found if 1 <= found.threshold <= total and write_leaf(found) == script else None


def names_x(script: bytes, pubkey: bytes) -> bool:
    """Tell whether a leaf asks for a signature by a compressed key."""
    read = read_leaf(script)
    return read is not None and pubkey[1:] in read.pubkeys


@lru_cache(maxsize=4096)
def leaf_hash(script: bytes, version: int = LEAF_VERSION) -> bytes:
    """Return what a tree commits to of a leaf; the Merkle root where it is the only one."""
    return tagged_hash("TapLeaf", bytes([version]) + sized(script))


def branch_hash(one: bytes, other: bytes) -> bytes:
    """Return what stands above two hashes of a tree."""
    return tagged_hash("TapBranch", min(one, other) + max(one, other))


def tree_root(tree: bytes) -> bytes | None:
    """Return the Merkle root of a tree as BIP 371 writes it; None where it is not whole."""
    reader = ByteReader(tree)
    at: list[tuple[int, bytes]] = []
    while reader.left:
        depth, version = reader.number(1), reader.number(1)
        at.append((depth, leaf_hash(reader.sized(), version)))
        while len(at) > 1 and at[-1][0] == at[-2][0] != 0:
            (depth, left), (_, right) = at[-2:]
            at[-2:] = [(depth - 1, branch_hash(left, right))]
    return at[0][1] if [depth for depth, _ in at] == [0] else None


@lru_cache(maxsize=4096)
def output_key(internal: bytes, root: bytes) -> OutputKey:
    """Return the key of the output that an x-only internal key and a tree make.

    Raises PsbtError where the internal key is no x of a point.
    """
    try:
        key = PublicKeyXOnly(internal)
        key.tweak_add(tagged_hash("TapTweak", internal + root))
    except ValueError as error:
        raise PsbtError(f"{internal.hex()} is no key that an output can be made of") from error
    return OutputKey(key.format(), key.parity)


def control_block(internal: bytes, script: bytes) -> bytes:
    """Return what proves that an output commits to a leaf that is its only one."""
    odd = output_key(internal, leaf_hash(script)).odd
    return bytes([LEAF_VERSION | odd]) + internal


def committed_key(control: bytes, script: bytes) -> bytes | None:
    """Return the x of the output key that a control block proves for a leaf; None where none."""
    rest, size = divmod(len(control) - CONTROL_SIZE, X_ONLY_SIZE)
    if size or not 0 <= rest <= TREE_DEPTH_MAX:
        return None
    found = leaf_hash(script, control[0] & LEAF_VERSION_BITS)
    ends = range(CONTROL_SIZE, len(control) + 1, X_ONLY_SIZE)
    for start, end in pairwise(ends):
        found = branch_hash(found, control[start:end])
    try:
        made = output_key(control[1:CONTROL_SIZE], found)
    except PsbtError:
        return None
    return made.x if made.odd == control[0] & 1 else None


def tree_of(script: bytes) -> bytes:
    """Return a tree of one leaf as BIP 371 writes it."""
    return bytes([0, LEAF_VERSION]) + sized(script)


def unlocked(
    signatures: Mapping[bytes, bytes], script: bytes, control: bytes
) -> tuple[bytes, ...] | None:
    """Return the witness that spends by a leaf, None where signatures are missing.

    `signatures` are by compressed key; exactly as many as it asks for are used, the first in its
    order, and the witness answers its keys from the last to the first.
    """
    read = read_leaf(script)
    if read is None:
        return None
    held = {key[1:]: signature for key, signature in signatures.items()}
    signing = [key for key in read.pubkeys if key in held][: read.threshold]
    if len(signing) < read.threshold:
        return None
    answers = [held[key] if key in signing else b"" for key in reversed(read.pubkeys)]
    return (*answers, script, control)


def shown(witness: Sequence[bytes], script: bytes, control: bytes) -> tuple[bytes, ...] | None:
    """Return the signatures of a witness that spends by this leaf, None where it does not."""
    read = read_leaf(script)
    if read is None or tuple(witness[-2:]) != (script, control):
        return None
    answers = tuple(witness[:-2])
    found = tuple(filter(None, answers))
    return found if len(answers) == len(read.pubkeys) and found else None


def tagged_hash(tag: str, data: bytes) -> bytes:
    """Return the hash of BIP 340 with a tag."""
    hashed = _tagged(tag).copy()
    hashed.update(data)
    return hashed.digest()


@lru_cache(maxsize=16)
def _tagged(tag: str) -> "hashlib._Hash":
    name = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(name + name)
