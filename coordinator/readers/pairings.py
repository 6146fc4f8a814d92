"""What the home remembers of each card for its driver: pairings, one private file a card."""

import hashlib
from pathlib import Path

from coordinator.files import write_private

SUFFIX = ".memory"


class FolderMemory:
    """A card memory in a folder of the home; it is never part of a shared database."""

    def __init__(self, folder: Path) -> None:
        """Use this folder, which is made when first needed."""
        self._folder = folder

    def read(self, card_id: str) -> bytes | None:
        """Return what was kept of the card, or None."""
        try:
            return self._file(card_id).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, card_id: str, data: bytes) -> None:
        """Keep this of the card, whole or not at all."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._file(card_id), data)

    def forget(self, card_id: str) -> None:
        """Keep nothing of the card any more."""
        self._file(card_id).unlink(missing_ok=True)

    def _file(self, card_id: str) -> Path:
        """Name the file by a hash: what a card says of itself is no file name."""
        return self._folder / (hashlib.sha256(card_id.encode()).hexdigest() + SUFFIX)
