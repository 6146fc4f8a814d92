"""Policies ↔ descriptors (BIP 380 to 389), their scripts and addresses (BIP 67).

A policy is always `wsh(sortedmulti(m,…))` over keys with both branches, receive and change.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from embit.descriptor import checksum as bip380

from psbt.address import format_address, parse_address, script_type
from psbt.errors import PolicyError
from psbt.keys import (
    HARDENED,
    ChildKeys,
    KeyExpression,
    check_key,
    check_origin,
    children,
    format_key_expression,
    parse_key_expression,
)
from psbt.multisig import Multisig, write_multisig
from psbt.network import Network

__all__ = [
    "CHANGE",
    "KEYS_MAX",
    "RECEIVE",
    "Policy",
    "VaultScript",
    "addresses",
    "checksum",
    "derive_scripts",
    "format_address",
    "format_descriptor",
    "format_template",
    "parse_address",
    "parse_descriptor",
    "policy_checksum",
    "script_type",
    "vault_script",
]

RECEIVE: Final = 0
CHANGE: Final = 1
KEYS_MAX: Final = 15
BRANCHES: Final = "/<0;1>/*"

DESCRIPTOR = re.compile(r"wsh\(sortedmulti\(([1-9][0-9]?),([^()]+)\)\)")


@dataclass(frozen=True)
class Policy:
    """Who can spend: any `threshold` of `keys`."""

    threshold: int
    keys: tuple[KeyExpression, ...]
    network: Network

    def __post_init__(self) -> None:
        """Refuse what no vault should be built on."""
        total = len(self.keys)
        if not 1 <= self.threshold <= total <= KEYS_MAX:
            raise PolicyError(
                f"{self.threshold} of {total} keys is no policy: 1 to {KEYS_MAX} keys, "
                "and no more signatures than keys"
            )
        for expression in self.keys:
            check_key(expression.key)
            check_origin(expression)
        _refuse_duplicates(self.keys)


@dataclass(frozen=True, slots=True)
class VaultScript:
    """What one address of a policy is locked with; the public keys are in the cosigners' order."""

    branch: int
    index: int
    pubkeys: tuple[bytes, ...]
    witness_script: bytes
    script_pubkey: bytes


def format_descriptor(policy: Policy) -> str:
    """Write the descriptor with its checksum."""
    body = _descriptor_body(policy)
    return f"{body}#{checksum(body)}"


def parse_descriptor(text: str, network: Network) -> Policy:
    """Read a descriptor; a checksum may be missing but not wrong."""
    body, mark, given = text.strip().partition("#")
    if mark and given != checksum(body):
        raise PolicyError(f"the descriptor's checksum is {checksum(body)}, not {given}")
    matched = DESCRIPTOR.fullmatch(body)
    if not matched:
        raise PolicyError("the descriptor is not wsh(sortedmulti(m,…)), the only kind known here")
    threshold, keys = matched.groups()
    expressions = [
        _parse_cosigner(number, key, network) for number, key in enumerate(keys.split(","), 1)
    ]
    return Policy(int(threshold), tuple(expressions), network)


def checksum(text: str) -> str:
    """Return the eight characters that follow a descriptor's # (BIP 380)."""
    try:
        return bip380.checksum(text)
    except bip380.DescriptorError as error:
        raise PolicyError("the descriptor holds a character that none can hold") from error


def policy_checksum(policy: Policy) -> str:
    """Return the checksum of the policy's descriptor: its short name for people."""
    return checksum(_descriptor_body(policy))


def format_template(policy: Policy) -> str:
    """Write the descriptor template without its keys (BIP 388)."""
    keys = ",".join(f"@{place}/**" for place in range(len(policy.keys)))
    return f"wsh(sortedmulti({policy.threshold},{keys}))"


def derive_scripts(policy: Policy, branch: int, indexes: Iterable[int]) -> Iterator[VaultScript]:
    """Yield the scripts of a branch; what their keys have in common is computed once."""
    cosigners = _branch(policy, branch)
    for index in indexes:
        if not 0 <= index < HARDENED:
            raise PolicyError(f"no address has the index {index}")
        pubkeys = tuple([derive(index)[0] for derive in cosigners])
        script = write_multisig(Multisig(policy.threshold, tuple(sorted(pubkeys))))
        yield VaultScript(branch, index, pubkeys, script, b"\x00\x20" + sha256(script).digest())


def vault_script(policy: Policy, branch: int, index: int) -> VaultScript:
    """Return the script of one address."""
    return next(derive_scripts(policy, branch, (index,)))


def addresses(policy: Policy, branch: int, indexes: Iterable[int]) -> Iterator[str]:
    """Yield the addresses of a branch."""
    for script in derive_scripts(policy, branch, indexes):
        yield format_address(script.script_pubkey, policy.network)


@lru_cache(maxsize=64)
def _branch(policy: Policy, branch: int) -> tuple[ChildKeys, ...]:
    if branch not in (RECEIVE, CHANGE):
        raise PolicyError(f"a policy has the branches {RECEIVE} and {CHANGE}, not {branch}")
    parents = [children(k.key.public_key, k.key.chain_code)(branch) for k in policy.keys]
    return tuple(children(public_key, chain_code) for public_key, chain_code in parents)


def _descriptor_body(policy: Policy) -> str:
    keys = [format_key_expression(key, policy.network) + BRANCHES for key in policy.keys]
    return f"wsh(sortedmulti({policy.threshold},{','.join(keys)}))"


def _parse_cosigner(number: int, text: str, network: Network) -> KeyExpression:
    key, bracket, rest = text.rpartition("]")
    xpub, slash, branches = rest.partition("/")
    try:
        expression = parse_key_expression(key + bracket + xpub, network, "wsh")
    except PolicyError as error:
        raise PolicyError(f"key {number}: {error}") from error
    if slash + branches != BRANCHES:
        raise PolicyError(
            f"key {number} must derive {BRANCHES}, receive and change, not {slash + branches!r}"
        )
    return expression


def _refuse_duplicates(keys: tuple[KeyExpression, ...]) -> None:
    places: dict[tuple[bytes, bytes], int] = {}
    for place, (_, _, key) in enumerate(keys, 1):
        twin = places.setdefault((key.public_key, key.chain_code), place)
        if twin != place:
            raise PolicyError(f"keys {twin} and {place} are the same key")
