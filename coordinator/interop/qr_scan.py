"""Codes seen one after the other, until they are a whole message: BBqr, UR, pMofN, or one alone.

Each is taken once, in any order; of what a camera sees besides nothing is taken.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from coordinator.errors import UsageError
from coordinator.interop import bbqr, fountain, pmofn, ur

CODE_MAX: Final = 8_192
"""More characters than any QR code holds."""
NAMED_MAX: Final = 20


class Place(NamedTuple):
    """Which code of how many this is, of the message with this head."""

    head: str
    number: int
    total: int


class Scan:
    """What is there of a message, and what is missing."""

    def __init__(self, fits: Callable[[bytes], bool] = lambda _: True) -> None:
        """Begin without any code; a single one is taken where it `fits` what is wanted."""
        self._fits = fits
        self._texts: dict[str, None] = {}
        self._places: dict[int, str] = {}
        self._head: str | None = None
        self._mixed: fountain.Decoder | None = None
        self.total = 0
        self.whole = False

    def take(self, text: str) -> bool:
        """Take what a code says; tells whether it brings the message on.

        Raises UsageError where it contradicts a code that was taken.
        """
        text = text.strip("\r\n")
        if self.whole or not text or len(text) > CODE_MAX or text in self._texts:
            return False
        place = _place(text)
        if place is None:
            return self._take_single(text)
        if self._head is not None and place.head != self._head:
            return False
        if min(place.number, place.total) < 1:
            return False
        taken = self._take_mixed(text) if _is_mixed(text) else self._take_numbered(text, place)
        if taken:
            self._head, self.total = place.head, place.total
            self._texts[text] = None
            self.whole = not self.missing
        return taken

    @property
    def missing(self) -> list[int]:
        """Return the numbers of the codes that are not there yet, from 1 on."""
        if self._mixed is not None:
            return self._mixed.missing
        return [number for number in range(1, self.total + 1) if number not in self._places]

    @property
    def told(self) -> str:
        """Return where it stands, for a person."""
        if self.whole:
            return f"all {self.total} codes are read" if self.total else "the code is read"
        if not self.total:
            return "hold the codes before the camera"
        missing = self.missing
        named = ", ".join(map(str, missing[:NAMED_MAX]))
        more = f" and {len(missing) - NAMED_MAX} more" if len(missing) > NAMED_MAX else ""
        return f"{self.total - len(missing)} of {self.total} codes, missing: {named}{more}"

    @property
    def data(self) -> bytes:
        """Return the codes taken, one a line, as they are read from files too."""
        return "\n".join(self._texts).encode("utf-8", "replace")

    def _take_single(self, text: str) -> bool:
        if self._texts or not self._fits(text.encode("utf-8", "replace")):
            return False
        self._texts[text] = None
        self.whole = True
        return True

    def _take_numbered(self, text: str, place: Place) -> bool:
        if place.number > place.total:
            return False
        if place.number in self._places:
            raise UsageError(
                f"code {place.number} of {place.total} was read twice, with different content:"
                " show the codes of one message alone"
            )
        self._places[place.number] = text
        return True

    def _take_mixed(self, text: str) -> bool:
        decoder = self._mixed or fountain.Decoder()
        decoder.take(ur.part_of(text.lower()))
        self._mixed = decoder
        return True


def _is_mixed(text: str) -> bool:
    return ur.MULTI.fullmatch(text.lower()) is not None


def _place(text: str) -> Place | None:
    """Return which part of what message a code is; None for one that stands alone."""
    if bbqr.is_part(text):
        number, total = int(text[6 : bbqr.HEADER], 36) + 1, int(text[4:6], 36)
        return Place(text[:6], number, total)
    lower = text.lower()
    if matched := ur.MULTI.fullmatch(lower):
        return Place(f"ur:{matched[1]} {matched[3]}", int(matched[2]), int(matched[3]))
    if matched := ur.MULTI_OF_1.fullmatch(lower):
        head = f"ur:{matched[1]} {matched[3]} {matched[4]}"
        return Place(head, int(matched[2]), int(matched[3]))
    if matched := pmofn.PART.fullmatch(text):
        return Place(f"of {matched[2]}", int(matched[1]), int(matched[2]))
    return None
