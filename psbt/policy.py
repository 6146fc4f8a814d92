"""Policies ↔ descriptors (BIP 380 to 389), their scripts and addresses (BIP 67).

A keychain is a position, 0 or 1, in the pair of steps that a key derives: most have <0;1>.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from psbt import taproot
from psbt.address import format_address, p2sh, p2tr, p2wsh, parse_address, script_type
from psbt.checksum import checksum
from psbt.errors import PolicyError
from psbt.forms import (
    PRIMARY,
    Branch,
    KeyUse,
    Wait,
    branch_name,
    quorums_of,
    whole_key,
)
from psbt.keys import (
    HARDENED,
    ChildKeys,
    KeyExpression,
    children,
    format_key_expression,
    format_xpub,
    parse_key_expression,
)
from psbt.miniscript import (
    Given,
    Node,
    parse,
    places_of,
    renumbered,
    satisfied,
    write,
)
from psbt.miniscript import script as write_script
from psbt.multisig import Multisig, pushed, read_pushes, write_multisig
from psbt.multisig_policy import BOTH, CHANGE, KEYS_MAX, RECEIVE, SCRIPTS, Policy, wait_fragment
from psbt.network import Network
from psbt.signature import BIP340, ECDSA, Scheme

__all__ = [
    "CHANGE",
    "KEYS_MAX",
    "PRIMARY",
    "RECEIVE",
    "SCRIPTS",
    "Branch",
    "KeyUse",
    "Policy",
    "Wait",
    "checksum",
    "format_address",
    "parse_address",
    "script_type",
]
"""What other modules have that goes with a policy: it is handed on from here."""

KEYCHAINS: Final = "/<{};{}>/*"
BELOW = re.compile(r"/<(0|[1-9][0-9]{0,9});(0|[1-9][0-9]{0,9})>/\*")

DER_START: Final = b"\x30"
SINGLE = re.compile(r"wsh\((pk|pkh|multi|sortedmulti)\(")
LEAF = re.compile(r"tr\(([^(),]+),sortedmulti_a\(([1-9][0-9]?),([^(){}]+)\)\)")
DESCRIPTOR = re.compile(r"(wsh|sh\(wsh|sh)\((sortedmulti|multi)\(([1-9][0-9]?),([^()]+)\)\)(\)?)")


@dataclass(frozen=True, slots=True)
class VaultScript:
    """What one address of a policy is locked with.

    `points` are the public keys by place, those of the primary branch first, in the cosigners'
    order; `code` is the script that signatures are for. `internal` is the x-only key above it in
    taproot.
    """

    keychain: int
    index: int
    points: tuple[bytes, ...]
    policy: Policy
    code: bytes
    script_pubkey: bytes
    internal: bytes = b""

    @property
    def pubkeys(self) -> tuple[bytes, ...]:
        """Return the public keys of the primary branch, in the cosigners' order."""
        return self.points[: len(self.policy.keys)]

    def keys_of(self, branch: str) -> tuple[bytes, ...]:
        """Return the public keys of a branch, in its order; raises PolicyError."""
        return tuple(self.points[place] for place in self.policy.places_of(branch))

    @property
    def kind(self) -> str:
        """Return the name of the script."""
        return self.policy.script

    @property
    def multisig(self) -> Multisig | None:
        """Return the script where it is a plain multisig, its keys in the order it has them."""
        other = self.policy.recoveries or self.kind == "tr"
        return None if other else _multisig(self.policy, self.points)

    @property
    def witness_script(self) -> bytes | None:
        """Return the script as a witness of P2WSH shows it, None elsewhere."""
        return None if self.kind in {"sh", "tr"} else self.code

    @property
    def scheme(self) -> Scheme:
        """Return how its keys sign."""
        return BIP340 if self.kind == "tr" else ECDSA

    @property
    def leaf_hash(self) -> bytes | None:
        """Return the hash of the script where it is a leaf of taproot."""
        return taproot.leaf_hash(self.code) if self.kind == "tr" else None

    @property
    def control_block(self) -> bytes:
        """Return what proves in a witness that a taproot output commits to the leaf."""
        return taproot.control_block(self.internal, self.code)

    @property
    def redeem_script(self) -> bytes | None:
        """Return what the output's hash is of in P2SH, None in P2WSH."""
        match self.kind:
            case "wsh" | "tr":
                return None
            case "sh-wsh":
                return p2wsh(self.code)
        return self.code

    @property
    def amount_signed(self) -> bool:
        """Tell whether signatures cover the amount spent (BIP 143, BIP 341)."""
        return self.kind != "sh"

    @property
    def prefix(self) -> bytes:
        """Return the script_sig that stands before a witness; empty in P2WSH and P2SH."""
        return pushed(p2wsh(self.code)) if self.kind == "sh-wsh" else b""

    def unlocked(
        self, signatures: Mapping[bytes, bytes], branch: str = PRIMARY
    ) -> tuple[bytes, tuple[bytes, ...]] | None:
        """Return the script_sig and the witness that spend by a branch, None where that cannot be.

        `signatures` are as the scheme writes them, by public key; of others than the branch's keys
        none is used, and of more than are needed the first in the script's order.
        """
        if self.kind == "tr":
            stack = taproot.unlocked(signatures, self.code, self.control_block)
            return None if stack is None else (b"", stack)
        found, multisig = self.policy.branch(branch), self.multisig
        if multisig is not None:
            held = [signatures[key] for key in multisig.pubkeys if key in signatures]
            needed = (b"", *held[: found.threshold]) if len(held) >= found.threshold else None
        else:
            places = self.policy.places_of(branch)
            held_by = {place: signatures.get(self.points[place]) for place in places}
            at = {place: signature for place, signature in held_by.items() if signature}
            needed = satisfied(self.policy.node, Given(self.points, at, wait_fragment(found)))
        if needed is None:
            return None
        stack = (*needed, self.code)
        if self.kind == "sh":
            return b"".join(map(pushed, stack)), ()
        return self.prefix, stack

    def shown(self, script_sig: bytes, witness: Sequence[bytes]) -> tuple[bytes, ...] | None:
        """Return the signatures with which an input spends by this script, None where it does not.

        What is not there is not looked at: a nested input may come without its script_sig.
        """
        stack = tuple(witness)
        if self.kind == "tr":
            return None if script_sig else taproot.shown(stack, self.code, self.control_block)
        if self.kind == "sh":
            stack = () if witness else read_pushes(script_sig) or ()
        elif script_sig and script_sig != self.prefix:
            return None
        if not stack or stack[-1] != self.code:
            return None
        if self.policy.recoveries:
            found = tuple(item for item in stack[:-1] if item[:1] == DER_START)
        else:
            found = () if stack[0] else stack[1:-1]
        return found or None


