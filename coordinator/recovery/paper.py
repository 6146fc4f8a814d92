"""The recovery kit on paper: all that brings a vault back, and nothing that could spend it."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import segno
from reportlab.lib import colors, pagesizes
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    KeepTogether,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Table,
)

from coordinator.errors import UsageError
from coordinator.interop import bbqr
from coordinator.recovery import steps, typed_lines
from coordinator.recovery.letter import BLANK, LIST_HEAD, Letter
from coordinator.recovery.steps import StepsFacts
from coordinator.shown_text import in_groups, visible

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
STEPS_TITLE: Final = ParagraphStyle("steps", parent=TITLE, fontSize=16, leading=20, spaceAfter=2)
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
LETTER: Final = ParagraphStyle("letter", parent=BODY, fontSize=12, leading=16, spaceAfter=4)
LETTER_HEADING: Final = ParagraphStyle(
    "letter heading", parent=LETTER, fontName="Helvetica-Bold", spaceBefore=5, spaceAfter=1
)
SIGNED: Final = ParagraphStyle("signed", parent=LETTER, spaceBefore=14)
STEP: Final = ParagraphStyle("step", parent=BODY, fontSize=10, leading=12, spaceAfter=0)
STEP_HEADING: Final = ParagraphStyle(
    "step heading", parent=HEADING, spaceBefore=4, leading=15, spaceAfter=2
)
COMMAND: Final = ParagraphStyle(
    "command", parent=STEP, fontName="Courier", fontSize=9, leading=11, leftIndent=6 * mm
)
COMMAND_MAX: Final = 84
"""How many characters of a command have room on either paper, with the sign that it goes on."""
RESULT: Final = ParagraphStyle("result", parent=STEP, fontSize=9.5, leftIndent=6 * mm, spaceAfter=2)
PEN: Final = 8
"""Points above and below a line of a list that is filled in with a pen."""
CARDS_IN_A_ROW: Final = 4
CARD_SIDES: Final = (39 * mm, 13 * mm)
"""An outline wide enough for a card's name with its maker's, and as high as two lines want."""


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

    `encrypted` is the descriptor encrypted to its own keys (base64). A `secret` kit shows no more
    than that of it: neither descriptor nor addresses. `above` and `below` are the owner's own words
    around the letter. `places` are where things lie, where the owner asked for it.
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
    letter: Letter
    steps: StepsFacts
    encrypted: str
    secret: bool = False
    above: str = ""
    below: str = ""
    place: str | None = None
    places: Sequence[tuple[str, str]] = ()
    later_keys: Sequence[KeyOnPaper] = ()

    @property
    def code_text(self) -> str:
        """Return what is printed as lines and codes: the descriptor, or its encrypted copy."""
        return self.encrypted if self.secret else self.descriptor


def drawn(kit: Kit, paper: str) -> bytes:
    """Return the kit as a PDF; the same kit gives the same bytes.

    Raises UsageError where the owner's words leave no room on page one.
    """
    _, pages, ends = _built(kit, paper, 0)
    if ends[0] > 1:
        spoken = len(kit.above) + len(kit.below)
        raise UsageError(
            f"a message of {spoken} characters leaves no room for the letter on page one"
        )
    return _built(kit, paper, pages)[0]


def _built(kit: Kit, paper: str, pages: int) -> tuple[bytes, int, list[int]]:
    """Return the PDF, its footers saying that there are so many pages, and how many there are.

    Besides, on which page the letter ends.
    """
    out = io.BytesIO()
    size = PAPERS[paper]
    document = SimpleDocTemplate(
        out,
        pagesize=size,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title="Family papers" if kit.secret else visible(f"Recovery kit of vault {kit.vault}"),
        author="cardquorum",
        invariant=1,
    )

    def footer(canvas: Canvas, _document: SimpleDocTemplate) -> None:
        number = f"page {canvas.getPageNumber()} of {pages}"
        canvas.setFont("Helvetica", 9)
        told = visible(f"vault {kit.vault} · version {kit.version}")
        canvas.drawString(MARGIN, 10 * mm, told)
        canvas.drawRightString(size[0] - MARGIN, 10 * mm, number)

    ends: list[int] = []
    document.build(list(_story(kit, ends)), onFirstPage=footer, onLaterPages=footer)
    return out.getvalue(), document.page, ends


def codes_of(text: str) -> list[str]:
    """Return the texts of the QR codes: the text itself, or its parts where it is long."""
    if len(text) <= ONE_CODE_MAX:
        return [text]
    return bbqr.split(text.encode(), "U", PART_CHARACTERS)


def _story(kit: Kit, ends: list[int]) -> Iterator[Flowable]:
    yield from _letter(kit)
    yield _Mark(ends)
    yield PageBreak()
    yield from _steps(kit)
    yield PageBreak()
    if not kit.letter.lists_here:
        yield Paragraph("The list of the cards", STEPS_TITLE)
        yield _card_list(kit.letter)
        yield PageBreak()
    where = f", for {kit.place}" if kit.place else ""
    yield Paragraph(_escaped(f"Technical pages: vault {kit.vault}{where}"), TITLE)
    yield from _what_this_is(kit)
    yield from _needed(kit)
    for later in kit.steps.later:
        yield Paragraph(_escaped(f"With the later keys ({later.name})"), STEP_HEADING)
        yield from _numbered(steps.with_later_keys(kit.steps, later))
    yield from _descriptor(kit)
    yield from _codes(kit)
    if not kit.secret:
        yield KeepTogether(list(_core(kit)))
    yield from _checks(kit)


def _letter(kit: Kit) -> Iterator[Flowable]:
    """Yield page one, for somebody who never saw this program."""
    if kit.above:
        yield from _spoken(kit.above)
    for section in kit.letter.sections:
        yield Paragraph(_escaped(section.heading), LETTER_HEADING)
        yield Paragraph(_escaped(section.text), LETTER)
    if kit.letter.cards and kit.letter.lists_here:
        yield _card_list(kit.letter)
    yield Paragraph(f"Signed by the owner: {BLANK}", SIGNED)
    if kit.below:
        yield from _spoken(kit.below)


def _card_list(letter: Letter) -> Table:
    """Return where each card lies; where its PIN's note is, is left to a pen."""
    rows = [
        [Paragraph(_escaped(cell or ""), CELL) for cell in (*card, None)] for card in letter.cards
    ]
    head = [Paragraph(f"<b>{text}</b>", CELL) for text in LIST_HEAD]
    table = _table([head, *rows], widths=[34 * mm, 44 * mm, 34 * mm, None])
    table.setStyle(
        [("TOPPADDING", (0, 1), (-1, -1), PEN), ("BOTTOMPADDING", (0, 1), (-1, -1), PEN)]
    )
    table.spaceBefore = PEN
    return table


