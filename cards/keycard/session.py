"""A Keycard as a card session."""

import contextlib
from collections.abc import Mapping
from secrets import token_bytes
from typing import Final

from coincurve import PrivateKey, PublicKeyXOnly

from cards import signature
from cards.apdu import Command
from cards.bip32 import PublicNode, fingerprint, master_key, public_child
from cards.errors import (
    CardError,
    CardNotInitialised,
    NotSupported,
    PathNotAvailable,
    ProtocolError,
    PukBlocked,
    StatusWordError,
)
from cards.family import Roots, Surroundings
from cards.keycard import NAME, PIN, answers, attestation, channel, commands
from cards.keycard.answers import SignedBy
from cards.keycard.channel import IV, shared_x
from cards.keycard.link import Link
from cards.keycard.roots import ROOTS
from cards.keycard.wire import Sw, cbc_encrypt
from cards.pin import Pin, Secret
from cards.session import (
    DIGEST_SIZE,
    HARDENED,
    NO_PARENT,
    UNTOLD_CHAIN_CODE,
    Attestation,
    CardIdentity,
    ExtendedKey,
    Path,
    check_digest,
    check_seed,
)
from cards.transport import CardTransport, exchange

ANY_SEED: Final = (3, 2)
ONE_SEED_SIZE: Final = 64
PROBE: Final = (0,)


def open_session(transport: CardTransport, surroundings: Surroundings) -> "KeycardSession":
    """Open the Keycard on a transport; raises StatusWordError where there is none."""
    link = Link(transport, surroundings)
    roots = surroundings.roots.get(NAME) or ROOTS
    kind = TaprootSession if link.application.certified else KeycardSession
    return kind(link, roots)


