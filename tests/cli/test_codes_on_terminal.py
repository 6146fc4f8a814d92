"""A payment's codes on a terminal: sized to the window, in turn, read back from the screen."""

import re
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from coordinator.cli import qr_codes
from coordinator.interop import qr_text
from tests.cli.terminal import at_terminal
from tests.program import Asked

FRAME = re.compile(r"\x1b\[2J\x1b\[H(.*?)code (\d+) of (\d+)", re.DOTALL)
DOTS = {block: pair for pair, block in qr_codes.HALVES.items()}
STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def read(frame: str) -> str:
    """Return the text of a code as it stands on the screen."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in frame.splitlines()]
    rows = [row for line in lines if line for row in zip(*(DOTS[c] for c in line), strict=True)]
    picture = Image.new("L", (len(rows[0]), len(rows)), 255)
    picture.putdata([0 if dot else 255 for row in rows for dot in row])
    wide, high = picture.size
    large = picture.resize((wide * 8, high * 8), Image.Resampling.NEAREST)
    return zxingcpp.read_barcodes(large)[0].text


@pytest.fixture
def payment(vault: Asked) -> str:
    pay = ("spend", "create", "v", "--to", f"{STRANGER}:10000", "--feerate", "1")
    return str(vault(*pay)["ceremony"])


@pytest.mark.parametrize("format_", ["bbqr", "ur"])
def test_codes_come_in_turn_and_hold_the_payment(
    vault: Asked, payment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "40")
    words = ("spend", "export", payment, "--format", format_, "--show")
    last = re.compile(r"code (\d+) of \1\b")
    seen = at_terminal(tmp_path / "home", words, [(last.pattern, "q")])
    assert seen.status == 0
    shown = {int(number): read(frame) for frame, number, _ in FRAME.findall(seen.screen)}
    count = int(FRAME.findall(seen.screen)[0][2])
    assert sorted(shown) == list(range(1, count + 1))
    held = qr_text.carried("\n".join(shown.values()))
    assert held is not None
    assert held.hex() == vault("spend", "export", payment, "--format", "hex")["parts"][0]
    heights = [len(frame.splitlines()) for frame, _, _ in FRAME.findall(seen.screen)]
    assert max(heights) + qr_codes.BELOW <= 40


def test_a_window_that_is_too_small_is_named(
    vault: Asked, payment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vault("spend", "show", payment)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("LINES", "10")
    words = ("spend", "export", payment, "--format", "ur", "--show")
    seen = at_terminal(tmp_path / "home", words, [])
    assert seen.status == 2
    assert "a window of 30 x 10 is too small" in seen.screen


def test_codes_need_a_terminal_and_a_format(
    vault: Asked, payment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(qr_codes, "TERMINAL", tmp_path / "none")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "40")
    words = ("spend", "export", payment, "--show", "--format")
    assert "--out FILE.gif" in vault(*words, "ur", check=2)["error"]["message"]
    assert "--format bbqr" in vault(*words, "hex", check=2)["error"]["message"]
