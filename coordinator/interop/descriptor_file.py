"""A descriptor in a file: alone, among comments, wrapped, in JSON, or as a pair of branches.

Wallets write one policy as several descriptors: with both branches in one (BIP 389), and receive
and change each by itself. All of a file must be of one policy.
"""

import re
from collections.abc import Iterator
from typing import Final

from coordinator.foreign_json import Field, read_json
from coordinator.foreign_text import lines
from psbt.errors import PolicyError
from psbt.policy import checksum

TEXT_MAX: Final = 1 << 20
DESCRIPTORS_MAX: Final = 100
BOTH, RECEIVE, CHANGE = "/<0;1>/*", "/0/*", "/1/*"
START = re.compile(r"[a-z]+\(")
BRANCH = re.compile(r"/(?:<0;1>|[01])/\*")
ORIGIN = re.compile(r"\[[^\[\]]*\]")
CHECKSUM = re.compile(r"#[023456789acdefghjklmnpqrstuvwxyz]{8}")


def descriptor_in(text: str) -> str:
    """Return the one descriptor of a text, with both branches where it has them in two.

    Raises PolicyError where there is none, where they differ, or where a checksum is wrong.
    """
    if len(text) > TEXT_MAX:
        raise PolicyError(f"a text of {len(text):,} characters is no descriptor")
    stripped = text.strip()
    if stripped.startswith("{"):
        return _in_json(stripped)
    found = list(_descriptors(stripped))
    if len(found) > DESCRIPTORS_MAX:
        raise PolicyError(f"the file holds {len(found)} descriptors; one policy has up to 3")
    return found[0] if len(found) == 1 else _one_policy(found)


def _in_json(text: str) -> str:
    try:
        return Field(read_json(text), "the JSON")["descriptor"].text(TEXT_MAX).strip()
    except ValueError as failure:
        raise PolicyError(f"the file is neither a descriptor nor JSON: {failure}") from failure


def _descriptors(text: str) -> Iterator[str]:
    """Yield each descriptor, whatever blanks and line ends it was wrapped with."""
    begun: list[str] = []
    depth = 0
    ready: str | None = None
    for number, line in enumerate(lines(text), 1):
        piece = "".join(line.split())
        if ready is not None and "#" not in ready and CHECKSUM.fullmatch(piece):
            ready, piece = ready + piece, ""
        if not piece or piece.startswith("#"):
            continue
        if ready is not None:
            yield ready
            ready = None
        if not begun and not START.match(piece):
            raise PolicyError(f"line {number} is no descriptor: it begins with {piece[:20]!r}")
        begun.append(piece)
        depth += piece.count("(") - piece.count(")")
        if depth <= 0:
            ready, begun, depth = "".join(begun), [], 0
    if ready is not None:
        yield ready
    if begun or ready is None:
        yield "".join(begun)


def _one_policy(found: list[str]) -> str:
    """Return the descriptor with both branches that several of one policy come to."""
    given: dict[str, str] = {}
    policies = set()
    for descriptor in found:
        body, mark, said = descriptor.partition("#")
        if mark and said != checksum(body):
            raise PolicyError(f"a descriptor's checksum is {checksum(body)}, not {said}")
        branches = set(BRANCH.findall(body))
        branch = branches.pop() if len(branches) == 1 else ""
        given.setdefault(branch, descriptor)
        policies.add(ORIGIN.sub(_small_origin, BRANCH.sub(BOTH, body.partition("?")[0])))
    if len(policies) > 1:
        raise PolicyError(
            f"the file holds {len(found)} descriptors of {len(policies)} policies: "
            "import them one by one"
        )
    if BOTH in given:
        return given[BOTH]
    if not {RECEIVE, CHANGE} <= given.keys():
        return found[0]
    body = BRANCH.sub(BOTH, given[RECEIVE].partition("#")[0])
    return f"{body}#{checksum(body)}"


def _small_origin(found: re.Match[str]) -> str:
    """Return a key's origin in the one way it is compared."""
    return found[0].lower().replace("'", "h")
