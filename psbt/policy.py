"""Policies ↔ descriptors (BIP 380 to 389), their scripts and addresses (BIP 67).

A policy is a plain multisig over keys with both keychains, receive and change: `sortedmulti`, or
`multi` in the order written, in `wsh`, in `sh(wsh)` or in `sh`. A keychain is a position, 0 or 1,
in the pair of steps that a key derives: most have <0;1>.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from psbt.address import format_address, p2sh, p2wsh, parse_address, script_type
from psbt.checksum import checksum
from psbt.errors import PolicyError
from psbt.keys import (
    HARDENED,
    ChildKeys,
    KeyExpression,
    Path,
    check_key,
    check_origin,
    children,
    format_key_expression,
    parse_key_expression,
)
from psbt.multisig import Multisig, multisig_size, pushed, read_pushes, write_multisig
from psbt.network import Network
from psbt.weight import ScriptSize

__all__ = [
    "CHANGE",
    "KEYS_MAX",
    "RECEIVE",
    "SCRIPTS",
    "KeyUse",
    "Policy",
    "VaultScript",
    "addresses",
    "checksum",
    "derive_scripts",
    "format_address",
    "format_descriptor",
    "format_template",
    "locking_script",
    "parse_address",
    "parse_descriptor",
    "policy_checksum",
    "same_scripts",
    "script_type",
    "vault_script",
]

RECEIVE: Final = 0
CHANGE: Final = 1
KEYS_MAX: Final = 15
BOTH: Final = (RECEIVE, CHANGE)
KEYCHAINS: Final = "/<{};{}>/*"
BELOW = re.compile(r"/<(0|[1-9][0-9]{0,9});(0|[1-9][0-9]{0,9})>/\*")

SCRIPTS: Final = {"wsh": "wsh({})", "sh-wsh": "sh(wsh({}))", "sh": "sh({})"}
"""How a policy's multisig is wrapped, by the name of the script."""
REDEEM_SCRIPT_MAX: Final = 520
DESCRIPTOR = re.compile(r"(wsh|sh\(wsh|sh)\((sortedmulti|multi)\(([1-9][0-9]?),([^()]+)\)\)(\)?)")


class KeyUse(NamedTuple):
    """A key where a script has it, and the steps of its receive and its change keychain."""

    expression: KeyExpression
    keychains: tuple[int, int] = BOTH

    def path(self, keychain: int, index: int) -> Path:
        """Return the whole path to the key of one address, from the origin on."""
        return (*self.expression.path, self.keychains[keychain], index)


@dataclass(frozen=True)
class Policy:
    """Who can spend: any `threshold` of `keys`, by a script of SCRIPTS.

    The public keys of a script are sorted (BIP 67) unless the policy keeps their order.
    `keychains` are the steps of receive and change of each key; none are <0;1> for all.
    """

    threshold: int
    keys: tuple[KeyExpression, ...]
    network: Network
    script: str = "wsh"
    sorted_keys: bool = True
    keychains: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no vault should be built on."""
        total = len(self.keys)
        if not 1 <= self.threshold <= total <= KEYS_MAX:
            raise PolicyError(
                f"{self.threshold} of {total} keys is no policy: 1 to {KEYS_MAX} keys, "
                "and no more signatures than keys"
            )
        if self.script not in SCRIPTS:
            raise PolicyError(f"unknown script {self.script}; expected one of {', '.join(SCRIPTS)}")
        size = multisig_size(total)
        if self.script == "sh" and size > REDEEM_SCRIPT_MAX:
            raise PolicyError(
                f"{total} keys make a script of {size} bytes; {REDEEM_SCRIPT_MAX} fit into sh"
            )
        for expression in self.keys:
            check_key(expression.key)
            check_origin(expression)
        _refuse_duplicates(self.keys)
        _check_keychains(self.keychains, total)
        if all(pair == BOTH for pair in self.keychains):
            object.__setattr__(self, "keychains", ())

    @cached_property
    def uses(self) -> tuple[KeyUse, ...]:
        """Return the keys with their keychains, in the cosigners' order."""
        pairs = self.keychains or (BOTH,) * len(self.keys)
        return tuple(map(KeyUse, self.keys, pairs))

    def named(self, step: int) -> tuple[int, ...]:
        """Return the keychains that a step stands for below one of the keys."""
        return self._steps.get(step, ())

    @cached_property
    def _steps(self) -> dict[int, tuple[int, ...]]:
        found: dict[int, tuple[int, ...]] = {}
        for keychain in BOTH:
            for step in {use.keychains[keychain] for use in self.uses}:
                found[step] = (*found.get(step, ()), keychain)
        return found

    @property
    def size(self) -> ScriptSize:
        """Return what decides how large an input is that spends by this policy."""
        return ScriptSize(self.threshold, len(self.keys), self.script)


