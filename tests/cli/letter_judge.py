"""The twelve points by which a letter for heirs is judged, as far as a program can.

What is judged is the first page of a kit as it was printed, and what `kit` said of it. The fifth
point's "reachable" and the twelfth's stranger who reads it are the owner's to see to.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pymupdf

from coordinator.recovery import readability

LETTER_HEADINGS: Final = ("Do nothing today", "What this is", "Never", "Where", "Then", "Later",
                          "When to stop")  # fmt: skip
JARGON: Final = (
    *("descriptor", "xpub", "seed", "mnemonic", "psbt", "quorum", "multisig", "2-of-3", "cosigner"),
    *("fingerprint", "carrier", "custody", "ceremony", "drill", "utxo", "change", "feerate", "rbf"),
    *("confirmation", "timelock", "refresh", "recovery path", "puk", "passphrase", "watch-only"),
    *("regtest", "node", "wallet"),
)
SPOKEN: Final = re.compile(rf"\b(?:{'|'.join(JARGON)})(?:s|es)?\b", re.IGNORECASE)
SECRET: Final = re.compile(
    r"\b\d{6,12}\b|\b[xt]pub\w+|\b(?:bc1|tb1|bcrt1)\w+|(?:wsh|sh|tr)\(|#\w{8}\b"
)
AMOUNT: Final = re.compile(r"\d\s*(?:sats?|btc|euros?|dollars?|pounds?)\b|[€$£₿]", re.IGNORECASE)
FOOTER: Final = re.compile(r"vault \S+ · version \S+\npage \d+ of \d+\n")
WORDS_MAX, SENTENCE_MAX, MEAN_MAX, GRADE_MAX = 260, 25, 14, 6
POINT_SIZE: Final = 12
TABLE_SIZE: Final = 11
NEVERS_MIN: Final = 4
FOOTER_AT: Final = 750
"""How far down a page, in points, the footer of either paper begins."""


@dataclass(frozen=True)
class Printed:
    """A kit as it was made: what the command said, who was named, its pages and sizes of letters.

    `cards` are those of the vault that are known, and where each lies.
    """

    said: dict[str, Any]
    contacts: Sequence[str]
    cards: Mapping[str, str | None]
    pages: Sequence[str]
    sizes: Counter[float]

    @property
    def letter(self) -> str:
        """Return page one without its footer, which is drawn first."""
        return FOOTER.sub("", self.pages[0])

    @property
    def spoken(self) -> str:
        """Return page one as one line, without the names the owner chose."""
        text = " ".join(self.letter.split())
        for name in (*self.contacts, *filter(None, self.cards.values())):
            text = text.replace(name, "NAME")
        return text

    def section(self, heading: str) -> str:
        """Return what stands below a heading of the letter, nothing where it is not there."""
        found: list[str] = []
        reading = False
        for line in self.letter.splitlines():
            if line.strip() in LETTER_HEADINGS:
                reading = line.strip() == heading
            elif line.startswith("Signed by"):
                reading = False
            elif reading:
                found.append(line)
        return " ".join(" ".join(found).split())


def printed(
    said: dict[str, Any], contacts: Sequence[str], cards: Mapping[str, str | None]
) -> Printed:
    """Read a kit that was made as it would be read by who finds it."""
    file = next(Path(each["file"]) for each in said["files"] if each["file"].endswith(".pdf"))
    document = pymupdf.open(file)
    sizes: Counter[float] = Counter()
    for block in document[0].get_text("dict")["blocks"]:
        for line in block.get("lines", ()):
            for span in line["spans"]:
                sizes[span["size"]] += len(span["text"]) * (span["origin"][1] < FOOTER_AT)
    return Printed(said, contacts, cards, [page.get_text() for page in document], +sizes)


def one_page(kit: Printed) -> bool:
    """1: all of it on one page, in letters large enough, at most 260 words of the program's."""
    whole = kit.pages[0].count("Signed by the owner") == 1
    steps = FOOTER.sub("", kit.pages[1]).startswith("Page two")
    large = min(kit.sizes) >= TABLE_SIZE and kit.sizes.most_common(1)[0][0] == POINT_SIZE
    return whole and steps and large and kit.said["words"] <= WORDS_MAX


