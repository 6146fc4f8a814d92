"""QR codes in pictures: read from files that a scanner or a camera made, and drawn for one.

A PDF, a kit as it was written or papers as a scanner keeps them, is as many pictures as it has
pages. Reading needs the extra `qr` (zxing-cpp, pypdfium2).
"""

import io
import math
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

from coordinator import files
from coordinator.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
PDF: Final = b"%PDF"
MAGICS: Final = (*PICTURES, PDF)
WEBP: Final = (b"RIFF", b"WEBP")
PIXELS_MAX: Final = 50_000_000
FRAMES_MAX: Final = 2_000
PAGES_MAX: Final = 100
DOTS_PER_POINT: Final = 200 / 72
PAGE_PIXELS_MAX: Final = 10_000_000
"""A larger page is drawn coarser."""
ONE_AT_A_TIME: Final = threading.Lock()
"""The engine of PDFs keeps state that threads must not share."""
QUIET: Final = 4
SCALE: Final = 8
FRAME_MILLISECONDS: Final = 250
DRAWN: Final = (".png", ".svg", ".gif")


def is_picture(data: bytes) -> bool:
    """Tell whether bytes are a picture of a kind that is read, or pages with pictures."""
    return data.startswith(MAGICS) or (data[:4], data[8:12]) == WEBP


def read_files(names: Sequence[str]) -> bytes:
    """Return what files hold together: one as it is, pictures and several as lines of text.

    Raises UsageError where one cannot be read, or a picture has no code that can be.
    """
    read = [(name, files.read_named(name)) for name in names]
    if len(read) == 1 and not is_picture(read[0][1]):
        return read[0][1]
    lines: list[bytes] = []
    for name, data in read:
        if is_picture(data):
            lines += [text.encode() for text in codes(data, name)]
        else:
            lines.append(data.strip())
    return b"\n".join(dict.fromkeys(lines))


def codes(data: bytes, name: str) -> list[str]:
    """Return the texts of the codes in a picture, of every frame or page, each once.

    Raises UsageError.
    """
    found: dict[str, None] = {}
    frames = pdf_pages if data.startswith(PDF) else _frames
    for frame in frames(data, name):
        found |= dict.fromkeys(texts_in(frame, name))
    if not found:
        raise UsageError(f"no code can be read in {name}: take it nearer, flat and sharp")
    return list(found)


def texts_in(frame: object, name: str = "it") -> list[str]:
    """Return the texts of the QR codes in a single frame, as Pillow or OpenCV has it.

    Raises UsageError without zxing-cpp.
    """
    try:
        import zxingcpp  # noqa: PLC0415 -- an extra
    except ImportError as failure:
        raise UsageError(
            f"{name} is a picture: reading its codes needs pip install 'cardquorum[qr]'"
        ) from failure
    # In the dots of a QR code a reader of every kind also sees short bar codes.
    only = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
    return [code.text for code in zxingcpp.read_barcodes(frame, formats=only)]


def pdf_pages(data: bytes, name: str) -> Iterator["Image"]:
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
                fitting = math.sqrt(
                    PAGE_PIXELS_MAX / max(1.0, page.get_width() * page.get_height())
                )
                bitmap = page.render(scale=min(DOTS_PER_POINT, fitting), grayscale=True)
                drawn = bitmap.to_pil().convert("L")
            yield drawn
    except pypdfium2.PdfiumError as failure:
        raise UsageError(f"{name} cannot be read as a PDF: {failure}") from failure


def _frames(data: bytes, name: str) -> Iterator["Image"]:
    """Yield the frames of a picture in grey, bounded in size and number."""
    from PIL import Image, ImageSequence, UnidentifiedImageError  # noqa: PLC0415 -- costs 30 ms

    too_large = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with _quietly():
            picture = Image.open(io.BytesIO(data))
        with picture:
            if picture.width * picture.height > PIXELS_MAX:
                raise Image.DecompressionBombError
            frames = ImageSequence.Iterator(picture)
            for number in count():
                with _quietly():
                    frame = next(frames, None)
                    grey = None if frame is None else frame.convert("L")
                if grey is None:
                    return
                if number >= FRAMES_MAX:
                    raise UsageError(f"{name} has more than {FRAMES_MAX} frames")
                yield grey
    except too_large as failure:
        raise UsageError(
            f"{name} has too many points; {PIXELS_MAX // 1_000_000} million are the most"
        ) from failure
    except UnidentifiedImageError as failure:
        raise UsageError(f"{name} cannot be read as a picture: it is none, or damaged") from failure
    except (OSError, SyntaxError) as failure:
        raise UsageError(f"{name} cannot be read as a picture: {failure}") from failure
    except (ValueError, EOFError, IndexError, OverflowError) as failure:
        raise UsageError(f"{name} is no whole picture") from failure


@contextmanager
def _quietly() -> Iterator[None]:
    """Have Pillow refuse a picture of too many points, and warn of nothing else."""
    from PIL import Image  # noqa: PLC0415 -- costs 30 ms

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def drawn(parts: Sequence[str], suffix: str) -> bytes:
    """Return codes as a picture: a GIF of as many frames, else a single one as PNG or SVG.

    Raises UsageError where there are too many for the kind.
    """
    import segno  # noqa: PLC0415 -- drawn seldom

    if suffix not in DRAWN:
        raise UsageError(f"unknown kind of picture {suffix!r}; expected one of {', '.join(DRAWN)}")
    made = [segno.make_qr(part, error="l", boost_error=False) for part in parts]
    out = io.BytesIO()
    if suffix == ".gif":
        from PIL import Image  # noqa: PLC0415 -- as above

        version = max(int(code.version) for code in made)
        same = [segno.make_qr(p, error="l", boost_error=False, version=version) for p in parts]
        frames = []
        for code in same:
            single = io.BytesIO()
            code.save(single, kind="png", scale=SCALE, border=QUIET)
            frames.append(Image.open(single).convert("1"))
        frames[0].save(
            out,
            "GIF",
            save_all=True,
            append_images=frames[1:],
            duration=FRAME_MILLISECONDS,
            loop=0,
        )
        return out.getvalue()
    if len(made) > 1:
        raise UsageError(f"{len(made)} codes do not go into one {suffix} picture: name a .gif")
    made[0].save(out, kind=suffix[1:], scale=SCALE, border=QUIET)
    return out.getvalue()
