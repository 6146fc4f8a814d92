"""The one script a vault has: OP_m, the keys, OP_n, OP_CHECKMULTISIG; and pushes in a script."""

from typing import Final, NamedTuple

OP_1: Final = 0x51
OP_15: Final = 0x5F
OP_16: Final = 0x60
OP_RETURN: Final = 0x6A
OP_CHECKSIG: Final = 0xAC
OP_CHECKMULTISIG: Final = 0xAE
PUSHED_KEY_SIZE: Final = 34
PUBLIC_KEY_SIZES: Final = (33, 65)
PUSHDATA: Final = ((0x4C, 1), (0x4D, 2))
PUSHED_DIRECTLY: Final = 75


class Multisig(NamedTuple):
    """What a multisig script asks for: so many signatures, by these keys, in this order."""

    threshold: int
    pubkeys: tuple[bytes, ...]


def read_multisig(script: bytes) -> Multisig | None:
    """Return what the script asks for, or None if it is anything but a plain multisig."""
    total = (len(script) - 3) // PUSHED_KEY_SIZE
    if not 1 <= total <= OP_15 - OP_1 + 1:
        return None
    threshold = script[0] - OP_1 + 1
    pubkeys = tuple(script[2 + at : 35 + at] for at in range(0, len(script) - 3, PUSHED_KEY_SIZE))
    found = Multisig(threshold, pubkeys)
    if not 1 <= threshold <= total or write_multisig(found) != script:
        return None
    return found


def read_bare_multisig(script: bytes) -> tuple[int, int] | None:
    """Return (threshold, total) of a multisig with keys of either size; None for all else."""
    if len(script) < 3 or script[-1] != OP_CHECKMULTISIG:
        return None
    threshold, total = script[0] - OP_1 + 1, script[-2] - OP_1 + 1
    found, position = 0, 1
    while position < len(script) - 2 and script[position] in PUBLIC_KEY_SIZES:
        position += 1 + script[position]
        found += 1
    whole = position == len(script) - 2
    return (threshold, total) if whole and 1 <= threshold <= total == found else None


def write_multisig(multisig: Multisig) -> bytes:
    """Return the script."""
    keys = b"\x21" + b"\x21".join(multisig.pubkeys)
    last = OP_1 - 1 + len(multisig.pubkeys)
    return bytes([OP_1 - 1 + multisig.threshold]) + keys + bytes([last, OP_CHECKMULTISIG])


def multisig_size(total: int) -> int:
    """Return how many bytes the script of so many keys takes."""
    return 3 + PUSHED_KEY_SIZE * total


def leaf_size(total: int) -> int:
    """Return how many bytes a leaf of taproot takes in which so many keys are counted."""
    return PUSHED_KEY_SIZE * total + 2


def pushed(data: bytes) -> bytes:
    """Return the shortest script that pushes bytes on the stack."""
    if len(data) <= PUSHED_DIRECTLY:
        return bytes([len(data)]) + data
    opcode, size = PUSHDATA[len(data) > 0xFF]
    return bytes([opcode]) + len(data).to_bytes(size, "little") + data


def read_pushes(script: bytes) -> tuple[bytes, ...] | None:
    """Return what a script pushes, None where it is anything but pushes in their shortest form."""
    found, position = [], 0
    while position < len(script):
        size, start = script[position], position + 1
        for opcode, length in PUSHDATA:
            if script[position] == opcode:
                size = int.from_bytes(script[start : start + length], "little")
                start += length
        data = script[start : start + size]
        if script[position : start + size] != pushed(data):
            return None
        found.append(data)
        position = start + size
    return tuple(found)
