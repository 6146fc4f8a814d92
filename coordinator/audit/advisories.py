"""A signed list of known flaws of cards, as a local file: believed only under the owner's key.

The file is JSON: `format`, `issued` (a date), `advisories` (each `id`, `family`, `versions`,
`severity`, `sentence`, `remedy`) and `signature`: Ed25519 (RFC 8032), in hex, over the others as
JSON with sorted keys, no blanks, in UTF-8.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from coordinator import foreign_text
from coordinator.audit.facts import Advisory
from coordinator.errors import Untrusted, UsageError
from coordinator.files import read_bytes
from coordinator.foreign_json import Field, read_json, shown
from coordinator.notices import Severity

FORMAT: Final = "cardquorum advisories v1"
SIZE_MAX: Final = 4 * 1024 * 1024
ADVISORIES_MAX: Final = 10_000


def advisories(path: Path, key: str) -> tuple[Advisory, ...]:
    """Return the advisories of a file that this public key (32 bytes, hex) signed.

    Raises UsageError where it is no such file or key, Untrusted where the signature does not hold.
    """
    data = read_bytes(path)
    try:
        said = read_json(foreign_text.decoded(data, str(path)), size_max=SIZE_MAX)
        if not isinstance(said, dict):
            raise UsageError(f"{path} is no list of advisories")
        signature = bytes.fromhex(said.pop("signature"))
        listed = tuple(map(_advisory, Field(said)["advisories"].items(ADVISORIES_MAX)))
        form = Field(said)["format"].text()
        signed = signed_bytes(said)
    except (ValueError, TypeError, KeyError) as failure:
        raise UsageError(f"{path} is no list of advisories: {failure}") from failure
    if form != FORMAT:
        raise UsageError(f"{path} is of format {shown(form)}, not {FORMAT!r}")
    try:
        owner = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
    except ValueError as failure:
        raise UsageError("an advisory key is 32 bytes in hex") from failure
    try:
        owner.verify(signature, signed)
    except InvalidSignature as failure:
        raise Untrusted(f"{path} was not signed by {key}") from failure
    return listed


def signed_bytes(said: Mapping[str, Any]) -> bytes:
    """Return what is signed of a list: all of it but the signature."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _advisory(said: Field) -> Advisory:
    """Read an advisory; raises ValueError."""
    return Advisory(
        said["id"].text(),
        said["family"].text(),
        tuple(beginning.text() for beginning in said["versions"].items(ADVISORIES_MAX)),
        Severity(said["severity"].text()),
        said["sentence"].text(),
        said["remedy"].text(),
    )
