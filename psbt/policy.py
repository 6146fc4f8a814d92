"""Policies ↔ descriptors (BIP 380 to 389), their scripts and addresses (BIP 67).

A policy is a plain multisig over keys with both keychains, receive and change: `sortedmulti`, or
`multi` in the order written, in `wsh`, in `sh(wsh)` or in `sh`. In `wsh` it may have branches that
open later (see `psbt.forms`). A keychain is a position, 0 or 1, in the pair of steps that a key
derives: most have <0;1>.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from psbt.address import format_address, p2sh, p2wsh, parse_address, script_type
from psbt.checksum import checksum
from psbt.errors import PolicyError
from psbt.forms import (
    PRIMARY,
    STAGES_MAX,
    Branch,
    KeyUse,
    Quorum,
    Wait,
    branch_name,
    own_form,
    quorums_of,
)
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
from psbt.miniscript import (
    Given,
    Node,
    parse,
    places_of,
    renumbered,
    satisfied,
    witness_size,
    write,
)
from psbt.miniscript import script as write_script
from psbt.multisig import Multisig, multisig_size, pushed, read_pushes, write_multisig
from psbt.network import Network
from psbt.weight import SIGNATURE_SIZE_MAX, ScriptSize

__all__ = [
    "CHANGE",
    "KEYS_MAX",
    "PRIMARY",
    "RECEIVE",
    "SCRIPTS",
    "Branch",
    "KeyUse",
    "Policy",
    "VaultScript",
    "Wait",
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
    "policy_of",
    "same_scripts",
    "script_type",
    "template_keys",
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
PUBLIC_KEY_SIZE: Final = 33
DER_START: Final = b"\x30"
SINGLE = re.compile(r"wsh\((pk|pkh|multi|sortedmulti)\(")
DESCRIPTOR = re.compile(r"(wsh|sh\(wsh|sh)\((sortedmulti|multi)\(([1-9][0-9]?),([^()]+)\)\)(\)?)")


@dataclass(frozen=True)
class Policy:
    """Who can spend: any `threshold` of `keys`, by a script of SCRIPTS.

    The public keys of a script are sorted (BIP 67) unless the policy keeps their order, as one with
    recoveries always does. `keychains` are the steps of receive and change of each key; none are
    <0;1> for all. `recoveries` are further ways to spend, in the order in which they open; `form`
    is how the branches are written where that is not our own way.
    """

    threshold: int
    keys: tuple[KeyExpression, ...]
    network: Network
    script: str = "wsh"
    sorted_keys: bool = True
    keychains: tuple[tuple[int, int], ...] = ()
    recoveries: tuple[Branch, ...] = ()
    form: Node | None = None

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
        if self.keychains and len(self.keychains) != total:
            raise PolicyError(f"{total} keys have {len(self.keychains)} pairs of keychains")
        if all(pair == BOTH for pair in self.keychains):
            object.__setattr__(self, "keychains", ())
        for number, use in enumerate(self.uses, 1):
            check_key(use.expression.key)
            check_origin(use.expression)
            _check_keychains(number, use.keychains)
        _refuse_duplicates(self.keys)
        if self.recoveries or self.form is not None:
            self._check_branches()

    def _check_branches(self) -> None:
        """Hold the branches against the form they are written in, and their keys apart."""
        if self.script != "wsh":
            raise PolicyError(f"recovery branches need the script wsh, not {self.script}")
        object.__setattr__(self, "sorted_keys", False)
        names = [branch_name(stage) for stage in range(1, STAGES_MAX + 1)]
        if [branch.name for branch in self.recoveries] != names[: len(self.recoveries)]:
            raise PolicyError(f"the recovery branches are named {' and '.join(names)}, in order")
        for branch in self.recoveries:
            if not 1 <= branch.threshold <= len(branch.keys) <= KEYS_MAX:
                raise PolicyError(
                    f"{branch.threshold} of {len(branch.keys)} keys is no {branch.name} branch"
                )
            for number, use in enumerate(branch.keys, 1):
                check_key(use.expression.key)
                check_origin(use.expression)
                _check_keychains(number, use.keychains)
            _refuse_duplicates([use.expression for use in branch.keys])
        _refuse_shared_keychains(self.places)
        own = own_form(self._quorums)
        if self.form == own:
            object.__setattr__(self, "form", None)
        if quorums_of(self.form or own) != tuple(self._quorums):
            raise PolicyError(
                "the branches are not those of the policy's form, in the order in which they open"
            )

    @cached_property
    def uses(self) -> tuple[KeyUse, ...]:
        """Return the keys of the primary branch with their keychains, in the cosigners' order."""
        pairs = self.keychains or (BOTH,) * len(self.keys)
        return tuple(map(KeyUse, self.keys, pairs))

    @cached_property
    def branches(self) -> tuple[Branch, ...]:
        """Return every way to spend, the primary one first."""
        return (Branch(PRIMARY, self.threshold, self.uses), *self.recoveries)

    def branch(self, name: str) -> Branch:
        """Return the branch of this name; raises PolicyError."""
        found = next((branch for branch in self.branches if branch.name == name), None)
        if found is None:
            names = " and ".join(branch.name for branch in self.branches)
            raise PolicyError(f"the policy has no branch {name!r}, only {names}")
        return found

    @cached_property
    def places(self) -> tuple[KeyUse, ...]:
        """Return every key with its keychains once, those of the primary branch first."""
        return tuple(dict.fromkeys(use for branch in self.branches for use in branch.keys))

    @cached_property
    def all_keys(self) -> tuple[KeyExpression, ...]:
        """Return every key once, whatever its keychains, those of the primary branch first."""
        found: dict[tuple[bytes, bytes], KeyExpression] = {}
        for use in self.places:
            key = use.expression
            found.setdefault((key.key.public_key, key.key.chain_code), key)
        return tuple(found.values())

    @cached_property
    def node(self) -> Node:
        """Return the expression of the policy's branches; keys are places."""
        return self.form or own_form(self._quorums)

    @cached_property
    def _quorums(self) -> list[Quorum]:
        at = {use: place for place, use in enumerate(self.places)}
        return [
            Quorum(branch.threshold, tuple(at[use] for use in branch.keys), branch.wait)
            for branch in self.branches
        ]

    @cached_property
    def _places_of(self) -> dict[str, tuple[int, ...]]:
        pairs = zip(self.branches, self._quorums, strict=True)
        return {branch.name: quorum.places for branch, quorum in pairs}

    def places_of(self, branch: str) -> tuple[int, ...]:
        """Return where the keys of a branch stand among all places; raises PolicyError."""
        return self._places_of.get(branch) or self._places_of[self.branch(branch).name]

    def named(self, step: int) -> tuple[int, ...]:
        """Return the keychains that a step stands for below one of the keys."""
        return self._steps.get(step, ())

    @cached_property
    def _steps(self) -> dict[int, tuple[int, ...]]:
        found: dict[int, tuple[int, ...]] = {}
        for keychain in BOTH:
            for step in {use.keychains[keychain] for use in self.places}:
                found[step] = (*found.get(step, ()), keychain)
        return found

    @property
    def size(self) -> ScriptSize:
        """Return what decides how large an input is that spends by the primary branch."""
        return self.size_of(PRIMARY)

    def size_of(self, branch: str) -> ScriptSize:
        """Return what decides how large an input is that spends by a branch."""
        found = self.branch(branch)
        size = ScriptSize(found.threshold, len(found.keys), self.script)
        if not self.recoveries:
            return size
        points = (bytes(PUBLIC_KEY_SIZE),) * len(self.places)
        longest = dict.fromkeys(self.places_of(branch), bytes(SIGNATURE_SIZE_MAX))
        stack = satisfied(self.node, Given(points, longest, _fragment(found)))
        return size._replace(
            witness=witness_size((*(stack or ()), write_script(self.node, points)))
        )


