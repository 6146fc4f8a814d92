"""What every card can do, and, one small protocol each, what some can do besides."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from cards.pin import Pin, Secret

Path = tuple[int, ...]
HARDENED = 0x80000000
DIGEST_SIZE = 32
SEED_SIZES = range(16, 65)
NO_PARENT = bytes(4)
UNTOLD_CHAIN_CODE = bytes(32)
"""Stands for the chain code of a key whose card tells the public key alone."""


class CardIdentity(NamedTuple):
    """What a card says of itself before any PIN.

    `card_id` is the same for ever; `attempts_left` of its PIN is None where the family does not
    count, `puk_attempts_left` also where it has no PUK, or tells nothing yet;
    `initialised` means that PIN and key are there, `has_pin` that the PIN is, printed or set.
    """

    card_id: str
    family: str
    version: str
    initialised: bool
    attempts_left: int | None
    has_pin: bool = True
    puk_attempts_left: int | None = None


class ExtendedKey(NamedTuple):
    """An extended public key as a card gives it (BIP 32): 33-byte key, 32-byte chain code."""

    public_key: bytes
    chain_code: bytes
    depth: int
    parent_fingerprint: bytes
    child_number: int


class Verdict(StrEnum):
    """How far a card proved to be genuine."""

    GENUINE = "genuine"
    TEST = "test"
    UNPROVEN = "unproven"
    FAILED = "failed"


class Attestation(NamedTuple):
    """A verdict and its reason in one sentence.

    `siblings` are the other cards of an active backup set, which carry the same keys.
    """

    result: Verdict
    reason: str
    siblings: int = 0


@runtime_checkable
class CardSession(Protocol):
    """A card that has been selected, and identified where it says who it is before its PIN."""

    family: str

    def identity(self) -> CardIdentity:
        """Return who the card is and how many PIN attempts it has left; needs no PIN."""

    def unlock(self, pin: Pin) -> None:
        """Present the PIN; raises PinIncorrect, PinDelayed or PinBlocked.

        Raises CardReset where its answer was lost and the card counts no attempts: then nobody
        knows whether it was refused, and it is not presented again here.
        """

    def xpub(self, path: Path) -> ExtendedKey:
        """Return the extended public key at `path` from the master key."""

    def sign(self, path: Path, digest: bytes) -> bytes:
        """Return r‖s (64 bytes, low S) over the 32-byte digest by the key at `path`."""

    def pause(self) -> None:
        """Let other programs have the card for a while, reset; it forgets what was unlocked.

        The next command takes it back, and raises WrongCard where another one lies there.
        """

    def close(self) -> None:
        """Forget what was unlocked and let go of the card; closing twice is allowed."""


@runtime_checkable
class Initialiser(Protocol):
    """A card whose PIN (and PUK) can be set while it is factory-fresh."""

    def initialise(self, secrets: Mapping[str, Secret]) -> None:
        """Set the named secrets (`pin`, `puk`, …); raises NotSupported if it is done already."""


@runtime_checkable
class SeedLoader(Protocol):
    """A card that takes a BIP 32 seed made elsewhere."""

    def load_seed(self, seed: Secret) -> None:
        """Load a seed of 16 to 64 bytes; refuses when the card has one."""

    def reset_seed(self, pin: Pin) -> None:
        """Erase the seed; the PIN stays."""


@runtime_checkable
class KeyGenerator(Protocol):
    """A card that makes its key itself."""

    def generate_key(self) -> None:
        """Make the master key on the card; refuses when the card has one."""


@runtime_checkable
class OriginTeller(Protocol):
    """A card that says itself where its key was made."""

    def made_its_key(self) -> bool:
        """Tell whether the key was made on a card, and never loaded into one.

        Needs the PIN of a card that has one; raises CardNotInitialised where there is no key.
        """


@runtime_checkable
class PinChanger(Protocol):
    """A card whose PIN can be changed."""

    def change_pin(self, old: Pin, new: Pin) -> None:
        """Replace the PIN; a wrong old PIN costs an attempt."""


@runtime_checkable
class PinUnblocker(Protocol):
    """A card whose blocked PIN can be freed with a PUK."""

    def unblock(self, puk: Secret, new: Pin | None) -> None:
        """Free the blocked PIN; `new` is the PIN afterwards where the card can take one.

        Raises PukIncorrect with the PUK attempts left, or PukBlocked once none is left.
        """


@runtime_checkable
class BatchSigner(Protocol):
    """A card that signs several digests of one path in one command."""

    def sign_batch(self, path: Path, digests: Sequence[bytes]) -> list[bytes]:
        """Return r‖s (64 bytes, low S) over each 32-byte digest, in order."""


@runtime_checkable
class SchnorrSigner(Protocol):
    """A card that signs as BIP 340 wants it."""

    def sign_schnorr(self, path: Path, digest: bytes, tweak: bytes) -> bytes:
        """Return 64 bytes over the digest by the key at `path` tweaked by 32 bytes (BIP 341).

        A tweak of zeros leaves the key as it is, as script paths need it.
        """


@runtime_checkable
class BackupExporter(Protocol):
    """A card that gives its key away encrypted, for a backup."""

    def backup(self) -> bytes:
        """Return the encrypted backup; the card must be unlocked."""


@runtime_checkable
class Labeller(Protocol):
    """A card that carries a text of its owner's."""

    def label(self) -> str:
        """Return the text on the card; needs the PIN where the family wants it."""

    def set_label(self, text: str) -> None:
        """Write the text on the card."""


@runtime_checkable
class Attester(Protocol):
    """A card that can prove to be its maker's."""

    def attest(self) -> Attestation:
        """Return the verdict; raises NotGenuine on a failed proof.

        Raises NotUnlocked where the proof needs the PIN first.
        """


@runtime_checkable
class EvidenceTaker(Protocol):
    """A card that is proved to the end only by a document its maker keeps elsewhere."""

    def take_evidence(self, document: bytes) -> None:
        """Keep what the maker says of this very card, for `attest`; needs the PIN.

        Raises NotEvidence for anything else, which is not kept.
        """


@runtime_checkable
class Pairer(Protocol):
    """A card that keeps a slot for each computer it is paired with."""

    def unpair(self) -> None:
        """Give this computer's slot back; needs the PIN."""


@runtime_checkable
class Resetter(Protocol):
    """A card that can be returned to its factory state."""

    def reset(self) -> None:
        """Erase PIN and key for good."""


def check_digest(digest: bytes) -> None:
    """Raise ValueError for anything but 32 bytes."""
    if len(digest) != DIGEST_SIZE:
        raise ValueError(f"a digest has {DIGEST_SIZE} bytes, not {len(digest)}")


def check_seed(seed: Secret) -> None:
    """Raise ValueError for anything but 16 to 64 bytes."""
    if len(seed) not in SEED_SIZES:
        raise ValueError(f"a seed has 16 to 64 bytes, not {len(seed)}")
