"""The practice as it stands on a terminal, with all that is another each time made alike.

`python -m tests.cli.recorded_guide` plays it anew and writes the transcripts.
"""

import re
import tempfile
from itertools import groupby
from pathlib import Path

from tests.cli.guide_player import ELSEWHERE, Player

FOLDER = Path(__file__).parent / "transcripts"
COLUMNS = (80, 60)
HEADING = """\
# cardquorum guide --practice at {} columns. Enter was pressed at each question, but for what is
# typed from the screens of PUK and words, PINs (unseen), and the y to sign.
"""
CODE = re.compile(r"^ +[█▀▄ ]+$\n?", re.MULTILINE)
PARALLEL = re.compile(r"(?:PIN of )?card [\w-]+(?: \(.*left: .*|: \d+ (?:of \d+ )?signature.*)$")
"""Lines of cards that sign at once: which of them is first is chance."""
ALIKE = (
    (re.compile(r"/[\w/.-]*/home-practice"), "HOME-practice"),
    (re.compile(rf"bcrt1q(?!{ELSEWHERE[6:]})[a-z0-9]{{38,58}}"), "ADDRESS"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "NONCE"),
    (re.compile(r"\b(checksum|version) [a-z0-9]{8}\b"), r"\1 CHECKSUM"),
    (re.compile(r"(?<=#)[a-z0-9]{8}\b"), "CHECKSUM"),
    (re.compile(r"\b(ceremony|payment) [a-z0-9]{8}\b"), r"\1 ID"),
    (re.compile(r"\b20\d\d-\d\d-\d\dT[\d:]+Z"), "TIME"),
    (re.compile(r"\b20\d\d-\d\d-\d\d\b"), "DATE"),
    (re.compile(r"(?<=in )\d+\.\d s\b"), "N s"),
    (re.compile(r"\n +(?=HOME-practice|ADDRESS|HASH)"), " "),  # folded where a path is long
    (re.compile(r"(?<=HASH,)\s+\d+ vB"), " N vB"),
    (re.compile(r"^ {4}\d{6,12}$", re.MULTILINE), "    PUK"),
    (re.compile(r"(?<=Type it back from the paper: )\d+"), "PUK"),
    (re.compile(r"\d\d?\. [a-z]{3,8} *"), "N. WORD "),
    (re.compile(r"(?<=Words )(\d+ to \d+): [a-z ]+"), r"\1: WORD WORD WORD WORD"),
    (CODE, ""),
)


def transcript(player: Player) -> str:
    """Return what stood on the screen, with what is another each time made alike."""
    shown = player.seen.text().strip() + "\n"
    for pattern, same in ALIKE:
        shown = pattern.sub(same, shown)
    lines = shown.splitlines()
    kept = [
        line
        for parallel, run in groupby(lines, key=lambda line: bool(PARALLEL.match(line)))
        for line in (sorted(run) if parallel else run)
    ]
    joined = "\n".join(line.rstrip() for line in kept)
    return HEADING.format(player.columns) + re.sub(r"\n{3,}", "\n\n", joined) + "\n"


def recorded(columns: int) -> Path:
    """Return the file with the transcript of a terminal of this width."""
    return FOLDER / f"guide-practice-{columns}.txt"


def record() -> None:
    """Play the practice at each width, and keep what stood on the screen."""
    FOLDER.mkdir(exist_ok=True)
    for columns in COLUMNS:
        with tempfile.TemporaryDirectory() as folder:
            player = Player(Path(folder) / "home", "--practice", columns=columns)
            if player.play() != 0:
                raise SystemExit(player.screen)
        recorded(columns).write_text(transcript(player), encoding="utf-8")


if __name__ == "__main__":
    record()
