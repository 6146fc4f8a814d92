"""What this home approved, kept outside its database: policies, payments, operators, the seal.

`approval.key` holds an Ed25519 private key (32 bytes, in hex), `approvals.json` the approvals it
signed (RFC 8032) over `cardquorum approval v1`, a line feed and the approval as JSON with sorted
keys and no blanks. Both have mode 0600 and are replaced whole, under a lock, before the database
commits what they approve. Reading writes nothing. An entry whose signature does not hold is none.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from coordinator import clock
from coordinator.errors import CoordinatorError
from coordinator.files import write_private
from coordinator.foreign_json import read_json
from coordinator.home.settings import Home

KEY_FILE: Final = "approval.key"
LIST_FILE: Final = "approvals.json"
LOCK_FILE: Final = "approvals.lock"
FORMAT: Final = "cardquorum approvals v1"
DOMAIN: Final = b"cardquorum approval v1\n"
SIZE_MAX: Final = 32 * 1024 * 1024
KEPT_MAX: Final = 20_000
LOCK_SECONDS: Final = 10.0

SUBJECT: Final = ("network", "kind", "vault", "ceremony", "code", "public_key")
"""What an approval is of; a newer one of the same takes its place."""

Entry = Mapping[str, object]


class Standing(StrEnum):
    """How something stands to what this home approved."""

    APPROVED = "approved"
    NONE = "none"
    DIFFERS = "differs"


def approve_policy(home: Home, vault: str, descriptor: str) -> None:
    """Approve the descriptor (with its checksum) of the vault of this name."""
    _add(home, {"kind": "policy", "vault": vault, "descriptor": descriptor})


def policy_standing(home: Home, vault: str, descriptor: str) -> Standing:
    """Return how a vault's descriptor, computed from its keys, stands to what was approved."""
    return _standing(home, {"kind": "policy", "vault": vault}, {"descriptor": descriptor})


def approve_payment(home: Home, ceremony: str, payment: bytes) -> None:
    """Approve what a ceremony signs; `payment` is `psbt.outline.commitment` of its PSBT."""
    _add(home, {"kind": "payment", "ceremony": ceremony, "payment": payment.hex()})


def payment_standing(home: Home, ceremony: str, payment: bytes) -> Standing:
    """Return how what a ceremony would sign stands to what was approved."""
    wanted = {"payment": payment.hex()}
    return _standing(home, {"kind": "payment", "ceremony": ceremony}, wanted)


def approve_seal(home: Home, sealing_key: bytes) -> None:
    """Approve the public key that places and people are sealed to."""
    _add(home, {"kind": "seal", "sealing_key": sealing_key.hex()})


def seal_standing(home: Home, sealing_key: bytes | None) -> Standing:
    """Return how the seal's public key, None without a seal, stands to what was approved."""
    return _standing(home, {"kind": "seal"}, {"sealing_key": sealing_key and sealing_key.hex()})


def forget_seal(home: Home) -> None:
    """Approve no seal any more: the passphrase approves the next one, or none is made."""
    with _locked(home):
        _replace(home, {"kind": "seal"}, None)


def approve_operator(home: Home, name: str, public_key: bytes) -> None:
    """Approve an operator's key, compared with its owner, under a name of this home's choice."""
    _add(home, {"kind": "operator", "public_key": public_key.hex(), "operator": name})


def forget_operator(home: Home, public_key: bytes) -> None:
    """Approve an operator's key no more."""
    with _locked(home):
        _replace(home, {"kind": "operator", "public_key": public_key.hex()}, None)


def approved_operators(home: Home) -> dict[bytes, str]:
    """Return the names of the operators approved here, by public key."""
    return {
        bytes.fromhex(str(entry["public_key"])): str(entry["operator"])
        for entry in reversed([*_approved(home, {"kind": "operator"})])
    }


def public_key(home: Home) -> bytes | None:
    """Return the 32 bytes of the home's public key, None where it has none yet."""
    key = _private_key(home)
    return None if key is None else bytes(key.public_key().public_bytes_raw())


def sign(home: Home, message: bytes) -> bytes:
    """Return a signature of the home's key, 64 bytes; the message says its own domain."""
    return bytes(_private_key(home).sign(message))


def have_key(home: Home) -> bytes:
    """Return the home's public key; one is made where there is none."""
    found = public_key(home)
    if found is not None:
        return found
    with _locked(home):
        key = _private_key(home) or _new_key(home)
    return bytes(key.public_key().public_bytes_raw())


def accept_danger(home: Home, vault: str, code: str, *, facts: str) -> None:
    """Keep that a person accepted a danger of a vault as its facts are now."""
    digest = _digest(facts)
    _add(home, {"kind": "danger", "vault": vault, "code": code, "facts": digest})


def danger_accepted(home: Home, vault: str, code: str, *, facts: str) -> bool:
    """Tell whether a person accepted a danger of a vault with just these facts."""
    subject = {"kind": "danger", "vault": vault, "code": code}
    return _standing(home, subject, {"facts": _digest(facts)}) is Standing.APPROVED