def _spoken(text: str) -> Iterator[Flowable]:
    for paragraph in text.split("\n\n"):
        lines = [_escaped(line.strip()) for line in paragraph.strip().splitlines()]
        yield Paragraph("<br/>".join(lines), LETTER)


def _steps(kit: Kit) -> Iterator[Flowable]:
    """Yield page two, for the helper: cards, reader, and steps that work as printed."""
    facts = kit.steps
    yield Paragraph("Page two: the steps, with your helper", STEPS_TITLE)
    if facts.cards:
        yield Paragraph("The cards", STEP_HEADING)
        for at in range(0, len(facts.cards), CARDS_IN_A_ROW):
            yield _CardRow(facts.cards[at : at + CARDS_IN_A_ROW])
    yield Paragraph("What you need", STEP_HEADING)
    for text in steps.needed(facts):
        yield Paragraph(f"• {_escaped(text)}", STEP)
    for title, listed in (
        ("With cardquorum", steps.with_program(facts)),
        ("With Sparrow", steps.with_sparrow(facts)),
    ):
        yield Paragraph(title, STEP_HEADING)
        yield from _numbered(listed)


def _numbered(listed: Iterable[steps.Step]) -> Iterator[Flowable]:
    """Yield steps, each whole on one page."""
    for at, step in enumerate(listed, 1):
        told: list[Flowable] = [Paragraph(f"{at}. {_escaped(step.what)}", STEP)]
        for command in (step.command or "").splitlines():
            told += [Paragraph(_escaped(line), COMMAND) for line in folded(command)]
        if step.result is not None:
            told.append(Paragraph(f"<i>{_escaped(step.result)}</i>", RESULT))
        yield KeepTogether(told)


