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

from coordinator.audit.findings import Advisory, Severity
from coordinator.errors import Untrusted, UsageError
from coordinator.files import read_bytes

FORMAT: Final = "cardquorum advisories v1"


def advisories(path: Path, key: str) -> tuple[Advisory, ...]:
    """Return the advisories of a file that this public key (32 bytes, hex) signed.

    Raises UsageError where it is no such file or key, Untrusted where the signature does not hold.
    """
    try:
        said = json.loads(read_bytes(path))
        signature = bytes.fromhex(said.pop("signature"))
        listed = tuple(_advisory(each) for each in said["advisories"])
        known = said["format"] == FORMAT
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as failure:
        raise UsageError(f"{path} is no list of advisories") from failure
    if not known:
        raise UsageError(f"{path} is of format {said['format']!r}, not {FORMAT!r}")
    try:
        _public_key(key).verify(signature, signed_bytes(said))
    except InvalidSignature as failure:
        raise Untrusted(f"{path} was not signed by {key}") from failure
    return listed


def signed_bytes(said: Mapping[str, Any]) -> bytes:
    """Return what is signed of a list: all of it but the signature."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _advisory(said: Mapping[str, Any]) -> Advisory:
    texts = (str(said[name]) for name in ("sentence", "remedy"))
    versions = tuple(str(beginning) for beginning in said["versions"])
    return Advisory(
        str(said["id"]), str(said["family"]), versions, Severity(said["severity"]), *texts
    )


def _public_key(text: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except ValueError as failure:
        raise UsageError("an advisory key is 32 bytes in hex") from failure