class KeycardSession:
    """A Keycard that has been selected and identified."""

    family = NAME

    def __init__(self, link: Link, roots: Roots) -> None:
        self._link = link
        self._roots = roots
        self._keys: dict[Path, bytes] = {}
        self._nodes: dict[Path, PublicNode] = {}

    def identity(self) -> CardIdentity:
        """Return who the card is, and what its status says just now, if it may be paired with."""
        status, application = None, self._link.application
        if application.initialised and self._link.may_open():
            with contextlib.suppress(CardNotInitialised):
                status = self._link.status()
            application = application._replace(has_key=status is not None and status.has_key)
        version = application.version
        return CardIdentity(
            card_id=self._link.card_id,
            family=NAME,
            version="3.x" if version is None else "{}.{}".format(*version),
            initialised=application.initialised and application.has_key,
            attempts_left=None if status is None else status.pin_tries,
            has_pin=status is not None,
            puk_attempts_left=None if status is None else status.puk_tries,
        )

    def initialise(self, secrets: Mapping[str, Secret]) -> None:
        """Set `pin` (6 digits) and `puk` (12), and if given `duress` and `pairing`."""
        if self._link.select_again().initialised:
            raise NotSupported(NAME, "being set up twice")
        if self._link.application.certified:
            self._link.send_once(commands.init_in_channel(commands.credentials(secrets)))
            self._link.select_again()
            return
        shared = channel.secret_from(secrets.get("pairing"))
        # INIT of 3.x is encrypted once, to the key of the last SELECT.
        ephemeral, iv = PrivateKey(), token_bytes(IV)
        key = shared_x(ephemeral, self._link.application.point)
        ciphertext = cbc_encrypt(key, iv, commands.credentials(secrets, shared))
        point = ephemeral.public_key.format(compressed=False)
        exchange(self._link.transport, commands.init(point, iv, ciphertext))
        self._link.select_again()
        if not self._link.pair(shared):
            raise ProtocolError("the card took another pairing password than the one it was given")

    def unlock(self, pin: Pin) -> None:
        """Present the PIN; one that is not 6 digits never reaches the card."""
        self._link.pin.forget()
        commands.digits(pin, PIN)
        self._link.log_in(pin)

    def generate_key(self) -> None:
        """Make the master key on the card; raises NotSupported where there is one."""
        self._refuse_second_key()
        self._link.send(commands.GENERATE_KEY)
        self._forget_keys()

    def load_seed(self, seed: Secret) -> None:
        """Load a seed of 16 to 64 bytes, and compare one key below with what BIP 32 makes of it.

        Raises NotSupported where there is a key, ProtocolError where the card derives others.
        """
        check_seed(seed)
        self._refuse_second_key()
        secret, chain_code = master_key(seed.reveal())
        key = PrivateKey(secret)
        version = self._link.application.version or ANY_SEED
        if len(seed) == ONE_SEED_SIZE or version >= ANY_SEED:
            self._link.send(commands.load_seed(seed))
        else:
            self._link.send(commands.load_extended_key(key.secret, chain_code))
        self._forget_keys()
        if self._extended(PROBE) != public_child(key.public_key.format(), chain_code, *PROBE):
            self._link.send(commands.REMOVE_KEY)
            self._forget_keys()
            raise ProtocolError(
                "the card derives other keys than its seed's: is this its duress PIN?"
            )

    def reset_seed(self, pin: Pin) -> None:
        """Erase the key; the PIN stays."""
        self.unlock(pin)
        self._link.send(commands.REMOVE_KEY)
        self._forget_keys()

    def change_pin(self, old: Pin, new: Pin) -> None:
        """Replace the PIN; the old one is presented first."""
        command = commands.change_pin(new)
        self.unlock(old)
        self._link.send_once(command)
        self._link.pin.keep(new)

    def unblock(self, puk: Secret, new: Pin | None) -> None:
        """Free the blocked PIN, which is `new` from then on."""
        if new is None:
            raise NotSupported(NAME, "being unblocked without a new PIN")
        command = commands.unblock_pin(puk, new)
        status = self._link.status()
        if not status.pin_tries and not status.puk_tries:
            raise PukBlocked("the card allows no more attempts at its PUK")
        self._link.pin.forget()
        self._link.send_once(command)
        self._link.pin.keep(new)

    def unpair(self) -> None:
        """Give the slot back that this card keeps for us; needs the PIN."""
        kept = self._link.kept_pairing()
        if kept is not None:
            self._link.send(commands.unpair(kept.slot))
            self._link.forget_pairing()

    def attest(self) -> Attestation:
        """Check the maker's signature and a fresh proof; needs no PIN."""
        proven = self._link.prove()
        if proven is None:
            return attestation.NO_CERTIFICATE
        return attestation.judged(proven, self._roots)

    def reset(self) -> None:
        """Erase PIN, key and pairings for good; needs no PIN."""
        self._link.pin.forget()
        self._forget_keys()
        self._link.select_again()
        exchange(self._link.transport, commands.FACTORY_RESET)
        self._link.forget_pairing()
        self._link.select_again()

    def xpub(self, path: Path) -> ExtendedKey:
        """Return the extended public key at `path`; the master's chain code is not told."""
        _check_depth(path)
        if not path:
            return ExtendedKey(self._public(path), UNTOLD_CHAIN_CODE, 0, NO_PARENT, 0)
        found = self._extended(path)
        parent = self._public(path[:-1])
        above = self._nodes.get(path[:-1])
        if path[-1] < HARDENED and above and found != public_child(*above, path[-1]):
            raise ProtocolError("the card derived a key that is not its parent's child")
        return ExtendedKey(*found, len(path), fingerprint(parent), path[-1])

    def sign(self, path: Path, digest: bytes) -> bytes:
        """Return r‖s by the key at `path`, in one command."""
        check_digest(digest)
        _check_depth(path)
        signed = answers.parse_signature(self._link.send(commands.sign(path, digest)))
        self._expect_key(path, signed)
        if not signature.verify(signed.public_key, digest, signed.signature):
            raise ProtocolError("the card's signature does not verify under its key")
        return signed.signature

    def pause(self) -> None:
        """Let other programs have the card for a while; it is selected and known again after."""
        self._link.pause()

    def close(self) -> None:
        """Lock the card, wipe the PIN and let go of the card."""
        if self._link.pin.value is not None:
            self._link.pin.forget()
            with contextlib.suppress(CardError):
                self._link.select_again()
        self._forget_keys()
        self._link.transport.close()

    def _refuse_second_key(self) -> None:
        if self._link.status().has_key:
            raise NotSupported(NAME, "a second key")

    def _public(self, path: Path) -> bytes:
        """Return the compressed key at a path."""
        if path not in self._keys:
            answer = self._exported(commands.export_public(path), path)
            self._keys[path] = answers.parse_public_key(answer)
        return self._keys[path]

    def _extended(self, path: Path) -> PublicNode:
        """Return the node at a path other than the master's."""
        if path not in self._nodes:
            answer = self._exported(commands.export_extended(path), path)
            found = answers.parse_extended_key(answer)
            if self._keys.setdefault(path, found.public_key) != found.public_key:
                raise ProtocolError("the card derived another key at the same path")
            self._nodes[path] = found
        return self._nodes[path]

    def _exported(self, command: Command, path: Path) -> bytes:
        try:
            return self._link.send(command)
        except StatusWordError as refused:
            if refused.sw != Sw.CONDITIONS:
                raise
            raise PathNotAvailable(path) from None

    def _expect_key(self, path: Path, signed: SignedBy) -> None:
        if self._keys.setdefault(path, signed.public_key) != signed.public_key:
            raise ProtocolError("the card signed with another key than before")

    def _forget_keys(self) -> None:
        self._keys.clear()
        self._nodes.clear()


class TaprootSession(KeycardSession):
    """A Keycard of 4.0 or later, which signs as BIP 340 wants it besides."""

    def sign_schnorr(self, path: Path, digest: bytes, tweak: bytes) -> bytes:
        """Return 64 bytes by the key at `path`, tweaked; a tweak of zeros leaves it as it is."""
        check_digest(digest)
        _check_depth(path)
        if len(tweak) != DIGEST_SIZE:
            raise ValueError(f"a tweak has {DIGEST_SIZE} bytes, not {len(tweak)}")
        answer = self._link.send(commands.sign_schnorr(path, digest, tweak))
        signed = answers.parse_schnorr(answer)
        self._expect_key(path, signed)
        key = PublicKeyXOnly(signed.public_key[1:])
        if any(tweak):
            key.tweak_add(tweak)
        if not key.verify(signed.signature, digest):
            raise ProtocolError("the card's signature does not verify under its tweaked key")
        return signed.signature


def _check_depth(path: Path) -> None:
    if len(path) > commands.DEPTH_MAX:
        raise PathNotAvailable(path)
