"""A Satochip as a card session."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from secrets import token_bytes
from typing import Final

from coincurve import PublicKeyXOnly

from cards import signature
from cards.apdu import Command, Form
from cards.bip32 import PublicNode, fingerprint, path_bytes, public_child
from cards.errors import CardError, NotSupported, PathNotAvailable, ProtocolError, StatusWordError
from cards.family import Roots, Surroundings
from cards.pin import Pin, Secret
from cards.satochip import FAMILY, NAME, answers, attestation, commands
from cards.satochip.commands import CACHE_SIZE
from cards.satochip.link import Link
from cards.satochip.roots import ROOTS
from cards.satochip.wire import Sw
from cards.session import (
    DIGEST_SIZE,
    HARDENED,
    NO_PARENT,
    Attestation,
    CardIdentity,
    ExtendedKey,
    Path,
    check_digest,
    check_seed,
)
from cards.transport import CardTransport, PowerCycler, exchange, transmit

NEW_UNBLOCK: Final = (0, 16)
SPARE_CODE: Final = 16
SIGN_ATTEMPTS: Final = 2
ONE_COMMAND_RESET: Final = (0, 16)


class DerivationCache:
    """The path prefixes a card keeps: one object each, never evicted, named by four bytes.

    What was in it before this session is unknown until it has been wiped once.
    """

    def __init__(self) -> None:
        self._kept: dict[bytes, bytes] = {}

    def must_wipe(self, path: Path) -> bool:
        """Tell whether the path does not fit any more, or would find another path's object."""
        wanted = _objects(path)
        clash = any(self._kept.get(name, prefix) != prefix for name, prefix in wanted.items())
        return clash or len(self._kept | wanted) > CACHE_SIZE

    def derived(self, path: Path, *, wiped: bool) -> None:
        """Remember a path that was derived, after a wipe or without one."""
        self._kept = _objects(path) if wiped else self._kept | _objects(path)


def _objects(path: Path) -> dict[bytes, bytes]:
    """Return the prefixes of a path by the names the card gives them."""
    steps = path_bytes(path)
    prefixes = [steps[:end] for end in range(4, len(steps) + 1, 4)]
    return {hashlib.sha256(prefix).digest()[-4:]: prefix for prefix in prefixes}


def open_session(transport: CardTransport, surroundings: Surroundings) -> "SatochipSession":
    """Open the Satochip on a transport; raises StatusWordError where there is none."""
    chip = attestation.chip_name(transport)
    link = Link(transport, surroundings)
    kind = TaprootSession if "tr" in FAMILY.signs_at(link.version) else SatochipSession
    return kind(link, surroundings.roots.get(NAME) or ROOTS, chip)


