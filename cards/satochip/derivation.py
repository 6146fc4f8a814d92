"""What is known of a card's derivation cache, so that it is wiped in time and never too early."""

import hashlib

from cards.satochip.commands import CACHE_SIZE, encode_path
from cards.session import Path


class DerivationCache:
    """The path prefixes a card keeps: one object each, never evicted, named by four bytes.

    What was in it before this session is unknown until it has been wiped once.
    """

    def __init__(self) -> None:
        """Begin with a cache nobody knows."""
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
    steps = encode_path(path)
    prefixes = [steps[:end] for end in range(4, len(steps) + 1, 4)]
    return {hashlib.sha256(prefix).digest()[-4:]: prefix for prefix in prefixes}
