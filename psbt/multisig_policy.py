"""Who can spend: a policy as a value, checked when it is made.

A policy is a plain multisig over keys with both keychains, receive and change: `sortedmulti`, or
`multi` in the order written, in `wsh`, in `sh(wsh)` or in `sh`, or `sortedmulti_a` as the one leaf
of `tr` (see `psbt.taproot`). In `wsh` it may have branches that open later (see `psbt.forms`).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from psbt import taproot
from psbt.errors import PolicyError
from psbt.forms import (
    PRIMARY,
    STAGES_MAX,
    Branch,
    KeyUse,
    Quorum,
    branch_name,
    check_uses,
    own_form,
    quorums_of,
    refuse_shared_keychains,
)
from psbt.keys import KeyExpression, fingerprint
from psbt.miniscript import Given, Node, satisfied, witness_size
from psbt.miniscript import script as write_script
from psbt.multisig import multisig_size
from psbt.network import Network
from psbt.weight import SIGNATURE_SIZE_MAX, ScriptSize

RECEIVE: Final = 0
CHANGE: Final = 1
KEYS_MAX: Final = 15
BOTH: Final = (RECEIVE, CHANGE)
SCRIPTS: Final = {"wsh": "wsh({})", "sh-wsh": "sh(wsh({}))", "sh": "sh({})", "tr": "tr({})"}
"""How a policy's multisig is wrapped, by the name of the script."""
REDEEM_SCRIPT_MAX: Final = 520
PUBLIC_KEY_SIZE: Final = 33


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
        check_uses(self.uses)
        if self.script == "tr":
            self._check_leaf()
        if self.recoveries or self.form is not None:
            self._check_branches()

    def _check_leaf(self) -> None:
        """Refuse what no leaf is written with here, though taproot knows it."""
        if self.recoveries or self.form is not None:
            raise PolicyError("branches that open later are not made in taproot, only in wsh")
        if not self.sorted_keys:
            raise PolicyError("multi_a keeps the order of its keys; here a leaf is sortedmulti_a")
        if self.keychains:
            raise PolicyError("the keys of a taproot vault have the keychains <0;1>, no others")

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
            check_uses(branch.keys)
        refuse_shared_keychains(self.places)
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
    def unspendable(self) -> KeyExpression:
        """Return what a taproot output has above its leaf: a key that is nobody's, its own origin.

        It depends on the order of the keys.
        """
        key = taproot.unspendable_key(key.key.public_key for key in self.keys)
        return KeyExpression(fingerprint(key.public_key), (), key)

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
        stack = satisfied(self.node, Given(points, longest, wait_fragment(found)))
        return size._replace(
            witness=witness_size((*(stack or ()), write_script(self.node, points)))
        )


def wait_fragment(branch: Branch) -> Node | None:
    """Return the wait of a branch as it stands in a script, None where it has none."""
    return None if branch.wait is None else branch.wait.fragment
