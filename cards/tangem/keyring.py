"""The keys a card showed, and how far they bore each other out."""

from collections.abc import Callable

from cards.bip32 import fingerprint, public_child
from cards.errors import PathNotAvailable, ProtocolError
from cards.session import HARDENED, ExtendedKey, Path
from cards.tangem.answers import Key
from cards.tangem.commands import DEPTH_MAX

NO_PARENT = bytes(4)


class Keyring:
    """Public keys by path; one is certain once a relative or a signature has borne it out."""

    def __init__(self, read: Callable[[Path], Key]) -> None:
        """Begin with nothing read; `read` asks the card."""
        self._read = read
        self._known: dict[Path, Key] = {}
        self._certain: set[Path] = set()

    def extended(self, path: Path) -> ExtendedKey:
        """Return the extended public key at a path; its parent or its child bears witness."""
        found = self._key(path)
        if path and path[-1] < HARDENED:
            self._compare(path[:-1], path)
        elif path not in self._certain:
            self._compare(path, (*path, 0))
        self._certain.add(path)
        if not path:
            return ExtendedKey(*found, 0, NO_PARENT, 0)
        parent = self._key(path[:-1]).public_key
        return ExtendedKey(*found, len(path), fingerprint(parent), path[-1])

    def public_key(self, path: Path) -> bytes:
        """Return the key that signs at a path, computed here where its parent is certain."""
        above = path[:-1]
        computable = path and path[-1] < HARDENED and above in self._certain
        if path in self._known or not computable:
            return self._key(path).public_key
        return public_child(*self._known[above], path[-1])[0]

    def signed(self, path: Path) -> None:
        """Hear that the key at a path signed."""
        if path in self._known:
            self._certain.add(path)

    def failed(self, path: Path) -> None:
        """Hear that another key signed; one that was never certain is read again next time."""
        if path not in self._certain:
            self._known.pop(path, None)

    def forget(self) -> None:
        """Forget every key."""
        self._known.clear()
        self._certain.clear()

    def _key(self, path: Path) -> Key:
        if len(path) > DEPTH_MAX:
            raise PathNotAvailable(path)
        if path not in self._known:
            self._known[path] = self._read(path)
        return self._known[path]

    def _compare(self, parent: Path, child: Path) -> None:
        """Refuse keys that do not follow from each other; neither is believed any more."""
        above, below = self._key(parent), self._key(child)
        try:
            follows = below == public_child(*above, child[-1])
        except ValueError:
            follows = False
        if not follows:
            self._known.pop(parent, None)
            self._known.pop(child, None)
            raise ProtocolError("the card showed a key that is not its parent's child")