class SatochipSession:
    """A Satochip that has been selected and identified."""

    family = NAME

    def __init__(self, link: Link, roots: Roots, chip: str | None) -> None:
        self._link = link
        self._roots = roots
        self._chip = chip
        self._known: dict[Path, PublicNode] = {}
        self._cache = DerivationCache()
        self._signing: tuple[Path, int] | None = None

    def identity(self) -> CardIdentity:
        """Return who the card is: its authentikey, and what its status says just now."""
        status = self._link.status()
        return CardIdentity(
            card_id=self._link.authentikey.hex(),
            family=NAME,
            version=status.version_text,
            initialised=status.setup_done and status.seeded,
            attempts_left=status.pin_tries if status.setup_done else None,
            has_pin=status.setup_done,
            puk_attempts_left=status.puk_tries if status.setup_done else None,
        )

    def initialise(self, secrets: Mapping[str, Secret]) -> None:
        """Set `pin` and `puk`, each of 4 to 16 bytes."""
        with Secret(token_bytes(SPARE_CODE)) as pin, Secret(token_bytes(SPARE_CODE)) as puk:
            self._link.send(commands.setup(secrets["pin"], secrets["puk"], pin, spare_puk=puk))

    def unlock(self, pin: Pin) -> None:
        """Present the PIN; a card that wants a second factor is refused before."""
        self._refuse_second_factor()
        self._link.log_in(pin)

    def load_seed(self, seed: Secret) -> None:
        """Load a seed of 16 to 64 bytes; raises NotSupported where there is one."""
        check_seed(seed)
        answer = self._link.send(commands.import_seed(seed))
        if answers.parse_authentikey(answer) != self._link.authentikey:
            raise ProtocolError("the card took the seed under another authentikey")

    def reset_seed(self, pin: Pin) -> None:
        """Erase the seed; the PIN stays, and has to be presented again."""
        self._refuse_second_factor()
        self._link.send_once(commands.reset_seed(pin))
        self._forget_keys()

    def change_pin(self, old: Pin, new: Pin) -> None:
        """Replace the PIN."""
        self._link.send_once(commands.change_pin(old, new))
        if self._link.pin.value is not None:
            self._link.pin.keep(new)

    def unblock(self, puk: Secret, new: Pin | None) -> None:
        """Free the blocked PIN; before 0.16 it is the old one, which `new` cannot replace."""
        if self._link.status().version >= NEW_UNBLOCK:
            self._link.send_once(commands.unblock_with_new_pin(puk, new))
            return
        if new is not None:
            raise NotSupported(NAME, "a new PIN while it is unblocked, the old one stays valid")
        self._link.send_once(commands.unblock_pin(puk))

    def label(self) -> str:
        """Return the text on the card; needs the PIN."""
        return answers.parse_label(self._link.send(commands.SHOW_LABEL))

    def set_label(self, text: str) -> None:
        """Write the text on the card, at most 64 bytes; needs the PIN."""
        self._link.send(commands.set_label(text.encode()))

    def attest(self) -> Attestation:
        """Check certificate, chain and challenge; needs the PIN."""
        return attestation.attest(self._link, self._roots, self._chip)

    def reset(self) -> None:
        """Erase PIN, seed and label for good; authentikey and certificate stay."""
        self._link.pin.forget()
        if self._link.status().version >= ONE_COMMAND_RESET:
            self._link.send(commands.FACTORY_RESET)
        else:
            self._signal_reset()
        self._forget_keys()

    def xpub(self, path: Path) -> ExtendedKey:
        """Return the extended public key at `path`; one more question tells its parent."""
        found = self._known.get(path) or self._derive(path)
        if not path:
            return ExtendedKey(*found, 0, NO_PARENT, 0)
        parent = self._known.get(path[:-1]) or self._derive(path[:-1])
        if path[-1] < HARDENED and found != public_child(*parent, path[-1]):
            raise ProtocolError("the card derived a key that is not its parent's child")
        return ExtendedKey(*found, len(path), fingerprint(parent.public_key), path[-1])

    def sign(self, path: Path, digest: bytes) -> bytes:
        """Return r‖s by the key at `path`: two commands, or one if that key signed before."""
        check_digest(digest)
        return self._signed(path, lambda: self._signature(path, digest))

    def _signed(self, path: Path, give: Callable[[], bytes | None]) -> bytes:
        """Return what the key at `path` signs, which is derived before unless it is in place."""
        for _ in range(SIGN_ATTEMPTS):
            if not self._signs_by(path):
                self._derive(path)
            signed = give()
            if signed is not None and self._signs_by(path):
                return signed
            self._signing = None
        raise ProtocolError("the card does not sign with the key it derived, not even asked twice")

    def pause(self) -> None:
        """Let other programs have the card for a while; it is found again by its authentikey."""
        self._link.pause()

    def close(self) -> None:
        """Log out, wipe the PIN and let go of the card."""
        if self._link.pin.value is not None:
            self._link.pin.forget()
            with contextlib.suppress(CardError):
                self._link.send(commands.LOGOUT_ALL)
        self._forget_keys()
        self._link.transport.close()

    def _derive(self, path: Path) -> PublicNode:
        """Make the key at `path` the one that signs; nothing signs until that has succeeded."""
        if len(path) > commands.DEPTH_MAX:
            raise PathNotAvailable(path)
        self._signing = None
        wipe = self._cache.must_wipe(path)
        try:
            answer = self._link.send(commands.extended_key(path, wipe_cache=wipe))
        except StatusWordError as refused:
            if refused.sw != Sw.NO_MEMORY_LEFT:
                raise
            wipe = True
            answer = self._link.send(commands.extended_key(path, wipe_cache=wipe))
        derived = answers.parse_extended_key(answer, self._link.authentikey)
        if self._known.setdefault(path, derived) != derived:
            raise ProtocolError("the card derived another key at the same path")
        self._cache.derived(path, wiped=wipe)
        self._signing = path, self._link.reopened
        return derived

    def _signs_by(self, path: Path) -> bool:
        """Tell whether the key derived last is this one, and nobody came between since.

        Up to 0.15 that key outlives its seed: only a derivation tells whether the seed is the same.
        """
        return self._signing == (path, self._link.reopened)

    def _signature(self, path: Path, digest: bytes) -> bytes | None:
        """Return a signature by the key at `path`, or None where another or no key signs."""
        der = self._asked_of_key(commands.sign_digest(digest))
        if der is None:
            return None
        signed = signature.compact_from_der(der)
        return signed if signature.verify(self._known[path].public_key, digest, signed) else None

    def _asked_of_key(self, command: Command) -> bytes | None:
        """Send what needs the key last derived; None where the card has lost it."""
        try:
            return self._link.send(command)
        except StatusWordError as refused:
            if refused.sw != Sw.INCORRECT_INITIALIZATION:
                raise
            return None

    def _signal_reset(self) -> None:
        """Send five signals, each alone in its power cycle; the card must count them down."""
        transport = self._link.transport
        if not isinstance(transport, PowerCycler):
            raise NotSupported(NAME, "a factory reset on a reader that cannot switch its power")
        # The signals are in clear and ask nobody's name: be sure of the card first.
        self._link.reopen_channel()
        for left in reversed(range(commands.RESET_SIGNALS)):
            transport.power_cycle()
            exchange(transport, commands.SELECT)
            answered = transmit(transport, commands.RESET_SIGNAL, Form.P3).sw
            if answered != Sw.RESET_SIGNAL + left:
                raise ProtocolError(
                    f"the card answers {answered:04X} with {left} reset signals left"
                )

    def _forget_keys(self) -> None:
        self._known.clear()
        self._cache = DerivationCache()
        self._signing = None

    def _refuse_second_factor(self) -> None:
        if self._link.status().second_factor:
            raise NotSupported(NAME, "signing here while its second factor (2FA) is on")