def folded(command: str) -> list[str]:
    r"""Return a command in lines that have room; a shell reads on after each that ends in `\`."""
    lines: list[str] = []
    for words in re.split(r" (?=--)", command):
        if lines and len(f"{lines[-1]} {words}") <= COMMAND_MAX:
            lines[-1] += f" {words}"
        else:
            lines.append(words)
    *begun, last = lines
    return [f"{line} \\" for line in begun] + [last]


def _what_this_is(kit: Kit) -> Iterator[Flowable]:
    seen = (
        "It holds the vault's descriptor encrypted: whoever has it and the public key of one card "
        "can see the vault's money"
        if kit.secret
        else "Whoever has it can see the vault's money"
    )
    yield Paragraph(
        f"This paper is the plan of a Bitcoin vault on {_escaped(kit.network)}. {seen} but cannot "
        f"spend it: that takes <b>{kit.threshold} of the {len(kit.keys)} keys</b> below. Whoever "
        f"has {kit.threshold} keys but no copy of this plan cannot spend either. Keep it dry, keep "
        "it private. The codes are for this program or a wallet to scan, not for a telephone that "
        "keeps its pictures elsewhere.",
        BODY,
    )


def _needed(kit: Kit) -> Iterator[Flowable]:
    yield Paragraph(f"The keys ({kit.threshold} are needed)", HEADING)
    yield _key_table(kit.keys)
    for later in kit.steps.later:
        needed = f"{later.threshold} of {', '.join(later.keys)}"
        yield Paragraph(_escaped(f"Later keys ({later.name}): {needed}, {later.wait}"), HEADING)
    if kit.later_keys:
        yield _key_table(kit.later_keys)
    for key in (*kit.keys, *kit.later_keys):
        if key.note:
            yield Paragraph(_escaped(f"{key.label}: {key.note}"), BODY)
    if kit.places:
        yield Paragraph("Where they lie", HEADING)
        yield _table([[Paragraph(_escaped(text), CELL) for text in row] for row in kit.places])


def _key_table(keys: Sequence[KeyOnPaper]) -> Table:
    rows = [
        [Paragraph(_escaped(text), CELL) for text in (key.label, key.carriers)]
        + [Paragraph(text, MONO_CELL) for text in (key.fingerprint, key.path)]
        for key in keys
    ]
    header = ["key", "carried by", "fingerprint", "path"]
    head = [Paragraph(f"<b>{text}</b>", CELL) for text in header]
    return _table([head, *rows], widths=[34 * mm, None, 29 * mm, 37 * mm])


def _descriptor(kit: Kit) -> Iterator[Flowable]:
    what = "The locked plan (encrypted descriptor)" if kit.secret else "The plan (descriptor)"
    yield Paragraph(f"{what}, to be typed in", HEADING)
    yield Paragraph(
        "Each line: its number, the text in groups of five (the blanks do not count; capital and "
        "small letters do), and four letters that check the line. "
        "<font name='Courier'>cardquorum recover - --name NAME</font> reads such lines and says "
        "which one was mistyped.",
        BODY,
    )
    for line in typed_lines.numbered(kit.code_text):
        yield Paragraph(_escaped(line).replace(" ", "&nbsp;"), MONO)


def _codes(kit: Kit) -> Iterator[Flowable]:
    texts = codes_of(kit.code_text)
    title = f"The {'locked plan' if kit.secret else 'plan'}, to be scanned"
    if len(texts) > 1:
        title += f" ({len(texts)} codes, BBQr; any order)"
    codes = [_Code(text, QR_SIDE) for text in texts]
    pairs = [codes[at : at + 2] for at in range(0, len(codes), 2)]
    grid = [Table([pair], hAlign="LEFT") for pair in pairs]
    yield KeepTogether([Paragraph(title, HEADING), grid[0]])
    yield from grid[1:]


