"""Codes in pictures: drawn, photographed by software, read again; odd pictures are refused."""

import io
from pathlib import Path

import pytest
import segno
import zxingcpp
from PIL import Image, ImageFilter

from coordinator.errors import UsageError
from coordinator.interop import bbqr, qr_pictures

PARTS = bbqr.split(bytes(range(256)) * 4, "P", 224)


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def photographed(data: bytes) -> bytes:
    """Return a picture as a camera sees it: turned, from aside, blurred, on a grey table."""
    code = Image.open(io.BytesIO(data)).convert("L")
    table = Image.new("L", (code.width + 200, code.height + 200), 150)
    table.paste(code, (100, 100))
    wide, high = table.size
    tilted = table.transform(
        table.size,
        Image.Transform.QUAD,
        (0, 0, 20, high, wide - 30, high - 25, wide, 15),
        Image.Resampling.BILINEAR,
    )
    turned = tilted.rotate(17, Image.Resampling.BILINEAR, expand=True, fillcolor=150)
    return png(turned.filter(ImageFilter.GaussianBlur(1.5)))


def test_an_animation_holds_every_part() -> None:
    found = qr_pictures.codes(qr_pictures.drawn(PARTS, ".gif"), "payment.gif")
    assert sorted(found) == sorted(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_a_photograph_of_a_part_is_read(part: str) -> None:
    assert qr_pictures.codes(photographed(qr_pictures.drawn([part], ".png")), "photo.png") == [part]


def test_of_other_kinds_of_codes_nothing_is_taken() -> None:
    """A reader of every kind sees bar codes in the dots of some QR codes: 7 of 150 animations."""
    page = Image.new("L", (1_000, 1_000), 255)
    page.paste(Image.open(io.BytesIO(qr_pictures.drawn(PARTS[:1], ".png"))).convert("L"), (0, 200))
    bars = zxingcpp.create_barcode("9167", zxingcpp.BarcodeFormat.Code128)
    page.paste(Image.fromarray(bars.to_image(scale=3)), (20, 20))
    assert {code.text for code in zxingcpp.read_barcodes(page)} == {"9167", PARTS[0]}
    assert qr_pictures.codes(png(page), "page") == PARTS[:1]


def test_pictures_and_texts_come_together_in_any_order(tmp_path: Path) -> None:
    names = []
    for number, part in enumerate(reversed(PARTS)):
        file = tmp_path / f"{number}"
        file.write_bytes(
            part.encode() if number % 2 else photographed(qr_pictures.drawn([part], ".png"))
        )
        names.append(str(file))
    held = qr_pictures.read_files([*names, names[0]]).decode().split("\n")
    assert bbqr.joined(held).data == bytes(range(256)) * 4


def test_a_single_file_that_is_no_picture_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "payment.psbt"
    file.write_bytes(b"psbt\xff\x00\r\n ")
    assert qr_pictures.read_files([str(file)]) == b"psbt\xff\x00\r\n "


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_several_codes_do_not_go_into_one_still_picture(suffix: str) -> None:
    with pytest.raises(UsageError, match=r"codes do not go into one .*name a \.gif"):
        qr_pictures.drawn(PARTS, suffix)
    assert qr_pictures.drawn(PARTS[:1], suffix)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (png(Image.new("L", (40, 40), 255)), "no code can be read in x"),
        (b"\x89PNG\r\n\x1a\n" + b"junk" * 20, "x "),
        (qr_pictures.drawn(PARTS, ".gif")[:200], "x "),
        (b"GIF89a", "x "),
        (b"BM", "x "),
    ],
)
def test_a_picture_that_tells_nothing_is_refused_by_name(data: bytes, told: str) -> None:
    assert qr_pictures.is_picture(data)
    with pytest.raises(UsageError, match=told):
        qr_pictures.codes(data, "x")


@pytest.mark.parametrize("size", [(10_000, 6_000), (10_000, 10_000), (30_000, 20_000)])
def test_a_picture_of_too_many_points_is_refused_before_it_is_unpacked(
    size: tuple[int, int],
) -> None:
    huge = io.BytesIO()
    Image.new("1", size).save(huge, "PNG")
    with pytest.raises(UsageError, match="x has too many points; 50 million are the most"):
        qr_pictures.codes(huge.getvalue(), "x")


def pdf_of(pictures: list[Image.Image]) -> bytes:
    out = io.BytesIO()
    first, *others = pictures
    first.save(out, "PDF", save_all=True, append_images=others, resolution=100)
    return out.getvalue()


def code_of(text: str) -> Image.Image:
    out = io.BytesIO()
    segno.make_qr(text).save(out, kind="png", scale=4, border=4)
    return Image.open(out).convert("L")


def test_each_page_of_a_pdf_is_read() -> None:
    data = pdf_of([code_of("one"), Image.new("L", (50, 50), 255), code_of("two")])
    assert qr_pictures.codes(data, "it") == ["one", "two"]


def test_a_pdf_of_many_or_huge_pages_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qr_pictures, "PAGES_MAX", 2)
    with pytest.raises(UsageError, match="has 3 pages; 2 are read at most"):
        qr_pictures.codes(pdf_of([code_of(text) for text in "abc"]), "it")
    monkeypatch.setattr(qr_pictures, "PAGE_PIXELS_MAX", 40_000)
    (page,) = qr_pictures.pdf_pages(pdf_of([code_of("one").resize((2000, 2000))]), "it")
    assert page.width * page.height <= 41_000


@pytest.mark.parametrize("cut", [0, 4, 50, 400])
def test_a_torn_pdf_is_told_in_a_sentence(cut: int) -> None:
    with pytest.raises(UsageError):
        qr_pictures.codes(pdf_of([Image.new("L", (50, 50), 255)])[: 4 + cut], "it")
