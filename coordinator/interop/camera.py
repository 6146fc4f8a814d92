"""QR codes before a camera: its frames from OpenCV, read by zxing-cpp, until a message is whole.

Needs the extra `camera`. Any frames can take the camera's place.
"""

import importlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from coordinator.errors import UsageError
from coordinator.interop import qr_pictures
from coordinator.interop.qr_scan import Scan

Frames = Iterable[Any]
"""Pictures as zxing-cpp takes them: arrays of OpenCV, or of Pillow."""
IDLE_SECONDS: Final = 60
SECONDS_MAX: Final = 900
DARK_MAX: Final = 50
"""How many frames in a row a camera may fail to give."""
DEVICE_MAX: Final = 63
EXTRA: Final = "a camera needs pip install 'cardquorum[camera]'"


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
