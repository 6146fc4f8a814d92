"""Codes before a camera: taken in any order, what is missing told, bounded, let go at Ctrl-C."""

import importlib
import io
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from coordinator.errors import UsageError
from coordinator.interop import bbqr, camera, pmofn, qr_pictures, ur
from coordinator.interop.camera import Scan
from tests.interop.test_qr_pictures import photographed, png

DATA = bytes(range(256)) * 4
BBQR = bbqr.split(DATA, "B", 224)
MESSAGE = ur.Message("bytes", b"\x59\x04\x00" + DATA)
UR = ur.split(MESSAGE, 150)
MIXED = ur.split(MESSAGE, 150, 40)[len(UR) :]
SPECTER = pmofn.split("psbt" * 100, 120)
EMPTY = Image.new("L", (400, 300), 200)
KINDS = {"bbqr": BBQR, "ur": UR, "fountain": MIXED, "pmofn": SPECTER}


def frame(text: str) -> Image.Image:
    """Return what a camera sees of a code on a screen: turned, from aside, blurred."""
    shown = photographed(qr_pictures.drawn([text], ".png"))
    return Image.open(io.BytesIO(shown))


def seen(scan: Scan, texts: Sequence[str | None]) -> list[str]:
    """Return what is told while a camera sees these codes, and nothing between them."""
    told: list[str] = []
    frames = (EMPTY if text is None else frame(text) for text in texts)
    camera.read_codes(scan, frames, told.append)
    return told


@pytest.mark.parametrize("parts", KINDS.values(), ids=KINDS)
def test_codes_come_in_any_order_and_again(parts: list[str]) -> None:
    scan = Scan()
    told = seen(scan, [parts[-1], None, parts[-1], *reversed(parts)])
    assert scan.whole
    assert told[-1] == f"all {scan.total} codes are read"
    assert told[0] == "hold the codes before the camera"
    assert f"of {scan.total} codes, missing: 1" in told[1] or parts is MIXED
    again = Scan()
    for text in scan.data.decode().split("\n"):
        again.take(text)
    assert again.whole


def test_a_message_is_what_files_of_its_codes_hold() -> None:
    scan = Scan()
    seen(scan, BBQR)
    assert bbqr.joined(scan.data.decode().split("\n")).data == DATA


def test_two_codes_in_one_frame_are_both_taken() -> None:
    left, right = (Image.open(io.BytesIO(qr_pictures.drawn([t], ".png"))) for t in BBQR[:2])
    wide = Image.new("L", (left.width + right.width + 80, max(left.height, right.height)), 255)
    wide.paste(left, (0, 0))
    wide.paste(right, (left.width + 80, 0))
    scan = Scan()
    for text in qr_pictures.texts_in(wide):
        assert scan.take(text)
    assert scan.missing == list(range(3, len(BBQR) + 1))


def test_what_lies_beside_is_not_taken() -> None:
    scan = Scan(fits=lambda data: data.startswith(b"wanted"))
    others = [
        "https://example.org",
        "B$ZP0000",
        "B$ZP0209AA",
        "p0of3 x",
        "p4of3 x",
        "",
        "x" * 9_000,
    ]
    assert not any(scan.take(text) for text in others)
    assert scan.take(BBQR[0])
    assert not scan.take("wanted, but too late")
    assert not any(scan.take(text) for text in (UR[0], SPECTER[0], bbqr.split(DATA, "P", 224)[0]))
    assert scan.take(BBQR[1])


def test_a_single_code_that_is_wanted_ends_it() -> None:
    scan = Scan(fits=lambda data: data.startswith(b"wanted"))
    assert seen(scan, ["not this", "wanted"])[-1] == "the code is read"
    assert scan.data == b"wanted"
    assert not scan.take("wanted too")


def test_codes_of_two_messages_that_look_alike_are_refused() -> None:
    scan = Scan()
    scan.take(BBQR[0])
    with pytest.raises(UsageError, match=r"code 1 of \d+ was read twice, with different content"):
        scan.take(BBQR[0][:-8] + "AAAAAAAA")


def test_a_long_list_of_what_is_missing_is_cut() -> None:
    scan = Scan()
    scan.take(ur.split(MESSAGE, 20)[0])
    assert "21 and" in scan.told
    assert len(scan.told) < 150


@pytest.mark.parametrize("every", [1.0, 30.0])
def test_a_camera_that_sees_nothing_new_ends_with_what_is_missing(every: float) -> None:
    scan, moments = Scan(), count(0.0, every)
    frames: Iterator[Image.Image] = (frame(BBQR[0]) if n < 2 else EMPTY for n in count())
    with pytest.raises(
        UsageError, match=r"no new code for \d+ seconds: 1 of \d+ codes, missing: 2"
    ):
        camera.read_codes(scan, frames, str, seconds=lambda: next(moments))


def test_frames_that_end_are_said() -> None:
    with pytest.raises(UsageError, match=r"the camera stopped: 1 of \d+ codes, missing: 2"):
        seen(Scan(), BBQR[:1])


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UsageError, match=r"a camera needs pip install 'cardquorum\[camera\]'"):
        next(camera.camera_frames(0))


class Recorder:
    """OpenCV as far as it is used, with a camera that gives these pictures and is let go."""

    error = RuntimeError

    def __init__(self, pictures_: Sequence[Any], *, opens: bool = True) -> None:
        self.given, self.opens, self.released = list(pictures_), opens, False

    def VideoCapture(self, _: object) -> "Recorder":  # noqa: N802 -- OpenCV's name
        return self

    def isOpened(self) -> bool:  # noqa: N802 -- OpenCV's name
        return self.opens

    def read(self) -> tuple[bool, Any]:
        found = self.given.pop(0) if self.given else None
        if isinstance(found, BaseException):
            raise found
        return found is not None, found

    def release(self) -> None:
        self.released = True


class Sized:
    def __init__(self, *shape: int) -> None:
        self.shape = shape


def test_a_camera_is_let_go_whatever_happens() -> None:
    for recorder, told in (
        (Recorder([], opens=False), "camera 0 cannot be opened"),
        (Recorder([RuntimeError("unplugged")]), "camera 0 fails: unplugged"),
        (Recorder([Sized(100_000, 100_000)]), "too many points"),
    ):
        with pytest.raises(UsageError, match=told):
            list(camera._frames(recorder, 0, "camera 0"))
        assert recorder.released
    interrupted = Recorder([Sized(3, 4), KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        list(camera._frames(interrupted, 0, "camera 0"))
    assert interrupted.released


def test_a_camera_that_gives_no_picture_ends() -> None:
    dark = Recorder([Sized(3, 4)])
    assert len(list(camera._frames(dark, 0, "camera 0"))) == 1
    assert dark.released


def test_a_recording_is_read_through_opencv(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="left out: OpenCV is not installed")
    array = pytest.importorskip("numpy").array
    film = str(tmp_path / "film.avi")
    shots = [frame(text).resize((640, 640)) for text in (*BBQR, BBQR[0])]
    writer = cv2.VideoWriter(film, cv2.VideoWriter_fourcc(*"MJPG"), 10, (640, 640), False)
    for shot in shots:
        writer.write(array(shot))
    writer.release()
    scan = Scan()
    camera.read_codes(scan, camera._frames(cv2, film, film), str)
    assert bbqr.joined(scan.data.decode().split("\n")).data == DATA


def test_no_picture_is_made_of_nothing() -> None:
    assert qr_pictures.texts_in(Image.open(io.BytesIO(png(EMPTY)))) == []
