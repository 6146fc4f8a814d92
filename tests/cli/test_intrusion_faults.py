"""Another program's reset, and an empty answer at removal, while emulated cards sign."""

import pytest

from tests.program import PIN, Asked, run_program

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@pytest.mark.parametrize("number", range(1, 13))
def test_a_reset_at_any_command_is_told_and_the_card_signs(
    vault: Asked, tmp_path: object, number: int
) -> None:
    ceremony = vault("spend", "create", "v", "--drain", STRANGER, "--feerate", "2")["ceremony"]
    vault("emulate", "fault", "a", "reset", str(number))
    words = ("spend", "sign", ceremony, "--emulated", "a", "--yes", "--pin-stdin")
    done = run_program(tmp_path / "home", "--json", *words, stdin=f"a={PIN}")
    assert [(c["signatures"], c["error"]) for c in done.document["cards"]] == [(3, None)]
    assert "another program" in done.err
    assert vault("card", "check", "a")["attempts_left"] == 5


def test_an_empty_answer_is_a_card_that_was_taken_away(vault: Asked) -> None:
    vault("emulate", "fault", "a", "vanish", "3")
    found = vault("card", "check", "a", check=3)
    assert not found["present"]
    assert "empty answer" in found["differences"][0]
    assert vault("card", "check", "a")["present"]
