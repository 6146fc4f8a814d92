"""A TAPSIGNER as a card session."""

import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import cbor2

from cards.bip32 import PublicNode, fingerprint, public_child
from cards.errors import CardError, NotSupported, PathNotAvailable, PinDelayed, ProtocolError
from cards.family import CardMemory, Roots, Surroundings
from cards.pin import Pin, Secret
from cards.session import (
    HARDENED,
    NO_PARENT,
    Attestation,
    CardIdentity,
    ExtendedKey,
    Path,
    check_digest,
)
from cards.signature import verify
from cards.tapsigner import CVC, NAME, answers, attestation, commands
from cards.tapsigner.answers import UNSAVED, Nonces, Signed
from cards.tapsigner.link import Link
from cards.tapsigner.roots import ROOTS
from cards.tapsigner.wire import CHAIN_CODE, DEPTH_MAX, NONCE, SUBPATH_MAX
from cards.transport import CardTransport

DELAY_MAX: Final = 60
WAIT_REASON: Final = "the card makes everybody wait after wrong CVCs"
READINGS: Final = 3
Read = Callable[[], Path | None]


@dataclass(frozen=True)
class Loan:
    """The paths we set, the last of them perhaps in vain, and the one that was there before us."""

    ours: tuple[Path, ...]
    theirs: Path


class StoredPath:
    """What is known of the card's stored path."""

    def __init__(self, card_id: str, memory: CardMemory, found: Path | None) -> None:
        """Begin with the path found on the card, and the loan an earlier session left."""
        self._card_id = card_id
        self._memory = memory
        self.now = found
        self._loan = self._left_over(found)

    def confirm(self, read: Read) -> Path | None:
        """Read the path again and return it; what is to be put back is no garbled reading."""
        self.now = _agreed(self.now, read)
        if self._loan is None:
            self._loan = self._left_over(self.now)
        return self.now

    def about_to_be(self, path: Path) -> None:
        """Write down what is owed before the card is told; until it answers, nobody knows."""
        theirs = self._loan.theirs if self._loan else self.now
        perhaps: tuple[Path, ...] = ()  # which of ours the card may have now
        if self._loan is not None:
            perhaps = self._loan.ours if self.now is None else (self.now,)
        self.now = None
        if theirs is not None:
            ours = tuple(dict.fromkeys((path, *perhaps)))
            self._loan = Loan(ours, theirs)
            self._memory.write(self._card_id, cbor2.dumps([ours[0], theirs, *ours[1:]]))

    def owed(self, read: Read) -> Path | None:
        """Return the path to put back, where the card still has one of ours."""
        if self._loan is None:
            return None
        found, theirs = _agreed(self.now, read), self._loan.theirs
        return theirs if found in self._loan.ours and found != theirs else None

    def settle(self) -> None:
        """Owe nothing any more."""
        if self._loan is not None:
            self._loan = None
            self._memory.forget(self._card_id)

    def _left_over(self, found: Path | None) -> Loan | None:
        """Return the loan of a session that was cut off, if the card still has its path."""
        kept = self._memory.read(self._card_id)
        if kept is None:
            return None
        try:
            latest, theirs, *others = (answers.stored_path(path) for path in cbor2.loads(kept))
        except (cbor2.CBORDecodeError, TypeError, ValueError, RecursionError):
            return None
        ours = (latest, *others)
        return Loan(ours, theirs) if found in ours else None


def _agreed(expected: Path | None, read: Read) -> Path | None:
    """Return what two readings in a row agree on, as nothing signs what a card says of its path."""
    for _ in range(READINGS):
        found = read()
        if found == expected:
            return found
        expected = found
    raise ProtocolError("the card tells another stored path each time it is asked")


def open_session(transport: CardTransport, surroundings: Surroundings) -> "TapsignerSession":
    """Open the TAPSIGNER on a transport; raises StatusWordError where there is none."""
    return TapsignerSession(Link(transport, surroundings), surroundings)