@dataclass(frozen=True, slots=True)
class VaultScript:
    """What one address of a policy is locked with; the public keys are in the cosigners' order.

    `code` is the multisig itself, which signatures are for; its keys are in the order it has them.
    """

    keychain: int
    index: int
    pubkeys: tuple[bytes, ...]
    multisig: Multisig
    kind: str
    code: bytes
    script_pubkey: bytes

    @property
    def witness_script(self) -> bytes | None:
        """Return the multisig as a witness shows it, None where there is no witness."""
        return None if self.kind == "sh" else self.code

    @property
    def redeem_script(self) -> bytes | None:
        """Return what the output's hash is of in P2SH, None in P2WSH."""
        match self.kind:
            case "wsh":
                return None
            case "sh-wsh":
                return p2wsh(self.code)
        return self.code

    @property
    def amount_signed(self) -> bool:
        """Tell whether signatures cover the amount spent (BIP 143)."""
        return self.kind != "sh"

    def unlocked(self, signatures: Sequence[bytes]) -> tuple[bytes, tuple[bytes, ...]]:
        """Return the script_sig and the witness that spend by these signatures, in key order."""
        stack = (b"", *signatures, self.code)
        if self.kind == "sh":
            return b"".join(map(pushed, stack)), ()
        redeem = self.redeem_script
        return b"" if redeem is None else pushed(redeem), stack

    def shown(self, script_sig: bytes, witness: Sequence[bytes]) -> tuple[bytes, ...] | None:
        """Return the signatures with which an input spends by this script, None where it does not.

        What is not there is not looked at: a nested input may come without its script_sig.
        """
        stack = tuple(witness)
        if self.kind == "sh":
            stack = () if witness else read_pushes(script_sig) or ()
        elif script_sig and script_sig != self.unlocked(())[0]:
            return None
        if len(stack) <= 2 or stack[0] or stack[-1] != self.code:
            return None
        return stack[1:-1]


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
    if not matched or (matched[1] == "sh(wsh") != bool(matched[5]):
        raise PolicyError(
            "the descriptor is not sortedmulti or multi in wsh, sh(wsh) or sh, the kinds known here"
        )
    script = {"wsh": "wsh", "sh(wsh": "sh-wsh", "sh": "sh"}[matched[1]]
    uses = [
        _parse_cosigner(number, key, network, script=script)
        for number, key in enumerate(matched[4].split(","), 1)
    ]
    return Policy(
        int(matched[3]),
        tuple(use.expression for use in uses),
        network,
        script,
        matched[2] == "sortedmulti",
        tuple(use.keychains for use in uses),
    )


def policy_checksum(policy: Policy) -> str:
    """Return the checksum of the policy's descriptor: its short name for people."""
    return checksum(_descriptor_body(policy))


def format_template(policy: Policy) -> str:
    """Write the descriptor template without its keys (BIP 388)."""
    keys = [
        f"@{place}{_below(use).replace('/<0;1>/*', '/**')}" for place, use in enumerate(policy.uses)
    ]
    return _wrapped(policy, ",".join(keys))


def same_scripts(one: Policy, other: Policy) -> bool:
    """Tell whether two policies have the same addresses; sorted, the order of keys changes none."""
    forms = [(p.network, p.script, p.threshold, p.sorted_keys) for p in (one, other)]
    keys = [
        [
            (use.expression.key.public_key, use.expression.key.chain_code, use.keychains)
            for use in p.uses
        ]
        for p in (one, other)
    ]
    if one.sorted_keys:
        keys = [sorted(each) for each in keys]
    return forms[0] == forms[1] and keys[0] == keys[1]


