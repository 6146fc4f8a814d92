"""The pages of a PDF as pictures: a kit as it was written, or papers as a scanner keeps them.

Reading needs the extra `qr` (pypdfium2).
"""

import math
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from coordinator.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

MAGIC: Final = b"%PDF"
PAGES_MAX: Final = 100
DOTS_PER_POINT: Final = 200 / 72
PIXELS_MAX: Final = 10_000_000
"""Of one page; a larger one is drawn coarser."""
ONE_AT_A_TIME: Final = threading.Lock()
"""The engine keeps state that threads must not share."""


def pages(data: bytes, name: str) -> Iterator["Image"]:
    """Yield the pages of a PDF in grey; raises UsageError for what is none, or without a reader."""
    try:
        import pypdfium2  # noqa: PLC0415 -- an extra
    except ImportError as failure:
        raise UsageError(
            f"{name} is a PDF: reading its codes needs pip install 'cardquorum[qr]'; without it "
            "type its lines, or give a picture of each code"
        ) from failure
    try:
        with ONE_AT_A_TIME:
            document = pypdfium2.PdfDocument(data)
            count = len(document)
        if count > PAGES_MAX:
            raise UsageError(f"{name} has {count} pages; {PAGES_MAX} are read at most")
        for number in range(count):
            with ONE_AT_A_TIME:
                page = document[number]
                fitting = math.sqrt(PIXELS_MAX / max(1.0, page.get_width() * page.get_height()))
                bitmap = page.render(scale=min(DOTS_PER_POINT, fitting), grayscale=True)
                drawn = bitmap.to_pil().convert("L")
            yield drawn
    except pypdfium2.PdfiumError as failure:
        raise UsageError(f"{name} cannot be read as a PDF: {failure}") from failure