class TapsignerSession:
    """A TAPSIGNER that has been selected and has proved its key."""

    family = NAME

    def __init__(self, link: Link, surroundings: Surroundings) -> None:
        self._link = link
        self._progress = surroundings.progress
        self._roots: Roots = surroundings.roots.get(NAME) or ROOTS
        self._stored = StoredPath(link.card_key.hex(), surroundings.memory, link.had_path)
        self._known: dict[Path, PublicNode] = {}

    def identity(self) -> CardIdentity:
        """Return who the card is: its own key; it counts wrong CVCs, but has no last one."""
        status = self._link.status()
        return CardIdentity(
            card_id=self._link.card_key.hex(),
            family=NAME,
            version=status.version,
            initialised=status.path is not None,
            attempts_left=None,
        )

    def initialise(self, secrets: Mapping[str, Secret]) -> None:
        """Prove the CVC printed on the card: a card without a key takes no other.

        One that does not know `wait` has it proved when it makes its key.
        """
        if self._link.status().path is not None:
            raise NotSupported(NAME, "being set up twice")
        self._prove(secrets["pin"])

    def unlock(self, pin: Pin) -> None:
        """Prove the CVC, and keep it for the commands to come; waits where the card wants it."""
        self._link.cvc.forget()
        proved = self._prove(pin)
        self._link.keep_cvc(pin, proved=proved)

    def generate_key(self) -> None:
        """Have the card make its key, and see that it took the chain code made here."""
        if self._link.status().path is not None:
            raise NotSupported(NAME, "a second key: it makes one in its life")
        chain_code = secrets.token_bytes(CHAIN_CODE)
        self._link.send(commands.new(chain_code))
        master = answers.parse_xpub(self._link.send(commands.MASTER_XPUB).fields)
        if master.chain_code != chain_code:
            raise ProtocolError("the card left out the chain code it was given; do not use it")
        self._stored.confirm(self._path)

    def change_pin(self, old: Pin, new: Pin) -> None:
        """Replace the CVC by one of 6 to 32 digits; refused before a backup was made."""
        self._refuse_chip("another CVC")
        if not self._link.status().backups:
            raise NotSupported(NAME, UNSAVED)
        CVC.check(new, "a new CVC")
        self._link.send_once(commands.change(new), old)
        if self._link.cvc.value is not None:
            self._link.keep_cvc(new)

    def backup(self) -> bytes:
        """Return the master key under the key printed on the card's back (AES-128-CTR)."""
        self._refuse_chip("a backup")
        return answers.parse_backup(self._link.send(commands.BACKUP).fields)

    def attest(self) -> Attestation:
        """Check the certificates up to a root, and a challenge; needs no CVC."""
        return attestation.attest(self._link, self._roots)

    def xpub(self, path: Path) -> ExtendedKey:
        """Return the extended public key at `path`.

        The card derives hardened steps and does not tell their parent: the parent fingerprint is
        zero there, as in the card's own xpub. Normal steps are derived here.
        """
        prefix, rest = _split(path)
        key = self._known.get(prefix) or self._derive(prefix)
        if not rest:
            return ExtendedKey(*key, len(path), NO_PARENT, path[-1] if path else 0)
        parent = _below(key, rest[:-1])
        return ExtendedKey(
            *_below(parent, rest[-1:]), len(path), fingerprint(parent.public_key), path[-1]
        )

    def sign(self, path: Path, digest: bytes) -> bytes:
        """Return r‖s by the key at `path`: one command where its account is the stored path."""
        check_digest(digest)
        prefix, rest = _split(path)
        if len(rest) > SUBPATH_MAX:
            raise PathNotAvailable(path)
        account = self._known.get(prefix) or self._derive(prefix)
        expected = _below(account, rest).public_key
        if self._stored.now != prefix:
            self._derive(prefix)
        signed = self._signed(rest, digest)
        if signed.public_key != expected:
            self._derive(prefix)
            signed = self._signed(rest, digest)
        if signed.public_key != expected or not verify(expected, digest, signed.signature):
            raise ProtocolError("the card's signature is not one of the key it derived")
        return signed.signature

    def pause(self) -> None:
        """Let other programs have the card for a while; it proves its key again after."""
        self._link.pause()

    def close(self) -> None:
        """Put back the path that was stored before, wipe the CVC and let go of the card.

        A path that another program has set since is left.
        """
        if self._link.cvc.value is not None:
            with contextlib.suppress(CardError):
                owed = self._stored.owed(self._path)
                if owed is not None:
                    self._link.send(commands.derive(owed, secrets.token_bytes(NONCE)))
                self._stored.settle()
            self._link.cvc.forget()
        self._known.clear()
        self._link.transport.close()

    def _prove(self, cvc: Secret) -> bool:
        """Present a CVC once and tell whether the card looked at it; a wait it wants comes first.

        One without a key has no other command than `wait`, which looks at no CVC before its end.
        """
        CVC.check_size(cvc, "a CVC")
        if self._stored.now is None:
            self._wait(self._link.status().delay)
        try:
            return self._present(cvc)
        except PinDelayed as delayed:
            self._wait(delayed.seconds)
            return self._present(cvc)

    def _present(self, cvc: Secret) -> bool:
        """Prove the CVC with a harmless command: `read`, or `wait` while there is no key.

        A card may know no `wait`: then `new` is the first command that looks at the CVC.
        """
        if self._stored.confirm(self._path) is None:
            try:
                self._link.send_once(commands.WAIT, cvc)
            except NotSupported:
                return False
            return True
        ours = secrets.token_bytes(NONCE)
        answer = self._link.send_once(commands.read(ours), cvc)
        answers.parse_read(answer.fields, answer.key, Nonces(answer.card_nonce, ours))
        return True

    def _wait(self, seconds: int) -> None:
        """Let the card count down; raises PinDelayed where it does not."""
        while seconds:
            if seconds > DELAY_MAX:
                raise PinDelayed(seconds)
            self._progress(WAIT_REASON, seconds)
            try:
                left = answers.parse_wait(self._link.ask(commands.WAIT).fields)
            except NotSupported:
                raise PinDelayed(seconds) from None
            if left >= seconds:
                raise PinDelayed(left)
            seconds = left

    def _derive(self, prefix: Path) -> PublicNode:
        """Store a hardened path and learn its key."""
        ours = secrets.token_bytes(NONCE)
        self._stored.about_to_be(prefix)
        answer = self._link.send(commands.derive(prefix, ours))
        derived = answers.parse_derive(answer.fields, Nonces(answer.card_nonce, ours))
        if self._known.setdefault(prefix, derived) != derived:
            raise ProtocolError("the card derived another key at the same path")
        self._stored.now = prefix
        return derived

    def _signed(self, subpath: Path, digest: bytes) -> Signed:
        return answers.parse_sign(self._link.send(commands.sign(subpath, digest)).fields)

    def _path(self) -> Path | None:
        return self._link.status().path

    def _refuse_chip(self, what: str) -> None:
        if self._link.product == answers.CHIP:
            why = "it is a SATSCHIP, whose key and CVC stay as they are"
            raise NotSupported(NAME, f"{what}: {why}")


def _split(path: Path) -> tuple[Path, Path]:
    """Return the hardened steps and the normal ones below them; raises PathNotAvailable."""
    normal = [step < HARDENED for step in path]
    depth = normal.index(True) if any(normal) else len(path)
    if depth > DEPTH_MAX or not all(normal[depth:]):
        raise PathNotAvailable(path)
    return path[:depth], path[depth:]


def _below(key: PublicNode, steps: Path) -> PublicNode:
    """Return the key that many normal steps below."""
    for step in steps:
        key = public_child(*key, step)
    return key
