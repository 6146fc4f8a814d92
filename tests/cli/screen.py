"""What stood on a terminal, line by line, as far as this program and its prompts move a cursor."""

import re

PIECE = re.compile(
    r"\x1b\[(?P<number>[0-9;?]*)(?P<move>[A-Za-z])|\x1b\][^\x07]*\x07|\x1b.|(?P<one>.)", re.DOTALL
)
BEGUN = re.compile(r"\x1b(?:\[[0-9;?]*|\][^\x07]*)?\Z")
ERASED = "---------------------------- (the screen is erased)"


class Screen:
    """Rows that grow downwards; an erased screen is put away as a page."""

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.rows: list[list[str]] = [[]]
        self.row = self.column = 0
        self.begun = ""

    def write(self, text: str) -> None:
        """Take what was written, which may end within a sequence."""
        text = self.begun + text
        cut = BEGUN.search(text)
        self.begun = cut[0] if cut else ""
        for piece in PIECE.finditer(text[: len(text) - len(self.begun)]):
            if piece["one"] is not None:
                self._put(piece["one"])
            elif piece["move"] is not None:
                self._move(piece["move"], piece["number"])

    def text(self) -> str:
        pages = [*self.pages, self._shown()]
        return f"\n{ERASED}\n".join(pages)

    def _shown(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self.rows).rstrip()

    def _put(self, one: str) -> None:
        if one == "\r":
            self.column = 0
        elif one == "\n":
            self._down(1)
        elif one == "\b":
            self.column = max(0, self.column - 1)
        elif one.isprintable():
            row = self.rows[self.row]
            row += [" "] * (self.column - len(row))
            row[self.column : self.column + 1] = [one]
            self.column += 1

    def _down(self, count: int) -> None:
        self.row += count
        while len(self.rows) <= self.row:
            self.rows.append([])

    def _move(self, move: str, number: str) -> None:
        count = int(number) if number.isdigit() else 1
        if move == "A":
            self.row = max(0, self.row - count)
        elif move == "B":
            self._down(count)
        elif move == "C":
            self.column += count
        elif move == "D":
            self.column = max(0, self.column - count)
        elif move == "K":
            del self.rows[self.row][self.column :]
        elif move == "J" and number in {"", "0"}:
            del self.rows[self.row][self.column :]
            del self.rows[self.row + 1 :]
        elif move == "J" and number == "2":
            self.pages.append(self._shown())
            self.rows, self.row, self.column = [[]], 0, 0