def easy(kit: Printed) -> bool:
    """2: grade six or below; sentences short on average, none long."""
    text = "\n".join(kit.section(each) for each in LETTER_HEADINGS)
    lengths = [len(readability.words(each)) for each in readability.sentences(text)]
    short = max(lengths) <= SENTENCE_MAX and sum(lengths) / len(lengths) <= MEAN_MAX
    return short and max(kit.said["reading_grade"], readability.grade(text)) <= GRADE_MAX


def plain(kit: Printed) -> bool:
    """3: no word of the trade; nothing shouted, nobody encouraged."""
    return not SPOKEN.search(kit.spoken) and "!" not in kit.spoken


def nothing_first(kit: Printed) -> bool:
    """4: the first thing said is to do nothing."""
    heading, first, *_ = (line.strip() for line in kit.letter.splitlines() if line.strip())
    return heading == "Do nothing today" and first.startswith("You do not need to hurry")


def helpers(kit: Printed) -> bool:
    """5: two helpers are named, or there is room for a pen and `kit` said that they lack."""
    told = kit.section("Do nothing today")
    named = all(each in told for each in kit.contacts[:2])
    blank = told.count("____________") == 2 - len(kit.contacts[:2])
    lacking = any("helper is named" in each for each in kit.said["notices"])
    reached = all(re.search(r"(\d\D*){3}|@", each) for each in kit.contacts[:2])
    told_so = any("without a number" in each for each in kit.said["notices"])
    return named and blank and lacking == (len(kit.contacts) < 2) and reached != told_so


def nevers(kit: Printed) -> bool:
    """6: what one never does stands in one block."""
    block = kit.section("Never")
    elsewhere = kit.spoken.replace(block, "").replace("Never", "", 1)
    return block.count("Never ") >= NEVERS_MIN and "Never" not in elsewhere


def shut_bank(kit: Printed) -> bool:
    """7: nobody is sent to a bank that may be shut without being told so."""
    told = kit.section("Where")
    sent = "bank" in told.replace("No bank holds it", "")
    return not sent or "without the bank" in told or "must wait for it" in told


def no_secret(kit: Printed) -> bool:
    """8: no secret, no plan of the vault, no amount."""
    return not SECRET.search(kit.spoken) and not AMOUNT.search(kit.spoken)


def cards_apart(kit: Printed) -> bool:
    """9: each card of the vault has its place, and a blank for its PIN's note; or none is told."""
    listed = [page for page in kit.pages if "its PIN note" in page]
    if kit.said["for"] != "executor":
        return not listed and "Ask them where the other cards are" in kit.section("Where")
    if not kit.cards:
        return not listed and "does not know where" in kit.section("Where")
    rows = [f"\n{card}\n{place or ''}" for card, place in kit.cards.items()]
    return len(listed) == 1 and all(row in listed[0] for row in rows)


def small_first(kit: Printed) -> bool:
    """10: a small sum first, seen to arrive, then the rest."""
    told = kit.section("Then")
    order = ("Send a small sum first.", "See it arrive.", "Then send the rest.")
    return all(each in told for each in order) and told.index(order[0]) < told.index(order[2])


def stops(kit: Printed) -> bool:
    """11: when to stop, and that stopping loses nothing."""
    told = kit.section("When to stop")
    return "If anything looks wrong, stop. Stopping loses nothing." in told and (
        "After one wrong PIN, stop and call." in told
    )


def dated(kit: Printed) -> bool:
    """12: when it was written and last tried out, and that older ones no longer count."""
    told = kit.section("When to stop")
    tried = "Last tried out 20" in told or "Not tried out yet." in told
    return (
        bool(re.search(r"Written 20\d\d-\d\d-\d\d\.", told))
        and tried
        and ("Older letters no longer count." in told)
    )


POINTS: Final[tuple[Callable[[Printed], bool], ...]] = (
    one_page, easy, plain, nothing_first, helpers, nevers, shut_bank, no_secret, cards_apart,
    small_first, stops, dated,
)  # fmt: skip


def missed(kit: Printed) -> Iterator[str]:
    """Yield the points a letter does not meet."""
    for number, point in enumerate(POINTS, 1):
        if not point(kit):
            yield f"{number}: {(point.__doc__ or '').partition(': ')[2]}"
