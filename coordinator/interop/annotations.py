"""Annotations of a descriptor (BIP 393): what a wallet that wrote it knew beside the script."""

import re
from typing import Final, NamedTuple

from psbt.errors import PolicyError
from psbt.policy import checksum

HEIGHT_DIGITS_MAX: Final = 9
BIRTHDAY_HEIGHT: Final = "bh"


class Annotated(NamedTuple):
    """A descriptor without its annotations, and the height before which nothing paid it."""

    descriptor: str
    birthday_height: int | None


def split(text: str) -> Annotated:
    """Take the annotations off a descriptor; those that are not known here are passed over.

    Raises PolicyError for a wrong checksum, which covers them, or a height that is none.
    """
    body, mark, given = text.strip().partition("#")
    script, annotated, listed = body.partition("?")
    if not annotated:
        return Annotated(text, None)
    if mark and given != checksum(body):
        raise PolicyError(f"the descriptor's checksum is {checksum(body)}, not {given}")
    height = None
    for pair in listed.split("&"):
        name, _, value = pair.partition("=")
        if name == BIRTHDAY_HEIGHT:
            if not re.fullmatch(f"[0-9]{{1,{HEIGHT_DIGITS_MAX}}}", value):
                raise PolicyError(f"the descriptor's birthday {value[:20]!r} is no block height")
            height = int(value)
    return Annotated(f"{script}#{checksum(script)}", height)
