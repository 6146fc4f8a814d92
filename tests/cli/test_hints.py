"""Each hint names a command that mends it, with options it has, or says that none of ours does."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from cards import errors as card_errors
from coordinator import errors as hall_errors
from coordinator.cli import build
from coordinator.cli.failures import ADVICE, LISTS, explain
from psbt import errors as psbt_errors
from storage import errors as storage_errors
from storage.errors import NotFound
from tests.cli.family import STRANGER
from tests.program import Asked, run_program

ROOMS: tuple[ModuleType, ...] = (card_errors, hall_errors, psbt_errors, storage_errors)
COMMAND = re.compile(r"cardquorum ((?:[a-zA-Z{}_./-]+ ?)+)")
AGAIN = re.compile(r"same command again|run it|type it|--help|--[a-z-]+|kind:name|another name")
"""Words of a hint after which the same command does it."""
NOBODY = {
    "NotGenuine": "its maker",
    "PinUnsuitable": "one that fits",
    "Untrusted": "whoever it came from",
    "PsbtError": "where this came from",
    "PolicyError": "where this came from",
    "AmountContradicted": "who made the PSBT",
    "NotOnlySignatures": "where the file has been",
    "ConsensusRejected": "report this",
    "SchemaTooNew": "the newer program",
    "ChainPasswordMissing": ".cookie",
    "NotFound": "list commands",
    "PassphraseIncorrect": "look it up",
}
"""What no command of ours mends, and who or what does."""


def classes() -> Iterator[type[BaseException]]:
    for room in ROOMS:
        for kind in vars(room).values():
            here = isinstance(kind, type) and kind.__module__ == room.__name__
            if here and issubclass(kind, BaseException):
                yield kind


def hint_of(kind: type[BaseException]) -> str:
    return next(ADVICE[above] for above in kind.__mro__ if above in ADVICE)[1]


@pytest.mark.parametrize("kind", list(classes()), ids=lambda kind: kind.__name__)
def test_each_error_class_has_a_hint_that_leads_on(kind: type[BaseException]) -> None:
    hint = hint_of(kind)
    if kind.__name__ in NOBODY:
        assert NOBODY[kind.__name__] in hint
    else:
        assert COMMAND.search(hint) or AGAIN.search(hint) or "{" in hint, hint


PRINTED = sorted(
    {hint for _, hint in ADVICE.values()} | {f"cardquorum {w}" for w in LISTS.values()}
)


@pytest.mark.parametrize("hint", PRINTED)
def test_each_command_of_a_hint_takes_the_options_and_words_it_is_printed_with(hint: str) -> None:
    for found in COMMAND.finditer(hint):
        words = shlex.split(found[1].strip(" ,;."))
        command = get_command(build(words))
        while (below := getattr(command, "commands", None)) is not None:
            command = below[words.pop(0)]
        options = {
            name
            for each in command.params
            if each.param_type_name == "option"
            for name in each.opts
        }
        assert {word for word in words if word.startswith("--")} <= options, found[1]
        wanted = [each for each in command.params if each.required]
        given = [word for word in words if word.isupper() or word.startswith("{")]
        assert len(given) >= len(wanted), found[1]


def test_what_does_not_exist_is_looked_up_in_the_list_of_its_kind() -> None:
    assert explain(NotFound("holder", "marie")).hint.endswith("cardquorum holder list")
    assert explain(NotFound("item", "card:x")).hint.endswith("cardquorum card list")
    assert explain(NotFound("item", "bag:7")).hint == ADVICE[NotFound][1]


def test_what_is_said_of_a_home_fits_what_is_wrong_with_it(asked: Asked, tmp_path: Path) -> None:
    def hint(*words: str) -> str:
        found: str = asked(*words, check=2)["error"]["hint"]
        return found

    assert "cardquorum init --network NETWORK" in hint("status")
    asked("init", "--network", "regtest")
    assert "go on with it: cardquorum status" in hint("init", "--network", "regtest")
    backup = str(tmp_path / "backup")
    asked("backup", "--out", backup)
    assert "not there yet: cardquorum restore FILE --home NEWDIR" in hint("restore", backup)
    no_kit = asked("recover", backup, "--name", "v", check=2)["error"]["message"]
    assert "this is a backup, no kit: cardquorum restore FILE --home NEWDIR" in no_kit
    (asked.home / "settings.toml").write_text("[")
    assert "put that line right" in hint("status")
    (asked.home / "settings.toml").unlink()
    assert "cardquorum restore FILE --home NEWDIR" in hint("init", "--network", "regtest")


def test_a_hint_names_what_the_command_was_about(vault: Asked) -> None:
    """Whoever is told what to type can type it as it stands."""
    made = vault("spend", "create", "v", "--to", f"{STRANGER}:10000")["ceremony"]
    refused = vault("spend", "finalize", made.upper(), check=6)["error"]
    assert refused["hint"] == f"collect them: cardquorum spend sign {made}"
    vault("emulate", "new", "satochip", "new", "--no-setup")
    refused = vault("card", "enrol", "blue", "--emulated", "new", check=3)["error"]
    assert refused["hint"].startswith("set it up first: cardquorum card setup blue ")
    wrong = ("--emulated", "a", "--last-attempt", "--yes", "--pin-stdin")
    for _ in range(5):
        vault("spend", "sign", made, *wrong, stdin="000000", check=4)
    (offered,) = vault("spend", "sign", made, *wrong, stdin="000000", check=4)["cards"]
    assert offered["error"]["hint"] == "free it with its PUK: cardquorum card unblock a"
    said = run_program(vault.home, "spend", "sign", made, *wrong, stdin="000000", check=4)
    assert "free it with its PUK: cardquorum card unblock a" in said.out + said.err


def test_a_hint_names_nothing_that_the_command_was_not_about() -> None:
    failure = explain(card_errors.PinBlocked("the card allows no more attempts"))
    assert failure.about({"vault": "blue", "spend": "blue"}) == failure
    assert failure.about({"card": "my card"}).hint.endswith(" card unblock 'my card'")
