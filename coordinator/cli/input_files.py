"""What a person hands over: files, pictures of codes, standard input, or codes before a camera."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Annotated

import typer

from coordinator.errors import UsageError
from coordinator.files import about

Camera = Annotated[bool, typer.Option("--camera", help="read the QR codes by a camera")]
Device = Annotated[int, typer.Option(min=0, max=63, help="which camera, from 0 on", metavar="N")]


def read(
    files: Sequence[str] | None,
    *,
    camera: bool,
    device: int = 0,
    fits: Callable[[bytes], bool] = lambda _: True,
) -> bytes:
    """Return what files hold together, or the codes that a camera sees, one a line.

    Of codes that stand alone one is taken that `fits`. Raises UsageError.
    """
    from coordinator.interop import qr_pictures

    if camera and files:
        raise UsageError("--camera and FILE: give one of them")
    if not camera and not files:
        raise UsageError("nothing is given: name a FILE, - for standard input, or add --camera")
    if files:
        return qr_pictures.read_files(files)
    from coordinator.cli import terminal
    from coordinator.interop.camera import Scan, camera_frames, read_codes

    scan = Scan(fits)
    frames = camera_frames(device)
    try:
        return read_codes(scan, frames, lambda told: terminal.tell(told, "\r"))
    finally:
        terminal.clear_line()
        terminal.tell(scan.told)


def name(files: Sequence[str] | None) -> str:
    """Return what messages call it."""
    return " ".join(files) if files else "what the camera saw"


def named(files: Sequence[str] | None) -> AbstractContextManager[None]:
    """Have whatever is refused within say which file it is about (`failures.explain`).

    What was typed or seen by a camera has no name.
    """
    return about(name(files) if files and list(files) != ["-"] else None)