def format_descriptor(policy: Policy) -> str:
    """Write the descriptor with its checksum."""
    body = _descriptor_body(policy)
    return f"{body}#{checksum(body)}"


@lru_cache(maxsize=64)
def parse_descriptor(text: str, network: Network) -> Policy:
    """Read a descriptor; a checksum may be missing but not wrong."""
    body, mark, given = text.strip().partition("#")
    if mark and given != checksum(body):
        raise PolicyError(f"the descriptor's checksum is {checksum(body)}, not {given}")
    if leaf := LEAF.fullmatch(body):
        return _parse_leaf(leaf, network)
    matched = DESCRIPTOR.fullmatch(body)
    if not matched or (matched[1] == "sh(wsh") != bool(matched[5]):
        if body.startswith("wsh(") and body.endswith(")") and not SINGLE.match(body):
            parsed = parse(body.removeprefix("wsh(").removesuffix(")"))
            quorums_of(parsed.node)
            return policy_of(parsed.node, _parse_cosigners(parsed.keys, network, "wsh"), network)
        raise PolicyError(
            "the descriptor is not sortedmulti or multi in wsh, sh(wsh) or sh, nor a policy with"
            " recovery branches in wsh, nor sortedmulti_a in tr, the kinds known here"
        )
    script = {"wsh": "wsh", "sh(wsh": "sh-wsh", "sh": "sh"}[matched[1]]
    uses = _parse_cosigners(matched[4].split(","), network, script)
    return Policy(
        int(matched[3]),
        tuple(use.expression for use in uses),
        network,
        script,
        matched[2] == "sortedmulti",
        tuple(use.keychains for use in uses),
    )


def _parse_leaf(leaf: re.Match[str], network: Network) -> Policy:
    """Read a quorum in a leaf; the key above it must be nobody's, computed anew."""
    uses = _parse_cosigners(leaf[3].split(","), network, "tr")
    policy = Policy(
        int(leaf[2]),
        tuple(use.expression for use in uses),
        network,
        "tr",
        keychains=tuple(use.keychains for use in uses),
    )
    if leaf[1] != _unspendable_text(policy):
        raise PolicyError(
            f"the internal key {leaf[1][:20]}… is not the one that nobody holds: whoever holds it"
            " spends alone"
        )
    return policy


def policy_of(node: Node, uses: Sequence[KeyUse], network: Network) -> Policy:
    """Return the policy that an expression of a known form is of, its keys given by place.

    Raises PolicyError that names what is recognised in it and what is not.
    """
    primary, *late = quorums_of(node)
    order = dict.fromkeys(place for quorum in (primary, *late) for place in quorum.places)
    first = tuple(uses[place] for place in primary.places)
    return Policy(
        primary.threshold,
        tuple(use.expression for use in first),
        network,
        sorted_keys=False,
        keychains=tuple(use.keychains for use in first),
        recoveries=tuple(
            Branch(branch_name(at), each.threshold, tuple(uses[n] for n in each.places), each.wait)
            for at, each in enumerate(late, 1)
        ),
        form=renumbered(node, {place: at for at, place in enumerate(order)}),
    )