def _core(kit: Kit) -> Iterator[Flowable]:
    """Yield lines that a shell takes as they are, and what they do."""
    yield Paragraph("How to recover with Bitcoin Core alone", HEADING)
    program = "bitcoin-cli" + ("" if kit.network == "mainnet" else f" -chain={kit.network}")
    for line in (
        f'{program} createwallet vault true true "" false true',
        f"{program} -rpcwallet=vault importdescriptors \\",
        f'  \'[{{"desc": "DESCRIPTOR", "timestamp": {kit.timestamp}, "active": true}}]\'',
    ):
        yield Paragraph(_escaped(line).replace(" ", "&nbsp;"), SMALL_MONO)
    yield Paragraph(
        "DESCRIPTOR is the text of the codes: the lines above without their numbers, blanks and "
        "last four letters. Core (29 or newer) then shows the money and builds payments "
        "(<font name='Courier'>walletcreatefundedpsbt</font>); "
        f"have the PSBT signed by {kit.threshold} keys, then <font name='Courier'>combinepsbt, "
        "finalizepsbt, sendrawtransaction</font>. "
        f"{_escaped(steps.signing_programs(kit.steps))}",
        BODY,
    )


def _checks(kit: Kit) -> Iterator[Flowable]:
    digest, head = (" ".join(in_groups(each, HASH_GROUP)) for each in (kit.digest, kit.head))
    rows = [
        *(
            (f"address {index}", address)
            for index, address in enumerate(() if kit.secret else kit.addresses)
        ),
        ("printed", f"{kit.date} by {kit.program}"),
        ("vault", f"version {kit.version}, begun {kit.birthday}"),
        *([] if kit.secret else [("descriptor", f"SHA-256 {digest}")]),
        ("custody book", f"head {head}"),
    ]
    cells = [[Paragraph(name, BODY), Paragraph(_escaped(text), SMALL_MONO)] for name, text in rows]
    yield KeepTogether([Paragraph("To compare", HEADING), _table(cells, widths=[28 * mm, None])])


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


class _CardRow(Flowable):
    """Outlines of cards beside each other, with label and maker on each."""

    def __init__(self, cards: Sequence[steps.CardOnPaper]) -> None:
        super().__init__()
        self._cards = cards
        self.width = (CARD_SIDES[0] + 4 * mm) * len(cards)
        self.height = CARD_SIDES[1] + 4 * mm

    def wrap(self, _width: float, _height: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        wide, high = CARD_SIDES
        for at, card in enumerate(self._cards):
            left = at * (wide + 4 * mm)
            self.canv.roundRect(left, 2 * mm, wide, high, 2 * mm)
            for text, font, size, above in (
                (card.label, "Helvetica-Bold", 11, high - 5.5 * mm),
                (made_by(card), "Helvetica", 9, 3 * mm),
            ):
                self.canv.setFont(font, size)
                self.canv.drawString(left + 3 * mm, above, _fitted(visible(text), font, size))


def made_by(card: steps.CardOnPaper) -> str:
    """Return what stands on the card itself: its name, and its maker's where that is another."""
    named = card.family.capitalize()
    maker = card.vendor.capitalize()
    return named if named == maker else f"{named}, by {maker}" if named else f"made by {maker}"


def _fitted(text: str, font: str, size: int) -> str:
    """Return as much of a text as has room within the outline of a card."""
    while text and stringWidth(text, font, size) > CARD_SIDES[0] - 6 * mm:
        text = text[:-1]
    return text


class _Mark(Flowable):
    """Nothing to see; notes on which page it stands."""

    def __init__(self, pages: list[int]) -> None:
        super().__init__()
        self._pages = pages

    def wrap(self, _width: float, _height: float) -> tuple[float, float]:
        return 0, 0

    def draw(self) -> None:
        self._pages.append(self.canv.getPageNumber())
