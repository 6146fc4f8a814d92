"""QR codes before a camera: its frames from OpenCV, read by zxing-cpp, until a message is whole.

A message is BBQr, UR, pMofN, or one code alone. Each code is taken once, in any order; of what a
camera sees besides nothing is taken. Needs the extra `camera`; any frames can take its place.
"""

import importlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from coordinator.errors import UsageError
from coordinator.interop import bbqr, fountain, pmofn, qr_pictures, ur

Frames = Iterable[Any]
"""Pictures as zxing-cpp takes them: arrays of OpenCV, or of Pillow."""
IDLE_SECONDS: Final = 60
SECONDS_MAX: Final = 900
DARK_MAX: Final = 50
"""How many frames in a row a camera may fail to give."""
CODE_MAX: Final = 8_192
"""More characters than any QR code holds."""
NAMED_MAX: Final = 20
EXTRA: Final = "a camera needs pip install 'cardquorum[camera]'"


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
            self.whole = not self._texts and self._fits(text.encode("utf-8", "replace"))
            if self.whole:
                self._texts[text] = None
            return self.whole
        if self._head not in (None, place.head) or min(place.number, place.total) < 1:
            return False
        if ur.MULTI.fullmatch(text.lower()):
            decoder = self._mixed or fountain.Decoder()
            decoder.take(ur.part_of(text.lower()))
            self._mixed = decoder
        elif place.number > place.total:
            return False
        elif place.number in self._places:
            raise UsageError(
                f"code {place.number} of {place.total} was read twice, with different content:"
                " show the codes of one message alone"
            )
        else:
            self._places[place.number] = text
        self._head, self.total = place.head, place.total
        self._texts[text] = None
        self.whole = not self.missing
        return True

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


def read_codes(
    scan: Scan,
    frames: Frames,
    tell: Callable[[str], object],
    *,
    seconds: Callable[[], float] = time.monotonic,
) -> bytes:
    """Return the codes of a message, read from frame after frame; tells what is missing.

    Raises UsageError where for a minute no code came that belongs to it, or the frames end.
    """
    began = latest = seconds()
    tell(scan.told)
    for frame in frames:
        now, before = seconds(), scan.told
        for text in qr_pictures.texts_in(frame):
            latest = now if scan.take(text) else latest
        if scan.told != before:
            tell(scan.told)
        if scan.whole:
            return scan.data
        if now - latest > IDLE_SECONDS or now - began > SECONDS_MAX:
            waited = f"no new code for {now - latest:.0f} seconds"
            raise UsageError(f"{waited}: {scan.told}; show them nearer, sharp and not too fast")
    raise UsageError(f"the camera stopped: {scan.told}")


def camera_frames(device: int) -> Iterator[Any]:
    """Yield what a camera sees; it is let go in any case. Raises UsageError."""
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as failure:
        raise UsageError(EXTRA) from failure
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return _frames(cv2, device, f"camera {device}")


def _frames(cv2: Any, source: int | str, name: str) -> Iterator[Any]:  # noqa: ANN401 -- untyped
    """Yield the frames of a camera, or of a recording by its name."""
    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            raise UsageError(f"{name} cannot be opened: is it there, and used by nothing else?")
        dark = 0
        while dark < DARK_MAX:
            given, frame = capture.read()
            if not given:
                dark += 1
                continue
            dark = 0
            if frame.shape[0] * frame.shape[1] > qr_pictures.PIXELS_MAX:
                raise UsageError(f"{name} gives pictures of too many points")
            yield frame
    except cv2.error as failure:
        raise UsageError(f"{name} fails: {str(failure)[:200]}") from failure
    finally:
        capture.release()


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
