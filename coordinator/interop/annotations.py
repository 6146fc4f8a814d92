"""Annotations of a descriptor (BIP 393): what a wallet that wrote it knew beside the script."""

import re
from typing import Final, NamedTuple

from psbt.errors import PolicyError
from psbt.policy import checksum

BIRTHDAY_HEIGHT: Final = "bh"
GAP_LIMIT: Final = "gl"
NAME = re.compile(r"[a-z]+")
NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")


class Annotated(NamedTuple):
    """A descriptor without its annotations, the height before which nothing paid it, its gap."""

    descriptor: str
    birthday_height: int | None
    gap: int | None = None


def split(text: str) -> Annotated:
    """Take the annotations off a descriptor; those that are not known here are passed over.

    Raises PolicyError for a wrong checksum, which covers them, or for a list that is none.
    """
    body, mark, given = text.strip().partition("#")
    script, annotated, listed = body.partition("?")
    if not annotated:
        return Annotated(text, None)
    if mark and given != checksum(body):
        raise PolicyError(f"the descriptor's checksum is {checksum(body)}, not {given[:20]}")
    found: dict[str, int] = {}
    for pair in listed.split("&"):
        name, _, value = pair.partition("=")
        if not NAME.fullmatch(name) or not NUMBER.fullmatch(value):
            raise PolicyError(
                f"the descriptor's annotation {pair[:40]!r} is not name=number, as bh=840000"
            )
        if name in found:
            raise PolicyError(f"the descriptor says {name} twice")
        found[name] = int(value)
    return Annotated(
        f"{script}#{checksum(script)}", found.get(BIRTHDAY_HEIGHT), found.get(GAP_LIMIT)
    )