def derive_scripts(policy: Policy, keychain: int, indexes: Iterable[int]) -> Iterator[VaultScript]:
    """Yield the scripts of a keychain; what their keys have in common is computed once."""
    cosigners = _keychain(policy, keychain)
    for index in indexes:
        if not 0 <= index < HARDENED:
            raise PolicyError(f"no address has the index {index}")
        pubkeys = tuple([derive(index)[0] for derive in cosigners])
        points = tuple(sorted(pubkeys)) if policy.sorted_keys else pubkeys
        multisig = Multisig(policy.threshold, points)
        code = write_multisig(multisig)
        locked = locking_script(policy.script, code)
        yield VaultScript(keychain, index, pubkeys, multisig, policy.script, code, locked)


def locking_script(script: str, code: bytes) -> bytes:
    """Return the output script that a multisig is wrapped in."""
    match script:
        case "wsh":
            return p2wsh(code)
        case "sh-wsh":
            return p2sh(p2wsh(code))
    return p2sh(code)


def vault_script(policy: Policy, keychain: int, index: int) -> VaultScript:
    """Return the script of one address."""
    return next(derive_scripts(policy, keychain, (index,)))


def addresses(policy: Policy, keychain: int, indexes: Iterable[int]) -> Iterator[str]:
    """Yield the addresses of a keychain."""
    for script in derive_scripts(policy, keychain, indexes):
        yield format_address(script.script_pubkey, policy.network)


@lru_cache(maxsize=64)
def _keychain(policy: Policy, keychain: int) -> tuple[ChildKeys, ...]:
    if keychain not in (RECEIVE, CHANGE):
        raise PolicyError(f"a policy has the keychains {RECEIVE} and {CHANGE}, not {keychain}")
    parents = [
        children(key.public_key, key.chain_code)(steps[keychain])
        for (_, _, key), steps in policy.uses
    ]
    return tuple(children(public_key, chain_code) for public_key, chain_code in parents)


def _descriptor_body(policy: Policy) -> str:
    keys = [
        format_key_expression(use.expression, policy.network) + _below(use) for use in policy.uses
    ]
    return _wrapped(policy, ",".join(keys))


def _below(use: KeyUse) -> str:
    return KEYCHAINS.format(*use.keychains)


def _wrapped(policy: Policy, keys: str) -> str:
    multi = "sortedmulti" if policy.sorted_keys else "multi"
    return SCRIPTS[policy.script].format(f"{multi}({policy.threshold},{keys})")


def _parse_cosigner(number: int, text: str, network: Network, *, script: str) -> KeyUse:
    key, bracket, rest = text.rpartition("]")
    xpub, slash, keychains = rest.partition("/")
    try:
        expression = parse_key_expression(key + bracket + xpub, network, script)
    except PolicyError as error:
        raise PolicyError(f"key {number}: {error}") from error
    matched = BELOW.fullmatch(slash + keychains)
    if not matched:
        raise PolicyError(
            f"key {number} must derive /<0;1>/* or another such pair, receive and change,"
            f" not {slash + keychains!r}"
        )
    return KeyUse(expression, (int(matched[1]), int(matched[2])))


def _check_keychains(keychains: tuple[tuple[int, int], ...], total: int) -> None:
    if keychains and len(keychains) != total:
        raise PolicyError(f"{total} keys have {len(keychains)} pairs of keychains")
    for number, (receive, change) in enumerate(keychains, 1):
        if receive == change or not all(0 <= step < HARDENED for step in (receive, change)):
            raise PolicyError(
                f"key {number} has the keychains <{receive};{change}>: two different steps"
                f" from 0 to {HARDENED - 1} are needed"
            )


def _refuse_duplicates(keys: tuple[KeyExpression, ...]) -> None:
    places: dict[tuple[bytes, bytes], int] = {}
    for place, (_, _, key) in enumerate(keys, 1):
        twin = places.setdefault((key.public_key, key.chain_code), place)
        if twin != place:
            raise PolicyError(f"keys {twin} and {place} are the same key")