@dataclass(frozen=True, slots=True)
class VaultScript:
    """What one address of a policy is locked with.

    `points` are the public keys by place, those of the primary branch first, in the cosigners'
    order; `code` is the script that signatures are for.
    """

    keychain: int
    index: int
    points: tuple[bytes, ...]
    policy: Policy
    code: bytes
    script_pubkey: bytes

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
        return None if self.policy.recoveries else _multisig(self.policy, self.points)

    @property
    def witness_script(self) -> bytes | None:
        """Return the script as a witness shows it, None where there is no witness."""
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

    @property
    def prefix(self) -> bytes:
        """Return the script_sig that stands before a witness; empty in P2WSH and P2SH."""
        return pushed(p2wsh(self.code)) if self.kind == "sh-wsh" else b""

    def unlocked(
        self, signatures: Mapping[bytes, bytes], branch: str = PRIMARY
    ) -> tuple[bytes, tuple[bytes, ...]] | None:
        """Return the script_sig and the witness that spend by a branch, None where that cannot be.

        `signatures` are DER with the sighash type by public key; of others than the branch's keys
        none is used, and of more than are needed the first in the script's order.
        """
        found, multisig = self.policy.branch(branch), self.multisig
        if multisig is not None:
            held = [signatures[key] for key in multisig.pubkeys if key in signatures]
            needed = (b"", *held[: found.threshold]) if len(held) >= found.threshold else None
        else:
            places = self.policy.places_of(branch)
            held_by = {place: signatures.get(self.points[place]) for place in places}
            at = {place: signature for place, signature in held_by.items() if signature}
            needed = satisfied(self.policy.node, Given(self.points, at, _fragment(found)))
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
    matched = DESCRIPTOR.fullmatch(body)
    if not matched or (matched[1] == "sh(wsh") != bool(matched[5]):
        if body.startswith("wsh(") and body.endswith(")") and not SINGLE.match(body):
            return _parse_branches(body.removeprefix("wsh(").removesuffix(")"), network)
        raise PolicyError(
            "the descriptor is not sortedmulti or multi in wsh, sh(wsh) or sh, nor a policy with"
            " recovery branches in wsh, the kinds known here"
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


def _parse_branches(text: str, network: Network) -> Policy:
    parsed = parse(text)
    quorums_of(parsed.node)
    uses = [
        _parse_cosigner(number, key, network, script="wsh")
        for number, key in enumerate(parsed.keys, 1)
    ]
    return policy_of(parsed.node, uses, network)


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
    at = {_whole(key): number for number, key in enumerate(template_keys(policy))}
    keys = [
        f"@{at[_whole(use.expression)]}{_below(use).replace('/<0;1>/*', '/**')}"
        for use in policy.places
    ]
    return _wrapped(policy, keys)


def template_keys(policy: Policy) -> tuple[KeyExpression, ...]:
    """Return each key once, in the order in which the descriptor has them first."""
    found: dict[tuple[bytes, bytes], KeyExpression] = {}
    for place in places_of(policy.node):
        key = policy.places[place].expression
        found.setdefault(_whole(key), key)
    return tuple(found.values())


def same_scripts(one: Policy, other: Policy) -> bool:
    """Tell whether two policies have the same addresses; sorted, the order of keys changes none."""
    forms = [
        (p.network, p.script, p.threshold, p.sorted_keys, p.recoveries and p.node)
        for p in (one, other)
    ]
    keys = [[(*_whole(use.expression), use.keychains) for use in p.places] for p in (one, other)]
    if one.sorted_keys:
        keys = [sorted(each) for each in keys]
    return forms[0] == forms[1] and keys[0] == keys[1]


def derive_scripts(policy: Policy, keychain: int, indexes: Iterable[int]) -> Iterator[VaultScript]:
    """Yield the scripts of a keychain; what their keys have in common is computed once."""
    places, node, plain = _keychain(policy, keychain), policy.node, not policy.recoveries
    for index in indexes:
        if not 0 <= index < HARDENED:
            raise PolicyError(f"no address has the index {index}")
        points = tuple([derive(index)[0] for derive in places])
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


def _multisig(policy: Policy, points: tuple[bytes, ...]) -> Multisig:
    return Multisig(policy.threshold, tuple(sorted(points)) if policy.sorted_keys else points)


def _fragment(branch: Branch) -> Node | None:
    return None if branch.wait is None else branch.wait.fragment


def _whole(expression: KeyExpression) -> tuple[bytes, bytes]:
    """Return what makes a key the key it is, whatever is said of its origin."""
    return expression.key.public_key, expression.key.chain_code


def _descriptor_body(policy: Policy) -> str:
    keys = [
        format_key_expression(use.expression, policy.network) + _below(use) for use in policy.places
    ]
    return _wrapped(policy, keys)


def _below(use: KeyUse) -> str:
    return KEYCHAINS.format(*use.keychains)


def _wrapped(policy: Policy, keys: Sequence[str]) -> str:
    body = write(policy.node, keys)
    return SCRIPTS[policy.script].format(f"sorted{body}" if policy.sorted_keys else body)


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


def _check_keychains(number: int, pair: tuple[int, int]) -> None:
    receive, change = pair
    if receive == change or not all(0 <= step < HARDENED for step in pair):
        raise PolicyError(
            f"key {number} has the keychains <{receive};{change}>: two different steps"
            f" from 0 to {HARDENED - 1} are needed"
        )


def _refuse_duplicates(keys: Sequence[KeyExpression]) -> None:
    seen: dict[tuple[bytes, bytes], int] = {}
    for place, key in enumerate(keys, 1):
        twin = seen.setdefault(_whole(key), place)
        if twin != place:
            raise PolicyError(f"keys {twin} and {place} are the same key")


def _refuse_shared_keychains(uses: Sequence[KeyUse]) -> None:
    """Refuse a key that is used again with a step it has already: its public keys would repeat."""
    taken: set[tuple[tuple[bytes, bytes], int]] = set()
    for use in uses:
        steps = {(_whole(use.expression), step) for step in use.keychains}
        if steps & taken:
            raise PolicyError(
                f"the key {use.expression.fingerprint.hex()} is used again with keychains that it"
                f" has already, <{use.keychains[0]};{use.keychains[1]}>"
            )
        taken |= steps
