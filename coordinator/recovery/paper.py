"""The recovery kit on paper: all that brings a vault back, and nothing that could spend it."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import segno
from reportlab.lib import colors, pagesizes
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    KeepTogether,
    Paragraph,
    SimpleDocTemplate,
    Table,
)

from coordinator.interop import bbqr
from coordinator.recovery import typed_lines
from coordinator.shown_text import visible

PAPERS: Final = {"a4": pagesizes.A4, "letter": pagesizes.LETTER}
MARGIN: Final = 18 * mm
ONE_CODE_MAX: Final = 600
PART_CHARACTERS: Final = 500
QUIET_ZONE: Final = 4
QR_SIDE: Final = 74 * mm

BODY: Final = ParagraphStyle("body", fontName="Helvetica", fontSize=11, leading=15, spaceAfter=5)
TITLE: Final = ParagraphStyle(
    "title", parent=BODY, fontName="Helvetica-Bold", fontSize=20, leading=26
)
HEADING: Final = ParagraphStyle(
    "heading",
    parent=BODY,
    fontName="Helvetica-Bold",
    fontSize=13,
    leading=18,
    spaceBefore=10,
    keepWithNext=True,
)
MONO: Final = ParagraphStyle(
    "mono", parent=BODY, fontName="Courier", fontSize=13, leading=17.5, spaceAfter=0
)
SMALL_MONO: Final = ParagraphStyle("small", parent=MONO, fontSize=10, leading=14)
CELL: Final = ParagraphStyle("cell", parent=BODY, wordWrap="CJK", spaceAfter=0)
MONO_CELL: Final = ParagraphStyle("mono cell", parent=CELL, fontName="Courier", fontSize=12)
HASH_GROUP: Final = 8


class KeyOnPaper(NamedTuple):
    """A cosigner as the kit names it: what carries its key, and what else that needs."""

    label: str
    carriers: str
    fingerprint: str
    path: str
    note: str = ""


@dataclass(frozen=True)
class Kit:
    """Everything a kit says; `place` is where this copy is for, None for a copy of the vault's.

    `places` are written only where the owner asked for it. `born` is the date or height that
    `recover --birthday` takes, where it is known.
    """

    vault: str
    network: str
    threshold: int
    descriptor: str
    addresses: Sequence[str]
    keys: Sequence[KeyOnPaper]
    version: str
    digest: str
    head: str
    date: str
    birthday: str
    timestamp: int
    program: str
    place: str | None = None
    places: Sequence[tuple[str, str]] = ()
    born: str | None = None


def drawn(kit: Kit, paper: str) -> bytes:
    """Return the kit as a PDF; the same kit gives the same bytes."""
    _, pages = _built(kit, paper, 0)
    return _built(kit, paper, pages)[0]


def _built(kit: Kit, paper: str, pages: int) -> tuple[bytes, int]:
    """Return the PDF, its footers saying that there are so many pages, and how many there are."""
    out = io.BytesIO()
    size = PAPERS[paper]
    document = SimpleDocTemplate(
        out,
        pagesize=size,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=visible(f"Recovery kit of vault {kit.vault}"),
        author="cardquorum",
        invariant=1,
    )

    def footer(canvas: Canvas, _document: SimpleDocTemplate) -> None:
        number = f"page {canvas.getPageNumber()} of {pages}"
        canvas.setFont("Helvetica", 9)
        told = visible(f"vault {kit.vault} · version {kit.version}")
        canvas.drawString(MARGIN, 10 * mm, told)
        canvas.drawRightString(size[0] - MARGIN, 10 * mm, number)

    document.build(list(_story(kit)), onFirstPage=footer, onLaterPages=footer)
    return out.getvalue(), document.page


def codes_of(descriptor: str) -> list[str]:
    """Return the texts of the QR codes: the descriptor itself, or its parts where it is long."""
    if len(descriptor) <= ONE_CODE_MAX:
        return [descriptor]
    return bbqr.split(descriptor.encode(), "U", PART_CHARACTERS)


def _story(kit: Kit) -> Iterator[Flowable]:
    where = f" — for {kit.place}" if kit.place else ""
    yield Paragraph(_escaped(f"Recovery kit of vault {kit.vault}{where}"), TITLE)
    yield from _what_this_is(kit)
    yield from _needed(kit)
    yield from _descriptor(kit)
    yield from _how(kit)
    yield from _codes(kit)
    yield KeepTogether(list(_core(kit)))
    yield from _checks(kit)


def _what_this_is(kit: Kit) -> Iterator[Flowable]:
    yield Paragraph(
        f"This paper is the plan of a Bitcoin vault on {_escaped(kit.network)}. Whoever has "
        f"it can see the vault's money but cannot spend it: that takes <b>{kit.threshold} of the "
        f"{len(kit.keys)} keys</b> below. Whoever has {kit.threshold} keys but no copy of this "
        "plan cannot spend either. Keep it dry, keep it private, do not photograph it.",
        BODY,
    )


def _needed(kit: Kit) -> Iterator[Flowable]:
    yield Paragraph(f"The keys ({kit.threshold} are needed)", HEADING)
    header = ["key", "carried by", "fingerprint", "path"]
    rows = [
        [Paragraph(_escaped(text), CELL) for text in (key.label, key.carriers)]
        + [Paragraph(text, MONO_CELL) for text in (key.fingerprint, key.path)]
        for key in kit.keys
    ]
    head = [Paragraph(f"<b>{text}</b>", CELL) for text in header]
    yield _table([head, *rows], widths=[34 * mm, None, 29 * mm, 37 * mm])
    for key in kit.keys:
        if key.note:
            yield Paragraph(_escaped(f"{key.label}: {key.note}"), BODY)
    if kit.places:
        yield Paragraph("Where they lie", HEADING)
        yield _table([[Paragraph(_escaped(text), CELL) for text in row] for row in kit.places])


def _descriptor(kit: Kit) -> Iterator[Flowable]:
    yield Paragraph("The descriptor, to be typed in", HEADING)
    yield Paragraph(
        "Each line: its number, the text in groups of five (the blanks do not count; capital and "
        "small letters do), and four letters that check the line. "
        "<font name='Courier'>cardquorum recover - --name NAME</font> reads such lines and says "
        "which one was mistyped.",
        BODY,
    )
    for line in typed_lines.numbered(kit.descriptor):
        yield Paragraph(_escaped(line).replace(" ", "&nbsp;"), MONO)


def _codes(kit: Kit) -> Iterator[Flowable]:
    texts = codes_of(kit.descriptor)
    title = "The descriptor, to be scanned"
    if len(texts) > 1:
        title += f" ({len(texts)} codes, BBQr; any order)"
    codes = [_Code(text, QR_SIDE) for text in texts]
    pairs = [codes[at : at + 2] for at in range(0, len(codes), 2)]
    grid = [Table([pair], hAlign="LEFT") for pair in pairs]
    yield KeepTogether([Paragraph(title, HEADING), grid[0]])
    yield from grid[1:]


def _how(kit: Kit) -> Iterator[Flowable]:
    yield Paragraph("How to recover with cardquorum", HEADING)
    birthday = f" --birthday {kit.born}" if kit.born else ""
    for step in (
        f"Install it on a computer you trust and run {_typed(f'init --network {kit.network}')}; "
        "<font name='Courier'>--chain URL</font> names the node or server to ask for the coins.",
        f"{_typed(f'recover FILE --name {kit.vault}{birthday}')}: FILE is the text file of this "
        "kit, or one with the text of its codes; <font name='Courier'>-</font> to type the lines "
        "above.",
        "Compare the first three addresses below. If one differs, stop.",
        f"{_typed(f'sync {kit.vault}')} looks for the coins {_since(kit)}. It may take hours and "
        "be cut off: the next one goes on.",
        f"Put the cards on the reader, one after the other: {_typed('card enrol LABEL')}, then "
        f"{_typed(f'vault verify {kit.vault}')}. Spend as usual.",
        "Where only the encrypted file of this kit is at hand: enrol any one of the cards first, "
        "or give its account key with <font name='Courier'>--key</font>.",
    ):
        yield Paragraph(f"• {step}", BODY)


def _since(kit: Kit) -> str:
    if kit.born:
        return f"from the birthday on, {_escaped(kit.birthday)}"
    return "from the first block that can hold any: how old the vault is was not known"


def _typed(words: str) -> str:
    return f"<font name='Courier'>cardquorum {_escaped(words)}</font>"


def _core(kit: Kit) -> Iterator[Flowable]:
    yield Paragraph("How to recover with Bitcoin Core alone", HEADING)
    for line in _core_commands(kit):
        yield Paragraph(_escaped(line).replace(" ", "&nbsp;"), SMALL_MONO)
    yield Paragraph(
        "DESCRIPTOR is the text of the codes: the lines above without their numbers, blanks and "
        "last four letters. Core (29 or newer) then shows the money and builds payments "
        "(<font name='Courier'>walletcreatefundedpsbt</font>); "
        f"have the PSBT signed by {kit.threshold} keys, then <font name='Courier'>combinepsbt, "
        "finalizepsbt, sendrawtransaction</font>. RECOVERY.md says which programs sign with which "
        "card.",
        BODY,
    )


def _core_commands(kit: Kit) -> Iterator[str]:
    """Yield lines that a shell takes as they are."""
    program = "bitcoin-cli" + ("" if kit.network == "mainnet" else f" -chain={kit.network}")
    yield f'{program} createwallet vault true true "" false true'
    yield f"{program} -rpcwallet=vault importdescriptors \\"
    yield f'  \'[{{"desc": "DESCRIPTOR", "timestamp": {kit.timestamp}, "active": true}}]\''


def _checks(kit: Kit) -> Iterator[Flowable]:
    rows = [
        *((f"address {index}", address) for index, address in enumerate(kit.addresses)),
        ("printed", f"{kit.date} by {kit.program}"),
        ("vault", f"version {kit.version}, begun {kit.birthday}"),
        ("descriptor", f"SHA-256 {_grouped(kit.digest)}"),
        ("custody book", f"head {_grouped(kit.head)}"),
    ]
    cells = [[Paragraph(name, BODY), Paragraph(_escaped(text), SMALL_MONO)] for name, text in rows]
    yield KeepTogether([Paragraph("To compare", HEADING), _table(cells, widths=[28 * mm, None])])


def _grouped(digest: str) -> str:
    return " ".join(digest[at : at + HASH_GROUP] for at in range(0, len(digest), HASH_GROUP))


def _table(
    rows: Sequence[Sequence[Flowable]], widths: Sequence[float | None] | None = None
) -> Table:
    return Table(
        [tuple(row) for row in rows],
        colWidths=widths,
        hAlign="LEFT",
        style=[("GRID", (0, 0), (-1, -1), 0.5, colors.black), ("VALIGN", (0, 0), (-1, -1), "TOP")],
    )


def _escaped(text: str) -> str:
    """Return a text as it is to be read, whatever signs it holds."""
    text = visible(text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Code(Flowable):
    """A QR code drawn as squares: sharp at any size."""

    def __init__(self, text: str, side: float) -> None:
        super().__init__()
        self._matrix = [
            list(row) for row in segno.make_qr(text, error="m", boost_error=False).matrix
        ]
        self.width = self.height = side

    def wrap(self, _width: float, _height: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        step = self.width / (len(self._matrix) + 2 * QUIET_ZONE)
        for y, row in enumerate(self._matrix):
            for x, dark in enumerate(row):
                if dark:
                    left, bottom = (
                        (x + QUIET_ZONE) * step,
                        self.height - (y + QUIET_ZONE + 1) * step,
                    )
                    self.canv.rect(left, bottom, step, step, stroke=0, fill=1)
