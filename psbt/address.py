"""Addresses ↔ output scripts, for every type that has an address."""

from hashlib import sha256
from typing import Final, NamedTuple, NoReturn

from embit import base58
from embit.hashes import hash160

from psbt import bech32
from psbt.errors import PolicyError
from psbt.multisig import OP_1, OP_16, OP_CHECKSIG, OP_RETURN, read_bare_multisig
from psbt.network import Network

BASE58_LENGTH_MAX: Final = 35
BASE58_SIZE: Final = 21
UNKNOWN: Final = "unknown"
SHOWN_SCRIPT: Final = 40
"""Up to how many bytes of a script without an address are written out."""
KEY_SIZES: Final = {2: 33, 3: 33, 4: 65, 6: 65, 7: 65}
"""How many bytes a public key has, by its first one."""


class Pattern(NamedTuple):
    """What stands around the hash or program in a script of one type."""

    start: bytes
    size: int
    end: bytes = b""

    def matches(self, script_pubkey: bytes) -> bool:
        """Tell whether a script is of this type."""
        length = len(self.start) + self.size + len(self.end)
        ends = script_pubkey.startswith(self.start) and script_pubkey.endswith(self.end)
        return len(script_pubkey) == length and ends

    def around(self, digest: bytes) -> bytes:
        """Return the script of this type for a hash."""
        return self.start + digest + self.end


PATTERNS: Final = {
    "p2wsh": Pattern(b"\x00\x20", 32),
    "p2wpkh": Pattern(b"\x00\x14", 20),
    "p2tr": Pattern(b"\x51\x20", 32),
    "p2sh": Pattern(b"\xa9\x14", 20, b"\x87"),
    "p2pkh": Pattern(b"\x76\xa9\x14", 20, b"\x88\xac"),
}


def script_type(script_pubkey: bytes) -> str:
    """Name an output script: p2wsh, p2wpkh, p2tr, p2sh, p2pkh, `witness` (later) or `unknown`."""
    for name, pattern in PATTERNS.items():
        if pattern.matches(script_pubkey):
            return name
    size = len(script_pubkey) - 2
    later = size in bech32.PROGRAM_SIZES and OP_1 <= script_pubkey[0] <= OP_16
    return "witness" if later and script_pubkey[1] == size else UNKNOWN


def is_public_key(data: bytes) -> bool:
    """Tell whether bytes are long and begin as a public key does."""
    return bool(data) and KEY_SIZES.get(data[0]) == len(data)


def pays_to_key(script_pubkey: bytes) -> bool:
    """Tell whether an output script asks for a signature by one key that it shows (P2PK)."""
    key = script_pubkey[1:-1]
    ends = script_pubkey[-1:] == bytes([OP_CHECKSIG])
    return ends and script_pubkey[0] == len(key) and is_public_key(key)


def p2wsh(witness_script: bytes) -> bytes:
    """Return the output script that pays to a witness script."""
    return PATTERNS["p2wsh"].around(sha256(witness_script).digest())


def p2sh(redeem_script: bytes) -> bytes:
    """Return the output script that pays to a redeem script."""
    return PATTERNS["p2sh"].around(hash160(redeem_script))


def p2tr(output_key: bytes) -> bytes:
    """Return the output script that pays to an x-only key (BIP 341)."""
    return PATTERNS["p2tr"].around(output_key)


def format_address(script_pubkey: bytes, network: Network) -> str:
    """Write the address of an output script; PolicyError where it has none."""
    match script_type(script_pubkey):
        case "p2pkh":
            return base58.encode_check(network.p2pkh_prefix + script_pubkey[3:-2])
        case "p2sh":
            return base58.encode_check(network.p2sh_prefix + script_pubkey[2:-1])
        case "unknown":
            raise PolicyError(f"a script of {len(script_pubkey)} bytes has no address")
    version = script_pubkey[0] - OP_1 + 1 if script_pubkey[0] else 0
    return bech32.encode(network.hrp, version, script_pubkey[2:])


def destination(script_pubkey: bytes, network: Network) -> str:
    """Write the address of an output script, or what a script without one is."""
    address = optional_address(script_pubkey, network)
    if address is not None:
        return address
    size = len(script_pubkey)
    if not size:
        return "empty script"
    kind = f"{_kind(script_pubkey)}, {size} byte{'s' if size > 1 else ''}"
    return f"{kind}: {script_pubkey.hex()}" if size <= SHOWN_SCRIPT else kind


def optional_address(script_pubkey: bytes, network: Network) -> str | None:
    """Write the address of an output script; None where it has none."""
    if script_type(script_pubkey) == UNKNOWN:
        return None
    return format_address(script_pubkey, network)


def parse_address(text: str, network: Network) -> bytes:
    """Return the output script of an address of this network."""
    hrp = text.lower().rpartition("1")[0]
    if hrp in {other.hrp for other in Network}:
        found = bech32.decode(text)
        if found.hrp != network.hrp:
            _refuse_network([other for other in Network if other.hrp == found.hrp], network)
        opcode = OP_1 + found.version - 1 if found.version else 0
        return bytes([opcode, len(found.program)]) + found.program
    if len(text) > BASE58_LENGTH_MAX:
        raise PolicyError(f"a text of {len(text)} characters is not an address of {network}")
    try:
        data = base58.decode_check(text)
    except ValueError:
        raise PolicyError("the address is mistyped: its checksum is wrong") from None
    if len(data) != BASE58_SIZE:
        raise PolicyError(f"an address holds {BASE58_SIZE} bytes, not {len(data)}")
    prefix, digest = data[:1], data[1:]
    if prefix == network.p2pkh_prefix:
        return PATTERNS["p2pkh"].around(digest)
    if prefix != network.p2sh_prefix:
        _refuse_network([n for n in Network if prefix in (n.p2pkh_prefix, n.p2sh_prefix)], network)
    return PATTERNS["p2sh"].around(digest)


def _kind(script: bytes) -> str:
    """Name a script that has no address."""
    if script[0] == OP_RETURN:
        return "OP_RETURN"
    if pays_to_key(script):
        return "public key (P2PK)"
    multisig = read_bare_multisig(script)
    if multisig is not None:
        return f"bare multisig {multisig[0]} of {multisig[1]}"
    if script[0] == 0 and len(script) - 2 in bech32.PROGRAM_SIZES and script[1] == len(script) - 2:
        return "witness version 0 of an unknown size"
    return "script of an unknown kind"


def _refuse_network(found: list[Network], network: Network) -> NoReturn:
    names = " or ".join(found) or "no network known here"
    raise PolicyError(f"the address is for {names}, not for {network}")
