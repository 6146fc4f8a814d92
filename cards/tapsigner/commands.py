"""A TAPSIGNER's commands as values: a name, what is said openly, what only the card may read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import cbor2

from cards import apdu
from cards.pin import Secret
from cards.session import Path
from cards.tapsigner import AID
from cards.tapsigner.wire import CLA, INS


@dataclass(frozen=True)
class Call:
    """One command; the values of `sealed` travel under the session key of the command."""

    name: str
    open: Mapping[str, object] = field(default_factory=dict, repr=False)
    sealed: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    takes_nonce: bool = True


SELECT = apdu.select(AID)
"""SELECT; the answer's body is that of `status`."""
STATUS = Call("status", takes_nonce=False)
"""Who the card is, and the nonce of the next command."""
CERTIFICATES = Call("certs", takes_nonce=False)
"""Tell the signatures from the card's key up to its maker's."""
MASTER_XPUB = Call("xpub", {"master": True})
"""Tell the master's extended public key."""
BACKUP = Call("backup")
"""Tell the master key, encrypted under the key printed on the card's back."""
WAIT = Call("wait", takes_nonce=False)
"""Let a second pass."""


def frame(name: str, arguments: Mapping[str, object], *, secret: bool) -> apdu.Command:
    """Return the one APDU there is, around a command and its arguments."""
    body = cbor2.dumps({"cmd": name, **arguments})
    return apdu.Command(CLA, INS, data=body, secret=secret)


def check(nonce: bytes) -> Call:
    """Prove to own the card's key."""
    return Call("check", {"nonce": nonce})


def read(nonce: bytes) -> Call:
    """Prove to own the key at the stored path."""
    return Call("read", {"nonce": nonce})


def new(chain_code: bytes) -> Call:
    """Make the master key, once in the card's life."""
    return Call("new", {"slot": 0, "chain_code": chain_code})


def derive(path: Path, nonce: bytes) -> Call:
    """Store a hardened path and prove to own its key."""
    return Call("derive", {"path": list(path), "nonce": nonce})


def sign(subpath: Path, digest: bytes) -> Call:
    """Sign a digest by the key at most two normal steps below the stored path."""
    return Call("sign", {"subpath": list(subpath)}, {"digest": digest})


def change(cvc: Secret) -> Call:
    """Replace the CVC."""
    return Call("change", sealed={"data": cvc.reveal()})