def policy_checksum(policy: Policy) -> str:
    """Return the checksum of the policy's descriptor: its short name for people."""
    return checksum(_descriptor_body(policy))


def format_template(policy: Policy) -> str:
    """Write the descriptor template (BIP 388), in which @0, @1 … stand for `template_keys`."""
    at = {whole_key(key): number for number, key in enumerate(template_keys(policy))}
    keys = [
        f"@{at[whole_key(use.expression)]}{_below(use).replace('/<0;1>/*', '/**')}"
        for use in policy.places
    ]
    return _wrapped(policy, keys, "@0/**")


def template_keys(policy: Policy) -> tuple[KeyExpression, ...]:
    """Return each key once, in the order in which the descriptor has them first.

    That of a taproot policy begins with the key that is nobody's.
    """
    found: dict[tuple[bytes, bytes], KeyExpression] = {}
    if policy.script == "tr":
        found[whole_key(policy.unspendable)] = policy.unspendable
    for place in places_of(policy.node):
        key = policy.places[place].expression
        found.setdefault(whole_key(key), key)
    return tuple(found.values())


def same_scripts(one: Policy, other: Policy) -> bool:
    """Tell whether two policies have the same addresses; sorted, the order of keys changes none.

    In taproot it does: the key above the leaf depends on it.
    """
    forms = [
        (p.network, p.script, p.threshold, p.sorted_keys, p.recoveries and p.node)
        for p in (one, other)
    ]
    keys = [[(*whole_key(use.expression), use.keychains) for use in p.places] for p in (one, other)]
    if one.sorted_keys and one.script != "tr":
        keys = [sorted(each) for each in keys]
    return forms[0] == forms[1] and keys[0] == keys[1]


def derive_scripts(policy: Policy, keychain: int, indexes: Iterable[int]) -> Iterator[VaultScript]:
    """Yield the scripts of a keychain; what their keys have in common is computed once."""
    places, node, plain = _keychain(policy, keychain), policy.node, not policy.recoveries
    for index in indexes:
        if not 0 <= index < HARDENED:
            raise PolicyError(f"no address has the index {index}")
        points = tuple([derive(index)[0] for derive in places])
        if policy.script == "tr":
            internal = _unspendable(policy, keychain)(index)[0][1:]
            code = taproot.sorted_leaf(policy.threshold, points)
            locked = p2tr(taproot.output_key(internal, taproot.leaf_hash(code)).x)
            yield VaultScript(keychain, index, points, policy, code, locked, internal)
            continue
        code = write_multisig(_multisig(policy, points)) if plain else write_script(node, points)
        locked = locking_script(policy.script, code)
        yield VaultScript(keychain, index, points, policy, code, locked)


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
        for (_, _, key), steps in policy.places
    ]
    return tuple(children(public_key, chain_code) for public_key, chain_code in parents)


@lru_cache(maxsize=64)
def _unspendable(policy: Policy, keychain: int) -> ChildKeys:
    """Return the children of a taproot policy's internal key on a keychain."""
    key = policy.unspendable.key
    return children(*children(key.public_key, key.chain_code)(keychain))


def _unspendable_text(policy: Policy) -> str:
    return format_xpub(policy.unspendable.key, policy.network) + KEYCHAINS.format(*BOTH)


def _multisig(policy: Policy, points: tuple[bytes, ...]) -> Multisig:
    return Multisig(policy.threshold, tuple(sorted(points)) if policy.sorted_keys else points)


def _descriptor_body(policy: Policy) -> str:
    keys = [
        format_key_expression(use.expression, policy.network) + _below(use) for use in policy.places
    ]
    return _wrapped(policy, keys, _unspendable_text(policy) if policy.script == "tr" else "")


def _below(use: KeyUse) -> str:
    return KEYCHAINS.format(*use.keychains)


def _wrapped(policy: Policy, keys: Sequence[str], internal: str) -> str:
    """Put keys into the descriptor; `internal` is the text of the key above a leaf."""
    body = write(policy.node, keys)
    if policy.script == "tr":
        return SCRIPTS["tr"].format(leaf_text(internal, policy.threshold, keys))
    return SCRIPTS[policy.script].format(f"sorted{body}" if policy.sorted_keys else body)


def leaf_text(internal: str, threshold: int, keys: Sequence[str]) -> str:
    """Write what stands in tr: the internal key and the one leaf."""
    return f"{internal},sortedmulti_a({threshold},{','.join(keys)})"


def _parse_cosigners(texts: Iterable[str], network: Network, script: str) -> list[KeyUse]:
    uses = []
    for number, text in enumerate(texts, 1):
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
        uses.append(KeyUse(expression, (int(matched[1]), int(matched[2]))))
    return uses
