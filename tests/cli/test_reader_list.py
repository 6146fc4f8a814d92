"""What lies on a reader is told by what it says before any PIN."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from cards.session import CardIdentity
from coordinator.home.settings import Home
from coordinator.readers import real_readers
from coordinator.readers.slots import Found
from tests.program import asking, run_program


def identity(card_id: str, *, key: bool, pin: bool) -> CardIdentity:
    return CardIdentity(card_id, "satochip", "0.12", key, 5, pin)


def test_a_card_is_told_to_be_fresh_half_made_or_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    asking(home)("init", "--network", "regtest")
    found = [
        Found("one", identity("aa", key=False, pin=False), None),
        Found("two", identity("bb", key=False, pin=True), None),
        Found("three", identity("cc", key=True, pin=True), None),
        Found("four", None, None),
    ]

    def looked_at(_home: Home, _names: Sequence[str] | None = None) -> list[Found]:
        return found

    monkeypatch.setattr(real_readers, "looked_at", looked_at)
    lines = run_program(home, "reader", "list").out.splitlines()
    told = {line.split()[0]: line for line in lines}
    assert "factory fresh: no PIN, no key" in told["one"]
    assert "has a PIN, no key yet" in told["two"]
    assert "set up already, not in this home" in told["three"]
    assert "(empty)" in told["four"]
