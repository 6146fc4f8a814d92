"""How messages of the command line are said on a page."""

import pytest
from markupsafe import Markup

from coordinator.cli.failures import ADVICE
from coordinator.errors import SettingsError
from coordinator.web import pages
from coordinator.web.command_links import remedy
from coordinator.web.error_hints import hint_for
from coordinator.web.rendering import sentence, things


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("bcrt1qw508 was used before", "bcrt1qw508 was used before."),
        ("kit.txt: no code", "kit.txt: no code."),
        ("card:blue at location:home", "Card blue at place home."),
        ("if location at-a is lost", "If place at-a is lost."),
        ("ceremony abcdefgh is collecting", "Payment abcdefgh waits for signatures."),
        ("drill ufhebj3: 0 of 2 keys proved", "Try-out ufhebj3: 0 of 2 keys proved."),
        ("no drill was completed yet", "No try-out was completed yet."),
        ("card drill-hall at drill", "Card drill-hall at drill."),
        ("2 sat as of the last sync", "2 sat as last looked up."),
        ("20084 sats are needed, 999 sat are here", "20 084 sat are needed, 999 sat are here."),
        ("held until 2026-12-30T15:38:44Z", "Held until 2026-12-30."),
        ("type cardquorum card check card:a", "Type cardquorum card check card:a."),
        ("done!", "Done!"),
    ],
)
def test_a_message_becomes_a_sentence_with_things_as_they_are_said(message: str, said: str) -> None:
    assert sentence(message) == said


def test_no_hint_names_an_option_beside_its_command() -> None:
    for error, (_, usual) in ADVICE.items():
        if error is SettingsError:  # said in the terminal, before there is a page
            continue
        found = remedy(pages.PAGES, hint_for(error, usual))
        assert (error, "--" in found.sentence) == (error, False)


def test_mark_up_stays_what_it_is_and_nothing_else_becomes_it() -> None:
    assert isinstance(things(Markup("<b>card:a</b>")), Markup)
    assert things(Markup("<b>card:a</b>")) == "<b>card a</b>"
    assert things(Markup("<strong>drill</strong>")) == "<strong>try-out</strong>"
    assert not isinstance(things("<b>card:a</b>"), Markup)