def files(home: Home) -> list[Path]:
    """Return the files a copy of the approvals needs, those that are there."""
    return [p for name in (KEY_FILE, LIST_FILE) if (p := home.folder / name).is_file()]


def _digest(facts: str) -> str:
    return hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()


def _standing(home: Home, subject: Mapping[str, object], wanted: Mapping[str, object]) -> Standing:
    """Return how the newest approval of a subject stands to what is there now."""
    newest = next(_approved(home, subject), None)
    if newest is None:
        return Standing.NONE
    return Standing.APPROVED if wanted.items() <= newest.items() else Standing.DIFFERS


def _approved(home: Home, subject: Mapping[str, object]) -> Iterator[Entry]:
    """Yield what this home's key approved of a subject, the newest first."""
    about = _about(home, subject)
    told = [entry for entry in _stored(home) if about.items() <= entry.items()]
    key = _private_key(home) if told else None
    return (entry for entry in reversed(told) if key and _holds(key, entry))


def _about(home: Home, subject: Mapping[str, object]) -> dict[str, object]:
    return {"network": home.network, **subject}


def _stored(home: Home) -> list[Entry]:
    """Return the entries of the file, unverified; raises CoordinatorError where it is none."""
    path = home.folder / LIST_FILE
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_MAX + 1)
    except FileNotFoundError:
        return []
    try:
        said = read_json(data, size_max=SIZE_MAX)
    except ValueError:
        said = None
    entries = said.get("approvals") if isinstance(said, dict) else None
    if not isinstance(said, dict) or said.get("format") != FORMAT or not isinstance(entries, list):
        raise CoordinatorError(
            f"{path} is no list of approvals: move it away, then approve each vault anew"
        )
    return [entry for entry in entries if isinstance(entry, dict)]


def _add(home: Home, approved: Entry) -> None:
    """Sign an approval and write it, in place of earlier ones of its subject."""
    with _locked(home):
        _replace(home, approved, {**_about(home, approved), "at": clock.text(clock.now())})


@contextmanager
def _locked(home: Home) -> Iterator[None]:
    """Keep other processes from writing; raises CoordinatorError where one keeps us out."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 -- 10 ms, which readers need not

    lock = FileLock(home.folder / LOCK_FILE, timeout=LOCK_SECONDS, mode=0o600)
    try:
        lock.acquire()
    except Timeout as failure:
        raise CoordinatorError(
            f"another process keeps {home.folder / LOCK_FILE} locked; nothing was changed"
        ) from failure
    try:
        yield
    finally:
        lock.release()


def _replace(home: Home, subject: Entry, approved: Entry | None) -> None:
    """Write the list with an approval, or none, in place of earlier ones of its subject."""
    key = _private_key(home)
    # What an earlier key signed is nothing to a new one.
    earlier = _stored(home) if key is not None else []
    key = key or _new_key(home)
    same = _subject(_about(home, subject))
    kept = [entry for entry in earlier if _subject(entry) != same][-KEPT_MAX:]
    if approved is not None:
        kept.append({**approved, "signature": key.sign(_signed(approved)).hex()})
    document = {"format": FORMAT, "approvals": kept}
    data = json.dumps(document, separators=(",", ":")).encode()
    write_private(home.folder / LIST_FILE, data + b"\n")


def _subject(entry: Entry) -> Sequence[object]:
    """Return what an approval is about: a newer one of the same takes its place."""
    return [entry.get(name) for name in SUBJECT]


def _signed(entry: Entry) -> bytes:
    unsigned = {name: value for name, value in entry.items() if name != "signature"}
    return DOMAIN + json.dumps(unsigned, sort_keys=True, separators=(",", ":")).encode()


def _holds(key: Any, entry: Entry) -> bool:  # noqa: ANN401 -- cryptography loads when needed
    """Tell whether the home's key signed an entry."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- costs 15 ms

    try:
        key.public_key().verify(bytes.fromhex(str(entry["signature"])), _signed(entry))
    except (InvalidSignature, KeyError, ValueError, TypeError):
        return False
    return True


def _private_key(home: Home) -> Any:  # noqa: ANN401 -- as above
    """Return the home's key, None where it has none; raises CoordinatorError for a damaged one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 -- as above
        Ed25519PrivateKey,
    )

    path = home.folder / KEY_FILE
    try:
        with path.open("rb") as file:
            return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(file.read(256).decode()))
    except FileNotFoundError:
        return None
    except ValueError as failure:
        raise CoordinatorError(
            f"{path} is no approval key: move it away, then approve each vault anew"
        ) from failure


def _new_key(home: Home) -> Any:  # noqa: ANN401 -- as above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 -- as above
        Ed25519PrivateKey,
    )

    key = Ed25519PrivateKey.generate()
    write_private(home.folder / KEY_FILE, key.private_bytes_raw().hex().encode() + b"\n")
    return key
