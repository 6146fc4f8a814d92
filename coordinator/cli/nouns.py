"""The nouns of the command line, in the order of its help."""

import typer

from coordinator.cli import (
    address,
    audit,
    card,
    custody,
    demo,
    emulate,
    home,
    money,
    regtest,
    spend,
    vault,
)


def attach(app: typer.Typer) -> None:
    """Hang every noun's commands into the program."""
    for noun in (home, demo, card, vault, address, money, spend, custody, audit, emulate, regtest):
        noun.attach(app)
