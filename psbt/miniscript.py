"""The fragments of miniscript that a vault's policy is made of: text, script, and what unlocks it.

Not all of miniscript: what is not here is no part of a form that is known (see `psbt.forms`), so
nothing has to be proved of a policy but that it has such a form. A key is a place, a number by
which its text or its public key of an address is found.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from psbt.errors import PolicyError
from psbt.keys import hash160
from psbt.multisig import OP_1, Multisig, write_multisig

DEPTH_MAX: Final = 40
SELECTED: Final = b"\x01"
"""What chooses the first arm of an OP_IF; the second takes an empty item (minimal-if)."""

IF, NOTIF, ELSE, ENDIF, VERIFY, IFDUP = b"\x63", b"\x64", b"\x67", b"\x68", b"\x69", b"\x73"
EQUAL, EQUALVERIFY, ADD, CHECKSIG = b"\x87", b"\x88", b"\x93", b"\xac"
VERIFYING: Final = {EQUAL: EQUALVERIFY, CHECKSIG: b"\xad", b"\xae": b"\xaf"}
"""The opcodes that have a twin, which fails instead of answering false."""
LOCKS: Final = {"older": b"\xb2", "after": b"\xb1"}
AROUND: Final[dict[str, tuple[bytes | int, ...]]] = {
    "a": (b"\x6b", 0, b"\x6c"),
    "s": (b"\x7c", 0),
    "n": (0, b"\x92"),
    "l": (IF + b"\x00" + ELSE, 0, ENDIF),
    "and_v": (0, 1),
    "or_d": (0, IFDUP + NOTIF, 1, ENDIF),
    "or_i": (IF, 0, ELSE, 1, ENDIF),
    "andor": (0, NOTIF, 2, ELSE, 1, ENDIF),
}
"""The other fragments: opcodes, and where their arguments stand among them."""

OPERATIONS: Final = {
    "pk": 1, "pkh": 4, "older": 1, "after": 1, "a": 2, "s": 1, "n": 1, "l": 3,
    "and_v": 0, "or_d": 3, "or_i": 3, "andor": 3,
}  # fmt: skip
"""How many opcodes a fragment has that count, its arguments left out."""

WRAPPERS: Final = frozenset("avsln")
KEYED: Final = frozenset({"pk", "pkh"})
TIMED: Final = frozenset({"older", "after"})
ARGUMENTS: Final = {"and_v": 2, "or_d": 2, "or_i": 2, "andor": 3}
KNOWN: Final = frozenset({"multi", "thresh", *KEYED, *TIMED, *ARGUMENTS})
UNKNOWN: Final = "(…)"
"""What ends the name of a fragment that is not known here, its arguments unread."""
FRAGMENT = re.compile(r"(?:([a-z]+):)?([a-z_0-9]+)\(", re.ASCII)
NUMBER = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)

Stack = tuple[bytes, ...]
"""Items of a witness, the last of them on top."""


class Node(NamedTuple):
    """A fragment: `number` is a threshold or a wait, `keys` are places.

    A wrapper is a fragment of one letter. One that is not known is its name and UNKNOWN.
    """

    name: str
    arguments: tuple["Node", ...] = ()
    number: int = 0
    keys: tuple[int, ...] = ()


class Parsed(NamedTuple):
    """An expression and the texts of its keys, by place."""

    node: Node
    keys: tuple[str, ...]


def parse(text: str) -> Parsed:
    """Read an expression; the same text of a key is the same place. Raises PolicyError."""
    keys: dict[str, int] = {}
    node = _parsed(text, keys, 0)
    return Parsed(node, tuple(keys))


def write(node: Node, keys: Sequence[str]) -> str:
    """Write an expression with the texts of its keys, by place."""
    letters = ""
    while node.name in WRAPPERS:
        letters, node = letters + node.name, node.arguments[0]
    numbers = [str(node.number)] if node.number else []
    parts = [*numbers, *(keys[key] for key in node.keys)]
    parts += [write(argument, keys) for argument in node.arguments]
    inside = f"({','.join(parts)})" if parts else ""
    return f"{letters}{':' if letters else ''}{node.name}{inside}"


def places_of(node: Node) -> list[int]:
    """Return the places in the order in which they are written, one twice where it is."""
    inner = (place for argument in node.arguments for place in places_of(argument))
    return [*node.keys, *inner]


def outline(node: Node) -> str:
    """Write an expression with @0, @1 and so on for its keys."""
    return write(node, [f"@{place}" for place in range(max(places_of(node), default=0) + 1)])


def names_key(code: bytes, pubkey: bytes) -> bool:
    """Tell whether a script holds a public key or its hash."""
    return _pushed_key(pubkey) in code or b"\x14" + hash160(pubkey) in code


def renumbered(node: Node, places: Mapping[int, int]) -> Node:
    """Return the expression with other places."""
    inner = tuple(renumbered(argument, places) for argument in node.arguments)
    return node._replace(arguments=inner, keys=tuple(places[key] for key in node.keys))


def script(node: Node, points: Sequence[bytes]) -> bytes:
    """Return the script, its public keys given by place."""
    inner = [script(argument, points) for argument in node.arguments]
    match node.name:
        case "pk":
            found = _pushed_key(points[node.keys[0]]) + CHECKSIG
        case "pkh":
            found = b"\x76\xa9\x14" + hash160(points[node.keys[0]]) + EQUALVERIFY + CHECKSIG
        case "multi":
            keys = tuple(points[key] for key in node.keys)
            found = write_multisig(Multisig(node.number, keys))
        case "older" | "after":
            found = pushed_number(node.number) + LOCKS[node.name]
        case "thresh":
            added = b"".join(each + ADD for each in inner[1:])
            found = inner[0] + added + pushed_number(node.number) + EQUAL
        case "v":
            last = inner[0][-1:]
            found = inner[0][:-1] + VERIFYING.get(last, last + VERIFY)
        case _:
            found = b"".join(
                part if isinstance(part, bytes) else inner[part] for part in AROUND[node.name]
            )
    return found


def operations(node: Node) -> int:
    """Return how many operations a script counts at most: opcodes, and the keys of each multi."""
    inner = sum(operations(argument) for argument in node.arguments)
    match node.name:
        case "multi":
            inner += 1 + len(node.keys)
        case "thresh":
            inner += len(node.arguments)
        case "v":
            inner += node.arguments[0].name in TIMED
        case _:
            inner += OPERATIONS[node.name]
    return inner


class Given(NamedTuple):
    """What there is to unlock a script with: public keys and signatures by place, and a wait.

    `wait` is the fragment of the one that has run; of no other is believed that it has.
    """

    points: Sequence[bytes]
    signatures: Mapping[int, bytes]
    wait: Node | None = None


def satisfied(node: Node, given: Given) -> Stack | None:
    """Return what makes an expression true, the shortest there is; None where that cannot be."""
    found: Stack | None
    match node.name:
        case "pk" | "pkh":
            place = node.keys[0]
            key = (given.points[place],) if node.name == "pkh" else ()
            found = (given.signatures[place], *key) if place in given.signatures else None
        case "multi":
            signed = [given.signatures[key] for key in node.keys if key in given.signatures]
            found = (b"", *signed[: node.number]) if len(signed) >= node.number else None
        case "older" | "after":
            found = () if node == given.wait else None
        case "thresh":
            found = _satisfied_thresh(node, given)
        case "and_v":
            first, second = node.arguments
            found = _joined(satisfied(second, given), satisfied(first, given))
        case "or_d" | "or_i" | "andor" | "l":
            found = min(_ways(node, given), key=witness_size, default=None)
        case _:
            found = satisfied(node.arguments[0], given)
    return found


def dissatisfied(node: Node, given: Given) -> Stack | None:
    """Return what makes an expression false without a signature, None where that cannot be."""
    found: Stack | None = None
    match node.name:
        case "pk":
            found = (b"",)
        case "pkh":
            found = b"", given.points[node.keys[0]]
        case "multi":
            found = (b"",) * (node.number + 1)
        case "thresh":
            found = _joined(*(dissatisfied(each, given) for each in reversed(node.arguments)))
        case "l":
            found = (SELECTED,)
        case "a" | "s" | "n":
            found = dissatisfied(node.arguments[0], given)
    return found


def witness_size(stack: Stack) -> int:
    """Return how many bytes the items take in a witness, their number left out."""
    return sum(1 + (2 if len(item) >= 0xFD else 0) + len(item) for item in stack)


def _satisfied_thresh(node: Node, given: Given) -> Stack | None:
    """Satisfy as many arguments as are asked for, those that cost least."""
    no = [dissatisfied(each, given) for each in node.arguments]
    yes = [satisfied(each, given) for each in node.arguments]
    costs = {
        place: witness_size(stack) - witness_size(no[place] or ())
        for place, stack in enumerate(yes)
        if stack is not None
    }
    chosen = sorted(costs, key=costs.__getitem__)[: node.number]
    if len(chosen) < node.number:
        return None
    parts = [yes[place] if place in chosen else no[place] for place in range(len(no))]
    return _joined(*reversed(parts))


def _ways(node: Node, given: Given) -> Iterator[Stack]:
    """Yield each way through an expression with two arms."""
    arms = node.arguments
    match node.name:
        case "or_d":
            ways = [satisfied(arms[0], given)]
            ways.append(_joined(satisfied(arms[1], given), dissatisfied(arms[0], given)))
        case "or_i":
            ways = [
                _joined(satisfied(arm, given), (selector,))
                for arm, selector in zip(arms, (SELECTED, b""), strict=True)
            ]
        case "l":
            ways = [_joined(satisfied(arms[0], given), (b"",))]
        case _:
            asked, yes, no = arms
            ways = [
                _joined(satisfied(yes, given), satisfied(asked, given)),
                _joined(satisfied(no, given), dissatisfied(asked, given)),
            ]
    yield from (way for way in ways if way is not None)


def _joined(*parts: Stack | None) -> Stack | None:
    """Return the parts one upon the other, the last on top; None where one is missing."""
    found: Stack = ()
    for part in parts:
        if part is None:
            return None
        found += part
    return found


def _parsed(text: str, keys: dict[str, int], depth: int) -> Node:
    matched = FRAGMENT.match(text)
    if not matched or not text.endswith(")") or depth > DEPTH_MAX:
        raise PolicyError(f"{text[:20]!r} is no expression of a policy")
    letters, name = matched[1] or "", matched[2]
    if not set(letters) <= WRAPPERS:
        return Node(f"{letters}:{name}{UNKNOWN}")
    node = _fragment(name, _split(text[matched.end() : -1]), keys, depth=depth)
    for letter in reversed(letters):
        node = Node(letter, (node,))
    return node


def _fragment(name: str, parts: list[str], keys: dict[str, int], *, depth: int) -> Node:
    if name in KEYED and len(parts) == 1:
        return Node(name, keys=(_place(parts[0], keys),))
    if name in TIMED and len(parts) == 1:
        return Node(name, number=_number(name, parts[0]))
    if name == "multi" and len(parts) > 1:
        places = tuple(_place(part, keys) for part in parts[1:])
        return Node(name, number=_number(name, parts[0]), keys=places)
    if name == "thresh" and len(parts) > 1:
        inner = tuple(_parsed(part, keys, depth + 1) for part in parts[1:])
        return Node(name, inner, _number(name, parts[0]))
    if len(parts) == ARGUMENTS.get(name):
        return Node(name, tuple(_parsed(part, keys, depth + 1) for part in parts))
    if name in KNOWN:
        raise PolicyError(f"{name} has {len(parts)} arguments, which is not how many it takes")
    return Node(name + UNKNOWN)


def _split(text: str) -> list[str]:
    """Split at the commas that stand in no bracket."""
    parts, start, open_brackets = [], 0, 0
    for at, character in enumerate(text):
        open_brackets += (character == "(") - (character == ")")
        if open_brackets < 0:
            break
        if character == "," and not open_brackets:
            parts.append(text[start:at])
            start = at + 1
    if open_brackets:
        raise PolicyError("the brackets of the policy do not pair")
    return [*parts, text[start:]]


def _place(text: str, keys: dict[str, int]) -> int:
    if not text or "(" in text:
        raise PolicyError(f"{text[:20]!r} is no key")
    return keys.setdefault(text, len(keys))


def _number(name: str, text: str) -> int:
    if not NUMBER.fullmatch(text):
        raise PolicyError(f"{name} has {text[:20]!r}, which is no number from 1 on")
    return int(text)


def _pushed_key(point: bytes) -> bytes:
    return bytes([len(point)]) + point


def pushed_number(number: int) -> bytes:
    """Return the shortest push of a number above 0."""
    if number <= 16:
        return bytes([OP_1 - 1 + number])
    encoded = number.to_bytes(number.bit_length() // 8 + 1, "little")
    return bytes([len(encoded)]) + encoded