class TaprootSession(SatochipSession):
    """A Satochip of 0.14-0.5 or later, which signs as BIP 340 wants it with a key as it is."""

    def sign_schnorr(self, path: Path, digest: bytes, tweak: bytes) -> bytes:
        """Return 64 bytes by the key at `path`; it tweaks by a root alone, so zeros are wanted."""
        check_digest(digest)
        if tweak != bytes(DIGEST_SIZE):
            raise NotSupported(NAME, "a tweak that is given: it makes its own, of a Merkle root")
        return self._signed(path, lambda: self._schnorr(path, digest))

    def _schnorr(self, path: Path, digest: bytes) -> bytes | None:
        """Prepare the key, up to 0.15 needed for each signature, and sign; None where it is lost.

        A version that ignores the wish for the key as it is prepares another, which is refused.
        """
        prepared = self._asked_of_key(commands.PLAIN_KEY)
        if prepared is None:
            return None
        x = answers.parse_prepared_key(prepared, self._link.authentikey)
        if not self._signs_by(path):
            return None
        if x != self._known[path].public_key[1:]:
            raise NotSupported(NAME, f"signing with an untweaked key at {self._link.version}")
        data = self._asked_of_key(commands.sign_schnorr(digest))
        signed = None if data is None else answers.parse_schnorr(data)
        return signed if signed and PublicKeyXOnly(x).verify(signed, digest) else None
