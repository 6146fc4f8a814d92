"""What a form brings: a text that was pasted or read by the camera, a file, codes in a picture."""

import base64
import binascii
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Final

from coordinator.errors import UsageError
from coordinator.files import about
from coordinator.interop import qr_pictures
from coordinator.shown_text import visible

FILE_MAX: Final = 20 * 1024 * 1024
"""Of a file in bytes: a form that carries it is a half longer at most (`gate.BODY_MAX`)."""
NAME_MAX: Final = 80


def typed(form: Mapping[str, str]) -> dict[str, str]:
    """Return what a form is filled with once more: a file has to be chosen again."""
    return {name: value for name, value in form.items() if name != "file"}


def named(form: Mapping[str, str]) -> AbstractContextManager[None]:
    """Have whatever is refused within say which file it is about; what was pasted has no name."""
    return about(_name(form))


def _name(form: Mapping[str, str]) -> str | None:
    """Return what messages call the file that was chosen, as its browser did."""
    name = visible(form.get("called", "").strip())
    if not form.get("file") or not name:
        return None
    half = NAME_MAX // 2
    return f"the file “{name if len(name) <= NAME_MAX else f'{name[:half]}…{name[-half:]}'}”"


def given(form: Mapping[str, str]) -> bytes:
    """Return what was pasted or chosen; raises UsageError where it is nothing that can be read."""
    text, chosen = form.get("text", "").strip(), form.get("file", "")
    if not chosen:
        if not text:
            raise UsageError("nothing was chosen or pasted")
        return text.encode("utf-8", "replace")
    try:
        data = base64.b64decode(chosen, validate=True)
    except (binascii.Error, ValueError) as failure:
        raise UsageError("the file did not arrive whole") from failure
    if len(data) > FILE_MAX:
        raise UsageError(f"the file is larger than {FILE_MAX // 2**20} MiB")
    if qr_pictures.is_picture(data):
        return "\n".join(qr_pictures.codes(data, _name(form) or "the picture")).encode()
    return data
