"""What a form brings: a text that was pasted or read by the camera, a file, codes in a picture."""

import base64
import binascii
from collections.abc import Mapping

from coordinator.errors import UsageError
from coordinator.files import SIZE_MAX
from coordinator.interop import qr_pictures


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
    if len(data) > SIZE_MAX:
        raise UsageError(f"the file is larger than {SIZE_MAX // 2**20} MiB")
    if qr_pictures.is_picture(data):
        return "\n".join(qr_pictures.codes(data, "the picture")).encode()
    return data
