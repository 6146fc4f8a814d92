"""Branches, and the closed list of forms in which a policy with branches is written.

A branch is one way to spend: the primary one at any time, a recovery after its wait. Written here:

    or_d(multi(m,…),and_v(v:pkh(R),older(N)))                one later key
    or_d(multi(m,…),and_v(v:multi(k,…),older(N)))            several, also the same cards again
    or_i(and_v(…,older(N2)),or_d(…))                         two stages

`after(H)` may stand for `older(N)`. Read besides: one key as pk or pkh, several later keys as
thresh(k,pkh(…),a:pkh(…)), all of the first keys as a chain of and_v, or_i with the recovery first
(Liana), or_d(multi(m,…),or_i(and_v(…),and_v(…))) (Keeper), andor(ln:older(N),multi(k,…),multi(m,…))
(Nunchuk), and, where one signature less is asked for after the wait,
thresh(m,pk(…),s:pk(…),sln:older(N)) (BIP 388). Each is of type B, needs a
signature on every way, is not malleable, and mixes no kinds of locks; anything else is refused.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, NoReturn

from psbt.errors import PolicyError
from psbt.keys import HARDENED, KeyExpression, Path, check_key, check_origin
from psbt.miniscript import KEYED, TIMED, Node, operations, outline
from psbt.transaction import SEQUENCE_IS_TIME, SEQUENCE_MASK

PRIMARY: Final = "primary"
RECOVERY: Final = "recovery"
STAGES_MAX: Final = 2
USUAL: Final = (0, 1)
"""The steps of receive and change below most keys."""
BLOCKS_MAX: Final = SEQUENCE_MASK
HEIGHT_MAX: Final = 499_999_999
SHOWN_MAX: Final = 80
OPERATIONS_MAX: Final = 201


class KeyUse(NamedTuple):
    """A key where a script has it, and the steps of its receive and its change keychain."""

    expression: KeyExpression
    keychains: tuple[int, int] = USUAL

    def path(self, keychain: int, index: int) -> Path:
        """Return the whole path to the key of one address, from the origin on."""
        return (*self.expression.path, self.keychains[keychain], index)


class Wait(NamedTuple):
    """What a recovery waits for: so many blocks upon the coin's own (BIP 68), or a height (BIP 65).

    Exactly one is set.
    """

    blocks: int | None = None
    height: int | None = None

    @property
    def fragment(self) -> Node:
        """Return the wait as it stands in a script."""
        if self.blocks is not None:
            return Node("older", number=self.blocks)
        return Node("after", number=self.height or 0)

    def first_block(self, coin_height: int | None) -> int | None:
        """Return the first block that may spend a coin of this height; None unconfirmed."""
        if self.height is not None:
            return self.height + 1
        return None if coin_height is None else coin_height + (self.blocks or 0)

    def __str__(self) -> str:
        """Write the wait for people."""
        return f"{self.blocks} blocks" if self.blocks is not None else f"block {self.height}"


class Branch(NamedTuple):
    """One way to spend: any `threshold` of `keys`, after the wait; None is at any time."""

    name: str
    threshold: int
    keys: tuple[KeyUse, ...]
    wait: Wait | None = None


class Quorum(NamedTuple):
    """So many signatures by keys of these places, after a wait."""

    threshold: int
    places: tuple[int, ...]
    wait: Wait | None = None


def branch_name(stage: int) -> str:
    """Return the name of a branch: primary for 0, then recovery, recovery-2."""
    return (PRIMARY, RECOVERY)[stage] if stage < STAGES_MAX else f"{RECOVERY}-{stage}"


def key_uses(keys: Iterable[KeyExpression], earlier: Sequence[KeyUse] = ()) -> tuple[KeyUse, ...]:
    """Return keys with keychains that no earlier use of them has: <0;1>, then <2;3>, <4;5>."""
    found = []
    for key in keys:
        taken = {step for use in earlier if same_key(use, key) for step in use.keychains}
        first = next(
            step for step in range(0, 2 * len(taken) + 2, 2) if not {step, step + 1} & taken
        )
        found.append(KeyUse(key, (first, first + 1)))
    return tuple(found)


def same_key(use: KeyUse, key: KeyExpression) -> bool:
    """Tell whether a use is of this key, whatever is said of its origin."""
    return whole_key(use.expression) == whole_key(key)


def whole_key(expression: KeyExpression) -> tuple[bytes, bytes]:
    """Return what makes a key the key it is, whatever is said of its origin."""
    return expression.key.public_key, expression.key.chain_code


def check_uses(uses: Sequence[KeyUse]) -> None:
    """Refuse keys of a branch that cannot be, twins, steps that cannot be receive and change."""
    for number, (expression, (receive, change)) in enumerate(uses, 1):
        check_key(expression.key)
        check_origin(expression)
        if receive == change or not (0 <= receive < HARDENED and 0 <= change < HARDENED):
            raise PolicyError(
                f"key {number} has the keychains <{receive};{change}>: two different steps"
                f" from 0 to {HARDENED - 1} are needed"
            )
    seen: dict[tuple[bytes, bytes], int] = {}
    for number, (expression, _) in enumerate(uses, 1):
        twin = seen.setdefault(whole_key(expression), number)
        if twin != number:
            raise PolicyError(f"keys {twin} and {number} are the same key")


def refuse_shared_keychains(uses: Sequence[KeyUse]) -> None:
    """Refuse a key that is used again with a step it has already: its public keys would repeat."""
    taken: set[tuple[tuple[bytes, bytes], int]] = set()
    for use in uses:
        steps = {(whole_key(use.expression), step) for step in use.keychains}
        if steps & taken:
            raise PolicyError(
                f"the key {use.expression.fingerprint.hex()} is used again with keychains that it"
                f" has already, <{use.keychains[0]};{use.keychains[1]}>"
            )
        taken |= steps


def own_form(quorums: Sequence[Quorum]) -> Node:
    """Write branches, the primary first, in the form that is used here."""
    primary, *stages = quorums
    node = Node("multi", number=primary.threshold, keys=primary.places)
    for stage, combined in zip(stages, ("or_d", "or_i"), strict=False):
        keys = Node("multi", number=stage.threshold, keys=stage.places)
        if len(stage.places) == 1:
            keys = Node("pkh", keys=stage.places)
        late = Node("and_v", (Node("v", (keys,)), (stage.wait or Wait()).fragment))
        node = Node(combined, (node, late) if combined == "or_d" else (late, node))
    return node


def quorums_of(node: Node) -> tuple[Quorum, ...]:
    """Return the branches of an expression, the primary first and recoveries by their wait.

    Raises PolicyError that names what was recognised and what was not.
    """
    found = _decaying(node) or _nunchuk(node) or _staged(node)
    primary, *stages = found
    waits = [stage.wait or Wait() for stage in stages]
    if len({wait.blocks is None for wait in waits}) > 1:
        raise PolicyError("the policy waits for blocks in one branch and for a height in another")
    stages.sort(key=lambda stage: stage.wait or Wait())
    if len(set(waits)) < len(waits):
        raise PolicyError(f"two branches of the policy open after the same wait, {waits[0]}")
    for stage, (threshold, places, _) in enumerate((primary, *stages)):
        name = branch_name(stage)
        if not 1 <= threshold <= len(places):
            raise PolicyError(
                f"the {name} branch asks for {threshold} signatures of {len(places)} keys"
            )
        if len(set(places)) < len(places):
            raise PolicyError(f"a key stands in the {name} branch twice")
    every = [place for quorum in (primary, *stages) for place in quorum.places]
    if operations(node) > OPERATIONS_MAX:
        raise PolicyError(
            f"the policy's script counts {operations(node)} operations; {OPERATIONS_MAX} can be run"
        )
    if not _decaying(node) and len(set(every)) < len(every):
        raise PolicyError("a key stands in two branches with the same keychains")
    return primary, *stages


def _staged(node: Node) -> list[Quorum]:
    """Read or_d with recoveries behind the primary branch, or_i with them in front, and both."""
    late: list[Quorum] = []
    while node.name == "or_i":
        first, node = node.arguments
        late.append(_recovery(first, late))
    if node.name == "or_d":
        primary, last = node.arguments
        quorum = _one_of(primary) or _multi(primary)
        if quorum is None:
            _refuse(primary, late, wanted="multi, pk or pkh as the primary branch")
        while last.name == "or_i":
            first, last = last.arguments
            late.append(_recovery(first, [quorum, *late]))
        late.append(_recovery(last, [quorum, *late]))
    else:
        quorum = _one_of(node) or _multi(node) or _all_of(node)
        if quorum is None or not late:
            _refuse(node, late, wanted="a form that is known here")
    if len(late) > STAGES_MAX:
        raise PolicyError(
            f"recognised are {_told([quorum, *late])}: {len(late)} recovery branches, of which"
            f" {STAGES_MAX} at most can be here"
        )
    return [quorum, *late]


def _recovery(node: Node, before: Sequence[Quorum]) -> Quorum:
    """Read and_v(v:…,older(N))."""
    quorum, wait = None, node
    if node.name == "and_v" and node.arguments[0].name == "v":
        inner, wait = node.arguments[0].arguments[0], node.arguments[1]
        quorum = _one_of(inner) or _multi(inner) or _hashed(inner)
    if quorum is None or wait.name not in TIMED:
        _refuse(node, before, wanted="and_v(v:keys,older(N)) as a recovery branch")
    return quorum._replace(wait=_wait(wait))


def _one_of(node: Node) -> Quorum | None:
    return Quorum(1, node.keys) if node.name in KEYED else None


def _multi(node: Node) -> Quorum | None:
    return Quorum(node.number, node.keys) if node.name == "multi" else None


def _hashed(node: Node) -> Quorum | None:
    """Read thresh(k,pkh(…),a:pkh(…),…)."""
    if node.name != "thresh":
        return None
    first, *others = node.arguments
    inner = [first, *(each.arguments[0] for each in others if each.name == "a")]
    if len(inner) != len(node.arguments) or any(each.name != "pkh" for each in inner):
        return None
    return Quorum(node.number, tuple(each.keys[0] for each in inner))


def _all_of(node: Node) -> Quorum | None:
    """Read and_v(v:and_v(v:pk(…),pk(…)),pk(…)): every key has to sign."""
    places: list[int] = []
    while node.name == "and_v" and node.arguments[0].name == "v" and node.arguments[1].name == "pk":
        places.insert(0, node.arguments[1].keys[0])
        node = node.arguments[0].arguments[0]
    if node.name != "pk" or not places:
        return None
    return Quorum(len(places) + 1, (*node.keys, *places))


def _nunchuk(node: Node) -> list[Quorum] | None:
    """Read andor(ln:older(N),multi(k,…),multi(m,…))."""
    if node.name != "andor":
        return None
    asked, late, primary = node.arguments
    wait = _unwrapped(asked, "ln")
    quorums = [_multi(primary), _multi(late)]
    if wait is None or quorums[0] is None or quorums[1] is None:
        return None
    return [quorums[0], quorums[1]._replace(wait=_wait(wait))]


def _decaying(node: Node) -> list[Quorum] | None:
    """Read thresh(m,pk(…),s:pk(…),…,sln:older(N)): the wait counts as a signature."""
    if node.name != "thresh" or len(node.arguments) == 1:
        return None
    first, *others, last = node.arguments
    wait = _unwrapped(last, "sln")
    inner = [first, *(each.arguments[0] for each in others if each.name == "s")]
    if wait is None or len(inner) != len(others) + 1 or any(each.name != "pk" for each in inner):
        return None
    places = tuple(each.keys[0] for each in inner)
    return [Quorum(node.number, places), Quorum(node.number - 1, places, _wait(wait))]


def _unwrapped(node: Node, letters: str) -> Node | None:
    """Return the wait behind these wrappers."""
    for letter in letters:
        if node.name != letter:
            return None
        node = node.arguments[0]
    return node if node.name in TIMED else None


def _wait(node: Node) -> Wait:
    number = node.number
    if node.name == "after":
        if not 1 <= number <= HEIGHT_MAX:
            raise PolicyError(f"after({number}) is no height: 1 to {HEIGHT_MAX} can be waited for")
        return Wait(height=number)
    if number & SEQUENCE_IS_TIME:
        raise PolicyError(f"older({number}) counts time; here a policy waits for blocks")
    if not 1 <= number <= BLOCKS_MAX:
        raise PolicyError(f"older({number}) is no wait: 1 to {BLOCKS_MAX} blocks can be counted")
    return Wait(blocks=number)


def _told(quorums: Sequence[Quorum]) -> str:
    return " and ".join(
        f"{each.threshold} of {len(each.places)} keys{f' after {each.wait}' if each.wait else ''}"
        for each in quorums
    )


def _refuse(node: Node, before: Sequence[Quorum], *, wanted: str) -> NoReturn:
    known = f"recognised are {_told(before)}; " if before else ""
    shown = outline(node)
    shown = shown if len(shown) <= SHOWN_MAX else f"{shown[:SHOWN_MAX]}…"
    raise PolicyError(f"{known}not recognised is {shown}: expected {wanted}")
